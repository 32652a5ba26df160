"""`page[cursor]` on every paged list (API.md 1): each row once, in constant time per page."""

from __future__ import annotations

import base64
import datetime
import json
import random
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import orjson
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from identities import matching
from identities.models import RoutingLogEntry
from omneo_identity.api.routers import paths
from omneo_identity.api.views import ApiViewSet, document
from profiles.models import (
    Audit,
    Interaction,
    Merge,
    Point,
    Profile,
    Reaction,
    Reward,
    Transaction,
)
from tests import plans
from tests.api.conftest import CARD, OTHER_ROOTS, refused, rows, statements

pytestmark = pytest.mark.django_db


def paged() -> Iterator[tuple[str, str]]:
    """Every paged list of the API in every order that it offers, as the description has them."""
    for path, item in json.loads(orjson.dumps(document()))["paths"].items():
        content = item.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
        if reference.startswith("#/components/schemas/Paginated"):
            offered = {one["name"]: one["schema"] for one in item["get"]["parameters"]}
            yield path.removeprefix("/api/v3"), ""
            for word in offered.get("sort", {"items": {"enum": []}})["items"]["enum"]:
                yield path.removeprefix("/api/v3"), word


# What a list must be asked for, besides.
ASKED = {
    "/profiles/attributes/custom": {
        "attributes[0][namespace]": "club",
        "attributes[0][handle]": "tier",
        "attributes[0][value][in]": "gold",
    },
}

# Lists that no index walks from the cursor on: as small as the number of systems, or of campaigns, that a retailer has;
# the actions of a reaction, of which there are 50 at most; and what is found by a value, where the index of values is
# gone through up to the cursor.
NOT_BY_INDEX = {
    *("/handles", "/rewards/definitions", "/profiles/attributes/custom"),
    *("/webhooks", "/triggers", "/triggers/{trigger_id}/actions"),
}

LISTS = list(paged())
PATHS = list(dict.fromkeys(path for path, _sort in LISTS))


class Users(ApiViewSet):
    """A list with what no list of the product has: a column that may be empty, and sorts of several columns."""

    authentication_classes = []
    permission_classes = []
    queryset = User.objects.filter(last_name="Lee")
    sort_fields = {"seen": "last_login", "name": "first_name", "staff": ("is_staff", "first_name"), "id": "id"}

    def list(self, request: Request) -> Response:
        users = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response([user.pk for user in users or []])


urlpatterns = [*paths(Users, "users", {"api/v3/users": {"get": "list"}})]


def placed(api: Any, ada: Any, path: str) -> str:
    """A list of Ada's, also as she sees it herself, or of the actions of the reaction that has many."""
    if path.startswith(OTHER_ROOTS):
        api.customer = api.customer or api.issue(ada["id"])
    reaction = Reaction.objects.order_by("pk").first()
    return path.replace("{profile_id}", ada["id"]).replace("{trigger_id}", str(reaction.pk if reaction else 0))


def page(api: Any, path: str, cursor: str | None = "", **query: Any) -> Any:
    """One page; by cursor unless that is None."""
    asked = {"page[size]": 7, **({} if cursor is None else {"page[cursor]": cursor}), **ASKED.get(path, {}), **query}
    response = api.get(path, {name: value for name, value in asked.items() if value != "" or name == "page[cursor]"})
    assert response.status_code == 200, response.content
    return response.json()


def walked(api: Any, path: str, **query: Any) -> list[Any]:
    found: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        assert len(found) < 500, "The walk does not end."
        answer = page(api, path, cursor, **query)
        assert len(answer["data"]) == query.get("page[size]", 7) or answer["meta"]["next_cursor"] is None
        found += answer["data"]
        cursor = answer["meta"]["next_cursor"]
    return found


def made(told: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(told)).rstrip(b"=").decode()


def read(cursor: str) -> Any:
    return orjson.loads(base64.urlsafe_b64decode(cursor + "=="))


# Every list


def test_the_lists_of_the_product_are_found() -> None:
    assert {"/profiles", "/identities", "/handles", "/routing-log", "/audits"} <= set(PATHS)
    assert ("/identities", "-updated_at") in LISTS


def test_the_last_page_has_no_next(api, ada) -> None:
    answer = page(api, "/profiles")

    assert len(answer["data"]) == 1
    assert answer["meta"]["next_cursor"] is answer["links"]["next"] is None


def test_a_list_of_nothing_is_walked_in_one_page(api) -> None:
    answer = page(api, "/profiles")

    assert (answer["data"], answer["meta"]["next_cursor"]) == ([], None)


@pytest.mark.parametrize("path", PATHS)
def test_a_page_by_cursor_costs_what_a_numbered_one_does_but_the_count_however_many_rows_and_wherever_it_begins(
    api, ada, operator, django_assert_num_queries, path
) -> None:
    rows(api, ada, operator, 60)
    path = placed(api, ada, path)
    cursor: str | None = ""
    with CaptureQueriesContext(connection) as numbered:
        page(api, path, None)

    for size in (1, 1, 50):
        with django_assert_num_queries(len(numbered) - 1) as captured:
            answer = page(api, path, cursor, **{"page[size]": size})
        assert not any("COUNT(" in query["sql"] and "LIMIT" in query["sql"] for query in captured)
        assert len(answer["data"]) == size
        cursor = answer["meta"]["next_cursor"]


