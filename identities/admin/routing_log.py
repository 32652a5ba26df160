from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from identities import reviewing
from identities.admin.filters import HandleFilter, SourceFilter
from identities.forms import ReviewForm
from identities.models import RoutingLogEntry
from profiles.admin.base import OperationAdmin, link, pretty
from profiles.auditing import By
from profiles.models import Profile

MOST_CANDIDATES = 100


@admin.register(RoutingLogEntry)
class RoutingLogEntryAdmin(OperationAdmin):
    """The routing log: written by routing, reviewed here, never deleted."""

    form = ReviewForm
    list_display = [
        "last_seen_at",
        "outcome",
        "review_status",
        "pair",
        "requested_profile",
        "routed_profile",
        "occurrences",
    ]
    list_display_links = ["last_seen_at", "outcome"]
    list_filter = ["outcome", "review_status", HandleFilter, SourceFilter]
    list_select_related = ["requested_profile", "routed_profile"]
    sortable_by = ["last_seen_at"]
    actions = None
    fieldsets = [
        (gettext_lazy("What happened"), {"fields": ["outcome", "kind", "code", "handle", "identifier"]}),
        (gettext_lazy("Profiles"), {"fields": ["requested_profile", "routed_profile", "candidates_shown"]}),
        (
            gettext_lazy("Who and when"),
            {"fields": ["source_name", "by", "occurrences", "created_at", "last_seen_at"]},
        ),
        (gettext_lazy("What was sent"), {"fields": ["payload_shown"]}),
        (gettext_lazy("Review"), {"fields": ["review_status", "review_note", "reviewed_by", "reviewed_at"]}),
    ]
    readonly_fields = [
        "outcome",
        "kind",
        "code",
        "handle",
        "identifier",
        "requested_profile",
        "routed_profile",
        "candidates_shown",
        "source_name",
        "by",
        "occurrences",
        "created_at",
        "last_seen_at",
        "payload_shown",
        "reviewed_by",
        "reviewed_at",
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: RoutingLogEntry | None = None) -> bool:
        return False

    @admin.display(description=gettext_lazy("identity"))
    def pair(self, entry: RoutingLogEntry) -> str:
        return f"{entry.handle}: {entry.identifier}"

    @admin.display(description=gettext_lazy("source"))
    def source_name(self, entry: RoutingLogEntry) -> str:
        return entry.source_id or _("staff")

    @admin.display(description=gettext_lazy("candidates"))
    def candidates_shown(self, entry: RoutingLogEntry) -> str:
        """The profiles that the pairs named, with their ids: two of one name are why somebody looks here."""
        profiles = Profile.objects.in_bulk(entry.candidates[:MOST_CANDIDATES])
        rows = ((pk, profiles.get(pk)) for pk in entry.candidates[:MOST_CANDIDATES])
        shown = (
            (format_html("{} ({})", link(profile), pk) if profile else format_html("{}", pk),) for pk, profile in rows
        )
        return format_html_join(SafeString("<br>"), "{}", shown) or "-"

    @admin.display(description=gettext_lazy("payload"))
    def payload_shown(self, entry: RoutingLogEntry) -> SafeString:
        return pretty(entry.payload)

    def update(self, obj: RoutingLogEntry, typed: Mapping[str, Any], *, by: By) -> RoutingLogEntry:
        status = typed.get("review_status", obj.review_status)
        return reviewing.review(obj, status=status, note=typed.get("review_note", obj.review_note), by=by)
