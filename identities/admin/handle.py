from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from identities import cataloguing, renormalising
from identities.admin import handle_changes, handle_page, handle_words
from identities.forms import HandleForm
from identities.models import BUILT_IN, Handle
from identities.models.handle import TO_DO_FIRST
from profiles.admin.base import OperationAdmin, Question
from profiles.auditing import By


@admin.register(Handle)
class HandleAdmin(OperationAdmin):
    """The catalogue. A handle is never deleted: identities stand under it, and retiring it says the same."""

    form = HandleForm
    change_form_template = "admin/identities/handle/change_form.html"
    change_list_template = "admin/identities/handle/change_list.html"
    list_display_links = ["called"]
    is_small = True
    # What waits for a decision stands first.
    ordering = TO_DO_FIRST
    search_fields = ["name__startswith", "label__istartswith"]
    search_help_text = gettext_lazy("The beginning of a name or label.")
    sortable_by = ()
    actions = None
    told = ("agreed_by", "agreed_at", "created_at")
    fieldsets = [
        (None, {"fields": ["name", "label", "description", "example"]}),
        (gettext_lazy("Who writes it, and how it is compared"), {"fields": ["reserved_for", "normaliser", "pattern"]}),
        (
            gettext_lazy("Rules"),
            {"fields": ["single_valued", "max_per_profile", "immutable", "sensitive", "priority", "auto_merge"]},
        ),
        (gettext_lazy("Record"), {"fields": told}),
    ]

    def get_urls(self) -> list[URLPattern]:
        return [
            self.object_path("agree", self.agree_view),
            self.object_path("merge-into", self.merge_view),
            self.object_path("rename", self.rename_view),
            self.object_path("retire", self.retire_view),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> Any:
        """With what a page shows of it; the pop-up list of a form's field asks for nothing but names."""
        queryset: Any = super().get_queryset(request)
        match = request.resolver_match
        if match and match.url_name == "autocomplete":
            return queryset
        return queryset.select_related("reserved_for", "renamed_to").with_usage().with_seen()

    # The list

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        usage = "usage_linked" if request.user.has_perm("identities.view_identity") else "usage"
        columns = ["called", "status_shown", "who_writes", "compared", usage, "first_seen", "last_seen"]
        return [*columns, "what_to_do"] if self.has_change_permission(request) else columns

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        statuses = [("", _("all")), *Handle.Status.choices]
        chosen = request.GET.get("status__exact", "")
        return super().changelist_view(
            request, {"statuses": statuses, "chosen_status": chosen, **(extra_context or {})}
        )

    @admin.display(description=gettext_lazy("handle"))
    def called(self, handle: Handle) -> SafeString | str:
        if not handle.label:
            return handle.name
        return format_html('{}<br><span class="quiet">{}</span>', handle.name, handle.label)

    @admin.display(description=gettext_lazy("status"))
    def status_shown(self, handle: Handle) -> SafeString:
        return handle_words.status(handle)

    @admin.display(description=gettext_lazy("who may write it"))
    def who_writes(self, handle: Handle) -> str:
        return handle_words.writers(handle)

    @admin.display(description=gettext_lazy("how it is compared"))
    def compared(self, handle: Handle) -> str:
        return handle_words.compared(handle)

    @admin.display(description=gettext_lazy("identities"))
    def usage(self, handle: Handle) -> str:
        return f"{handle.usage_count:,}" + ("+" if handle.usage_count_is_capped else "")

    @admin.display(description=gettext_lazy("identities"))
    def usage_linked(self, handle: Handle) -> str:
        if handle.usage_count == 0:
            return self.usage(handle)
        every = f"{reverse('admin:identities_identity_changelist')}?{urlencode({'handle': handle.pk})}"
        label = _("Identities of %(handle)s") % {"handle": handle.name}
        return format_html('<a href="{}" title="{}">{}</a>', every, label, self.usage(handle))

    @admin.display(description=gettext_lazy("first seen"))
    def first_seen(self, handle: Any) -> str:
        return _day(handle.first_seen)

    @admin.display(description=gettext_lazy("last seen"))
    def last_seen(self, handle: Any) -> str:
        return _day(handle.last_seen)

    @admin.display(description=gettext_lazy("what to do"), empty_value="")
    def what_to_do(self, handle: Handle) -> SafeString | None:
        if handle.status != Handle.Status.UNDOCUMENTED:
            return None
        return format_html(
            '<span class="tools"><a class="quiet-button" href="{}" aria-label="{}">{}</a>'
            '<a class="quiet-button" href="{}" aria-label="{}">{}</a></span>',
            self.object_url("agree", handle),
            _("Agree what %(handle)s is") % {"handle": handle.name},
            _("Agree"),
            self.object_url("merge_into", handle),
            _("Merge %(handle)s into another handle") % {"handle": handle.name},
            _("Merge into"),
        )

    # The page of one

    def get_fieldsets(self, request: HttpRequest, obj: Handle | None = None) -> Any:
        if obj and obj.renamed_to_id:
            # The rules that its identities go by are those of its name of today.
            return [(None, {"fields": ["name", "label", "description"]})]
        fieldsets = super().get_fieldsets(request, obj)
        return fieldsets if obj else fieldsets[:-1]

    def get_readonly_fields(self, request: HttpRequest, obj: Handle | None = None) -> list[str]:
        return ["name", *self.told] if obj else []

    def get_notices(self, request: HttpRequest, obj: Handle) -> list[str]:
        if obj.name in BUILT_IN:
            return [_("Contact points are built in: only label, description, example and priority can change.")]
        return []

    def get_object_tools(self, request: HttpRequest, obj: Handle) -> list[tuple[str, str]]:
        if obj.is_built_in or not self.has_change_permission(request, obj):
            return []
        tools = [
            (self.object_url("merge_into", obj), _("Merge into another")),
            (self.object_url("rename", obj), _("Rename")),
        ]
        if obj.status == Handle.Status.RETIRED:
            return [(self.object_url("agree", obj), _("Agree again")), *tools]
        tools.append((self.object_url("retire", obj), _("Retire")))
        if obj.status == Handle.Status.UNDOCUMENTED:
            tools.insert(0, (self.object_url("agree", obj), _("Agree")))
        return tools

    def has_change_permission(self, request: HttpRequest, obj: Handle | None = None) -> bool:
        """A former name says where it leads, and nothing else can be said of it."""
        return super().has_change_permission(request, obj) and not (obj and obj.renamed_to_id)

    def has_delete_permission(self, request: HttpRequest, obj: Handle | None = None) -> bool:
        return False

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Handle | None = None,
    ) -> HttpResponse:
        if obj is not None:
            context |= handle_page.context(request, obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    # Writing

    def create(self, typed: Mapping[str, Any], *, by: By) -> Handle:
        return cataloguing.create({**typed, "status": Handle.Status.AGREED}, by=by)

    def update(self, obj: Handle, typed: Mapping[str, Any], *, by: By) -> Handle:
        if "normaliser" in typed and not obj.is_built_in and obj.identities.exists():
            renormalising.change(obj, typed, by=by)
            return Handle.objects.get(pk=obj.pk)
        return cataloguing.change(obj, typed, by=by)

    def question_before(self, request: HttpRequest, obj: Handle | None, typed: Mapping[str, Any]) -> Question | None:
        if obj is not None:
            return handle_changes.rules_question(request, obj, typed)
        return handle_changes.trust_question(typed["name"]) if typed["auto_merge"] else None

    def agree_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "identities.change_handle")
        return handle_changes.agree_page(self, request, self.object_of(request, object_id))

    def merge_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "identities.change_handle")
        return handle_changes.merge_page(self, request, self.object_of(request, object_id))

    def rename_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "identities.change_handle")
        return handle_changes.rename_page(self, request, self.object_of(request, object_id))

    def retire_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "identities.change_handle")
        return handle_changes.retire_page(self, request, self.object_of(request, object_id))


def _day(at: datetime.datetime | None) -> str:
    """The day, as it is where the reader is."""
    return date_format(timezone.localtime(at)) if at else "-"
