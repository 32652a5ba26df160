from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from identities import batching
from identities.views import profile_key
from omneo_identity.api.auth import by, source, token_of
from omneo_identity.api.schema import data_of
from omneo_identity.api.views import ApiViewSet, one
from profiles import syncing
from profiles.models import ProfileBatch
from profiles.serializers import (
    ProfileBatchSerializer,
    ProfileBatchStateSerializer,
    QueuedBatchSerializer,
    QueuedSyncSerializer,
    SyncSerializer,
)


class ProfileBatchViewSet(ApiViewSet):
    """Many profiles at once, by the worker."""

    queryset = ProfileBatch.objects.all()
    serializer_class = ProfileBatchStateSerializer
    pagination_class = None
    filter_backends = []
    scopes = {
        "create": frozenset({"create-profiles", "update-profiles"}),
        "retrieve": ("create-profiles", "update-profiles"),
        "sync": "update-profiles",
    }

    @extend_schema(
        request=ProfileBatchSerializer,
        responses={200: data_of(QueuedBatchSerializer)},
        summary="Queue up to 500 profiles to be made or changed",
    )
    def create(self, request: Request) -> Response:
        """Each profile needs its pair of `match_criteria`: its `email` or `mobile_phone`, or one of its `identities`.

        That pair decides. The profile that has it is changed as by PUT, and the other `identities` are attached to it;
        when none has it, a new profile is made. A pair or contact of another profile is an error of its row, of which
        nothing is written. Pairs that are bad, blocked, reserved or too many are set aside (`refused`). The worker
        brings profiles in in their order, and batches of one account in theirs; GET tells what became of each.
        The token needs the scopes `create-profiles` and `update-profiles`.
        """
        body = ProfileBatchSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        criterion, profiles = body.validated_data["match_criteria"], body.validated_data["profiles"]
        batch = batching.queue(criterion, profiles, by=by(request), source=source(request))
        return one({"message": "Profiles queued for batch import.", "batch_id": batch.pk})

    @extend_schema(responses=data_of(ProfileBatchStateSerializer), summary="Ask what became of a batch")
    def retrieve(self, request: Request, batch_id: str) -> Response:
        """Each account sees its own batches, for 30 days. `profiles` are in the order in which they were sent."""
        own = ProfileBatch.objects.filter(by=token_of(request).user, source=source(request))
        batch = own.prefetch_related("rows").get(pk=profile_key(batch_id))
        return one(ProfileBatchStateSerializer(batch).data)

    @extend_schema(
        request=SyncSerializer,
        responses=data_of(QueuedSyncSerializer),
        summary="Ask for the profiles that were changed since a time",
    )
    def sync(self, request: Request) -> Response:
        """Whoever listens to `profile.updated` is told of each of them again, in the order of their changes.

        Left out, `updated_at` means all profiles. The worker does it bit by bit, and only while somebody listens.
        The token needs the scope `update-profiles`. The audit keeps who asked.
        """
        body = SyncSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        syncing.ask(body.validated_data.get("updated_at"), by=by(request))
        return one({"message": "Profiles queued for sync."})
