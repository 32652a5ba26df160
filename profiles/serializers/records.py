"""Records as `lookup` writes them; here for the OpenAPI document only."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from identities.serializers import ADA, PAIR
from omneo_identity.api.fields import FreeListField, FreeObjectField, InstantField, ScalarField, ShownAmountField
from omneo_identity.api.schema import example
from profiles.models import Interaction, RewardDefinition

NOON, LATER = "2026-11-25 01:04:09", "2027-11-25 01:04:09"
MELBOURNE = "Australia/Melbourne"

HOW = {
    "identities": [PAIR],
    "brought_by": {"id": 2, **PAIR},
    "addressed": None,
    "log_entry_id": None,
    "source": "staff",
    "created_at": NOON,
    "updated_at": NOON,
}
ITEM = {
    "name": "Linen shirt",
    "quantity": 1,
    "price_current": 89.95,
    "price_sell": 79.95,
    "sku": "LS-0042-M",
    "id": 118,
}
TRANSACTION = {
    "id": 43,
    "profile_id": ADA,
    "external_id": "T07-000381",
    "receipt_ref": "R-7731",
    "total": 79.95,
    "total_original": 89.95,
    "is_void": False,
    "transacted_at": NOON,
    "timezone": MELBOURNE,
    "location_id": "george-street",
    "staff_id": 1204,
    "systems": [],
    "payments": [{"type": "card", "amount": 79.95}],
    "tags": ["sale"],
    "meta": {"till": 7},
    "items": [ITEM],
    **HOW,
}
INTERACTION = {
    "id": 12,
    "profile_id": ADA,
    "action": "visit",
    "channel": "location",
    "signal": 1,
    "name": "Came to the opening",
    "namespace": "events",
    "interacted_at": NOON,
    "url": None,
    "description": None,
    "tags": [],
    "meta": {},
    **HOW,
}
BALANCE = {
    "profile_id": ADA,
    "value_initial": 100,
    "value_remaining": 100,
    "issued_at": NOON,
    "expires_at": LATER,
}
POINT = {
    "id": 7,
    **BALANCE,
    "definition": {"id": 1, "name": "Points", "handle": "points"},
    "meta": {},
    **HOW,
}
DEFINITION = {"id": 3, "name": "Birthday reward", "handle": "birthday"}
REWARD = {"id": 9, **BALANCE, "definition": DEFINITION, "timezone": MELBOURNE, **HOW}
REWARD_DEFINITION = {
    **DEFINITION,
    "value": 20,
    "period": 1,
    "period_type": "month",
    "type": "birthday",
    "is_assignable": True,
    "is_published": True,
    "created_at": NOON,
    "updated_at": NOON,
}


class SentPairSerializer(serializers.Serializer[Any]):
    handle = serializers.CharField(help_text="Empty for an identifier that came without its handle.")
    identifier = serializers.CharField()


class BroughtBySerializer(serializers.Serializer[Any]):
    """The identity that decided, as it was then."""

    id = serializers.IntegerField(allow_null=True, help_text="Null when the identity is no more.")
    handle = serializers.CharField()
    identifier = serializers.CharField()


class RecordSerializer(serializers.Serializer[Any]):
    """What every record tells of how it came to be where it is."""

    id = serializers.IntegerField()
    profile_id = serializers.UUIDField(allow_null=True, help_text="Null for a record of nobody.")
    identities = SentPairSerializer(many=True, help_text="The identities as they were sent.")
    brought_by = BroughtBySerializer(allow_null=True)
    addressed = serializers.UUIDField(allow_null=True, help_text="The profile id that the caller named.")
    log_entry_id = serializers.IntegerField(allow_null=True)
    source = serializers.CharField(  # type: ignore[assignment]  # a field of that name
        help_text="The extension's slug, or `staff`."
    )
    created_at = InstantField()
    updated_at = InstantField()

    def get_fields(self) -> dict[str, serializers.Field]:
        """In the order of the documents: what it is, then how it came."""
        fields = super().get_fields()
        how = [name for name in HOW if name in fields]
        return {name: fields[name] for name in ("id", *(name for name in fields if name not in ("id", *how)), *how)}


@extend_schema_field(
    {
        "type": "object",
        "required": ["id", "name", "quantity", "price_current", "price_sell"],
        "properties": {
            "id": {"type": "integer"},
            "name": {"type": "string"},
            **dict.fromkeys(("quantity", "price_current", "price_sell"), {"type": "number"}),
        },
        "additionalProperties": {},
        "description": "What else was sent of the item stands beside its own fields.",
    }
)
class ShownItemField(serializers.DictField):
    pass


@example(TRANSACTION)
class TransactionSerializer(RecordSerializer):
    external_id = serializers.CharField(allow_null=True)
    receipt_ref = serializers.CharField(allow_null=True)
    total = ShownAmountField()
    total_original = ShownAmountField(allow_null=True)
    is_void = serializers.BooleanField()
    transacted_at = InstantField(help_text="UTC, also where the input was local.")
    timezone = serializers.CharField()
    location_id = ScalarField(allow_null=True)
    staff_id = ScalarField(allow_null=True)
    systems = FreeListField()
    payments = FreeListField()
    tags = FreeListField()
    meta = FreeObjectField()
    items = serializers.ListField(child=ShownItemField())


@example(INTERACTION)
class InteractionSerializer(RecordSerializer):
    action = serializers.ChoiceField(Interaction.Action.choices)
    channel = serializers.ChoiceField(Interaction.Channel.choices)
    signal = serializers.IntegerField(min_value=-1, max_value=1)
    name = serializers.CharField()
    namespace = serializers.CharField()
    interacted_at = InstantField()
    url = serializers.CharField(allow_null=True)
    description = serializers.CharField(allow_null=True)
    tags = FreeListField()
    meta = FreeObjectField()


# What its owner is not told of a record.
NOT_OWN = ("identities", "brought_by", "addressed", "log_entry_id", "source")


def own(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: field for name, field in fields.items() if name not in NOT_OWN}


@example(own(TRANSACTION))
class OwnTransactionSerializer(TransactionSerializer):
    """A transaction as who made it is shown it."""

    def get_fields(self) -> dict[str, serializers.Field]:
        return own(super().get_fields())


@example(own(INTERACTION))
class OwnInteractionSerializer(InteractionSerializer):
    """An interaction as who it is about is shown it."""

    def get_fields(self) -> dict[str, serializers.Field]:
        return own(super().get_fields())


class DefinitionSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    handle = serializers.CharField()


class BalanceRecordSerializer(RecordSerializer):
    value_initial = ShownAmountField()
    value_remaining = ShownAmountField()
    issued_at = InstantField()
    expires_at = InstantField(allow_null=True)


@example(POINT)
class PointSerializer(BalanceRecordSerializer):
    definition = DefinitionSerializer()
    meta = FreeObjectField()


@example(REWARD)
class RewardSerializer(BalanceRecordSerializer):
    definition = DefinitionSerializer(allow_null=True)
    timezone = serializers.CharField()


@example(REWARD_DEFINITION)
class RewardDefinitionSerializer(serializers.ModelSerializer[RewardDefinition]):
    value = ShownAmountField()
    period = ScalarField(allow_null=True)
    created_at = InstantField()
    updated_at = InstantField()

    class Meta:
        model = RewardDefinition
        fields = list(REWARD_DEFINITION)
