from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from identities import matching, releasing, routing
from identities.handles import mask, shown
from identities.models import Handle
from profiles import exporting
from profiles.admin import merge_page, profile_duplicates, profile_page
from profiles.admin.base import MOST_AT_ONCE, OperationAdmin, Question, by, change_url, link
from profiles.admin.erase_page import erase_page
from profiles.admin.merge_asked import url_of
from profiles.admin.split_page import dead, split_page
from profiles.auditing import By
from profiles.forms import ProfileForm, UndeleteForm
from profiles.models import RECORDS, Profile, ProfileQuerySet
from profiles.serializers import CONTACTS

# The page that erases shows everything of what goes.
ERASE = ("profiles.erase_profile", "profiles.view_profile")

# An export shows what each of these does, and more sensitive identifiers than anybody would reveal one by one.
EXPORT = (
    "identities.reveal_identity",
    *(f"identities.view_{name}" for name in ("identity", "identityclaim", "routinglogentry")),
    *(f"profiles.view_{name}" for name in ("profile", *RECORDS, "duplicatepair", "merge", "move")),
    *("profiles.view_audit", "profiles.view_delivery"),
)


@admin.register(Profile)
class ProfileAdmin(OperationAdmin):
    form = ProfileForm
    change_form_template = "admin/profiles/profile/change_form.html"
    list_display = ["full_name", "email", "mobile_phone", "state", "created"]
    list_filter = ["profile_type", "locked"]
    # Only what every filter's index has, too: sorting by anything else would sort all that the filter finds.
    sortable_by = ["created"]
    # Turns the search box on; what it searches is `get_search_results`.
    search_fields = ["id"]
    search_help_text = gettext_lazy(
        "A name or its beginning, a profile id, an e-mail, a phone number or any other identifier, whole."
    )
    actions = ["merge_selected", "delete_selected"]
    readonly_fields = ["id", "merged_into", "reviewed_at", "deleted_at", "created_at", "updated_at"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "id",
                    ("profile_type", "title"),
                    ("first_name", "last_name"),
                    ("email", "mobile_phone", "secondary_phone"),
                    ("birth_year", "birth_month", "birth_day"),
                    "locked",
                ]
            },
        ),
        (
            gettext_lazy("More"),
            {
                "classes": ["collapse"],
                "fields": [
                    ("gender", "currency"),
                    ("company", "occupation"),
                    "avatar_url",
                    "joined_at",
                    "tags",
                    "attributes",
                ],
            },
        ),
        (
            gettext_lazy("Record"),
            {
                "classes": ["collapse"],
                "fields": ["created_at", "updated_at", "deleted_at", "merged_into", "reviewed_at"],
            },
        ),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: Profile | None = None) -> Any:
        """What a profile only has once it is stored is no part of the page that adds one."""
        if obj is not None:
            return super().get_fieldsets(request, obj)
        (name, first), more, _record = self.fieldsets
        return [(name, {**first, "fields": first["fields"][1:]}), more]

    def get_urls(self) -> list[URLPattern]:
        return [
            path("merge/", self.admin_site.admin_view(self.merge_view), name="profiles_profile_merge"),
            self.object_path("duplicates", self.duplicates_view),
            self.object_path("undelete", self.undelete_view),
            self.object_path("split", self.split_view),
            self.object_path("erase", self.erase_view),
            self.object_path("export", self.export_view),
            *super().get_urls(),
        ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Profile], search_term: str
    ) -> tuple[QuerySet[Profile], bool]:
        if search_term.strip():
            queryset = matching.search(search_term, cast(ProfileQuerySet, queryset))
        return queryset, False

    @admin.display(description=gettext_lazy("name"))
    def full_name(self, profile: Profile) -> str:
        return profile.full_name

    @admin.display(description=gettext_lazy("type"))
    def state(self, profile: Profile) -> str:
        """Its type, unless it stands for nobody: a merged profile keeps the type that it had."""
        if profile.merged_into_id is not None:
            return format_html('<span class="badge muted">{}</span>', _("merged"))
        return profile.get_profile_type_display()

    @admin.display(description=gettext_lazy("created"), ordering="pk")
    def created(self, profile: Profile) -> datetime.datetime:
        """In the order of the keys, which are given out in the order of creation."""
        return profile.created_at

    # Who may do what

    def has_change_permission(self, request: HttpRequest, obj: Profile | None = None) -> bool:
        """A deleted profile, or one merged into another, is only shown."""
        return super().has_change_permission(request, obj) and (obj is None or obj.is_live)

    def has_delete_permission(self, request: HttpRequest, obj: Profile | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.is_live)

    def has_merge_permission(self, request: HttpRequest) -> bool:
        """For the action, and for the page that it leads to, which shows everything of them."""
        return request.user.has_perms(["profiles.merge_profile", "profiles.view_profile"])

    # Writing

    def create(self, typed: Mapping[str, Any], *, by: By) -> Profile:
        return routing.route([], **_parted(typed), by=by, source=None).profile

    def update(self, obj: Profile, typed: Mapping[str, Any], *, by: By) -> Profile:
        if not typed:
            return obj
        return routing.update(obj.pk, **_parted(typed), by=by, source=None)

    def remove(self, obj: Profile, *, by: By) -> None:
        releasing.delete(obj.pk, by=by)

    # Pages

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Profile | None = None,
    ) -> HttpResponse:
        if obj is not None:
            context |= profile_page.context(request, obj) | {"title": obj.full_name, "subtitle": None}
        return super().render_change_form(request, context, add, change, form_url, obj)

    # Merging

    @admin.action(permissions=["merge"], description=gettext_lazy("Merge selected profiles"))
    def merge_selected(self, request: HttpRequest, queryset: QuerySet[Profile]) -> HttpResponse | None:
        """To the page on which they stand side by side; nothing is merged here."""
        most = merge_page.MOST_PROFILES
        ids = list(queryset.order_by("pk").values_list("pk", flat=True)[: most + 1])
        if not 2 <= len(ids) <= most:
            messages.error(request, _("Choose two profiles at least, and %(most)s at most.") % {"most": most})
            return None
        return HttpResponseRedirect(url_of(ids))

    def merge_view(self, request: HttpRequest) -> HttpResponse:
        self.demand(request, "profiles.merge_profile", "profiles.view_profile")
        return merge_page.merge_page(self, request)

    def duplicates_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "profiles.view_duplicatepair", "profiles.view_profile")
        return profile_duplicates.page(self, request, self.object_of(request, object_id))

    def get_object_tools(self, request: HttpRequest, obj: Profile) -> list[tuple[str, str]]:
        tools = []
        may_find = request.user.has_perms(["profiles.view_duplicatepair", "profiles.view_profile"])
        if obj.is_live and may_find:
            tools.append((self.object_url("duplicates", obj), _("Find duplicates")))
        if obj.is_live and request.user.has_perm("profiles.merge_profile"):
            tools.append((self.object_url("split", obj), _("Split")))
        if request.user.has_perms(EXPORT):
            tools.append((self.object_url("export", obj), _("Export")))
        if obj.profile_type == Profile.Type.DELETED and request.user.has_perm("profiles.change_profile"):
            tools.append((self.object_url("undelete", obj), _("Undelete")))
        if obj.merged_into_id is None and request.user.has_perms(ERASE):
            tools.append((self.object_url("erase", obj), _("Erase for good")))
        return tools

    def get_notices(self, request: HttpRequest, obj: Profile) -> list[str]:
        if obj.profile_type == Profile.Type.DELETED:
            return [_("This profile is deleted: it matches nothing, and its identities are free for others.")]
        return []

    def deletion_label(self, obj: Profile) -> str:
        return f"{obj.full_name} ({obj.pk})"

    def deletion_means(self, obj: Profile | None = None) -> list[str]:
        return [
            _("A deleted profile stays readable by its id, but is found by none of its identities."),
            _("Its identities are free: whoever writes one of them next takes it over."),
            _("It can be undeleted. Whatever no other profile has by then is found again."),
        ]

    def deletion_lists(self, obj: Profile) -> list[str]:
        rows = obj.identities.select_related("handle").order_by("-pk")[:MOST_AT_ONCE]
        return [f"{row.handle_id}: {shown(row)}" for row in rows]

    def deletion_hindrance(self, request: HttpRequest, obj: Profile) -> str:
        if obj.is_live:
            return ""
        return dead(request, obj) if obj.merged_into_id else _("This profile is deleted already.")

    def url_after_deletion(self, request: HttpRequest, obj: Profile) -> str:
        # The page from which it can be undeleted.
        return change_url(obj) if self.has_view_permission(request) else super().url_after_deletion(request, obj)

    def split_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "profiles.merge_profile")
        return split_page(self, request, self.object_of(request, object_id))

    def erase_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, *ERASE)
        return erase_page(self, request, self.get_object(request, unquote(object_id)))

    def export_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Everything held about the person as a file, on request only: a page that is merely opened shows nothing."""
        self.demand(request, *EXPORT)
        profile: Profile = self.object_of(request, object_id)
        if request.method == "POST":
            return _download(profile, by(request))
        question = Question(
            title=_("Export everything about %(name)s?") % {"name": profile.full_name},
            sentences=[
                _("You get one JSON file with all that is held about this person, sensitive identifiers in clear."),
                _("Of other people it holds nothing but the ids of their profiles."),
                _("Who exports it, and when, is kept in the audit."),
            ],
            button=_("Export"),
            act=str,
        )
        return self.ask(request, question, obj=profile, then=change_url(profile))

    def undelete_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "profiles.change_profile")
        profile: Profile = self.object_of(request, object_id)
        if profile.profile_type != Profile.Type.DELETED:
            messages.error(request, _("This profile is not deleted."))
            return HttpResponseRedirect(change_url(profile))
        form = UndeleteForm(request.POST or None)

        def act() -> str:
            profile_type = form.cleaned_data["profile_type"]
            retyped = releasing.change_type(profile.pk, profile_type, by=by(request), source=None)
            self.log_change(request, profile, _("Undeleted."))
            _tell_what_is_missing(request, retyped)
            return _("%(name)s was undeleted.") % {"name": profile.full_name}

        question = Question(
            title=_("Undelete %(name)s?") % {"name": profile.full_name},
            sentences=[
                _("It is found again by all of its identities that no other profile has by now."),
                _("Those that others have taken over come back too, if these are deleted themselves."),
            ],
            button=_("Undelete"),
            act=act,
            form=form,
        )
        return self.ask(request, question, obj=profile, then=change_url(profile))


def _download(profile: Profile, by: By) -> StreamingHttpResponse:
    try:
        export = exporting.export(profile.pk, by=by)
    except Profile.DoesNotExist:
        raise Http404 from None
    name = f"profile-{export.profile.pk}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(export.pieces, content_type="application/json", headers=headers)


def _parted(typed: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed, as `routing` takes it: columns, and contact points."""
    return {
        "fields": {name: value for name, value in typed.items() if name not in CONTACTS},
        "contact": {name: typed[name] for name in CONTACTS if name in typed},
    }


