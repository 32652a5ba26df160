"""What the lists of records are filtered by. Each has its index."""

from __future__ import annotations

import datetime
from typing import Any, ClassVar

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from profiles.admin.record_words import TIMES


class OwnerFilter(SimpleListFilter):
    """Records of nobody, or those that somebody has."""

    title = gettext_lazy("profile")
    # Not as a column is called: the address could else ask for those of one profile, which have no such order.
    parameter_name = "owner"

    NOBODY = "nobody"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, Any]]:
        return [(self.NOBODY, _("anonymous")), ("somebody", _("of a profile"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == self.NOBODY:
            return queryset.filter(profile=None)
        return queryset.exclude(profile=None) if self.value() == "somebody" else queryset


class PeriodFilter(SimpleListFilter):
    """Records by when they happened. Days begin at midnight where the reader is."""

    title = gettext_lazy("period")
    parameter_name = "period"

    DAYS: ClassVar[dict[str, int]] = {"today": 0, "week": 7, "month": 30, "year": 365}

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, Any]]:
        return [
            ("today", _("today")),
            ("week", _("past 7 days")),
            ("month", _("past 30 days")),
            ("year", _("past 365 days")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        days = self.DAYS.get(self.value() or "")
        if days is None:
            return queryset
        today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        return queryset.filter(**{f"{TIMES[queryset.model.kind]}__gte": today - datetime.timedelta(days=days)})


class VoidFilter(SimpleListFilter):
    title = gettext_lazy("void")
    parameter_name = "void"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, Any]]:
        return [("yes", _("void")), ("no", _("not void"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(is_void=self.value() == "yes") if self.value() in ("yes", "no") else queryset
