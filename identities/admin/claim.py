"""What customers claim to be theirs: a list, and the two decisions of staff (API.md 6)."""

from __future__ import annotations

import datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from identities import claiming
from identities.admin.filters import HandleFilter, SourceFilter
from identities.claiming import Standing, standings
from identities.forms import RefuseClaimForm
from identities.models import BUILT_IN, Handle, IdentityClaim
from profiles.admin.base import Question, ReadOnlyAdmin, by, change_url, link
from profiles.admin.lists import BoundedChangeList

# When what the page shows was said.
SAID_AT = "said_at"

MOST_CHARACTERS = 40

# So many others who claim the same are counted.
MOST_COUNTED = 100


class ClaimList(BoundedChangeList):
    """The list with how its rows stand, which is found out for all of a page together."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        found = standings(self.result_list)
        for one in found:
            _remember(one)
        self.result_list = [one.claim for one in found]


@admin.register(IdentityClaim)
class IdentityClaimAdmin(ReadOnlyAdmin):
    """Claims are the customers' own to make and to change. Staff confirm them, or refuse them."""

    list_display = ["handle", "cut", "of_profile", "standing", "source_name", "created"]
    list_display_links = ["handle", "cut"]
    list_filter = [HandleFilter, SourceFilter]
    sortable_by = ["created"]
    readonly_fields = fields = (
        *("of_profile", "handle", "shown", "standing"),
        *("source_name", "token_name", "by", "created_at", "updated_at"),
    )

    def get_urls(self) -> list[URLPattern]:
        return [
            self.object_path("confirm", self.confirm_view),
            self.object_path("refuse", self.refuse_view),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[IdentityClaim]:
        queryset: QuerySet[IdentityClaim] = super().get_queryset(request)
        return queryset.select_related("profile", "source", "by")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ClaimList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        obj = super().get_object(request, object_id, from_field)
        if obj is not None:
            _remember(standings([obj])[0])
        return obj

    @admin.display(description=gettext_lazy("identifier"))
    def shown(self, claim: IdentityClaim) -> str:
        return _standing(claim).shown

    @admin.display(description=gettext_lazy("identifier"))
    def cut(self, claim: IdentityClaim) -> str:
        """As much of it as leaves room for who claims it."""
        return Truncator(self.shown(claim)).chars(MOST_CHARACTERS)

    @admin.display(description=gettext_lazy("claimed by"))
    def of_profile(self, claim: IdentityClaim) -> SafeString:
        return link(claim.profile)

    @admin.display(description=gettext_lazy("who has it"))
    def standing(self, claim: IdentityClaim) -> str:
        holder = _standing(claim).holder
        if holder is None:
            return _("nobody")
        return format_html('<span class="badge warn">{}</span> {}', _("another profile"), link(holder))

    @admin.display(description=gettext_lazy("said through"))
    def source_name(self, claim: IdentityClaim) -> str:
        return claim.source.name if claim.source else _("a token of staff")

    @admin.display(description=gettext_lazy("claimed"), ordering="pk")
    def created(self, claim: IdentityClaim) -> datetime.datetime:
        return claim.created_at

    # The page of one

    def get_notices(self, request: HttpRequest, obj: IdentityClaim) -> list[str]:
        notices = [_("Only its customer says so. Nothing goes by it until it is confirmed.")]
        return [*notices, hindrance(_standing(obj))] if hindrance(_standing(obj)) else notices

    def get_object_tools(self, request: HttpRequest, obj: IdentityClaim) -> list[tuple[str, str]]:
        if not request.user.has_perm("identities.decide_identityclaim"):
            return []
        tools = [] if hindrance(_standing(obj)) else [(self.object_url("confirm", obj), _("Confirm"))]
        return [*tools, (self.object_url("refuse", obj), _("Refuse"))]

    # Deciding

    def confirm_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "identities.decide_identityclaim")
        claim: IdentityClaim = self.object_of(request, object_id)
        standing = _standing(claim)
        words = {"handle": claim.handle, "identifier": standing.shown, "profile": link(claim.profile)}
        said_at = claim.updated_at.isoformat()

        def act() -> str:
            if request.POST.get(SAID_AT) != said_at:
                raise claiming.changed()
            row = claiming.confirm(claim.pk, said_at=claim.updated_at, by=by(request))
            self.log_change(request, claim, _("Confirmed."))
            said = format_html(_("Confirmed: {handle} {identifier} is an identity of {profile} now."), **words)
            if not request.user.has_perm("identities.delete_identity"):
                return said
            delete = reverse("admin:identities_identity_delete", args=[row.pk])
            return format_html('{} <a href="{}">{}</a>', said, delete, _("Take it back by deleting the identity"))

        sentences = [
            format_html(_("{profile} says that {handle} {identifier} is theirs."), **words),
            *_consequences(claim),
        ]
        question = Question(
            title=_("Confirm this claim?"),
            sentences=sentences,
            button=_("Yes, it is theirs"),
            act=act,
            hindrance=hindrance(standing),
            hidden={SAID_AT: [said_at]},
        )
        return self.ask(request, question, obj=claim, then=self._then(request, claim))

    def refuse_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "identities.decide_identityclaim")
        claim: IdentityClaim = self.object_of(request, object_id)
        form = RefuseClaimForm(request.POST if request.method == "POST" else None)
        words = {"handle": claim.handle, "identifier": _standing(claim).shown, "profile": link(claim.profile)}
        said_at = claim.updated_at.isoformat()

        def act() -> str:
            if request.POST.get(SAID_AT) != said_at:
                raise claiming.changed()
            claiming.refuse(claim.pk, said_at=claim.updated_at, reason=form.cleaned_data["reason"], by=by(request))
            self.log_change(request, claim, _("Refused."))
            return format_html(_("Refused: {profile} no longer claims {handle} {identifier}."), **words)

        question = Question(
            title=_("Refuse this claim?"),
            sentences=[
                format_html(_("{profile} says that {handle} {identifier} is theirs."), **words),
                _("The claim is deleted, and nothing else changes: nothing has gone by it."),
                _("The customer is not told, and may say the same again."),
            ],
            button=_("Yes, refuse it"),
            act=act,
            danger=True,
            form=form,
            hidden={SAID_AT: [said_at]},
        )
        return self.ask(request, question, obj=claim, then=self._then(request, claim))

    def _then(self, request: HttpRequest, claim: IdentityClaim) -> str:
        """On to the profile, where what is decided is seen, or to the other claims."""
        if request.user.has_perm("profiles.view_profile"):
            return change_url(claim.profile)
        return reverse("admin:identities_identityclaim_changelist")


