from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from identities import attributing
from identities.filling import BIRTH
from identities.outcomes import Routed
from identities.serializers import ADA, IDENTITY, IdentitySerializer, NewIdentitySerializer
from omneo_identity.api.fields import FreeJSON, IdentifierField, InstantField, StrictText
from omneo_identity.api.schema import example
from profiles.models import Profile

MOST_IDENTITIES = 1_000
MOST_CUSTOM_ATTRIBUTES = 1_000

CONTACTS = ("email", "mobile_phone")
NOT_COLUMNS = (*CONTACTS, "identities", "custom_attributes")

# A profile cannot come into being deleted.
NEW_PROFILE_TYPES = [choice for choice in Profile.Type.choices if choice[0] != Profile.Type.DELETED]

ATTRIBUTES = {
    "type": "object",
    "properties": {
        "comms": {"type": ["object", "null"]},
        "appearance": {"type": ["object", "null"]},
        "dates": {"type": ["array", "null"]},
    },
}


@extend_schema_field(ATTRIBUTES)
class AttributesField(serializers.DictField):
    """`comms` and `appearance` (objects) and `dates` (a list); other keys are ignored, like unknown fields."""

    SHAPES = {"comms": dict, "appearance": dict, "dates": list}

    default_error_messages = {
        "shape": _("%(key)s has the wrong shape."),
        "size": _("The attributes are larger than 64 kB or nested too deep."),
    }

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("not_a_dict", input_type=type(data).__name__)
        known = {key: data[key] for key in self.SHAPES if data.get(key) is not None}
        for key, value in known.items():
            if not isinstance(value, self.SHAPES[key]):
                raise serializers.ValidationError(self.error_messages["shape"] % {"key": key})
        if FreeJSON.is_too_much(known):
            self.fail("size")
        return known


@extend_schema_field({"type": "object", "additionalProperties": {"type": "object"}})
class CustomAttributesField(serializers.Field[Any, Any, Any, Any]):
    """`{"namespace": {"handle": value}}`, as the profile shows it. Each value keeps the type that it has on file, if
    it can; null deletes it."""

    default_error_messages = {
        "shape": _("This must be an object of objects: namespace, handle, value."),
        "many": _("These are more than %(most)d attributes."),
    }

    def to_internal_value(self, data: Any) -> list[attributing.Named]:
        if not isinstance(data, dict) or not all(isinstance(handles, dict) for handles in data.values()):
            self.fail("shape")
        named = [
            attributing.Named(namespace, handle, value)
            for namespace, handles in data.items()
            for handle, value in handles.items()
        ]
        if len(named) > MOST_CUSTOM_ATTRIBUTES:
            raise serializers.ValidationError(self.error_messages["many"] % {"most": MOST_CUSTOM_ATTRIBUTES})
        return named


PROFILE = {
    "id": ADA,
    "external_id": None,
    "title": "Ms",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "full_name": "Ada Lovelace",
    "email": "ada@example.com",
    "gender": None,
    "currency": "AUD",
    "joined_at": "2018-04-24 06:31:51",
    "mobile_phone": "+61404123123",
    "mobile_phone_country": 61,
    "mobile_phone_national": "404123123",
    "mobile_phone_e164": "+61404123123",
    "secondary_phone": None,
    "birth_year": 1990,
    "birth_month": 12,
    "birth_day": 10,
    "birth_date": "1990-12-10",
    "company": None,
    "occupation": None,
    "avatar_url": None,
    "tags": ["vip"],
    "identities": [IDENTITY],
    "attributes": {"comms": {"email_promo": True}, "appearance": {}, "dates": []},
    "custom_attributes": {"loyalty": {"tier": "gold"}},
    "reward_balance": 15,
    "point_balance": 250,
    "point_balance_dollars": 2.5,
    "combined_balance_dollars": 17.5,
    "profile_type": "active",
    "created_at": "2018-04-24 06:31:51",
    "updated_at": "2018-04-24 06:31:51",
    "claimed": {"email": "countess@example.com"},
}


