"""The records of one profile, the newest first (API.md 3)."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from identities import lookup
from identities.views import OfProfileViewSet, fragments
from profiles.filters import OwnInteractionFilterSet, OwnRewardFilterSet, OwnTransactionFilterSet
from profiles.models import Interaction, Record, Reward, Transaction
from profiles.models.record import of_kind
from profiles.serializers import InteractionSerializer, RewardSerializer, TransactionSerializer


class ProfileRecordViewSet(OfProfileViewSet):
    """What the lists have in common."""

    kind: ClassVar[type[Record]]

    def page_of(self, profile_id: str) -> Response:
        rows = of_kind(self.kind).filter(profile=self.profile(profile_id))
        page = self.paginate_queryset(self.filter_queryset(rows).values_list("pk", flat=True))
        return self.get_paginated_response(fragments(lookup.records(self.kind.kind, page or [])))


class ProfileTransactionViewSet(ProfileRecordViewSet):
    kind = Transaction
    queryset = Transaction.objects.all()
    filterset_class = OwnTransactionFilterSet
    serializer_class = TransactionSerializer
    sort_fields = {"transacted_at": "transacted_at", "id": "id"}
    default_sort = "-transacted_at"
    scopes = {"list": "read-transactions"}

    @extend_schema(responses=TransactionSerializer(many=True), summary="List a profile's transactions")
    def list(self, request: Request, profile_id: str) -> Response:
        return self.page_of(profile_id)


class ProfileInteractionViewSet(ProfileRecordViewSet):
    kind = Interaction
    queryset = Interaction.objects.all()
    filterset_class = OwnInteractionFilterSet
    serializer_class = InteractionSerializer
    sort_fields = {"interacted_at": "interacted_at", "id": "id"}
    default_sort = "-interacted_at"
    scopes = {"list": "read-interactions"}

    @extend_schema(responses=InteractionSerializer(many=True), summary="List a profile's interactions")
    def list(self, request: Request, profile_id: str) -> Response:
        return self.page_of(profile_id)


class ProfileRewardViewSet(ProfileRecordViewSet):
    kind = Reward
    queryset = Reward.objects.all()
    filterset_class = OwnRewardFilterSet
    serializer_class = RewardSerializer
    sort_fields = {"id": "id", "issued_at": "issued_at"}
    default_sort = "-id"
    scopes = {"list": "read-rewards"}

    @extend_schema(responses=RewardSerializer(many=True), summary="List a profile's rewards")
    def list(self, request: Request, profile_id: str) -> Response:
        return self.page_of(profile_id)
