"""The envelope of a paged list, as Laravel's paginator writes it (API.md 1), at a bounded cost."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from omneo_identity.api.cursors import CURSOR, Order

if TYPE_CHECKING:
    # At run time REST framework's views import this module, as one of their defaults.
    from rest_framework.views import APIView

NUMBER = "page[number]"
SIZE = "page[size]"

DEFAULT_SIZE = 15
MAX_SIZE = 200
MAX_NUMBER = 10**9

# Up to here the total is counted; past it, it is the planner's estimate.
COUNTED = 10_000

# Page links on each side of the current one, and how near to an end makes that end one run of links with it.
EACH_SIDE = 3
NEAR = EACH_SIDE + 4

EXAMPLE_URL = "https://crm.example.com/api/v3/identities"
URL_SCHEMA = {"type": ["string", "null"]}
# The objects stand inside `allOf`, since of a plain one drf-spectacular composes the example from each property's.
LINKS_SCHEMA = {
    "allOf": [
        {
            "type": "object",
            "required": ["first", "last", "prev", "next"],
            "properties": dict.fromkeys(("first", "last", "prev", "next"), URL_SCHEMA),
        }
    ],
    "example": {
        "first": f"{EXAMPLE_URL}?page%5Bnumber%5D=1",
        "last": f"{EXAMPLE_URL}?page%5Bnumber%5D=1",
        "prev": None,
        "next": None,
    },
}
META_SCHEMA = {
    "allOf": [
        {
            "type": "object",
            "required": [
                "current_page",
                "from",
                "last_page",
                "links",
                "next_cursor",
                "path",
                "per_page",
                "to",
                "total",
            ],
            "properties": {
                "current_page": {"type": ["integer", "null"], "description": "Null with `page[cursor]`."},
                "from": {"type": ["integer", "null"]},
                "last_page": {"type": ["integer", "null"], "description": "Null with `page[cursor]`."},
                "links": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["url", "label", "active"],
                        "properties": {
                            "url": URL_SCHEMA,
                            "label": {"type": "string"},
                            "active": {"type": "boolean"},
                        },
                    },
                },
                "next_cursor": {
                    "type": ["string", "null"],
                    "description": "`page[cursor]` of the page after this one; null on the last.",
                },
                "path": {"type": "string"},
                "per_page": {"type": "integer"},
                "to": {"type": ["integer", "null"]},
                "total": {"type": ["integer", "null"], "description": "Null with `page[cursor]`."},
                "total_is_estimate": {
                    "type": "boolean",
                    "description": "Present and true when `total` is not exact.",
                },
            },
        }
    ],
    "example": {
        "current_page": 1,
        "from": 1,
        "last_page": 1,
        "links": [
            {"url": None, "label": "&laquo; Previous", "active": False},
            {"url": f"{EXAMPLE_URL}?page%5Bnumber%5D=1", "label": "1", "active": True},
            {"url": None, "label": "Next &raquo;", "active": False},
        ],
        "next_cursor": None,
        "path": EXAMPLE_URL,
        "per_page": DEFAULT_SIZE,
        "to": 1,
        "total": 1,
    },
}


class PageEnvelope(BasePagination):
    """Page a query set, of rows or of keys alone, and wrap what the view made of the page.

    By number a page counts what is before it, so that the last pages of a big table are slow. By cursor each costs the
    same: the filter backend lets the query set begin there, and nothing is counted.
    """

    request: Request
    size: int
    # None for a page by cursor, which knows no number, and of which nothing else was counted.
    number: int | None
    total: int
    total_is_estimate: bool
    next_cursor: str | None

    def paginate_queryset(  # type: ignore[override]  # Only a query set can be counted with a bound.
        self, queryset: QuerySet[Any, Any], request: Request, view: APIView | None = None
    ) -> list[Any]:
        self.request = request
        self.number = _number(request)
        self.size = _integer(request, SIZE, default=DEFAULT_SIZE, largest=MAX_SIZE)
        self.next_cursor = None
        if self.number is None:
            rows, _is_last = self._read(queryset, 0)
            return rows
        # The keys alone: what a list tells besides of each row may cost a query for each. In the order of the list,
        # which an index has: in any order, the table itself may be read until there are enough rows of a kind, all of
        # which may stand at its end.
        keys = queryset.values("pk")
        self.total = keys[: COUNTED + 1].count()
        self.total_is_estimate = self.total > COUNTED
        rows = self._numbered(queryset, (self.number - 1) * self.size)
        # A search that is cut has more to find than there are rows to page through.
        self.total_is_estimate |= getattr(queryset, "is_cut", False)
        return rows

    def _numbered(self, queryset: QuerySet[Any, Any], start: int) -> list[Any]:
        if start >= self.total and not self.total_is_estimate:
            return []
        rows, is_last = self._read(queryset, start)
        if self.total_is_estimate:
            self._estimate(queryset, start, len(rows), is_last)
        return rows

    def _read(self, queryset: QuerySet[Any, Any], start: int) -> tuple[list[Any], bool]:
        """The rows of the page, and whether there is none behind them. It notes the cursor of the next page."""
        order = Order.of(queryset)
        are_keys = bool(queryset.query.values_select)
        # Keys alone do not tell where they stand; the last of the columns that do is the key.
        found = list((queryset.values_list(*order.names) if are_keys else queryset)[start : start + self.size + 1])
        rows, is_last = found[: self.size], len(found) <= self.size
        if not is_last:
            self.next_cursor = order.cursor(rows[-1] if are_keys else order.values(rows[-1]))
        return ([values[-1] for values in rows] if are_keys else rows), is_last

    def _estimate(self, queryset: QuerySet[Any, Any], start: int, found: int, is_last: bool) -> None:
        """Guess the total, but never against what this page saw: clients walk a list by its `next`."""
        (plan,) = json.loads(queryset.order_by().values("pk").explain(format="json"))
        guess = max(self.total, int(plan["Plan"]["Plan Rows"]))
        if not is_last:
            self.total = max(guess, start + found + 1)
        elif found:
            self.total, self.total_is_estimate = start + found, False
        else:
            self.total = max(self.total, min(guess, start))

    def get_paginated_response(self, data: Sequence[Any]) -> Response:
        links, meta = self._by_cursor() if self.number is None else self._by_number(self.number, len(data))
        path = self.request.build_absolute_uri(self.request.path)
        meta = {**meta, "next_cursor": self.next_cursor, "path": path, "per_page": self.size}
        return Response({"data": data, "links": links, "meta": meta})

    def _by_cursor(self) -> tuple[dict[str, Any], dict[str, Any]]:
        next_ = None if self.next_cursor is None else self._url(CURSOR, self.next_cursor)
        links = {"first": self._url(CURSOR, ""), "last": None, "prev": None, "next": next_}
        meta = dict.fromkeys(("current_page", "from", "last_page", "to", "total"))
        return links, {**meta, "links": []}

    def _by_number(self, number: int, found: int) -> tuple[dict[str, Any], dict[str, Any]]:
        start, last = (number - 1) * self.size, max(1, math.ceil(self.total / self.size))
        links = {
            "first": self._page(1),
            "last": self._page(last),
            "prev": self._page(number - 1) if number > 1 else None,
            "next": self._page(number + 1) if number < last else None,
        }
        meta = {
            "current_page": number,
            "from": start + 1 if found else None,
            "last_page": last,
            "links": [
                {"url": links["prev"], "label": "&laquo; Previous", "active": False},
                *(self._link(one, active=one == number) for one in _window(number, last)),
                {"url": links["next"], "label": "Next &raquo;", "active": False},
            ],
            "to": start + found if found else None,
            "total": self.total,
        }
        if self.total_is_estimate:
            meta["total_is_estimate"] = True
        return links, meta

    def _link(self, number: int | None, *, active: bool) -> dict[str, Any]:
        if number is None:
            return {"url": None, "label": "...", "active": False}
        return {"url": self._page(number), "label": str(number), "active": active}

    def _page(self, number: int) -> str:
        return self._url(NUMBER, str(number))

    def _url(self, name: str, value: str) -> str:
        query = self.request.query_params.copy()
        for one in (NUMBER, CURSOR):
            query.pop(one, None)
        query[name] = value
        return self.request.build_absolute_uri(f"{self.request.path}?{query.urlencode()}")

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["data", "links", "meta"],
            "properties": {"data": schema, "links": LINKS_SCHEMA, "meta": META_SCHEMA},
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        limits = ((NUMBER, 1, MAX_NUMBER), (SIZE, DEFAULT_SIZE, MAX_SIZE))
        return [
            *(
                {
                    "name": name,
                    "in": "query",
                    "required": False,
                    "schema": {"type": "integer", "minimum": 1, "maximum": largest, "default": default},
                }
                for name, default, largest in limits
            ),
            {
                "name": CURSOR,
                "in": "query",
                "required": False,
                "description": "Walk the list: empty at first, then `meta.next_cursor`. Not with `page[number]`.",
                "schema": {"type": "string"},
            },
        ]


def _number(request: Request) -> int | None:
    """The page's number, None when it is asked for by cursor."""
    if CURSOR not in request.query_params:
        return _integer(request, NUMBER, default=1, largest=MAX_NUMBER)
    if NUMBER in request.query_params:
        sentence = _("%(cursor)s and %(number)s cannot be given together.") % {"cursor": CURSOR, "number": NUMBER}
        raise ValidationError({CURSOR: [sentence]})
    return None


def _integer(request: Request, name: str, *, default: int, largest: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if re.fullmatch(r"[0-9]{1,10}", text) and 1 <= int(text) <= largest:
        return int(text)
    sentence = _("%(name)s must be a whole number from 1 to %(largest)d.") % {"name": name, "largest": largest}
    raise ValidationError({name: [sentence]})


def _window(current: int, last: int) -> Iterable[int | None]:
    """The page numbers to link, None for a gap, by the rules of Laravel's UrlWindow."""
    ends: tuple[list[int], list[int]] = ([1, 2], [last - 1, last])
    if last < EACH_SIDE * 2 + 8:
        return range(1, last + 1)
    if current <= NEAR:
        return [*range(1, NEAR + EACH_SIDE + 1), None, *ends[1]]
    if current > last - NEAR:
        return [*ends[0], None, *range(last - NEAR - EACH_SIDE + 1, last + 1)]
    return [*ends[0], None, *range(current - EACH_SIDE, current + EACH_SIDE + 1), None, *ends[1]]
