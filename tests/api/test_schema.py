from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.validation import validate_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from omneo_identity.api.errors import CONFLICTS, ERROR_CODES
from omneo_identity.api.fields import IdentifierField, InstantField, StrictBoolean, StrictText
from omneo_identity.api.filters import BracketFilterSet, InstantFilter, TextFilter
from omneo_identity.api.routers import paths
from omneo_identity.api.schema import DESCRIPTION, data_of
from omneo_identity.api.views import ApiViewSet


class UserFilterSet(BracketFilterSet):
    search = TextFilter("username")

    class Meta:
        model = User
        fields = {"date_joined": InstantFilter.LOOKUPS, "is_active": ["exact"]}


class UserSerializer(serializers.Serializer[Any]):
    username = StrictText(max_length=150)
    identifier = IdentifierField()
    is_active = StrictBoolean(required=False)
    date_joined = InstantField(read_only=True)


class Users(ApiViewSet):
    """Users, for the test."""

    queryset = User.objects.all()
    serializer_class = UserSerializer
    filterset_class = UserFilterSet
    sort_fields = {"joined": "date_joined"}
    default_sort = "-joined"
    includes = ("groups",)

    @extend_schema(responses=UserSerializer(many=True))
    def list(self, request: Request) -> Response:
        return Response()

    @extend_schema(responses={201: data_of(UserSerializer), 200: data_of(UserSerializer)})
    def create(self, request: Request) -> Response:
        return Response()

    @extend_schema(responses=data_of(UserSerializer, many=True))
    def everyone(self, request: Request) -> Response:
        return Response()

    @extend_schema(responses=data_of(UserSerializer))
    def update(self, request: Request, pk: str) -> Response:
        return Response()

    def destroy(self, request: Request, pk: str) -> Response:
        return Response()


ROUTES = {
    "api/v3/users": {"get": "list", "post": "create"},
    "api/v3/users/all": {"get": "everyone"},
    "api/v3/users/<str:pk>": {"put": "update", "delete": "destroy"},
}
patterns: list[URLPattern] = paths(Users, "users", ROUTES)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    result: dict[str, Any] = SchemaGenerator(patterns=patterns).get_schema(request=None, public=True)
    assert not GENERATOR_STATS
    return result


def parameters(operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in operation["parameters"]}


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    validate_schema(document)

    assert document["openapi"] == "3.1.0"


def test_the_description_lists_every_code_with_its_status(document: dict[str, Any]) -> None:
    assert document["info"]["description"] == DESCRIPTION
    for code in ERROR_CODES:
        assert f"| `{code}` | {409 if code in CONFLICTS else 422} |" in DESCRIPTION


def test_a_list_shows_its_query_as_it_is_written(document: dict[str, Any]) -> None:
    shown = parameters(document["paths"]["/api/v3/users"]["get"])

    assert set(shown) == {
        "filter[date_joined]",
        "filter[date_joined][gt]",
        "filter[date_joined][gte]",
        "filter[date_joined][lt]",
        "filter[date_joined][lte]",
        "filter[is_active]",
        "search",
        "sort",
        "include",
        "page[number]",
        "page[size]",
        "page[cursor]",
    }
    assert not any(one.get("required") for one in shown.values())
    assert shown["page[size]"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 200, "default": 15}
    assert shown["sort"]["schema"]["items"]["enum"] == ["joined", "-joined"]


def test_a_paged_list_has_the_envelope(document: dict[str, Any]) -> None:
    answer = document["paths"]["/api/v3/users"]["get"]["responses"]["200"]
    envelope = document["components"]["schemas"]["PaginatedUserList"]

    assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/PaginatedUserList"}
    assert envelope["required"] == ["data", "links", "meta"]
    assert envelope["properties"]["data"] == {"type": "array", "items": {"$ref": "#/components/schemas/User"}}


