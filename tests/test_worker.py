"""The worker: real processes, real signals. What it does is done once, and nothing is left running."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
import uuid
from typing import Any

import psutil
import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import DataError, OperationalError, connection, transaction
from django.utils import timezone
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob, ProcrastinateWorker
from procrastinate.exceptions import JobAborted
from procrastinate.jobs import Job
from procrastinate.sql import queries

from identities import batching
from identities.models import Identity
from omneo_identity import worker
from profiles import tasks
from profiles.auditing import By
from profiles.models import Audit, Delivery, Event, Profile, ProfileBatch, Webhook
from tests.cast import add
from tests.deliveries import put
from tests.working import HURRY, PATIENCE, environment, jobs, wait_until, work, worker_process

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 300

# A process is one worker for deliveries, one for reactions and one for all else.
EACH = 3


def queue(count: int, by: By) -> ProfileBatch:
    """A batch of so many new profiles, each with one card."""
    return batching.queue(
        "loyalty-card",
        [
            {"first_name": f"Number {number}", "identities": [{"handle": "loyalty-card", "identifier": f"N{number}"}]}
            for number in range(count)
        ],
        by=by,
        source=None,
    )


def done(batch: ProfileBatch) -> int:
    return batch.rows.exclude(result="").count()


def status(batch: ProfileBatch) -> str:
    return ProfileBatch.objects.get(pk=batch.pk).status


def assert_done_once(batch: ProfileBatch, count: int) -> None:
    """Every profile is there once, was made once, and is the one that its row tells of."""
    assert list(batch.rows.values_list("result", flat=True).distinct().order_by("result")) == ["created"]
    assert Profile.objects.count() == Identity.objects.count() == count
    assert Audit.objects.filter(event="created", auditable_type="profile").count() == count
    named: dict[uuid.UUID | None, str] = {profile.pk: profile.first_name for profile in Profile.objects.all()}
    assert [named[row.profile_id] for row in batch.rows.all()] == [f"Number {number}" for number in range(count)]


def test_a_worker_that_is_killed_in_the_middle_of_a_batch_is_followed_by_one_that_does_the_rest(by: By) -> None:
    batch = queue(MANY, by)
    with worker_process() as killed:
        wait_until(lambda: done(batch) >= 20)
        killed.kill()
        assert killed.wait() == -signal.SIGKILL
    at_its_death = done(batch)
    assert 20 <= at_its_death < MANY
    assert [state for state, _arguments in jobs()] == ["doing"]

    with worker_process():
        wait_until(lambda: [state for state, _arguments in jobs()] == ["succeeded"])

    assert status(batch) == "finished"
    assert_done_once(batch, MANY)


@pytest.mark.slow
def test_a_worker_that_lives_takes_up_what_a_killed_one_has_left(by: By) -> None:
    batch = queue(MANY, by)
    with worker_process() as killed:
        wait_until(lambda: done(batch) >= 5)
        with worker_process() as living:
            wait_until(lambda: ProcrastinateWorker.objects.count() == 2 * EACH)
            killed.kill()
            killed.wait()
            assert done(batch) < MANY

            wait_until(lambda: status(batch) == "finished")
            assert living.poll() is None

    assert_done_once(batch, MANY)


@pytest.mark.slow
def test_sigterm_ends_a_worker_at_the_next_row_and_the_job_waits_for_another(by: By) -> None:
    batch = queue(MANY, by)
    with worker_process() as stopped:
        wait_until(lambda: done(batch) >= 5)
        stopped.terminate()
        assert stopped.wait(worker.GRACE) == 0
    assert done(batch) < MANY
    assert [state for state, _arguments in jobs()] == ["todo"]
    assert not ProcrastinateWorker.objects.exists()

    work()

    assert_done_once(batch, MANY)


def children() -> list[psutil.Process]:
    return [one for one in psutil.Process().children(recursive=True) if "omneo_identity.worker" in one.cmdline()]


def test_the_server_keeps_a_worker_and_leaves_none_behind(
    by: By, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(worker, "PAUSE", 0.1)
    caplog.set_level(logging.WARNING)

    with worker.running():
        wait_until(lambda: ProcrastinateWorker.objects.count() == EACH)
        (first,) = children()
        first.kill()

        wait_until(lambda: ProcrastinateWorker.objects.count() == 2 * EACH)
        (second,) = children()
        assert second.pid != first.pid
        batch = queue(3, by)
        wait_until(lambda: status(batch) == "finished")

    assert children() == []
    assert "The worker has ended (-9); another one is started." in caplog.text
    # This one has said goodbye; the first could not.
    assert ProcrastinateWorker.objects.count() == EACH


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_worker_dies_with_its_parent_however_that_ends(number: int) -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import time; from omneo_identity import worker\nwith worker.running(): time.sleep(99)",
        ],
        cwd=settings.BASE_DIR,
        env=environment(),
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: ProcrastinateWorker.objects.exists())
        (child,) = psutil.Process(parent.pid).children()
    finally:
        parent.send_signal(number)
        parent.wait()

    gone, left = psutil.wait_procs([child], PATIENCE)

    assert left == []


def test_a_worker_whose_parent_is_gone_before_it_has_begun_ends() -> None:
    process = subprocess.Popen([sys.executable, "-c", HURRY, "1"], cwd=settings.BASE_DIR, env=environment())

    assert process.wait(PATIENCE) in (0, -signal.SIGTERM)


@pytest.mark.slow
def test_a_worker_without_a_database_says_so_and_ends() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "omneo_identity.worker"],
        cwd=settings.BASE_DIR,
        env=environment() | {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert finished.returncode == 1
    assert finished.stderr.splitlines()[-1].startswith("The worker has lost its database")
    assert "Traceback" not in finished.stderr


def test_the_worker_has_a_connection_of_its_own_where_one_is_set(by: By) -> None:
    """As behind PgBouncer: what DATABASE_URL names is nothing to the worker."""
    variables = environment()
    own = variables["DATABASE_URL"]
    variables |= {"WORKER_DATABASE_URL": own, "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
    batch = queue(1, by)
    process = subprocess.Popen([sys.executable, "-c", HURRY], cwd=settings.BASE_DIR, env=variables)
    try:
        wait_until(lambda: status(batch) == "finished")
    finally:
        process.kill()
        process.wait()


def test_the_workers_lines_are_like_all_others_and_hold_nothing_of_anybody(by: By) -> None:
    batch = queue(1, by)
    process = subprocess.Popen(
        [sys.executable, "-c", HURRY],
        cwd=settings.BASE_DIR,
        env=environment() | {"LOG_LEVEL": "INFO"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: status(batch) == "finished")
    finally:
        process.terminate()
        _out, lines = process.communicate(timeout=PATIENCE)

    assert f" INFO - procrastinate.worker.worker: Starting job profiles.tasks.bring_in_batch[{job_id()}]" in lines
    assert str(batch.pk) in lines
    assert "Number" not in lines
    assert all(" - " in line for line in lines.splitlines()), lines


def job_id() -> int:
    return ProcrastinateJob.objects.get(task_name="profiles.tasks.bring_in_batch").pk


def test_what_a_job_enqueues_is_of_its_transaction_in_a_worker_too(operator: User) -> None:
    """The worker's own connection must not be the one that tasks enqueue by."""

    def enqueue(fail: bool) -> None:
        with transaction.atomic():
            app.configure_task("profiles.tasks.forget_expired").defer(timestamp=int(fail))
            if fail:
                raise ZeroDivisionError

    app.task(name="tests.enqueue")(enqueue)
    try:
        for fail, enqueued in ((True, 0), (False, 1)):
            app.configure_task("tests.enqueue").defer(fail=fail)
            work()
            assert len(jobs("profiles.tasks.forget_expired")) == enqueued
    finally:
        del app.tasks["tests.enqueue"]


