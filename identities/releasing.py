"""Delete and undelete profiles. A deleted profile keeps its rows, but its pairs are free for whoever writes them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from identities import contacts, lookup, matching
from identities.attaching import bring_back
from identities.holding import Changed, deleted, hold, settle
from identities.models import EMAIL, MOBILE_PHONE, Extension, Pair
from identities.moving import refuse_merged
from profiles import auditing, reading
from profiles.auditing import By
from profiles.models import Move, Profile
from profiles.refusing import Refused


@dataclass(frozen=True, slots=True)
class NotReturned:
    """A pair that was taken from a deleted profile, and who has it now: nobody, where it has been deleted since."""

    pair: Pair
    owner: Profile | None


@dataclass(frozen=True, slots=True)
class Retyped:
    """A profile after its type has changed; an undelete also says what did not come back."""

    profile: Profile
    not_returned: list[NotReturned] = field(default_factory=list)
    contacts_changed: list[str] = field(default_factory=list)


def delete(profile_id: uuid.UUID, *, by: By) -> Profile:
    """Delete a profile softly (API.md 3): it answers by its id, matches nothing, and can be undeleted.

    Raises Profile.DoesNotExist, and Refused `already_merged` or `profile_deleted`.
    """

    def attempt() -> Profile:
        profile = _literal(Profile.objects.lock([profile_id]).get(profile_id))
        if not profile.is_live:
            raise Refused("profile_deleted", _("This profile is deleted already."))
        return _retype(profile, Profile.Type.DELETED, "deleted", by=by)

    return settle(attempt)


def change_type(
    profile_id: uuid.UUID,
    profile_type: str,
    *,
    literal: bool = True,
    undelete: bool = True,
    by: By,
    source: Extension | None,
) -> Retyped:
    """Give a profile another type; from `deleted`, that undeletes it, unless it must not: Refused `profile_deleted`.
    Where the id is not meant literally, a merged one means its survivor.

    Its pairs match again. Of those that were taken over since, the ones that are free by now, because whoever had
    them last is deleted too, come back like any take-over; the others are named in `not_returned` with the profile
    that has them now. A shown contact that is gone gives way to the oldest that is left (`contacts_changed`).
    `source` is the extension that asks, for the log. Raises Profile.DoesNotExist, and Refused `already_merged`.
    """

    def attempt() -> Retyped:
        pk = profile_id if literal else Profile.objects.surviving(profile_id).pk
        released = _released(pk)
        held = hold(released, profile_ids=[pk], refuse_erased=False)
        profile = _literal(held.profiles.get(pk)) if literal else held.meant(pk, named=profile_id)
        if profile.profile_type == profile_type:
            return Retyped(profile)
        if profile_type == Profile.Type.DELETED:
            return Retyped(_retype(profile, profile_type, "deleted", by=by))
        if profile.is_live:
            return Retyped(_retype(profile, profile_type, "updated", by=by))
        if not undelete:
            raise deleted()
        if _released(pk) != released:
            raise Changed
        free, gone = [], []
        for pair in released:
            row, owner = held.identities.get(pair), held.owner(pair)
            if row is None or owner is not None:
                gone.append(NotReturned(pair, owner))
            elif row.profile_id != profile.pk:
                free.append(row)
        bring_back(free, profile, held=held, by=by, source=source)
        before = {EMAIL: profile.email, MOBILE_PHONE: profile.mobile_phone}
        changed = contacts.show_what_is_left(profile)
        shown_before = {name: before[name] for name in changed}
        return Retyped(_retype(profile, profile_type, "undeleted", by=by, old=shown_before), gone, changed)

    return settle(attempt)


def _released(profile_id: uuid.UUID) -> list[Pair]:
    """The pairs that others have taken from a profile since it was deleted, as they are called today, in that order.

    None, once it is undeleted. The moment of the deletion is told by clocks: where those of two machines differ, a
    pair that was taken within the difference after it is forgotten.
    """
    moves = Move.objects.filter(
        from_profile=profile_id,
        subject_type="identity",
        cause=Move.Cause.RELEASED,
        at__gte=F("from_profile__deleted_at"),
    )
    pairs = [Pair(*pair) for pair in moves.order_by("pk").values_list("handle", "identifier")]
    return list(dict.fromkeys(matching.current_pairs(pairs)))


def _literal(profile: Profile | None) -> Profile:
    if profile is None:
        raise Profile.DoesNotExist
    refuse_merged(profile)
    return profile


def _retype(
    profile: Profile, profile_type: str, event: str, *, by: By, old: Mapping[str, Any] | None = None
) -> Profile:
    """Save the profile with another type, and audit that together with the columns whose `old` values are given."""
    now = timezone.now()
    old = {"profile_type": profile.profile_type, **(old or {})}
    profile.profile_type, profile.updated_at = profile_type, now
    profile.deleted_at = now if profile_type == Profile.Type.DELETED else None
    profile.save()
    new = {name: getattr(profile, name) for name in old}
    entry = auditing.entry(event, profile, by=by, profile=profile, old=old, new=new)
    if event == "deleted":
        # Its pairs are free from now on, and others may have them when the event is taken up.
        entry.facts = lambda: [{"gone": reading.from_json(lookup.profile(profile.pk) or "null")}]
    auditing.write([entry])
    return profile
