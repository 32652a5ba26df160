"""Which pages of other origins may call, and what they may read: those of CORS_ORIGINS, what a browser has to do with."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.wsgi import get_wsgi_application
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import Client, RequestFactory

from identities.models import Extension
from omneo_identity.api.quick import quickly
from omneo_identity.urls import QUICK
from tests.storefront import PROXY, PROXY_TOO, SECRET, TOKEN, VARIABLE, passed_on, signature_of_id

pytestmark = pytest.mark.django_db

SHOP, OTHER, ELSEWHERE = "https://shop.example.com", "http://localhost:3000", "https://evil.example.com"
ME = "/id/api/v1/profiles/me"

# What a client's JavaScript sends beyond what every page may.
HEADERS = ["authorization", "content-type", "idempotency-key", "x-request-id", "x-requested-with"]
METHODS = ["GET", "POST", "PUT", "DELETE"]


@pytest.fixture(autouse=True)
def origins(settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = [SHOP, OTHER]


def call(method: str, path: str, origin: str | None = SHOP, **headers: str) -> Any:
    sent = {"Origin": origin, **headers} if origin else headers
    client = Client(headers=sent, raise_request_exception=False)
    return client.generic(method, path, b"{}" if method in ("POST", "PUT") else b"", "application/json")


def preflight(path: str, method: str = "POST", origin: str = SHOP, headers: str = ", ".join(HEADERS)) -> Any:
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return call("OPTIONS", path, origin, **asked)


def cors(response: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items() if name.lower().startswith("access-")}


def listed(text: str) -> set[str]:
    return {word.strip().lower() for word in text.split(",")}


def varies(response: Any) -> bool:
    return "origin" in listed(response.headers.get("Vary", ""))


@pytest.mark.parametrize("origin", [SHOP, OTHER])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", [ME, f"{ME}/identities", "/id/api/v1/profiles", TOKEN, PROXY_TOO])
def test_a_page_of_an_allowed_origin_may_call_with_all_that_clients_send(path: str, method: str, origin: str) -> None:
    answer = preflight(path, method, origin)

    assert answer.status_code == 200
    assert answer.content == b""
    told = cors(answer)
    assert told["access-control-allow-origin"] == origin
    assert method.lower() in listed(told["access-control-allow-methods"])
    assert listed(told["access-control-allow-headers"]) >= set(HEADERS)
    assert "access-control-allow-credentials" not in told
    assert varies(answer)


@pytest.mark.parametrize("path", [f"{ME}/", "/id/api/v1//profiles/me", "/id//api/v1/profiles/me//", f"{TOKEN}/"])
def test_a_careless_path_is_allowed_like_the_right_one(path: str) -> None:
    assert cors(preflight(path))["access-control-allow-origin"] == SHOP
    assert cors(call("GET", path))["access-control-allow-origin"] == SHOP


@pytest.mark.parametrize(
    "origin",
    [
        ELSEWHERE,
        "null",
        "",
        "https://shop.example.com.evil.example.com",
        "https://shop.example.com:8443",
        "http://shop.example.com",
        "https://xshop.example.com",
        "https://shop.example.com@evil.example.com",
        "https://evil.example.com/https://shop.example.com",
        "https://[shop.example.com",
        "shop.example.com",
        "file://",
    ],
)
def test_no_other_origin_is(origin: str) -> None:
    for answer in (preflight(ME, origin=origin), call("GET", ME, origin), call("POST", TOKEN, origin)):
        assert cors(answer) == {}
        # So that no cache gives the one answer to the other's page.
        assert varies(answer)


@pytest.mark.parametrize(
    "path",
    [
        *("/api/v3/profiles", "/api/v3/identities/search", "/api/health", "/api/schema", "/api/docs", "/", "/nowhere"),
        *("/admin/", "/admin/login/", "/admin/profiles/profile/", "/id", "/shopify"),
        *("/idx/api/v1/profiles/me", "/id/api/v10/profiles/me", "/admin/id/api/v1/profiles/me", "/api/v3/id/api/v1"),
        # The platform asks for it, no page does.
        PROXY,
    ],
)
def test_nothing_else_can_be_called_from_a_page_of_another_origin(path: str) -> None:
    for answer in (preflight(path, "GET"), call("GET", path), call("POST", path)):
        assert cors(answer) == {}


def test_without_the_setting_nobody_may(settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = []

    for origin in (SHOP, "null", "*", ""):
        assert cors(preflight(ME, origin=origin)) == {}
        assert cors(call("GET", ME, origin)) == {}


def test_a_page_can_read_refusals_too(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.STOREFRONT_FAILURE_LIMIT = 1

    unauthenticated = call("GET", ME)
    unknown = call("GET", "/id/api/v1/nowhere")
    not_allowed = call("PATCH", TOKEN)
    malformed = Client(headers={"Origin": SHOP}).post(TOKEN, b"{", "application/json")
    invalid = call("POST", TOKEN)
    wrong = [
        Client(headers={"Origin": SHOP}).post(TOKEN, {"id": "7", "signature": "0"}, "application/json")
        for _ in range(2)
    ]
    bad_host = call("GET", ME, Host="evil.example.com")
    monkeypatch.setattr("identities.views.storefront.network", lambda *_: 1 / 0)
    failed = call("GET", PROXY_TOO)

    answers = [unauthenticated, unknown, not_allowed, malformed, invalid, *wrong, bad_host, failed]
    assert [answer.status_code for answer in answers] == [401, 404, 405, 400, 422, 401, 429, 400, 500]
    for answer in answers:
        assert answer.json()["message"]
        assert cors(answer)["access-control-allow-origin"] == SHOP
        assert varies(answer)
    assert int(wrong[1].headers["Retry-After"]) > 0


def test_a_page_can_read_the_headers_that_say_something(api: Any, ada: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Extension.objects.filter(pk="shopify").update(secret_variables=[VARIABLE])
    monkeypatch.setenv(VARIABLE, SECRET)

    answer = call("GET", f"{PROXY_TOO}?{passed_on('')}")

    assert answer.status_code == 200
    exposed = listed(cors(answer)["access-control-expose-headers"])
    assert exposed == {"idempotent-replay", "retry-after", "x-omneo-is-anon", "x-omneo-tenant", "x-request-id"}
    assert {"x-omneo-is-anon", "x-omneo-tenant", "x-request-id"} <= {name.lower() for name in answer.headers}


def test_a_preflight_is_no_call(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert preflight(TOKEN).status_code == 200
        assert preflight("/id/api/v1/auth/token").status_code == 200


def test_a_preflight_has_what_every_answer_has() -> None:
    answer = preflight(ME)

    assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["X-Request-ID"])
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_asking_for_the_options_of_a_path_is_no_preflight() -> None:
    assert call("OPTIONS", TOKEN).status_code == 405
    assert call("OPTIONS", TOKEN, None).status_code == 405


def test_a_call_without_an_origin_is_as_before_but_for_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    Extension.objects.filter(pk="shopify").update(secret_variables=[VARIABLE])
    monkeypatch.setenv(VARIABLE, SECRET)

    answer = Client().post(TOKEN, {"id": "7", "signature": signature_of_id("7")}, "application/json")

    assert (answer.status_code, cors(answer), varies(answer)) == (404, {}, True)
    assert not varies(Client().get("/api/v3/profiles"))


def test_the_short_way_answers_a_page_like_the_long_one(api: Any, ada: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each origin is told its own name, and none another's, whoever came first."""
    monkeypatch.setattr(BaseDatabaseWrapper, "close_if_unusable_or_obsolete", lambda _self: None)
    served = quickly(get_wsgi_application(), QUICK)
    issued = api.client.post("/id/api/v1/auth/token", {"id": ada["id"]}, "application/json").json()["data"]["token"]

    def told(origin: str | None) -> dict[str, str]:
        found: dict[str, str] = {}
        environ = RequestFactory(headers={"Authorization": f"Bearer {issued}"}).get(ME).environ
        environ.pop("HTTP_COOKIE", None)
        if origin is not None:
            environ["HTTP_ORIGIN"] = origin

        def start_response(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            assert status == "200 OK"
            found.update({name.lower(): value for name, value in headers})

        assert b"".join(served(environ, start_response))
        return found

    for _ in range(2):
        for origin in (None, SHOP, ELSEWHERE, OTHER):
            headers = told(origin)
            allowed = origin if origin in (SHOP, OTHER) else None
            assert headers.get("access-control-allow-origin") == allowed
            assert "origin" in listed(headers["vary"])
