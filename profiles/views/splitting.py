"""Split a profile (API.md 5): chosen identities leave it, with what they brought."""

from __future__ import annotations

import uuid
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from identities import contacts, lookup, moving
from identities.views import fragments, profile_key
from omneo_identity.api.auth import by
from omneo_identity.api.schema import data_of
from omneo_identity.api.views import ApiViewSet, one
from profiles import merging
from profiles.merging import Split
from profiles.models import RECORDS, Profile
from profiles.refusing import Refused
from profiles.serializers import SplitAnswerSerializer, SplitPreviewSerializer, SplittingSerializer
from profiles.views.merges import changed
from profiles.views.merging import MERGE, identities


class SplittingViewSet(ApiViewSet):
    """Identities leave a profile together. Ids are literal: that of a merged profile is a 409 `already_merged`."""

    queryset = Profile.objects.all()
    serializer_class = SplittingSerializer
    filter_backends = []
    scopes = {"split": MERGE, "preview": MERGE}

    @extend_schema(
        request=SplittingSerializer,
        responses=data_of(SplitAnswerSerializer),
        summary="Split a profile",
        description="The chosen identities and contact points leave for a new profile, or for the one that is named, "
        "with the records on this profile that they brought. Any may leave, that by which the profile was first known "
        "too, but not the last. To give away one identity alone, move it.",
    )
    def split(self, request: Request, profile_id: str) -> Response:
        asked = _asked(request)
        former = profile_key(profile_id)
        split = merging.split(
            former,
            _chosen(former, asked),
            to=asked.get("profile_id"),
            reason=asked.get("reason") or "",
            by=by(request),
        )
        former_profile, profile = fragments(lookup.profiles([former, split.identities[0].profile_id]))
        contacts_changed = changed(split.contacts_changed)
        profiles = {"former_profile": former_profile, "profile": profile}
        return one({**profiles, **_told(split), "contacts_changed": contacts_changed})

    @extend_schema(
        request=SplittingSerializer,
        responses=data_of(SplitPreviewSerializer),
        summary="See what a split would do",
        description="Writes nothing, and is refused for what the split would be refused for.",
    )
    def preview(self, request: Request, profile_id: str) -> Response:
        asked = _asked(request)
        former, to = profile_key(profile_id), asked.get("profile_id")
        told = _told(merging.preview_split(former, _chosen(former, asked), to=to))
        return one({"former_profile_id": former, "profile_id": to, **told})


def _asked(request: Request) -> dict[str, Any]:
    body = SplittingSerializer(data=request.data)
    body.is_valid(raise_exception=True)
    asked: dict[str, Any] = body.validated_data
    return asked


def _chosen(profile_id: uuid.UUID, asked: dict[str, Any]) -> list[int]:
    """The keys of all that is to leave. Contact points have some, too, but clients know them by what they say."""
    texts = asked.get("contacts") or []
    chosen = list(asked.get("identity_ids") or [])
    if not texts:
        return chosen
    profile = Profile.objects.get(pk=profile_id)
    moving.refuse_merged(profile)
    for position, row in enumerate(contacts.named(profile, texts)):
        if row is None:
            message = _("This profile has no such e-mail address or mobile number.")
            raise Refused("invalid", message, field=f"contacts.{position}")
        chosen.append(row.pk)
    return chosen


def _told(split: Split) -> dict[str, Any]:
    going, stay = ([row.pk for row in rows] for rows in (split.identities, split.stay))
    rows = identities([*going, *stay])
    return {
        "identities": rows[: len(going)],
        "records": {kind: split.records.get(kind, 0) for kind in RECORDS},
        "stay": rows[len(going) :],
        "primary_id": split.primary.pk if split.primary else None,
    }
