"""Targets that are down, slow or muted, and what is sent again: nobody else waits for them, and no order is lost."""

from __future__ import annotations

import datetime
import socket
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from identities.models import Extension
from profiles.auditing import By
from profiles.models import Audit, Delivery, Profile, Target, Webhook
from profiles.reacting import patience, sending, taking, tending
from profiles.reacting.taking import STEP
from profiles.refusing import Refused
from tests.deliveries import due_now, go_on, put, states
from tests.receiving import Received, answers, receiver
from tests.working import work

pytestmark = pytest.mark.django_db(transaction=True)


def fail(url: str, by: By, times: int = patience.OPENS_AFTER) -> list[Delivery]:
    """Have a target fail so often that its circuit opens, each time for nobody's sake."""
    made = [put(None, url, by) for _number in range(times)]
    work()
    return made


def queued() -> int:
    return ProcrastinateJob.objects.filter(task_name="profiles.tasks.deliver", status="todo").count()


def test_a_circuit_opens_looks_closes_and_drains_in_order(ada: Profile, by: By) -> None:
    with receiver(answers(503)) as shop:
        failed = fail(shop.url, by)
        target = Target.objects.get()
        assert target.failures == patience.OPENS_AFTER
        assert target.opened_at and target.next_look_at and target.next_look_at > target.opened_at
        line = [put(ada, shop.url, by) for _number in range(5)]
        count = len(shop.requests)
        sending.rouse()
        work()
        assert (len(shop.requests), queued()) == (count, 0), "Nothing is sent while the circuit is open."

        go_on()
        assert len(shop.requests) == count + 1, "One is sent to see."
        target.refresh_from_db()
        assert target.opened_at is not None
        assert target.next_look_at and target.next_look_at > timezone.now()

        shop.behaviour = answers(200)
        go_on()

    assert Target.objects.filter(failures=0, opened_at=None, next_look_at=None).count() == 1
    assert states() == {"delivered": len(failed) + len(line)}
    assert [one for one in shop.first_times if one in {made.message_id for made in line}] == [
        made.message_id for made in line
    ]


def test_looks_become_rarer_up_to_a_bound() -> None:
    gaps = [patience.look(patience.OPENS_AFTER + times) for times in range(40)]

    assert gaps[0] < datetime.timedelta(seconds=40)
    assert all(datetime.timedelta(minutes=12) <= gap <= datetime.timedelta(minutes=18) for gap in gaps[10:])


def test_a_target_that_answers_now_and_then_keeps_its_circuit_closed(by: By) -> None:
    with receiver(answers(500)) as shop:
        fail(shop.url, by, patience.OPENS_AFTER - 1)
        shop.behaviour = answers(200)
        put(None, shop.url, by)
        work()
        shop.behaviour = answers(500)
        fail(shop.url, by, patience.OPENS_AFTER - 1)

    assert Target.objects.get().opened_at is None


def test_one_that_is_never_taken_does_not_keep_the_circuit_open_for_the_others(
    ada: Profile, bo: Profile, by: By
) -> None:
    with receiver(answers(500)) as shop:
        never = put(ada, shop.url, by, queue="high")
        other = put(bo, shop.url, by, queue="low")
        Target.objects.update(failures=patience.OPENS_AFTER, opened_at=timezone.now(), next_look_at=timezone.now())
        shop.behaviour = lambda sock, got: answers(500 if got.id == never.message_id else 200)(sock, got)

        for _look in range(2):
            go_on()

    assert other.message_id in shop.ids
    assert states() == {"waiting": 1, "delivered": 1}
    assert Target.objects.get().opened_at is None


@pytest.mark.parametrize("why", ["deleted", "unsigned"])
def test_what_cannot_be_sent_does_not_keep_the_circuit_open_for_the_others(
    why: str, ada: Profile, by: By, shopify: Extension
) -> None:
    shopify.secret_variables = ["NO_SUCH_SECRET"]
    shopify.save()
    with receiver() as shop:
        for _number in range(5):
            put(None, shop.url, by, user=shopify.service_account)
        if why == "deleted":
            Webhook.objects.all().delete()
        wanted = put(ada, shop.url, by)
        if why == "deleted":
            Delivery.objects.update(next_try_at=timezone.now() + datetime.timedelta(minutes=5))
        Target.objects.update(failures=patience.OPENS_AFTER, opened_at=timezone.now(), next_look_at=timezone.now())

        sending.rouse()
        work()

    assert shop.ids == [wanted.message_id]
    assert Target.objects.get().opened_at is None
    assert states() == {"delivered": 1, "dead": 5} if why == "deleted" else {"delivered": 1, "waiting": 5}


