"""Move one identity to another profile: asked for, audited, and taken back by moving it again."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from django.db.models import F, QuerySet, UUIDField, Value
from django.db.models.functions import NullIf
from django.utils import timezone
from django.utils.translation import gettext as _

from identities import contacts, overriding
from identities.attaching import audited, refuse_over_limit, state
from identities.holding import Changed, hold, keep_rules, settle
from identities.models import BUILT_IN, Identity
from profiles import auditing
from profiles.auditing import By
from profiles.models import Move, Profile, Record
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
        literal(profile)
        if profile == former:
            raise Refused("same_profile", _("This profile has it already."))
        refuse_over_limit(identity, profile)
    except Refused as refusal:
        return Preview(identity, profile, refusal.message)
    former_shows, is_shown_there = None, False
    if identity.handle_id in BUILT_IN:
        is_shown_there = contacts.shown(profile, identity.handle_id) is None
        if contacts.shown(former, identity.handle_id) == identity:
            left = former.identities.filter(handle=identity.handle_id).exclude(pk=identity.pk).order_by("pk").first()
            former_shows = left.shown if left else ""
    return Preview(
        identity,
        profile,
        takes_back=takes_back(identity, former, profile),
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
        profile = literal(held.profiles.get(to))
        current.profile = former
        if former == profile:
            return Moved(current)
        refuse_over_limit(current, profile)
        return Moved(current, hand_over([current], {current.pk: former}, profile, reason=reason, by=by))

    return settle(attempt)


def hand_over(
    rows: Sequence[Identity],
    former: Mapping[int, Profile],
    profile: Profile,
    *,
    reason: str,
    by: By,
    cause: str = Move.Cause.ASKED,
) -> list[contacts.Changed]:
    """Give identities to another profile: what a move, a decision in the log and a split have in common.

    In: rows with their handles, by their keys the profiles that they come from, all of which are held, and the limits
    of the handles looked at. None is primary any more; one that is back where a merge took it from came from nowhere
    else. Returns the columns that show another contact point.
    """
    keep_rules(row.handle for row in rows)
    old, now = {row.pk: state(row) for row in rows}, timezone.now()
    for row in rows:
        row.profile, row.is_primary, row.updated_at = profile, False, now
        row.merged_from_id = None if row.merged_from_id == profile.pk else row.merged_from_id
        row.token_generation += 1
    came_from = NullIf(F("merged_from"), Value(profile.pk, output_field=UUIDField()))
    moved = Identity.objects.filter(pk__in=[row.pk for row in rows])
    moved.update(
        profile=profile,
        is_primary=False,
        merged_from=came_from,
        token_generation=F("token_generation") + 1,
        updated_at=now,
    )
    note_moves(rows, former, profile, reason=reason, by=by, cause=cause)
    changed = []
    for row in rows:
        if row.handle_id in BUILT_IN:
            changed += show_contacts(row, former[row.pk], profile, by=by)
    auditing.write(audited("moved", row, by=by, old=old[row.pk], new=state(row)) for row in rows)
    overriding.become(rows, by=by)
    return changed


def literal(profile: Profile | None) -> Profile:
    """The profile that something may move to. Its id must not stand for another (API.md 3)."""
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


def note_moves(
    rows: Sequence[Identity | Record],
    former: Mapping[int, Profile | None],
    profile: Profile | None,
    *,
    reason: str,
    by: By,
    cause: str = Move.Cause.ASKED,
) -> None:
    """Write the moves of rows of one kind, or mark their last ones as undone where these take the rows back.

    In: the rows, and by their keys the profiles that they came from. Three statements, however many.
    """
    if not rows:
        return
    now = timezone.now()
    subject_type = subject_type_of(rows[0])
    last = {move.subject_key: move for move in standing(subject_type, [row.pk for row in rows])}
    undone, moves = [], []
    for row in rows:
        before, came_from = last.get(str(row.pk)), former[row.pk]
        takes_back = before is not None and (before.from_profile_id, before.to_profile_id) == (
            profile.pk if profile else None,
            came_from.pk if came_from else None,
        )
        if before is not None and takes_back:
            before.undone_at = now
            undone.append(before)
        moves.append(
            Move(
                subject_type=subject_type,
                subject_key=str(row.pk),
                handle=row.handle_id if isinstance(row, Identity) else "",
                identifier=row.identifier if isinstance(row, Identity) else "",
                from_profile=came_from,
                to_profile=profile,
                cause=cause,
                reason=reason,
                by=by.user,
                undone_at=now if takes_back else None,
            )
        )
    Move.objects.bulk_update(undone, ["undone_at"])
    Move.objects.bulk_create(moves)


def subject_type_of(row: Identity | Record) -> str:
    return "identity" if isinstance(row, Identity) else row.kind


def standing(subject_type: str, keys: Collection[int]) -> QuerySet[Move]:
    """The moves of these rows that somebody decided and nobody has taken back, the oldest first."""
    subjects = [str(key) for key in keys]
    return (
        Move.objects.filter(subject_type=subject_type, subject_key__in=subjects, undone_at=None)
        .exclude(cause=Move.Cause.ROUTED)
        .order_by("pk")
    )


def last_move(row: Identity | Record) -> Move | None:
    """The newest move of a row that still stands."""
    return standing(subject_type_of(row), [row.pk]).last()


def takes_back(row: Identity | Record, former: Profile | None, profile: Profile | None) -> bool:
    """Whether a move of this row from one profile to another would take its newest one that stands back."""
    last = last_move(row)
    way_back = (profile.pk if profile else None, former.pk if former else None)
    return last is not None and (last.from_profile_id, last.to_profile_id) == way_back


def show_contacts(row: Identity, former: Profile, profile: Profile, *, by: By) -> list[contacts.Changed]:
    column = row.handle_id
    before = {one.pk: getattr(one, column) for one in (former, profile)}
    # No more than this one, which is what is saved and audited below: the other may be on its way, too.
    contacts.show_what_is_left(former, [column])
    if contacts.shown(profile, row.handle_id) is None:
        contacts.show(profile, row.handle_id, row)
    changed = [one for one in (former, profile) if getattr(one, column) != before[one.pk]]
    for one in changed:
        one.updated_at = timezone.now()
        one.save()
        old, new = {column: before[one.pk]}, {column: getattr(one, column)}
        auditing.write([auditing.entry("updated", one, by=by, profile=one, old=old, new=new)])
    return [contacts.Changed(one, column) for one in changed]
