from __future__ import annotations

import datetime
from typing import Any
from urllib.parse import urlencode

import django_filters
import pytest
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.test import Client
from rest_framework import serializers
from rest_framework.response import Response

from omneo_identity.api.filters import (
    BooleanFilter,
    BracketFilterSet,
    InstantFilter,
    IntegerFilter,
    TextFilter,
    UUIDFilter,
)
from omneo_identity.api.renderers import AlwaysJSON
from omneo_identity.api.routers import paths
from omneo_identity.api.views import ApiViewSet

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]


class UserFilterSet(BracketFilterSet):
    username = TextFilter(lookup_expr="iexact")
    active = BooleanFilter("is_active")
    id = IntegerFilter()
    uuid = UUIDFilter(method="no_one")
    search = django_filters.CharFilter("username", "startswith")

    class Meta:
        model = User
        fields = {"date_joined": InstantFilter.LOOKUPS, "email": ["exact"]}

    def no_one(self, queryset: QuerySet[User], name: str, value: Any) -> QuerySet[User]:
        return queryset.none()


class UserSerializer(serializers.ModelSerializer[User]):
    class Meta:
        model = User
        fields = ["username"]


class Users(ApiViewSet):
    authentication_classes = []
    permission_classes = []
    queryset = User.objects.filter(last_name="Lee")
    serializer_class = UserSerializer
    filterset_class = UserFilterSet
    sort_fields = {"joined": "date_joined", "name": ("last_name", "first_name"), "active": "is_active"}
    default_sort = "-joined"
    includes = ("groups", "tokens")

    def list(self, request: Any) -> Response:
        users = self.filter_queryset(self.get_queryset())
        return Response({"data": [user.username for user in users], "include": sorted(self.included())})


class Bare(ApiViewSet):
    authentication_classes = []
    permission_classes = []
    queryset = User.objects.filter(last_name="Lee")
    content_negotiation_class = AlwaysJSON

    def list(self, request: Any, name: str = "") -> Response:
        return Response({"data": [user.username for user in self.filter_queryset(self.get_queryset())]})


urlpatterns = [
    *paths(Users, "users", {"api/users": {"get": "list"}}),
    *paths(Bare, "bare", {"api/bare": {"get": "list"}, "api/bare/<str:name>": {"get": "list"}}),
]


@pytest.fixture(autouse=True)
def users() -> None:
    for second, username in enumerate(["ada", "bo", "Cy"]):
        joined = datetime.datetime(2021, 1, 27, 0, 0, second, 500_000, tzinfo=datetime.UTC)
        User.objects.create(
            username=username,
            last_name="Lee",
            date_joined=joined,
            is_active=username != "bo",
            email=f"{username}@x.com",
        )


def names(client: Client, **query: Any) -> list[str]:
    response = client.get(f"/api/users?{urlencode(query)}")
    assert response.status_code == 200, response.content
    return response.json()["data"]  # type: ignore[no-any-return]


def refused(client: Client, query: str, url: str = "/api/users") -> dict[str, list[str]]:
    response = client.get(f"{url}?{query}")
    assert response.status_code == 422, response.content
    body = response.json()
    assert body["code"] in ("invalid", "required")
    assert body["message"] == next(iter(body["errors"].values()))[0]
    return body["errors"]  # type: ignore[no-any-return]


def test_filters_stand_in_brackets(client: Client) -> None:
    assert names(client, **{"filter[username]": "cy"}) == ["Cy"]
    assert names(client, **{"filter[email]": "bo@x.com", "filter[active]": "0"}) == ["bo"]
    assert names(client, **{"filter[email]": "bo@x.com", "filter[active]": "1"}) == []
    assert names(client, **{"filter[id]": str(2**62)}) == []
    assert names(client, search="a") == ["ada"]
    assert names(client) == ["Cy", "bo", "ada"]


def test_an_empty_text_filters_by_empty_text(client: Client) -> None:
    assert names(client, **{"filter[email]": ""}) == []
    assert names(client, **{"filter[email]": " bo@x.com"}) == []


@pytest.mark.parametrize(("word", "found"), [("1", 2), ("true", 2), ("0", 1), ("false", 1)])
def test_a_boolean_has_four_words(client: Client, word: str, found: int) -> None:
    assert len(names(client, **{"filter[active]": word})) == found