class ClaimedSerializer(serializers.Serializer[Any]):
    """What the customer says that their contact points are, with a customer token, and nobody has confirmed."""

    email = serializers.CharField(required=False)
    mobile_phone = serializers.CharField(required=False)


@example(PROFILE)
class ProfileSerializer(serializers.Serializer[Any]):
    """The full profile as `lookup` writes it; here for the OpenAPI document only."""

    id = serializers.UUIDField()
    external_id = serializers.CharField(allow_null=True, help_text="The primary identity's identifier.")
    title = serializers.CharField(allow_null=True)
    first_name = serializers.CharField()
    last_name = serializers.CharField()
    full_name = serializers.CharField()
    email = serializers.CharField()
    gender = serializers.CharField(allow_null=True)
    currency = serializers.CharField(allow_null=True)
    joined_at = InstantField()
    mobile_phone = serializers.CharField(allow_null=True)
    mobile_phone_country = serializers.IntegerField(allow_null=True)
    mobile_phone_national = serializers.CharField(allow_null=True)
    mobile_phone_e164 = serializers.CharField(allow_null=True)
    secondary_phone = serializers.CharField(allow_null=True)
    birth_year = serializers.IntegerField(allow_null=True)
    birth_month = serializers.IntegerField(allow_null=True)
    birth_day = serializers.IntegerField(allow_null=True)
    birth_date = serializers.CharField(allow_null=True)
    company = serializers.CharField(allow_null=True)
    occupation = serializers.CharField(allow_null=True)
    avatar_url = serializers.CharField(allow_null=True)
    tags = serializers.ListField(child=serializers.CharField())
    identities = IdentitySerializer(many=True)
    attributes = AttributesField()
    custom_attributes = serializers.DictField()
    reward_balance = serializers.FloatField()
    point_balance = serializers.FloatField()
    point_balance_dollars = serializers.FloatField()
    combined_balance_dollars = serializers.FloatField()
    profile_type = serializers.ChoiceField(Profile.Type.choices)
    created_at = InstantField()
    updated_at = InstantField()
    claimed = ClaimedSerializer(
        required=False,
        help_text="Only where there is something: it matches nothing until a write of that field with that value.",
    )


@example({**IDENTITY, "profile": PROFILE})
class IdentityWithProfileSerializer(IdentitySerializer):
    profile = ProfileSerializer()


@example(IDENTITY)
class ListedIdentitySerializer(IdentitySerializer):
    profile = ProfileSerializer(required=False, help_text="With `include=profile`.")


def text(**kwargs: Any) -> StrictText:
    """A text field that may be left out or emptied; null means empty."""
    return StrictText(required=False, allow_blank=True, allow_null=True, **kwargs)


def number(least: int, most: int) -> serializers.IntegerField:
    return serializers.IntegerField(required=False, allow_null=True, min_value=least, max_value=most)


