from __future__ import annotations

import re
import uuid
from typing import Any, TypeGuard

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from identities.handles import Sent
from identities.models import BUILT_IN, ApiToken, Handle, RoutingLogEntry
from omneo_identity.api.fields import IdentifierField, InstantField, StrictBoolean, StrictText, StrictUUID
from omneo_identity.api.schema import example

MOST_AT_ONCE = 1_000

PLAIN_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# Characters of an identifier that is not looked at more closely; what is too long is told by the field.
MOST_PLAIN = 1_000

ADA = "b1d6f3ec-38cd-4747-b7f3-6649c9c05c5d"
IDENTITY = {
    "id": 2,
    "handle": "loyalty-card",
    "identifier": "1804974",
    "is_primary": False,
    "is_active": True,
    "profile_id": ADA,
    "merged_from": None,
    "source": "staff",
    "created_at": "2018-04-24 06:31:51",
    "updated_at": "2018-04-24 06:31:51",
}
PAIR = {"handle": "loyalty-card", "identifier": "1804974"}


@example(IDENTITY)
class IdentitySerializer(serializers.Serializer[Any]):
    """An identity as `lookup` writes it; here for the OpenAPI document only."""

    id = serializers.IntegerField()
    handle = serializers.CharField()
    identifier = serializers.CharField()
    is_primary = serializers.BooleanField()
    is_active = serializers.BooleanField()
    profile_id = serializers.UUIDField()
    merged_from = serializers.UUIDField(allow_null=True)
    source = serializers.CharField(  # type: ignore[assignment]  # a field of that name
        help_text="The extension's slug, or `staff`."
    )
    created_at = InstantField()
    updated_at = InstantField()


class PairListSerializer(serializers.ListSerializer[Any]):
    """Many pairs. Those that are plain text need no fields to be read by, which for a thousand take a long time."""

    def run_child_validation(self, data: Any) -> Any:
        plain = plain_pair(data)
        return super().run_child_validation(data) if plain is None else plain


def plain_pair(data: Any) -> dict[str, Any] | None:
    """What the fields make of a pair of plain text, without asking them; None where they have to look."""
    handle, identifier = (data.get("handle"), data.get("identifier")) if type(data) is dict else (None, None)
    if _is_plain(handle, 255) and handle == handle.strip() and _is_plain(identifier, MOST_PLAIN):
        return {"handle": handle, "identifier": identifier}
    return None


def _is_plain(text: Any, most: int) -> TypeGuard[str]:
    return type(text) is str and 0 < len(text) <= most and text.isprintable()


class PairSerializer(serializers.Serializer[Any]):
    handle = StrictText()
    identifier = IdentifierField()

    class Meta:
        list_serializer_class = PairListSerializer


@example({**PAIR, "is_active": True, "is_primary": False})
class NewIdentitySerializer(PairSerializer):
    """A pair to be written. What the handle makes of it is the write path's affair, through `Identity.clean()`."""

    is_active = StrictBoolean(default=True)
    is_primary = StrictBoolean(default=False)

    def to_internal_value(self, data: Any) -> Any:
        return Sent(**super().to_internal_value(data))


@example({"is_active": False})
class IdentityChangeSerializer(serializers.Serializer[Any]):
    identifier = IdentifierField(required=False)
    is_active = StrictBoolean(required=False)
    is_primary = StrictBoolean(required=False)


class BatchRowSerializer(PairSerializer):
    profile_id = StrictUUID(required=False, allow_null=True)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        plain = plain_row(data)
        return super().run_validation(data) if plain is None else plain


def plain_row(data: Any) -> dict[str, Any] | None:
    """What the fields make of a row of plain text, without asking them; None where they have to look."""
    row = plain_pair(data)
    if row is None or "profile_id" not in data:
        return row
    profile_id = data["profile_id"]
    if profile_id is None:
        return {**row, "profile_id": None}
    if type(profile_id) is str and PLAIN_UUID.fullmatch(profile_id):
        return {**row, "profile_id": uuid.UUID(profile_id)}
    return None


@extend_schema_field({"description": "A pair, with a `profile_id` unless the batch names one."})
class AnyRow(serializers.Field[Any, Any, Any, Any]):
    """A row of a batch. Whatever is wrong with it is an error of this row alone, so nothing is refused here."""

    def run_validation(self, data: Any = None) -> Any:
        return data


@example({"profile_id": ADA, "identities": [PAIR, {"handle": "pos", "identifier": "T07-000381"}]})
class BatchSerializer(serializers.Serializer[Any]):
    profile_id = StrictUUID(required=False, allow_null=True)
    identities = serializers.ListField(child=AnyRow(), max_length=MOST_AT_ONCE)


@example({"result": "created", "identity": IDENTITY})
class BatchAnswerSerializer(serializers.Serializer[Any]):
    """One row of a batch's answer."""

    result = serializers.ChoiceField(["created", "exists", "error"])
    identity = IdentitySerializer(required=False)
    code = serializers.CharField(required=False)
    message = serializers.CharField(required=False)
    profile_id = serializers.UUIDField(required=False, help_text="The owner, when the pair is another profile's.")
    log_entry_id = serializers.IntegerField(required=False)


