from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils.translation import gettext_lazy
from pytest_django import DjangoAssertNumQueries
from rest_framework.request import Request
from rest_framework.response import Response

from omneo_identity.api import pagination
from omneo_identity.api.renderers import ORJSONRenderer, dumps
from omneo_identity.api.routers import Router
from omneo_identity.api.views import ApiViewSet, one

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]

BASE = "http://testserver/api/users"


class Users(ApiViewSet):
    """A list that pages over keys, and renders the page by JSON that is text already."""

    authentication_classes = []
    permission_classes = []
    queryset = User.objects.filter(last_name="Lee")

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()).values_list("pk", flat=True)) or []
        users = User.objects.in_bulk(page)
        return self.get_paginated_response([orjson.Fragment(f'"{users[key].username}"') for key in page])

    def retrieve(self, request: Request, pk: str) -> Response:
        return one({"username": self.get_object().username}, routing={"outcome": "matched"})

    def destroy(self, request: Request, pk: str) -> Response:
        return Response(status=204)


router = Router()
router.register("api/users", Users)
urlpatterns = router.urls


def make(count: int) -> None:
    User.objects.bulk_create(User(username=f"user {number}", last_name="Lee") for number in range(1, count + 1))


def get(client: Client, query: str = "") -> dict[str, Any]:
    response = client.get(f"/api/users?{query}")
    assert response.status_code == 200, response.content
    return response.json()  # type: ignore[no-any-return]


def labels(body: dict[str, Any]) -> str:
    return " ".join(link["label"] for link in body["meta"]["links"][1:-1])


def test_a_page_has_the_envelope_of_laravel(client: Client) -> None:
    make(40)

    body = get(client, "page[number]=2")

    assert body["data"] == [f"user {number}" for number in range(16, 31)]
    first, second, third = (f"{BASE}?page%5Bnumber%5D={number}" for number in (1, 2, 3))
    assert body["links"] == {"first": first, "last": third, "prev": first, "next": third}
    assert body["meta"].pop("next_cursor")
    assert body["meta"] == {
        "current_page": 2,
        "from": 16,
        "last_page": 3,
        "links": [
            {"url": first, "label": "&laquo; Previous", "active": False},
            {"url": first, "label": "1", "active": False},
            {"url": second, "label": "2", "active": True},
            {"url": third, "label": "3", "active": False},
            {"url": third, "label": "Next &raquo;", "active": False},
        ],
        "path": BASE,
        "per_page": 15,
        "to": 30,
        "total": 40,
    }


def test_an_empty_list_has_one_empty_page(client: Client) -> None:
    body = get(client)

    assert body["data"] == []
    assert body["links"] == {
        "first": f"{BASE}?page%5Bnumber%5D=1",
        "last": f"{BASE}?page%5Bnumber%5D=1",
        "prev": None,
        "next": None,
    }
    assert body["meta"]["next_cursor"] is None
    assert (body["meta"]["from"], body["meta"]["to"], body["meta"]["last_page"], body["meta"]["total"]) == (
        None,
        None,
        1,
        0,
    )


def test_past_the_end_is_an_empty_page(client: Client) -> None:
    make(3)

    for number in (2, 10**9):
        body = get(client, f"page[number]={number}&page[size]=200")

        assert body["data"] == []
        assert body["meta"]["current_page"] == number
        assert body["meta"]["from"] is body["meta"]["to"] is body["links"]["next"] is None
        assert body["meta"]["next_cursor"] is None
        assert body["meta"]["total"] == 3


def test_links_keep_the_rest_of_the_query(client: Client) -> None:
    make(3)

    body = get(client, "page[number]=2&page[size]=1&utm=a%26b%20c")

    assert parse_qs(urlsplit(body["links"]["next"]).query) == {
        "page[size]": ["1"],
        "utm": ["a&b c"],
        "page[number]": ["3"],
    }


@pytest.mark.parametrize("name", ["number", "size"])
@pytest.mark.parametrize("value", ["0", "-1", "", "x", "1.5", "1e3", " 1", "١", str(10**21), "1" * 5000, "1_0", "+1"])
def test_a_page_that_cannot_be_is_a_422(client: Client, name: str, value: str) -> None:
    response = client.get("/api/users", {f"page[{name}]": value})

    assert response.status_code == 422
    assert list(response.json()["errors"]) == [f"page[{name}]"]


@pytest.mark.parametrize(("query", "status"), [("size]=200", 200), ("size]=201", 422), ("number]=1000000001", 422)])
def test_pages_have_limits(client: Client, query: str, status: int) -> None:
    assert client.get(f"/api/users?page[{query}").status_code == status


