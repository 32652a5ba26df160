"""Put pairs on a profile that is held: new rows, rows taken over from a deleted profile, contacts, the primary.

Only the write path calls these, inside `holding.settle` and with the profile's lock.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from identities import contacts, routing_log
from identities.handles import mask
from identities.holding import Changed, Held, Taken, keep_rules
from identities.models import BUILT_IN, Extension, Handle, Identity, Pair, RoutingLogEntry
from profiles import auditing
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
    keep_rules(identity.handle for identity in identities)
    ordered = sorted(identities, key=lambda identity: identity.pair)
    if any(identity.is_primary for identity in ordered):
        demote(profile, by=by)
    primary = next((identity for identity in ordered if identity.is_primary), None)
    released = [held.identities[identity.pair] for identity in ordered if identity.pair in held.identities]
    _release(released, profile, held=held, by=by, source=source, payload=payload)
    rows, new = [], []
    for identity in ordered:
        row = held.identities.get(identity.pair)
        if row is None:
            row = identity
            new.append(row)
        else:
            row.handle, row.original, row.addressed = identity.handle, identity.original, identity.addressed
            row.is_active = identity.is_active
        row.profile, row.source, row.conflict_id = profile, source, conflict
        row.tag(brought_by)
        row.is_primary, row.by_contact = identity is primary, by_contact
        rows.append(row)
    Identity.objects.bulk_create(new)
    for row in released:
        row.merged_from, row.updated_at = None, timezone.now()
    Identity.objects.bulk_update(released, TAKEN_OVER)
    taken_over = {row.pk for row in released}
    auditing.write(
        audited("taken over" if row.pk in taken_over else "created", row, by=by, new=state(row)) for row in rows
    )
    return rows


def release(row: Identity, profile: Profile, *, held: Held, by: By, source: Extension | None) -> None:
    """Free a pair that a deleted profile left behind, for a row that is to be changed to it and keeps its own id."""
    _release([row], profile, held=held, by=by, source=source)
    row.delete()


def bring_back(rows: Collection[Identity], profile: Profile, *, held: Held, by: By, source: Extension | None) -> None:
    """Take rows that deleted profiles hold over to the profile that had their pairs before, as its undelete does.

    That writes no new pair: its spelling and who wrote it stay as they are, and reserved pairs come back too. One that
    is beyond the limits of its handle by now comes back inactive.
    """
    if not rows:
        return
    _release(rows, profile, held=held, by=by, source=source)
    known = Handle.objects.keep({row.handle_id for row in rows})
    if any(handle.renamed_to_id is not None for handle in known.values()):
        raise Changed
    for row in rows:
        row.handle = known[row.handle_id]
    too_many = over_limit(rows, profile)
    for row in rows:
        row.profile, row.addressed, row.conflict = profile, profile.pk, None
        row.tag(None)
        row.is_active = row.is_active and row.pair not in too_many
        row.is_primary, row.merged_from, row.updated_at = False, None, timezone.now()
    Identity.objects.bulk_update(rows, TAKEN_OVER)
    auditing.write(audited("taken over", row, by=by, new=state(row)) for row in rows)


def _release(
    rows: Collection[Identity],
    profile: Profile,
    *,
    held: Held,
    by: By,
    source: Extension | None,
    payload: Mapping[str, Any] | None = None,
) -> None:
    """Log that pairs of deleted profiles go to another; the moves are what undelete reads to name what is gone."""
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
                requested_profile=held.profiles[row.profile_id],
                routed_profile=profile,
                candidates=[row.profile_id],
                payload=payload,
                source=source,
                by=by.user,
            ),
            [row.pair],
        )
        for row in rows
    )
    Move.objects.bulk_create(
        Move(
            subject_type="identity",
            subject_key=str(row.pk),
            handle=row.handle_id,
            identifier=row.identifier,
            from_profile=held.profiles[row.profile_id],
            to_profile=profile,
            cause=Move.Cause.RELEASED,
            by=by.user,
        )
        for row in rows
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
    if current is not None and (named is None or named in (current.merged_from_id, current.addressed)):
        auditing.write([audited("deleted", current, by=by, old=state(current))])
        current.delete()
    if identity is not None:
        (identity,) = attach([identity], profile, held=held, by=by, source=source, brought_by=brought_by)
    contacts.show(profile, handle, identity)


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


def over_limit(identities: Collection[Identity], profile: Profile) -> dict[Pair, Refused]:
    """Which of these would break their handle's limits on the profile, and the refusal of each.

    A single-valued handle counts active identities only, since a merge keeps the other one inactive;
    `max_per_profile` counts all.
    """
    limited = [one for one in identities if one.handle.single_valued or one.handle.max_per_profile]
    if not limited:
        return {}
    names = {one.handle_id for one in limited}
    held = [row for row in profile.identities.filter(handle__in=names) if row not in limited]
    every = Counter(row.handle_id for row in held)
    active = Counter(row.handle_id for row in held if row.is_active)
    refusals = {}
    for one in limited:
        handle = one.handle
        too_many = handle.max_per_profile is not None and every[handle.name] >= handle.max_per_profile
        if too_many or (handle.single_valued and one.is_active and active[handle.name]):
            message = _("A profile cannot have more identities of the handle %(handle)s.") % {"handle": handle.name}
            refusals[one.pair] = Refused("too_many_identities", message, field="handle")
            continue
        every[handle.name] += 1
        active[handle.name] += one.is_active
    return refusals


def refuse_over_limit(identity: Identity, profile: Profile) -> None:
    refusal = over_limit([identity], profile).get(identity.pair)
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
    return auditing.entry(event, row, by=by, profile=row.profile, **values)
