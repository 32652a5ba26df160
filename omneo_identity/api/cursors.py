"""`page[cursor]`: a place in a list by the values of the row before it, not by a count of rows (API.md 1).

The next page begins behind these values, so that it costs the same at any depth, and whoever walks a list meets each
row once whatever is inserted or deleted meanwhile.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import orjson
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import F, Field, Model, Q, QuerySet
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThan, TupleLessThan
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

CURSOR = "page[cursor]"

Values = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Column:
    field: Field[Any, Any]
    descending: bool

    @property
    def name(self) -> str:
        return self.field.attname

    def __str__(self) -> str:
        return f"-{self.name}" if self.descending else self.name


@dataclass(frozen=True, slots=True)
class Order:
    """The columns that a list is sorted by, its key the last of them."""

    model: type[Model]
    columns: tuple[Column, ...]

    @classmethod
    def of(cls, queryset: QuerySet[Any, Any]) -> Self:
        """Read it off a query set, which must be ordered by columns of its own model and by its key at last."""
        meta = queryset.model._meta
        columns: dict[str, Column] = {}
        for name in map(str, queryset.query.order_by):
            bare = name.removeprefix("-")
            field = meta.pk if bare == "pk" else meta.get_field(bare)
            columns.setdefault(field.attname, Column(field, descending=bare != name))
            if field.primary_key:
                return cls(queryset.model, tuple(columns.values()))
        raise TypeError("Rows that nothing but their key tells apart need it in their order.")

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def values(self, row: Model) -> Values:
        return [getattr(row, name) for name in self.names]

    def cursor(self, values: Values) -> str:
        """The place behind a row with these values, as text that is opaque to clients."""
        told = [*self._told, [_text(value) for value in values]]
        return base64.urlsafe_b64encode(orjson.dumps(told)).rstrip(b"=").decode()

    def read(self, cursor: str) -> Values:
        """The values that a cursor of this very list and order was made of. Raises ValueError for any other text."""
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        told = orjson.loads(raw)
        if not isinstance(told, list) or told[:-1] != self._told:
            raise ValueError("It is of another list.")
        texts = told[-1]
        if not isinstance(texts, list):
            raise ValueError("It has no values.")
        return [_value(column.field, text) for column, text in zip(self.columns, texts, strict=True)]

    @property
    def _told(self) -> list[str]:
        return [self.model._meta.label_lower, ",".join(map(str, self.columns))]


def start(queryset: QuerySet[Any, Any], request: Request) -> QuerySet[Any, Any]:
    """Leave out what comes before the request's cursor, if it has one with something in it."""
    cursor = request.query_params.get(CURSOR)
    if not cursor:
        return queryset
    order = Order.of(queryset)
    try:
        values = order.read(cursor)
    except (ValueError, OverflowError, DjangoValidationError):
        message = _(
            "This is no cursor of this list in this order: take next_cursor from its answer, or leave it empty."
        )
        raise ValidationError({CURSOR: [message]}) from None
    return queryset.filter(_behind(order.columns, values))


def _behind(columns: Sequence[Column], values: Values) -> Any:
    """The condition on rows that come after one with these values."""
    column, value = columns[0], values[0]
    if len({one.descending for one in columns}) == 1 and not any(one.field.null for one in columns):
        # One comparison of all columns together, which the index over them answers from its place on, however many
        # rows share the first value.
        compare = TupleLessThan if column.descending else TupleGreaterThan
        return Q(compare(Tuple(*(F(one.name) for one in columns)), tuple(values)))
    found = _past(column, value) | (Q(**{column.name: value}) & _behind(columns[1:], values[1:]))
    if column.field.null:
        return found
    # Follows from the rest, but an index begins only where it is said without an "or".
    return Q(**{f"{column.name}__{'lte' if column.descending else 'gte'}": value}) & found


def _past(column: Column, value: Any) -> Q:
    """Whether a column alone puts a row behind. PostgreSQL sorts null after every value, or before if descending."""
    if value is None:
        return Q(**{f"{column.name}__isnull": False}) if column.descending else Q(pk__in=[])
    past = Q(**{f"{column.name}__{'lt' if column.descending else 'gt'}": value})
    return past | Q(**{f"{column.name}__isnull": True}) if column.field.null and not column.descending else past


def _text(value: Any) -> str | None:
    if isinstance(value, datetime.datetime):
        # To the microsecond, as the database has it.
        return value.astimezone(datetime.UTC).isoformat()
    return None if value is None else str(value)


def _value(field: Field[Any, Any], text: Any) -> Any:
    """A value from its text, and only from the one that `_text` writes: whatever the column could not have is refused.

    Raises ValueError, OverflowError, or Django's ValidationError.
    """
    if text is None and field.null:
        return None
    if not isinstance(text, str) or "\0" in text:
        raise ValueError("This is no text that a column has.")
    value = field.to_python(text)
    if _text(value) != text:
        raise ValueError("This is not as it was written.")
    field.run_validators(value)
    return value
