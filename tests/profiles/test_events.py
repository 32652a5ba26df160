"""What is recorded for whoever listens, in the transaction of the change."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connection, transaction
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from identities.models import Identity
from profiles import events
from profiles.auditing import By
from profiles.models import Event, Interaction, Point, Profile, Reaction, Transaction, Webhook
from tests.cast import add, come, known, merge, undo

pytestmark = pytest.mark.django_db


def listen(trigger: str, by: By, **values: object) -> Webhook:
    return Webhook.objects.create(trigger=trigger, url="http://127.0.0.1:9/", user=by.user, **values)


def jobs() -> list[ProcrastinateJob]:
    return list(ProcrastinateJob.objects.filter(task_name="profiles.tasks.react").order_by("pk"))


def test_nothing_is_recorded_while_nobody_listens(ada: Profile, by: By) -> None:
    listen("profile.deleted", by)
    listen("transaction.created", by, is_active=False)

    come(Transaction, named=ada.pk, by=by)

    assert not Event.objects.exists()
    assert not jobs()


def test_a_new_record_is_an_event_with_a_job_that_takes_it_up(ada: Profile, by: By) -> None:
    listen("transaction.created", by)

    row = come(Transaction, named=ada.pk, by=by).record

    event = Event.objects.get()
    assert (event.trigger, event.profile, event.depth) == ("transaction.created", ada, 0)
    assert (event.subject_type, event.subject_key) == ("transaction", str(row.pk))
    (job,) = jobs()
    assert (job.args, job.lock) == ({"event_id": event.pk}, f"event/{ada.pk}")
    assert (job.queue_name, job.status) == ("reactions", "todo")


def test_a_reaction_listens_as_a_webhook_does(ada: Profile, by: By) -> None:
    Reaction.objects.create(name="Tell", trigger="interaction.created")

    come(Interaction, named=ada.pk, by=by)

    assert Event.objects.get().trigger == "interaction.created"


def test_what_is_rolled_back_is_no_event(ada: Profile, by: By) -> None:
    listen("transaction.created", by)

    with pytest.raises(RuntimeError), transaction.atomic():
        come(Transaction, named=ada.pk, by=by)
        raise RuntimeError

    assert not Event.objects.exists()
    assert not jobs()


def test_several_identities_of_one_write_are_events_in_the_order_of_their_rows(ada: Profile, by: By) -> None:
    listen("identity.created", by)

    add(ada, "pos:3", by=by)
    come(Transaction, "loyalty-card:2", "instagram:1", named=ada.pk, by=by)

    rows = Identity.objects.filter(profile=ada).order_by("pk")
    told = Event.objects.filter(trigger="identity.created").order_by("pk")
    assert [one.subject_key for one in told] == [str(row.pk) for row in rows]
    assert [job.args["event_id"] for job in jobs()] == [one.pk for one in told]


def test_what_changes_a_balance_is_told_as_the_profile(ada: Profile, by: By) -> None:
    listen("balance.updated", by)

    come(Point, named=ada.pk, by=by)

    event = Event.objects.get()
    assert (event.subject_type, event.subject_key) == ("profile", str(ada.pk))


def test_a_merge_and_its_undo_are_one_event_each_and_tell_of_nothing_that_moved(by: By) -> None:
    ada, bo = known("loyalty-card:1", by=by), known("loyalty-card:2", by=by)
    for trigger in events.KNOWN:
        listen(trigger, by)

    (one,) = merge(ada, bo, by=by)
    undo(one, by=by)

    told = Event.objects.order_by("pk").values_list("trigger", "profile")
    assert list(told) == [("profile.merged", ada.pk), ("profile.unmerged", ada.pk)]


def test_a_circle_of_reactions_comes_to_an_end(ada: Profile, by: By) -> None:
    listen("transaction.created", by)

    for depth in (events.MOST_DEPTH - 1, events.MOST_DEPTH):
        with events.caused_by(Event(depth=depth)):
            come(Transaction, named=ada.pk, by=by)

    assert Event.objects.get().depth == events.MOST_DEPTH


@pytest.mark.django_db(transaction=True)
def test_a_write_with_an_event_notifies_nobody(ada: Profile, by: By) -> None:
    # A commit that notifies waits for every other one that does, so that sales would come one by one.
    listen("transaction.created", by)
    with psycopg.connect(**connection.get_connection_params() | {"autocommit": True}) as listening:
        listening.execute(f'LISTEN "procrastinate_queue_v1#{events.QUEUE}"')
        listening.execute("LISTEN procrastinate_any_queue_v1")

        come(Transaction, named=ada.pk, by=by)
        app.configure_task("profiles.tasks.bring_in_batch", queue="profiles").defer(batch_id="")

        heard = [one.channel for one in listening.notifies(timeout=2, stop_after=1)]
    assert len(jobs()) == 1
    assert heard == ["procrastinate_any_queue_v1"]
