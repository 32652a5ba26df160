"""Statements that are read often enough for PostgreSQL to keep their plans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from django.db import OperationalError, connection
from django.db.backends.utils import CursorWrapper


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


def _rows(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    with _cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())


def _cursor() -> CursorWrapper:
    if connection.queries_logged:
        # Whoever looks at statements wants to see them with their parameters.
        return connection.cursor()
    connection.ensure_connection()
    return connection.make_cursor(PreparedCursor(connection.connection))  # type: ignore[arg-type]
