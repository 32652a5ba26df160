from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, SuspiciousOperation, ValidationError
from django.db import OperationalError, connection
from django.http import Http404, HttpRequest, HttpResponse
from django.test import Client
from django.urls import path, re_path
from django.utils import timezone
from django.utils.translation import gettext_lazy
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from identities.models import ApiToken, CallCount
from omneo_identity.api.auth import SCOPES, HasScope
from omneo_identity.api.errors import CONFLICTS, ERROR_CODES, page_not_found
from omneo_identity.api.routers import paths
from omneo_identity.api.views import ApiViewSet, Open
from profiles.refusing import Refused

pytestmark = pytest.mark.urls(__name__)

raised: list[Exception] = []


class Pair(serializers.Serializer[Any]):
    handle = serializers.CharField()
    identifier = serializers.CharField()


class Body(serializers.Serializer[Any]):
    identities = Pair(many=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["identities"][0]["handle"] == "shopify":
            raise ValidationError({"handle": ValidationError("Only Shopify writes shopify.", code="reserved_handle")})
        return attrs


class Failing(Open):
    def get(self, request: Request) -> Response:
        raise raised[0]

    def post(self, request: Request) -> Response:
        Body(data=request.data).is_valid(raise_exception=True)
        return Response()


class Guarded(ApiViewSet):
    scopes = {"list": "read-profiles", "create": ("update-profiles", "create-identities"), "update": ""}

    def list(self, request: Request) -> Response:
        return Response({})

    create = update = destroy = list


class Token:
    rate_limit = None

    def __init__(self, *scopes: str) -> None:
        self.scopes = scopes


class GuardedByToken(Guarded):
    authentication_classes = []

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        made = super().initialize_request(request, *args, **kwargs)
        made.user, made.auth = User(), Token(*request.headers.get("Scopes", "").split())
        return made


def forbidden(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def suspicious(request: HttpRequest) -> HttpResponse:
    raise SuspiciousOperation


ROUTES = {"get": "list", "post": "create", "put": "update", "delete": "destroy"}
urlpatterns = [
    path("api/failing", Failing.as_view()),
    *paths(Guarded, "guarded", {"api/guarded": ROUTES}),
    *paths(GuardedByToken, "token", {"api/token": ROUTES}),
    path("api/forbidden", forbidden),
    path("api/suspicious", suspicious),
    path("page/forbidden", forbidden),
    path("page/suspicious", suspicious),
    re_path(r"^api/", page_not_found),
]
handler400 = "omneo_identity.api.errors.bad_request"
handler403 = "omneo_identity.api.errors.permission_denied"
handler404 = "omneo_identity.api.errors.page_not_found"
handler500 = "omneo_identity.api.errors.server_error"


@pytest.fixture
def fail(client: Client) -> Callable[[Exception], Any]:
    client.raise_request_exception = False

    def get(error: Exception) -> Any:
        raised[:] = [error]
        return client.get("/api/failing")

    return get


def test_a_refusal_is_a_422_with_its_code_and_details(fail: Callable[[Exception], Any]) -> None:
    response = fail(Refused("identity_taken", "Another profile has it.", field="identifier", profile_id="b1d6"))

    assert response.status_code == 422
    assert response.json() == {
        "message": "Another profile has it.",
        "errors": {"identifier": ["Another profile has it."]},
        "code": "identity_taken",
        "profile_id": "b1d6",
    }


def test_a_refusal_of_no_field_is_reported_of_the_body(fail: Callable[[Exception], Any]) -> None:
    response = fail(Refused("profile_required", str(gettext_lazy("No profile is named."))))

    assert response.json()["errors"] == {"body": ["No profile is named."]}


@pytest.mark.parametrize("code", sorted(CONFLICTS))
def test_a_conflict_is_a_409(fail: Callable[[Exception], Any], code: str) -> None:
    response = fail(Refused(code, "Not now.", survivor_id="b1d6"))

    assert response.status_code == 409
    assert response.json() == {"message": "Not now.", "code": code, "survivor_id": "b1d6"}


def test_every_conflict_has_its_sentence() -> None:
    assert set(ERROR_CODES) >= CONFLICTS


@pytest.mark.parametrize(
    ("error", "errors", "code"),
    [
        (ValidationError("Too odd.", code="blocked_identifier"), {"body": ["Too odd."]}, "blocked_identifier"),
        (ValidationError("Too odd.", code="of_no_list"), {"body": ["Too odd."]}, "invalid"),
        (ValidationError("No %(what)s.", params={"what": "way"}), {"body": ["No way."]}, "invalid"),
        (
            ValidationError(
                {
                    "handle": ValidationError("Retired.", code="retired_handle"),
                    "identifier": [ValidationError("Empty."), ValidationError("Bad.")],
                }
            ),
            {"handle": ["Retired."], "identifier": ["Empty.", "Bad."]},
            "retired_handle",
        ),
        (exceptions.ValidationError("Odd."), {"body": ["Odd."]}, "invalid"),
        (exceptions.ValidationError({"a": {"b": ["Odd."]}}), {"a.b": ["Odd."]}, "invalid"),
        (exceptions.ValidationError({"a": [{}, {"b": ["Odd."]}]}), {"a.1.b": ["Odd."]}, "invalid"),
        (exceptions.ValidationError({"non_field_errors": ["Odd."]}, "required"), {"body": ["Odd."]}, "required"),
        (exceptions.ValidationError({}), {}, "invalid"),
    ],
)
def test_a_validation_error_is_a_422(
    fail: Callable[[Exception], Any], error: Exception, errors: dict[str, list[str]], code: str
) -> None:
    response = fail(error)

    assert response.status_code == 422
    assert (response.json()["errors"], response.json()["code"]) == (errors, code)
    assert response.json()["message"] == next(
        (sentences[0] for sentences in errors.values()), "The input is not valid."
    )


def test_nested_fields_have_dots(client: Client) -> None:
    body = {"identities": [{"handle": "pos", "identifier": "1"}, {"handle": "pos"}]}

    response = client.post("/api/failing", body, content_type="application/json")

    assert response.json() == {
        "message": "This field is required.",
        "errors": {"identities.1.identifier": ["This field is required."]},
        "code": "required",
    }


def test_a_models_code_survives_the_serializer(client: Client) -> None:
    body = {"identities": [{"handle": "shopify", "identifier": "1"}]}

    response = client.post("/api/failing", body, content_type="application/json")

    assert response.json()["code"] == "reserved_handle"


@pytest.mark.parametrize(
    ("error", "status", "body", "headers"),
    [
        (exceptions.NotAuthenticated(), 401, {"message": "Unauthenticated."}, {"WWW-Authenticate": "Bearer"}),
        (exceptions.AuthenticationFailed(), 401, {"message": "Unauthenticated."}, {"WWW-Authenticate": "Bearer"}),
        (exceptions.PermissionDenied("Not you."), 403, {"message": "Not you."}, {}),
        (PermissionDenied(), 403, {"message": "This action is not allowed."}, {}),
        (Http404("No Profile matches."), 404, {"message": "Not found."}, {}),
        (ObjectDoesNotExist(), 404, {"message": "Not found."}, {}),
        (exceptions.MethodNotAllowed("GET"), 405, {"message": 'Method "GET" not allowed.'}, {}),
        (exceptions.Throttled(7.2), 429, {"message": "Too many requests."}, {"Retry-After": "8"}),
        (exceptions.Throttled(), 429, {"message": "Too many requests."}, {"Retry-After": "1"}),
        (SuspiciousOperation(), 400, {"message": "Bad request."}, {}),
        (
            OperationalError(psycopg.errors.QueryCanceled()),
            503,
            {"message": "The database is busy. Please try again."},
            {"Retry-After": "2"},
        ),
        (RuntimeError("A fault of ours."), 500, {"message": "Server error."}, {}),
    ],
)
def test_every_other_error_has_its_status_and_a_message(
    fail: Callable[[Exception], Any], error: Exception, status: int, body: dict[str, str], headers: dict[str, str]
) -> None:
    response = fail(error)

    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/json"
    assert response.json() == body
    assert headers.items() <= dict(response.headers).items()


def test_no_token_is_a_401(client: Client) -> None:
    for method in (client.get, client.post, client.put, client.delete, client.patch, client.options):
        response = method("/api/guarded")

        assert (response.status_code, response.json()) == (401, {"message": "Unauthenticated."})
        assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["", "Bearer", "Basic eDp5", "Bearer ä", "omneo_1_2", "Bearer a\0b"])
def test_a_malformed_token_is_a_401(client: Client, header: str) -> None:
    response = client.get("/api/guarded", headers={"Authorization": header})

    assert response.status_code == 401


@pytest.mark.parametrize(
    ("method", "scopes", "status"),
    [
        ("GET", "read-profiles", 200),
        ("HEAD", "read-profiles", 200),
        ("GET", "update-profiles", 403),
        ("GET", "", 403),
        ("POST", "update-profiles", 200),
        ("POST", "create-identities", 200),
        ("POST", "read-profiles", 403),
        ("PUT", "", 200),
        ("DELETE", " ".join(SCOPES), 403),
        ("PATCH", " ".join(SCOPES), 405),
        ("OPTIONS", " ".join(SCOPES), 405),
        ("TRACE", " ".join(SCOPES), 405),
    ],
)
def test_an_action_asks_for_one_of_its_scopes(client: Client, method: str, scopes: str, status: int) -> None:
    response = client.generic(method, "/api/token", headers={"Scopes": scopes})

    assert response.status_code == status


def test_a_403_names_the_scopes(client: Client) -> None:
    response = client.post("/api/token")

    assert response.json() == {"message": "The token lacks the scope update-profiles or create-identities."}


def test_a_405_names_the_methods(client: Client) -> None:
    response = client.patch("/api/token")

    assert response.headers["Allow"] == "GET, HEAD, POST, PUT, DELETE"
    assert response.json() == {"message": 'Method "PATCH" not allowed.'}


@pytest.mark.parametrize(("name", "status"), [("forbidden", 403), ("suspicious", 400)])
def test_what_happens_outside_of_a_view_is_json_under_the_api_only(client: Client, name: str, status: int) -> None:
    api, page = client.get(f"/api/{name}"), client.get(f"/page/{name}")

    assert (api.status_code, page.status_code) == (status, status)
    assert api.headers["Content-Type"] == "application/json"
    assert page.headers["Content-Type"].startswith("text/html")


def test_a_host_that_is_not_allowed_is_a_400_in_json(client: Client) -> None:
    response = client.get("/api/guarded", headers={"Host": "evil.example.com"})

    assert (response.status_code, response.json()) == (400, {"message": "Bad request."})


def test_one_parameter_too_many_is_a_400(client: Client) -> None:
    response = client.get(
        "/api/token?" + "a=1&" * (settings.DATA_UPLOAD_MAX_NUMBER_FIELDS + 1), headers={"Scopes": "read-profiles"}
    )

    assert (response.status_code, response.json()) == (400, {"message": "Bad request."})


def test_a_view_that_names_no_scopes_is_closed() -> None:
    assert "" not in ApiViewSet.scopes
    assert ApiViewSet.permission_classes == [HasScope]


@pytest.mark.django_db(transaction=True)
def test_a_rate_limit_holds_over_all_threads(client: Client) -> None:
    token, plain = ApiToken.issue(user=User.objects.create(username="till"), name="Till", scopes=["read-profiles"])
    ApiToken.objects.update(rate_limit=20)
    headers = {"Authorization": f"Bearer {plain}"}

    def call(_number: int) -> tuple[int, int]:
        response = Client().get("/api/guarded", headers=headers)
        connection.close()
        return response.status_code, int(response.headers.get("Retry-After", 1))

    with ThreadPoolExecutor(5) as threads:
        answers = list(threads.map(call, range(50)))

    assert Counter(status for status, _seconds in answers) == {200: 20, 429: 30}
    assert all(1 <= seconds <= 60 for _status, seconds in answers)

    CallCount.objects.update(window_started_at=timezone.now() - datetime.timedelta(seconds=61))

    assert client.get("/api/guarded", headers=headers).status_code == 200
