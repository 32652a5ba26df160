"""What the lists of records and of duplicates are filtered by. Each has its index."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any, ClassVar

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from profiles import duplicates
from profiles.admin.record_words import TIMES
from profiles.evidence import KINDS
from profiles.models import DuplicatePair


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


class PairStatusFilter(SimpleListFilter):
    """Pairs of the queue by what has become of them: what is offered, unless something else is asked for."""

    title = gettext_lazy("status")
    parameter_name = "status__exact"

    OPEN = DuplicatePair.Status.OPEN

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, Any]]:
        return list(DuplicatePair.Status.choices)

    def value(self) -> str:
        return super().value() or self.OPEN

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        # Without the choice that Django puts first: nothing chosen means open here.
        for lookup, title in self.lookup_choices:
            query_string = changelist.get_query_string({self.parameter_name: lookup})
            yield {"selected": self.value() == lookup, "query_string": query_string, "display": title}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == self.OPEN:
            return queryset & duplicates.offered()
        return queryset.filter(status=self.value())


class EvidenceFilter(SimpleListFilter):
    """Pairs of the queue by what speaks for them."""

    title = gettext_lazy("evidence")
    # Not as a column is called: the address could else ask for a whole evidence, which no index has.
    parameter_name = "kind"

    LABELS: ClassVar[dict[str, Any]] = {
        "conflict": gettext_lazy("named by the same data"),
        "details": gettext_lazy("same name, birth date or address"),
        "email": gettext_lazy("same mailbox"),
        "phone": gettext_lazy("same phone"),
    }

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, Any]]:
        return [(word, self.LABELS.get(word, word)) for word in KINDS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(evidence__has_key=self.value()) if self.value() in KINDS else queryset
