from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import F, OrderBy, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from identities import adding, moving, normalising, revealing, routing
from identities.admin.filters import HandleFilter, SourceFilter
from identities.admin.move_page import IdentityMove, move_page
from identities.forms import IdentityForm
from identities.handles import Sent, mask, shown
from identities.matching import MOST_FOUND
from identities.models import Identity
from profiles.admin.base import OperationAdmin, Question, by, change_url, link
from profiles.admin.profile_words import addressed, survivors_of
from profiles.auditing import By
from profiles.models import Profile


class ByteOrder(OrderBy):
    """The order of the index that finds beginnings, so that the first rows of a common one are read and no others."""

    # Django's compiler looks for the word in the comment.
    template = "%(expression)s USING ~<~ /* ASC */"

    def __init__(self, column: str) -> None:
        super().__init__(F(column))


@admin.register(Identity)
class IdentityAdmin(OperationAdmin):
    """Identities, written by routing only. `source=None` is what makes staff the writer."""

    form = IdentityForm
    list_display = ["handle_name", "shown", "held_by", "state", "source_name", "created"]
    list_display_links = ["handle_name", "shown"]
    list_filter = [HandleFilter, SourceFilter, "is_active"]
    sortable_by = ["created"]
    # Turns the search box on; what it searches is `get_search_results`.
    search_fields = ["identifier"]
    search_help_text = gettext_lazy("An identifier or its beginning; of many, the first thousand.")
    actions = ["delete_selected"]
    autocomplete_fields = ["handle"]
    raw_id_fields = ["profile"]

    def get_urls(self) -> list[URLPattern]:
        return [
            self.object_path("move", self.move_view),
            self.object_path("mark", self.mark_view),
            self.object_path("reveal", self.reveal_view),
            *super().get_urls(),
        ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Identity], search_term: str
    ) -> tuple[QuerySet[Identity], bool]:
        """By equality with a normal form, or by the beginning: on the index, and of that the first thousand only.

        The list's filters then choose among those. To look for more of a kind that hardly begins so would be to read
        all that does.
        """
        text = search_term.strip()[:255]
        if "\0" in text:
            return queryset.none(), False
        if text:
            forms = {form for form in normalising.forms(text).values() if form}
            whole = Identity.objects.filter(identifier__in=forms)
            begun = Identity.objects.filter(identifier__startswith=text).order_by(ByteOrder("identifier"))
            # A sensitive identifier is found whole or not at all: its parts could else be guessed one by one.
            open_ = Identity.objects.filter(pk__in=begun.values("pk")[:MOST_FOUND], handle__sensitive=False)
            found = {pk for rows in (whole, open_) for pk in rows.order_by().values_list("pk", flat=True)[:MOST_FOUND]}
            queryset = queryset.filter(pk__in=found)
        return queryset, False

    @admin.display(description=gettext_lazy("handle"))
    def handle_name(self, identity: Identity) -> str:
        return identity.handle_id

    @admin.display(description=gettext_lazy("identifier"))
    def shown(self, identity: Identity) -> str:
        return shown(identity)

    @admin.display(description=gettext_lazy("profile"))
    def held_by(self, identity: Identity) -> str:
        return link(identity.profile)

    @admin.display(description=gettext_lazy("state"))
    def state(self, identity: Identity) -> str:
        """What is out of the ordinary; most identities are active and not primary, and say nothing."""
        marks = [("ok", _("primary"))] if identity.is_primary else []
        marks += [] if identity.is_active else [("muted", _("inactive"))]
        return format_html_join(" ", '<span class="badge {}">{}</span>', marks)

    @admin.display(description=gettext_lazy("as received"))
    def as_received(self, identity: Identity) -> str:
        return mask(identity.original) if identity.handle.sensitive and identity.original else identity.original

    @admin.display(description=gettext_lazy("addressed"))
    def sent_for(self, identity: Identity) -> SafeString:
        return addressed(identity.addressed)

    @admin.display(description=gettext_lazy("source"))
    def source_name(self, identity: Identity) -> str:
        return identity.source_id or _("staff")

    @admin.display(description=gettext_lazy("created"), ordering="pk")
    def created(self, identity: Identity) -> datetime.datetime:
        return identity.created_at

    def get_queryset(self, request: HttpRequest) -> QuerySet[Identity]:
        queryset: QuerySet[Identity] = super().get_queryset(request)
        return queryset.select_related("handle", "profile")

    # Fields

    def get_fields(self, request: HttpRequest, obj: Identity | None = None) -> Any:
        if obj is None:
            return ["profile", "handle", "identifier", "is_active", "is_primary"]
        identifier = "identifier" if self._is_editable(request, obj) else "shown"
        told = ["as_received", "source_name", "by_contact", "sent_for", "merged_from", "conflict"]
        return ["profile", "handle", identifier, "is_active", "is_primary", *told, "created_at", "updated_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: Identity | None = None) -> list[str]:
        if obj is None:
            return []
        typed = set() if _hindrance(obj) else {"is_active", "is_primary"}
        if self._is_editable(request, obj):
            typed.add("identifier")
        # Read-only even where it is not shown, so that the form does not ask for it.
        fields = dict.fromkeys([*self.get_fields(request, obj), "identifier"])
        return [name for name in fields if name not in typed]

    def _is_editable(self, request: HttpRequest, obj: Identity) -> bool:
        """Whether this person may rewrite the identifier here. A sensitive one would have to be shown for that."""
        is_fixed = obj.handle.immutable or obj.handle.sensitive or _hindrance(obj)
        return self.has_change_permission(request, obj) and not is_fixed

    def get_notices(self, request: HttpRequest, obj: Identity) -> list[str]:
        notices = [_hindrance(obj)] if _hindrance(obj) else []
        if obj.by_contact:
            notices.append(_("It was attached by a contact point alone. Saving it confirms that it belongs here."))
        return notices

    def get_object_tools(self, request: HttpRequest, obj: Identity) -> list[tuple[str, str]]:
        tools = []
        if obj.handle.sensitive and request.user.has_perm("identities.reveal_identity"):
            tools.append((self.object_url("reveal", obj), _("Reveal the identifier")))
        if obj.profile.is_live and self.has_change_permission(request, obj):
            tools.append((self.object_url("move", obj), _("Move to another profile")))
        if obj.profile.is_live and request.user.has_perm("profiles.merge_profile"):
            split = reverse("admin:profiles_profile_split", args=[obj.profile_id])
            tools.append((f"{split}?{urlencode({'identity': obj.pk})}", _("Split off with its records")))
        return tools

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Identity | None = None,
    ) -> HttpResponse:
        if obj is not None and _hindrance(obj):
            buttons = ("show_save", "show_save_and_continue", "show_save_and_add_another")
            context.update(dict.fromkeys(buttons, False), show_delete=not self.deletion_hindrance(request, obj))
        return super().render_change_form(request, context, add, change, form_url, obj)

    # Writing

    def create(self, typed: Mapping[str, Any], *, by: By) -> Identity:
        sent = Sent(typed["handle"].pk, typed["identifier"], typed["is_active"], typed["is_primary"])
        return adding.add(typed["profile"].pk, sent, by=by, source=None).identity

    def update(self, obj: Identity, typed: Mapping[str, Any], *, by: By) -> Identity:
        if not (typed or obj.by_contact or _hindrance(obj)):
            return obj
        return routing.change(obj.pk, **typed, by=by, source=None)

    def question_before(self, request: HttpRequest, obj: Identity | None, typed: Mapping[str, Any]) -> Question | None:
        """Whose it will be, where the chosen profile was merged into another."""
        if obj is not None or typed["profile"].merged_into_id is None:
            return None
        profile: Profile = typed["profile"]
        words = {"profile": profile, "survivor": link(survivors_of([profile])[profile.pk])}
        text = _("{profile} was merged into {survivor}, who will have the identity.")
        return Question(
            title=_("Add it to the survivor?"),
            sentences=[format_html(text, **words)],
            button=_("Yes, add it there"),
            act=str,
        )

    def remove(self, obj: Identity, *, by: By) -> None:
        routing.remove(obj.pk, by=by, source=None)

    def response_post_save_add(self, request: HttpRequest, obj: Identity) -> HttpResponseRedirect:
        return self._to_profile(request, obj) or super().response_post_save_add(request, obj)

    def response_post_save_change(self, request: HttpRequest, obj: Identity) -> HttpResponseRedirect:
        return self._to_profile(request, obj) or super().response_post_save_change(request, obj)

    def _to_profile(self, request: HttpRequest, obj: Identity) -> HttpResponseRedirect | None:
        """Back to the page where identities are looked at together."""
        if not request.user.has_perm("profiles.view_profile"):
            return None
        return HttpResponseRedirect(change_url(obj.profile))

    # Deleting and moving

    def deletion_label(self, obj: Identity) -> str:
        return f"{obj.handle_id}: {self.shown(obj)}"

    def deletion_means(self, obj: Identity | None = None) -> list[str]:
        means = [_("Whoever writes this identity next brings it to whichever profile that write is for.")]
        if obj is not None:
            means.insert(0, format_html("{} {}", _("It no longer names the profile"), link(obj.profile)))
            if obj.handle.is_built_in:
                means.append(_("If the profile shows it, the field is emptied; no other one takes its place."))
        return means

    def deletion_hindrance(self, request: HttpRequest, obj: Identity) -> str:
        return _reserved(obj) or moving.of_the_dead(obj)

    def url_after_deletion(self, request: HttpRequest, obj: Identity) -> str:
        if request.user.has_perm("profiles.view_profile"):
            return change_url(obj.profile)
        return super().url_after_deletion(request, obj)

    def move_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "identities.change_identity")
        return move_page(self, request, IdentityMove(self.object_of(request, object_id)))

    def mark_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Make it primary or active, or no longer: one click on the profile's page, and one back."""
        self.demand(request, "identities.change_identity")
        identity: Identity = self.object_of(request, object_id)
        mark = request.POST.get("mark") or request.GET.get("mark", "")
        change, reverse_mark = MARKS.get(mark, ({}, ""))
        label = f"{identity.handle.label or identity.handle_id} {self.shown(identity)}"

        def act() -> str:
            self.log_change(request, routing.change(identity.pk, **change, by=by(request), source=None), told)
            back = f"{self.object_url('mark', identity)}?{urlencode({'mark': reverse_mark})}"
            return format_html('{} <a href="{}">{}</a>', told, back, _("Take it back"))

        told = _told(mark) % {"name": label}
        question = Question(
            title=label,
            sentences=[told],
            button=_("Yes"),
            act=act,
            hindrance=_hindrance(identity) if change else _("Nothing was chosen."),
            hidden={"mark": [mark]},
        )
        return self.ask(request, question, obj=identity, then=change_url(identity.profile))

    def reveal_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show a masked identifier, on request only: a page that is merely opened reveals nothing."""
        self.demand(request, "identities.reveal_identity")
        identity: Identity = self.object_of(request, object_id)
        title = _("Reveal %(name)s") % {"name": self.deletion_label(identity)}
        then = change_url(identity.profile)
        if request.method == "POST":
            identity = revealing.reveal(identity.pk, by=by(request))
            return self.page(
                request,
                "admin/identities/identity/revealed.html",
                obj=identity,
                title=title,
                identity=identity,
                then=then,
                question=None,
            )
        sentences = [_("Who looks at it, and when, is kept in the audit.")]
        question = Question(title=title, sentences=sentences, button=_("Reveal"), act=str)
        return self.ask(request, question, obj=identity, then=then)


# What a mark changes, and the one that takes it back.
MARKS: dict[str, tuple[dict[str, Any], str]] = {
    "primary": ({"is_primary": True}, "secondary"),
    "secondary": ({"is_primary": False}, "primary"),
    "active": ({"is_active": True}, "inactive"),
    "inactive": ({"is_active": False}, "active"),
}


def _told(mark: str) -> str:
    return {
        "primary": _("%(name)s is the primary identity now."),
        "secondary": _("%(name)s is no longer the primary identity."),
        "active": _("%(name)s is active again."),
        "inactive": _("%(name)s is inactive: it still names this profile, and issues no tokens."),
    }.get(mark, "")


def _reserved(identity: Identity) -> str:
    try:
        identity.handle.refuse_writer(None)
    except ValidationError as error:
        return error.messages[0]
    return ""


def _hindrance(identity: Identity) -> str:
    """Why staff cannot change this identity, or nothing."""
    built_in = _("A contact point is changed through the profile's own field; here it can be moved or deleted.")
    return _reserved(identity) or moving.of_the_dead(identity) or (built_in if identity.handle.is_built_in else "")
