"""The background worker: the jobs that requests have queued, and what is done by the clock (profiles/tasks.py).

The server keeps one beside it (`running`). `python -m omneo_identity.worker` is one by itself, for a machine that does
nothing else. Any number of them share the work.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django
import psycopg_pool
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, close_old_connections
from procrastinate import signals
from procrastinate.contrib.django import DjangoApp, app
from procrastinate.contrib.django.utils import connector_params
from procrastinate.exceptions import ConnectorException, UniqueViolation
from procrastinate.jobs import Status
from procrastinate.psycopg_connector import PsycopgConnector

from omneo_identity import database

logger = logging.getLogger(__name__)

# Seconds. A worker says that it lives; one that has not said so for long is dead, and its jobs are taken up again by
# whoever looks next. A job that is due without an announcement, as those are, is found within POLL.
HEARTBEAT = 5.0
DEAD = 20.0
LOOK = 5.0
POLL = 3.0
# Events are announced to nobody (`events.write`).
LOOK_FOR_EVENTS = 0.2

# The queues that have workers of their own, each with a job for each time that something happens: too many to keep
# those that are done.
DELIVERIES, REACTIONS = "deliveries", "reactions"

# What a job gets to come to an end after SIGTERM, and the worker in all before it is killed.
LAST_WORDS = 1.0
GRACE = 10.0

# Before a worker that has ended gets a successor.
PAUSE = 1.0

# How often a child asks whether its parent lives.
WATCH = 0.5


def main() -> None:
    if len(sys.argv) > 1:
        threading.Thread(target=die_with, args=(int(sys.argv[1]),), daemon=True).start()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "omneo_identity.settings")
    try:
        with database.ready():
            settings.DATABASES["default"] = settings.WORKER_DATABASE
            django.setup()
            asyncio.run(work())
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    except (ConnectorException, psycopg_pool.PoolTimeout) as error:
        sys.exit(f"The worker has lost its database: {error.__cause__ or error}")
    except KeyboardInterrupt:
        sys.exit(130)


async def work() -> None:
    """Do what is to be done until SIGINT or SIGTERM, which let each job come to a point where it can go on later.

    Deliveries, which mostly wait for somebody else's machine, have workers of their own, and so have reactions, which
    are to come soon, however many batches are waiting: all of them keep out of each other's way.
    """
    own = connected()
    # A thread for each job at a time, and one that looks for what is due.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_at_once() + 1))
    others = {task.queue for task in own.tasks.values()} - {DELIVERIES, REACTIONS}
    async with own.open_async():
        looking = [asyncio.create_task(_take_up_again(own)), asyncio.create_task(_rouse())]
        workers = [
            asyncio.create_task(_worker(own, others, settings.WORKER_CONCURRENCY)),
            asyncio.create_task(
                _worker(
                    own, {REACTIONS}, settings.REACTION_CONCURRENCY, poll=LOOK_FOR_EVENTS, delete_jobs="successful"
                )
            ),
            asyncio.create_task(_worker(own, {DELIVERIES}, settings.DELIVERY_CONCURRENCY, delete_jobs="successful")),
        ]

        stopping = asyncio.Event()
        with signals.on_stop(stopping.set):
            # One that ends has lost its database: so have the others. Without those who look, nothing would be tried
            # a second time, and nobody would notice.
            told = asyncio.create_task(stopping.wait())
            await asyncio.wait([*workers, *looking, told], return_when=asyncio.FIRST_COMPLETED)
        for one in [*workers, *looking, told]:
            # Once: a worker that is cancelled a second time leaves its jobs as they are.
            one.cancel()
        ended = await asyncio.gather(*workers, *looking, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error


def _at_once() -> int:
    """The jobs that a worker does at a time, of all queues."""
    return settings.WORKER_CONCURRENCY + settings.REACTION_CONCURRENCY + settings.DELIVERY_CONCURRENCY


async def _worker(
    own: DjangoApp, queues: Iterable[str], concurrency: int, *, poll: float = POLL, **options: Any
) -> None:
    await own.run_worker_async(
        queues=sorted(queues),
        concurrency=concurrency,
        fetch_job_polling_interval=poll,
        shutdown_graceful_timeout=LAST_WORDS,
        update_heartbeat_interval=HEARTBEAT,
        stalled_worker_timeout=DEAD,
        install_signal_handlers=False,
        **options,
    )


def connected() -> DjangoApp:
    """The worker's own view of the queue, on connections of its own, with the same tasks.

    Procrastinate's command would give `app` itself this connector. But what a task enqueues must go by Django's
    connection, as everywhere, so that it is of the transaction that the task is in.
    """
    # Beside the jobs' own connections: fetch, finish, heartbeat, for each of the three.
    most = _at_once() + 6
    own = DjangoApp(connector=PsycopgConnector(kwargs=connector_params(), min_size=1, max_size=most))
    own.tasks, own.periodic_registry = app.tasks, app.periodic_registry
    return own


async def _take_up_again(own: DjangoApp) -> None:
    """Put the jobs of dead workers back into the queue.

    Not a job itself, which would wait for a free worker. Where two workers look in the same moment, or one was only
    asleep, a job may be done twice at once: each must bear that.
    """
    while True:
        try:
            for job in await own.job_manager.get_stalled_jobs(seconds_since_heartbeat=DEAD):
                logger.warning("The worker of job %s is gone; it is taken up again.", job.call_string)
                try:
                    await own.job_manager.retry_job(job)
                except UniqueViolation:
                    # Another one of the same queueing lock waits already, and will do it.
                    await own.job_manager.finish_job(job, Status.FAILED, delete_job=True)
        except ConnectorException as error:
            # Somebody else was first, or the database is away, which ends the worker by its heartbeat.
            logger.info("Looking for jobs of dead workers failed: %s", error.__cause__ or error)
        await asyncio.sleep(random.uniform(LOOK / 2, LOOK))  # noqa: S311 - no two in step


async def _rouse() -> None:
    """Have sent what has come due, for which there is no job."""
    from profiles.reacting import sending

    def rouse() -> None:
        # As before a job: one that is dead would be asked again and again.
        close_old_connections()
        sending.rouse()

    while True:
        try:
            await asyncio.to_thread(rouse)
        except (DatabaseError, InterfaceError) as error:
            logger.info("Looking for what is due failed: %s", error)
        await asyncio.sleep(random.uniform(LOOK / 2, LOOK))  # noqa: S311 - no two in step


def die_with(parent: int) -> None:
    """End this process when its parent has ended, however that was; run it in a thread."""
    while os.getppid() == parent:
        time.sleep(WATCH)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)


@contextlib.contextmanager
def running() -> Iterator[None]:
    """Keep a worker as a child for the caller's time."""
    keeper = _Keeper()
    # The first one here and not in the thread: a server that forks meanwhile would hold its pipe open.
    keeper.begin()
    keeper.start()
    try:
        yield
    finally:
        keeper.stop()


class _Keeper(threading.Thread):
    """Starts a worker, and another one whenever it has ended."""

    def __init__(self) -> None:
        super().__init__(name="keeper of the worker", daemon=True)
        self.ending = threading.Event()
        self.lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        with self.lock:
            if self.ending.is_set():
                return
            # In a session of its own: Ctrl-C is for the parent, which stops it when the server has let go.
            self.process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "omneo_identity.worker", str(os.getpid())],
                cwd=settings.BASE_DIR,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def run(self) -> None:
        while not self.ending.is_set():
            ended = self.process.wait() if self.process else None
            if self.ending.wait(PAUSE):
                return
            logger.warning("The worker has ended (%s); another one is started.", ended)
            try:
                self.begin()
            except OSError:
                logger.exception("No worker could be started.")

    def stop(self) -> None:
        """Let the worker come to an end, and see that it does."""
        self.ending.set()
        with self.lock:
            process = self.process
        if process is not None:
            process.terminate()
            self.join(GRACE)
            # Does nothing to one that has ended.
            process.kill()
        self.join()


if __name__ == "__main__":
    # By its name: an app that is made in the main module is none of the queue's business, and it says so.
    from omneo_identity import worker

    worker.main()
