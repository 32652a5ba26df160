"""A batch of identities gives what the same rows give one after the other, and costs as many statements as one."""

from __future__ import annotations

import datetime
import random
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from identities import adding, releasing
from identities.adding import Added, Answer, Row
from identities.handles import Sent
from identities.models import Handle, Identity, RoutingLogEntry
from profiles.auditing import By
from profiles.models import Audit, Profile, Transaction
from profiles.refusing import Refused
from tests.cast import add, assert_sound, come, known, merge
from tests.tables import everything

pytestmark = pytest.mark.django_db

# What rows may name: handles of every rule, in good and bad spellings, known and unknown.
HANDLES = [
    *["loyalty-card", "pos", "till", "one-only", "two-at-most"] * 4,
    *["new", "n-e-w", "New", "newer", "newer_"] * 2,
    *["shopify", "email", "profile_id", "loyalty_card", " pos ", "retired", "former", "secret", "nine", "x" * 65, ""],
]
IDENTIFIERS = [
    *"12345678" * 3,
    *[
        " 1 ",
        "A1",
        "a1",
        "\uff10\uff11",
        "null",
        "",
        "a\u200bb",
        "x" * 256,
        '"1"',
        "\u00e9",
        "e\u0301",
        "0000",
        "987654321",
    ],
]


@pytest.fixture
def named(by: By) -> list[uuid.UUID]:
    """The ids by which rows may name profiles, which are in every state and have pairs that rows name, too."""
    rules: dict[str, dict[str, Any]] = {
        "till": {"normaliser": "digits"},
        "one-only": {"single_valued": True},
        "two-at-most": {"max_per_profile": 2, "normaliser": "fold"},
        "retired": {},
        "secret": {"sensitive": True},
        "nine": {"pattern": "[0-9]{9}"},
    }
    for name, columns in rules.items():
        Handle.objects.create(name=name, **columns)
    Handle.objects.create(name="former", renamed_to_id="till", status="retired")
    ada = known("loyalty-card:1", "pos:1", "one-only:1", "two-at-most:a1", "retired:1", by=by, first_name="Ada")
    add(ada, Sent("loyalty-card", "2", is_primary=True), by=by)
    bo = known("loyalty-card:3", "pos:3", "till:3", "secret:987654321", by=by, email="bo@example.com")
    add(bo, Sent("one-only", "3", is_active=False), by=by)
    come(Transaction, "email:bo@example.com", "pos:4", "two-at-most:4", by=by)
    gone = known("loyalty-card:5", "pos:5", "one-only:5", "retired:5", by=by)
    add(gone, Sent("pos", "8", is_primary=True), by=by)
    releasing.delete(gone.pk, by=by)
    again = known("loyalty-card:6", "two-at-most:6", by=by)
    merge(ada, again, by=by)
    Handle.objects.filter(name="retired").update(status="retired")
    assert Identity.objects.filter(by_contact=True).count() == 2
    cy = Profile.objects.create(first_name="Cy")
    return [*[ada.pk, bo.pk, cy.pk] * 3, again.pk, gone.pk, uuid.uuid4()]


def some_rows(named: Sequence[uuid.UUID], *, seed: int, count: int = 30) -> list[Row]:
    """Rows of every kind; with an odd seed of a few kinds only, which meet each other all the more."""
    chance = random.Random(seed)  # noqa: S311 - the same each time
    few = seed % 2
    handles, identifiers, profiles = (
        chance.sample(every, few_of_them) if few else every
        for every, few_of_them in ((HANDLES, 4), (IDENTIFIERS, 6), (named, 4))
    )

    def one() -> Row:
        flags = {"is_primary": chance.random() < (0.5 if few else 0.15), "is_active": chance.random() > 0.15}
        return Row(chance.choice(profiles), Sent(chance.choice(handles), chance.choice(identifiers), **flags))

    return [one() for _number in range(count)]


def one_by_one(rows: Sequence[Row], *, by: By) -> list[Answer]:
    def answer(row: Row) -> Answer:
        try:
            return adding.add(row.profile_id, row.sent, by=by, source=None)
        except (Refused, Profile.DoesNotExist) as error:
            return error

    return [answer(row) for row in rows]


