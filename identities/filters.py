from __future__ import annotations

import uuid
from typing import Any

import django_filters
from django.db.models import QuerySet

from identities import matching, normalising
from identities.models import BUILT_IN, Handle, Identity, RoutingLogEntry
from omneo_identity.api.filters import BooleanFilter, BracketFilterSet, InstantFilter, TextFilter, UUIDFilter
from profiles.models import Profile


class SourceFilter(TextFilter):
    """By the extension's slug; `staff` for what no extension wrote."""

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        return qs.filter(source=None) if value == "staff" else qs.filter(source=value)


class IdentityFilterSet(BracketFilterSet):
    handle = TextFilter(method="filter_handle", label="Contact points are listed only by `email` or `mobile_phone`.")
    identifier = TextFilter(method="filter_identifier", label="In any spelling that the handle's normaliser folds.")
    profile_id = UUIDFilter(method="filter_profile", label="A merged profile's id means its survivor.")
    is_active = BooleanFilter(field_name="is_active")
    source = SourceFilter(field_name="source")

    class Meta:
        model = Identity
        fields = {"created_at": InstantFilter.LOOKUPS, "updated_at": InstantFilter.LOOKUPS}

    def filter_handle(self, queryset: QuerySet[Identity], name: str, value: str) -> QuerySet[Identity]:
        return queryset.filter(handle=matching.current_name(value))

    def filter_identifier(self, queryset: QuerySet[Identity], name: str, value: str) -> QuerySet[Identity]:
        return queryset.filter(pk__in=matching.having(normalising.forms(value)).values("pk"))

    def filter_profile(self, queryset: QuerySet[Identity], name: str, value: uuid.UUID) -> QuerySet[Identity]:
        try:
            return queryset.filter(profile=Profile.objects.surviving(value).pk)
        except Profile.DoesNotExist:
            return queryset.none()

    def filter_queryset(self, queryset: Any) -> Any:
        """Only identities of live profiles, without contact points unless one is asked for by name (API.md 2)."""
        if (self.data or {}).get("handle") not in BUILT_IN:
            queryset = queryset.visible()
        return super().filter_queryset(queryset.live())


class HandleFilterSet(BracketFilterSet):
    status = django_filters.ChoiceFilter(choices=Handle.Status.choices)
    reserved_for = TextFilter(field_name="reserved_for")

    class Meta:
        model = Handle
        fields = {"name": ["exact"]}


class RoutingLogFilterSet(BracketFilterSet):
    handle = TextFilter(method="filter_handle", label="Entries under its former names, too.")
    outcome = django_filters.ChoiceFilter(choices=RoutingLogEntry.Outcome.choices)
    review_status = django_filters.ChoiceFilter(choices=RoutingLogEntry.Review.choices)
    source = SourceFilter(field_name="source")

    class Meta:
        model = RoutingLogEntry
        fields = {
            "created_at": InstantFilter.LOOKUPS,
            "last_seen_at": InstantFilter.LOOKUPS,
        }

    def filter_handle(self, queryset: QuerySet[RoutingLogEntry], name: str, value: str) -> QuerySet[RoutingLogEntry]:
        return queryset.filter(handle__in=matching.every_name(value))