def test_reactions_do_not_wait_for_batches_and_leave_no_jobs_behind(ada: Profile, by: By) -> None:
    for _number in range(2 * settings.WORKER_CONCURRENCY):
        queue(1, by)
    with transaction.atomic():
        Webhook.objects.create(trigger="identity.created", url="http://127.0.0.1:1/", user=by.user)
        add(ada, "pos:1", by=by)
    assert [status for status, _arguments in jobs("profiles.tasks.react")] == ["todo"]

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE profiles_profilebatch")
        with worker_process():
            wait_until(lambda: Event.objects.get().taken_up_at and not jobs("profiles.tasks.react"))
            waiting = [status for status, _arguments in jobs()]

    assert "succeeded" not in waiting


def test_a_worker_that_has_lost_its_connections_while_idle_still_finds_what_is_due(ada: Profile, by: By) -> None:
    """A proxy or a firewall drops what is idle, and no job comes along that would notice."""
    made = put(ada, "http://127.0.0.1:1/", by)
    ProcrastinateJob.objects.all().delete()
    Delivery.objects.update(next_try_at=None)
    with worker_process() as process:
        wait_until(lambda: others("query LIKE '%profiles_target%'"))
        others("query LIKE '%profiles_target%'", "pg_terminate_backend(pid)")

        Delivery.objects.update(next_try_at=timezone.now())

        wait_until(lambda: Delivery.objects.get(pk=made.pk).tries, seconds=20)
        assert process.poll() is None


