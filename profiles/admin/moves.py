"""What came or went by hand, with its way back: of a profile, on its page, and of one record."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.utils import quote
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from identities.handles import mask
from identities.models import Handle, Identity
from profiles.admin.base import change_url
from profiles.models import RECORDS, Move, Profile
from profiles.models.record import of_kind

MOST_MOVES = 10

# What stands for "no profile" in an address.
NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Moved:
    """One move as a page tells it, from the side of `here`: that profile, or whoever has the row now."""

    move: Move
    subject: str
    subject_url: str
    handle: str
    came: bool
    cause: str
    former: str
    former_url: str
    profile: str
    profile_url: str
    back_url: str = ""

    @property
    def other(self) -> str:
        return self.former if self.came else self.profile

    @property
    def other_url(self) -> str:
        return self.former_url if self.came else self.profile_url

    @property
    def takes_back(self) -> bool:
        """Whether it is the later of the two, where one took the other back: both count as not moved."""
        return self.move.undone_at is not None and self.move.at >= self.move.undone_at


def of_profile(request: HttpRequest, profile: Profile) -> list[Moved]:
    """Identities and records that came to the profile or left it, newest first, as far as the reader may see them."""
    kinds = [kind for kind in ("identity", *RECORDS) if request.user.has_perm(_permission("view", kind))]
    if not kinds:
        return []
    came, went = (
        side.filter(subject_type__in=kinds) if len(kinds) <= len(RECORDS) else side
        for side in (profile.moves_to.all(), profile.moves_from.all())
    )
    newest = sorted(
        [
            *came.select_related("from_profile", "by").order_by("-pk")[:MOST_MOVES],
            *went.select_related("to_profile", "by").order_by("-pk")[:MOST_MOVES],
        ],
        key=lambda move: -move.pk,
    )[:MOST_MOVES]
    return tell(request, newest, here=profile)


def tell(request: HttpRequest, moves: Sequence[Move], *, here: Profile | None) -> list[Moved]:
    """Put moves into words, with the way back of those that stand. A query for each kind among them, at most."""
    if not moves:
        return []
    handles = {move.handle for move in moves if move.handle}
    masked = set(Handle.objects.sensitive().filter(pk__in=handles).values_list("pk", flat=True)) if handles else set()
    kinds = {move.subject_type for move in moves}
    may_take_back = {kind for kind in kinds if request.user.has_perm(_permission("change", kind))}
    owners = {kind: _owners(kind, moves) for kind in kinds}
    return [_told(move, here, masked, owners[move.subject_type], may_take_back) for move in moves]


def _permission(verb: str, kind: str) -> str:
    return f"{'identities' if kind == 'identity' else 'profiles'}.{verb}_{kind}"


def _owners(kind: str, moves: Iterable[Move]) -> dict[str, uuid.UUID | None]:
    """Who has the rows of these moves today; one that is gone is absent."""
    keys = {int(move.subject_key) for move in moves if move.subject_type == kind}
    every: QuerySet[Any] = Identity.objects.all()
    if kind != "identity":
        every = of_kind(RECORDS[kind])
    rows = every.filter(pk__in=keys).values_list("pk", "profile_id")
    return {str(key): owner for key, owner in rows}


def _told(
    move: Move,
    here: Profile | None,
    masked: Collection[str],
    owners: Mapping[str, uuid.UUID | None],
    may_take_back: Collection[str],
) -> Moved:
    is_identity = move.subject_type == "identity"
    label = "identities_identity" if is_identity else f"profiles_{move.subject_type}"
    is_there = move.subject_key in owners
    if is_identity:
        subject = mask(move.identifier) if move.handle in masked else move.identifier
    else:
        subject = f"{capfirst(_kind(move.subject_type))} #{move.subject_key}"
    return Moved(
        move,
        subject,
        # An identity's own page is reached from the table of them, where it is today.
        reverse(f"admin:{label}_change", args=[quote(move.subject_key)]) if is_there and not is_identity else "",
        move.handle,
        came=here is None or move.to_profile_id == here.pk,
        cause=capfirst(move.get_cause_display()),
        former=_name(move.from_profile),
        former_url=change_url(move.from_profile) if move.from_profile else "",
        profile=_name(move.to_profile),
        profile_url=change_url(move.to_profile) if move.to_profile else "",
        back_url=_way_back(move, owners, label) if move.subject_type in may_take_back else "",
    )


def _kind(subject_type: str) -> str:
    return str(RECORDS[subject_type]._meta.verbose_name)


def _name(profile: Profile | None) -> str:
    return profile.full_name if profile is not None else _("nobody")


def _way_back(move: Move, owners: Mapping[str, uuid.UUID | None], label: str) -> str:
    """The page that takes a move back, unless that has been done or the row has gone on since."""
    is_where_it_went = move.subject_key in owners and owners[move.subject_key] == move.to_profile_id
    if move.undone_at is not None or move.cause != Move.Cause.ASKED or not is_where_it_went:
        return ""
    if move.subject_type == "identity" and move.from_profile_id is None:
        return ""
    page = reverse(f"admin:{label}_move", args=[quote(move.subject_key)])
    return f"{page}?{urlencode({'to': str(move.from_profile_id or NOBODY)})}"
