from __future__ import annotations

from typing import Any

from rest_framework import serializers

from identities.explaining import Why
from identities.serializers import ADA, PAIR, PairSerializer
from omneo_identity.api.fields import InstantField
from omneo_identity.api.schema import example
from profiles.models import Move, Record


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
        "merges": [],
        "sentences": ["It named loyalty-card: 1804974, which this profile was known by."],
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
    merges = serializers.ListField(
        child=serializers.DictField(), default=list, help_text="The merges that it passed through."
    )
    sentences = serializers.ListField(child=serializers.CharField())
