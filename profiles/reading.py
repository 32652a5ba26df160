"""Statements that are read often enough for PostgreSQL to keep their plans, and the JSON that they answer with."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, TypeVar
from weakref import WeakSet

import orjson
import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.base import ModelState
from psycopg.types.datetime import TimestamptzLoader

M = TypeVar("M", bound=models.Model)

LONG_NUMBER = re.compile(r"\d{19,}")


class PreparedCursor(psycopg.Cursor[Any]):
    """Sends parameters apart from the statement, and has the statement prepared the first time.

    Django's own cursor writes them into its text, so that PostgreSQL plans each anew: for the document of a profile
    that takes ten times as long as finding it. With PREPARE off it prepares nothing.
    """

    def execute(self, query: Any, params: Any = None, **options: Any) -> PreparedCursor:
        if not settings.PREPARE:
            return super().execute(query, params, **options)
        # Only for this statement: while a connection may prepare, the driver keeps the last hundred texts that it has
        # sent for being prepared when they come again, and those of Django's cursors may have megabytes of values.
        self.connection.prepare_threshold = 0
        try:
            return super().execute(query, params, **options)
        finally:
            self.connection.prepare_threshold = None


def rows(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows of a statement that only reads. In: one of few texts, the same each time, and what it is asked with.

    A connection that the server has closed meanwhile is made anew and asked once more, instead of being asked whether
    it is well before each question.
    """
    try:
        return once(sql, parameters)
    except OperationalError:
        if connection.in_atomic_block or connection.is_usable():
            raise
        connection.close()
        return once(sql, parameters)


@contextlib.contextmanager
def one_moment() -> Iterator[None]:
    """Let all that is read meanwhile be as it was at one moment, however many statements that takes; nothing can be
    written. Inside of somebody's transaction it is read as that reads."""
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def instances(model: type[M], sql: str, parameters: Sequence[Any], only: tuple[str, ...] = ()) -> list[M]:
    """The rows of a statement as objects of this model. In: a text of which `columns` are what it asks for, all or
    `only` these; Django asks for another one, row by row, when somebody looks at it.

    As `raw()` gives them, which works out anew each time which column goes where, and takes longer for it than the
    statement itself.
    """
    return made(model, rows(sql, parameters), only)


def made(model: type[M], of: Iterable[Sequence[Any]], only: tuple[str, ...] = ()) -> list[M]:
    """Rows that are there already as objects of this model, as `instances` gives them."""
    names, conversions = _shape(model, only)
    found = []
    for row in of:
        # As unpickling makes them: the constructor asks each field for nothing, as all values are given.
        one = model.__new__(model)
        values = dict(zip(names, row, strict=True))
        for name, convert in conversions:
            values[name] = convert(values[name], None, connection)
        one.__dict__.update(values, _state=ModelState())
        one._state.adding, one._state.db = False, DEFAULT_DB_ALIAS
        found.append(one)
    return found


@cache
def columns(model: type[models.Model], of: str = "", only: tuple[str, ...] = ()) -> str:
    """All columns of a model for a statement, or `only` those of these attributes, in the order of its fields. In:
    what its table is called there."""
    prefix = f"{of}." if of else ""
    return ", ".join(f'{prefix}"{field.column}"' for field in _fields(model, only))


@cache
def parts(*joined: type[models.Model]) -> list[tuple[Any, list[str], slice]]:
    """The models of a statement that asks for all `columns` of each, one after the other: each with its attributes, as
    `from_db` takes them, and where they stand in the row."""
    found, start = [], 0
    for model in joined:
        names = [field.attname for field in model._meta.concrete_fields]
        found.append((model, names, slice(start, start + len(names))))
        start += len(names)
    return found


def _fields(model: type[models.Model], only: tuple[str, ...]) -> list[Any]:
    return [field for field in model._meta.concrete_fields if not only or field.attname in only]


@cache
def _shape(model: type[models.Model], only: tuple[str, ...]) -> tuple[list[str], list[tuple[str, Any]]]:
    """The attributes that the columns go to, and what makes them of what the driver gives, where anything does."""
    fields = _fields(model, only)
    conversions = [(field.attname, field.from_db_value) for field in fields if hasattr(field, "from_db_value")]
    return [field.attname for field in fields], conversions


class _Kept(threading.local):
    cursor: PreparedCursor | None = None


# A cursor remembers how to send and read what its statements are about, so that each thread keeps one.
_kept = _Kept()


def once(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows that a statement gives, asked once whatever happens: for one that writes, in a transaction."""
    parameters = [_array(one) if type(one) is list else one for one in parameters]
    database = connections[DEFAULT_DB_ALIAS]
    if database.queries_logged or database.execute_wrappers:
        # Whoever looks at statements wants to see them with their parameters.
        with database.cursor() as shown:
            shown.execute(sql, parameters)
            return list(shown.fetchall())
    # As Django's cursor does, without its steps in between, which take as long as the driver's own.
    database.ensure_connection()
    database.validate_no_broken_transaction()
    cursor = _kept.cursor
    if cursor is None or cursor.connection is not database.connection:
        cursor = _kept.cursor = PreparedCursor(database.connection)
        # Django's gives the same moment, ten times as slowly.
        cursor.adapters.register_loader("timestamptz", TimestamptzLoader)
    with database.wrap_database_errors:
        return cursor.execute(sql, parameters).fetchall()


def _array(values: list[Any]) -> str:
    """An array as PostgreSQL reads it. The driver would look at each value for its type, which the statement says."""
    if None not in values:
        # All at once, parted by what no text of the database can have.
        texts = "\0".join(map(str, values))
        if values and texts.count("\0") == len(values) - 1:
            texts = texts.replace("\\", "\\\\").replace('"', '\\"')
            return '{"' + texts.replace("\0", '","') + '"}'
    return f"{{{','.join(map(_element, values))}}}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def keep_plans(connection: BaseDatabaseWrapper, **signal: Any) -> None:
    """Have PostgreSQL plan a prepared statement once, for any values. To be told to each new connection.

    Left alone it plans one that asks for an array anew each time: by a value of few elements it looks cheaper than
    for any, and planning takes longer than running it. All that is prepared here asks by an index.
    """
    raw = connection.connection
    if raw in _keeping or not settings.PREPARE:
        return
    raw.execute("SET plan_cache_mode = force_generic_plan")
    # One out of a pool is new to Django each time.
    _keeping.add(raw)


_keeping: WeakSet[psycopg.Connection] = WeakSet()


def from_json(text: str) -> Any:
    """What this JSON of the database says, each integer exactly: free JSON may have any of up to 4,000 digits.

    orjson reads one of more than 64 bits as a float, and one of more than 308 digits not at all.
    """
    return json.loads(text) if LONG_NUMBER.search(text) else orjson.loads(text)
