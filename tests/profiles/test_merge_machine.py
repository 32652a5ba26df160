"""Random merges, undos, splits, moves and arrivals, against a model in which nothing is ever merged.

The model knows of each row at which profile it is at home, as if that had never become part of another. Then every
row must be at the live profile that its home stands for today, whatever was merged, undone and written in any order.
"""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from identities import attributing, moving, moving_records, recording, routing
from identities.attributing import Named
from identities.models import Identity
from profiles import merging
from profiles.auditing import By
from profiles.merging import Choices
from profiles.models import RECORDS, DuplicatePair, Merge, Profile, Record
from profiles.models.record import of_kind
from tests.cast import FIELDS, add, assert_sound, come, known, update
from tests.tables import differences, everything

pytestmark = pytest.mark.django_db

KINDS = list(FIELDS)
COLUMNS = ("gender", "company")
# A custom attribute is a field like any other.
CUSTOM = "hat"
WRITTEN = (*COLUMNS, CUSTOM)

position = st.integers(0, 30)


@dataclass(eq=False)
class Row:
    """An identity or a record: at home at one profile, and the moves of it that stand."""

    kind: str
    pk: int
    home: uuid.UUID
    brought_by: Row | None = None
    # From, to, the home before, and the live merges between that and its place.
    moves: list[tuple[uuid.UUID, uuid.UUID, uuid.UUID, frozenset[int]]] = field(default_factory=list)


