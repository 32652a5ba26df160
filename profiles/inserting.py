"""Insert rows of any model by a statement that PostgreSQL keeps the plan of, the same for one row and for many.

Rows go as one JSON document for each model, which the table's own row type reads: Django would write the statement
anew each time and send each column by itself, and for a record of 25 that takes three times as long. No `save()` of
theirs is called, so that whatever a model works out there is up to the caller.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import orjson
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DEFAULT_DB_ALIAS, models

from profiles import reading

# What JSON writes as the column wants it; everything else goes as text, such as an amount, exact to its last digit.
PLAIN = (str, int, bool, list, type(None))

ENCODER = DjangoJSONEncoder()


def insert(rows: Sequence[models.Model]) -> None:
    """Insert these unsaved rows of one model, in their order, and give them their keys. Must run in a transaction."""
    if not rows:
        return
    keys = reading.once(_insert(type(rows[0])), [_document(rows)])
    for row, (pk,) in zip(rows, keys, strict=True):
        _keep(row, pk)


def insert_with(row: models.Model, parts: Mapping[str, Sequence[models.Model]]) -> bool:
    """Insert an unsaved row, and rows of other models that have its key in a column of theirs, in one statement.

    In: the rows of each other model by the name of that column; keys of their own they do not get. Returns whether
    it has been inserted: not, when there is a row already that it must not be the same as. Must run in a transaction.
    """
    used = {column: rows for column, rows in parts.items() if rows}
    sql = _insert_with(type(row), tuple((column, type(rows[0])) for column, rows in used.items()))
    keys = reading.once(sql, [_document([row]), *map(_document, used.values())])
    for (pk,) in keys:
        _keep(row, pk)
    return bool(keys)


def _keep(row: models.Model, pk: Any) -> None:
    row.pk = pk
    row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS


def _document(rows: Sequence[models.Model]) -> str:
    written = [_written(row) for row in rows]
    try:
        # A time inside of free JSON is written as Django does it.
        return orjson.dumps(written, ENCODER.default, orjson.OPT_PASSTHROUGH_DATETIME).decode()
    except orjson.JSONEncodeError:
        # Most likely an integer of more than 64 bits in it.
        return json.dumps(written, cls=DjangoJSONEncoder)


def _written(row: models.Model) -> dict[str, Any]:
    values = row.__dict__
    written = {}
    for column, name, is_json in _fields(type(row)):
        value = values[name]
        written[column] = value if is_json or type(value) in PLAIN else str(value)
    return written


@cache
def _fields(model: type[models.Model]) -> list[tuple[str, str, bool]]:
    """Each field's column, its attribute, and whether it goes as JSON. A key that the database counts is left out."""
    return [
        (str(field.column), field.attname, isinstance(field, models.JSONField))
        for field in model._meta.local_concrete_fields
        if not isinstance(field, models.AutoField)
    ]


# ruff: noqa: S608 - the statements below are put together from names of our own


@cache
def _insert(model: type[models.Model]) -> str:
    columns = ", ".join(f'"{column}"' for column, _name, _is_json in _fields(model))
    return f"""
        INSERT INTO {_table(model)} ({columns}) SELECT {columns} FROM {_given(model)} RETURNING {_key(model)}
    """


@cache
def _insert_with(model: type[models.Model], parts: tuple[tuple[str, type[models.Model]], ...]) -> str:
    columns = ", ".join(f'"{column}"' for column, _name, _is_json in _fields(model))
    return f"""
        WITH made (key) AS (
            INSERT INTO {_table(model)} ({columns}) SELECT {columns} FROM {_given(model)}
            ON CONFLICT DO NOTHING RETURNING {_key(model)}
        )
        {"".join(_part(number, *part) for number, part in enumerate(parts))}
        SELECT key FROM made
    """


def _part(number: int, its_key: str, model: type[models.Model]) -> str:
    columns = [column for column, _name, _is_json in _fields(model)]
    given = ", ".join("made.key" if column == its_key else f'given."{column}"' for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    return f"""
        , part_{number} AS (
            INSERT INTO {_table(model)} ({names}) SELECT {given} FROM made, {_given(model)}
        )
    """


def _table(model: type[models.Model]) -> str:
    return f'"{model._meta.db_table}"'


def _key(model: type[models.Model]) -> str:
    return f'"{model._meta.pk.column}"'


def _given(model: type[models.Model]) -> str:
    return f"jsonb_populate_recordset(NULL::{_table(model)}, %s::jsonb) AS given"
