"""Erasing on the wire (API.md 3)."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from identities.serializers import ADA
from omneo_identity.api.schema import example
from profiles.serializers.merging import AGAIN, CountsField, reason


class PurgingSerializer(serializers.Serializer[Any]):
    """How a profile is to be erased."""

    keep_out = serializers.BooleanField(
        default=True,
        help_text="Whether its identities are refused from then on, with `identity_erased`, so that a late copy of "
        "something does not bring the person back. With 0, whoever sends one next makes a new profile.",
    )
    reason = reason()


@example(
    {
        "profile_id": ADA,
        "profile_ids": [ADA, AGAIN],
        "counts": {"profiles": 2, "identities": 5, "transactions": 14, "merges": 1},
    }
)
class PurgeSerializer(serializers.Serializer[Any]):
    """What an erasure would delete now."""

    profile_id = serializers.UUIDField()
    profile_ids = serializers.ListField(
        child=serializers.UUIDField(), help_text="The profile, and all that was merged into it."
    )
    counts = CountsField(help_text="Rows that are deleted, by the plural of what they are; of what there is.")
