"""The worker in tests: in this process until the queue is empty, or real ones that can be killed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db import connection, connections
from django.db.models import Q
from django.db.models.functions import Now
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.periodic import PeriodicRegistry

from omneo_identity import worker

PATIENCE = 60


def work() -> None:
    """Do every job that is due, as the worker does them, each on a connection of its own."""

    async def run() -> None:
        own = worker.connected()
        own.periodic_registry = PeriodicRegistry()  # What the clock would add is not what a test is about.
        async with own.open_async():
            await own.run_worker_async(
                wait=False,
                concurrency=settings.WORKER_CONCURRENCY,
                listen_notify=False,
                install_signal_handlers=False,
                task_middleware=[_leave_no_connection],
            )

    # It ends when it finds none to begin with, also where one must only wait for another to end.
    due = Q(scheduled_at=None) | Q(scheduled_at__lte=Now())
    while ProcrastinateJob.objects.filter(due, status="todo").exists():
        asyncio.run(run())


def _leave_no_connection(call_next: Callable[[], Any], _context: Any, _worker: Any) -> Any:
    try:
        return call_next()
    finally:
        connections.close_all()


def jobs(task: str = "profiles.tasks.bring_in_batch") -> list[tuple[str, dict[str, Any]]]:
    """The status and the arguments of each job of a task, in their order."""
    return list(ProcrastinateJob.objects.filter(task_name=task).order_by("pk").values_list("status", "args"))


# A worker in a hurry: what takes seconds in earnest takes tenths of them.
HURRY = """
from omneo_identity import worker
from profiles.reacting import patience
patience.LEASE, patience.FIRST_GAP, patience.LONGEST_GAP = 1.0, 0.2, 1.0
patience.FIRST_LOOK, patience.LONGEST_LOOK = 0.2, 0.5
worker.HEARTBEAT, worker.DEAD, worker.LOOK, worker.POLL, worker.PAUSE = 0.2, 1.0, 0.4, 0.2, 0.1
worker.main()
"""


def environment() -> dict[str, str]:
    """What makes the database of the test that of another process of the product."""
    connection.ensure_connection()
    info = connection.connection.info
    parts = {"host": info.host, "port": str(info.port), "user": info.user, "password": info.password}
    url = f"postgresql:///{info.dbname}?{urlencode({name: part for name, part in parts.items() if part})}"
    return {**os.environ, "DJANGO_SETTINGS_MODULE": "omneo_identity.settings", "DATABASE_URL": url}


@contextmanager
def worker_process() -> Iterator[subprocess.Popen[bytes]]:
    """A real worker on the test's database. It is killed at the end, if it lives."""
    process = subprocess.Popen([sys.executable, "-c", HURRY], cwd=settings.BASE_DIR, env=environment())
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until(condition: Callable[[], Any], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "It has not come to pass."
        time.sleep(0.02)
