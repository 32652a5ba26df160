"""Put all identities of a handle under another handle's name and rules, or under its own with another normaliser."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models import Model
from django.utils import timezone
from django.utils.translation import gettext as _

from identities import overriding, surveying
from identities.attaching import audited, release, state
from identities.handles import mask
from identities.holding import Changed, Held
from identities.models import Handle, Identity
from identities.surveying import Kind, Meeting, Standing
from profiles import auditing
from profiles.auditing import By
from profiles.models import RECORDS, CustomAttribute, Profile
from profiles.refusing import Refused

# Where a handle has no limit.
MOST_HELD = 2**31


@dataclass(slots=True)
class Rewritten:
    """How many identities were `changed`; how many are gone, since their profile has the `same` pair in another row,
    or since a deleted profile had left them behind (`freed`)."""

    changed: int = 0
    same: int = 0
    freed: int = 0


def rewrite(handle: Handle, to: Handle, *, by: By) -> Rewritten:
    """Do to every identity of `handle` what `surveying.survey` says.

    In: `handle` as it is, `to` as it shall be; both locked (`Handle.objects.lock`), in the transaction of
    `holding.settle`. Of two identities that would be the same pair one stays: if both name one profile, it inherits
    what the other brought and its primary mark; what a deleted profile left behind is released as by any other write
    of the pair. Rows in memory are bounded; the rows written are not, and wait for the commit.

    Raises Refused, and nothing is changed: `identity_taken` when two profiles have what would be one pair,
    `invalid_identifier` when an identifier has no normal form under `to`, `too_many_identities` when a profile would
    hold more than `to` allows. Raises Changed when somebody works on a deleted profile.
    """
    done, now = Rewritten(), timezone.now()
    keeps = handle.normaliser == to.normaliser
    for chunk in surveying.chunks(handle, to, only_meeting=keeps):
        _refuse_formless(chunk, handle, to)
        meetings = list(surveying.meet(chunk, to=to, seen={}))
        _refuse_conflicts(meetings, handle, to)
        gone = _part(meetings, done, by=by)
        if not keeps:
            done.changed += _write([row for row in chunk if row.pk not in gone], to, now)
    if keeps and handle.pk != to.pk:
        # With nothing in the way, and each identifier as it is, one statement does for all.
        done.changed = Identity.objects.filter(handle=handle.pk).update(handle=to.pk, updated_at=now)
    _refuse_crowds(handle, to, now)
    overriding.follow_handle({handle.pk, to.pk}, to, by=by)
    return done


def _refuse_formless(chunk: Iterable[Standing], handle: Handle, to: Handle) -> None:
    row = next((row for row in chunk if row.form is None), None)
    if row is not None:
        message = _("The identifier %(identifier)s is none by the rules of %(handle)s.")
        names = {"identifier": _shown(row.sent, handle, to), "handle": to.name}
        raise Refused("invalid_identifier", message % names)


def _refuse_conflicts(meetings: Iterable[Meeting], handle: Handle, to: Handle) -> None:
    meeting = next((meeting for meeting in meetings if meeting.kind == Kind.CONFLICT), None)
    if meeting is not None:
        message = _("The identities %(one)s and %(other)s would be the same, and name two profiles.")
        names = {
            "one": f"{meeting.goes.handle}:{_shown(meeting.goes.sent, handle, to)}",
            "other": f"{meeting.stays.handle}:{_shown(meeting.stays.sent, handle, to)}",
        }
        raise Refused("identity_taken", message % names)


def _refuse_crowds(handle: Handle, to: Handle, now: datetime.datetime) -> None:
    """Hold the limits of `to` on profiles to which an identity has just come, which its time tells."""
    if handle.pk == to.pk or not surveying.has_limits(to):
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT profile_id FROM identities_identity WHERE handle = %s GROUP BY profile_id
            HAVING bool_or(updated_at = %s) AND (count(*) > %s OR %s AND count(*) FILTER (WHERE is_active) > 1)
            LIMIT 1
            """,
            [to.pk, now, to.max_per_profile or MOST_HELD, to.single_valued],
        )
        crowded = cursor.fetchone()
    if crowded:
        message = _("A profile would have more identities of the handle %(handle)s than it may: %(profile)s.")
        raise Refused("too_many_identities", message % {"handle": to.name, "profile": crowded[0]})


