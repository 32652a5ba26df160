"""Webhooks, and reactions with their actions, which the wire calls triggers (API.md 7)."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from omneo_identity.api.fields import (
    BoundedListField,
    FreeJSON,
    FreeObjectField,
    InstantField,
    StrictBoolean,
    StrictText,
)
from omneo_identity.api.filters import LARGEST_INTEGER
from omneo_identity.api.schema import example
from profiles.listening import MOST_ACTIONS, Step
from profiles.models import Action, Reaction, Webhook
from profiles.serializers.incoming import NULLABLE, OPTIONAL
from profiles.serializers.profile import text
from profiles.serializers.records import NOON

MOST_ARGUMENTS = 20
LONGEST_URL = 2_048
SMALLEST_ORDER, LARGEST_ORDER = -(2**31), 2**31 - 1

SHOPIFY_WITHOUT_KLAVIYO = {"and": [{"!!": {"var": "identity.shopify"}}, {"!": {"var": "identity.klaviyo"}}]}
URL = "https://hooks.example.com/omneo"
CONDITION = "JSON Logic over the event's context; null for every event. Refused with the `place` of its fault."
TRIGGER = "The events that it is about, such as `profile.updated`. One that is unknown is kept, and never fires."

NEW_WEBHOOK = {
    "trigger": "profile.updated",
    "url": URL,
    "namespace": "klaviyo-sync",
    "is_active": True,
    "retry_daily": True,
    "retry_hourly": False,
    "queue": "default",
    "condition": SHOPIFY_WITHOUT_KLAVIYO,
}
WEBHOOK = {
    "id": 3,
    "trigger": "profile.updated",
    "url": URL,
    "namespace": "klaviyo-sync",
    "user_id": 7,
    **{name: NEW_WEBHOOK[name] for name in ("is_active", "retry_daily", "retry_hourly", "queue", "condition")},
    "created_at": NOON,
    "updated_at": NOON,
}
NEW_ACTIONS = [
    {
        "name": "filter",
        "arguments": [{"name": "condition", "value": SHOPIFY_WITHOUT_KLAVIYO, "is_dynamic": False}],
    },
    {
        "name": "target.send",
        "description": "Tell Klaviyo who is new.",
        "arguments": [{"name": "url", "value": URL, "is_dynamic": False}],
    },
]
ACTION = {
    "id": 12,
    "uuid": "019ab7c5-0f8f-7d54-a4a5-3c9d1b1c1f6e",
    "name": "target.send",
    "sort_order": 1,
    "description": "Tell Klaviyo who is new.",
    "notes": None,
    "arguments": NEW_ACTIONS[1]["arguments"],
    "created_at": NOON,
    "updated_at": NOON,
}
NEW_REACTION = {
    "name": "Shopify customers to Klaviyo",
    "trigger": "identity.created",
    "description": "Whoever buys online, and gets no mail yet.",
    "is_active": True,
    "actions": NEW_ACTIONS,
}
REACTION = {
    "id": 5,
    "name": NEW_REACTION["name"],
    "trigger": "identity.created",
    "description": NEW_REACTION["description"],
    "notes": None,
    "is_active": True,
    "actions": [ACTION],
    "created_at": NOON,
    "updated_at": NOON,
}


class OrNull(serializers.CharField):
    """Text that is null where there is none."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_null=True, **kwargs)

    def to_representation(self, value: str) -> str | None:  # type: ignore[override]
        return value or None


@extend_schema_field({"type": ["string", "null"], "enum": [*Webhook.Queue.values, None]})
class QueueOrNull(OrNull):
    pass


@example(WEBHOOK)
class WebhookSerializer(serializers.ModelSerializer[Webhook]):
    namespace = OrNull()
    user_id = serializers.IntegerField(help_text="The account that made it, or gave it its address.")
    queue = QueueOrNull()
    condition = FreeObjectField(allow_null=True)
    created_at = InstantField()
    updated_at = InstantField()

    class Meta:
        model = Webhook
        fields = list(WEBHOOK)


class FieldsSerializer(serializers.Serializer[Any]):
    """What was sent, as columns: null, where a client may write it, is what the column has for nothing."""

    def fields_of(self) -> dict[str, Any]:
        return columns(self.validated_data)


# What null means in a column that holds no null.
NOTHING = {
    "namespace": "",
    "queue": "",
    "description": "",
    "notes": "",
    "is_active": True,
    "retry_daily": False,
    "retry_hourly": False,
    "arguments": [],
}


def columns(sent: dict[str, Any]) -> dict[str, Any]:
    return {name: NOTHING.get(name) if value is None else value for name, value in sent.items()}


