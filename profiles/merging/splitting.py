"""Split a profile: chosen identities leave it, with the records that they brought (API.md 5)."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.utils import timezone
from django.utils.translation import gettext as _

from identities import contacts, moving
from identities.attaching import over_limit
from identities.holding import settle
from identities.models import Identity
from profiles import auditing
from profiles.auditing import By
from profiles.merging import rows
from profiles.models import Move, Profile
from profiles.refusing import Refused


@dataclass(slots=True)
class Split:
    """What a split does, or would do.

    `profile` is the one that the identities go to, None in the preview of a split into a new one. `records` counts by
    kind what goes along; `stay` are identities that the chosen ones brought and that were not chosen. `primary` is
    the primary identity of the former profile, if that goes: it then has none.
    """

    former: Profile
    profile: Profile | None
    identities: list[Identity]
    records: dict[str, int] = field(default_factory=dict)
    stay: list[Identity] = field(default_factory=list)
    primary: Identity | None = None
    contacts_changed: list[contacts.Changed] = field(default_factory=list)


def preview_split(profile_id: uuid.UUID, identity_ids: Sequence[int], *, to: uuid.UUID | None = None) -> Split:
    """Tell what `split` would do now; reads only, and so may be overtaken. Raises as `split` does."""
    former = Profile.objects.get(pk=profile_id)
    return _work_out(former, identity_ids, None if to is None else Profile.objects.get(pk=to))


def split(
    profile_id: uuid.UUID, identity_ids: Sequence[int], *, to: uuid.UUID | None = None, reason: str = "", by: By
) -> Split:
    """Let chosen identities, contact points among them, leave for a new profile, or for the one that `to` names.

    The records on this profile that they brought go along; identities that they brought stay unless chosen, and are
    named. The founder may leave like any other, but not the last. Ids are literal (API.md 3): raises
    Profile.DoesNotExist, Identity.DoesNotExist, and Refused `last_identity`, `same_profile`, `already_merged` with
    the survivor, `profile_deleted`, `too_many_identities`, `invalid` where nothing is chosen.
    """

    def attempt() -> Split:
        held = Profile.objects.lock({profile_id, *([] if to is None else [to])})
        if profile_id not in held or (to is not None and to not in held):
            raise Profile.DoesNotExist
        told = _work_out(held[profile_id], identity_ids, None if to is None else held[to])
        _write(told, reason=reason, by=by, at=timezone.now())
        return told

    return settle(attempt)


def _work_out(former: Profile, identity_ids: Sequence[int], profile: Profile | None) -> Split:
    moving.literal(former)
    if profile is not None:
        moving.literal(profile)
    if profile == former:
        raise Refused("same_profile", _("They are on this profile already; name another one, or none for a new one."))
    chosen = set(identity_ids)
    if not chosen:
        raise Refused("invalid", _("Choose the identities that are to leave."), field="identity_ids")
    held = former.identities.select_related("handle").order_by("pk")
    going = list(held.filter(pk__in=chosen))
    if len(going) < len(chosen):
        raise Identity.DoesNotExist
    if not former.identities.exclude(pk__in=chosen).exists():
        message = _("Nothing would be left by which this profile is known; merge it with the other profile instead.")
        raise Refused("last_identity", message, field="identity_ids")
    if profile is not None:
        for refusal in over_limit(going, profile).values():
            raise refusal
    return Split(
        former,
        profile,
        going,
        rows.count_brought(former.pk, [row.pk for row in going]),
        list(held.filter(brought_by__in=going).exclude(pk__in=chosen)),
        next((row for row in going if row.is_primary), None),
    )


def _write(told: Split, *, reason: str, by: By, at: datetime.datetime) -> None:
    former, going = told.former, told.identities
    if told.profile is None:
        told.profile = Profile()
        told.profile.save(force_insert=True)
        auditing.write([auditing.entry("created", told.profile, by=by, profile=told.profile)])
    profile = told.profile
    came_from, cause = {row.pk: former for row in going}, Move.Cause.SPLIT
    told.contacts_changed = moving.hand_over(going, came_from, profile, reason=reason, by=by, cause=cause)
    rows.split_off(former.pk, profile.pk, [row.pk for row in going], reason=reason, by=by, at=at)
    new = {"profile_id": profile.pk, "identities": [row.pk for row in going], "reason": reason, **told.records}
    auditing.write([auditing.entry("split", former, by=by, profile=former, new=new)])