def test_what_cannot_be_signed_for_a_target_that_is_down_is_not_tried_again_and_again(by: By, settings: Any) -> None:
    settings.WEBHOOK_SECRETS = []
    for _number in range(3):
        put(None, "http://127.0.0.1:1/", by)
    Target.objects.update(failures=patience.OPENS_AFTER, opened_at=timezone.now(), next_look_at=timezone.now())

    go_on()
    sending.rouse()
    work()

    assert sum(Delivery.objects.values_list("tries", flat=True)) <= 5


def test_what_waits_for_a_dead_target_costs_the_queue_nothing_however_much_it_is(by: By) -> None:
    with receiver(answers(500)) as shop:
        fail(shop.url, by)
    costs = []
    for _more in range(2):
        for _number in range(50):
            put(None, shop.url, by)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            sending.rouse()
        costs.append(len(queries))

    assert queued() == 0
    assert costs == [1, 1]


def test_a_living_target_gets_all_while_a_dead_one_waits(ada: Profile, by: By) -> None:
    with receiver(answers(500)) as dead, receiver() as living:
        for _number in range(20):
            put(ada, dead.url, by)
            put(None, dead.url, by)
            put(ada, living.url, by)

        work()

    assert len(set(living.ids)) == 20
    assert Delivery.objects.filter(target__url=living.url, state="delivered").count() == 20
    assert Delivery.objects.filter(target__url=dead.url, state="waiting").count() == 40


def test_a_slow_target_does_not_take_every_worker(by: By, settings: Any) -> None:
    settings.DELIVERIES_PER_TARGET = 3
    at_once = []
    most = 0

    def slowly(sock: Any, request: Received) -> None:
        nonlocal most
        at_once.append(1)
        most = max(most, len(at_once))
        import time

        time.sleep(0.1)
        at_once.pop()
        answers()(sock, request)

    with receiver(slowly) as slow:
        for _number in range(20):
            put(None, slow.url, by)
        work()

    assert states() == {"delivered": 20}
    assert 1 <= most <= 3


def note(came: list[str], url: str, sock: socket.socket, got: Received) -> None:
    came.append(url)
    answers()(sock, got)


