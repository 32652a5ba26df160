"""A file brings about what its rows would bring about as requests, one after the other: every row of every table."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from identities.importing import planning, running
from identities.models import BlockedIdentifier, Handle
from tests.api.conftest import CARD, Caller
from tests.importing import brought_in, state, taken_back

pytestmark = pytest.mark.django_db

HANDLES = [
    CARD,
    "pos",
    "staff-number",
    "shopify",
    "klaviyo",
    "old_crm",
    "till",
    "seat",
    "passport",
    "gone",
    "brand-new",
    "Pos",
]
NAMES = ["Ada", "Bo", "", None, "Zoë", " Cleo ", 'D"an\\', "tab\tname", "x" * 256]
EMAILS = [
    "ada@example.com",
    "ADA@example.com",
    "bo@example.com",
    "cleo@example.com",
    "zoë@example.com",
    "no address",
    "",
    None,
    "test@test.com",
]
MOBILES = ["0404123123", "+61404123123", "0404999999", "12", "", None]
NUMBERS = ["1", "2", "3", "4", "5", " 6 ", "A-7", "a-7", "null", "0", '"8"', "\u200b", 9, "", "x" * 300]


def world(api: Caller) -> list[str]:
    """What is there before: profiles in every state, and handles with every kind of rule. Returns ids to write to."""
    Handle.objects.create(name="till", normaliser="digits", single_valued=True, auto_merge=True, priority=3)
    Handle.objects.create(name="seat", normaliser="fold", max_per_profile=2, auto_merge=True, priority=5)
    Handle.objects.create(name="passport", sensitive=True, pattern="[0-9]+")
    Handle.objects.create(name="gone", status="retired")
    Handle.objects.create(name="old_crm", renamed_to_id="pos", status="retired")
    BlockedIdentifier.objects.create(handle_id="pos", kind="regex", value="a-.*")
    profiles = [
        api.profile(
            first_name=name,
            email=email,
            identities=[{"handle": handle, "identifier": number} for handle in (CARD, "till", "seat", "pos")],
        )["id"]
        for name, email, number in (("Ada", "ada@example.com", "1"), ("", "", "2"), ("Bo", "bo@example.com", "3"))
    ]
    deleted, merged = (
        api.profile(first_name=name, identities=[{"handle": "staff-number", "identifier": name}])["id"]
        for name in "45"
    )
    assert api.delete(f"/profiles/{deleted}").status_code == 204
    body = {"source_profile_id": merged, "destination_profile_id": profiles[0]}
    assert api.post("/profiles/merge", body).status_code == 200
    return [*profiles, deleted, merged, "b1d6f3ec-38cd-4747-b7f3-6649c9c05c5d", "no id"]


def rows(rng: random.Random, ids: list[str], count: int) -> Iterator[dict[str, Any]]:
    for _number in range(count):
        row: dict[str, Any] = {}
        pairs = [
            {
                "handle": rng.choice(HANDLES[: rng.choice([2, 8, 12])]),
                "identifier": rng.choice(NUMBERS[: rng.choice([5, 15])]),
            }
            for _one in range(rng.choice([0, 1, 1, 1, 2, 2, 3]))
        ]
        if rng.random() < 0.5:
            # Somebody of whom nobody has heard.
            pairs = [{"handle": one["handle"], "identifier": str(rng.randrange(10**6))} for one in pairs]
        if rng.random() < 0.15:
            for one in pairs:
                one |= {"is_primary": rng.random() < 0.5, "is_active": rng.random() < 0.8}
        if pairs:
            row["identities"] = pairs
        for name, values, chance in (
            ("first_name", NAMES, 0.6),
            ("last_name", NAMES, 0.3),
            ("email", EMAILS, 0.25),
            ("mobile_phone", MOBILES, 0.15),
            ("birth_day", [1, 30, "31", 0], 0.1),
            ("birth_month", [2, None], 0.1),
            ("birth_date", ["1990-12-10", "1990-02-29", None], 0.05),
            ("joined_at", ["2020-01-02 03:04:05", "2020-01-02T03:04:05.678901+02:00"], 0.05),
            ("tags", [["vip", 'a "b" \\c, {d}'], [], None], 0.1),
            ("attributes", [{"comms": {"email": True, "n": 2**70}}, {}, {"dates": [1]}, {"comms": []}], 0.1),
            ("custom_attributes", [{"size": {"hat": 5}}, {"size": {"hat": None}}, {"": {"": 1}}], 0.08),
            ("profile_type", ["pending", "deleted"], 0.05),
            ("gender", ["f"], 0.2),
        ):
            if rng.random() < chance:
                row[name] = rng.choice(values)
        if rng.random() < 0.1:
            row["profile_id"] = rng.choice(ids)
        yield row


def requests(api: Caller, row: dict[str, Any]) -> None:
    """The row as somebody would send it who has no file."""
    row = dict(row)
    profile_id = row.pop("profile_id", None)
    if profile_id is None:
        assert api.post("/profiles", row).status_code in (200, 201, 409, 422)
        return
    pairs = row.pop("identities", [])
    status = api.put(f"/profiles/{profile_id}", row).status_code
    for pair in pairs if status == 200 else ():
        api.post(f"/profiles/{profile_id}/identities", pair)


def assert_the_same(sent: list[dict[str, Any]], writer: Caller, folder: Path, *options: str) -> None:
    """Send the rows, note what there is then, take it back, and bring them in from a file."""
    with taken_back():
        for row in sent:
            requests(writer, row)
        expected = state()
    with taken_back():
        brought_in(folder / "people.ndjson", sent, *options)
        found = state()
    for table in expected:
        assert found[table] == expected[table], table


@pytest.mark.parametrize("extension", ["", "shopify"])
@pytest.mark.parametrize(
    "seed", [*range(12), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(12, 200))]
)
def test_a_file_gives_what_its_rows_give_one_by_one(
    seed: int, extension: str, api: Caller, caller: Callable[..., Caller], tmp_path: Path, monkeypatch: Any
) -> None:
    rng = random.Random(seed)  # noqa: S311 - the same each time is what is asked of it
    monkeypatch.setattr(running, "CHUNK", rng.choice([1, 5, 13, 50]))
    monkeypatch.setattr(planning, "MOST_ALONE", rng.choice([1, 3, 50]))
    ids = world(api)
    writer = caller(extension=extension)
    sent = list(rows(rng, ids, 40))
    sent += [dict(row) for row in rng.sample(sent, 8)]

    options = ["--source", extension] if extension else ["--by", "operator"]
    assert_the_same(sent, writer, tmp_path, *options)


def pair(handle: str, identifier: str, **more: Any) -> dict[str, Any]:
    return {"handle": handle, "identifier": identifier, **more}


def row(*pairs: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**fields, "identities": list(pairs)}


# The first profile of the world is Ada's, the fourth is deleted, and the fifth is merged into Ada's.
ADA, DELETED, MERGED = 0, 3, 4

STORIES: dict[str, list[dict[str, Any]]] = {
    "more of a single-valued handle than one": [row(pair("till", "71"), pair("till", "72"))],
    "more of a handle than the most": [row(pair("seat", "a"), pair("seat", "b"), pair("seat", "c"))],
    "one pair in two spellings": [row(pair("seat", "A"), pair("seat", "a"))],
    "a day that no calendar has": [row(pair(CARD, "71"), birth_day=31, birth_month=2)],
    "a value that is blocked in its normal form": [row(pair("till", "0-0"), pair(CARD, "71"))],
    "a value that is nothing but quotes": [row(pair(CARD, '""'), pair("pos", "71"))],
    "a value that a handle blocks": [row(pair("pos", "a-1"), pair(CARD, "a-1"))],
    "a pair of a deleted profile": [row(pair("staff-number", "4"), first_name="Dan"), row(pair("staff-number", "4"))],
    "a pair of a merged profile": [row(pair("staff-number", "5"), last_name="Lovelace"), row(pair("staff-number", "5"))],
    "a pair that comes again": [row(pair(CARD, "71")), row(pair(CARD, "71"), pair("pos", "71"))],
    "an address that comes again": [
        row(pair(CARD, "71"), email="eve@example.com"),
        row(pair(CARD, "72"), email="EVE@example.com"),
        row(pair(CARD, "1"), email="eve@example.com"),
    ],
    "an address of somebody who is known": [row(pair(CARD, "71"), email="ADA@example.com")],
    "an address that a known profile does not take": [
        row(pair(CARD, "1"), email="eve@example.com"),
        row(pair(CARD, "71"), email="eve@example.com"),
    ],
    "a contact point among the pairs": [row(pair("email", "eve@example.com"), pair(CARD, "71"))],
    "what a profile has not": [row(pair(CARD, "1"), gender="f", birth_day=1), row(pair(CARD, "2"), email="2@example.com")],
    "other than what a profile has": [row(pair(CARD, "1"), first_name="Eve", attributes={"comms": {"email": True}})],
    "what an earlier row has emptied": [
        {"profile_id": ADA, "first_name": ""},
        row(pair(CARD, "1"), first_name="Augusta"),
    ],
    "what an earlier row has emptied by another id": [
        {"profile_id": MERGED, "first_name": ""},
        row(pair(CARD, "1"), first_name="Augusta"),
    ],
    "what an earlier row has freed": [
        {"profile_id": ADA, "email": "augusta@example.com"},
        row(pair(CARD, "71"), email="ada@example.com"),
    ],
    "what an earlier row has given to somebody else": [
        {"profile_id": ADA, "email": "eve@example.com"},
        row(pair(CARD, "3"), email="EVE@example.com"),
    ],
    "two addresses in the other order": [
        {"mobile_phone": "0404777777", "email": "eve@example.com", "identities": [pair(CARD, "71")]},
        {"mobile_phone": "0404888888", "email": "dan@example.com", "identities": [pair(CARD, "72")]},
        {"mobile_phone": "0404777777", "email": "dan@example.com", "identities": [pair(CARD, "73")]},
        {"profile_id": ADA, "mobile_phone": "0404777777", "email": "dan@example.com"},
        {"profile_id": ADA, "mobile_phone": "0404999999", "email": "augusta@example.com"},
    ],
    "several profiles": [row(pair(CARD, "1"), pair(CARD, "2")), row(pair("till", "1"), pair("till", "2"))],
    "profiles that merge by themselves, and then one of them": [
        row(pair("till", "1"), pair("seat", "2")),
        row(pair(CARD, "2"), first_name="Bo"),
    ],
    "a new handle in two spellings": [row(pair("brand-new", "1")), row(pair("brand_new", "2")), row(pair("brand-new", "3"))],
    "no pair": [row(first_name="Ada"), row(email="eve@example.com"), {}, row()],
    "a deleted profile by its id": [{"profile_id": DELETED, "first_name": "Eve", "identities": [pair(CARD, "71")]}],
    "a profile by its id": [
        {"profile_id": ADA, "birth_date": "1990-12-10", "identities": [pair(CARD, "71"), pair(CARD, "2"), pair("seat", "b"), pair("seat", "c")]},
    ],
    "older and newer": [
        row(pair(CARD, "71"), pair(CARD, "null")),
        row(pair(CARD, "72")),
        row(pair(CARD, "71"), pair(CARD, "72")),
    ],
    "the first of several primaries": [row(pair("pos", "71", is_primary=True), pair(CARD, "71", is_primary=True))],
}  # fmt: skip


@pytest.mark.parametrize("story", STORIES)
def test_a_file_gives_what_its_rows_give(story: str, api: Caller, tmp_path: Path) -> None:
    ids = world(api)
    sent = [
        {**one, "profile_id": ids[one["profile_id"]]} if "profile_id" in one else one
        for one in STORIES[story]
    ]  # fmt: skip

    assert_the_same(sent, api, tmp_path, "--by", "operator")


@pytest.mark.parametrize(
    "rows",
    [
        [row(pair(CARD, "71")), row(pair(CARD, "71"))],
        [{"profile_id": ADA, "email": "eve@example.com"}, row(pair(CARD, "71"), email="EVE@example.com")],
        [{"profile_id": ADA, "mobile_phone": "0404777777"}, row(pair(CARD, "71"), mobile_phone="+61404777777")],
    ],
)
def test_a_pair_that_comes_again_is_no_lost_race(
    rows: list[dict[str, Any]], api: Caller, operator: User, tmp_path: Path
) -> None:
    ada = api.profile(first_name="Ada")["id"]
    sent = [{**one, "profile_id": ada} if "profile_id" in one else one for one in rows]

    with CaptureQueriesContext(connection) as captured:
        brought_in(tmp_path / "people.ndjson", sent, "--by", "operator")

    tries = [one["sql"] for one in captured if one["sql"].endswith("FOR NO KEY UPDATE NOWAIT")]
    assert len(tries) == 1