@example({"first_name": "Ada", "mobile_phone": "0404 123 123"})
class ProfileChangeSerializer(serializers.Serializer[Any]):
    """The fields that a client may set. All may be left out, so that a PUT changes only what it names."""

    title = text(max_length=64)
    first_name = text()
    last_name = text()
    email = text(max_length=512, trim_whitespace=False)
    mobile_phone = text(max_length=512, trim_whitespace=False)
    secondary_phone = text(max_length=64)
    gender = text(max_length=64)
    currency = text(max_length=3)
    joined_at = InstantField(required=False)
    birth_year = number(1, 9999)
    birth_month = number(1, 12)
    birth_day = number(1, 31)
    birth_date = serializers.DateField(required=False, allow_null=True, input_formats=["%Y-%m-%d"])
    company = text()
    occupation = text()
    avatar_url = text(max_length=2048)
    tags = serializers.ListField(child=StrictText(), required=False, allow_null=True, max_length=1_000)
    attributes = AttributesField(required=False, allow_null=True)
    custom_attributes = CustomAttributesField(required=False, allow_null=True)

    def custom(self) -> list[attributing.Named]:
        """The custom attributes among what was sent."""
        return self.validated_data.get("custom_attributes") or []

    def contact(self) -> dict[str, str | None]:
        """The contact points among what was sent, as sent."""
        return {name: self.validated_data[name] for name in CONTACTS if name in self.validated_data}

    def fields_of(self, profile: Profile | None = None) -> dict[str, Any]:
        """The columns of Profile among what was sent (`columns_among`)."""
        return columns_among(self.validated_data, profile)

    def sent(self, profile: Profile) -> dict[str, Any]:
        """What a PUT to the id of this profile says: fields, contact points and custom attributes.

        Of a merged profile that goes to its survivor. A client that sends back an old copy of it must not overwrite
        that, so what its own columns hold says nothing; but the parts of a birth date say what they say together.
        """
        fields, contact, custom = self.fields_of(profile), self.contact(), self.custom()
        if profile.merged_into_id is not None:
            own = {(row.namespace, row.handle): row.value for row in profile.custom_attributes.all()}
            custom = [one for one in custom if one.key not in own or own[one.key] != one.value]
            contact = {name: value for name, value in contact.items() if (value or "") != getattr(profile, name)}
            fields = _differing(fields, profile)
        return {"fields": fields, "contact": contact, "attributes": custom}


def columns_among(validated: Mapping[str, Any], profile: Profile | None = None) -> dict[str, Any]:
    """The columns of Profile among the validated fields of one that was sent.

    A client that sends back a whole object with only one of `birth_date` and its parts changed means the one that it
    changed, so a `birth_date` that the profile has already says nothing.
    """
    fields = {name: value for name, value in validated.items() if name not in NOT_COLUMNS}
    if fields.get("attributes") == {}:
        del fields["attributes"]  # names nothing; null empties them
    birth_date: datetime.date | None = fields.pop("birth_date", None)
    had = None if profile is None else (profile.birth_year, profile.birth_month, profile.birth_day)
    if birth_date is not None:
        parts = (birth_date.year, birth_date.month, birth_date.day)
        if parts != had:
            fields |= zip(("birth_year", "birth_month", "birth_day"), parts, strict=True)
    elif "birth_date" in validated and had is not None and None not in had:
        fields |= dict.fromkeys(("birth_year", "birth_month", "birth_day"))
    empty: dict[str, Any] = {"tags": [], "attributes": {}}
    numbers = {"birth_year", "birth_month", "birth_day"}
    return {
        name: empty.get(name, "") if value is None and name not in numbers else value for name, value in fields.items()
    }


def _differing(fields: dict[str, Any], profile: Profile) -> dict[str, Any]:
    """Those of the fields that say another thing than our answers show of what the profile's columns hold."""
    own = {name: getattr(profile, name) for name in fields}
    if fields.get("attributes"):
        # Each part for itself; one that is not there is shown as empty.
        parts = fields["attributes"].items()
        fields = {
            **fields,
            "attributes": {part: one for part, one in parts if one != (own["attributes"].get(part) or type(one)())},
        }
        own["attributes"] = {}
    if "joined_at" in own:
        own["joined_at"] = own["joined_at"].replace(microsecond=0)
    other = {name: value for name, value in fields.items() if (value or "") != (own[name] or "")}
    birth = {name: fields[name] for name in BIRTH if name in fields}
    return other if other.keys().isdisjoint(birth) else {**other, **birth}


@example(
    {
        "first_name": "Ada",
        "last_name": "Lovelace",
        "email": "ada@example.com",
        "mobile_phone": "0404 123 123",
        "birth_date": "1990-12-10",
        "identities": [{"handle": "loyalty-card", "identifier": "1804974"}],
    }
)
class NewProfileSerializer(ProfileChangeSerializer):
    profile_type = serializers.ChoiceField(NEW_PROFILE_TYPES, required=False)
    # A list field, since of a serializer with many=True each row could be null too.
    identities = serializers.ListField(
        child=NewIdentitySerializer(), required=False, allow_null=True, max_length=MOST_IDENTITIES
    )


