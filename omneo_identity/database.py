"""DATABASE_URL, or the embedded PostgreSQL, which costs a newcomer nothing.

Being imported starts no server and writes no file: linters and type checkers import settings too.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

# Where the embedded server of this checkout keeps its data.
CLUSTER: Path = Path(__file__).resolve().parent.parent / ".data" / "postgres"

NAME = "omneo"
USER = "postgres"
PORT = 5432


def configuration(url: str, *, name: str = "DATABASE_URL") -> dict[str, Any]:
    """The entry of settings.DATABASES for this DATABASE_URL; without one, for the embedded server."""
    if url:
        try:
            parts = conninfo_to_dict(url)
            parts["dbname"]
        except (psycopg.ProgrammingError, KeyError):
            # The address holds a password, so it is not repeated.
            raise ImproperlyConfigured(
                f"{name} does not name a PostgreSQL database: write postgresql://USER:PASSWORD@HOST:PORT/NAME."
            ) from None
    else:
        parts = {"dbname": NAME, "user": USER, "host": str(CLUSTER), "port": PORT}
    # Whatever the server's default is: a stricter level would match pairs again by what it saw before the lock.
    options: dict[str, Any] = {"isolation_level": psycopg.IsolationLevel.READ_COMMITTED}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.pop("dbname"),
        "USER": parts.pop("user", ""),
        "PASSWORD": parts.pop("password", ""),
        "HOST": parts.pop("host", ""),
        "PORT": str(parts.pop("port", "")),
        "OPTIONS": {**options, **parts},
        # PgBouncer in transaction mode gives the next FETCH to another connection, which has no such cursor.
        "DISABLE_SERVER_SIDE_CURSORS": True,
        # The tests' database is copied from the embedded one, for its locale (see `_create_database`).
        "TEST": {} if url else {"TEMPLATE": NAME},
    }


def url(host: str) -> str:
    """The DATABASE_URL of an embedded server, for processes that are handed it."""
    parts = {"host": host, "port": PORT, "user": USER}
    return f"postgresql:///{NAME}?{urlencode(parts, quote_via=quote)}"


@contextlib.contextmanager
def ready() -> Iterator[None]:
    """Have this process's database up: the embedded server is started or joined, any other is somebody else's."""
    if not settings.EMBEDDED:
        yield
        return
    with running(CLUSTER) as host:
        settings.DATABASES["default"]["HOST"] = host
        yield


@contextlib.contextmanager
def throwaway(*options: str) -> Iterator[None]:
    """Put this process on an embedded server of its own, which is deleted at the end. It need not survive a crash."""
    careless = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200")
    with (
        tempfile.TemporaryDirectory(prefix="omneo-") as folder,
        running(Path(folder).resolve() / "postgres", *careless, *options) as host,
    ):
        settings.DATABASES["default"]["HOST"] = host
        yield


@contextlib.contextmanager
def running(cluster: Path, *options: str) -> Iterator[str]:
    """Run the embedded server of this folder for the caller's time, on a platform that has one."""
    try:
        from omneo_identity import embedded
    except ImportError:
        raise ImproperlyConfigured(
            "There is no embedded PostgreSQL for this platform: set DATABASE_URL to a PostgreSQL database."
        ) from None
    with embedded.running(cluster, *options) as host:
        yield host
