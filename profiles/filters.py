from __future__ import annotations

import uuid
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError

from identities import matching, normalising
from identities.filters import SourceFilter
from identities.models import EMAIL, MOBILE_PHONE
from omneo_identity.api.filters import BooleanFilter, BracketFilterSet, InstantFilter, TextFilter, UUIDFilter
from profiles.models import (
    Audit,
    DuplicatePair,
    DuplicatePairQuerySet,
    Interaction,
    Merge,
    Point,
    Profile,
    ProfileQuerySet,
    Reaction,
    Record,
    Reward,
    RewardDefinition,
    Transaction,
    Webhook,
    fold_name,
)


class ProfileFilterSet(BracketFilterSet):
    email = TextFilter(method="filter_contact", label="Every e-mail address held, not only the one shown.")
    mobile_phone = TextFilter(method="filter_contact", label="Every mobile number held, in any spelling.")
    first_name = TextFilter(method="filter_name", label="Without regard to case.")
    last_name = TextFilter(method="filter_name", label="Without regard to case.")
    profile_type = django_filters.ChoiceFilter(choices=Profile.Type.choices, label="`deleted` lists deleted profiles.")
    identity = TextFilter(method="filter_identity", label="`handle:identifier`, one pair.")
    # The last of all, which are run in this order: it cuts what it finds, and must find only what the others leave.
    search = TextFilter(
        method="filter_search",
        label="A name or its beginning, a profile id, or any identifier; the first 1,000 hits.",
    )

    class Meta:
        model = Profile
        fields = {"created_at": InstantFilter.LOOKUPS, "updated_at": InstantFilter.LOOKUPS}

    def filter_contact(self, queryset: QuerySet[Profile], name: str, value: str) -> QuerySet[Profile]:
        held = matching.holding_contact({"email": EMAIL, "mobile_phone": MOBILE_PHONE}[name], value)
        return queryset.filter(pk__in=held.values("profile_id"))

    def filter_name(self, queryset: QuerySet[Profile], name: str, value: str) -> QuerySet[Profile]:
        return queryset.filter(**{f"{name}_fold": fold_name(value)})

    def filter_identity(self, queryset: QuerySet[Profile], name: str, value: str) -> QuerySet[Profile]:
        # The pair is asked for in one place: two filters over the same relation would each join it once, and find a
        # profile that has the handle in one identity and the identifier in another.
        handle, separator, identifier = value.partition(":")
        if not separator:
            raise ValidationError(
                {"filter[identity]": [_("This must be a handle and an identifier: handle:identifier.")]}
            )
        found = matching.having(normalising.forms(identifier), handle=handle)
        return queryset.filter(pk__in=found.values("profile_id"))

    def filter_search(self, queryset: ProfileQuerySet, name: str, value: str) -> ProfileQuerySet:
        return matching.search(value, queryset)

    def filter_queryset(self, queryset: Any) -> Any:
        """Only live profiles, unless another type is asked for by name (API.md 1)."""
        if (self.data or {}).get("profile_type") != Profile.Type.DELETED:
            queryset = queryset.live()
        return super().filter_queryset(queryset)


class AuditFilterSet(BracketFilterSet):
    profile_id = UUIDFilter(field_name="profile_id")

    class Meta:
        model = Audit
        fields = {"event": ["exact"], "auditable_type": ["exact"], "created_at": InstantFilter.LOOKUPS}


class MergeFilterSet(BracketFilterSet):
    survivor = UUIDFilter(field_name="survivor", label="The id as the merge has it.")
    duplicate = UUIDFilter(field_name="duplicate", label="The id as the merge has it.")

    undone = BooleanFilter(field_name="undone_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = Merge
        fields = {"at": InstantFilter.LOOKUPS}


class DuplicatePairFilterSet(BracketFilterSet):
    status = django_filters.ChoiceFilter(
        choices=DuplicatePair.Status.choices, label="`open`, unless given: what waits for a decision."
    )
    profile_id = UUIDFilter(method="filter_profile", label="A merged profile's id means its survivor.")

    class Meta:
        model = DuplicatePair
        fields: list[str] = []

    def filter_profile(self, queryset: DuplicatePairQuerySet, name: str, value: uuid.UUID) -> DuplicatePairQuerySet:
        try:
            return queryset.of(Profile.objects.surviving(value).pk)
        except Profile.DoesNotExist:
            return queryset.none()

    def filter_queryset(self, queryset: Any) -> Any:
        if (self.data or {}).get("status", DuplicatePair.Status.OPEN) == DuplicatePair.Status.OPEN:
            queryset = queryset.offered()
        return super().filter_queryset(queryset)


class RecordFilterSet(BracketFilterSet):
    profile_id = UUIDFilter(method="filter_profile", label="A merged profile's id means its survivor.")
    source = SourceFilter(field_name="source")

    def filter_profile(self, queryset: QuerySet[Record], name: str, value: uuid.UUID) -> QuerySet[Record]:
        try:
            return queryset.filter(profile=Profile.objects.surviving(value).pk)
        except Profile.DoesNotExist:
            return queryset.none()

    def filter_queryset(self, queryset: Any) -> Any:
        """Only records of live profiles, and of nobody (API.md 1)."""
        return super().filter_queryset(queryset.live())


class OwnTransactionFilterSet(BracketFilterSet):
    """Those of one profile, in whatever state it is."""

    class Meta:
        model = Transaction
        fields = {"transacted_at": InstantFilter.LOOKUPS, "created_at": InstantFilter.LOOKUPS}


class FoundTransactionFilterSet(BracketFilterSet):
    class Meta:
        model = Transaction
        fields = {"external_id": ["exact"]}


class TransactionFilterSet(RecordFilterSet):
    external_id = TextFilter(method="filter_external_id", label="As the source gave it; several sources may have it.")

    Meta = OwnTransactionFilterSet.Meta

    def filter_external_id(self, queryset: QuerySet[Transaction], name: str, value: str) -> QuerySet[Transaction]:
        return queryset.filter(external_id=value)


class OwnInteractionFilterSet(BracketFilterSet):
    """Those of one profile, in whatever state it is."""

    class Meta:
        model = Interaction
        fields = {"interacted_at": InstantFilter.LOOKUPS, "created_at": InstantFilter.LOOKUPS}


class InteractionFilterSet(RecordFilterSet):
    Meta = OwnInteractionFilterSet.Meta


class PointFilterSet(RecordFilterSet):
    class Meta:
        model = Point
        fields = {"issued_at": InstantFilter.LOOKUPS, "created_at": InstantFilter.LOOKUPS}


class OwnRewardFilterSet(BracketFilterSet):
    """Those of one profile, in whatever state it is."""

    class Meta:
        model = Reward
        fields = {"issued_at": InstantFilter.LOOKUPS, "created_at": InstantFilter.LOOKUPS}


class RewardFilterSet(RecordFilterSet):
    Meta = OwnRewardFilterSet.Meta


class RewardDefinitionFilterSet(BracketFilterSet):
    class Meta:
        model = RewardDefinition
        fields = {"handle": ["exact"]}


class WebhookFilterSet(BracketFilterSet):
    class Meta:
        model = Webhook
        fields = {"is_active": ["exact"], "trigger": ["exact"], "namespace": ["exact"]}


class ReactionFilterSet(BracketFilterSet):
    class Meta:
        model = Reaction
        fields = {"name": ["exact"], "trigger": ["exact"]}
