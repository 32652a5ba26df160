"""Move an identity or a record: search for the profile, see what that changes, give a reason, and a way back."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.db.models.expressions import RawSQL
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from identities import finding
from identities.admin.movable import IdentityMove, Movable, RecordMove
from identities.forms import MoveForm
from identities.handles import shown
from identities.models import Identity
from profiles.admin.base import PlainAdmin, Question, change_url, link
from profiles.admin.moves import NOBODY
from profiles.admin.profile_words import introduction, survivors_of
from profiles.models import Profile

__all__ = ["IdentityMove", "RecordMove", "move_page"]

# Enough to tell two people of one name apart.
MOST_TOLD = 4


@dataclass(frozen=True, slots=True)
class Chosen:
    """Where it is to go; nobody is a choice, too."""

    profile: Profile | None


def move_page(page: PlainAdmin, request: HttpRequest, subject: Movable) -> HttpResponse:
    """The search until a profile is chosen, then the question. The caller has checked the permission."""
    chosen = _chosen(request, subject)
    if chosen is None:
        return _search(page, request, subject)
    row, label, to = subject.row, subject.label, chosen.profile
    former: Profile | None = row.profile
    forecast = subject.forecast(to)

    def act() -> str:
        subject.move(request, to, reason=form.cleaned_data["reason"])
        words = {"name": label, "profile": to if to is not None else _("nobody")}
        page.log_change(request, row, _("Moved to the profile %(profile)s.") % {"profile": to.pk if to else NOBODY})
        if forecast.takes_back and to is None:
            return _("Took the move of %(name)s back: it belongs to nobody again.") % words
        if forecast.takes_back:
            return _("Took the move of %(name)s back: %(profile)s has it again.") % words
        back = f"{page.object_url('move', row)}?{urlencode({'to': str(former.pk if former else NOBODY)})}"
        told = _("Moved %(name)s to %(profile)s.") % words
        return format_html('{} <a href="{}">{}</a>', told, back, _("Take it back"))

    form = MoveForm(request.POST or None)
    question = Question(
        title=_("Move %(name)s?") % {"name": label},
        sentences=[
            side(request, _("From:"), former),
            side(request, _("To:"), to),
            *(str(one) for one in forecast.sentences),
        ],
        button=_("Yes, move it"),
        act=act,
        hindrance=_instead(subject, to) or forecast.hindrance,
        form=form,
    )
    return page.ask(request, question, obj=row, then=subject.url_after(to))


def _instead(subject: Movable, to: Profile | None) -> SafeString | str:
    """That a merged profile was chosen, and the way to move to its survivor instead."""
    if to is None or to.merged_into_id is None or subject.hindrance:
        return ""
    survivor = survivors_of([to])[to.pk]
    told = format_html(_("{profile} was merged into {survivor}."), profile=to, survivor=survivor)
    if survivor == subject.row.profile:
        return format_html("{} {}", told, _("This profile has it already."))
    return format_html('{} <a href="?{}">{}</a>', told, urlencode({"to": str(survivor.pk)}), _("Move it there"))


def side(request: HttpRequest, word: str, profile: Profile | None) -> SafeString:
    """One of the two profiles, told apart from a namesake by what it is known by.

    Who may not see profiles is told whose it is by name and id, and no more of them.
    """
    if profile is None:
        return format_html("{} {}", word, _("nobody"))
    if not request.user.has_perm("profiles.view_profile"):
        return format_html("{} {} ({})", word, profile, profile.pk)
    known = ", ".join(_known_by([profile])[profile.pk])
    return format_html("{} {} {} {} ({})", word, link(profile), introduction(profile), known, profile.pk)


def _known_by(profiles: Sequence[Profile]) -> dict[uuid.UUID, list[str]]:
    """A few identities of each profile, its primary one first: one query, however many profiles."""
    found: dict[uuid.UUID, list[str]] = {profile.pk: [] for profile in profiles}
    # A few of each by the index: to rank them, all would be read, and a profile can have thousands.
    few = RawSQL(  # noqa: S611 - constants only
        """
        SELECT told.id FROM unnest(%s::uuid[]) AS asked (id), LATERAL (
            (SELECT id FROM identities_identity WHERE profile_id = asked.id AND is_primary)
            UNION ALL
            (SELECT id FROM identities_identity WHERE profile_id = asked.id ORDER BY id LIMIT %s)
        ) AS told
        """,
        [list(found), MOST_TOLD],
    )
    rows = Identity.objects.filter(pk__in=few).select_related("handle")
    for row in sorted(rows, key=lambda row: (not row.is_primary, row.pk)):
        found[row.profile_id].append(f"{row.handle.label or row.handle_id} {shown(row)}")
    return {pk: told[:MOST_TOLD] for pk, told in found.items()}


def _chosen(request: HttpRequest, subject: Movable) -> Chosen | None:
    text = request.GET.get("to", "")
    if text == NOBODY and subject.may_be_nobodys:
        return Chosen(None)
    try:
        to = Profile.objects.filter(pk=uuid.UUID(text)).first()
    except ValueError:
        to = None
    if text and to is None:
        messages.error(request, _("There is no profile with this id."))
    return Chosen(to) if to is not None else None


def _search(page: PlainAdmin, request: HttpRequest, subject: Movable) -> HttpResponse:
    text = request.GET.get("q", "")
    may_see = request.user.has_perm("profiles.view_profile")
    found = finding.find(text) if may_see else finding.Found([])
    here = page.object_url("move", subject.row)
    known = _known_by([hit.profile for hit in found.hits])
    survivors = survivors_of(hit.profile for hit in found.hits)
    owner: Profile | None = subject.row.profile
    title = _("Move %(name)s to another profile") if owner is not None else _("Give %(name)s to a profile")
    return page.page(
        request,
        "admin/identities/identity/move.html",
        obj=subject.row,
        title=title % {"name": subject.label},
        owner=owner,
        is_record=subject.may_be_nobodys,
        row_url=change_url(subject.row),
        here=here,
        text=text,
        found=found,
        hindrance=subject.hindrance,
        introduction=introduction(owner) if may_see and owner is not None else "",
        owner_url=change_url(owner) if owner is not None else "",
        nobody_url=f"{here}?to={NOBODY}" if subject.may_be_nobodys and owner is not None else "",
        hits=[
            {
                "profile": hit.profile,
                "introduction": introduction(hit.profile),
                "known": known[hit.profile.pk],
                "profile_url": change_url(hit.profile),
                "url": f"{here}?{urlencode({'to': str(hit.profile.pk)})}",
                "may": hit.profile.is_live and hit.profile != owner,
                "survivor": survivors.get(hit.profile.pk),
            }
            for hit in found.hits
        ],
    )