def _shown(identifier: str, *handles: Handle) -> str:
    return mask(identifier) if any(handle.sensitive for handle in handles) else identifier


def _part(meetings: Sequence[Meeting], done: Rewritten, *, by: By) -> set[int]:
    """Let the identities go that cannot stay. Returns their keys."""
    if not meetings:
        return set()
    stays = {meeting.goes.pk: meeting.stays.pk for meeting in meetings}
    for pk in stays:
        # Who stayed in one meeting may have gone in the next.
        while stays[pk] in stays:
            stays[pk] = stays[stays[pk]]
    rows = Identity.objects.select_related("handle", "profile").in_bulk({*stays, *stays.values()})
    pairs = [(rows[pk], rows[stays[pk]]) for pk in sorted(stays)]
    same = [pair for pair in pairs if pair[0].profile_id == pair[1].profile_id]
    freed = [pair for pair in pairs if pair[0].profile_id != pair[1].profile_id]
    _unite(same, by=by)
    _free(freed, by=by)
    done.same += len(same)
    done.freed += len(freed)
    return set(stays)


def _unite(pairs: Sequence[tuple[Identity, Identity]], *, by: By) -> None:
    """Delete the first of each two identities of one profile; the other inherits what hangs on it."""
    if not pairs:
        return
    goes, stays = [row.pk for row, _heir in pairs], [heir.pk for _row, heir in pairs]
    auditing.write(
        audited(
            "deleted",
            row,
            by=by,
            old=state(row) | {"original": row.original, "source": row.source_id, "created_at": row.created_at},
            new={"same_as": heir.pk},
        )
        for row, heir in pairs
    )
    with connection.cursor() as cursor:
        bringing: list[type[Model]] = [Identity, CustomAttribute, *RECORDS.values()]
        for model in bringing:
            own = "nullif(pair.stays, row.id)" if model is Identity else "pair.stays"
            cursor.execute(
                f"""
                UPDATE {model._meta.db_table} AS row SET brought_by_id = {own}, brought_by_key = {own}
                FROM unnest(%s::bigint[], %s::bigint[]) AS pair (goes, stays) WHERE row.brought_by_id = pair.goes
                """,  # noqa: S608 - a table of ours
                [goes, stays],
            )
    Identity.objects.filter(pk__in=goes).delete()
    now = timezone.now()
    confirmed = [heir.pk for row, heir in pairs if heir.by_contact and not row.by_contact]
    Identity.objects.filter(pk__in=confirmed).update(by_contact=False, updated_at=now)
    primary = [heir for row, heir in pairs if row.is_primary]
    Identity.objects.filter(pk__in=[heir.pk for heir in primary]).update(is_primary=True, updated_at=now)
    auditing.write(
        audited("updated", heir, by=by, old={"is_primary": False}, new={"is_primary": True}) for heir in primary
    )


def _free(pairs: Collection[tuple[Identity, Identity]], *, by: By) -> None:
    """Release what deleted profiles left behind, as whoever writes such a pair does.

    Their profiles are locked without waiting: a writer locks its profiles first and its handles then, so that waiting
    here, with the handles locked, could be for ever. Raises Changed when one is being written, and all starts over.
    """
    if not pairs:
        return
    wanted = {row.profile_id for row, _heir in pairs}
    rows = Profile.objects.filter(pk__in=wanted, profile_type=Profile.Type.DELETED).order_by("pk")
    profiles = {profile.pk: profile for profile in rows.select_for_update(no_key=True, skip_locked=True)}
    if len(profiles) < len(wanted):
        raise Changed
    held = Held(profiles, {})
    for row, heir in pairs:
        auditing.write([audited("deleted", row, by=by, old=state(row), new={"same_as": heir.pk})])
        release(row, heir.profile, held=held, by=by, source=None)


def _write(rows: Iterable[Standing], to: Handle, now: datetime.datetime) -> int:
    changed = [row for row in rows if (row.handle, row.identifier) != (to.pk, row.form)]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE identities_identity AS identity
            SET handle = %s, identifier = written.identifier, original = written.original, updated_at = %s
            FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS written (id, identifier, original)
            WHERE identity.id = written.id
            """,
            [
                to.pk,
                now,
                [row.pk for row in changed],
                [row.form for row in changed],
                ["" if row.sent == row.form else row.sent for row in changed],
            ],
        )
        return int(cursor.rowcount)
