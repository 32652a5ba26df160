from __future__ import annotations

import uuid

import orjson
from django.http import Http404
from django.urls import reverse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import PermissionDenied

from identities.wire import INCLUDES, NEWEST
from omneo_identity.api.auth import token_of
from omneo_identity.api.views import ApiViewSet
from profiles.models import Profile

# What a profile may be asked to bring along. Its identities come anyway.
PROFILE_INCLUDES = ("identities", *INCLUDES)
INCLUDE = OpenApiParameter(
    "include",
    {"type": "array", "items": {"type": "string", "enum": list(PROFILE_INCLUDES)}, "minItems": 1},
    explode=False,
    description=f"The newest {NEWEST} of each kind of record.",
)


def fragments(texts: list[str]) -> list[orjson.Fragment]:
    return [orjson.Fragment(text) for text in texts]


def profile_key(text: str) -> uuid.UUID:
    """The profile id in a path. What is not a UUID is no profile's id, hence 404."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise Http404 from None


class IncludingViewSet(ApiViewSet):
    """What may bring records along. Each kind asks for the scope that reading it asks for anywhere."""

    def included(self) -> frozenset[str]:
        words = super().included()
        needed = {f"read-{word}" for word in INCLUDES.keys() & words}
        missing = sorted(needed.difference(token_of(self.request).scopes))
        if missing:
            raise PermissionDenied(_("The token lacks the scope %(scope)s.") % {"scope": missing[0]})
        return words


class OfProfileViewSet(IncludingViewSet):
    """What stands under `/profiles/{id}`. A merged profile's id means its survivor, whose URL the answer then names
    in `Content-Location` (API.md 3)."""

    def profile(self, profile_id: str) -> Profile:
        profile = Profile.objects.surviving(profile_key(profile_id))
        self.stands_for(profile.pk)
        return profile

    def stands_for(self, survivor_id: uuid.UUID, asked: uuid.UUID | None = None) -> None:
        """Note whose the answer is. In: the id that was asked for, the path's unless given."""
        text = str(asked) if asked else self.kwargs["profile_id"]
        if profile_key(text) == survivor_id:
            return
        path = self.request.path.replace(text, str(survivor_id), 1)
        if "profile_id" not in self.kwargs:
            path = reverse("profile-retrieve", args=[survivor_id])
        self.headers["Content-Location"] = self.request.build_absolute_uri(path)
