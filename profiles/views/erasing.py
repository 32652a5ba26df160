"""Erase a profile for good (API.md 3)."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from identities.views import profile_key
from omneo_identity.api.auth import by
from omneo_identity.api.schema import data_of
from omneo_identity.api.views import ApiViewSet, one
from profiles import erasing
from profiles.models import Profile
from profiles.serializers import PurgeSerializer, PurgingSerializer

DELETE = "delete-profiles"


class ErasingViewSet(ApiViewSet):
    """A profile is deleted for good. Ids are literal: that of a merged profile is a 409 `already_merged`."""

    queryset = Profile.objects.all()
    serializer_class = PurgeSerializer
    filter_backends = []
    scopes = {"preview": DELETE, "purge": DELETE}

    @extend_schema(responses=data_of(PurgeSerializer), summary="See what an erasure would delete")
    def preview(self, request: Request, profile_id: str) -> Response:
        told = erasing.preview(profile_key(profile_id))
        return one({"profile_id": told.profile.pk, "profile_ids": told.profile_ids, "counts": told.counts})

    @extend_schema(
        parameters=[PurgingSerializer],
        responses={204: None},
        summary="Erase a profile for good",
        description="With the whole merge tree beneath it, identities, records, and all that is kept of them in the "
        "routing log, the audit, answers that wait to be replayed, events and deliveries. Nothing takes it back. "
        "Who listens to `profile.deleted` is told of the ids alone, with `is_purged`.",
    )
    def purge(self, request: Request, profile_id: str) -> Response:
        asked = PurgingSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        erasing.purge(
            profile_key(profile_id),
            keep_out=asked.validated_data["keep_out"],
            reason=asked.validated_data.get("reason") or "",
            by=by(request),
        )
        return Response(status=204)