class Merging(RuleBasedStateMachine):
    """Each example runs in a transaction that is rolled back."""

    by: By

    def __init__(self) -> None:
        super().__init__()
        self.block = transaction.atomic()
        self.block.__enter__()
        self.numbers = itertools.count(1)
        self.profiles: list[uuid.UUID] = []
        self.own: dict[uuid.UUID, dict[str, str]] = {}
        self.into: dict[uuid.UUID, tuple[uuid.UUID, int]] = {}
        self.rows: list[Row] = []
        for letter in "ABC":
            self.make({"gender": f"of {letter}"} if letter != "A" else {})

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.block.__exit__(None, None, None)

    # The model.

    def root(self, pk: uuid.UUID) -> uuid.UUID:
        while pk in self.into:
            pk = self.into[pk][0]
        return pk

    def chain(self, pk: uuid.UUID) -> frozenset[int]:
        found = set()
        while pk in self.into:
            pk, merge = self.into[pk]
            found.add(merge)
        return frozenset(found)

    def lives(self) -> list[uuid.UUID]:
        return [pk for pk in self.profiles if pk not in self.into]

    def beneath(self, pk: uuid.UUID) -> list[uuid.UUID]:
        return [one for one in self.profiles if one == pk or (one in self.into and self.is_beneath(one, pk))]

    def is_beneath(self, one: uuid.UUID, pk: uuid.UUID) -> bool:
        while one in self.into:
            one = self.into[one][0]
            if one == pk:
                return True
        return False

    def shown(self, pk: uuid.UUID, name: str) -> str:
        """Its own value, else that of the earliest-created beneath that has one: profiles are in that order."""
        of_all = [self.own[pk].get(name, ""), *(self.own[one].get(name, "") for one in self.beneath(pk) if one != pk)]
        return next(filter(None, of_all), "")

    def identities(self) -> list[Row]:
        return [row for row in self.rows if row.kind == "identity"]

    def leave(self, row: Row, to: uuid.UUID) -> None:
        """A row is moved by hand. Moved back, it is where it was at home, if the way there still leads here."""
        came_from = self.root(row.home)
        if row.moves and row.moves[-1][:2] == (to, came_from):
            _from, _to, home, chain = row.moves.pop()
            row.home = home if self.chain(home) >= chain and self.root(home) == to else to
            return
        row.moves.append((came_from, to, row.home, self.chain(row.home)))
        row.home = to

    # What happens.

    def pair(self) -> str:
        return f"loyalty-card:{next(self.numbers)}"

    @rule(fields=st.dictionaries(st.sampled_from(WRITTEN), st.just(""), max_size=2))
    def make(self, fields: dict[str, str]) -> None:
        values = {name: value or f"value {next(self.numbers)}" for name, value in fields.items()}
        pair = self.pair()
        columns = {name: value for name, value in values.items() if name in COLUMNS}
        profile = known(pair, by=self.by, **columns)
        self.profiles.append(profile.pk)
        if CUSTOM in values:
            self.put(profile.pk, values[CUSTOM])
        self.own[profile.pk] = values
        self.keep("identity", Identity.objects.get(identifier=pair.partition(":")[2]).pk, profile.pk)

    def put(self, pk: uuid.UUID, value: str) -> None:
        attributing.put(pk, Named("size", CUSTOM, value), by=self.by, source=None)

    @rule(at=position)
    def change(self, at: int) -> None:
        """An identity gets another identifier, and stays the same row."""
        if self.identities():
            row = self.identities()[at % len(self.identities())]
            routing.change(row.pk, identifier=f"changed{next(self.numbers)}", by=self.by, source=None)

    def keep(self, kind: str, pk: int, home: uuid.UUID, brought_by: Row | None = None) -> None:
        self.rows.append(Row(kind, pk, home, brought_by))

    @rule(at=position)
    def attach(self, at: int) -> None:
        """By the id of any profile, which may be merged."""
        home = self.profiles[at % len(self.profiles)]
        self.keep("identity", add(Profile(pk=home), self.pair(), by=self.by).pk, home)

    @rule(at=position, kind=st.sampled_from(KINDS), is_with_unknown=st.booleans())
    def come_by_identity(self, at: int, kind: type[Record], is_with_unknown: bool) -> None:
        if not self.identities():
            return
        brought_by = self.identities()[at % len(self.identities())]
        pairs = [str(Identity.objects.get(pk=brought_by.pk).pair)]
        if is_with_unknown:
            pairs.append(self.pair())
        record = come(kind, *pairs, by=self.by).record
        self.keep(kind.kind, record.pk, brought_by.home, brought_by)
        if is_with_unknown:
            new = Identity.objects.get(identifier=pairs[1].partition(":")[2])
            self.keep("identity", new.pk, brought_by.home, brought_by)

    @rule(at=position, kind=st.sampled_from(KINDS), is_with_unknown=st.booleans())
    def come_by_id(self, at: int, kind: type[Record], is_with_unknown: bool) -> None:
        home = self.profiles[at % len(self.profiles)]
        pairs = [self.pair()] if is_with_unknown else []
        self.keep(kind.kind, come(kind, *pairs, named=home, by=self.by).record.pk, home)
        if is_with_unknown:
            self.keep("identity", Identity.objects.get(identifier=pairs[0].partition(":")[2]).pk, home)

    @rule(at=position, name=st.sampled_from(WRITTEN))
    def write(self, at: int, name: str) -> None:
        """A field of a live profile is written; it is then its own."""
        lives = self.lives()
        pk, value = lives[at % len(lives)], f"value {next(self.numbers)}"
        fields: dict[str, Any] = {name: value}
        if name == CUSTOM:
            self.put(pk, value)
        else:
            update(Profile(pk=pk), by=self.by, **fields)
        self.own[pk][name] = value

    @rule(at=position, first=position, more=st.integers(1, 2))
    def merge(self, at: int, first: int, more: int) -> None:
        lives = self.lives()
        survivor = lives[at % len(lives)]
        others = [pk for pk in lives if pk != survivor]
        chosen = [others[(first + step) % len(others)] for step in range(min(more, len(others)))]
        if not chosen:
            return
        told = merging.preview(survivor, chosen)
        done = merging.merge(survivor, chosen, plan=told.plan, by=self.by)
        for one in done.merges:
            self.into[one.duplicate_id] = (survivor, one.pk)

    @precondition(lambda self: self.into)
    @rule(at=position)
    def undo(self, at: int) -> None:
        duplicate = sorted(self.into)[at % len(self.into)]
        merge = self.into[duplicate][1]
        told = merging.preview_undo(merge)
        done = merging.undo(merge, by=self.by)
        assert (told.tallies, told.restored, told.left) == (done.tallies, done.restored, done.left)
        survivor = self.into.pop(duplicate)[0]
        pair = DuplicatePair.objects.get(first=min(duplicate, survivor), second=max(duplicate, survivor))
        assert pair.status in (DuplicatePair.Status.DISMISSED, DuplicatePair.Status.MERGED)

    @rule(at=position, to=position)
    def move(self, at: int, to: int) -> None:
        if not self.rows:
            return
        row, lives = self.rows[at % len(self.rows)], self.lives()
        profile = lives[to % len(lives)]
        if self.root(row.home) == profile:
            return
        if row.kind == "identity":
            moving.move(row.pk, to=profile, reason="", by=self.by)
        else:
            moving_records.move_record(RECORDS[row.kind], row.pk, to=profile, reason="", by=self.by)
        self.leave(row, profile)

    @rule(at=position, into_known=st.booleans(), to=position)
    def split(self, at: int, into_known: bool, to: int) -> None:
        if not self.identities():
            return
        row, lives = self.identities()[at % len(self.identities())], self.lives()
        former = self.root(row.home)
        named = lives[to % len(lives)] if into_known else None
        if named == former or sum(self.root(one.home) == former for one in self.identities()) < 2:
            return
        done = merging.split(former, [row.pk], to=named, by=self.by)
        assert done.profile is not None
        if named is None:
            self.profiles.append(done.profile.pk)
            self.own[done.profile.pk] = {}
        gone = [one for one in self.rows if one.brought_by is row and one.kind != "identity"]
        for one in [row, *(one for one in gone if self.root(one.home) == former)]:
            self.leave(one, done.profile.pk)

    @rule(at=position)
    def delete(self, at: int) -> None:
        """A record, or an identity, whatever it has brought."""
        here = [
            row
            for row in self.rows
            if row.kind != "identity"
            or sum(self.root(one.home) == self.root(row.home) for one in self.identities()) > 1
        ]
        if not here:
            return
        row = here[at % len(here)]
        self.rows.remove(row)
        if row.kind == "identity":
            routing.remove(row.pk, by=self.by, source=None)
        else:
            recording.delete(RECORDS[row.kind], row.pk, by=self.by)

    @rule(at=position, first=position, name=st.sampled_from(WRITTEN), is_chosen=st.booleans())
    def merge_and_undo_is_nothing(self, at: int, first: int, name: str, is_chosen: bool) -> None:
        """Every column of every row is what it was, whatever was chosen."""
        lives = self.lives()
        survivor = lives[at % len(lives)]
        others = [pk for pk in lives if pk != survivor]
        if not others:
            return
        before, duplicate = everything(), others[first % len(others)]
        name = f"custom_attributes.size:{name}" if name == CUSTOM else name
        is_known = name in COLUMNS or name in {one.name for one in merging.preview(survivor, [duplicate]).fields}
        choices = Choices(fields={name: duplicate}) if is_chosen and is_known else None
        (one,) = merging.merge(survivor, [duplicate], choices=choices, by=self.by).merges
        assert_sound()
        merging.undo(one.pk, by=self.by)
        assert differences(before, everything()) == []

    # What holds.

    @invariant()
    def every_row_is_where_its_home_is_today(self) -> None:
        places: dict[tuple[str, int], uuid.UUID | None]
        places = {("identity", row.pk): row.profile_id for row in Identity.objects.all()}
        places |= {(kind, row.pk): row.profile_id for kind, model in RECORDS.items() for row in of_kind(model)}
        assert places == {(row.kind, row.pk): self.root(row.home) for row in self.rows}

    @invariant()
    def every_profile_shows_what_it_should(self) -> None:
        for profile in Profile.objects.filter(pk__in=self.lives()):
            shown = {name: getattr(profile, name) for name in COLUMNS}
            shown[CUSTOM] = "".join(profile.custom_attributes.values_list("value", flat=True))
            assert shown == {name: self.shown(profile.pk, name) for name in WRITTEN}

    @invariant()
    def the_tree_is_as_merged(self) -> None:
        assert set(Profile.objects.values_list("pk", flat=True)) == set(self.profiles)
        merged = Profile.objects.exclude(merged_into=None).values_list("pk", "merged_into")
        assert dict(merged) == {pk: survivor for pk, (survivor, _merge) in self.into.items()}
        for merge in Merge.objects.live():
            merging.preview_undo(merge.pk)

    @invariant()
    def the_database_is_sound(self) -> None:
        assert_sound()


quiet: dict[str, Any] = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


@pytest.mark.parametrize(
    ("examples", "steps"), [(8, 15), pytest.param(40, 30, marks=pytest.mark.slow)], ids=["short", "long"]
)
def test_whatever_is_merged_and_undone_every_row_is_where_its_home_is(examples: int, steps: int, by: By) -> None:
    machine = type("Merging", (Merging,), {"by": by})

    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=steps, **quiet))
