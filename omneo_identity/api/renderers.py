"""JSON out, whatever the client says that it accepts."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import orjson
from django.http import HttpRequest
from django.utils.functional import Promise
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from omneo_identity.api.instants import instant_text

LARGEST = 2**64 - 1
SMALLEST = -(2**63)


def dumps(data: Any) -> bytes:
    """The JSON of plain data, with `orjson.Fragment` anywhere for text that is JSON already."""
    try:
        return orjson.dumps(data, _plain, orjson.OPT_PASSTHROUGH_DATETIME)
    except orjson.JSONEncodeError:
        # Most likely an integer of more than 64 bits in free JSON that a client stored: it goes back as it came.
        return orjson.dumps(_exact(data), _plain, orjson.OPT_PASSTHROUGH_DATETIME)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return instant_text(value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    if isinstance(value, Promise):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _exact(value: Any) -> Any:
    if isinstance(value, int) and not SMALLEST <= value <= LARGEST:
        return orjson.Fragment(str(value))
    if isinstance(value, Mapping):
        return {key: _exact(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_exact(item) for item in value]
    return value


class ORJSONRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        return b"" if data is None else dumps(data)


class AlwaysJSON(BaseContentNegotiation):
    """The view's first parser and renderer, always: a wrong Accept, Content-Type or `?format=` refuses nobody."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        return next(iter(parsers))

    def select_renderer(
        self, request: Request | HttpRequest, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type