@pytest.mark.parametrize(
    ("lookup", "found"),
    [("", ["bo"]), ("[gt]", ["Cy"]), ("[gte]", ["Cy", "bo"]), ("[lt]", ["ada"]), ("[lte]", ["bo", "ada"])],
)
@pytest.mark.parametrize(
    "text",
    [
        "2021-01-27 00:00:01",
        "2021-01-27T00:00:01",
        "2021-01-27T00:00:01Z",
        "2021-01-27T11:00:01+11:00",
        "20210127T000001Z",
    ],
)
def test_a_time_is_compared_as_it_is_shown(client: Client, lookup: str, found: list[str], text: str) -> None:
    assert names(client, **{f"filter[date_joined]{lookup}": text}) == found


def test_a_time_may_be_finer_than_it_is_shown(client: Client) -> None:
    assert names(client, **{"filter[date_joined]": "2021-01-27T00:00:01.500000"}) == ["bo"]
    assert names(client, **{"filter[date_joined][lte]": "2021-01-27T00:00:01.4"}) == ["ada"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("filter[active]=yes", "filter[active]"),
        ("filter[active]=", "filter[active]"),
        ("filter[id]=x", "filter[id]"),
        ("filter[id]=9223372036854775808", "filter[id]"),
        ("filter[id]=" + "9" * 5000, "filter[id]"),
        ("filter[uuid]=x", "filter[uuid]"),
        ("filter[date_joined]=soon", "filter[date_joined]"),
        ("filter[date_joined]=", "filter[date_joined]"),
        ("filter[date_joined][gte]=0001-01-01T00:00:00%2B14:00", "filter[date_joined][gte]"),
        ("filter[date_joined][lte]=9999-12-31 23:59:59", "filter[date_joined][lte]"),
        ("search=", "search"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_the_filters_own_name(client: Client, query: str, field: str) -> None:
    assert list(refused(client, query)) == [field]


@pytest.mark.parametrize(
    "name",
    [
        "filter[nothing]",
        "filter",
        "filter[]",
        "filter[username",
        "filter[username][]",
        "filter[username][like]",
        "filter[date_joined][gte][lt]",
        "filter[date_joined__gte]",
        "filter[search]",
        "page",
        "page[offset]",
        "sort[joined]",
    ],
)
def test_an_unknown_parameter_is_refused_with_the_known_ones(client: Client, name: str) -> None:
    errors = refused(client, urlencode({name: "1"}))

    assert list(errors) == [name]
    assert "filter[date_joined][gte]" in errors[name][0]


def test_a_list_without_filters_knows_none(client: Client) -> None:
    assert client.get("/api/bare").json()["data"] == ["ada", "bo", "Cy"]
    for query in ("filter[username]=ada", "sort=username", "include=groups", "search=a"):
        refused(client, query, "/api/bare")


def test_a_parameter_that_is_given_twice_is_refused(client: Client) -> None:
    for name in ("filter[username]", "sort", "page[size]", "search"):
        assert list(refused(client, f"{name}=1&{name}=1")) == [name]


def test_what_is_none_of_ours_is_let_be(client: Client) -> None:
    assert len(names(client, utm_source="mail", filters="x")) == 3


@pytest.mark.parametrize("query", ["search=a%00", "filter[username]=a%0A", "a%1Fb=1", "x=%C2%85", "x=%7F"])
def test_control_characters_are_refused_in_every_parameter(client: Client, query: str) -> None:
    refused(client, query)


def test_control_characters_are_refused_in_a_path(client: Client) -> None:
    assert list(refused(client, "", "/api/bare/a%00b")) == ["name"]


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("joined", ["ada", "bo", "Cy"]),
        ("-joined", ["Cy", "bo", "ada"]),
        ("name", ["ada", "bo", "Cy"]),
        ("-name", ["Cy", "bo", "ada"]),
        ("active,-joined", ["bo", "Cy", "ada"]),
    ],
)
def test_a_list_is_sorted_by_the_words_of_its_view(client: Client, sort: str, found: list[str]) -> None:
    assert names(client, sort=sort) == found


@pytest.mark.parametrize("sort", ["", "date_joined", "--joined", "joined,", "-", "joined,nothing", "JOINED"])
def test_an_unknown_sort_is_refused_with_the_known_ones(client: Client, sort: str) -> None:
    assert "joined, name, active" in refused(client, urlencode({"sort": sort}))["sort"][0]


def test_includes_are_of_the_view(client: Client) -> None:
    assert client.get("/api/users?include=tokens,groups").json()["include"] == ["groups", "tokens"]
    assert client.get("/api/users").json()["include"] == []
    assert "groups, tokens" in refused(client, "include=groups,nothing")["include"][0]
