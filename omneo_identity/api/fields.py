"""Serializer fields that several endpoints share."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from omneo_identity.api.instants import instant, instant_text

MAX_IDENTIFIER_BYTES = 10_240


class StrictText(serializers.CharField):
    """Text, and not a number that could be written as text. At most 255 characters unless the field says more."""

    default_error_messages = {"invalid": _("This must be text.")}

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 255)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "integer"}]})
class IdentifierField(serializers.CharField):
    """An identifier as it was sent: text, or a whole number, which is taken as its decimal text.

    It is not trimmed and may be empty: the handle's normaliser decides about that, and keeps the original.
    """

    default_error_messages = {
        "invalid": _("The identifier must be text or a whole number."),
        "invalid_identifier": _("The identifier is longer than 10 kB."),
    }

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("trim_whitespace", False)
        kwargs.setdefault("allow_blank", True)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        if isinstance(data, bool) or not isinstance(data, str | int):
            self.fail("invalid")
        text = str(data)
        if len(text.encode(errors="surrogatepass")) > MAX_IDENTIFIER_BYTES:
            self.fail("invalid_identifier")
        return text


class StrictUUID(serializers.UUIDField):
    """A UUID as text. REST framework also takes a number, and `true` for the number 1."""

    def to_internal_value(self, data: Any) -> uuid.UUID:
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        return super().to_internal_value(data)


class InstantField(serializers.Field[datetime.datetime, str, str, Any]):
    """A time: "YYYY-MM-DD HH:MM:SS" in UTC, and ISO 8601 on input too."""

    default_error_messages = {"invalid": _("This must be a time like 2021-01-27 00:00:00 or in ISO 8601.")}

    def to_internal_value(self, data: Any) -> datetime.datetime:
        try:
            return instant(data)
        except (TypeError, ValueError):
            self.fail("invalid")

    def to_representation(self, value: datetime.datetime) -> str:
        return instant_text(value)


class StrictBoolean(serializers.BooleanField):
    """true or false, and their 1 and 0, also as text; not "yes", "on" or 1.0."""

    default_error_messages = {"invalid": _("This must be true or false.")}

    WORDS = {"1": True, "0": False, "true": True, "false": False}

    def to_internal_value(self, data: Any) -> bool:
        if isinstance(data, bool):
            return data
        word = str(data) if isinstance(data, str | int) else ""
        if word not in self.WORDS:
            self.fail("invalid")
        return self.WORDS[word]