def hindrance(standing: Standing) -> str:
    """Why a claim cannot be confirmed, or nothing."""
    if not standing.claim.profile.is_live:
        return _("Its profile is deleted; undelete it before you confirm what it claims.")
    if standing.holder is not None:
        text = _("{holder} has this identity. If both are one person, merge the two; else refuse the claim.")
        return format_html(text, holder=link(standing.holder))
    return ""


def _consequences(claim: IdentityClaim) -> list[str]:
    """What else a confirmation does, in sentences."""
    said = [_("It becomes an identity like any other: whatever comes in under it goes to this profile.")]
    if claim.handle in BUILT_IN:
        said = [_("It becomes what the profile shows, and whatever comes in by it alone goes to this profile.")]
        if replaced := claiming.replaced(claim):
            said.append(_("%(contact)s, which the profile shows now, is deleted.") % {"contact": replaced.shown})
    if not Handle.objects.filter(pk=claim.handle).exists():
        said.append(_("Its handle is not in the catalogue yet, and will be there as undocumented."))
    others = IdentityClaim.objects.filter(handle=claim.handle, identifier=claim.identifier).exclude(pk=claim.pk)
    number = others.order_by()[:MOST_COUNTED].count()
    if number:
        text = ngettext(
            "%(number)s other profile claims it too: that claim ends, and the two enter the queue of duplicates.",
            "%(number)s other profiles claim it too: these claims end, and each enters the queue of duplicates with "
            "this one.",
            number,
        )
        said.append(text % {"number": number})
    return said


def _remember(standing: Standing) -> None:
    standing.claim.standing = standing  # type: ignore[attr-defined]  # for the columns of a page


def _standing(claim: IdentityClaim) -> Standing:
    found: Standing = claim.standing  # type: ignore[attr-defined]
    return found
