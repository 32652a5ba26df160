from __future__ import annotations

import contextvars
import logging
import re

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from omneo_identity.api.middleware import RequestIdFilter

pytestmark = pytest.mark.urls(__name__)


def ping(request: HttpRequest, rest: str = "") -> HttpResponse:
    logging.getLogger("tests").info("inside")
    return HttpResponse("pong")


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("A fault of ours.")


urlpatterns = [
    path("api/ping", ping),
    path("api/broken", broken),
    path("api/v3/identities/search-profile/<path:rest>", ping),
]
handler500 = "omneo_identity.api.errors.server_error"


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.handler.addFilter(RequestIdFilter())
    caplog.set_level(logging.INFO)
    return caplog


def test_the_callers_id_is_returned_and_in_every_line(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    response = client.get("/api/ping", headers={"X-Request-ID": "till-7.42_a"})

    assert response["X-Request-ID"] == "till-7.42_a"
    assert {record.request_id for record in caplog.records} == {"till-7.42_a"}  # type: ignore[attr-defined]


def test_what_django_logs_after_the_answer_has_the_id(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING", "django.request")
    client.get("/api/nothing", headers={"X-Request-ID": "lost"})

    assert "django.request" in {record.name for record in caplog.records}
    assert {record.request_id for record in caplog.records} == {"lost"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("sent", [None, "", "with space", "a" * 129, "ä", "a\nb", "<b>"])
def test_a_missing_or_bad_id_is_made(client: Client, sent: str | None) -> None:
    response = client.get("/api/ping", headers={} if sent is None else {"X-Request-ID": sent})

    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", response["X-Request-ID"])


def test_one_line_per_request_without_what_a_customer_wrote(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client.get("/api/ping/?filter[email]=ada@example.com")
    client.get("/api/v3/identities/search-profile/ada@example.com%0Aforged")

    lines = [record.getMessage() for record in caplog.records if record.name == "omneo_identity.access"]
    assert len(lines) == 2
    assert re.fullmatch(r"GET /api/ping 200 \d+\.\d ms", lines[0])
    assert lines[1].startswith("GET /api/v3/identities/search-profile/... 404 ")


def test_a_fault_of_ours_has_its_id_too(client: Client) -> None:
    client.raise_request_exception = False

    response = client.get("/api/broken", headers={"X-Request-ID": "seen"})

    assert (response.status_code, response["X-Request-ID"]) == (500, "seen")
    assert response.json() == {"message": "Server error."}


def test_outside_of_a_request_the_id_is_a_dash(caplog: pytest.LogCaptureFixture) -> None:
    contextvars.Context().run(logging.getLogger("tests").info, "a command")

    assert caplog.records[-1].request_id == "-"  # type: ignore[attr-defined]
