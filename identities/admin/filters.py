from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from identities import matching
from identities.models import ApiToken, ErasedPair, Extension, Handle, Identity, RoutingLogEntry
from identities.refusal_words import REASONS

# A longer list would not be read. Any other name can be written into the address.
MOST_LISTED = 100

STAFF = "staff"


class HandleFilter(SimpleListFilter):
    """By handle, as the catalogue lists them: asking the rows which handles they have would read them all."""

    title = _("handle")
    parameter_name = "handle"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        # Documented ones first: "agreed" comes before "retired" and "undocumented".
        names = Handle.objects.filter(renamed_to=None).order_by("status", "name").values_list("pk", flat=True)
        return [(name, name) for name in sorted(names[:MOST_LISTED])]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Whatever name is asked for, what stands under any other name that the handle had is meant too."""
        name = self.value()
        if not name:
            return queryset
        if queryset.model in (Identity, ErasedPair):
            # They stand under one name only, which lets the index give them in order.
            return queryset.filter(handle=matching.current_name(name))
        return queryset.filter(handle__in=matching.every_name(name))


class StateFilter(SimpleListFilter):
    """Tokens by whether they are good today."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, Any]]:
        return [
            ("current", _("current")),
            ("expiring", _("about to expire")),
            ("expired", _("expired")),
            ("revoked", _("revoked")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        found = {
            "current": ApiToken.objects.current(),
            "expiring": ApiToken.objects.expiring(),
            "expired": ApiToken.objects.expired(),
            "revoked": ApiToken.objects.exclude(revoked_at=None),
        }.get(self.value() or "")
        return queryset if found is None else queryset & found


class SourceFilter(SimpleListFilter):
    title = _("source")
    parameter_name = "source"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, Any]]:
        slugs = Extension.objects.values_list("pk", flat=True)[:MOST_LISTED]
        return [(STAFF, _("staff")), *((slug, slug) for slug in slugs)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        return queryset.filter(Q(source=None) if self.value() == STAFF else Q(source=self.value()))


class ReviewFilter(SimpleListFilter):
    """Log entries by what a person has said of them: the open ones, unless something else is asked for."""

    title = _("review")
    parameter_name = "review_status__exact"

    ALL = "all"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, Any]]:
        return [*RoutingLogEntry.Review.choices, (self.ALL, _("all"))]

    def value(self) -> str:
        return super().value() or RoutingLogEntry.Review.OPEN

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        # Without the choice that Django puts first: nothing chosen means open here.
        for lookup, title in self.lookup_choices:
            query_string = changelist.get_query_string({self.parameter_name: lookup})
            yield {"selected": self.value() == lookup, "query_string": query_string, "display": title}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset if self.value() == self.ALL else queryset.filter(review_status=self.value())


class ReasonFilter(SimpleListFilter):
    """Log entries by why something was refused."""

    title = _("reason")
    parameter_name = "code__exact"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, Any]]:
        return list(REASONS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(code=self.value()) if self.value() else queryset


class SeenFilter(SimpleListFilter):
    """Log entries by when they last happened. Days begin at midnight where the reader is."""

    title = _("last seen")
    parameter_name = "seen"

    DAYS = {"today": 0, "week": 7, "month": 30}

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, Any]]:
        return [("today", _("today")), ("week", _("past 7 days")), ("month", _("past 30 days"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        days = self.DAYS.get(self.value() or "")
        if days is None:
            return queryset
        today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        return queryset.filter(last_seen_at__gte=today - datetime.timedelta(days=days))


class ExtensionFilter(SourceFilter):
    """Tokens by the extension that they speak for."""

    title = _("extension")
    parameter_name = "extension"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        return queryset.filter(extension=None if self.value() == STAFF else self.value())