@pytest.mark.parametrize(
    ("count", "current", "shown"),
    [
        (13, 1, "1 2 3 4 5 6 7 8 9 10 11 12 13"),
        (14, 1, "1 2 3 4 5 6 7 8 9 10 ... 13 14"),
        (20, 7, "1 2 3 4 5 6 7 8 9 10 ... 19 20"),
        (20, 8, "1 2 ... 5 6 7 8 9 10 11 ... 19 20"),
        (20, 13, "1 2 ... 10 11 12 13 14 15 16 ... 19 20"),
        (20, 14, "1 2 ... 11 12 13 14 15 16 17 18 19 20"),
        (20, 20, "1 2 ... 11 12 13 14 15 16 17 18 19 20"),
        (20, 99, "1 2 ... 11 12 13 14 15 16 17 18 19 20"),
    ],
)
def test_page_links_are_windowed_as_in_laravel(client: Client, count: int, current: int, shown: str) -> None:
    make(count)

    assert labels(get(client, f"page[size]=1&page[number]={current}")) == shown


def test_a_page_costs_as_many_queries_as_any_other(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make(50)

    for size in (1, 50):
        with django_assert_num_queries(3):  # The bounded count, the keys, the rows.
            get(client, f"page[size]={size}")


def test_past_the_counted_rows_the_total_is_an_estimate(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagination, "COUNTED", 10)
    make(11)

    meta = get(client, "page[size]=5")["meta"]

    assert meta["total"] >= 11
    assert meta["total_is_estimate"] is True


def test_up_to_the_counted_rows_the_total_is_exact(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagination, "COUNTED", 10)
    make(10)

    meta = get(client, "page[size]=5")["meta"]

    assert meta["total"] == 10
    assert "total_is_estimate" not in meta


def test_a_wrong_estimate_never_ends_a_walk_early(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagination, "COUNTED", 10)
    make(100)
    walked: list[str] = []
    url: str | None = f"{BASE}?page[size]=9"

    while url:
        body = client.get(url).json()
        walked += body["data"]
        url = body["links"]["next"]

    assert len(walked) == 100
    assert body["meta"]["total"] == 100
    assert "total_is_estimate" not in body["meta"]


def test_an_estimate_that_is_too_high_points_to_no_page_past_the_end(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pagination, "COUNTED", 10)
    make(100)

    body = get(client, "page[size]=10&page[number]=11")

    assert body["data"] == []
    assert body["links"]["next"] is None


def test_one_object_is_in_data_with_what_goes_beside_it(client: Client) -> None:
    make(1)
    user = User.objects.get(last_name="Lee")

    assert client.get(f"/api/users/{user.pk}/").json() == {
        "data": {"username": "user 1"},
        "routing": {"outcome": "matched"},
    }


@pytest.mark.parametrize("key", ["0", "x", "1.5", str(10**30), "9" * 5000, "%F0%9F%98%80"])
def test_a_key_that_no_row_can_have_is_a_404(client: Client, key: str) -> None:
    assert client.get(f"/api/users/{key}").status_code == 404


def test_204_has_no_body(client: Client) -> None:
    response = client.delete("/api/users/1")

    assert (response.status_code, response.content) == (204, b"")
    assert "Content-Type" not in response.headers


def test_what_goes_over_the_wire_has_one_form_each() -> None:
    moment = datetime.datetime(2021, 1, 27, 11, 0, 0, 999_999, tzinfo=datetime.timezone(datetime.timedelta(hours=11)))
    key = uuid.UUID(int=1)

    rendered = dumps(
        {
            "moment": moment,
            "day": datetime.date(2021, 1, 27),
            "price": Decimal("10.10"),
            "key": key,
            "label": gettext_lazy("name"),
            "text": orjson.Fragment('{"a": 1}'),
        }
    )

    assert rendered == (
        b'{"moment":"2021-01-27 00:00:00","day":"2021-01-27","price":10.10,"key":"%s","label":"name","text":{"a": 1}}'
        % str(key).encode()
    )


def test_integers_of_any_size_are_exact_beside_fragments() -> None:
    assert dumps({"a": [10**30], "b": orjson.Fragment("{}"), "c": -(2**63) - 1}) == (
        b'{"a":[%d],"b":{},"c":%d}' % (10**30, -(2**63) - 1)
    )


def test_nothing_renders_as_no_body() -> None:
    assert ORJSONRenderer().render(None) == b""