def all_at_once(rows: Sequence[Row], *, by: By) -> list[Answer]:
    """In one try: were it halved for what is wrong with it, its rows would still get through one by one."""
    with CaptureQueriesContext(connection) as captured:
        answers = adding.add_all(rows, by=by, source=None)
    assert sum("FOR NO KEY UPDATE" in one["sql"] for one in captured) <= 1
    return answers


def outcome(write: Callable[..., list[Answer]], rows: Sequence[Row], *, by: By) -> tuple[list[Any], dict[str, Any]]:
    """What this answers and leaves in the tables, in words that are the same for the same; then it is taken back."""
    started = timezone.now()
    with transaction.atomic():
        answers = write(rows, by=by)
        entries = {row.pk: (row.fingerprint, row.review_status) for row in RoutingLogEntry.objects.all()}
        pairs = {row.pk: str(row.pair) for row in Identity.objects.all()}
        said, tables = [_answer(one, entries) for one in answers], _tables(started, pairs, entries)
        if write is all_at_once:
            assert_sound()
        transaction.set_rollback(True)
    return said, tables


def _answer(answer: Answer, entries: dict[int, Any]) -> Any:
    if isinstance(answer, Added):
        row = answer.identity
        return answer.created, row.pair, row.profile_id, row.by_contact
    if isinstance(answer, Refused):
        entry = entries.get(answer.details.get("log_entry_id", 0))
        return type(answer), answer.code, answer.message, answer.field, {**answer.details, "log_entry_id": entry}
    return type(answer)


def _tables(started: datetime.datetime, pairs: dict[int, str], entries: dict[int, Any]) -> dict[str, Any]:
    """Every table: its rows in the order of their keys, and what is called by a key of this very run by its name."""
    audits: dict[Any, dict[str, Any]] = {row["id"]: dict(row) for row in Audit.objects.values()}
    found: dict[str, Any] = {}
    tables = everything()
    tables[Audit._meta.label] = audits
    for label, rows in tables.items():
        of_identities = label == Identity._meta.label
        found[label] = [
            {
                name: _name(name, value, started, pairs, entries)
                for name, value in row.items()
                if name != "id" or not isinstance(value, int) or of_identities
            }
            for _key, row in sorted(rows.items())
        ]
    for label in (RoutingLogEntry._meta.label, "profiles.Move"):
        # Of what is written in order of pairs, the keys tell nothing.
        found[label].sort(key=str)
    return found


def _name(name: str, value: Any, started: datetime.datetime, pairs: dict[int, str], entries: dict[int, Any]) -> Any:
    if isinstance(value, datetime.datetime):
        return "now" if value >= started else value
    if name in ("id", "brought_by_id", "brought_by_key"):
        return pairs.get(value, value)
    if name in ("auditable_key", "subject_key") and value.isdecimal():
        return pairs.get(int(value), value)
    return entries.get(value, value) if name in ("conflict_id", "log_entry_id") else value


@pytest.mark.parametrize(
    "seed", [*range(10), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(10, 300))]
)
@pytest.mark.parametrize("policy", ["open", "agreed"])
def test_a_batch_gives_what_its_rows_give_one_by_one(
    seed: int, policy: str, named: list[uuid.UUID], by: By, settings: Any
) -> None:
    settings.HANDLE_POLICY = policy
    rows = some_rows(named, seed=seed)

    (answers, tables), (answers_of_batch, tables_of_batch) = (
        outcome(write, rows, by=by) for write in (one_by_one, all_at_once)
    )

    assert answers_of_batch == answers
    assert tables_of_batch.keys() == tables.keys()
    for label, left in tables.items():
        assert tables_of_batch[label] == left, label


@pytest.mark.parametrize(
    "rows",
    [
        [Sent("two-at-most", "x"), Sent("two-at-most", "y", is_active=False), Sent("two-at-most", "z")],
        [Sent("one-only", "x", is_active=False), Sent("one-only", "y"), Sent("one-only", "z")],
        [Sent("pos", "x", is_primary=True), Sent("pos", "y", is_primary=True), Sent("pos", "x", is_primary=True)],
        [Sent("pos", "8", is_primary=True), Sent("pos", "y", is_primary=True), Sent("pos", "8")],
        [Sent("pos", "z"), Sent("pos", "y", is_primary=True), Sent("pos", "5", is_primary=True), Sent("pos", "4")],
    ],
)
@pytest.mark.parametrize("whose", [1, 2])
def test_what_earlier_rows_have_put_on_a_profile_counts_for_later_ones(
    rows: list[Sent], whose: int, named: list[uuid.UUID], by: By
) -> None:
    mine = [Row(named[whose], row) for row in rows]

    assert outcome(all_at_once, mine, by=by) == outcome(one_by_one, mine, by=by)


