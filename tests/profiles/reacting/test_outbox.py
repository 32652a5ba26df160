"""What is put into the outbox, and the line in which it stands there."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.db import transaction
from procrastinate.contrib.django.models import ProcrastinateJob

from profiles.auditing import By
from profiles.inserting import json_of
from profiles.models import Action, Delivery, Event, Profile, Reaction, Target, Webhook
from profiles.reacting import outbox
from tests.racing import at_once

pytestmark = pytest.mark.django_db

URL = "https://hooks.example.com/omneo"


def event(profile: Profile | None = None) -> Event:
    return Event.objects.create(
        trigger="profile.updated", profile=profile, subject_type="profile", subject_key=str(profile and profile.pk)
    )


@pytest.fixture
def webhook(by: By) -> Webhook:
    return Webhook.objects.create(trigger="profile.updated", url=URL, user=by.user)


def jobs() -> list[tuple[str, dict[str, Any]]]:
    return list(
        ProcrastinateJob.objects.filter(task_name="profiles.tasks.deliver")
        .order_by("pk")
        .values_list("status", "args")
    )


def test_what_is_put_is_sent_as_it_is_and_to_a_target_of_its_own(ada: Profile, webhook: Webhook) -> None:
    made = outbox.put(event(ada), json_of({"first_name": "Zoë", "tags": []}), url=URL, webhook=webhook)

    delivery = Delivery.objects.get()
    assert made == delivery
    assert delivery.body == '{"first_name":"Zoë","tags":[]}'
    assert (delivery.target.url, delivery.profile, delivery.trigger) == (URL, ada, "profile.updated")
    assert (delivery.state, delivery.tries, delivery.taken_until) == ("waiting", 0, None)
    assert delivery.next_try_at == delivery.created_at
    assert delivery.message_id.startswith("msg_")


def test_a_body_of_its_own_goes_instead_of_the_context(ada: Profile, webhook: Webhook) -> None:
    outbox.put(event(ada), json_of(["just", 10**30]), url=URL, webhook=webhook)

    assert Delivery.objects.get().body.replace(" ", "") == f'["just",{10**30}]'


def test_an_event_that_is_taken_up_twice_is_put_once(ada: Profile, webhook: Webhook) -> None:
    one = event(ada)
    reaction = Reaction.objects.create(name="Tell", trigger="profile.updated")
    action = Action.objects.create(reaction=reaction, name="target.send")

    first = [outbox.put(one, "{}", url=URL, webhook=webhook), outbox.put(one, "{}", url=URL, action=action)]
    second = [outbox.put(one, "{}", url=URL, webhook=webhook), outbox.put(one, "{}", url=URL, action=action)]

    assert None not in first
    assert second == [None, None]
    assert Delivery.objects.count() == 2
    assert Target.objects.count() == 1


def test_only_the_first_of_a_profile_at_a_target_has_a_time(ada: Profile, bo: Profile, webhook: Webhook) -> None:
    for profile in (ada, ada, bo, None, None):
        outbox.put(event(profile), "{}", url=URL, webhook=webhook)
    outbox.put(event(ada), "{}", url=f"{URL}/other", webhook=webhook)

    has_time = [one.next_try_at is not None for one in Delivery.objects.order_by("pk")]
    assert has_time == [True, False, True, True, True, True]


def test_a_webhook_and_an_action_say_how_it_is_tried_again_and_what_goes_first(ada: Profile, by: By) -> None:
    webhook = Webhook.objects.create(trigger="profile.updated", url=URL, user=by.user, queue="high", retry_daily=True)
    reaction = Reaction.objects.create(name="Tell", trigger="profile.updated")
    wishes = [{"name": "retry_hourly", "value": True, "is_dynamic": False}, {"name": "queue", "value": "low"}]
    action = Action.objects.create(reaction=reaction, name="target.send", arguments=wishes)

    outbox.put(event(ada), "{}", url=URL, webhook=webhook)
    outbox.put(event(ada), "{}", url=URL, action=action)

    one, other = Delivery.objects.order_by("pk")
    assert (one.priority, one.retry_hourly, one.retry_daily) == (1, False, True)
    assert (other.priority, other.retry_hourly, other.retry_daily) == (-1, True, False)


@pytest.mark.django_db(transaction=True)
def test_one_job_wakes_the_worker_however_much_is_put(ada: Profile, bo: Profile, webhook: Webhook) -> None:
    for profile in (ada, bo, ada):
        with transaction.atomic():
            outbox.put(event(profile), "{}", url=URL, webhook=webhook)
            assert not [status for status, _args in jobs() if status == "doing"]

    assert jobs() == [("todo", {"target_id": Target.objects.get().pk})]


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_is_not_put_and_wakes_nobody(ada: Profile, webhook: Webhook) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        outbox.put(event(ada), "{}", url=URL, webhook=webhook)
        raise RuntimeError

    assert not Delivery.objects.exists()
    assert not jobs()


@pytest.mark.django_db(transaction=True)
def test_a_target_that_is_muted_or_does_not_answer_wakes_nobody(ada: Profile, webhook: Webhook, by: By) -> None:
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=5)
    Target.objects.create(url=f"{URL}/muted", muted_at=later, muted_by=by.user)
    Target.objects.create(url=f"{URL}/open", opened_at=later, next_look_at=later)
    for url in (f"{URL}/muted", f"{URL}/open"):
        outbox.put(event(ada), "{}", url=url, webhook=webhook)

    assert Delivery.objects.count() == 2
    assert not jobs()


@pytest.mark.django_db(transaction=True)
def test_two_that_put_at_once_make_one_target(ada: Profile, bo: Profile, webhook: Webhook) -> None:
    events = {profile.pk: event(profile) for profile in (ada, bo)}

    def put(profile: Profile) -> None:
        with transaction.atomic():
            outbox.put(events[profile.pk], "{}", url=URL, webhook=webhook)

    at_once(lambda: put(ada), lambda: put(bo))

    assert Target.objects.count() == 1
    assert Delivery.objects.count() == 2
