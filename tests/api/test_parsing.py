from __future__ import annotations

import io
from typing import Any

import orjson
import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.test import Client, RequestFactory
from django.urls import path
from pytest_django import Settings
from rest_framework.request import Request
from rest_framework.response import Response

from omneo_identity.api.views import Open, one

pytestmark = pytest.mark.urls(__name__)


class Echo(Open):
    def post(self, request: Request) -> Response:
        return one(request.data)


urlpatterns = [path("api/echo", Echo.as_view())]


def post(client: Client, body: bytes, content_type: str = "application/json", **headers: Any) -> Any:
    return client.generic("POST", "/api/echo", body, content_type, **headers)


def test_a_json_object_is_read_as_it_is(client: Client) -> None:
    response = post(client, '{"name": "Ada", "tags": ["é", null, true, 1.5]}'.encode())

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.json() == {"data": {"name": "Ada", "tags": ["é", None, True, 1.5]}}


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "nonsense"],
)
@pytest.mark.parametrize(("body", "data"), [(b'{"a": 1}', {"a": 1}), (b"", {}), (b" \n ", {})])
def test_any_media_type_is_json_and_nothing_is_an_empty_object(
    client: Client, content_type: str, body: bytes, data: dict[str, Any]
) -> None:
    response = post(client, body, content_type)

    assert response.json() == {"data": data}


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "nonsense", ""])
def test_the_answer_is_json_whatever_is_accepted(client: Client, accept: str) -> None:
    response = client.generic("POST", "/api/echo?format=html", b"{}", headers={"Accept": accept})

    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nothing",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": 1e400}',
        b'{"a": "\xff"}',
        b'{"a": "\\ud800"}',
        b'{"\\udc00": 1}',
        b'{"a": "\x00"}',
        b'{"a": 012345678901234567890}',
        b'{"a": "\\ud800", "b": 12345678901234567890}',
        b'{"a": NaN, "b": 12345678901234567890}',
        b'{"a": 1' + b"0" * 25 + b"e290}",
        b'{"a": ' + b"[" * 200 + b"]" * 200 + b"}",
        b"[" * 100_000,
        b'{"a": 12345678901234567890, "b": ' + b"[" * 1000 + b"]" * 1000 + b"}",
    ],
)
def test_what_is_not_json_is_a_400(client: Client, body: bytes) -> None:
    response = post(client, body)

    assert response.status_code == 400
    assert list(response.json()) == ["message"]


@pytest.mark.parametrize(
    "number", ["18446744073709551616", "-9223372036854775809", "123456789012345678901", "9" * 400, "-" + "9" * 3999]
)
def test_an_integer_of_any_size_stays_exact(client: Client, number: str) -> None:
    response = post(client, b'{"a": [%s], "b": "12345678901234567890", "c": 0.1}' % number.encode())

    assert response.content == b'{"data":{"a":[%s],"b":"12345678901234567890","c":0.1}}' % number.encode()


def test_a_number_of_too_many_digits_is_a_422(client: Client) -> None:
    response = post(client, b'{"a": ' + b"9" * 5000 + b"}")

    assert response.status_code == 422
    assert response.json()["code"] == "invalid"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"name": "a\\u0000b"}', "name"),
        (b'{"identities": [{}, {"handle": "\\u0000"}]}', "identities.1.handle"),
        (b'{"meta": {"a\\u0000": 1}}', "meta"),
        (b'{"\\u0000": 1}', "body"),
    ],
)
def test_a_nul_is_a_422_that_names_the_field(client: Client, body: bytes, field: str) -> None:
    response = post(client, body)

    assert response.status_code == 422
    assert list(response.json()["errors"]) == [field]
    assert response.json()["code"] == "invalid"


def test_an_escaped_backslash_before_zeros_is_no_nul(client: Client) -> None:
    assert post(client, b'{"a": "\\\\u0000"}').json() == {"data": {"a": "\\u0000"}}


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"1", b"[12345678901234567890]"])
def test_json_that_is_no_object_is_a_422(client: Client, body: bytes) -> None:
    response = post(client, body)

    assert response.status_code == 422
    assert response.json()["errors"] == {"body": ["The body must be a JSON object."]}


def test_a_body_that_is_too_large_is_a_413(client: Client, settings: Settings) -> None:
    settings.MAX_BODY_BYTES = 100

    assert post(client, b'{"a": "%s"}' % (b"x" * 91)).status_code == 200
    assert post(client, b'{"a": "%s"}' % (b"x" * 92)).status_code == 413


@pytest.mark.parametrize(("length", "status"), [("abc", 400), ("-5", 400), ("1_0", 400), ("9" * 30, 413), ("2", 200)])
def test_a_wrong_content_length_is_refused(client: Client, length: str, status: int) -> None:
    response = post(client, b"{}", CONTENT_LENGTH=length)

    assert response.status_code == status


def test_a_body_without_a_length_is_refused_and_not_lost(client: Client) -> None:
    response = post(client, b'{"a": 1}', CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="chunked")

    assert response.status_code == 411


class Torn(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        raise OSError("The connection was closed.")


@pytest.mark.parametrize("arriving", [Torn(), io.BytesIO(b"{}")])
def test_a_body_that_breaks_off_is_a_400(arriving: io.BytesIO) -> None:
    environ = RequestFactory().generic("POST", "/api/echo", b"{}").environ

    response = Echo.as_view()(WSGIRequest({**environ, "CONTENT_LENGTH": "100", "wsgi.input": arriving}))

    assert response.status_code == 400
    assert list(orjson.loads(response.content)) == ["message"]
