"""Move an identity to another profile: search for it, see what that changes, give a reason, and a way back."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.contrib import messages
from django.db.models.expressions import RawSQL
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from identities import contacts, finding, moving
from identities.forms import MoveForm
from identities.handles import shown
from identities.models import Identity
from profiles.admin.base import PlainAdmin, Question, by, change_url, link
from profiles.admin.profile_page import introduction
from profiles.models import Profile

# Enough to tell two people of one name apart.
MOST_TOLD = 4


def move_page(page: PlainAdmin, request: HttpRequest, identity: Identity) -> HttpResponse:
    """The search until a profile is chosen, then the question. The caller has checked the permission."""
    label = f"{identity.handle.label or identity.handle_id} {shown(identity)}"
    to = _chosen(request)
    if to is None:
        return _search(page, request, identity, label)
    preview = moving.preview(identity, to)

    def act() -> str:
        moved = moving.move(identity.pk, to=to.pk, reason=form.cleaned_data["reason"], by=by(request))
        for changed in moved.contacts_changed:
            messages.warning(request, _shows_now(changed))
        page.log_change(request, moved.identity, _("Moved to the profile %(profile)s.") % {"profile": to.pk})
        back = f"{page.object_url('move', identity)}?{urlencode({'to': str(identity.profile_id)})}"
        told = _("Moved %(name)s to %(profile)s.") % {"name": label, "profile": to}
        if preview.takes_back:
            return _("Took the move of %(name)s back: %(profile)s has it again.") % {"name": label, "profile": to}
        return format_html('{} <a href="{}">{}</a>', told, back, _("Take it back"))

    form = MoveForm(request.POST or None)
    question = Question(
        title=_("Move %(name)s?") % {"name": label},
        sentences=[
            _side(request, _("From:"), identity.profile),
            _side(request, _("To:"), to),
            *_consequences(preview),
        ],
        button=_("Yes, move it"),
        act=act,
        hindrance=preview.hindrance,
        form=form,
    )
    return page.ask(request, question, obj=identity, then=change_url(to))


def _side(request: HttpRequest, word: str, profile: Profile) -> SafeString:
    """One of the two profiles, told apart from a namesake by what it is known by.

    Who may not see profiles is told whose it is by name and id, and no more of them.
    """
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


def _chosen(request: HttpRequest) -> Profile | None:
    text = request.GET.get("to", "")
    try:
        to = Profile.objects.filter(pk=uuid.UUID(text)).first()
    except ValueError:
        to = None
    if text and to is None:
        messages.error(request, _("There is no profile with this id."))
    return to


def _search(page: PlainAdmin, request: HttpRequest, identity: Identity, label: str) -> HttpResponse:
    text = request.GET.get("q", "")
    found = finding.find(text) if request.user.has_perm("profiles.view_profile") else finding.Found([])
    here = page.object_url("move", identity)
    known = _known_by([hit.profile for hit in found.hits])
    return page.page(
        request,
        "admin/identities/identity/move.html",
        obj=identity,
        title=_("Move %(name)s to another profile") % {"name": label},
        identity=identity,
        here=here,
        text=text,
        found=found,
        hindrance=moving.of_the_dead(identity),
        introduction=introduction(identity.profile) if request.user.has_perm("profiles.view_profile") else "",
        profile_url=change_url(identity.profile),
        hits=[
            {
                "profile": hit.profile,
                "introduction": introduction(hit.profile),
                "known": known[hit.profile.pk],
                "profile_url": change_url(hit.profile),
                "url": f"{here}?{urlencode({'to': str(hit.profile.pk)})}",
                "may": hit.profile.is_live and hit.profile.pk != identity.profile_id,
            }
            for hit in found.hits
        ],
    )


def _consequences(preview: moving.Preview) -> list[str]:
    """What the move does besides, in sentences."""
    told: list[str | SafeString] = [
        _("Only this identity moves. What has been written by it so far stays; new writes under it go to the other.")
    ]
    if preview.takes_back:
        told.append(_("This takes back its last move."))
    if preview.loses_primary:
        told.append(_("It is the primary identity now, and will be primary nowhere."))
    if preview.former_shows is not None:
        told.append(
            _("The profile that it leaves will show %(contact)s instead.") % {"contact": preview.former_shows}
            if preview.former_shows
            else _("The profile that it leaves will show no such contact any more.")
        )
    if preview.is_shown_there:
        told.append(_("The other profile has none yet, and will show it."))
    if preview.identity.handle.reserved_for_id:
        reserved = _("Its handle stays reserved: only %(extension)s can change the identifier.")
        told.append(reserved % {"extension": preview.identity.handle.reserved_for_id})
    return [str(one) for one in told]


def _shows_now(changed: contacts.Changed) -> SafeString:
    """Whose e-mail or mobile is another one now: what was told before may have been overtaken."""
    contact = getattr(changed.profile, changed.field)
    text = _("{profile} shows {contact} now.") if contact else _("{profile} shows no {field} now.")
    field = changed.profile._meta.get_field(changed.field).verbose_name  # type: ignore[union-attr]
    return format_html(text, profile=link(changed.profile), contact=contact, field=field)
