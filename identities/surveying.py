"""Read only: what would become of a handle's identities under another handle's name and rules?

One walk over the identities in key order serves the pages that show it beforehand, which look at the first hundred
thousand, and the operations that do it, which look at all.
"""

from __future__ import annotations

import enum
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.expressions import RawSQL

from identities.models import Handle, Identity
from identities.normalising import normalise
from profiles.models import Profile

T = TypeVar("T")

# Rows in memory at a time.
CHUNK = 10_000

# A page looks at so many identities, the oldest; more would keep its reader waiting.
MOST_READ = 100_000

# A list of what is in the way names the first ones; nobody reads further.
MOST_SHOWN = 50

COLUMNS = ("pk", "profile_id", "handle_id", "identifier", "original", "is_active")


@dataclass(slots=True)
class Standing:
    """One identity as it stands, and the identifier that it would have; None where that has no normal form.

    `is_free`, whether it was left behind by a deleted profile, is known only of those that meet.
    """

    pk: int
    profile_id: uuid.UUID
    handle: str
    identifier: str
    original: str
    is_active: bool
    form: str | None
    is_free: bool = False

    @property
    def sent(self) -> str:
        """What was first sent, as far as it is known."""
        return self.original or self.identifier


class Kind(enum.Enum):
    SAME = "same"  # Both name the same profile: one of them is enough.
    FREED = "freed"  # One was left behind by a deleted profile, and whoever writes a pair takes it over from there.
    CONFLICT = "conflict"  # They name two profiles: somebody has to say which is right.


@dataclass(frozen=True, slots=True)
class Meeting:
    """Two identities that would be the same pair: the one that stays, and the one that cannot."""

    stays: Standing
    goes: Standing

    @classmethod
    def of(cls, one: Standing, other: Standing, *, to: str) -> Meeting:
        """A live profile's stays before a deleted one's, then the one that is there already, then the older."""
        stays, goes = sorted((one, other), key=lambda row: (row.is_free, row.handle != to, row.pk))
        return cls(stays, goes)

    @property
    def kind(self) -> Kind:
        if self.stays.profile_id == self.goes.profile_id:
            return Kind.SAME
        return Kind.FREED if self.goes.is_free else Kind.CONFLICT


@dataclass(slots=True)
class Listed(Generic[T]):
    """How many, and the first of them."""

    count: int = 0
    first: list[T] = field(default_factory=list)

    def add(self, one: T) -> None:
        self.count += 1
        if len(self.first) < MOST_SHOWN:
            self.first.append(one)

    def __bool__(self) -> bool:
        return self.count > 0


@dataclass(slots=True)
class Survey:
    """What was found among the first `read` identities; `is_cut` when there are more."""

    read: int = 0
    is_cut: bool = False
    rewritten: Listed[Standing] = field(default_factory=Listed)
    refused: Listed[Standing] = field(default_factory=Listed)
    unmatched: Listed[Standing] = field(default_factory=Listed)
    same: Listed[Meeting] = field(default_factory=Listed)
    freed: Listed[Meeting] = field(default_factory=Listed)
    conflicts: Listed[Meeting] = field(default_factory=Listed)
    crowded: Listed[uuid.UUID] = field(default_factory=Listed)

    @property
    def is_hindered(self) -> bool:
        """Whether something stands in the way that only a person can clear up."""
        return bool(self.refused or self.conflicts or self.crowded)


def survey(handle: Handle, to: Handle) -> Survey:
    """Say what would become of the identities of `handle` if they stood under the name and the rules of `to`.

    In: `to` is another handle, or the same with a normaliser and pattern that it might have; the oldest MOST_READ
    identities are looked at. Out: `rewritten`, those whose identifier would change; `refused`, those that have no
    normal form then; `unmatched`, those that would not match the pattern (they would stay and still name their
    profiles); the `same`, `freed` and `conflicts` meetings; `crowded`, profiles that would hold more than the limits
    of `to` allow. Changes nothing, locks nothing.
    """
    rows = Identity.objects.of_handle(handle.pk, newest_first=False)
    until = rows.values_list("pk", flat=True)[MOST_READ : MOST_READ + 1].first()
    found = Survey(read=rows[:MOST_READ].count(), is_cut=until is not None)
    meetings = {Kind.SAME: found.same, Kind.FREED: found.freed, Kind.CONFLICT: found.conflicts}
    keeps = handle.normaliser == to.normaliser
    seen: dict[str, Standing] = {}
    crowded: set[uuid.UUID] = set()
    only_meeting = keeps and not to.pattern and not has_limits(to)
    for chunk in chunks(handle, to, until=until, only_meeting=only_meeting):
        for row in chunk:
            _judge(found, row, to)
        # By one normaliser no two of them have the same form, so there is nothing to remember.
        for meeting in meet(chunk, to=to, seen={} if keeps else seen):
            meetings[meeting.kind].add(meeting)
        over = _crowded(handle, to, {row.profile_id for row in chunk}) - crowded
        crowded |= over
        for profile_id in sorted(over):
            found.crowded.add(profile_id)
    return found


