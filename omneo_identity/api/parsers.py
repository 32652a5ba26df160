"""JSON in. Nothing that a client sends as a body may end in a 500."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import IO, Any

import orjson
from django.conf import settings
from django.utils.translation import gettext as _
from rest_framework.exceptions import APIException, ParseError, ValidationError
from rest_framework.parsers import BaseParser

# orjson reads an integer of more than 64 bits as a float, and one past 308 digits not at all.
LONG_NUMBER = re.compile(rb"\d{19,}")
SHORT = 18

# The only way to write one: orjson refuses the bare byte.
NUL = rb"\u0000"

# Python itself stops at 4,300 digits, with an error that is not about JSON.
MAX_DIGITS = 4_000
# Deep enough for any real document; json.dumps() and PostgreSQL have stacks of their own.
MAX_DEPTH = 100


class BodyTooLarge(APIException):
    status_code = 413
    default_code = "too_large"


class StrictJSONParser(BaseParser):
    """Read any body as one JSON object, exactly."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        announced = int((parser_context or {})["request"].META.get("CONTENT_LENGTH") or 0)
        raw = read(stream, announced)
        body = loads(raw)
        if not isinstance(body, dict):
            raise ValidationError({"body": [_("The body must be a JSON object.")]})
        refuse_depth(body)
        if NUL in raw:
            refuse_nul(body)
        return body


def read(stream: IO[bytes], announced: int) -> bytes:
    """The whole body; refused before reading when it says itself that it is too large."""
    limit = settings.MAX_BODY_BYTES
    if announced > limit:
        raise BodyTooLarge(_("The body is larger than %(limit)d bytes.") % {"limit": limit})
    try:
        raw = stream.read(announced)
    except OSError as error:
        raise ParseError(_("The body did not arrive whole.")) from error
    if len(raw) < announced:
        raise ParseError(_("The body is shorter than its Content-Length."))
    return raw


def loads(raw: bytes) -> Any:
    """Parse JSON strictly, keeping every integer exact. An empty body is an empty object."""
    if not raw.strip():
        return {}
    long_number = LONG_NUMBER.search(raw)
    try:
        if not long_number:
            return orjson.loads(raw)
        # orjson still judges the text, with the long numbers cut: json.loads() lets NaN and lone surrogates pass.
        orjson.loads(LONG_NUMBER.sub(lambda number: number.group()[:SHORT], raw))
        return json.loads(raw, parse_int=_integer, parse_float=_float)
    except (ValueError, RecursionError) as error:
        raise ParseError(_("The body is not valid JSON.")) from error


def refuse_depth(body: dict[str, Any]) -> None:
    level: list[Any] = [body]
    for _depth in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise ParseError(_("The body is nested too deeply."))


def refuse_nul(value: Any, path: tuple[str, ...] = ()) -> None:
    """Refuse the one character that PostgreSQL cannot store, in any text and key."""
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        refuse_nul(key, path)
        refuse_nul(inner, (*path, str(key)))
    if isinstance(value, str) and "\0" in value:
        raise ValidationError({".".join(path) or "body": [_("NUL is not allowed in text.")]})


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValidationError({"body": [_("A number in the body has more than %d digits.") % MAX_DIGITS]})
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("This number is infinite.")
    return number