@pytest.mark.parametrize("queue", ["default", "high"])
def test_slow_targets_do_not_keep_all_workers_between_them(
    queue: str, by: By, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each try takes as long as a job may.
    monkeypatch.setattr(patience, "LONGEST_STINT", 0.0)
    settings.DELIVERIES_PER_TARGET = 1
    assert settings.WORKER_CONCURRENCY == 2
    with receiver() as one, receiver() as other, receiver() as third:
        came: list[str] = []
        for shop in (one, other, third):
            shop.behaviour = partial(note, came, shop.url)
        for _number in range(4):
            put(None, one.url, by, queue=queue)
            put(None, other.url, by, queue=queue)
        put(None, third.url, by, queue="low")

        work()

    rest = came[came.index(third.url) :]
    assert {one.url, other.url} < set(rest)


def test_what_is_muted_waits_without_dying_and_goes_in_order_afterwards(ada: Profile, by: By) -> None:
    with receiver() as shop:
        line = [put(ada, shop.url, by) for _number in range(3)]
        target = Target.objects.get()
        tending.mute(target.pk, by=by)
        line.append(put(ada, shop.url, by))
        Delivery.objects.update(waiting_since=timezone.now() - 10 * patience.LIFE)
        tending.give_up()
        go_on()
        assert not shop.requests
        assert states() == {"waiting": 4}

        tending.unmute(target.pk, by=by)
        work()

    assert shop.ids == [one.message_id for one in line]
    told = Audit.objects.filter(auditable_type="target").order_by("pk").values_list("event", "by")
    assert list(told) == [("muted", by.user.pk), ("unmuted", by.user.pk)]


@pytest.mark.parametrize("was_down", [False, True])
def test_what_was_muted_for_days_has_its_whole_time_afterwards(was_down: bool, ada: Profile, by: By) -> None:
    long_ago = timezone.now() - 2 * patience.LIFE
    with receiver(answers(503)) as shop:
        if was_down:
            fail(shop.url, by)
        for _number in range(3):
            put(ada, shop.url, by)
        target = Target.objects.get_or_create(url=shop.url)[0]
        tending.mute(target.pk, by=by)
        Delivery.objects.update(waiting_since=long_ago)
        Target.objects.filter(failures__gt=0).update(opened_at=long_ago)

        tending.unmute(target.pk, by=by)
        go_on()
        tending.give_up()
        assert "dead" not in states()
        # And no more than that.
        Target.objects.update(unmuted_at=long_ago)
        go_on()

    assert "dead" in states()


def test_unmuting_a_target_that_did_not_answer_tries_it_at_once(by: By) -> None:
    with receiver(answers(500)) as shop:
        fail(shop.url, by)
        target = Target.objects.get()
        tending.mute(target.pk, by=by)
        shop.behaviour = answers(200)

        tending.unmute(target.pk, by=by)
        work()

    assert states() == {"delivered": patience.OPENS_AFTER}


def test_a_dead_one_is_sent_again_as_it_was(ada: Profile, by: By) -> None:
    with receiver(answers(410)) as shop:
        made = put(ada, shop.url, by)
        work()
        assert states() == {"dead": 1}
        shop.behaviour = answers(200)

        assert tending.send_again([made.pk], by=by) == 1
        work()

    one, other = shop.requests
    assert one.id == other.id == made.message_id
    assert one.body == other.body
    made.refresh_from_db()
    assert (made.state, made.tries, made.error) == ("delivered", 1, "")
    audit = Audit.objects.get(event="sent again")
    assert (audit.by, audit.profile_id, audit.auditable_key) == (by.user, ada.pk, str(made.pk))


def test_what_is_sent_again_has_three_days_again(ada: Profile, by: By) -> None:
    with receiver(answers(410)) as shop:
        made = put(ada, shop.url, by)
        work()
        Delivery.objects.update(waiting_since=timezone.now() - 2 * patience.LIFE)
        shop.behaviour = answers(500)

        tending.send_again([made.pk], by=by)
        work()

    assert states() == {"waiting": 1}


def test_what_is_sent_again_goes_before_what_came_later_and_still_waits(ada: Profile, by: By) -> None:
    with receiver(answers(410)) as shop:
        dead = [put(ada, shop.url, by) for _number in range(3)]
        work()
        shop.behaviour = answers(500)
        later = [put(ada, shop.url, by) for _number in range(2)]
        work()
        before = len(shop.requests)
        shop.behaviour = answers(500)
        tending.send_again([one.pk for one in dead], by=by)
        work()
        go_on()
        shop.behaviour = answers(200)
        go_on()

    arrived = list(dict.fromkeys(shop.ids[before:]))
    assert arrived == [one.message_id for one in [*dead, *later]]
    assert states() == {"delivered": 5}


def test_of_several_that_are_sent_again_only_the_first_of_a_profile_is_taken(
    ada: Profile, bo: Profile, by: By
) -> None:
    url = "https://hooks.example.com/"
    dead = [put(profile, url, by) for profile in (ada, ada, bo)]
    Delivery.objects.update(state="dead", next_try_at=None)
    tending.send_again([one.pk for one in dead], by=by)
    target = Target.objects.get()

    taken = [taking.take(target.pk) for _worker in range(3)]

    assert [one and one.id for one in taken] == [dead[0].pk, dead[2].pk, None]


def test_one_that_waits_is_tried_at_once_when_it_is_sent_again(ada: Profile, by: By) -> None:
    with receiver(answers(500)) as shop:
        made = put(ada, shop.url, by)
        work()
        shop.behaviour = answers(200)

        tending.send_again([made.pk], by=by)
        work()

    assert states() == {"delivered": 1}


def test_so_many_are_sent_again_and_no_more(by: By) -> None:
    with pytest.raises(Refused):
        tending.send_again(range(STEP + 1), by=by)


def test_what_a_target_did_not_take_for_three_days_is_given_up_in_steps_and_the_rest_goes_on(
    ada: Profile, by: By, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tending, "STEP", 4)
    with receiver(answers(500)) as shop:
        fail(shop.url, by)
        old = [put(ada, shop.url, by) for _number in range(5)]
        long_ago = timezone.now() - 2 * patience.LIFE
        Delivery.objects.update(waiting_since=long_ago)
        new = put(ada, shop.url, by)
        assert tending.give_up() == 0, "Its circuit has only just opened."
        Target.objects.update(opened_at=long_ago)

        assert tending.give_up() == len(old) + patience.OPENS_AFTER
        new.refresh_from_db()
        assert new.next_try_at is not None
        shop.behaviour = answers(200)
        due_now()
        go_on()

    assert states() == {"dead": len(old) + patience.OPENS_AFTER, "delivered": 1}
    assert shop.ids[-1] == new.message_id


def test_a_delivery_that_a_dead_worker_had_taken_is_taken_again_after_a_while(ada: Profile, by: By) -> None:
    with receiver() as shop:
        made, behind = put(ada, shop.url, by), put(ada, shop.url, by)
        assert taking.take(Target.objects.get().pk) is not None
        work()
        assert not shop.requests
        go_on()

    assert shop.ids == [made.message_id, behind.message_id]


def test_who_was_only_asleep_changes_nothing_about_what_another_has_done(ada: Profile, by: By) -> None:
    from profiles.reacting.posting import Answer

    with receiver() as shop:
        made = put(ada, shop.url, by)
        asleep = taking.take(Target.objects.get().pk)
        assert asleep
        go_on()
        made.refresh_from_db()

        taking.keep(asleep.target_id, sending.judged(asleep, Answer(error="Too late")))

    before = made.finished_at
    made.refresh_from_db()
    assert (made.state, made.error, made.finished_at) == ("delivered", "", before)
    assert Target.objects.get().failures == 0