def others(condition: str, column: str = "pid") -> list[tuple[Any]]:
    """Of the other connections to this database that are so."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH other AS MATERIALIZED (
                SELECT * FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
            )
            SELECT {column} FROM other WHERE {condition}
            """  # noqa: S608 - of this module
        )
        return list(cursor.fetchall())


# Trying again


@pytest.mark.parametrize(
    ("attempts", "error", "seconds"),
    [
        (0, ZeroDivisionError(), 10),
        (1, ZeroDivisionError(), 60),
        (3, ZeroDivisionError(), 900),
        (4, ZeroDivisionError(), None),
        (4, OperationalError(), 900),
        (40, OperationalError(), 900),
        (40, JobAborted(), 0),
    ],
)
def test_a_job_that_has_failed_is_tried_again_ever_later(attempts: int, error: Exception, seconds: int | None) -> None:
    job = Job(
        id=1,
        queue="profiles",
        lock=None,
        queueing_lock=None,
        task_name="profiles.tasks.bring_in_batch",
        attempts=attempts,
    )

    decision = tasks.Patience().get_retry_decision(exception=error, job=job)

    if seconds is None:
        assert decision is None
        return
    assert decision is not None
    assert decision.retry_at is not None
    assert abs(decision.retry_at.timestamp() - time.time() - seconds) < 5


def test_a_batch_that_met_a_fault_is_finished_by_a_later_try(by: By, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = queue(3, by)
    read, tries = tasks.read, []

    def fails_once(payload: Any) -> Any:
        tries.append(payload)
        if len(tries) == 2:
            raise ZeroDivisionError
        return read(payload)

    monkeypatch.setattr(tasks, "read", fails_once)
    work()
    assert [state for state, _arguments in jobs()] == ["todo"]
    assert (done(batch), status(batch)) == (1, "running")

    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET scheduled_at = now()")
    work()

    assert [state for state, _arguments in jobs()] == ["succeeded"]
    assert_done_once(batch, 3)


def test_a_row_that_can_only_fail_holds_up_neither_its_batch_nor_the_next(
    by: By, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, next_one = queue(3, by), queue(1, by)
    read, tries = tasks.read, []

    def fails_for_one(payload: Any) -> Any:
        tries.append(payload)
        if payload["first_name"] == "Number 1":
            raise DataError("value too long")
        return read(payload)

    monkeypatch.setattr(tasks, "read", fails_for_one)
    work()

    assert (status(batch), status(next_one)) == ("finished", "finished")
    assert list(batch.rows.order_by("position").values_list("result", "code")) == [
        ("created", ""),
        ("error", "server_error"),
        ("created", ""),
    ]


# By the clock


@pytest.mark.parametrize("counted", ["never", "when it was empty", "when they had come"])
def test_to_take_the_next_job_looks_at_each_of_many_that_wait_once_at_most(counted: str) -> None:
    """Whatever is believed of the queue, and also by a plan that was made when there was nothing in it."""
    many = 3_000
    connection.close()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id")
        (worker_id,) = cursor.fetchone()
        fetch = {"queues": ["reactions"], "worker_id": worker_id}
        if counted == "when it was empty":
            cursor.execute("ANALYZE procrastinate_jobs")
        for _time in range(10):
            cursor.execute(queries["fetch_job"], fetch)
            assert cursor.fetchone()[0] is None
        cursor.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, lock)"
            " SELECT 'reactions', 'profiles.tasks.react', 'events/' || number %% 1000"
            " FROM generate_series(1, %s) AS number",
            [many],
        )
        if counted == "when they had come":
            cursor.execute("ANALYZE procrastinate_jobs")
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {queries['fetch_job']}", fetch)
        ((plan,),) = cursor.fetchone()
        cursor.execute("SELECT id - min(id) OVER () FROM procrastinate_jobs WHERE status = 'doing'")
        assert cursor.fetchall() == [(0,)]
        transaction.set_rollback(True)

    pages = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
    # Read from the table and from two indexes.
    assert pages < 3 * many


