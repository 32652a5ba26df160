"""Records of each kind, and definitions of rewards, as clients send them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from identities.handles import Sent
from identities.incoming import Incoming
from identities.serializers import ADA
from omneo_identity.api.fields import (
    AmountField,
    BoundedListField,
    FreeJSON,
    FreeListField,
    FreeObjectField,
    IdentifierField,
    InstantField,
    LocalTimeField,
    ReferenceField,
    ScalarField,
    StrictBoolean,
    StrictText,
    ZoneField,
)
from omneo_identity.api.filters import LARGEST_INTEGER
from omneo_identity.api.schema import example
from profiles.models import Interaction, Record
from profiles.serializers.incoming import NULLABLE, OPTIONAL, IncomingSerializer
from profiles.serializers.profile import text
from profiles.serializers.records import MELBOURNE

MOST_ITEMS = 1_000

# Transactions

ITEM = {"name": "Linen shirt", "quantity": 1, "price_current": 89.95, "price_sell": "79.95", "sku": "LS-0042-M"}


class ItemSerializer(serializers.Serializer[Any]):
    """A line of a transaction. What else it has is kept as it came, and given back."""

    name = StrictText(allow_blank=True)
    quantity = AmountField()
    price_current = AmountField()
    price_sell = AmountField()

    def to_internal_value(self, data: Any) -> Any:
        item = super().to_internal_value(data)
        # An id is ours, also in what a client sends back.
        item["extra"] = {name: value for name, value in data.items() if name not in (*self.fields, "id")}
        if FreeJSON.is_too_much(item["extra"]):
            raise serializers.ValidationError(FreeJSON.sentences["size"])
        return item


@example({"total": 74.95, "tags": ["sale", "corrected"]})
class TransactionChangeSerializer(IncomingSerializer):
    local_times = ("transacted_at",)
    emptied = {
        "external_id": "",
        "receipt_ref": "",
        "is_void": False,
        "systems": [],
        "payments": [],
        "tags": [],
        "meta": {},
    }

    external_id = ReferenceField(**NULLABLE)
    receipt_ref = ReferenceField(**NULLABLE)
    total = AmountField(**OPTIONAL)
    total_original = AmountField(**NULLABLE)
    is_void = StrictBoolean(**NULLABLE)
    transacted_at = LocalTimeField(**OPTIONAL, help_text="Local to `timezone`, unless it says an offset.")
    timezone = ZoneField(**OPTIONAL)
    location_id = ScalarField(**NULLABLE)
    staff_id = ScalarField(**NULLABLE)
    systems = FreeListField(**NULLABLE)
    payments = FreeListField(**NULLABLE)
    tags = FreeListField(**NULLABLE)
    meta = FreeObjectField(**NULLABLE)
    items = BoundedListField(child=ItemSerializer(), **OPTIONAL, allow_empty=False, max_length=MOST_ITEMS)


NEW_TRANSACTION = {
    "profile_id": "1804974",
    "profile_id_handle": "loyalty-card",
    "identities": [{"handle": "pos-customer", "identifier": "C-5512"}],
    "external_id": "T07-000381",
    "receipt_ref": "R-7731",
    "total": 79.95,
    "total_original": "89.95",
    "transacted_at": "2026-11-25 12:04:09",
    "timezone": MELBOURNE,
    "location_id": "george-street",
    "staff_id": 1204,
    "payments": [{"type": "card", "amount": 79.95}],
    "tags": ["sale"],
    "meta": {"till": 7},
    "items": [ITEM],
}


@example(NEW_TRANSACTION)
class NewTransactionSerializer(TransactionChangeSerializer):
    needed = ("total", "transacted_at", "timezone", "items")


@example(NEW_TRANSACTION)
class UpsertTransactionSerializer(TransactionChangeSerializer):
    """A transaction by its `external_id`. A new one must have what a POST of it must; one on file may be partial."""

    needed = ("external_id",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["external_id"]
        field.allow_null = field.allow_blank = False  # type: ignore[attr-defined]


# Interactions


class IdentifierPairSerializer(serializers.Serializer[Any]):
    id = IdentifierField()
    handle = text()


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string"},
            {"type": "integer"},
            {
                "type": "object",
                "required": ["id"],
                "properties": {
                    "id": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
                    "handle": {"type": ["string", "null"], "maxLength": 255},
                },
            },
        ]
    }
)
class AnyIdentifierField(serializers.Field[Any, Any, Any, Any]):
    """`{"id", "handle"}`, or an identifier alone, which decides when exactly one profile has it."""

    def to_internal_value(self, data: Any) -> Sent | str | None:
        handle = None
        if isinstance(data, dict):
            pair = IdentifierPairSerializer(data=data)
            pair.is_valid(raise_exception=True)
            identifier, handle = pair.validated_data["id"], (pair.validated_data.get("handle") or "").strip()
        else:
            identifier = IdentifierField().run_validation(data)
        if not identifier.strip():
            return None
        return Sent(handle, identifier) if handle else identifier


@example({"signal": -1, "description": "Left before it began."})
class InteractionChangeSerializer(IncomingSerializer):
    emptied = {"url": "", "description": "", "tags": [], "meta": {}}
    skipped = ("interacted_at",)

    identifier = AnyIdentifierField(**NULLABLE)
    action = serializers.ChoiceField(Interaction.Action.choices, **OPTIONAL)
    channel = serializers.ChoiceField(Interaction.Channel.choices, **OPTIONAL)
    signal = serializers.IntegerField(**OPTIONAL, min_value=-1, max_value=1)
    name = StrictText(**OPTIONAL)
    namespace = StrictText(**OPTIONAL)
    interacted_at = InstantField(**NULLABLE)
    url = text(max_length=2048)
    description = text(max_length=65_536)
    tags = FreeListField(**NULLABLE)
    meta = FreeObjectField(**NULLABLE)


@example(
    {
        "identifier": {"id": "1804974", "handle": "loyalty-card"},
        "action": "visit",
        "channel": "location",
        "signal": 1,
        "name": "Came to the opening",
        "namespace": "events",
    }
)
class NewInteractionSerializer(InteractionChangeSerializer):
    needed = ("action", "channel", "signal", "name", "namespace")
    names_somebody = True


@example({"action": "view", "channel": "website", "signal": 1, "name": "Linen shirt", "namespace": "shop"})
class NewOwnInteractionSerializer(NewInteractionSerializer):
    """An interaction of whoever sends it: whom it names besides is ignored, like all that is unknown."""

    names_somebody = False

    def get_fields(self) -> dict[str, serializers.Field]:
        return {name: field for name, field in super().get_fields().items() if name not in self.beside}

    def of(self, profile_id: uuid.UUID, identity_id: int | None) -> Incoming:
        """What was sent, about this profile, by somebody who was signed in by this identity of it, if by one."""
        return Incoming(self.incoming().fields, named=profile_id, identity_id=identity_id)


# Points and rewards


def definition() -> serializers.IntegerField:
    return serializers.IntegerField(**NULLABLE, min_value=1, max_value=LARGEST_INTEGER)


class BalanceRecordChangeSerializer(IncomingSerializer):
    skipped: ClassVar[Sequence[str]] = ("value_remaining",)

    value_initial = AmountField(**OPTIONAL)
    value_remaining = AmountField(**NULLABLE, help_text="`value_initial`, unless it is named.")

    def incoming(self, row: Record | None = None, *, is_put: bool = False) -> Incoming:
        incoming = super().incoming(row, is_put=is_put)
        if row is not None:
            return incoming
        fields = {"value_remaining": incoming.fields["value_initial"], **incoming.fields}
        return Incoming(fields, None, incoming.sent, incoming.named, incoming.bare)


@example({"profile_id": ADA, "value_initial": 100, "issued_at": "2026-11-25 01:04:09", "meta": {"campaign": "spring"}})
class NewPointSerializer(BalanceRecordChangeSerializer):
    needed = ("value_initial", "issued_at")
    names_somebody = True
    emptied = {"meta": {}}
    skipped = ("value_remaining", "point_definition_id")
    columns = {"point_definition_id": "definition_id"}

    point_definition_id = definition()
    issued_at = InstantField(**OPTIONAL)
    expires_at = InstantField(**NULLABLE)
    meta = FreeObjectField(**NULLABLE)


@example({"value_remaining": 5})
class RewardChangeSerializer(BalanceRecordChangeSerializer):
    local_times = ("issued_at", "expires_at")
    columns = {"reward_definition_id": "definition_id"}

    reward_definition_id = definition()
    issued_at = LocalTimeField(**OPTIONAL, help_text="Local to `timezone`, unless it says an offset.")
    expires_at = LocalTimeField(**NULLABLE, help_text="Local to `timezone`, unless it says an offset.")
    timezone = ZoneField(**OPTIONAL)


@example(
    {
        "profile_id": "ada@example.com",
        "profile_id_handle": "email",
        "value_initial": 20,
        "issued_at": "2026-11-25 12:04:09",
        "expires_at": "2027-11-25 00:00:00",
        "timezone": MELBOURNE,
    }
)
class NewRewardSerializer(RewardChangeSerializer):
    needed = ("value_initial", "issued_at", "timezone")
    names_somebody = True


@example({"name": "Reward for a birthday"})
class RewardDefinitionChangeSerializer(serializers.Serializer[Any]):
    name = StrictText(**OPTIONAL)
    handle = StrictText(**OPTIONAL)
    value = AmountField(**OPTIONAL)
    period = ScalarField(**NULLABLE)
    period_type = text(max_length=64)
    type = text(max_length=64)
    is_assignable = StrictBoolean(**OPTIONAL)
    is_published = StrictBoolean(**OPTIONAL)

    def fields_of(self) -> dict[str, Any]:
        empty = {"period_type": "", "type": ""}
        return {name: empty.get(name) if value is None else value for name, value in self.validated_data.items()}


@example(
    {
        "name": "Birthday reward",
        "handle": "birthday",
        "value": 20,
        "period": 1,
        "period_type": "month",
        "type": "birthday",
        "is_assignable": True,
        "is_published": True,
    }
)
class NewRewardDefinitionSerializer(RewardDefinitionChangeSerializer):
    name = StrictText()
    handle = StrictText()
    value = AmountField()
