"""The queue of duplicates over HTTP (API.md 5)."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from identities import lookup
from omneo_identity.api.auth import by
from omneo_identity.api.schema import data_of
from omneo_identity.api.views import ApiViewSet, one
from profiles import duplicates, merging
from profiles.filters import DuplicatePairFilterSet
from profiles.models import DuplicatePair, Profile
from profiles.refusing import Refused
from profiles.serializers import ProfileSerializer
from profiles.serializers.duplicates import (
    AcceptanceSerializer,
    DismissalSerializer,
    DuplicatePairSerializer,
    shown,
)
from profiles.views.merging import MERGED


class DuplicateViewSet(ApiViewSet):
    """Pairs of profiles that may be one person: those that wait for a decision, unless another status is asked for."""

    queryset = DuplicatePair.objects.select_related("by")
    filterset_class = DuplicatePairFilterSet
    serializer_class = DuplicatePairSerializer
    sort_fields = {"score": "score", "created_at": "created_at"}
    default_sort = "-score"
    scopes = {
        "list": "read-profiles",
        "retrieve": "read-profiles",
        "dismiss": "merge-profiles",
        "merge": "merge-profiles",
    }

    @extend_schema(responses=DuplicatePairSerializer(many=True), summary="List duplicates")
    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(shown(page or []))

    @extend_schema(responses=data_of(DuplicatePairSerializer), summary="Read a pair of the queue")
    def retrieve(self, request: Request, pair_id: int) -> Response:
        return one(self._shown(pair_id))

    @extend_schema(
        request=DismissalSerializer,
        responses=data_of(DuplicatePairSerializer),
        summary="Say that the two are not the same person",
        description="They are never offered again by themselves, whatever is seen later, and never merged by "
        "themselves. Said again, it changes nothing.",
    )
    def dismiss(self, request: Request, pair_id: int) -> Response:
        body = DismissalSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        duplicates.dismiss(pair_id, note=body.validated_data.get("note") or "", by=by(request))
        return one(self._shown(pair_id))

    @extend_schema(
        request=AcceptanceSerializer,
        responses=data_of(ProfileSerializer, merges=MERGED),
        summary="Merge the two of a pair",
        description="What the two stand for today becomes one profile, as by `/profiles/merge`. Where they are one "
        "already, nothing is done, `merges` is empty, and the answer is that profile.",
    )
    def merge(self, request: Request, pair_id: int) -> Response:
        body = AcceptanceSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        pair = DuplicatePair.objects.get(pk=pair_id)
        if pair.low_id == pair.high_id:
            return one(lookup.profile(pair.low_id), merges=[])
        destination, source = _sides(pair, body.validated_data.get("destination_profile_id"))
        try:
            merged = merging.merge(
                destination,
                [source],
                choices=body.choices([source], destination),
                plan=body.validated_data.get("plan"),
                reason=body.validated_data.get("reason") or "",
                by=by(request),
            )
        except Refused as refusal:
            # Somebody else was a moment earlier, with this very pair: both see what came of it.
            pair.refresh_from_db()
            if refusal.code != "already_merged" or pair.low_id != pair.high_id:
                raise
            return one(lookup.profile(pair.low_id), merges=[])
        return one(lookup.profile(merged.survivor.pk), merges=[merge.pk for merge in merged.merges])

    def _shown(self, pair_id: int) -> dict[str, Any]:
        (pair,) = shown([self.get_queryset().get(pk=pair_id)])
        return pair


def _sides(pair: DuplicatePair, destination: Any) -> tuple[Any, Any]:
    """The profile that stays, and the one that becomes part of it."""
    ids = [pair.low_id, pair.high_id]
    if destination is None:
        destination = Profile.objects.filter(pk__in=ids).order_by("created_at", "pk").values_list("pk", flat=True)[0]
    if destination not in ids:
        raise ValidationError({"destination_profile_id": [_("This must be one of the two: one of survivor_ids.")]})
    return destination, next(pk for pk in ids if pk != destination)
