"""Delete and undelete profiles. A deleted profile keeps its rows, but its pairs are free for whoever writes them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from django.utils import timezone
from django.utils.translation import gettext as _

from identities import contacts
from identities.holding import settle
from identities.moving import refuse_merged
from profiles import auditing
from profiles.auditing import By
from profiles.models import Move, Profile
from profiles.refusing import Refused


@dataclass(frozen=True, slots=True)
class Retyped:
    """A profile after its type has changed; an undelete also says what did not come back."""

    profile: Profile
    not_returned: list[Move] = field(default_factory=list)
    contacts_changed: list[str] = field(default_factory=list)


def delete(profile_id: uuid.UUID, *, by: By) -> Profile:
    """Delete a profile softly (API.md 3): it answers by its id, matches nothing, and can be undeleted.

    Raises Profile.DoesNotExist, and Refused `already_merged` or `profile_deleted`.
    """

    def attempt() -> Profile:
        profile = _lock(profile_id)
        if not profile.is_live:
            raise Refused("profile_deleted", _("This profile is deleted already."))
        return _retype(profile, Profile.Type.DELETED, "deleted", by=by)

    return settle(attempt)


def change_type(profile_id: uuid.UUID, profile_type: str, *, by: By) -> Retyped:
    """Give a profile another type; from `deleted`, that undeletes it.

    The pairs that nobody has taken since match again; those that somebody has are named in `not_returned`. A shown
    contact that is gone gives way to the oldest that is left (`contacts_changed`). Raises Profile.DoesNotExist, and
    Refused `already_merged`.
    """

    def attempt() -> Retyped:
        profile = _lock(profile_id)
        if profile.profile_type == profile_type:
            return Retyped(profile)
        if profile_type == Profile.Type.DELETED:
            return Retyped(_retype(profile, profile_type, "deleted", by=by))
        if profile.is_live:
            return Retyped(_retype(profile, profile_type, "updated", by=by))
        gone = Move.objects.filter(from_profile=profile, cause=Move.Cause.RELEASED, at__gte=profile.deleted_at)
        changed = contacts.show_what_is_left(profile)
        _retype(profile, profile_type, "undeleted", by=by)
        return Retyped(profile, not_returned=list(gone), contacts_changed=changed)

    return settle(attempt)


def _lock(profile_id: uuid.UUID) -> Profile:
    profile = Profile.objects.lock([profile_id]).get(profile_id)
    if profile is None:
        raise Profile.DoesNotExist
    refuse_merged(profile)
    return profile


def _retype(profile: Profile, profile_type: str, event: str, *, by: By) -> Profile:
    old, now = profile.profile_type, timezone.now()
    profile.profile_type, profile.updated_at = profile_type, now
    profile.deleted_at = now if profile_type == Profile.Type.DELETED else None
    profile.save()
    values = {"old": {"profile_type": old}, "new": {"profile_type": profile_type}}
    auditing.write([auditing.entry(event, profile, by=by, profile=profile, **values)])
    return profile
