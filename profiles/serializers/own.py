"""What the owner of a profile is shown of it, and may say of it, by a customer token (API.md 6)."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from identities.serializers import IDENTITY, NewIdentitySerializer, OwnIdentitySerializer
from omneo_identity.api.schema import example
from profiles.models import Profile
from profiles.serializers.profile import (
    MOST_IDENTITIES,
    NEW_PROFILE_TYPES,
    PROFILE,
    ProfileChangeSerializer,
    ProfileSerializer,
)

# Its owner cannot delete it, or make it the retailer's own.
OWN_PROFILE_TYPES = [choice for choice in NEW_PROFILE_TYPES if choice[0] != Profile.Type.SYSTEM]

OWN_PROFILE = {
    **{name: value for name, value in PROFILE.items() if name != "claimed"},
    "identities": [{**{name: value for name, value in IDENTITY.items() if name != "source"}, "is_claimed": True}],
}


@example(OWN_PROFILE)
class OwnProfileSerializer(ProfileSerializer):
    """The full profile as its owner is shown it: without identities of reserved handles, and what they claim where it
    would be if it were confirmed."""

    claimed = None  # type: ignore[assignment]  # is left out
    external_id = serializers.CharField(
        allow_null=True, help_text="The primary identity's identifier, unless its handle is reserved."
    )
    identities = OwnIdentitySerializer(many=True)


@example({"first_name": "Ada", "birth_date": "1990-12-10", "email": "ada@example.com"})
class OwnProfileChangeSerializer(ProfileChangeSerializer):
    """What the owner of a profile may set of it: not what the retailer says of them."""

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        return {name: field for name, field in fields.items() if name not in ("joined_at", "tags")}


@example(
    {
        "first_name": "Ada",
        "email": "ada@example.com",
        "identities": [{"handle": "loyalty-card", "identifier": "1804974"}],
    }
)
class NewOwnProfileSerializer(OwnProfileChangeSerializer):
    """What a visitor may say of themselves when they make a profile."""

    identities = serializers.ListField(
        child=NewIdentitySerializer(), required=False, allow_null=True, max_length=MOST_IDENTITIES
    )


@example({"profile_type": "active"})
class OwnProfileTypeSerializer(serializers.Serializer[Any]):
    profile_type = serializers.ChoiceField(OWN_PROFILE_TYPES)
