"""The queue of duplicates on the wire (API.md 5)."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from identities.serializers import ADA
from omneo_identity.api.fields import InstantField, StrictText, StrictUUID
from omneo_identity.api.schema import example
from profiles import evidence
from profiles.models import DuplicatePair
from profiles.serializers.merging import AGAIN, MOST_CHARACTERS, DecisionsSerializer

OPTIONAL: dict[str, Any] = {"required": False, "allow_null": True}


@extend_schema_field({"type": "object", "additionalProperties": True})
class EvidenceField(serializers.Field[Any, Any, Any, Any]):
    """What was seen, by its word; here for the OpenAPI document only."""

    def to_representation(self, value: Any) -> Any:
        return value


@example(
    {
        "id": 7,
        "profile_ids": [AGAIN, ADA],
        "survivor_ids": [AGAIN, ADA],
        "status": "open",
        "score": 0.95,
        "evidence": {
            "details": {
                "equal": ["first_name", "last_name", "birth_date"],
                "alike": [],
                "against": [],
                "swapped": False,
                "weight": 0.95,
            }
        },
        "reasons": ["The same: first name, last name, birth date."],
        "note": "",
        "by": None,
        "decided_at": None,
        "created_at": "2026-11-25 01:04:09",
        "last_seen_at": "2026-11-25 01:04:09",
    }
)
class DuplicatePairSerializer(serializers.ModelSerializer[DuplicatePair]):
    """Two profiles that may be one person."""

    profile_ids = serializers.SerializerMethodField(help_text="The two as they were named when they were seen.")
    survivor_ids = serializers.SerializerMethodField(
        help_text="The two that these stand for today; a single one when they have become one profile."
    )
    score = serializers.FloatField(help_text="How likely they are one person, from 0 to 1.")
    evidence = EvidenceField(
        help_text="What was seen: `conflict` (ids of routing log entries), `details`, `email`, `phone`."
    )
    reasons = serializers.SerializerMethodField(help_text="The evidence in sentences, the weightiest first.")
    by = serializers.CharField(source="by.username", allow_null=True, default=None, help_text="Who decided.")
    decided_at = InstantField(source="at", allow_null=True)
    created_at = InstantField()
    last_seen_at = InstantField(source="updated_at")

    class Meta:
        model = DuplicatePair
        fields = [
            "id",
            "profile_ids",
            "survivor_ids",
            "status",
            "score",
            "evidence",
            "reasons",
            "note",
            "by",
            "decided_at",
            "created_at",
            "last_seen_at",
        ]

    @extend_schema_field(serializers.ListField(child=serializers.UUIDField(), min_length=2, max_length=2))
    def get_profile_ids(self, pair: DuplicatePair) -> list[uuid.UUID]:
        return [pair.first_id, pair.second_id]

    @extend_schema_field(serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=2))
    def get_survivor_ids(self, pair: DuplicatePair) -> list[uuid.UUID]:
        return list(dict.fromkeys([pair.low_id, pair.high_id]))

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_reasons(self, pair: DuplicatePair) -> list[str]:
        reasons: list[str] = self.context["reasons"][pair.pk]
        return reasons


def shown(pairs: list[DuplicatePair]) -> list[dict[str, Any]]:
    """These pairs as the wire has them, with what speaks for each read together."""
    context = {"reasons": evidence.tell(pairs)}
    return [dict(DuplicatePairSerializer(pair, context=context).data) for pair in pairs]


@example({"note": "They are sisters."})
class DismissalSerializer(serializers.Serializer[Any]):
    note = StrictText(**OPTIONAL, allow_blank=True, max_length=MOST_CHARACTERS, help_text="Kept with the decision.")


@example({"destination_profile_id": ADA, "fields": {"first_name": "source"}, "reason": "She showed both cards."})
class AcceptanceSerializer(DecisionsSerializer):
    """Which of the two stays, and what somebody decides about the merge, as in `/profiles/merge`."""

    destination_profile_id = StrictUUID(
        **OPTIONAL, help_text="The one of `survivor_ids` that stays; else the one that was created first."
    )