# What is no cursor


NO_TIME = ["profiles.profile", "created_at,id"]
KEY = "0198f3a0-0000-7000-8000-000000000000"

WRONG = {
    "no base64": "*",
    "cut": "W",
    "no ascii": "é",
    "no JSON": base64.urlsafe_b64encode(b"{").decode(),
    "no UTF-8": base64.urlsafe_b64encode(b'["\xff"]').decode(),
    "a lone surrogate": base64.urlsafe_b64encode(b'["profiles.profile","created_at,id",["\\ud800","x"]]').decode(),
    "too deep": base64.urlsafe_b64encode(b"[" * 3_000 + b"]" * 3_000).decode(),
    "no list": made({}),
    "nothing": made([]),
    "of another list": made(["identities.identity", "created_at,id", ["2021-01-27T00:00:00+00:00", "5"]]),
    "of another order": made(["profiles.profile", "-created_at,-id", ["2021-01-27T00:00:00+00:00", KEY]]),
    "without values": made(NO_TIME),
    "values that are none": made([*NO_TIME, 5]),
    "too few values": made([*NO_TIME, ["2021-01-27T00:00:00+00:00"]]),
    "too many values": made([*NO_TIME, ["2021-01-27T00:00:00+00:00", KEY, KEY]]),
    "null": made([*NO_TIME, [None, KEY]]),
    "a number": made([*NO_TIME, [5, KEY]]),
    "no time": made([*NO_TIME, ["yesterday", KEY]]),
    "a time without its zone": made([*NO_TIME, ["2021-01-27T00:00:00", KEY]]),
    "a time out of the calendar": made([*NO_TIME, ["0001-01-01T00:00:00+14:00", KEY]]),
    "no key": made([*NO_TIME, ["2021-01-27T00:00:00+00:00", "5"]]),
    "a NUL": made([*NO_TIME, ["2021-01-27T00:00:00+00:00", "\0"]]),
}


@pytest.mark.parametrize("cursor", WRONG.values(), ids=WRONG.keys())
def test_what_is_no_cursor_of_the_list_is_a_422(api, ada, cursor) -> None:
    response = api.get("/profiles", {"page[cursor]": cursor, "sort": "created_at"})

    refused(response, "invalid", "page[cursor]")


def test_what_looks_like_them_is_a_cursor(api, ada) -> None:
    cursor = made([*NO_TIME, ["2021-01-27T00:00:00+00:00", KEY]])

    assert [one["id"] for one in page(api, "/profiles", cursor, sort="created_at")["data"]] == [ada["id"]]


@pytest.mark.parametrize("value", ["5 ", "٥", "5.0", "1e3", "-1", "+5", "05", str(2**63), "9" * 5_000, "", "a"])
def test_a_key_that_no_row_could_have_is_a_422_or_finds_nothing(api, ada, value) -> None:
    response = api.get("/audits", {"page[cursor]": made(["profiles.audit", "-id", [value]])})

    assert response.status_code == (200 if value == "-1" else 422), response.content


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("value", ["\0", "x" * 151])
def test_a_name_that_no_row_could_have_is_a_422(api, value) -> None:
    cursor = made(["auth.user", "first_name,id", [value, "5"]])

    refused(api.get("/users", {"page[cursor]": cursor, "sort": "name,id"}), "invalid", "page[cursor]")


def test_a_cursor_and_a_number_together_are_a_422(api, ada) -> None:
    for cursor in ("", page(api, "/profiles", None)["meta"]["next_cursor"] or ""):
        response = api.get("/profiles", {"page[cursor]": cursor, "page[number]": 1})

        refused(response, "invalid", "page[cursor]")


def test_two_cursors_are_a_422(api) -> None:
    refused(api.get("/profiles?page[cursor]=&page[cursor]="), "invalid", "page[cursor]")


# Searches, orders of several columns, and columns that may be empty


def test_a_walk_through_a_search_finds_more_than_a_page_by_number_can(api, monkeypatch) -> None:
    monkeypatch.setattr(matching, "MOST_FOUND", 10)
    Profile.objects.bulk_create(Profile(first_name_fold="ada", last_name_fold=str(number)) for number in range(30))
    api.profile(first_name="Bo", identities=[{"handle": CARD, "identifier": "ada"}])
    by_number = page(api, "/profiles", None, **{"page[size]": 200, "search": "ada"})
    assert (len(by_number["data"]), by_number["meta"]["total_is_estimate"]) == (11, True)

    found = walked(api, "/profiles", search="ada")

    assert [one["id"] for one in found] == [str(one.pk) for one in Profile.objects.order_by("pk")]


