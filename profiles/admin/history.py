from __future__ import annotations

import datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from identities.handles import mask
from identities.models import Handle
from profiles.admin.base import ReadOnlyAdmin, link, pretty
from profiles.models import RECORDS, Audit, Move, Profile


@admin.register(Audit)
class AuditAdmin(ReadOnlyAdmin):
    list_display = ["at", "event", "auditable_type", "auditable_key", "profile", "by", "token_name"]
    list_select_related = ["by", "profile"]
    sortable_by = ["at"]
    found_together = [{"auditable_type", "auditable_key"}, {"by", "created_at"}]
    fields = [
        "created_at",
        "by",
        "event",
        "auditable_type",
        "auditable_key",
        "profile",
        "old_shown",
        "new_shown",
        "url",
        "ip_address",
        "token_name",
        "user_agent",
    ]
    readonly_fields = ["old_shown", "new_shown"]

    @admin.display(description=_("at"), ordering="pk")
    def at(self, audit: Audit) -> datetime.datetime:
        return audit.created_at

    @admin.display(description=_("old values"))
    def old_shown(self, audit: Audit) -> SafeString:
        return pretty(audit.old_values)

    @admin.display(description=_("new values"))
    def new_shown(self, audit: Audit) -> SafeString:
        return pretty(audit.new_values)


@admin.register(Move)
class MoveAdmin(ReadOnlyAdmin):
    list_display = ["at", "subject_type", "handle", "shown", "left", "reached", "cause", "by", "undone_at"]
    list_select_related = ["by", "from_profile", "to_profile"]
    sortable_by = ()
    fields = [
        "at",
        "subject_type",
        "subject_key",
        "handle",
        "shown",
        "left",
        "reached",
        "cause",
        "reason",
        "by",
        "undone_at",
    ]
    readonly_fields = ["shown", "left", "reached"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Move]:
        sensitive = Handle.objects.sensitive().filter(pk=OuterRef("handle"))
        queryset: QuerySet[Move] = super().get_queryset(request)
        return queryset.annotate(is_sensitive=Exists(sensitive))

    @admin.display(description=_("identifier"))
    def shown(self, move: Any) -> str:
        """Of a record, which has none, its key; its page leads to it, as long as it is there."""
        if move.subject_type in RECORDS:
            url = reverse(f"admin:profiles_{move.subject_type}_change", args=[quote(move.subject_key)])
            return format_html('<a href="{}">#{}</a>', url, move.subject_key)
        if not move.identifier:
            return format_html('<span class="quiet">{}</span>', gettext("erased"))
        return mask(move.identifier) if move.is_sensitive else str(move.identifier)

    @admin.display(description=_("from"))
    def left(self, move: Move) -> SafeString:
        return _named(move.from_profile)

    @admin.display(description=_("to"))
    def reached(self, move: Move) -> SafeString:
        return _named(move.to_profile)


def _named(profile: Profile | None) -> SafeString:
    return link(profile) if profile is not None else format_html('<span class="quiet">{}</span>', gettext("nobody"))