def test_the_other_jobs_of_a_lock_are_found_by_an_index_that_it_leads() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, lock)"
            " SELECT 'reactions', 'profiles.tasks.react', 'events/' || number FROM generate_series(1, 3000) AS number"
        )
        cursor.execute("ANALYZE procrastinate_jobs")
        cursor.execute(
            "EXPLAIN SELECT id, priority FROM procrastinate_jobs"
            " WHERE lock = 'events/7' AND (status = 'doing' OR status = 'todo')"
        )
        plan = "".join(line for (line,) in cursor.fetchall())
        transaction.set_rollback(True)

    assert "procrastinate_jobs_by_lock" in plan


def test_what_is_done_by_the_clock_is_known_to_the_worker() -> None:
    known = {task.task.name: task.cron for task in app.periodic_registry.periodic_tasks.values()}

    assert known == {
        "profiles.tasks.forget_jobs": "17 * * * *",
        "profiles.tasks.forget_expired": "37 * * * *",
        "profiles.tasks.give_up": "47 * * * *",
    }


def test_jobs_that_are_over_are_deleted_when_nobody_asks_for_them_any_more(by: By) -> None:
    def job(state: str, hours: int) -> int:
        pk: int = app.configure_task("profiles.tasks.bring_in_batch").defer(batch_id=str(hours))
        with connection.cursor() as cursor:
            for step in ["doing", *([] if state == "doing" else [state])]:
                cursor.execute("UPDATE procrastinate_jobs SET status = %s WHERE id = %s", [step, pk])
            cursor.execute(
                "UPDATE procrastinate_events SET at = now() - make_interval(hours => %s) WHERE job_id = %s",
                [hours, pk],
            )
        return pk

    kept = [job("succeeded", 23), job("failed", 25), job("failed", 29 * 24), job("doing", 99 * 24)]
    over = [job("succeeded", 25), job("failed", 31 * 24), job("aborted", 31 * 24)]
    asked = app.configure_task("profiles.tasks.forget_jobs").defer(timestamp=0)

    work()

    left = set(ProcrastinateJob.objects.values_list("pk", flat=True))
    assert left == {*kept, asked}
    assert not left & set(over)


def test_what_is_kept_for_a_time_is_forgotten_by_the_clock(by: By) -> None:
    batch = queue(1, by)
    ProfileBatch.objects.filter(pk=batch.pk).update(created_at="2020-01-01T00:00Z")
    app.configure_task("profiles.tasks.forget_expired").defer(timestamp=0)

    work()

    assert not ProfileBatch.objects.exists()


def test_the_queues_own_pages_are_not_in_the_admin() -> None:
    assert not admin.site.is_registered(ProcrastinateJob)


def test_no_extension_of_the_database_is_needed() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT extname FROM pg_extension")
        assert [name for (name,) in cursor.fetchall()] == ["plpgsql"]