def test_the_mixes_hold_every_answer(named: list[uuid.UUID], by: By) -> None:
    rows = [row for seed in range(12) for row in some_rows(named, seed=seed)]

    answers, tables = outcome(all_at_once, rows, by=by)

    codes = Counter(
        answer[1] if len(answer) > 4 else str(answer[0]) for answer in answers if isinstance(answer, tuple)
    )
    assert codes.keys() == {
        *("True", "False", "identity_taken", "profile_deleted", "too_many_identities", "builtin_handle"),
        *("reserved_handle", "retired_handle", "unknown_handle", "invalid_handle", "invalid_identifier"),
        "blocked_identifier",
    }
    assert Profile.DoesNotExist in answers
    events = {row["event"] for row in tables[Audit._meta.label] if row["created_at"] == "now"}
    assert events == {"created", "updated", "taken over"}


def test_an_unknown_handle_is_known_from_the_first_row_that_is_written_under_it(
    named: list[uuid.UUID], by: By
) -> None:
    ada, *_others, gone, nobody = named

    def rows(*written: tuple[uuid.UUID, str]) -> list[Row]:
        return [Row(profile, Sent(handle, str(number))) for number, (profile, handle) in enumerate(written, 1)]

    refused = adding.add_all(rows((gone, "new"), (nobody, "new"), (gone, "n-e-w")), by=by, source=None)
    assert not Handle.objects.filter(fold="new").exists()
    answers = adding.add_all(
        rows((gone, "new"), (nobody, "ne-w"), (ada, "n-ew"), (ada, "new"), (gone, "NEW"), (ada, "n-ew")),
        by=by,
        source=None,
    )

    assert [_word(answer) for answer in refused] == ["profile_deleted", "not_found", "profile_deleted"]
    assert [_word(answer) for answer in answers] == [
        *("profile_deleted", "not_found", "True", "unknown_handle", "unknown_handle", "True")
    ]
    assert Handle.objects.get(fold="new").name == "n-ew"


@pytest.mark.parametrize(
    ("kind", "statements"),
    [
        # The handles with blocked values, what the ids mean, match and lock, match again, what was erased, the rules,
        # the rows and their audit.
        ("new", 8),
        # Without the last four.
        ("known", 4),
        # And the entries, with the handles that they mask.
        ("taken", 6),
        # What was erased, and the limits.
        ("too many", 6),
        # Besides, which profiles are deleted, the handles, and whether they are there.
        ("new handle", 11),
    ],
)
def test_a_thousand_rows_cost_as_many_statements_as_one(
    kind: str, statements: int, ada: Profile, bo: Profile, by: By
) -> None:
    Handle.objects.create(name="none", max_per_profile=1)
    add(ada, Sent("none", "there"), by=by)
    profiles = {"taken": bo}
    owned = {"known": ada, "taken": ada}
    for number, count in enumerate((1, 200)):
        handle = {"too many": "none", "new handle": f"new{number}"}.get(kind, "pos")
        pairs = [Sent(handle, f"{kind}-{number}-{one}") for one in range(count)]
        if kind in owned:
            adding.add_all([Row(owned[kind].pk, pair) for pair in pairs], by=by, source=None)

        with CaptureQueriesContext(connection) as captured:
            answers = adding.add_all([Row(profiles.get(kind, ada).pk, pair) for pair in pairs], by=by, source=None)

        assert {_word(answer) for answer in answers} == {
            {"new": "True", "known": "False", "taken": "identity_taken", "too many": "too_many_identities"}.get(
                kind, "True"
            )
        }
        asked = [one["sql"] for one in captured if not one["sql"].startswith(("SAVEPOINT", "RELEASE"))]
        assert len(asked) == statements, asked


def _word(answer: Answer) -> str:
    return str(answer.created) if isinstance(answer, Added) else getattr(answer, "code", "not_found")
