"""Random records in random order, among all other writes, and what holds whatever has come."""

from __future__ import annotations

import random
import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Sum
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from identities import moving_records, recording, sending
from identities.models import Identity, Pair, RoutingLogEntry
from profiles.auditing import By
from profiles.models import RECORDS, Point, Profile, Record, Transaction
from profiles.models.record import of_kind
from profiles.refusing import Refused
from tests.cast import FIELDS, assert_sound, change, come
from tests.identities.test_invariants import EMAILS, MOBILES, PAIRS, Writing, components, quiet, some_pairs, stored

pytestmark = pytest.mark.django_db

KINDS = list(FIELDS)


# Records whose pairs hang together in ways that nobody plans.


class Copies:
    """A record that is sent several times, each time with some of its pairs."""

    def __init__(self, number: int, kind: type[Record], copies: list[list[Pair]]) -> None:
        self.number, self.kind, self.copies = number, kind, copies
        self.row: Record | None = None

    @property
    def pairs(self) -> list[Pair]:
        return sorted({pair for copy in self.copies for pair in copy})

    def send(self, copy: list[Pair], *, by: By) -> None:
        pairs = [str(pair) for pair in copy]
        if self.kind is Transaction:
            more: dict[str, Any] = {"external_id": f"R{self.number}", "total": Decimal(self.number)}
            self.row = come(Transaction, *pairs, upsert=True, by=by, **more).record
        elif self.row is None:
            more = {"value_remaining": Decimal(self.number)} if self.kind is Point else {}
            self.row = come(self.kind, *pairs, by=by, **more).record
        else:
            change(self.row, *pairs, by=by)


class Sets:
    """Union-find over pairs."""

    def __init__(self) -> None:
        self.parents: dict[Pair, Pair] = {}

    def find(self, pair: Pair) -> Pair:
        parent = self.parents.setdefault(pair, pair)
        return pair if parent == pair else self.find(parent)

    def unite(self, pairs: list[Pair]) -> None:
        for pair in pairs:
            self.parents[self.find(pair)] = self.find(pairs[0])

    @property
    def sets(self) -> list[list[Pair]]:
        groups: dict[Pair, list[Pair]] = {}
        for pair in self.parents:
            groups.setdefault(self.find(pair), []).append(pair)
        return sorted(map(sorted, groups.values()))


def joined() -> list[list[Pair]]:
    """The pairs of each profile after the candidates of every conflict have been joined."""
    together = {pk: {pk} for pk in Profile.objects.values_list("pk", flat=True)}
    for entry in RoutingLogEntry.objects.filter(outcome="conflict"):
        one = set[uuid.UUID]().union(*(together[pk] for pk in entry.candidates))
        together |= dict.fromkeys(one, one)
    groups = {frozenset(group) for group in together.values()}
    return sorted(sorted(row.pair for row in Identity.objects.filter(profile__in=group)) for group in groups)


some_copies = st.lists(st.lists(some_pairs, max_size=3, unique=True), min_size=1, max_size=3)
some_records = st.lists(st.tuples(st.sampled_from(KINDS), some_copies), max_size=8)


@pytest.mark.parametrize("examples", [15, pytest.param(400, marks=pytest.mark.slow)], ids=["short", "long"])
def test_whatever_the_order_no_record_is_lost_and_the_profiles_are_the_connected_components(
    examples: int, by: By
) -> None:
    @settings(max_examples=examples, **quiet)
    @given(drawn=some_records, order=st.randoms(use_true_random=False))
    def check(drawn: list[tuple[type[Record], list[list[Pair]]]], order: random.Random) -> None:
        records = [Copies(number, kind, copies) for number, (kind, copies) in enumerate(drawn, start=1)]
        sends = [(record, copy) for record in records for copy in record.copies]
        # Every transaction comes again, as from a till that has had no answer.
        sends += [send for send in sends if send[0].kind is Transaction]
        order.shuffle(sends)
        expected = Sets()
        for record in records:
            expected.unite(record.pairs)

        with transaction.atomic():
            for record, copy in sends:
                record.send(copy, by=by)

            assert sorted(joined()) == expected.sets == sorted(map(sorted, components([one.pairs for one in records])))
            assert_nothing_is_lost(records)
            assert_sound()
            transaction.set_rollback(True)

    check()


def assert_nothing_is_lost(records: list[Copies]) -> None:
    for model in RECORDS.values():
        assert of_kind(model).count() == sum(record.kind is model for record in records)
    for record in records:
        row = of_kind(record.kind).get(pk=record.row.pk if record.row else None)
        assert {(one["handle"], one["identifier"]) for one in row.pairs} == set(record.pairs)
        assert (row.profile is None) == (not record.pairs)
    for kind, column in ((Point, "value_remaining"), (Transaction, "total")):
        rows = of_kind(kind)
        by_profile = rows.values("profile").annotate(sum=Sum(column)).order_by()
        sent = sum(record.number for record in records if record.kind is kind)
        assert sum(one["sum"] for one in by_profile) == sent


