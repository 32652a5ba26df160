from __future__ import annotations

from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import path, re_path
from django.views.decorators.csrf import csrf_exempt

from omneo_identity.api.errors import page_not_found
from omneo_identity.api.middleware import fold, without_charset

pytestmark = pytest.mark.urls(__name__)


@csrf_exempt
def echo(request: HttpRequest, identifier: str = "") -> HttpResponse:
    return HttpResponse(f"{request.method} {request.path} {identifier} {request.body.decode()}")


urlpatterns = [
    path("api/v3/profiles", echo),
    path("api/v3/identities/search-profile", echo),
    path("api/v3/identities/search-profile/<path:identifier>", echo),
    path("id/api/v1/profiles/me", echo),
    path("admin/", echo),
    re_path(r"^(?:api|id/api/v1|shopify/api/v1|apps/cx)(?:/|\Z)", page_not_found),
]


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
@pytest.mark.parametrize(
    "written",
    ["/id/api/v1/profiles/me", "/id/api/v1/profiles/me/", "/id/api/v1//profiles/me", "/id/api//v1/profiles/me//"],
)
def test_every_method_answers_at_a_path_with_too_many_slashes(client: Client, method: str, written: str) -> None:
    response = client.generic(method.upper(), written)

    assert response.content.decode().strip() == f"{method.upper()} /id/api/v1/profiles/me"


def test_a_post_keeps_its_body(client: Client) -> None:
    response = client.post("/api/v3/profiles//", '{"first_name": "Ada"}', content_type="application/json")

    assert response.content.decode().endswith('{"first_name": "Ada"}')


@pytest.mark.parametrize(
    ("written", "identifier"),
    [
        ("/api/v3/identities/search-profile/a//b/", "a//b/"),
        ("/api/v3//identities///search-profile/a%2F%2Fb", "a//b"),
        ("/api/v3/identities/search-profile//a", "/a"),
        ("/api/v3/identities/search-profile/https://example.com/", "https://example.com/"),
    ],
)
def test_folding_stops_at_an_identifier(client: Client, written: str, identifier: str) -> None:
    response = client.get(written)

    assert response.content.decode().split(" ")[2] == identifier


def test_slashes_before_the_root_fold_too() -> None:
    assert fold("//id//api/v1/profiles/me") == "/id/api/v1/profiles/me"


def test_a_path_whose_identifier_is_in_the_query_loses_its_slash() -> None:
    assert fold("/api/v3/identities/search-profile/") == "/api/v3/identities/search-profile"


def test_other_paths_stay_as_they_are(client: Client) -> None:
    assert client.get("/admin/").status_code == 200
    assert client.get("/admin//").status_code == 404
    assert client.get("/apiary/").headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("written", ["/api", "/api/v3/nothing/", "/shopify/api/v1/x"])
def test_an_unknown_path_of_the_api_is_a_404_in_json(client: Client, written: str) -> None:
    for method in (client.get, client.post):
        response = method(written)

        assert (response.status_code, response.json()) == (404, {"message": "Not found."})


@pytest.mark.parametrize("charset", ["rot13", "utf-16", "undefined", "idna", "nonsense", '"x;y"'])
def test_the_charset_of_a_content_type_decodes_nothing(charset: str) -> None:
    environ = RequestFactory().generic("POST", "/api/v3/profiles?a=%C3%A9", b"{}").environ
    environ["CONTENT_TYPE"] = f"application/json; Charset={charset}"

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        return [WSGIRequest(environ).GET["a"].encode()]

    assert list(without_charset(application)(environ, None)) == ["é".encode()]  # type: ignore[arg-type]


def test_a_form_keeps_its_boundary() -> None:
    environ = {"CONTENT_TYPE": "multipart/form-data; charset=rot13; boundary=abc"}

    without_charset(lambda environ, start_response: [])(environ, None)  # type: ignore[arg-type]

    assert environ["CONTENT_TYPE"] == "multipart/form-data; boundary=abc"
