"""Insert rows of any model by a statement that PostgreSQL keeps the plan of, the same for one row and for many.

Rows go as one JSON document for each model: Django would write the statement anew each time and send each column by
itself, which takes three times as long for a record of 25, and ten times as long for a thousand rows. No `save()` of
theirs is called, so that whatever a model works out there is up to the caller.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, TypeVar

import orjson
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DEFAULT_DB_ALIAS, connection, models
from django.db.models.base import ModelState

from profiles import reading

M = TypeVar("M", bound=models.Model)

# Values of these go as text, exact to their last digit; JSON writes the others as their columns want them.
AS_TEXT = (models.DateTimeField, models.DecimalField)

ENCODER = DjangoJSONEncoder()


def insert(rows: Sequence[models.Model], *, places: Sequence[int] | None = None, asking: str = "NULL") -> Any:
    """Insert these unsaved rows of one model, and give them the keys that the database counts, in their order.

    They are written in that order too, unless their `places` say another: writers that may meet at a unique
    constraint must go in one order, whatever order their keys are to have. Must run in a transaction. Returns what
    the expression `asking` gives on the way, which may ask another table without a statement of its own.
    """
    return _insert_rows(rows, places, asking)[0][1] if rows else None


def insert_telling(rows: Sequence[M], asked: str, *, places: Sequence[int] | None = None) -> list[M]:
    """As `insert`, and the same statement tells of which rows something is true. Returns these.

    In: an SQL expression over a row of the table, by the table's own name. It sees what was there before.
    """
    answers = _insert_rows(rows, places, asked) if rows else []
    return [row for row, (_pk, is_so) in zip(rows, answers, strict=True) if is_so]


def _insert_rows(rows: Sequence[models.Model], places: Sequence[int] | None, asking: str) -> list[tuple[Any, Any]]:
    """Insert these rows. Returns the key and the answer of each, in their order."""
    model = type(rows[0])
    made: list[tuple[Any, Any]] = reading.once(_insert(model, asking), [document(rows, places)])
    if _is_counted(model):
        made.sort(key=itemgetter(0))
    for row, (pk, _answer) in zip(rows, made, strict=True):
        _keep(row, pk if _is_counted(model) else row.pk)
    return made


def insert_with(
    row: models.Model, parts: Mapping[str, Sequence[models.Model]], *, asking: str = "NULL"
) -> tuple[bool, Any]:
    """Insert an unsaved row, and rows of other models that have its key in a column of theirs, in one statement.

    In: the rows of each other model by the name of that column; keys of their own they do not get. Returns whether
    it has been inserted: not, when there is a row already that it must not be the same as; and what the expression
    `asking` gives, as `insert` does. Must run in a transaction.
    """
    used = {column: rows for column, rows in parts.items() if rows}
    sql = _insert_with(type(row), tuple((column, type(rows[0])) for column, rows in used.items()), asking)
    made = reading.once(sql, [document([row]), *map(document, used.values())])
    for pk, answer in made:
        _keep(row, pk)
        return True, answer
    return False, None


def unsaved(model: type[M], **values: Any) -> M:
    """An unsaved row with these values in its columns, as `model(**values)` makes it, in a tenth of the time.

    In: the attributes of columns, such as `handle_id`; anything else is a TypeError. What Django does for each keyword
    is most of what it takes to make a row, and rows come by the thousand; so it is made as one that is unpickled.
    """
    constant, computed = _defaults(model)
    if not values.keys() <= constant.keys():
        raise TypeError(f"{model.__name__} has no column {', '.join(values.keys() - constant.keys())}")
    row = model.__new__(model)
    row._state = ModelState()
    row.__dict__.update(constant)
    row.__dict__.update(values)
    for name, compute in computed:
        if name not in values:
            row.__dict__[name] = compute()
    return row


@cache
def _defaults(model: type[models.Model]) -> tuple[dict[str, Any], list[tuple[str, Callable[[], Any]]]]:
    """What columns get that are not named, in the order of the fields, and what computes it for each row anew."""
    fields = model._meta.concrete_fields
    computed = [(field.attname, field.default) for field in fields if field.has_default() and callable(field.default)]
    return {field.attname: field.get_default() for field in fields}, computed


def _keep(row: models.Model, pk: Any) -> None:
    row.pk = pk
    row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS


def document(rows: Sequence[models.Model], places: Sequence[int] | None = None) -> str:
    """The rows as JSON: for each its place, and what its columns get, as `given` reads them."""
    placed = zip(range(len(rows)) if places is None else places, rows, strict=True)
    return json_of([[place, *_written(row)] for place, row in placed])


def json_of(value: Any) -> str:
    """Anything as JSON."""
    try:
        # A time inside of free JSON is written as Django does it.
        return orjson.dumps(value, ENCODER.default, orjson.OPT_PASSTHROUGH_DATETIME).decode()
    except orjson.JSONEncodeError:
        # Most likely an integer of more than 64 bits in it.
        return json.dumps(value, cls=DjangoJSONEncoder)


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are the same in JSON, where 1 is not true, and the order of keys says nothing."""
    return one == other and json.dumps(one, cls=DjangoJSONEncoder, sort_keys=True) == json.dumps(
        other, cls=DjangoJSONEncoder, sort_keys=True
    )


