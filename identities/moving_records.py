"""Move one record to another profile: asked for, audited, and taken back by moving it again."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from django.utils import timezone
from django.utils.translation import gettext as _

from identities import lookup
from identities.handles import Sent
from identities.holding import settle
from identities.moving import literal, note_moves, takes_back
from identities.recording import locked
from profiles import auditing
from profiles.auditing import By
from profiles.models import Profile, Record
from profiles.models.record import of_kind
from profiles.refusing import Refused

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a move would mean. `hindrance` is the sentence of its refusal, if any."""

    hindrance: str = ""
    takes_back: bool = False


def preview(row: Record, to: Profile | None) -> Preview:
    """Tell what `move_record` would do now; reads only, locks nothing, and so may be overtaken.

    In: a record with its profile, and the profile that it would go to, or None for nobody.
    """
    try:
        if to is not None:
            literal(to)
        if to == row.profile:
            text = _("This profile has it already.") if to is not None else _("It belongs to nobody already.")
            raise Refused("same_profile", text)
    except Refused as refusal:
        return Preview(refusal.message)
    return Preview(takes_back=takes_back(row, row.profile, to))


def move_record(kind: type[R], pk: int, *, to: uuid.UUID | None, reason: str, by: By) -> R:
    """Give a record to another profile, or to nobody; what came with it stays where it is.

    How it came (`brought_by`, `addressed`) stays as it was; the move says the rest. Moving it back takes the earlier
    move back. Ids are literal (API.md 3): raises the kind's DoesNotExist, Profile.DoesNotExist, and Refused
    `already_merged` with the survivor, `profile_deleted`.
    """

    def attempt() -> R:
        row = locked(of_kind(kind).get(pk=pk), profile_ids=[] if to is None else [to])
        former = row.profile
        profile = None if to is None else literal(Profile.objects.filter(pk=to).first())
        if former == profile:
            return row
        row.profile, row.updated_at = profile, timezone.now()
        row.save(update_fields=["profile", "updated_at"])
        note_moves([row], {row.pk: former}, profile, reason=reason, by=by)
        old, new = ({"profile_id": one.pk if one else None} for one in (former, profile))
        auditing.write([auditing.entry("moved", row, by=by, profile=profile or former, old=old, new=new)])
        return row

    return settle(attempt)


def named_by(sent: Sequence[Sent]) -> uuid.UUID:
    """The one live profile that these pairs name; looking them up is free, under reserved handles too (API.md 2).

    Raises Refused `unknown_identity` or `ambiguous_identities`.
    """
    owners = {owner for owner in lookup.resolve([one.pair for one in sent]) if owner is not None}
    if not owners:
        raise Refused("unknown_identity", _("No profile has one of these identities."), field="identities")
    if len(owners) > 1:
        raise Refused(
            "ambiguous_identities",
            _("These identities belong to several profiles; name one."),
            field="identities",
            profile_ids=sorted(map(str, owners)),
        )
    return owners.pop()