@example({"identities": [PAIR]})
class ResolveSerializer(serializers.Serializer[Any]):
    identities = PairSerializer(many=True, max_length=MOST_AT_ONCE)  # type: ignore[call-arg]  # the list takes it


@example({**PAIR, "profile_id": ADA})
class ResolvedSerializer(PairSerializer):
    identifier = serializers.CharField()  # type: ignore[assignment]
    profile_id = serializers.UUIDField(allow_null=True)


@example({"profile_id": ADA, "field": "email"})
class ContactChangedSerializer(serializers.Serializer[Any]):
    """A contact field that shows another value since, or none: the pair that it showed has gone or has come."""

    profile_id = serializers.UUIDField()
    field = serializers.ChoiceField(list(BUILT_IN))


@example({"profile_id": ADA, "reason": "Ada showed this card in the shop in George Street."})
class MoveSerializer(serializers.Serializer[Any]):
    profile_id = StrictUUID()
    reason = StrictText(max_length=2_000)


@example(
    {
        "name": "loyalty-card",
        "label": "Loyalty card",
        "description": "The number printed on the loyalty card.",
        "example": "1804974",
        "status": "agreed",
        "renamed_to": None,
        "reserved_for": None,
        "normaliser": "exact",
        "pattern": "[0-9]{7}",
        "single_valued": False,
        "max_per_profile": 5,
        "immutable": False,
        "sensitive": False,
        "priority": 10,
        "auto_merge": False,
        "usage_count": 2291,
        "usage_count_is_capped": False,
        "agreed_at": "2021-01-27 00:00:00",
        "created_at": "2021-01-27 00:00:00",
    }
)
class HandleSerializer(serializers.ModelSerializer[Handle]):
    renamed_to = serializers.CharField(source="renamed_to_id", allow_null=True, read_only=True)
    reserved_for = serializers.CharField(source="reserved_for_id", allow_null=True)
    usage_count = serializers.IntegerField(read_only=True, help_text="Counted up to 10,000.")
    usage_count_is_capped = serializers.BooleanField(read_only=True)
    created_at = InstantField(read_only=True)
    agreed_at = InstantField(read_only=True, allow_null=True)

    class Meta:
        model = Handle
        fields = [
            "name",
            "label",
            "description",
            "example",
            "status",
            "renamed_to",
            "reserved_for",
            "normaliser",
            "pattern",
            "single_valued",
            "max_per_profile",
            "immutable",
            "sensitive",
            "priority",
            "auto_merge",
            "usage_count",
            "usage_count_is_capped",
            "agreed_at",
            "created_at",
        ]


@example({"pattern": "[0-9]{7}", "max_per_profile": 5, "priority": 10})
class HandleChangeSerializer(serializers.Serializer[Any]):
    """What a PUT may change; the catalogue's own rules come with `Handle.clean()`."""

    label = StrictText(required=False, allow_blank=True)  # type: ignore[assignment]  # a field of that name
    description = StrictText(required=False, allow_blank=True, max_length=10_000)
    example = StrictText(required=False, allow_blank=True)
    status = serializers.ChoiceField(Handle.Status.choices, required=False)
    reserved_for = StrictText(required=False, allow_null=True)
    normaliser = serializers.ChoiceField(Handle.Normaliser.choices, required=False)
    pattern = StrictText(required=False, allow_blank=True)
    single_valued = StrictBoolean(required=False)
    max_per_profile = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=1_000_000)
    immutable = StrictBoolean(required=False)
    sensitive = StrictBoolean(required=False)
    priority = serializers.IntegerField(required=False, min_value=-1_000_000, max_value=1_000_000)
    auto_merge = StrictBoolean(
        required=False,
        help_text=(
            "When one write names several profiles, and by handles only that merge by themselves, these become one "
            "without anybody being asked."
        ),
    )


@example(
    {
        "id": 7,
        "outcome": "identity_taken",
        "kind": "identity",
        "code": "",
        "handle": "loyalty-card",
        "identifier": "1804974",
        "requested_profile_id": "01968fdc-7a29-7c5b-9ee0-bb9f3a0f4e11",
        "routed_profile_id": None,
        "candidates": [ADA],
        "payload": {"identities": [PAIR]},
        "source": "staff",
        "by_id": 1,
        "occurrences": 3,
        "created_at": "2021-01-27 00:00:00",
        "last_seen_at": "2021-01-28 09:30:00",
        "review_status": "open",
        "reviewed_by_id": None,
        "reviewed_at": None,
        "review_note": "",
    }
)
class RoutingLogSerializer(serializers.ModelSerializer[RoutingLogEntry]):
    requested_profile_id = serializers.UUIDField(allow_null=True, read_only=True)
    routed_profile_id = serializers.UUIDField(allow_null=True, read_only=True)
    payload = serializers.DictField(read_only=True)
    source = serializers.SerializerMethodField()  # type: ignore[assignment]  # a field of that name
    by_id = serializers.IntegerField(read_only=True)
    reviewed_by_id = serializers.IntegerField(allow_null=True, read_only=True)
    created_at = InstantField()
    last_seen_at = InstantField()
    reviewed_at = InstantField(allow_null=True)

    class Meta:
        model = RoutingLogEntry
        fields = [
            "id",
            "outcome",
            "kind",
            "code",
            "handle",
            "identifier",
            "requested_profile_id",
            "routed_profile_id",
            "candidates",
            "payload",
            "source",
            "by_id",
            "occurrences",
            "created_at",
            "last_seen_at",
            "review_status",
            "reviewed_by_id",
            "reviewed_at",
            "review_note",
        ]

    def get_source(self, entry: RoutingLogEntry) -> str:
        return entry.source_id or "staff"


