"""Killed at any step, by SIGKILL: what is committed arrives, what is not does not, and each profile's in its order."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.utils import timezone

from identities.models import Identity
from profiles.auditing import By
from profiles.models import Delivery, Event, Profile, Target, Webhook
from profiles.reacting import sending
from tests.cast import add
from tests.deliveries import states
from tests.killing import killed_at, stopped_at
from tests.racing import somebody_waits
from tests.receiving import Received, Receiver, answers, receiver
from tests.working import environment, wait_until, work, worker_process

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("delivery kills")]

# A web process, that tells when it has committed and waits to be killed.
WEB = """
import sys, time, uuid
import django
django.setup()
from django.contrib.auth.models import User
from profiles.auditing import By
from profiles.models import Profile
from tests.cast import add
add(Profile.objects.get(pk=sys.argv[1]), sys.argv[2], by=By(User.objects.get(username="operator")))
print("committed", flush=True)
time.sleep(60)
"""

# Where a write can be stopped before its commit.
BEFORE_COMMIT = ["identities_identity", "profiles_audit", "profiles_event", "procrastinate_jobs"]

# Where a worker can: taking an event up, after that, taking a delivery or keeping what became of it, in the middle of
# a try, just after the answer, and anywhere.
STEPS = [
    "profiles_delivery INSERT",
    "procrastinate_jobs INSERT",
    "profiles_delivery UPDATE",
    "asked",
    "told",
    "anywhere",
]


@pytest.fixture
def shop(by: By) -> Iterator[Receiver]:
    with receiver() as shop:
        Webhook.objects.create(trigger="identity.created", url=shop.url, user=by.user)
        yield shop


def written(request: Received) -> int:
    """The key of the identity that a delivery tells of."""
    return int(request.json["id"])


def assert_all_arrived(shop: Receiver) -> None:
    """Each identity that there is was told of, nothing else was, and those of one profile in their order."""
    rows = Identity.objects.order_by("pk")
    arrived = list(dict.fromkeys(written(one) for one in shop.requests))
    assert set(arrived) == set(rows.values_list("pk", flat=True))
    for profile in Profile.objects.all():
        of_profile = list(rows.filter(profile=profile).values_list("pk", flat=True))
        assert [one for one in arrived if one in set(of_profile)] == of_profile
    assert len(set(shop.ids)) == len(arrived), "Each has its own id, the same at each try."
    assert states() == {"delivered": len(arrived)}
    assert not Event.objects.filter(taken_up_at=None).exists()


def killed_before_commit(table: str, profile: Profile, pair: str) -> None:
    with killed_at(table, WEB, str(profile.pk), pair):
        pass


def killed_after_commit(profile: Profile, pair: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WEB, str(profile.pk), pair],
        cwd=settings.BASE_DIR,
        env={**environment(), "DJANGO_SETTINGS_MODULE": "tests.settings"},
        stdout=subprocess.PIPE,
    )
    assert process.stdout and process.stdout.readline() == b"committed\n"
    process.kill()
    process.communicate()


@pytest.mark.parametrize("rounds", [6, pytest.param(30, marks=pytest.mark.slow)], ids=["short", "long"])
def test_a_web_process_that_is_killed_has_told_of_what_it_committed_and_of_nothing_else(
    rounds: int, ada: Profile, by: By, shop: Receiver
) -> None:
    committed = 0
    for number in range(rounds):
        if number % 3 == 2:
            killed_after_commit(ada, f"pos:P{number}")
            committed += 1
        else:
            killed_before_commit(BEFORE_COMMIT[number % len(BEFORE_COMMIT)], ada, f"pos:P{number}")
    work()

    assert len(set(shop.ids)) == committed
    assert_all_arrived(shop)


@pytest.mark.parametrize("rounds", [14, pytest.param(70, marks=pytest.mark.slow)], ids=["short", "long"])
def test_a_worker_that_is_killed_at_any_step_loses_nothing_and_no_order(
    rounds: int, ada: Profile, ada_again: Profile, by: By, shop: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(rounds):
        for profile in (ada, ada_again, ada):
            add(profile, f"pos:P{Identity.objects.count()}", by=by)
        kill_a_worker_at(STEPS[number % len(STEPS)], shop)

    with worker_process() as last:
        wait_until(lambda: done() == Event.objects.count())
        assert last.poll() is None
    assert_all_arrived(shop)


def done() -> int:
    return Delivery.objects.filter(state="delivered").count()


def kill_a_worker_at(step: str, shop: Receiver) -> None:
    """Start one, and kill it when it has come so far."""
    if step in ("asked", "told"):
        with worker_process() as worker:
            shop.behaviour = deadly(worker, tells=step == "told")
            wait_until(lambda: worker.poll() is not None)
        shop.behaviour = answers()
    elif step == "anywhere":
        before = done()
        with worker_process() as worker:
            wait_until(lambda: done() > before or worker.poll() is not None)
            time.sleep(random.uniform(0, 0.05))  # noqa: S311
            worker.kill()
    else:
        table, event = step.split()
        with stopped_at(table, event), worker_process() as worker:
            wait_until(somebody_waits)
            worker.kill()
            worker.wait()


def deadly(worker: subprocess.Popen[bytes], *, tells: bool):
    def behave(sock: socket.socket, request: Received) -> None:
        if tells:
            answers()(sock, request)
        worker.kill()

    return behave


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.slow)], ids=["short", "long"])
def test_so_many_events_drain(count: int, by: By, shop: Receiver) -> None:
    profiles = [Profile.objects.create(first_name=f"Number {number}") for number in range(count // 10)]
    for number in range(count):
        add(profiles[number % len(profiles)], f"pos:P{number}", by=by)

    with worker_process(), worker_process():
        wait_until(lambda: done() == count, seconds=count)

    assert_all_arrived(shop)


@pytest.mark.parametrize("count", [200, pytest.param(2_000, marks=pytest.mark.slow)], ids=["short", "long"])
def test_a_receiver_that_was_down_gets_all_in_order_when_it_is_back(
    count: int, ada: Profile, ada_again: Profile, by: By, shop: Receiver
) -> None:
    shop.behaviour = answers(503)
    for number in range(count):
        add((ada, ada_again)[number % 2], f"pos:P{number}", by=by)
    with worker_process():
        wait_until(lambda: Target.objects.filter(opened_at__isnull=False).exists())
        wait_until(lambda: Event.objects.filter(taken_up_at=None).count() == 0, seconds=count)
        shop.behaviour = answers()
        shop.requests.clear()

        wait_until(lambda: done() == count, seconds=count)

    assert_all_arrived(shop)
    assert json.loads(shop.requests[0].body)
    Delivery.objects.update(next_try_at=timezone.now())
    sending.rouse()
    work()
    assert len(set(shop.ids)) == count, "What is delivered is not sent again by itself."
