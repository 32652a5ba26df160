"""Serializer fields that several endpoints share."""

from __future__ import annotations

import datetime
import decimal
import json
import re
import uuid
from decimal import Decimal
from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from omneo_identity import zones
from omneo_identity.api.filters import CONTROL
from omneo_identity.api.instants import instant, instant_text

MAX_IDENTIFIER_BYTES = 10_240

# Free JSON of a client, beside the product's own fields.
MOST_FREE_BYTES = 65_536
DEEPEST_FREE = 16

# An amount: as many digits before the point, and places after it, as its column has.
WHOLE_DIGITS = 13
PLACES = Decimal("0.000001")
NUMERAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
LONGEST_NUMERAL = 64
EXACT = decimal.Context(prec=200, rounding=decimal.ROUND_HALF_EVEN)


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


@extend_schema_field({"oneOf": [{"type": "string", "maxLength": 255}, {"type": "integer"}]})
class ReferenceField(IdentifierField):
    """What another system calls something of its own: text of 255 characters, or a whole number taken as its text."""

    default_error_messages = {
        "invalid": _("This must be text or a whole number."),
        "control": _("Control characters are not allowed."),
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=True, max_length=255, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if isinstance(data, bool) or not isinstance(data, str | int):
            self.fail("invalid")
        text = str(data).strip()
        if CONTROL.search(text):
            self.fail("control")
        return text


AMOUNT = {
    "oneOf": [
        {"type": "number", "exclusiveMinimum": -(10**WHOLE_DIGITS), "exclusiveMaximum": 10**WHOLE_DIGITS},
        {"type": "string", "pattern": f"^{NUMERAL.pattern}$", "maxLength": LONGEST_NUMERAL},
    ]
}


@extend_schema_field(AMOUNT)
class AmountField(serializers.Field[Decimal, Any, Decimal, Any]):
    """Money or points, exact: a JSON number, or decimal text. More than six places are rounded, half to even.

    A JSON number is the decimal that it is written as: 0.1 is a tenth, and not the binary fraction next to it. That
    holds for 15 digits; an amount of more is exact as text.
    """

    default_error_messages = {
        "invalid": _("This must be a number, or a number written as text."),
        "too_large": _("This number has more than %d digits before the point.") % WHOLE_DIGITS,
    }

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, bool) or not isinstance(data, int | float | str):
            self.fail("invalid")
        # Of a number of thousands of digits the text is the slow part.
        if isinstance(data, int) and abs(data) >= 10**WHOLE_DIGITS:
            self.fail("too_large")
        text = data.strip() if isinstance(data, str) else repr(data)
        if len(text) > LONGEST_NUMERAL or not NUMERAL.fullmatch(text):
            self.fail("invalid")
        value = Decimal(text)
        # First as it was sent, since rounding writes out every digit that its exponent stands for.
        if value and value.adjusted() >= WHOLE_DIGITS:
            self.fail("too_large")
        rounded = value.quantize(PLACES, context=EXACT)
        if rounded.adjusted() >= WHOLE_DIGITS:
            self.fail("too_large")
        return rounded or Decimal(0)

    def to_representation(self, value: Decimal) -> Decimal:
        return value.normalize()


@extend_schema_field({"type": "number"})
class ShownAmountField(AmountField):
    """An amount as answers show it: a JSON number, without zeros at its end."""


@extend_schema_field({"type": "string", "example": "2021-01-27 00:00:00"})
class LocalTimeField(serializers.Field[str, Any, str, Any]):
    """A time on a wall, local to the zone that the record names unless it says an offset. Up to then it is text."""

    default_error_messages = InstantField.default_error_messages

    def to_internal_value(self, data: Any) -> str:
        try:
            instant(data)
        except (TypeError, ValueError):
            self.fail("invalid")
        return str(data)

    def to_representation(self, value: str) -> str:
        return value


class ZoneField(StrictText):
    """The name of a time zone, `Australia/Melbourne`, one that Python and PostgreSQL both know."""

    default_error_messages = {"unknown": _("There is no time zone of this name; one is Australia/Melbourne.")}

    def to_internal_value(self, data: Any) -> str:
        name = super().to_internal_value(data)
        if name not in zones.known():
            self.fail("unknown")
        return name


@extend_schema_field({"oneOf": [{"type": "string", "maxLength": 255}, {"type": "number"}]})
class ScalarField(serializers.Field[Any, Any, Any, Any]):
    """Any text or number, kept and given back as it came."""

    default_error_messages = {
        "invalid": _("This must be text or a number."),
        "max_length": _("This has more than 255 characters."),
    }

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, bool) or not isinstance(data, str | int | float):
            self.fail("invalid")
        if len(str(data)) > 255:
            self.fail("max_length")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class FreeJSON:
    """Whatever a client keeps here, within bounds of size and depth."""

    sentences: ClassVar[dict[str, Any]] = {"size": _("This is larger than 64 kB or nested too deep.")}

    @staticmethod
    def is_too_much(value: Any) -> bool:
        return depth(value) > DEEPEST_FREE or len(json.dumps(value)) > MOST_FREE_BYTES


class FreeObjectField(serializers.DictField):
    """An object, kept as it came: at most 64 kB and 16 levels."""

    default_error_messages = FreeJSON.sentences

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("not_a_dict", input_type=type(data).__name__)
        if FreeJSON.is_too_much(data):
            self.fail("size")
        return data


@extend_schema_field({"type": "array", "items": {}})
class FreeListField(serializers.ListField):
    """A list of anything, kept as it came: at most 64 kB and 16 levels."""

    default_error_messages = FreeJSON.sentences

    def to_internal_value(self, data: Any) -> list[Any]:
        if not isinstance(data, list):
            self.fail("not_a_list", input_type=type(data).__name__)
        if FreeJSON.is_too_much(data):
            self.fail("size")
        return data


class BoundedListField(serializers.ListField):
    """A list that is refused for its length before the first of its rows is looked at."""

    def to_internal_value(self, data: Any) -> list[Any]:
        if self.max_length is not None and isinstance(data, list) and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        return super().to_internal_value(data)

    default_error_messages = {"max_length": _("This has more than {max_length} rows.")}


def depth(value: Any, above: int = 0) -> int:
    """How deep lists and objects are nested in each other; not counted further once it is too deep."""
    if above > DEEPEST_FREE or not isinstance(value, dict | list):
        return above
    inner = value.values() if isinstance(value, dict) else value
    return max((depth(one, above + 1) for one in inner), default=above + 1)