@pytest.mark.urls(__name__)
@pytest.mark.parametrize(
    "sort",
    [
        *("", "seen", "-seen", "id", "-id", "staff", "-staff"),
        *(
            "seen,name",
            "-seen,name",
            "seen,-name",
            "-seen,-name",
            "name,seen",
            "-name,seen",
            "name,-seen",
            "-name,-seen",
        ),
        *("staff,-seen", "-staff,seen", "name,-id", "-name,id", "-id,name", "seen,-id", "-seen,id"),
    ],
)
def test_orders_of_several_columns_in_any_direction_are_walked(api, sort) -> None:
    chance = random.Random(7)  # noqa: S311 - the same each time
    times = [None, *(timezone.now() - datetime.timedelta(days=day) for day in range(3))]
    for number in range(40):
        User.objects.create(
            username=f"user {number}",
            last_name="Lee",
            first_name=chance.choice("abc"),
            is_staff=chance.random() < 0.5,
            last_login=chance.choice(times),
        )
    by_number = page(api, "/users", None, **{"page[size]": 200, "sort": sort})["data"]

    for size in (1, 7):
        assert walked(api, "/users", sort=sort, **{"page[size]": size}) == by_number


# By the index


@pytest.fixture
def big(api, ada, operator, twenty_thousand) -> set[str]:
    """20,000 rows of every list that may be long, the records all of one profile.

    Most have the same times, so that an index is of use only where it is asked for all columns together.
    """
    rows(api, ada, operator, 1)
    with connection.cursor() as cursor:
        for model in (Audit, Interaction, Merge, Point, Reward, RoutingLogEntry, Transaction):
            table = model._meta.db_table
            cursor.execute(
                f"""
                INSERT INTO {table} SELECT made.* FROM {table} AS one, generate_series(1, 20000) AS number,
                LATERAL jsonb_populate_record(one, jsonb_build_object(
                    'id', nextval(pg_get_serial_sequence('{table}', 'id')), 'fingerprint', 'made' || number
                )) AS made
                WHERE one.id = (SELECT max(id) FROM {table})
                """
            )
            cursor.execute(f"ANALYZE {table}")
        cursor.execute(
            """
            INSERT INTO profiles_duplicatepair (
                first_id, second_id, low_id, high_id, evidence, score, status, note, created_at, updated_at
            )
            SELECT id, next, id, next, '{}', 0.5, 'open', '', created_at, created_at FROM (
                SELECT id, created_at, lead(id) OVER (ORDER BY id) AS next FROM profiles_profile
                WHERE profile_type <> 'deleted' AND merged_into_id IS NULL
            ) AS one WHERE next IS NOT NULL ON CONFLICT DO NOTHING
            """
        )
        cursor.execute("ANALYZE profiles_duplicatepair")
    return plans.big_tables()


def nodes(plan: Any) -> Iterator[Any]:
    yield plan
    for beneath in plan.get("Plans", []):
        yield from nodes(beneath)


@pytest.mark.slow
def test_a_page_by_cursor_walks_the_index_from_there(api, ada, big) -> None:
    for path, sort in LISTS:
        if path in NOT_BY_INDEX:
            continue
        path = placed(api, ada, path)
        far = page(api, path, None, **{"page[size]": 200, "page[number]": 90, "sort": sort})
        cursor = far["meta"]["next_cursor"]
        assert cursor is not None, f"Make many rows for {path}."

        (keys,) = of_page(statements(partial(page, api, path, cursor, sort=sort)))

        assert not re.search(r"OFFSET (?!0\b)", keys), "OFFSET 0 only keeps a probe from becoming a join."
        assert "COUNT(" not in keys
        plan = plans.Plan(keys, big)
        assert plan.faults == [], (path, sort, keys)
        bounds = [one.get("Index Cond", "") for one in nodes(plan.plan["Plan"])]
        last = read(cursor)[-1][-1]
        assert any(last in bound for bound in bounds), (path, sort, bounds)


@pytest.mark.slow
def test_columns_in_several_directions_begin_at_the_first_ones_place_in_the_index(api, big) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE profiles_audit SET created_at = created_at + id * interval '1 ms'")
        cursor.execute("ANALYZE profiles_audit")
    for sort, bound in (("created_at,-id", "created_at >= "), ("-created_at,id", "created_at <= ")):
        far = page(api, "/audits", None, **{"page[size]": 200, "page[number]": 90, "sort": sort})

        (keys,) = of_page(statements(partial(page, api, "/audits", far["meta"]["next_cursor"], sort=sort)))

        plan = plans.Plan(keys, big)
        assert plan.faults == [], keys
        assert any(bound in one.get("Index Cond", "") for one in nodes(plan.plan["Plan"])), sort


def of_page(found: list[str]) -> list[str]:
    """The statements that read a page of seven, and one row more: of rows, or of the keys of what is then read."""
    return [sql for sql in found if sql.endswith(" LIMIT 8")]
