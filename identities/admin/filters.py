from __future__ import annotations

from typing import Any

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from identities.models import ApiToken, Extension, Handle

# A longer list would not be read. Any other name can be written into the address.
MOST_LISTED = 100

STAFF = "staff"


class HandleFilter(SimpleListFilter):
    """By handle, as the catalogue lists them: asking the rows which handles they have would read them all."""

    title = _("handle")
    parameter_name = "handle"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        # Documented ones first: "agreed" comes before "retired" and "undocumented".
        names = Handle.objects.order_by("status", "name").values_list("pk", flat=True)
        return [(name, name) for name in sorted(names[:MOST_LISTED])]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(handle=self.value()) if self.value() else queryset


class StateFilter(SimpleListFilter):
    """Tokens by whether they are good today."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, Any]]:
        return [("current", _("current")), ("expired", _("expired")), ("revoked", _("revoked"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        found = {
            "current": ApiToken.objects.current(),
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