@example({"is_active": False})
class WebhookChangeSerializer(FieldsSerializer):
    trigger = StrictText(**OPTIONAL, max_length=64, help_text=TRIGGER)
    url = StrictText(
        **OPTIONAL,
        max_length=LONGEST_URL,
        trim_whitespace=False,
        help_text="http or https, without a name, password or fragment, and no private address.",
    )
    namespace = text(max_length=128)
    is_active = StrictBoolean(**NULLABLE)
    retry_daily = StrictBoolean(**NULLABLE)
    retry_hourly = StrictBoolean(**NULLABLE)
    queue = serializers.ChoiceField(Webhook.Queue.choices, **NULLABLE, allow_blank=True)
    condition = FreeObjectField(**NULLABLE, help_text=CONDITION)


@example(NEW_WEBHOOK)
class NewWebhookSerializer(WebhookChangeSerializer):
    trigger = StrictText(max_length=64, help_text=TRIGGER)
    url = StrictText(max_length=LONGEST_URL, trim_whitespace=False)


# Reactions


@extend_schema_field({})
class AnyJSON(serializers.JSONField):
    """Any JSON at all, within bounds."""

    default_error_messages = FreeJSON.sentences

    def to_internal_value(self, data: Any) -> Any:
        if FreeJSON.is_too_much(data):
            self.fail("size")
        return data


class ArgumentSerializer(serializers.Serializer[Any]):
    """An argument of an action. A dynamic value is JSON Logic over the event's context, such as {"var": "id"}."""

    name = StrictText(max_length=64)
    value = AnyJSON(allow_null=True, default=None)
    is_dynamic = StrictBoolean(default=False)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        sent = super().to_internal_value(data)
        return {name: sent[name] for name in ("name", "value", "is_dynamic")}


@example(ACTION)
class ActionSerializer(serializers.ModelSerializer[Action]):
    name = serializers.ChoiceField(Action.Name.choices)
    description = OrNull()
    notes = OrNull()
    arguments = ArgumentSerializer(many=True)
    created_at = InstantField()
    updated_at = InstantField()

    class Meta:
        model = Action
        fields = list(ACTION)

    def to_representation(self, instance: Action) -> dict[str, Any]:
        # The arguments are kept as they are shown.
        return {**super().to_representation(instance), "arguments": instance.arguments}


@example(REACTION)
class ReactionSerializer(serializers.ModelSerializer[Reaction]):
    description = OrNull()
    notes = OrNull()
    actions = ActionSerializer(many=True)
    created_at = InstantField()
    updated_at = InstantField()

    class Meta:
        model = Reaction
        fields = list(REACTION)


class ActionChangeSerializer(FieldsSerializer):
    """An action as a part of what is sent of a trigger."""

    id = serializers.IntegerField(
        **NULLABLE,
        min_value=1,
        max_value=LARGEST_INTEGER,
        help_text="Of one that the trigger has; none makes a new one.",
    )
    name = serializers.ChoiceField(Action.Name.choices, **OPTIONAL)
    sort_order = serializers.IntegerField(
        **OPTIONAL, min_value=SMALLEST_ORDER, max_value=LARGEST_ORDER, help_text="Of a new one, after those before it."
    )
    description = text(max_length=65_536)
    notes = text(max_length=65_536)
    arguments = BoundedListField(child=ArgumentSerializer(), **NULLABLE, max_length=MOST_ARGUMENTS)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("id") is None and "name" not in attrs:
            raise serializers.ValidationError({"name": [self.fields["name"].error_messages["required"]]}, "required")
        return attrs


@example(NEW_ACTIONS[1])
class NewActionSerializer(FieldsSerializer):
    name = serializers.ChoiceField(Action.Name.choices)
    sort_order = serializers.IntegerField(**OPTIONAL, min_value=SMALLEST_ORDER, max_value=LARGEST_ORDER)
    description = text(max_length=65_536)
    notes = text(max_length=65_536)
    arguments = BoundedListField(child=ArgumentSerializer(), **NULLABLE, max_length=MOST_ARGUMENTS)


@example({"is_active": False})
class ReactionChangeSerializer(FieldsSerializer):
    name = StrictText(**OPTIONAL)
    trigger = StrictText(**OPTIONAL, max_length=64, help_text=TRIGGER)
    description = text(max_length=65_536)
    notes = text(max_length=65_536)
    is_active = StrictBoolean(**NULLABLE)
    actions = BoundedListField(child=ActionChangeSerializer(), **NULLABLE, max_length=MOST_ACTIONS)

    def fields_of(self) -> dict[str, Any]:
        return {name: value for name, value in super().fields_of().items() if name != "actions"}

    def names(self) -> list[str]:
        """Which actions were sent, as far as they say what they are."""
        return [one["name"] for one in self.validated_data.get("actions") or () if one.get("name")]

    def steps(self) -> list[Step] | None:
        """The actions, if they were named: null says nothing of them."""
        sent = self.validated_data.get("actions")
        if sent is None:
            return None
        return [
            Step(columns({name: value for name, value in one.items() if name != "id"}), one.get("id")) for one in sent
        ]


@example(NEW_REACTION)
class NewReactionSerializer(ReactionChangeSerializer):
    name = StrictText()
    trigger = StrictText(max_length=64, help_text=TRIGGER)
