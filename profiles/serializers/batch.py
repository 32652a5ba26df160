from __future__ import annotations

from collections import Counter
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from identities.serializers import ADA, PAIR, AnyRow
from omneo_identity.api.fields import InstantField, StrictText
from omneo_identity.api.schema import example
from profiles.models import Profile, ProfileBatch, ProfileBatchRow
from profiles.serializers.profile import NewProfileSerializer, RefusedPairSerializer

MOST_IN_A_BATCH = 500


class BatchedProfileSerializer(NewProfileSerializer):
    """A profile of a batch. One that is known keeps its type, as with a PUT."""

    def fields_of(self, profile: Profile | None = None) -> dict[str, Any]:
        fields = super().fields_of(profile)
        if profile is not None:
            fields.pop("profile_type", None)
        return fields


@extend_schema_field({"description": "A profile as POST /profiles takes it, with the pair of `match_criteria`."})
class AnyProfile(AnyRow):
    pass


@example(
    {
        "match_criteria": "loyalty-card",
        "profiles": [
            {"first_name": "Ada", "email": "ada@example.com", "identities": [PAIR]},
            {"first_name": "Bo", "identities": [{"handle": "loyalty-card", "identifier": "77"}]},
        ],
    }
)
class ProfileBatchSerializer(serializers.Serializer[Any]):
    match_criteria = StrictText(max_length=64, help_text="`email`, `mobile_phone` or a handle.")
    profiles = serializers.ListField(child=AnyProfile(), allow_empty=False, max_length=MOST_IN_A_BATCH)


BATCH = "019ab6a4-5f0e-7c52-b1c5-3f6a2f1f0c11"


@example({"message": "Profiles queued for batch import.", "batch_id": BATCH})
class QueuedBatchSerializer(serializers.Serializer[Any]):
    message = serializers.CharField()
    batch_id = serializers.UUIDField(help_text="For GET /profiles/batch/{batch_id}.")


class BatchCountsSerializer(serializers.Serializer[Any]):
    total = serializers.IntegerField()
    waiting = serializers.IntegerField()
    created = serializers.IntegerField()
    updated = serializers.IntegerField()
    error = serializers.IntegerField()


class BatchResultSerializer(serializers.ModelSerializer[ProfileBatchRow]):
    """What became of one profile of a batch."""

    result = serializers.SerializerMethodField()
    profile_id = serializers.UUIDField(
        allow_null=True, help_text="The profile that was made or changed; with `identity_taken`, the owner."
    )
    code = serializers.SerializerMethodField()
    message = serializers.SerializerMethodField()
    refused = RefusedPairSerializer(many=True)

    class Meta:
        model = ProfileBatchRow
        fields = ["position", "result", "profile_id", "code", "message", "refused", "log_entry_id"]

    @extend_schema_field(serializers.ChoiceField([*ProfileBatchRow.Result.values, "waiting"]))
    def get_result(self, row: ProfileBatchRow) -> str:
        return row.result or "waiting"

    def get_code(self, row: ProfileBatchRow) -> str | None:
        return row.code or None

    def get_message(self, row: ProfileBatchRow) -> str | None:
        return row.message or None


@example(
    {
        "batch_id": BATCH,
        "match_criteria": "loyalty-card",
        "status": "running",
        "created_at": "2021-01-27 00:00:00",
        "finished_at": None,
        "counts": {"total": 2, "waiting": 1, "created": 0, "updated": 1, "error": 0},
        "profiles": [
            {
                "position": 0,
                "result": "updated",
                "profile_id": ADA,
                "code": None,
                "message": None,
                "refused": [],
                "log_entry_id": None,
            },
            {
                "position": 1,
                "result": "waiting",
                "profile_id": None,
                "code": None,
                "message": None,
                "refused": [],
                "log_entry_id": None,
            },
        ],
    }
)
class ProfileBatchStateSerializer(serializers.ModelSerializer[ProfileBatch]):
    batch_id = serializers.UUIDField(source="id", read_only=True)
    status = serializers.ChoiceField(ProfileBatch.Status.choices, read_only=True)
    created_at = InstantField()
    finished_at = InstantField(allow_null=True)
    counts = serializers.SerializerMethodField()
    profiles = BatchResultSerializer(source="rows", many=True, read_only=True)

    class Meta:
        model = ProfileBatch
        fields = ["batch_id", "match_criteria", "status", "created_at", "finished_at", "counts", "profiles"]

    @extend_schema_field(BatchCountsSerializer)
    def get_counts(self, batch: ProfileBatch) -> dict[str, int]:
        # From the rows that are shown: counted by another query they could say something else.
        results = Counter(row.result or "waiting" for row in batch.rows.all())
        return {
            "total": results.total(),
            **{word: results[word] for word in ("waiting", *ProfileBatchRow.Result.values)},
        }


@example({"updated_at": "2021-01-27 00:00:00"})
class SyncSerializer(serializers.Serializer[Any]):
    updated_at = InstantField(required=False, allow_null=True, help_text="Profiles changed since then; else all.")


@example({"message": "Profiles queued for sync."})
class QueuedSyncSerializer(serializers.Serializer[Any]):
    message = serializers.CharField()