# Records among all other writes.


class Recording(Writing):
    """Records come, are changed, moved, deleted and sent, between writes of every other kind."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Record] = []

    def remember(self, recorded: recording.Recorded[Any]) -> None:
        routed = recorded.routed
        if recorded.created:
            self.rows.append(recorded.record)
        if routed.profile is not None and routed.outcome == "created":
            self.made.append(routed.profile.pk)
            assert routed.profile.identities.exists()
        assert recorded.record.profile == routed.profile
        assert (routed.profile is None) == (routed.outcome == "anonymous")
        assert routed.outcome not in ("conflict", "rerouted") or recorded.record.log_entry_id == routed.log_entry_id

    def attempt_record(self, write: Any) -> None:
        """A record comes in, unless nothing but an id that nobody has is named: then nothing may differ."""
        before = stored(), [list(of_kind(model).order_by("pk").values()) for model in RECORDS.values()]
        try:
            self.remember(write())
        except Profile.DoesNotExist:
            assert (stored(), [list(of_kind(model).order_by("pk").values()) for model in RECORDS.values()]) == before

    named = st.one_of(st.none(), st.integers(0, 8))
    pairs = st.lists(
        st.sampled_from([*(f"{one.handle}:{one.identifier}" for one in PAIRS), *(f"email:{one}" for one in EMAILS if one),
                         *(f"mobile_phone:{one}" for one in MOBILES if one)]),
        max_size=4,
    )  # fmt: skip

    @rule(kind=st.sampled_from(KINDS), pairs=pairs, named=named, bare=st.sampled_from([None, None, "1", "ada", "9"]))
    def record(self, kind: type[Record], pairs: list[str], named: int | None, bare: str | None) -> None:
        self.attempt_record(lambda: come(kind, *pairs, named=self.id_of(named), bare=bare, by=self.by))

    @rule(pairs=pairs, named=named, external_id=st.sampled_from(["R1", "R2"]))
    def upsert(self, pairs: list[str], named: int | None, external_id: str) -> None:
        self.attempt_record(
            lambda: come(
                Transaction, *pairs, named=self.id_of(named), external_id=external_id, upsert=True, by=self.by
            )
        )

    @rule(position=st.integers(0, 20), pairs=pairs, named=named)
    def change_record(self, position: int, pairs: list[str], named: int | None) -> None:
        if self.rows:
            row = of_kind(type(self.rows[position % len(self.rows)])).get(pk=self.rows[position % len(self.rows)].pk)
            former = row.profile
            self.attempt_record(lambda: change(row, *pairs, named=self.id_of(named), by=self.by))
            row.refresh_from_db()
            assert former is None or row.profile == former

    @rule(position=st.integers(0, 20), to=named)
    def move_record(self, position: int, to: int | None) -> None:
        if self.rows:
            row = self.rows[position % len(self.rows)]
            profile = self.id_of(to)
            try:
                moving_records.move_record(type(row), row.pk, to=profile, reason="", by=self.by)
            except (Profile.DoesNotExist, Refused):
                return
            assert of_kind(type(row)).get(pk=row.pk).profile_id == profile

    @rule(position=st.integers(0, 20))
    def delete_record(self, position: int) -> None:
        if self.rows:
            row = self.rows.pop(position % len(self.rows))
            recording.delete(type(row), row.pk, by=self.by)

    @rule(position=st.integers(0, 20), candidate=st.integers(0, 3))
    def send(self, position: int, candidate: int) -> None:
        entries = list(RoutingLogEntry.objects.filter(outcome__in=sending.DECIDABLE).order_by("pk"))
        if not entries:
            return
        entry = entries[position % len(entries)]
        to = sorted(sending.candidates(entry))[candidate % len(sending.candidates(entry))]
        preview = sending.preview(entry, to).keys
        carried = self.attempt(lambda: sending.send(entry.pk, to=to, note="", by=self.by))
        if carried is not None:
            assert carried.keys == preview
            assert sending.preview(entry, to).keys == {"identity": []}, "Nothing that follows it is left behind."
            self.may_be_empty |= {pk for pk in self.made if not Identity.objects.filter(profile=pk).exists()}

    def id_of(self, position: int | None) -> uuid.UUID | None:
        if position is None:
            return None
        return self.made[position] if position < len(self.made) else uuid.UUID(int=position)

    @invariant()
    def no_record_is_lost(self) -> None:
        stored_now = {(row.kind, row.pk) for model in RECORDS.values() for row in of_kind(model)}
        assert stored_now == {(row.kind, row.pk) for row in self.rows}


@pytest.mark.parametrize(
    ("examples", "steps"), [(5, 12), pytest.param(60, 40, marks=pytest.mark.slow)], ids=["short", "long"]
)
def test_whatever_comes_among_whatever_else_is_written_the_rules_hold(examples: int, steps: int, by: By) -> None:
    machine = type("Recording", (Recording,), {"by": by})

    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=steps, **quiet))
