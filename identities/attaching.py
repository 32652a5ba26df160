"""Put pairs on a profile that is held: new rows, rows taken over from a deleted profile, contacts, the primary.

Only the write path calls these, inside `holding.settle` and with the profile's lock.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from identities import contacts, lookup, overriding, routing_log
from identities.handles import mask
from identities.holding import Changed, Held, Taken, keep_rules
from identities.models import BUILT_IN, Extension, Handle, Identity, Pair, RoutingLogEntry
from profiles import auditing, inserting, reading
from profiles.auditing import By
from profiles.models import Audit, Move, Profile
from profiles.refusing import Refused

# What a take-over writes of a row; its pair and when it was made stay.
TAKEN_OVER = [
    "profile",
    "original",
    "is_primary",
    "is_active",
    "source",
    "brought_by",
    "brought_by_key",
    "addressed",
    "by_contact",
    "merged_from",
    "conflict",
    "token_generation",
    "updated_at",
]


def attach(
    identities: Collection[Identity],
    profile: Profile,
    *,
    held: Held,
    by: By,
    source: Extension | None,
    brought_by: Identity | None = None,
    by_contact: bool = False,
    conflict: int | None = None,
    payload: Mapping[str, Any] | None = None,
) -> list[Identity]:
    """Store these unsaved identities on the profile, sorted, so that two writers of the same pairs never deadlock.

    None of the pairs may belong to a live profile. `by_contact` marks those that nothing but a contact point brought
    here, `conflict` is the log entry whose decision they will follow. One that a deleted profile left behind keeps
    its row and id; the move and a `released_from` entry say where it came from. Returns the rows in the order of
    their pairs. Raises Changed when the rules of a handle are no longer those by which the identities were read.
    """
    if not identities:
        return []
    ordered = sorted(identities, key=lambda identity: identity.pair)
    primary = next((identity for identity in ordered if identity.is_primary), None)
    store = Store(held, by=by, source=source, payload=payload)
    for identity in ordered:
        identity.is_primary = identity is primary
        store.put(identity, profile, brought_by=brought_by, by_contact=by_contact, conflict=conflict)
    store.write()
    return store.rows


class Store:
    """Rows that are put on profiles or confirmed there: collected one by one, then written set by set.

    The audit tells of them in the order in which they came. The caller holds the profiles and the pairs.
    """

    def __init__(
        self, held: Held, *, by: By, source: Extension | None, payload: Mapping[str, Any] | None = None
    ) -> None:
        self.held, self.by, self.source, self.payload = held, by, source, payload
        self.rows: list[Identity] = []
        self._new: list[Identity] = []
        self._released: list[tuple[Identity, Profile, Profile]] = []
        self._confirmed: list[Identity] = []
        self._demoted: list[Identity] = []
        self._primary: dict[uuid.UUID, Identity] | None = None
        self._events: list[tuple[str, Identity, dict[str, Any], dict[str, Any]]] = []

    def put(
        self,
        identity: Identity,
        profile: Profile,
        *,
        brought_by: Identity | None = None,
        by_contact: bool = False,
        conflict: int | None = None,
    ) -> Identity:
        """Put an unsaved identity on the profile, or the row of its pair that a deleted profile has. Returns it.

        As the primary one it takes the mark off whichever has it, also off one that was put before.
        """
        row = self.held.identities.setdefault(identity.pair, identity)
        event, old = "created", {}
        if row is identity:
            self._new.append(row)
        else:
            event, old = "taken over", {"profile_id": str(row.profile_id)}
            self._released.append((row, self.held.profiles[row.profile_id], profile))
            row.handle, row.original, row.addressed = identity.handle, identity.original, identity.addressed
            row.is_active, row.is_primary = identity.is_active, identity.is_primary
            row.merged_from, row.updated_at = None, timezone.now()
            row.token_generation += 1
        row.profile, row.source, row.conflict_id, row.by_contact = profile, self.source, conflict, by_contact
        row.tag(brought_by)
        if row.is_primary:
            self._demote_for(row)
        self.rows.append(row)
        self._events.append((event, row, old, state(row)))
        return row

    def confirm(self, row: Identity, profile: Profile, handle: Handle) -> None:
        """Take the mark off a row of this profile that nothing but a contact point had brought."""
        row.profile, row.handle = profile, handle
        old = state(row)
        row.by_contact, row.updated_at = False, timezone.now()
        self._confirmed.append(row)
        self._events.append(("updated", row, old, state(row)))

    def write(self) -> None:
        """Write all of it. The new rows go in the order of their pairs, as with every writer.

        Raises Changed when the rules of a handle are no longer those by which the identities were read.
        """
        keep_rules(row.handle for row in (*self.rows, *self._confirmed))
        _unmark(self._demoted, "is_primary")
        _note_released(self._released, by=self.by, source=self.source, payload=self.payload)
        Identity.objects.bulk_update([row for row, _former, _profile in self._released], TAKEN_OVER)
        places = _places([row.pair for row in self._new])
        claimed = inserting.insert_telling(self._new, overriding.IS_CLAIMED, places=places)
        _unmark(self._confirmed, "by_contact")
        auditing.write(audited(event, row, by=self.by, old=old, new=new) for event, row, old, new in self._events)
        claimed += [row for row, _former, _profile in self._released]
        overriding.give_way(claimed, held=self.held, by=self.by, source=self.source, payload=self.payload)

    def _demote_for(self, row: Identity) -> None:
        if self._primary is None:
            rows = Identity.objects.filter(profile__in={row.profile_id, *self.held.profiles}, is_primary=True)
            self._primary = {one.profile_id: one for one in rows}
        former = self._primary.get(row.profile_id)
        self._primary[row.profile_id] = row
        if former is None:
            return
        former.profile = row.profile
        former.is_primary, former.updated_at = False, timezone.now()
        self._demoted.append(former)
        self._events.append(("updated", former, {"is_primary": True}, {"is_primary": False}))


def _places(pairs: Sequence[Pair]) -> list[int]:
    """Which place each of these pairs has among them all when they are sorted."""
    places = {pair: place for place, pair in enumerate(sorted(pairs))}
    return [places[pair] for pair in pairs]


def _unmark(rows: Iterable[Identity], mark: str) -> None:
    """Take this mark off those of the rows that are there already."""
    keys = [row.pk for row in rows if row.pk is not None]
    if keys:
        Identity.objects.filter(pk__in=keys).update(updated_at=timezone.now(), **{mark: False})


def release(row: Identity, profile: Profile, *, held: Held, by: By, source: Extension | None) -> None:
    """Free a pair that a deleted profile left behind, for a row that is to be changed to it and keeps its own id."""
    _note_released([(row, held.profiles[row.profile_id], profile)], by=by, source=source)
    row.delete()


def bring_back(rows: Collection[Identity], profile: Profile, *, held: Held, by: By, source: Extension | None) -> None:
    """Take rows that deleted profiles hold over to the profile that had their pairs before, as its undelete does.

    That writes no new pair: its spelling and who wrote it stay as they are, and reserved pairs come back too. One that
    is beyond the limits of its handle by now comes back inactive.
    """
    if not rows:
        return
    _note_released([(row, held.profiles[row.profile_id], profile) for row in rows], by=by, source=source)
    known = Handle.objects.keep({row.handle_id for row in rows})
    if any(handle.renamed_to_id is not None for handle in known.values()):
        raise Changed
    for row in rows:
        row.handle = known[row.handle_id]
    too_many = over_limit(rows, profile)
    old = {row.pk: {"profile_id": str(row.profile_id)} for row in rows}
    for row in rows:
        row.profile, row.addressed, row.conflict = profile, profile.pk, None
        row.tag(None)
        row.token_generation += 1
        row.is_active = row.is_active and row.pair not in too_many
        row.is_primary, row.merged_from, row.updated_at = False, None, timezone.now()
    Identity.objects.bulk_update(rows, TAKEN_OVER)
    auditing.write(audited("taken over", row, by=by, old=old[row.pk], new=state(row)) for row in rows)


def _note_released(
    rows: Collection[tuple[Identity, Profile, Profile]],
    *,
    by: By,
    source: Extension | None,
    payload: Mapping[str, Any] | None = None,
) -> None:
    """Log that pairs of deleted profiles go to others; the moves are what undelete reads to name what is gone.

    In: the rows, each with the profile that it leaves and the one that gets it.
    """
    if not rows:
        return
    payload = payload or {}
    routing_log.note_all(
        (
            RoutingLogEntry(
                outcome=RoutingLogEntry.Outcome.RELEASED_FROM,
                kind="identity",
                handle=row.handle_id,
                identifier=row.identifier,
                requested_profile=former,
                routed_profile=profile,
                candidates=[former.pk],
                payload=payload,
                source=source,
                by=by.user,
            ),
            [row.pair],
        )
        for row, former, profile in rows
    )
    Move.objects.bulk_create(
        Move(
            subject_type="identity",
            subject_key=str(row.pk),
            handle=row.handle_id,
            identifier=row.identifier,
            from_profile=former,
            to_profile=profile,
            cause=Move.Cause.RELEASED,
            by=by.user,
        )
        for row, former, profile in rows
    )


def set_contact(
    profile: Profile,
    handle: str,
    identity: Identity | None,
    *,
    held: Held,
    by: By,
    source: Extension | None,
    brought_by: Identity | None = None,
    named: uuid.UUID | None = None,
) -> None:
    """Make the profile show this contact point, or none; the caller saves the profile.

    A pair that the profile holds already is only shown; a new one replaces the pair that was shown. With `named`, the
    merged id that the caller knows the profile by, a shown pair that has not come from there stays held: whoever names
    the duplicate speaks of that one's contact points, and an undo must be able to give each side its own back, which
    it cannot once they are deleted. Raises Refused `identity_taken` when it is another live profile's.
    """
    current = contacts.shown(profile, handle)
    if identity is not None and current is not None and current.pair == identity.pair:
        return
    if identity is not None and held.owner(identity.pair) == profile:
        contacts.show(profile, handle, held.identities[identity.pair])
        return
    if identity is not None:
        refuse_taken_contact(identity, profile, held=held, by=by, source=source)
    if current is not None and gives_way(current, named=named):
        auditing.write([audited("deleted", current, by=by, old=state(current))])
        current.delete()
    if identity is not None:
        (identity,) = attach([identity], profile, held=held, by=by, source=source, brought_by=brought_by)
    contacts.show(profile, handle, identity)


def gives_way(current: Identity, *, named: uuid.UUID | None) -> bool:
    """Whether the contact point that is shown is deleted for a new one. In: as for `set_contact`."""
    return named is None or named in (current.merged_from_id, current.addressed)


def refuse_taken_contact(
    identity: Identity, profile: Profile | None, *, held: Held, by: By, source: Extension | None
) -> None:
    owner = held.owner(identity.pair)
    if owner is not None and owner != profile:
        message = contacts.TAKEN[identity.handle_id]
        raise taken(identity, owner=owner, requested=profile, by=by, source=source, kind="profile", message=message)


def taken(
    identity: Identity,
    *,
    owner: Profile,
    requested: Profile | None,
    by: By,
    source: Extension | None,
    kind: str = "identity",
    message: str | None = None,
) -> Taken:
    """The refusal of a pair that another live profile holds (API.md 2), with its entry in the routing log."""
    entry = RoutingLogEntry(
        outcome=RoutingLogEntry.Outcome.IDENTITY_TAKEN,
        kind=kind,
        handle=identity.handle_id,
        identifier=identity.identifier,
        requested_profile=requested if requested is not None and not requested._state.adding else None,
        candidates=[owner.pk],
        payload={"identities": [{"handle": identity.handle_id, "identifier": identity.shown}]},
        source=source,
        by=by.user,
    )
    return Taken(
        message or _("Another profile has this identity."),
        field=identity.handle_id if identity.handle_id in BUILT_IN else "identifier",
        owner=owner,
        pair=identity.pair,
        entry=entry,
    )


class Limits:
    """How many identities profiles have of the handles that limit them, counting on as more are put on them.

    A single-valued handle counts active identities only, since a merge keeps the other one inactive;
    `max_per_profile` counts all.
    """

    def __init__(self, wanted: Iterable[tuple[Identity, uuid.UUID]]) -> None:
        """In: the identities that may be put on profiles, with these; rows that have a key do not count as there.

        One statement, and none where no handle is limited.
        """
        self._all: Counter[tuple[uuid.UUID, str]] = Counter()
        self._active: Counter[tuple[uuid.UUID, str]] = Counter()
        limited = [(one, pk) for one, pk in wanted if _is_limited(one.handle)]
        if not limited:
            return
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT profile_id, handle, count(*), count(*) FILTER (WHERE is_active) FROM identities_identity
                WHERE profile_id = ANY (%s) AND handle = ANY (%s) AND id <> ALL (%s) GROUP BY profile_id, handle
                """,
                [
                    list({pk for _one, pk in limited}),
                    list({one.handle_id for one, _pk in limited}),
                    [one.pk for one, _pk in limited if one.pk is not None],
                ],
            )
            for pk, handle, every, active in cursor.fetchall():
                self._all[pk, handle], self._active[pk, handle] = every, active

    def take(self, one: Identity, pk: uuid.UUID) -> Refused | None:
        """Count one more on this profile, or say why there is no room for it."""
        handle = one.handle
        if not _is_limited(handle):
            return None
        there = pk, handle.name
        too_many = handle.max_per_profile is not None and self._all[there] >= handle.max_per_profile
        if too_many or (handle.single_valued and one.is_active and self._active[there]):
            message = _("A profile cannot have more identities of the handle %(handle)s.") % {"handle": handle.name}
            return Refused("too_many_identities", message, field="handle")
        self._all[there] += 1
        self._active[there] += one.is_active
        return None


