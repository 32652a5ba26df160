from __future__ import annotations

from typing import Any

from rest_framework import serializers

from identities.explaining import Passed, Why
from identities.serializers import ADA, PAIR, PairSerializer
from omneo_identity.api.fields import InstantField
from omneo_identity.api.schema import example
from profiles.models import Merge, Move, Record


class RecordNameSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField()
    id = serializers.IntegerField()


class MoveOfRecordSerializer(serializers.ModelSerializer[Move]):
    from_profile_id = serializers.UUIDField(allow_null=True)
    to_profile_id = serializers.UUIDField(allow_null=True)
    by = serializers.CharField(source="by.username")
    at = InstantField()
    undone_at = InstantField(allow_null=True)

    class Meta:
        model = Move
        fields = ["from_profile_id", "to_profile_id", "cause", "reason", "by", "at", "undone_at"]


class PassedSerializer(serializers.Serializer[Passed]):
    """A merge that the record passed through."""

    id = serializers.IntegerField(source="merge.pk")
    survivor_id = serializers.UUIDField(source="merge.survivor_id")
    duplicate_id = serializers.UUIDField(source="merge.duplicate_id")
    cause = serializers.ChoiceField(Merge.Cause.choices, source="merge.cause")
    reason = serializers.CharField(source="merge.reason")
    by = serializers.CharField(source="merge.by.username")
    at = InstantField(source="merge.at")
    undone_at = InstantField(source="merge.undone_at", allow_null=True)
    since = serializers.BooleanField(
        help_text="True where the record came in while the merge stood, and went home to the duplicate by its undo."
    )


@example(
    {
        "record": {"kind": "transaction", "id": 43},
        "profile_id": ADA,
        "decided_by": "identity",
        "identity_id": 2,
        "pair": PAIR,
        "addressed": None,
        "log_entry_id": None,
        "outcome": None,
        "moves": [],
        "merges": [
            {
                "id": 7,
                "survivor_id": ADA,
                "duplicate_id": "01968fdc-7a29-7c5b-9ee0-bb9f3a0f4e11",
                "cause": "asked",
                "reason": "The same person.",
                "by": "ada.staff",
                "at": "2026-11-25 01:04:09",
                "undone_at": None,
                "since": False,
            }
        ],
        "sentences": [
            "It named loyalty-card: 1804974, which the profile 01968fdc-7a29-7c5b-9ee0-bb9f3a0f4e11 was known by.",
            f"ada.staff merged 01968fdc-7a29-7c5b-9ee0-bb9f3a0f4e11, which had it, into {ADA}: The same person.",
        ],
    }
)
class WhySerializer(serializers.Serializer[Why]):
    """Why a record is where it is, as data and in words."""

    record = RecordNameSerializer()
    profile_id = serializers.UUIDField(source="record.profile_id", allow_null=True)
    decided_by = serializers.ChoiceField(Record.DecidedBy.choices, source="record.decided_by")
    identity_id = serializers.IntegerField(source="record.brought_by_id", allow_null=True)
    pair = PairSerializer(allow_null=True)
    addressed = serializers.UUIDField(source="record.addressed", allow_null=True)
    log_entry_id = serializers.IntegerField(source="record.log_entry_id", allow_null=True)
    outcome = serializers.CharField(source="log_entry.outcome", allow_null=True, default=None)
    moves = MoveOfRecordSerializer(many=True)
    merges = PassedSerializer(many=True, help_text="The merges that it passed through, the oldest first.")
    sentences = serializers.ListField(child=serializers.CharField())
