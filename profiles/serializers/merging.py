"""Merging on the wire (API.md 5): what is asked for, the preview, and the merge."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from identities.serializers import ADA, IdentitySerializer
from omneo_identity.api.fields import InstantField, StrictText, StrictUUID
from omneo_identity.api.schema import example
from profiles.merging import Choices
from profiles.models import RECORDS, Merge

MOST_CHARACTERS = 2_000

# A plan has a digest for each field and each kind of row.
LONGEST_PLAN = 1_000_000

AGAIN = "01968fdc-7a29-7c5b-9ee0-bb9f3a0f4e11"
KINDS = ("identity", *RECORDS)
NO_ROWS = dict.fromkeys(KINDS, 0)


def reason() -> StrictText:
    return StrictText(
        required=False, allow_blank=True, allow_null=True, max_length=MOST_CHARACTERS, help_text="Kept in the history."
    )


@extend_schema_field({"description": "The value as the profile shows it."})
class ValueField(serializers.Field[Any, Any, Any, Any]):
    """A value of a field, whatever that holds; here for the OpenAPI document only."""


@extend_schema_field({"type": "object", "additionalProperties": {"type": "integer"}})
class CountsField(serializers.Field[Any, Any, Any, Any]):
    """Rows by kind; here for the OpenAPI document only."""


class DecisionsSerializer(serializers.Serializer[Any]):
    """What somebody decides about a merge."""

    fields = serializers.DictField(  # type: ignore[assignment]  # a field of that name
        child=StrictText(),
        required=False,
        allow_null=True,
        help_text="By field, as the preview names them, whose value is to be shown: `source`, `destination`, or the "
        "id of one of the profiles.",
    )
    handles = serializers.DictField(
        child=StrictText(),
        required=False,
        allow_null=True,
        help_text="By single-valued handle in conflict, whose identity stays active, named likewise. The others are "
        "kept, inactive.",
    )
    reason = reason()
    plan = StrictText(
        required=False,
        allow_null=True,
        allow_blank=True,
        max_length=LONGEST_PLAN,
        help_text="Of a preview of the same body: the merge does exactly that, or is refused with `plan_changed`.",
    )

    def choices(self, sources: Sequence[uuid.UUID], destination: uuid.UUID) -> Choices:
        """What was decided, by the profiles that `source` and `destination` stand for. Raises ValidationError."""
        data = self.validated_data
        chosen = {kind: _sides(kind, data.get(kind) or {}, sources, destination) for kind in ("fields", "handles")}
        return Choices(**chosen)


def _sides(
    kind: str, chosen: Mapping[str, str], sources: Sequence[uuid.UUID], destination: uuid.UUID
) -> dict[str, uuid.UUID]:
    sides, faults = {}, {}
    for name, word in chosen.items():
        if word == "destination":
            sides[name] = destination
        elif word == "source" and len(sources) == 1:
            sides[name] = sources[0]
        elif word == "source":
            faults[name] = [_("There are several sources; name the one that you mean by its id.")]
        else:
            try:
                sides[name] = uuid.UUID(word)
            except ValueError:
                faults[name] = [_("This must be source, destination, or the id of one of the profiles.")]
    if faults:
        raise serializers.ValidationError({kind: faults})
    return sides


@example({"source_profile_id": AGAIN, "destination_profile_id": ADA, "fields": {"first_name": "source"}})
class MergingSerializer(DecisionsSerializer):
    """Which profiles become part of which, and what somebody decides about it."""

    source_profile_id = StrictUUID(required=False, allow_null=True, help_text="Becomes part of the destination.")
    source_profile_ids = serializers.ListField(
        child=StrictUUID(), required=False, allow_null=True, help_text="Several, in one merge: at most 100."
    )
    destination_profile_id = StrictUUID(help_text="The profile that stays.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        one = attrs.get("source_profile_id")
        sources = list(dict.fromkeys([*([one] if one else []), *(attrs.get("source_profile_ids") or [])]))
        if not sources:
            message = _("Name the profile that is to become part of the other.")
            raise serializers.ValidationError({"source_profile_id": [message]}, code="required")
        return {**attrs, "sources": sources}


class SideSerializer(serializers.Serializer[Any]):
    profile_id = serializers.UUIDField()
    value = ValueField()


class FieldOutcomeSerializer(serializers.Serializer[Any]):
    field = serializers.CharField()
    outcome = serializers.ChoiceField(
        ["adopted", "kept", "conflicting"],
        help_text="`adopted`: the destination takes another's value. `kept`: it keeps the only one, or the one that "
        "was chosen. `conflicting`: it keeps its own, and another profile has a different one.",
    )
    value = ValueField(help_text="What the destination shows afterwards.")
    profile_id = serializers.UUIDField(help_text="Whose value that is; perhaps of one that was merged before.")
    chosen = serializers.BooleanField()
    values = SideSerializer(many=True, help_text="What each profile has, the destination first.")


class HandleConflictSerializer(serializers.Serializer[Any]):
    handle = serializers.CharField()
    identities = IdentitySerializer(many=True, help_text="The active ones, of all profiles.")
    stays = serializers.UUIDField(allow_null=True, help_text="The profile whose identity stays active, once chosen.")


class BlockerSerializer(serializers.Serializer[Any]):
    """Why a merge would be refused; some codes bring another key along."""

    code = serializers.CharField()
    message = serializers.CharField()
    profile_id = serializers.UUIDField(required=False)
    survivor_id = serializers.UUIDField(required=False)
    handle = serializers.CharField(required=False)


@example(
    {
        "destination_profile_id": ADA,
        "source_profile_ids": [AGAIN],
        "fields": [
            {
                "field": "first_name",
                "outcome": "conflicting",
                "value": "Ada",
                "profile_id": ADA,
                "chosen": False,
                "values": [{"profile_id": ADA, "value": "Ada"}, {"profile_id": AGAIN, "value": "Augusta"}],
            },
            {
                "field": "birth_date",
                "outcome": "adopted",
                "value": "1990-12-10",
                "profile_id": AGAIN,
                "chosen": False,
                "values": [{"profile_id": ADA, "value": None}, {"profile_id": AGAIN, "value": "1990-12-10"}],
            },
        ],
        "moves": {**NO_ROWS, "identity": 2, "transaction": 14},
        "handle_conflicts": [],
        "blockers": [],
        "plan": "eNqrVkrLTM1JKVayUipLzClNVdJRyi9KSS1SslJKTEpOUQIAq0wKBQ==",
    }
)
class PreviewSerializer(serializers.Serializer[Any]):
    """What a merge would do now."""

    destination_profile_id = serializers.UUIDField()
    source_profile_ids = serializers.ListField(child=serializers.UUIDField())
    fields = FieldOutcomeSerializer(  # type: ignore[assignment]  # a field of that name
        many=True,
        help_text="Those of which one of the profiles has a value. `birth_date` is one value; what is not known of it "
        "is left out as in `--12-10` or `1990-12`. `mobile_phone` stands for its parts, `attributes.comms` and the "
        "like for each part of the attributes, `custom_attributes.namespace:handle` for each custom attribute.",
    )
    moves = CountsField(help_text="How many rows of each kind go to the destination, contact points among them.")
    handle_conflicts = HandleConflictSerializer(many=True)
    blockers = BlockerSerializer(many=True, help_text="What stands against the merge; it is refused with the first.")
    plan = serializers.CharField(allow_null=True, help_text="Null while something stands against the merge.")


MERGE = {
    "id": 7,
    "survivor_id": ADA,
    "duplicate_id": AGAIN,
    "cause": "asked",
    "reason": "She showed both cards in the shop in George Street.",
    "by": "operator",
    "at": "2026-11-25 01:04:09",
    "undone_by": None,
    "undone_at": None,
    "undo_reason": "",
}


@example(MERGE)
class MergeSerializer(serializers.ModelSerializer[Merge]):
    """One profile that became part of another."""

    survivor_id = serializers.UUIDField()
    duplicate_id = serializers.UUIDField()
    by = serializers.CharField(source="by.username")
    at = InstantField()
    undone_by = serializers.CharField(source="undone_by.username", allow_null=True)
    undone_at = InstantField(allow_null=True)

    class Meta:
        model = Merge
        fields = [
            "id",
            "survivor_id",
            "duplicate_id",
            "cause",
            "reason",
            "by",
            "at",
            "undone_by",
            "undone_at",
            "undo_reason",
        ]
