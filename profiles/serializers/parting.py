"""Parting on the wire (API.md 5): what a merge took, its undo, and a split."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from identities.serializers import ADA, IDENTITY, MOST_AT_ONCE, ContactChangedSerializer, IdentitySerializer
from omneo_identity.api.fields import BoundedListField, StrictText, StrictUUID
from omneo_identity.api.filters import LARGEST_INTEGER
from omneo_identity.api.schema import example
from profiles.models import RECORDS
from profiles.serializers.merging import AGAIN, MERGE, NO_ROWS, CountsField, MergeSerializer, ValueField, reason
from profiles.serializers.profile import PROFILE, ProfileSerializer

CARD_AGAIN = {**IDENTITY, "id": 31, "identifier": "1804975"}


class FieldOfProfileSerializer(serializers.Serializer[Any]):
    profile_id = serializers.UUIDField()
    field = serializers.CharField()


class RestoredSerializer(FieldOfProfileSerializer):
    former = ValueField(help_text="What the profile showed before the undo.")
    value = ValueField(help_text="What it shows since.")


class KeptSerializer(FieldOfProfileSerializer):
    value = ValueField()


class TallySerializer(serializers.Serializer[Any]):
    home = serializers.IntegerField(help_text="How many go home to the duplicate.")
    since = serializers.IntegerField(help_text="How many of those came after the merge.")
    moved = serializers.IntegerField(help_text="How many are left, since somebody has moved or split them off.")
    deleted = serializers.IntegerField(help_text="How many are gone.")


TALLY = {"home": 0, "since": 0, "moved": 0, "deleted": 0}


class LeftSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField()
    id = serializers.IntegerField()
    why = serializers.ChoiceField(["moved", "deleted"])
    profile_id = serializers.UUIDField(allow_null=True, help_text="Whose it is now.")


class ReportSerializer(serializers.Serializer[Any]):
    """What the undo of a merge did, as its merge keeps it."""

    restored = FieldOfProfileSerializer(many=True, help_text="Fields that went back.")
    kept = FieldOfProfileSerializer(many=True, help_text="Fields that stayed, since they were written meanwhile.")
    rows = serializers.DictField(child=TallySerializer(), help_text="By kind.")
    left = LeftSerializer(many=True, help_text="The first 50 of the rows that stayed where they were.")
    contacts_changed = ContactChangedSerializer(many=True)
    inactive = serializers.ListField(
        child=serializers.IntegerField(),
        help_text="Identities that would have become active again, had another not taken their place.",
    )


class TakenFieldSerializer(serializers.Serializer[Any]):
    field = serializers.CharField()
    former = ValueField(help_text="What the survivor showed before.")
    former_profile_id = serializers.UUIDField(help_text="Whose value that was.")
    adopted = ValueField()
    adopted_profile_id = serializers.UUIDField(help_text="Whose value the survivor took over.")
    chosen = serializers.BooleanField()


@example(
    {
        **MERGE,
        "fields": [
            {
                "field": "birth_date",
                "former": None,
                "former_profile_id": ADA,
                "adopted": "1990-12-10",
                "adopted_profile_id": AGAIN,
                "chosen": False,
            }
        ],
        "moved": {**NO_ROWS, "identity": 2, "transaction": 14},
        "undo": None,
    }
)
class MergeWithDetailsSerializer(MergeSerializer):
    fields = TakenFieldSerializer(  # type: ignore[assignment]  # a field of that name
        many=True, help_text="What the survivor took over, as far as its values rest on it today."
    )
    moved = CountsField(help_text="Rows by kind. What went home by the undo of a merge beneath is not counted.")
    undo = ReportSerializer(allow_null=True, help_text="What its undo did.")

    class Meta(MergeSerializer.Meta):
        fields = [*MergeSerializer.Meta.fields, "fields", "moved", "undo"]


@example({"reason": "Mother and daughter."})
class UndoSerializer(serializers.Serializer[Any]):
    reason = reason()


UNDONE = {
    "restored": [{"profile_id": ADA, "field": "birth_date", "former": "1990-12-10", "value": None}],
    "kept": [{"profile_id": ADA, "field": "first_name", "value": "Ada Augusta"}],
    "rows": {"identity": {**TALLY, "home": 2}, "transaction": {**TALLY, "home": 14, "since": 1, "moved": 1}},
    "left": [{"kind": "transaction", "id": 43, "why": "moved", "profile_id": ADA}],
    "contacts_changed": [{"profile_id": ADA, "field": "email"}],
    "reactivated": [],
    "inactive": [],
}


class UndoneSerializer(serializers.Serializer[Any]):
    restored = RestoredSerializer(many=True, help_text="Fields that go back, of the survivors of a chain too.")
    kept = KeptSerializer(many=True, help_text="Fields that stay, since they were written after the merge.")
    rows = serializers.DictField(child=TallySerializer(), help_text="By kind.")
    left = LeftSerializer(many=True, help_text="The first 50 of the rows that stay where they are.")
    contacts_changed = ContactChangedSerializer(many=True)
    reactivated = IdentitySerializer(many=True, help_text="Identities that are active again.")
    inactive = IdentitySerializer(
        many=True, help_text="Identities that would be active again, had another not taken their place."
    )


@example({"merge": MERGE, "survivor_id": ADA, "duplicate_id": AGAIN, "report": UNDONE})
class UndoPreviewSerializer(serializers.Serializer[Any]):
    """What an undo would do now."""

    merge = MergeSerializer()
    survivor_id = serializers.UUIDField(help_text="The live profile of which the duplicate is a part today.")
    duplicate_id = serializers.UUIDField()
    report = UndoneSerializer()


UNDONE_MERGE = {**MERGE, "undone_by": "operator", "undone_at": "2026-11-26 02:00:00", "undo_reason": "Two people."}


@example(
    {
        "merge": UNDONE_MERGE,
        "survivor": PROFILE,
        "duplicate": {**PROFILE, "id": AGAIN, "identities": []},
        "report": UNDONE,
    }
)
class UndoAnswerSerializer(serializers.Serializer[Any]):
    """Both profiles after an undo, and what it did."""

    merge = MergeSerializer()
    survivor = ProfileSerializer()
    duplicate = ProfileSerializer()
    report = UndoneSerializer()


@example({"identity_ids": [2], "contacts": ["0404 123 123"], "reason": "Mother and daughter."})
class SplittingSerializer(serializers.Serializer[Any]):
    """Which identities and contact points leave a profile, and where to."""

    identity_ids = BoundedListField(
        child=serializers.IntegerField(min_value=1, max_value=LARGEST_INTEGER),
        required=False,
        allow_null=True,
        max_length=MOST_AT_ONCE,
    )
    contacts = BoundedListField(
        child=StrictText(max_length=512),
        required=False,
        allow_null=True,
        max_length=MOST_AT_ONCE,
        help_text="E-mail addresses and mobile numbers that the profile holds, in any spelling.",
    )
    profile_id = StrictUUID(required=False, allow_null=True, help_text="Where they go to; a new profile unless given.")
    reason = reason()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.get("identity_ids") and not attrs.get("contacts"):
            message = _("Choose the identities that are to leave, by identity_ids or by contacts.")
            raise serializers.ValidationError({"identity_ids": [message]}, code="required")
        return attrs


SPLIT = {
    "identities": [CARD_AGAIN],
    "records": {**dict.fromkeys(RECORDS, 0), "transaction": 3},
    "stay": [IDENTITY],
    "primary_id": None,
    "contacts_changed": [{"profile_id": ADA, "field": "mobile_phone"}],
}


class SplitSerializer(serializers.Serializer[Any]):
    identities = IdentitySerializer(many=True, help_text="Those that leave.")
    records = CountsField(help_text="By kind, the records on the former profile that they brought: these go along.")
    stay = IdentitySerializer(many=True, help_text="Identities that they brought and that stay, not being chosen.")
    primary_id = serializers.IntegerField(
        allow_null=True, help_text="The former profile's primary identity, if it leaves: that profile then has none."
    )


@example({"former_profile_id": ADA, "profile_id": None, **{k: v for k, v in SPLIT.items() if k != "contacts_changed"}})
class SplitPreviewSerializer(SplitSerializer):
    """What a split would do now."""

    former_profile_id = serializers.UUIDField()
    profile_id = serializers.UUIDField(allow_null=True, help_text="Null for a new profile.")


@example({"former_profile": PROFILE, "profile": {**PROFILE, "id": AGAIN, "identities": [CARD_AGAIN]}, **SPLIT})
class SplitAnswerSerializer(SplitSerializer):
    """Both profiles after a split, and what it did."""

    former_profile = ProfileSerializer()
    profile = ProfileSerializer()
    contacts_changed = ContactChangedSerializer(many=True)