def test_one_object_and_a_plain_list_have_data_alone(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    assert schemas["UserData"]["properties"] == {"data": {"$ref": "#/components/schemas/User"}}
    assert schemas["UserListData"]["properties"]["data"]["items"] == {"$ref": "#/components/schemas/User"}
    assert schemas["UserListData"]["required"] == ["data"]


@pytest.mark.parametrize(
    ("path", "method", "statuses"),
    [
        ("/api/v3/users", "get", ["200", "400", "401", "403", "404", "422", "429"]),
        ("/api/v3/users", "post", ["200", "201", "400", "401", "403", "404", "409", "413", "422", "429"]),
        ("/api/v3/users/{id}", "put", ["200", "400", "401", "403", "404", "409", "413", "422", "429"]),
        ("/api/v3/users/{id}", "delete", ["204", "400", "401", "403", "404", "409", "413", "422", "429"]),
    ],
)
def test_every_operation_has_the_common_answers(
    document: dict[str, Any], path: str, method: str, statuses: list[str]
) -> None:
    operation = document["paths"][path][method]

    assert sorted(operation["responses"]) == statuses
    assert all("X-Request-ID" in answer["headers"] for answer in operation["responses"].values())
    assert "Retry-After" in operation["responses"]["429"]["headers"]
    assert operation["security"] == [{"Bearer": []}]


def test_a_write_takes_a_key_and_says_so_when_it_answers_again(document: dict[str, Any]) -> None:
    for path, method in (("/api/v3/users", "post"), ("/api/v3/users/{id}", "put"), ("/api/v3/users/{id}", "delete")):
        operation = document["paths"][path][method]
        key = parameters(operation)["Idempotency-Key"]

        assert (key["in"], key.get("required", False), key["schema"]["type"]) == ("header", False, "string")
        replayed = {status for status, one in operation["responses"].items() if "Idempotent-Replay" in one["headers"]}
        assert replayed == {"200", "201", "204", "403", "404", "409", "422"} & set(operation["responses"])
    assert "Idempotency-Key" not in parameters(document["paths"]["/api/v3/users"]["get"])


def test_the_token_is_a_bearer(document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"] == {"Bearer": {"type": "http", "scheme": "bearer"}}


def test_a_code_is_one_of_the_list(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    codes = {name: set(schema["enum"]) for name, schema in schemas.items() if "enum" in schema}

    assert set(ERROR_CODES) - CONFLICTS in codes.values()
    assert CONFLICTS in codes.values()


def test_shared_fields_say_what_they_take(document: dict[str, Any]) -> None:
    properties = document["components"]["schemas"]["User"]["properties"]

    assert properties["username"] == {"type": "string", "maxLength": 150}
    assert properties["identifier"] == {"oneOf": [{"type": "string"}, {"type": "integer"}]}
    assert properties["is_active"] == {"type": "boolean"}
    assert properties["date_joined"]["pattern"]


@pytest.mark.parametrize("slash", ["", "/"])
def test_health_schema_and_docs_need_no_token(client: Client, slash: str) -> None:
    headers = {"Authorization": "Bearer nonsense"}

    assert client.get(f"/api/health{slash}", headers=headers).json() == {"status": "ok"}
    assert client.get(f"/api/schema{slash}?lang=xx%0A&version=%0A", headers=headers).status_code in (200, 422)
    assert client.get(f"/api/docs{slash}", headers=headers).status_code == 200


def test_docs_load_nothing_from_elsewhere(client: Client) -> None:
    page = client.get("/api/docs").content.decode()

    assert "drf_spectacular_sidecar" in page
    assert "https://" not in page
    assert "//cdn" not in page


def test_docs_and_schema_answer_other_methods_in_json(client: Client) -> None:
    for url in ("/api/docs", "/api/schema", "/api/health"):
        for method in (client.post, client.options):
            response = method(url)

            assert (response.status_code, response.headers["Content-Type"]) == (405, "application/json")
