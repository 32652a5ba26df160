"""Statements that are read often enough for PostgreSQL to keep their plans."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar

import psycopg
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections, models
from django.db.backends.utils import CursorWrapper

M = TypeVar("M", bound=models.Model)


class PreparedCursor(psycopg.Cursor[Any]):
    """Sends parameters apart from the statement, and has the statement prepared the first time.

    Django's own cursor writes them into its text, so that PostgreSQL plans each anew: for the document of a profile
    that takes ten times as long as finding it. With PREPARE off it prepares nothing.
    """

    def execute(self, query: Any, params: Any = None, **options: Any) -> PreparedCursor:
        return super().execute(query, params, prepare=True, **options)


def rows(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows of a statement that only reads. In: one of few texts, the same each time, and what it is asked with.

    A connection that the server has closed meanwhile is made anew and asked once more, instead of being asked whether
    it is well before each question.
    """
    try:
        return _rows(sql, parameters)
    except OperationalError:
        if connection.in_atomic_block or connection.is_usable():
            raise
        connection.close()
        return _rows(sql, parameters)


def instances(model: type[M], sql: str, parameters: Sequence[Any]) -> list[M]:
    """The rows of a statement as objects of this model. In: a text of which `columns` are what it asks for.

    As `raw()` gives them, which works out anew each time which column goes where, and takes longer for it than the
    statement itself.
    """
    names, conversions = _shape(model)
    found = []
    for row in rows(sql, parameters):
        values = list(row)
        for position, convert in conversions:
            values[position] = convert(values[position], None, connection)
        found.append(model.from_db(connection.alias, names, values))
    return found


@cache
def columns(model: type[models.Model], of: str = "") -> str:
    """All columns of a model for a statement, in the order of its fields. In: what its table is called there."""
    prefix = f"{of}." if of else ""
    return ", ".join(f'{prefix}"{field.column}"' for field in model._meta.concrete_fields)


@cache
def _shape(model: type[models.Model]) -> tuple[list[str], list[tuple[int, Any]]]:
    """The attributes that the columns go to, and what makes them of what the driver gives, where anything does."""
    fields = model._meta.concrete_fields
    conversions = [
        (position, field.from_db_value) for position, field in enumerate(fields) if hasattr(field, "from_db_value")
    ]
    return [field.attname for field in fields], conversions


class _Kept(threading.local):
    cursor: PreparedCursor | None = None


# A cursor remembers how to send and read what its statements are about, so that each thread keeps one.
_kept = _Kept()


def _rows(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    database = connections[DEFAULT_DB_ALIAS]
    if database.queries_logged or database.execute_wrappers:
        with database.cursor() as shown:
            shown.execute(sql, parameters)
            return list(shown.fetchall())
    database.ensure_connection()
    cursor = _kept.cursor
    if cursor is None or cursor.connection is not database.connection:
        cursor = _kept.cursor = PreparedCursor(database.connection)
    with database.wrap_database_errors:
        return cursor.execute(sql, parameters).fetchall()


def prepared() -> CursorWrapper:
    """A cursor whose statements are prepared."""
    if connection.queries_logged:
        # Whoever looks at statements wants to see them with their parameters.
        return connection.cursor()
    connection.ensure_connection()
    return connection.make_cursor(PreparedCursor(connection.connection))  # type: ignore[arg-type]
