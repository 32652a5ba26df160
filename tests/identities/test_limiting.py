"""Limits of calls a minute: exact over all processes, and forgotten when their minute is over."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.db.models import F

from identities import limiting
from identities.limiting import Limit
from identities.models import CallCount
from profiles.tasks import FORGOTTEN
from tests.racing import at_once
from tests.working import environment

ADA = Limit("tested", ("ada",), 3)
BO = Limit("tested", ("bo",), 3)


def pass_by(seconds: float) -> None:
    """Let time go by, by making all that was counted so much older."""
    CallCount.objects.update(window_started_at=F("window_started_at") - datetime.timedelta(seconds=seconds))


def is_over(limit: Limit) -> bool:
    return limiting.count(limit) is not None


@pytest.mark.django_db
def test_a_limit_lets_so_many_calls_pass_in_a_minute_and_says_when_it_is_over() -> None:
    assert [is_over(ADA) for _ in range(3)] == [False] * 3

    seconds = limiting.count(ADA)

    assert seconds is not None and 0 < seconds <= 60
    assert not is_over(BO)
    assert not is_over(Limit("another", ADA.caller, 3))


@pytest.mark.django_db
def test_the_minute_begins_with_the_first_call_and_is_not_drawn_out_by_refused_ones() -> None:
    for _ in range(10):
        limiting.count(ADA)
    pass_by(59)

    assert is_over(ADA)
    pass_by(1)
    assert [is_over(ADA) for _ in range(4)] == [False, False, False, True]


@pytest.mark.django_db
def test_looking_whether_a_limit_is_reached_counts_nothing() -> None:
    assert [limiting.reached(ADA) for _ in range(5)] == [None] * 5
    assert not CallCount.objects.exists()

    for _ in range(3):
        assert limiting.reached(ADA) is None
        limiting.count(ADA)

    seconds = limiting.reached(ADA)
    assert seconds is not None and 0 < seconds <= 60
    pass_by(60)
    assert limiting.reached(ADA) is None


@pytest.mark.django_db
def test_a_limit_of_none_counts_nothing() -> None:
    free = Limit("tested", ("ada",), 0)

    assert (limiting.count(free), limiting.reached(free)) == (None, None)
    assert not CallCount.objects.exists()


@pytest.mark.django_db
def test_a_new_limit_holds_at_once() -> None:
    for _ in range(3):
        limiting.count(ADA)

    assert limiting.count(Limit("tested", ("ada",), 5)) is None
    assert limiting.count(Limit("tested", ("ada",), 2)) is not None


@pytest.mark.django_db
def test_whose_calls_they_were_cannot_be_read_or_tried_out(settings: Any) -> None:
    limiting.count(Limit("tested", ("203.0.113.7", "6432187489345"), 3))

    (kept,) = CallCount.objects.values()
    assert not any(part in str(kept) for part in ("203.0.113.7", "6432187489345", "tested"))
    before = ADA.key
    settings.SECRET_KEY = "another key" * 5
    assert before != ADA.key


@pytest.mark.django_db
def test_what_is_over_is_forgotten_by_the_clock_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiting, "BATCH", 2)
    for number in range(5):
        limiting.count(Limit("tested", (f"{number}",), 3))
    pass_by(60)
    limiting.count(ADA)

    assert limiting.forget_over in FORGOTTEN
    assert limiting.forget_over() == 5
    assert [row.key for row in CallCount.objects.all()] == [ADA.key]
    assert limiting.forget_over() == 0


@pytest.mark.django_db
def test_the_counts_are_not_written_twice() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relpersistence FROM pg_class WHERE oid = 'identities_callcount'::regclass")

        assert cursor.fetchone() == ("u",)


@pytest.mark.django_db(transaction=True)
def test_threads_that_call_at_once_are_counted_one_by_one() -> None:
    limit = Limit("tested", ("ada",), 5)

    met = at_once(*[lambda: is_over(limit) for _ in range(12)])

    assert not met.errors
    assert Counter(met) == {False: 5, True: 7}


CALLS = """
import json, sys
import django
django.setup()
from identities import limiting
limit = limiting.Limit("tested", ("ada",), 30)
print(json.dumps([limiting.count(limit) is not None for _ in range(20)]))
"""


@pytest.mark.django_db(transaction=True)
def test_processes_share_a_limit() -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CALLS],
            cwd=settings.BASE_DIR,
            env={**environment(), "DJANGO_SETTINGS_MODULE": "tests.settings"},
            stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]

    answers = [json.loads(process.communicate(timeout=60)[0]) for process in processes]

    assert Counter(is_refused for answer in answers for is_refused in answer) == {False: 30, True: 10}
    assert [len(answer) for answer in answers] == [20, 20]
