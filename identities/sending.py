"""Decide an entry of the routing log: what came by it goes to another of the profiles that it names (API.md 4).

A profile that was merged since stands for its survivor, and for itself again when that is undone.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from identities import contacts, moving, reviewing
from identities.attaching import over_limit
from identities.holding import Changed, Held, hold, settle
from identities.models import Identity, RoutingLogEntry
from profiles import auditing
from profiles.auditing import By
from profiles.models import RECORDS, Merge, Move, Profile, Record
from profiles.models.record import of_kind
from profiles.refusing import Refused

# What somebody did to a row itself, which no decision on an entry takes back.
BY_HAND = (Move.Cause.ASKED, Move.Cause.SPLIT)

# Those of which something was kept where the other profile's may be the right place.
DECIDABLE = (RoutingLogEntry.Outcome.CONFLICT, RoutingLogEntry.Outcome.REROUTED)


@dataclass(slots=True)
class Carried:
    """What follows the decision on an entry, by kind: pairs attached in it, records of it, and all that these pairs
    brought since, but for what somebody has moved by hand."""

    identities: list[Identity] = field(default_factory=list)
    records: dict[str, list[Record]] = field(default_factory=dict)
    contacts_changed: list[contacts.Changed] = field(default_factory=list)

    @property
    def profile_ids(self) -> set[uuid.UUID]:
        """Where all of it is."""
        rows: list[Identity | Record] = [*self.identities, *(row for rows in self.records.values() for row in rows)]
        return {row.profile_id for row in rows if row.profile_id is not None}

    @property
    def keys(self) -> dict[str, list[int]]:
        return {
            "identity": sorted(row.pk for row in self.identities),
            **{kind: sorted(row.pk for row in rows) for kind, rows in self.records.items()},
        }


def candidates(entry: RoutingLogEntry) -> set[uuid.UUID]:
    """The profiles to which what came by this entry may go today; none where there is nothing to decide."""
    if entry.outcome not in DECIDABLE:
        return set()
    return set(Profile.objects.survivors(entry.named).values())


def preview(entry: RoutingLogEntry, to: uuid.UUID) -> Carried:
    """What `send` would take to this profile now; reads only, and so may be overtaken."""
    return _carried(entry, to)


def send(entry_id: int, *, to: uuid.UUID, note: str, by: By) -> Carried:
    """Send what came by an entry to one of its candidates, and mark the entry as reviewed.

    Later records of the pairs that go along follow them by themselves. Sending to the former profile takes it all
    back. Ids are literal (API.md 3): that of a candidate which was merged is refused, and its survivor is one. Raises
    RoutingLogEntry.DoesNotExist, Profile.DoesNotExist, and Refused: `not_a_candidate`, `already_merged` with the
    survivor, `profile_deleted`, `too_many_identities`.
    """

    def attempt() -> Carried:
        entry = RoutingLogEntry.objects.get(pk=entry_id)
        refuse_others(entry, to)
        seen = _carried(entry, to)
        held = hold([row.pair for row in seen.identities], profile_ids={to, *seen.profile_ids})
        profile = moving.literal(held.profiles.get(to))
        # Whom the candidates stand for may have changed with a merge or its undo.
        refuse_others(entry, to)
        carried = _carried(entry, to)
        if carried.keys != seen.keys or not carried.profile_ids <= held.profiles.keys():
            raise Changed
        _send_identities(carried, profile, held=held, note=note, by=by)
        for records in carried.records.values():
            _send_records(records, profile, held=held, note=note, by=by)
        reviewing.review(entry, status=RoutingLogEntry.Review.REVIEWED, note=note, by=by)
        return carried

    return settle(attempt)


def refuse_others(entry: RoutingLogEntry, to: uuid.UUID) -> None:
    """Refuse a profile that the entry does not name, by its own id or by that of one which was merged into it."""
    if to not in candidates(entry) and not (entry.outcome in DECIDABLE and to in entry.named):
        raise Refused("not_a_candidate", _("The entry does not name this profile."), field="profile_id")


@dataclass(frozen=True, slots=True)
class _Places:
    """Whom an entry names: `today`, and at `any_time`, themselves and all of which they were ever a part.

    A decision for a survivor was one for the candidate, though the merge has been undone since.
    """

    entry: RoutingLogEntry
    today: set[uuid.UUID]
    any_time: set[uuid.UUID]

    @classmethod
    def of(cls, entry: RoutingLogEntry) -> _Places:
        return cls(entry, candidates(entry), Merge.objects.all().ever_above(entry.named))

    def decided_elsewhere(self, moves: QuerySet[Move]) -> set[str]:
        """The keys of rows that a decision has sent to a profile which this entry does not name."""
        others = moves.filter(cause=Move.Cause.DECIDED).exclude(to_profile__in=self.any_time)
        sent = set(others.values_list("subject_key", "to_profile"))
        survivors = Profile.objects.survivors({pk for _key, pk in sent if pk is not None})
        return {key for key, pk in sent if pk is None or survivors[pk] not in self.today}

    def following(self, kind: str, rows: QuerySet[Any]) -> list[Any]:
        """Those of the rows whose place nothing but this entry decides.

        What somebody has moved by hand or split off stays, and what came by another entry, too, once that was decided
        for a profile which this one does not name.
        """
        found = list(rows.order_by("pk"))
        moves = moving.standing(kind, [row.pk for row in found])
        by_hand = set(moves.filter(cause__in=BY_HAND).values_list("subject_key", flat=True))
        decided = self.decided_elsewhere(moves)
        return [
            row
            for row in found
            if (key := str(row.pk)) not in by_hand and (key not in decided or _came_by(row) == self.entry.pk)
        ]


def _carried(entry: RoutingLogEntry, to: uuid.UUID) -> Carried:
    places = _Places.of(entry)
    all_tagged: dict[int, Identity] = {}
    frontier = places.following("identity", Identity.objects.live().filter(conflict=entry))
    while frontier:
        all_tagged |= {row.pk: row for row in frontier}
        brought = Identity.objects.live().filter(brought_by__in=frontier).exclude(pk__in=all_tagged)
        frontier = places.following("identity", brought)
    carried = Carried([row for row in all_tagged.values() if row.profile_id != to])
    for kind, model in RECORDS.items():
        came = of_kind(model).filter(Q(log_entry=entry) | Q(brought_by__in=all_tagged)).exclude(profile=to)
        if rows := places.following(kind, came):
            carried.records[kind] = rows
    return carried


def _came_by(row: Identity | Record) -> int | None:
    """The entry whose decision a row follows first of all."""
    return row.conflict_id if isinstance(row, Identity) else row.log_entry_id


def _send_identities(carried: Carried, profile: Profile, *, held: Held, note: str, by: By) -> None:
    rows = [held.identities[row.pair] for row in carried.identities]
    if not rows:
        return
    kept = {
        row.pk: row.handle for row in Identity.objects.filter(pk__in=[row.pk for row in rows]).select_related("handle")
    }
    for row in rows:
        row.handle = kept[row.pk]
    for refusal in over_limit(rows, profile).values():
        raise refusal
    former = {row.pk: held.profiles[row.profile_id] for row in rows}
    cause = Move.Cause.DECIDED
    carried.contacts_changed = moving.hand_over(rows, former, profile, reason=note, by=by, cause=cause)
    carried.identities = rows


def _send_records(rows: list[Record], profile: Profile, *, held: Held, note: str, by: By) -> None:
    former = {row.pk: held.profiles[row.profile_id] if row.profile_id else None for row in rows}
    of_kind(type(rows[0])).filter(pk__in=former).update(profile=profile, updated_at=timezone.now())
    moving.note_moves(rows, former, profile, reason=note, by=by, cause=Move.Cause.DECIDED)
    auditing.write(
        auditing.entry(
            "moved",
            row,
            by=by,
            profile=profile,
            old={"profile_id": row.profile_id},
            new={"profile_id": profile.pk},
        )
        for row in rows
    )
    for row in rows:
        row.profile = profile