@example({"profile_type": "active"})
class ProfileTypeSerializer(serializers.Serializer[Any]):
    profile_type = serializers.ChoiceField(Profile.Type.choices)


class RefusedPairSerializer(serializers.Serializer[Any]):
    handle = serializers.CharField()
    identifier = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField()


@example(
    {
        "outcome": "created",
        "profile_id": ADA,
        "identity_id": 2,
        "log_entry_id": None,
        "refused": [],
        "not_taken": [],
    }
)
class RoutingSerializer(serializers.Serializer[Any]):
    """What became of a routed write (API.md 4)."""

    outcome = serializers.ChoiceField(
        ["created", "matched", "attached", "rerouted", "conflict", "anonymous"],
        help_text="`anonymous`: the record is kept, and nobody's.",
    )
    profile_id = serializers.UUIDField(allow_null=True, help_text="Null for a record of nobody.")
    identity_id = serializers.IntegerField(allow_null=True)
    log_entry_id = serializers.IntegerField(allow_null=True)
    refused = RefusedPairSerializer(many=True)
    not_taken = serializers.ListField(child=serializers.CharField())


def told(routed: Routed[Any]) -> dict[str, Any]:
    """What stands under `routing`, as RoutingSerializer describes it."""
    return {
        "outcome": routed.outcome,
        "profile_id": routed.profile.pk if routed.profile else None,
        "identity_id": routed.identity.pk if routed.identity else None,
        "log_entry_id": routed.log_entry_id,
        "refused": routed.refused,
        "not_taken": routed.not_taken,
    }


@example({"handle": "loyalty-card", "identifier": "1804974", "profile_id": "01968fdc-7a29-7c5b-9ee0-bb9f3a0f4e11"})
class NotReturnedSerializer(serializers.Serializer[Any]):
    """A pair that others took over while the profile was deleted, and that did not come back with it."""

    handle = serializers.CharField()
    identifier = serializers.CharField()
    profile_id = serializers.UUIDField(
        allow_null=True, help_text="The profile that has it now; null when it was deleted for good meanwhile."
    )


@example({"type": "loyalty-card", "id": "1804974"})
class SearchIdSerializer(serializers.Serializer[Any]):
    type = StrictText(help_text="A handle, or `profile_id`.")
    id = IdentifierField()


@example({"email": "ada@example.com", "mobile_phone": "0404 999 999"})
class AvailabilitySerializer(serializers.Serializer[Any]):
    email = text(max_length=512)
    mobile_phone = text(max_length=512)


class OwnerSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    full_name = serializers.CharField()


class AvailableSerializer(serializers.Serializer[Any]):
    available = serializers.BooleanField()
    profile = OwnerSerializer(allow_null=True)


@example(
    {
        "email": {"available": False, "profile": {"id": ADA, "full_name": "Ada Lovelace"}},
        "mobile_phone": {"available": True, "profile": None},
    }
)
class AvailabilityAnswerSerializer(serializers.Serializer[Any]):
    email = AvailableSerializer(required=False)
    mobile_phone = AvailableSerializer(required=False)


BALANCES = {
    "reward_balance": 15,
    "point_balance": 250,
    "point_balance_dollars": 2.5,
    "benefit_balance": 0,
    "combined_balance_dollars": 17.5,
}


@example(BALANCES)
class BalancesSerializer(serializers.Serializer[Any]):
    """What remains and has not expired, as `lookup` writes it; here for the OpenAPI document only."""

    reward_balance = serializers.FloatField()
    point_balance = serializers.FloatField()
    point_balance_dollars = serializers.FloatField(help_text="The points times POINT_VALUE.")
    benefit_balance = serializers.FloatField()
    combined_balance_dollars = serializers.FloatField()