def chunks(
    handle: Handle, to: Handle, *, until: int | None = None, only_meeting: bool = False
) -> Iterator[list[Standing]]:
    """The identities of `handle` in the order of their ids, CHUNK at a time, with the forms that `to` would give.

    In: `until`, the id before which to stop; `only_meeting`, where both normalise alike, to leave out those whose
    pair is free under `to`.
    """
    if only_meeting and handle.pk == to.pk:
        return
    rows = Identity.objects.filter(handle=handle.pk).order_by("pk")
    if only_meeting:
        rows = rows.filter(Exists(Identity.objects.filter(handle=to.pk, identifier=OuterRef("identifier"))))
    if until is not None:
        rows = rows.filter(pk__lt=until)
    after = 0
    while chunk := list(_standing(rows.filter(pk__gt=after)[:CHUNK], handle, to)):
        yield chunk
        after = chunk[-1].pk


def meet(chunk: Iterable[Standing], *, to: Handle, seen: dict[str, Standing]) -> Iterator[Meeting]:
    """The meetings of these rows with those that stand under `to` already, and with each other.

    `seen` has, and is given, the rows that would stand there; it carries what earlier chunks would have changed for
    whoever does not write it.
    """
    coming = [row for row in chunk if row.form is not None and (row.handle, row.identifier) != (to.pk, row.form)]
    if not coming:
        return
    forms = RawSQL("SELECT unnest(%s::text[])", [[row.form for row in coming]])  # noqa: S611 - one value
    there = Identity.objects.filter(handle=to.pk, identifier__in=forms).order_by()
    groups: dict[str, list[Standing]] = defaultdict(list)
    for row in _standing(there, to, to):
        if row.identifier not in seen:
            groups[row.identifier].append(row)
    for row in coming:
        form = row.form or row.identifier
        if form in seen and form not in groups:
            groups[form].append(seen[form])
        groups[form].append(row)
    rivals = {form: group for form, group in groups.items() if len(group) > 1}
    _mark_free(row for group in rivals.values() for row in group)
    for form, (stays, *others) in rivals.items():
        for row in others:
            meeting = Meeting.of(stays, row, to=to.pk)
            stays = meeting.stays
            yield meeting
        seen[form] = stays
    seen.update((form, group[0]) for form, group in groups.items() if form not in rivals)


def _mark_free(rows: Iterable[Standing]) -> None:
    rows = list(rows)
    deleted = Profile.objects.deleted().filter(pk__in={row.profile_id for row in rows})
    free = set(deleted.order_by().values_list("pk", flat=True)) if rows else set()
    for row in rows:
        row.is_free = row.profile_id in free


def over_limits(to: Handle, held: Iterable[tuple[uuid.UUID, bool]]) -> set[uuid.UUID]:
    """Profiles that hold more than `to` allows. In: profile and whether active, for each identity under `to`."""
    every: dict[uuid.UUID, int] = defaultdict(int)
    active: dict[uuid.UUID, int] = defaultdict(int)
    for profile_id, is_active in held:
        every[profile_id] += 1
        active[profile_id] += is_active
    most = to.max_per_profile
    return {
        profile_id
        for profile_id, number in every.items()
        if (most is not None and number > most) or (to.single_valued and active[profile_id] > 1)
    }


def has_limits(to: Handle) -> bool:
    return to.single_valued or to.max_per_profile is not None


def _standing(rows: QuerySet[Identity], handle: Handle, to: Handle) -> Iterator[Standing]:
    for pk, profile_id, name, identifier, original, is_active in rows.values_list(*COLUMNS):
        row = Standing(pk, profile_id, name, identifier, original, is_active, identifier)
        if handle.normaliser != to.normaliser:
            row.form = _form(to.normaliser, row.sent)
        yield row


def _form(normaliser: str, text: str) -> str | None:
    try:
        return normalise(normaliser, text)
    except ValidationError:
        return None


def _judge(found: Survey, row: Standing, to: Handle) -> None:
    if row.form is None:
        found.refused.add(row)
        return
    if row.form != row.identifier:
        found.rewritten.add(row)
    if not to.matches(row.form):
        found.unmatched.add(row)


def _crowded(handle: Handle, to: Handle, profile_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Of these profiles, those that would hold more under `to` than it allows. None where it is the same handle."""
    if handle.pk == to.pk or not has_limits(to):
        return set()
    held: dict[tuple[uuid.UUID, str | None], Standing] = {}
    for one in (to, handle):
        rows = Identity.objects.filter(handle=one.pk, profile__in=profile_ids).order_by("pk")
        for row in _standing(rows, one, to):
            other = held.get((row.profile_id, row.form))
            held[row.profile_id, row.form] = Meeting.of(row, other, to=to.pk).stays if other else row
    return over_limits(to, ((row.profile_id, row.is_active) for row in held.values()))