TOKEN = {
    "id": "12",
    "user_id": 1,
    "client_id": None,
    "name": "Till in George Street",
    "scopes": ["read-profiles", "create-identities"],
    "revoked": False,
    "created_at": "2021-01-27 00:00:00",
    "updated_at": "2021-01-27 00:00:00",
    "expires_at": None,
}


@example({"name": "Till in George Street", "scopes": ["read-profiles", "create-identities"]})
class NewTokenSerializer(serializers.Serializer[Any]):
    name = StrictText()
    scopes = serializers.ListField(child=StrictText(), default=list, max_length=200)


@example(TOKEN)
class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    """A token as existing clients know it; its secret is not in it (API.md 6)."""

    id = serializers.CharField(read_only=True)
    user_id = serializers.IntegerField(read_only=True)
    client_id = serializers.CharField(source="extension_id", allow_null=True, read_only=True)
    revoked = serializers.SerializerMethodField()
    created_at = InstantField()
    updated_at = InstantField()
    expires_at = InstantField(allow_null=True)

    class Meta:
        model = ApiToken
        fields = [
            "id",
            "user_id",
            "client_id",
            "name",
            "scopes",
            "revoked",
            "created_at",
            "updated_at",
            "expires_at",
        ]

    def get_revoked(self, token: ApiToken) -> bool:
        return token.revoked_at is not None


@example({"accessToken": "omneo_2f1c9a7b6d5e4f30_...", "token": TOKEN})
class IssuedTokenSerializer(serializers.Serializer[Any]):
    accessToken = serializers.CharField()  # noqa: N815 - the wire's own word
    token = TokenSerializer()


@example({"id": "1804974", "id_handle": "loyalty-card"})
class NewCustomerTokenSerializer(serializers.Serializer[Any]):
    id = IdentifierField(
        required=False,
        allow_null=True,
        help_text="A profile's id, or with `id_handle` an identifier. Empty or left out: of an anonymous visitor.",
    )
    id_handle = StrictText(required=False, allow_null=True, allow_blank=True, help_text="The handle of `id`.")


JWT = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImRlZmF1bHQiLCJ0eXAiOiJKV1QifQ.eyJwaWQiOiIwMTk2OGZkYyJ9.c2lnbmF0dXJl"


@example({"token": JWT, "exp": 1795680000})
class CustomerTokenSerializer(serializers.Serializer[Any]):
    token = serializers.CharField()
    exp = serializers.IntegerField(help_text="When it ends, in Unix seconds.")


@example({**{name: value for name, value in IDENTITY.items() if name != "source"}, "is_claimed": True})
class OwnIdentitySerializer(IdentitySerializer):
    """An identity as the one whose it is is shown it (`wire.OWN_IDENTITY`)."""

    source = None  # type: ignore[assignment]  # is left out
    merged_from = serializers.UUIDField(allow_null=True, help_text="Always null here.")
    is_claimed = serializers.BooleanField(
        required=False, help_text="Present and true as long as nobody but its owner says that it is theirs."
    )


# Signed by the secret `hush`, which the shop platform's own documentation has in its examples.
@example({"id": "6432187489345", "signature": "bbeb17487bdcac457046b4843cf881ef02e7531d251af200afc782ff13e1bc25"})
class SignedCustomerSerializer(serializers.Serializer[Any]):
    id = IdentifierField(help_text="The customer's id in the shop.")
    signature = StrictText(
        allow_blank=True, help_text="Hexadecimal HMAC-SHA256 of the id as it is sent, by a shared secret."
    )


class StorefrontTokenDataSerializer(serializers.Serializer[Any]):
    token = serializers.CharField()


@example({"data": {"token": JWT}, "token": JWT})
class StorefrontTokenSerializer(serializers.Serializer[Any]):
    data = StorefrontTokenDataSerializer()  # type: ignore[assignment]
    token = serializers.CharField(help_text="The same again.")


@example({"token": JWT, "expiry": 1795680000})
class PassedOnTokenSerializer(serializers.Serializer[Any]):
    token = serializers.CharField()
    expiry = serializers.IntegerField(help_text="When it ends, in Unix seconds.")
