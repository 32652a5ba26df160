from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from identities import cataloguing
from identities.forms import BlockedIdentifierForm, HandleForm
from identities.models import BUILT_IN, BlockedIdentifier, Handle
from profiles.admin.base import OperationAdmin
from profiles.auditing import By


@admin.register(Handle)
class HandleAdmin(OperationAdmin):
    """The catalogue. A handle is never deleted: identities stand under it, and retiring it says the same."""

    form = HandleForm
    list_display = ["name", "label", "status", "reserved_for", "normaliser", "sensitive", "usage"]
    list_filter = ["status", "normaliser", "sensitive"]
    list_select_related = ["reserved_for"]
    search_fields = ["name__startswith", "label__istartswith"]
    search_help_text = gettext_lazy("The beginning of a name or label.")
    sortable_by = ["name", "status"]
    actions = None
    told = ("renamed_to", "agreed_by", "agreed_at", "created_at", "usage")
    fieldsets = [
        (None, {"fields": ["name", "label", "description", "example", "status"]}),
        (gettext_lazy("Who writes it, and how it is compared"), {"fields": ["reserved_for", "normaliser", "pattern"]}),
        (
            gettext_lazy("Rules"),
            {"fields": ["single_valued", "max_per_profile", "immutable", "sensitive", "priority"]},
        ),
        (gettext_lazy("Record"), {"fields": told}),
    ]

    def get_queryset(self, request: HttpRequest) -> Any:
        """With usage where a page shows it; the pop-up list of a form's field asks for nothing but names."""
        queryset: Any = super().get_queryset(request)
        match = request.resolver_match
        return queryset if match and match.url_name == "autocomplete" else queryset.with_usage()

    @admin.display(description=gettext_lazy("identities"))
    def usage(self, handle: Any) -> str:
        return f"{handle.usage_count}+" if handle.usage_count_is_capped else str(handle.usage_count)

    def get_fieldsets(self, request: HttpRequest, obj: Handle | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        return fieldsets if obj else fieldsets[:-1]

    def get_readonly_fields(self, request: HttpRequest, obj: Handle | None = None) -> list[str]:
        return ["name", *self.told] if obj else []

    def get_notices(self, request: HttpRequest, obj: Handle) -> list[str]:
        if obj.name in BUILT_IN:
            return [_("Contact points are built in: only label, description, example and priority can change.")]
        if obj.reserved_for_id:
            reserved = _("Reserved: only the extension %(extension)s writes identities of this handle.")
            return [reserved % {"extension": obj.reserved_for_id}]
        return []

    def has_delete_permission(self, request: HttpRequest, obj: Handle | None = None) -> bool:
        return False

    def create(self, typed: Mapping[str, Any], *, by: By) -> Handle:
        return cataloguing.create(typed, by=by)

    def update(self, obj: Handle, typed: Mapping[str, Any], *, by: By) -> Handle:
        return cataloguing.change(obj, typed, by=by)


@admin.register(BlockedIdentifier)
class BlockedIdentifierAdmin(OperationAdmin):
    form = BlockedIdentifierForm
    list_display = ["value", "kind", "handle_name", "reason", "enabled", "built_in"]
    list_filter = ["enabled", "built_in", "kind"]
    search_fields = ["value__startswith"]
    autocomplete_fields = ["handle"]
    actions = ["delete_selected"]

    @admin.display(description=gettext_lazy("handle"))
    def handle_name(self, blocked: BlockedIdentifier) -> str:
        return blocked.handle_id or _("all handles")

    def get_fields(self, request: HttpRequest, obj: BlockedIdentifier | None = None) -> Any:
        fields = ["value", "kind", "handle", "reason", "enabled"]
        return [*fields, "built_in", "by", "created_at"] if obj else fields

    def get_readonly_fields(self, request: HttpRequest, obj: BlockedIdentifier | None = None) -> list[str]:
        if obj is None:
            return []
        told = ["built_in", "by", "created_at"]
        return ["value", "kind", "handle", "reason", *told] if obj.built_in else told

    def get_notices(self, request: HttpRequest, obj: BlockedIdentifier) -> list[str]:
        return [_("This value ships with the product: it can only be switched off and on.")] if obj.built_in else []

    def has_delete_permission(self, request: HttpRequest, obj: BlockedIdentifier | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not (obj and obj.built_in)

    def create(self, typed: Mapping[str, Any], *, by: By) -> BlockedIdentifier:
        return cataloguing.block(typed, by=by)

    def update(self, obj: BlockedIdentifier, typed: Mapping[str, Any], *, by: By) -> BlockedIdentifier:
        return cataloguing.change_blocked(obj, typed, by=by)

    def remove(self, obj: BlockedIdentifier, *, by: By) -> None:
        cataloguing.unblock(obj, by=by)

    def deletion_means(self, obj: BlockedIdentifier | None = None) -> list[str]:
        return [_("It is an identifier like any other from then on, and may bring records together.")]

    def deletion_hindrance(self, request: HttpRequest, obj: BlockedIdentifier) -> str:
        if obj.built_in:
            return _("This value ships with the product: switch it off instead of deleting it.")
        return ""