def _tell_what_is_missing(request: HttpRequest, retyped: releasing.Retyped) -> None:
    """Name the pairs that did not come back, with those who have them now, and the contacts that changed for it."""
    taken = [one for one in retyped.not_returned if one.owner is not None]
    if taken:
        text = ngettext(
            "This identity was taken over meanwhile and did not come back:",
            "These identities were taken over meanwhile and did not come back:",
            len(taken),
        )
        messages.warning(request, format_html("{} {}", text, _listed(taken)))
    deleted = [one for one in retyped.not_returned if one.owner is None]
    if deleted:
        text = ngettext(
            "This identity was taken over, then deleted, and did not come back. Nobody has it now:",
            "These identities were taken over, then deleted, and did not come back. Nobody has them now:",
            len(deleted),
        )
        messages.warning(request, format_html("{} {}", text, _listed(deleted)))
    if retyped.contacts_changed:
        messages.warning(request, _("Its e-mail or mobile phone is another one now, or none."))


def _listed(gone: list[releasing.NotReturned]) -> str:
    sensitive = Handle.objects.filter(pk__in={one.pair.handle for one in gone}, sensitive=True)
    masked = set(sensitive.values_list("pk", flat=True))

    def text(one: releasing.NotReturned) -> str:
        handle, identifier = one.pair
        shown = f"{handle}: {mask(identifier) if handle in masked else identifier}"
        return format_html("{} ({})", shown, link(one.owner)) if one.owner else shown

    return format_html_join(", ", "{}", ((text(one),) for one in gone[:MOST_AT_ONCE]))
