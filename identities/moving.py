"""Move one identity to another profile: asked for, audited, and taken back by moving it again."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from django.utils import timezone
from django.utils.translation import gettext as _

from identities import contacts
from identities.attaching import audited, refuse_over_limit, state
from identities.holding import Changed, hold, keep_rules, settle
from identities.models import BUILT_IN, Identity
from profiles import auditing
from profiles.auditing import By
from profiles.models import Move, Profile
from profiles.refusing import Refused


@dataclass(frozen=True, slots=True)
class Preview:
    """What a move would do besides giving the pair away. `hindrance` is the sentence of its refusal, if any.

    `former_shows` is the contact that the profile which loses it would show instead ("" for none); None when it
    shows another one anyway.
    """

    identity: Identity
    profile: Profile
    hindrance: str = ""
    takes_back: bool = False
    loses_primary: bool = False
    former_shows: str | None = None
    is_shown_there: bool = False


def preview(identity: Identity, profile: Profile) -> Preview:
    """Tell what `move` would do now; reads only, locks nothing, and so may be overtaken.

    In: an identity with its handle and profile, and the profile that it would go to.
    """
    former = identity.profile
    if of_the_dead(identity):
        return Preview(identity, profile, of_the_dead(identity))
    try:
        _literal(profile)
        if profile == former:
            raise Refused("same_profile", _("This profile has it already."))
        refuse_over_limit(identity, profile)
    except Refused as refusal:
        return Preview(identity, profile, refusal.message)
    last = _last_move(identity)
    former_shows, is_shown_there = None, False
    if identity.handle_id in BUILT_IN:
        is_shown_there = contacts.shown(profile, identity.handle_id) is None
        if contacts.shown(former, identity.handle_id) == identity:
            left = former.identities.filter(handle=identity.handle_id).exclude(pk=identity.pk).order_by("pk").first()
            former_shows = left.shown if left else ""
    return Preview(
        identity,
        profile,
        takes_back=last is not None and (last.from_profile_id, last.to_profile_id) == (profile.pk, former.pk),
        loses_primary=identity.is_primary,
        former_shows=former_shows,
        is_shown_there=is_shown_there,
    )


@dataclass(frozen=True, slots=True)
class Moved:
    """An identity on its new profile, and the columns that show another contact point for it, on either side."""

    identity: Identity
    contacts_changed: list[contacts.Changed] = field(default_factory=list)


def of_the_dead(identity: Identity) -> str:
    """Why nothing can be done with an identity whose profile no longer stands for anybody, or nothing."""
    return "" if identity.profile.is_live else _("Its profile is deleted or was merged into another.")


def move(identity_id: int, *, to: uuid.UUID, reason: str, by: By) -> Moved:
    """Give an identity to another profile; the pair goes alone, what it brought stays.

    Reserved pairs move like all others, since the pair itself does not change. The identity is no longer primary.
    A contact point that was shown gives way to the oldest that is left, and is shown by its new profile if that has
    none; `contacts_changed` says so. Moving a pair back takes the earlier move back. Ids are literal (API.md 3):
    raises Identity.DoesNotExist, Profile.DoesNotExist, and Refused `already_merged` with the survivor,
    `profile_deleted`, `too_many_identities`.
    """

    def attempt() -> Moved:
        row = Identity.objects.select_related("handle").get(pk=identity_id)
        held = hold([row.pair], profile_ids=[row.profile_id, to])
        current = held.identities.get(row.pair)
        if current is None or current.pk != row.pk:
            raise Changed
        current.handle = row.handle
        former = held.live(current.profile_id)
        profile = _literal(held.profiles.get(to))
        current.profile = former
        if former == profile:
            return Moved(current)
        keep_rules([current.handle])
        refuse_over_limit(current, profile)
        old = state(current)
        current.profile, current.is_primary, current.updated_at = profile, False, timezone.now()
        current.save()
        _record(current, former, profile, reason=reason, by=by)
        changed = _show_contacts(current, former, profile, by=by) if current.handle_id in BUILT_IN else []
        audited("moved", current, by=by, old=old, new=state(current)).save()
        return Moved(current, changed)

    return settle(attempt)


def _literal(profile: Profile | None) -> Profile:
    if profile is None:
        raise Profile.DoesNotExist
    refuse_merged(profile)
    if not profile.is_live:
        raise Refused("profile_deleted", _("This profile is deleted; undelete it before you move anything to it."))
    return profile


def refuse_merged(profile: Profile) -> None:
    """Refuse an operation that is about the profile itself, where its id must not stand for the survivor."""
    if profile.merged_into_id is not None:
        survivor = Profile.objects.surviving(profile.pk)
        message = _("This profile was merged into %(survivor)s.") % {"survivor": survivor.pk}
        raise Refused("already_merged", message, survivor_id=str(survivor.pk))


def _record(row: Identity, former: Profile, profile: Profile, *, reason: str, by: By) -> None:
    """Write the move, or mark the last one as undone when this one takes the pair back."""
    last = _last_move(row)
    if last is not None and (last.from_profile, last.to_profile) == (profile, former):
        last.undone_at = timezone.now()
        last.save(update_fields=["undone_at"])
    Move.objects.create(
        subject_type="identity",
        subject_key=str(row.pk),
        handle=row.handle_id,
        identifier=row.identifier,
        from_profile=former,
        to_profile=profile,
        reason=reason,
        by=by.user,
        undone_at=last.undone_at if last is not None else None,
    )


def _last_move(row: Identity) -> Move | None:
    moves = Move.objects.filter(subject_type="identity", subject_key=str(row.pk), undone_at=None)
    return moves.order_by("pk").last()


def _show_contacts(row: Identity, former: Profile, profile: Profile, *, by: By) -> list[contacts.Changed]:
    column = row.handle_id
    before = {one.pk: getattr(one, column) for one in (former, profile)}
    contacts.show_what_is_left(former)
    if contacts.shown(profile, row.handle_id) is None:
        contacts.show(profile, row.handle_id, row)
    changed = [one for one in (former, profile) if getattr(one, column) != before[one.pk]]
    for one in changed:
        one.updated_at = timezone.now()
        one.save()
        old, new = {column: before[one.pk]}, {column: getattr(one, column)}
        auditing.write([auditing.entry("updated", one, by=by, profile=one, old=old, new=new)])
    return [contacts.Changed(one, column) for one in changed]