def _written(row: models.Model) -> list[Any]:
    values = row.__dict__
    return [
        str(values[name]) if is_text and values[name] is not None else values[name]
        for _column, name, is_text in _fields(type(row))
    ]


@cache
def _fields(model: type[models.Model]) -> list[tuple[str, str, bool]]:
    """Each field's column, its attribute, and whether it goes as text. A key that the database counts is left out."""
    return [
        (str(field.column), field.attname, isinstance(field, AS_TEXT))
        for field in model._meta.local_concrete_fields
        if not isinstance(field, models.AutoField)
    ]


# ruff: noqa: S608 - the statements below are put together from names of our own


@cache
def _insert(model: type[models.Model], asking: str) -> str:
    columns = ", ".join(f'"{column}"' for column, _name, _is_text in _fields(model))
    key = counted = ""
    if _is_counted(model):
        # In a query of its own it is found once and not for each row.
        sequence = f"(SELECT pg_get_serial_sequence('{model._meta.db_table}', '{model._meta.pk.column}')::regclass)"
        key, counted = f"{_key(model)}, ", f"nextval({sequence}) AS {_key(model)}, "
    return f"""
        INSERT INTO {_table(model)} ({key}{columns})
        SELECT {key}{columns} FROM (SELECT {counted}given.* FROM {given(model)}) AS given
        ORDER BY place
        RETURNING {_key(model)}, {asking}
    """


@cache
def _is_counted(model: type[models.Model]) -> bool:
    return isinstance(model._meta.pk, models.AutoField)


@cache
def _insert_with(model: type[models.Model], parts: tuple[tuple[str, type[models.Model]], ...], asking: str) -> str:
    columns = ", ".join(f'"{column}"' for column, _name, _is_text in _fields(model))
    return f"""
        WITH made (key) AS (
            INSERT INTO {_table(model)} ({columns}) SELECT {columns} FROM {given(model)}
            ON CONFLICT DO NOTHING RETURNING {_key(model)}
        )
        {"".join(_part(number, *part) for number, part in enumerate(parts))}
        SELECT key, {asking} FROM made
    """


def _part(number: int, its_key: str, model: type[models.Model]) -> str:
    columns = [column for column, _name, _is_text in _fields(model)]
    values = ", ".join("made.key" if column == its_key else f'given."{column}"' for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    return f"""
        , part_{number} AS (
            INSERT INTO {_table(model)} ({names}) SELECT {values} FROM made, {given(model)}
        )
    """


def _table(model: type[models.Model]) -> str:
    return f'"{model._meta.db_table}"'


def _key(model: type[models.Model]) -> str:
    return f'"{model._meta.pk.column}"'


def given(model: type[models.Model]) -> str:
    """The rows of a document, by the names of the columns. Read by position, which takes half the time of names."""
    fields = [field for field in model._meta.local_concrete_fields if not isinstance(field, models.AutoField)]
    values = ", ".join(f'{_value(field, position)} AS "{field.column}"' for position, field in enumerate(fields, 1))
    return f"""
        (SELECT (value ->> 0)::int AS place, {values} FROM jsonb_array_elements(%s::jsonb) AS sent (value)) AS given
    """


def _value(field: models.Field[Any, Any], position: int) -> str:
    """What a column gets of the JSON of a row."""
    kind = field.db_type(connection) or ""
    if kind == "jsonb":
        return f"nullif(value -> {position}, 'null')"
    if kind.endswith("[]"):
        return f"ARRAY(SELECT jsonb_array_elements_text(value -> {position}))"
    # Text that is too long for its column is refused when it is assigned; a cast would cut it.
    text = f"value ->> {position}"
    return text if kind.startswith("varchar") or kind == "text" else f"({text})::{kind}"