def _is_limited(handle: Handle) -> bool:
    return handle.single_valued or bool(handle.max_per_profile)


def over_limit(identities: Collection[Identity], profile: Profile) -> dict[Pair, Refused]:
    """Which of these would break their handle's limits on the profile, and the refusal of each."""
    limits = Limits((one, profile.pk) for one in identities)
    refusals = [(one.pair, limits.take(one, profile.pk)) for one in identities]
    return {pair: refusal for pair, refusal in refusals if refusal is not None}


def refuse_over_limit(identity: Identity, profile: Profile) -> None:
    refusal = Limits([(identity, profile.pk)]).take(identity, profile.pk)
    if refusal is not None:
        raise refusal


def demote(profile: Profile, *, by: By) -> None:
    """Take the primary mark off whichever identity of the profile has it."""
    for row in profile.identities.filter(is_primary=True):
        row.is_primary, row.updated_at = False, timezone.now()
        row.save(update_fields=["is_primary", "updated_at"])
        auditing.write([audited("updated", row, by=by, old={"is_primary": True}, new={"is_primary": False})])


def state(row: Identity) -> dict[str, Any]:
    """What the audit says of an identity; the identifier of a sensitive handle is masked there too."""
    return {
        "handle": row.handle_id,
        "identifier": mask(row.identifier) if row.handle.sensitive else row.identifier,
        "is_primary": row.is_primary,
        "is_active": row.is_active,
        "profile_id": str(row.profile_id),
        **({"by_contact": True} if row.by_contact else {}),
    }


def audited(event: str, row: Identity, *, by: By, **values: Mapping[str, Any]) -> Audit:
    """The audit entry of one change of an identity. That of its end is to be written before it is deleted."""
    entry = auditing.entry(event, row, by=by, profile=row.profile, **values)
    entry.is_hidden = row.handle_id in BUILT_IN
    if event == "deleted" and not entry.is_hidden:
        entry.facts = lambda: [{"gone": reading.from_json(lookup.identities([row.pk])[0])}]
    return entry
