"""`GET /api/health/ready`: for a balancer whether the database answers, for a monitor whether the worker keeps up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from omneo_identity import worker
from tests.killing import lose_the_connection
from tests.working import wait_until, worker_process

URL = "/api/health/ready"
HOUR = 3_600


@pytest.fixture
def here(db: None, client: Client) -> Client:
    return client


def answer(client: Client, **query: Any) -> tuple[int, str, float | None]:
    response = client.get(URL, query)
    body = response.json()
    assert set(body) == {"status", "worker_lag"}
    return response.status_code, body["status"], body["worker_lag"]


def worker_seen(seconds_ago: float) -> int:
    """A worker that has said so long ago that it lives."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - make_interval(secs => %s))"
            " RETURNING id",
            [seconds_ago],
        )
        return int(cursor.fetchone()[0])


def job(*, seconds_ago: float = 0, task: str = "profiles.tasks.forget_expired", **options: Any) -> int:
    """A job that was queued so long ago."""
    key = app.configure_task(task, **options).defer(timestamp=0)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE procrastinate_events SET at = at - make_interval(secs => %s) WHERE job_id = %s", [seconds_ago, key]
        )
    return int(key)


@pytest.fixture
def other(db: None) -> Iterator[str]:
    """A second task, which no clock queues."""
    app.task(name="tests.other")(lambda timestamp: None)
    yield "tests.other"
    del app.tasks["tests.other"]


@pytest.mark.parametrize("slash", ["", "/"])
def test_it_needs_no_token_and_one_statement(here: Client, slash: str, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        response = here.get(URL + slash, headers={"Authorization": "Bearer nonsense"})

    assert (response.status_code, response.json()) == (200, {"status": "ok", "worker_lag": None})


def test_a_worker_with_nothing_to_do_is_not_behind(here: Client) -> None:
    worker_seen(0)

    assert answer(here, max_lag=0) == (200, "ok", 0)


def test_no_worker_is_nothing_to_a_balancer_and_a_fault_to_a_monitor(here: Client) -> None:
    worker_seen(worker.DEAD + 1)

    assert answer(here) == (200, "ok", None)
    assert answer(here, max_lag=HOUR) == (503, "behind", None)


def test_the_lag_is_how_long_the_first_job_has_waited(here: Client, other: str) -> None:
    worker_seen(0)
    job(seconds_ago=HOUR)
    job(seconds_ago=1, task=other)

    status, word, lag = answer(here)

    assert (status, word) == (200, "ok")
    assert lag == pytest.approx(HOUR, abs=60)
    assert answer(here, max_lag=2 * HOUR)[:2] == (200, "ok")
    assert answer(here, max_lag=HOUR // 2)[:2] == (503, "behind")


def test_a_job_for_later_is_late_from_its_time_on(here: Client, other: str) -> None:
    worker_seen(0)
    job(seconds_ago=3 * HOUR, schedule_at=timezone.now() + timedelta(hours=1))
    assert answer(here) == (200, "ok", 0)

    job(seconds_ago=3 * HOUR, task=other, schedule_at=timezone.now() - timedelta(hours=1))

    assert answer(here)[2] == pytest.approx(HOUR, abs=60)


def test_a_job_that_is_tried_again_is_late_from_then_on(here: Client) -> None:
    worker_seen(0)
    key = job(seconds_ago=HOUR)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET status = 'doing' WHERE id = %s", [key])
        cursor.execute("SELECT procrastinate_retry_job_v2(%s, now(), NULL, NULL, NULL)", [key])

    lag = answer(here)[2]

    assert lag is not None
    assert lag < HOUR / 2


def test_a_job_that_waits_for_another_of_its_lock_is_not_late(here: Client, other: str) -> None:
    worker_seen(0)
    key = job(seconds_ago=2 * HOUR, lock="ada")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET status = 'doing' WHERE id = %s", [key])

    job(seconds_ago=HOUR, task=other, lock="ada")

    assert answer(here, max_lag=1) == (200, "ok", 0)


@pytest.mark.parametrize("text", ["-1", "soon", "1e9", "86401"])
def test_a_limit_that_is_none_is_refused(here: Client, text: str) -> None:
    response = here.get(URL, {"max_lag": text})

    assert (response.status_code, list(response.json()["errors"])) == (422, ["max_lag"])


@pytest.mark.django_db(transaction=True)
def test_a_real_worker_is_seen_and_catches_up(client: Client) -> None:
    key = job(seconds_ago=HOUR)
    assert answer(client)[2] is None

    with worker_process():
        wait_until(lambda: answer(client, max_lag=1) == (200, "ok", 0))

    # Of others a clock may just have queued one.
    assert not ProcrastinateJob.objects.filter(pk=key, status="todo").exists()


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_was_lost_meanwhile_is_made_anew(client: Client) -> None:
    assert answer(client) == (200, "ok", None)
    lose_the_connection()

    assert answer(client) == (200, "ok", None)


@pytest.mark.django_db(transaction=True)
def test_a_database_that_does_not_answer_is_503_for_everybody(client: Client, monkeypatch: Any) -> None:
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
    monkeypatch.setitem(connection.settings_dict, "PORT", "9")

    response = client.get(URL)

    assert response.status_code == 503
    assert set(response.json()) == {"message"}
    assert response.headers["Retry-After"]
    assert client.get("/api/health").status_code == 200


def test_a_balancer_that_asks_by_plain_http_is_answered(here: Client, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True

    assert here.get(URL).status_code == 200
    assert here.get("/api/health").status_code == 200
