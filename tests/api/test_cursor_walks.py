"""Walks by `page[cursor]` through many rows of every paged list (API.md 1), which are made once for all tests here."""

from __future__ import annotations

import base64
import datetime
import random
import uuid
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.db.models import DateTimeField
from django.utils import timezone

from identities.models import ApiToken, Handle, Identity, RoutingLogEntry
from omneo_identity.api.auth import SCOPES
from profiles.models import (
    Audit,
    DuplicatePair,
    Interaction,
    Merge,
    Point,
    Profile,
    Reward,
    RewardDefinition,
    Transaction,
)
from tests.api.conftest import OTHER_ROOTS, Caller, meet_ada, refused, rows
from tests.api.test_cursors import ASKED, LISTS, PATHS, page, placed, walked

pytestmark = pytest.mark.django_db

LISTED = (
    Audit,
    DuplicatePair,
    Handle,
    Identity,
    Interaction,
    Merge,
    Point,
    Profile,
    Reward,
    RewardDefinition,
    RoutingLogEntry,
    Transaction,
)


@pytest.fixture(scope="module")
def settled(kept: None) -> tuple[str, dict[str, Any]]:
    """Some thirty rows of everything, half of them made and changed at the same moments: a token, and Ada."""
    operator = User.objects.create_user("operator", is_staff=True)
    _token, plain = ApiToken.issue(user=operator, name="Token of staff", scopes=SCOPES)
    api = Caller(plain)
    ada = meet_ada(api)
    rows(api, ada, operator, 30)
    now = timezone.now()
    for model in LISTED:
        times = [field.name for field in model._meta.fields if isinstance(field, DateTimeField) and not field.null]
        half = list(model._default_manager.order_by("pk").values_list("pk", flat=True))[::2]
        model._default_manager.filter(pk__in=half).update(**dict.fromkeys(times, now))
    return plain, ada


@pytest.fixture
def many(settled: tuple[str, dict[str, Any]]) -> tuple[Caller, dict[str, Any]]:
    """A caller of this test's own, whom a test may give a customer's token; and Ada."""
    plain, ada = settled
    return Caller(plain), ada


@pytest.mark.parametrize(("path", "sort"), LISTS)
def test_a_walk_by_cursor_meets_each_row_once_in_the_order_of_the_pages(many, path, sort) -> None:
    api, ada = many
    path = placed(api, ada, path)
    by_number = page(api, path, None, **{"page[size]": 200, "sort": sort})
    assert 15 < by_number["meta"]["total"] <= 200, "Make some rows for this list in `rows`."

    assert walked(api, path, sort=sort) == by_number["data"]


@pytest.mark.parametrize("path", PATHS)
def test_a_walk_goes_on_from_any_page(many, path) -> None:
    api, ada = many
    path = placed(api, ada, path)
    second, third = (page(api, path, None, **{"page[number]": number}) for number in (2, 3))

    assert page(api, path, second["meta"]["next_cursor"])["data"] == third["data"]


@pytest.mark.parametrize("path", PATHS)
def test_a_page_by_cursor_counts_nothing(many, path) -> None:
    api, ada = many
    path = placed(api, ada, path)

    answer = page(api, path)

    cursor, meta = answer["meta"]["next_cursor"], answer["meta"]
    assert {**meta, "next_cursor": None} == {
        "current_page": None,
        "from": None,
        "last_page": None,
        "links": [],
        "next_cursor": None,
        "path": f"http://testserver{'' if path.startswith(OTHER_ROOTS) else '/api/v3'}{path}",
        "per_page": 7,
        "to": None,
        "total": None,
    }
    rest = {"page[size]": ["7"], **{name: [value] for name, value in ASKED.get(path, {}).items()}}
    links = {
        name: url and parse_qs(urlsplit(url).query, keep_blank_values=True) for name, url in answer["links"].items()
    }
    assert links == {
        "first": {**rest, "page[cursor]": [""]},
        "last": None,
        "prev": None,
        "next": {**rest, "page[cursor]": [cursor]},
    }
    following = urlsplit(answer["links"]["next"])
    following_path = f"{following.path.removeprefix('/api/v3')}?{following.query}"
    assert page(api, path, cursor)["data"] == api.get(following_path).json()["data"]


# While others write


@pytest.mark.parametrize("sort", ["", "id", "-id", "created_at", "-created_at"])
def test_rows_that_come_and_go_neither_repeat_nor_hide_others(many, sort) -> None:
    api, ada = many
    chance = random.Random(7)  # noqa: S311 - the same each time
    before = {row["id"] for row in walked(api, "/identities", sort=sort)}
    gone: set[int] = set()
    found: list[int] = []
    cursor: str | None = ""

    while cursor is not None:
        answer = page(api, "/identities", cursor, sort=sort)
        found += [row["id"] for row in answer["data"]]
        cursor = answer["meta"]["next_cursor"]
        # The row at which the next page begins to look, one that was met, and one that was perhaps not.
        victims = {found[-1], *chance.sample(found, 1), *chance.sample(sorted(before - gone), 1)}
        Identity.objects.filter(pk__in=victims).delete()
        gone |= victims
        for day in (-1, 0, 1):
            Identity.objects.create(
                handle_id="pos",
                identifier=str(uuid.uuid4()),
                profile_id=ada["id"],
                created_at=timezone.now() + datetime.timedelta(days=day),
            )
        if len(found) > 150:
            break  # Those that are made at the end are met, for as long as one makes more.

    assert len(found) == len(set(found))
    assert before - gone <= set(found)


# What is no cursor


@pytest.mark.parametrize("sort", ["-created_at", "updated_at", ""])
def test_a_cursor_of_another_order_is_a_422(many, sort) -> None:
    api, _ada = many
    cursor = page(api, "/profiles", sort="created_at")["meta"]["next_cursor"]

    response = api.get("/profiles", {"page[cursor]": cursor, **({"sort": sort} if sort else {})})

    refused(response, "invalid", "page[cursor]")


@pytest.mark.parametrize("path", PATHS)
def test_a_cursor_that_was_tampered_with_never_fails(many, path) -> None:
    api, ada = many
    chance = random.Random(7)  # noqa: S311 - the same each time
    path = placed(api, ada, path)
    cursor = page(api, path)["meta"]["next_cursor"]

    for _time in range(60):
        raw = bytearray(base64.urlsafe_b64decode(cursor + "=="))
        for _byte in range(chance.randint(1, 3)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        tampered = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        response = api.get(path, {"page[cursor]": tampered, **ASKED.get(path, {})})

        assert response.status_code in (200, 422), raw
