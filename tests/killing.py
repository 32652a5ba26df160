"""Processes of their own on the test's database, stopped in the middle of a write and killed there; and connections."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from django.conf import settings
from django.db import connection, connections

from tests.racing import somebody_waits
from tests.working import environment

PATIENCE = 30

LOCK = 8_045_021


@contextmanager
def stopped_at(table: str, event: str = "INSERT") -> Iterator[None]:
    """Let every insert into a table (or update of it) wait for as long as this block holds the lock."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql
                AS 'BEGIN PERFORM pg_advisory_xact_lock_shared({LOCK}); RETURN NEW; END';
            CREATE TRIGGER stop BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION stop();
            SELECT pg_advisory_lock({LOCK});
            SET lock_timeout = '10s';
            """
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_advisory_unlock({LOCK}); RESET lock_timeout")
            cursor.execute("DROP FUNCTION stop() CASCADE")


@contextmanager
def killed_at(table: str, script: str, *arguments: str, event: str = "INSERT") -> Iterator[None]:
    """Run a script in a process until it writes to a table, do what is in the block meanwhile, and kill it there.

    Its session is gone at the end, and what it had not committed with it.
    """
    before = other_sessions()
    with stopped_at(table, event):
        process = subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            cwd=settings.BASE_DIR,
            env={**environment(), "DJANGO_SETTINGS_MODULE": "tests.settings"},
            stderr=subprocess.PIPE,
        )
        try:
            wait_until(somebody_waits, process)
            yield
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
    wait_until(lambda: other_sessions() <= before)


def other_sessions() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes] | None = None) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process is None or process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def lose_the_connection() -> None:
    """What a restart of the server, or a firewall, does to a connection that is kept."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        ((pid,),) = cursor.fetchall()
    with psycopg.connect(**connections["default"].get_connection_params()) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])
