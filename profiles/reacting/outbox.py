"""What is to go to a target: written in the transaction of whoever puts it there, sent by the worker after that.

The rows are the queue. Those of one profile for one target form a line, of which only the first has a time for its
next try; the others wait for it, and whoever finishes it gives the next one its time (`sending`). A job only wakes a
worker up: for each target there is never more than one that has not begun, however much waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import uuid_utils
from django.db import DEFAULT_DB_ALIAS, connection, transaction
from django.utils import timezone

from profiles import reading
from profiles.models import Action, Delivery, Event, Target, Webhook

QUEUE = "deliveries"
TASK = "profiles.tasks.deliver"

# By the word of the wire for the queue: what goes first, of what is due.
PRIORITIES = {"high": 1, "default": 0, "low": -1}


def put(
    event: Event,
    body: str,
    *,
    url: str,
    webhook: Webhook | None = None,
    action: Action | None = None,
) -> Delivery | None:
    """Have a target told of an event, on behalf of a webhook or of an action of a reaction: one of the two.

    In: the body as it goes out, JSON. The order of a profile's deliveries is that in which they are put here,
    so that this must be called under the lock of the profile's events, in the transaction that takes the event up.
    Returns None where that has been done before: an event that is taken up twice is sent once.
    """
    wishes = _wishes(webhook, action)
    delivery = Delivery(
        event=event,
        webhook=webhook,
        action=action,
        target_id=_target(url),
        profile_id=event.profile_id,
        message_id=f"msg_{uuid_utils.uuid7().hex}",
        trigger=event.trigger,
        body=body,
        retry_hourly=bool(wishes.get("retry_hourly")),
        retry_daily=bool(wishes.get("retry_daily")),
        priority=PRIORITIES.get(str(wishes.get("queue")), 0),
    )
    delivery.next_try_at = delivery.waiting_since = delivery.created_at
    is_new = _insert(delivery)
    # By then it can be seen. Whoever dies in between leaves it to the worker's clock.
    transaction.on_commit(partial(wake, [delivery.target_id]))
    return delivery if is_new else None


def wake(targets: Iterable[int]) -> None:
    """Have a worker see to these targets, but for those that nothing may be sent to now.

    To be called when what is to be seen has been committed: a job that has not begun yet will see it. Targets take
    turns: what matters more goes first at its own, but never before what is for another one.
    """
    with connection.cursor() as cursor:
        cursor.execute(WAKE, [QUEUE, TASK, sorted(set(targets)), timezone.now()])


WAKE = """
    INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock, args)
    SELECT %s, %s, 'deliver/' || id, jsonb_build_object('target_id', id)
    FROM profiles_target
    WHERE id = ANY(%s) AND muted_at IS NULL AND (opened_at IS NULL OR next_look_at <= %s)
    ORDER BY id
    ON CONFLICT (queueing_lock) WHERE status = 'todo' DO NOTHING
"""


def _wishes(webhook: Webhook | None, action: Action | None) -> Mapping[str, Any]:
    """How the one that it is sent for wants it to be tried again, and in which queue."""
    if webhook is not None:
        return {name: getattr(webhook, name) for name in ("retry_hourly", "retry_daily", "queue")}
    if action is not None:
        return {str(one.get("name")): one.get("value") for one in action.arguments}
    raise ValueError("A delivery is for a webhook or for an action.")


def _target(url: str) -> int:
    """The key of the target at this address, which is made when it is the first time."""
    found = reading.once("SELECT id FROM profiles_target WHERE url = %s", [url])
    if not found:
        # It waits for whoever is just making the same, and is a statement of its own to see that.
        Target.objects.bulk_create([Target(url=url)], ignore_conflicts=True)
        found = reading.once("SELECT id FROM profiles_target WHERE url = %s", [url])
    return int(found[0][0])


def _insert(delivery: Delivery) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(INSERT, {column: getattr(delivery, name) for column, name in _COLUMNS.items()})
        made = cursor.fetchall()
    for key, next_try_at in made:
        delivery.pk, delivery.next_try_at = key, next_try_at
        delivery._state.adding, delivery._state.db = False, DEFAULT_DB_ALIAS
    return bool(made)


_COLUMNS = {str(field.column): field.attname for field in Delivery._meta.concrete_fields if not field.primary_key}

# The first of its line gets a time for its next try. Whoever is just finishing the last one of the line is waited for,
# or waits for this transaction: either they find the new one, or it finds itself to be the first.
_IS_NEXT = "CASE WHEN NOT EXISTS (SELECT 1 FROM before) THEN %(next_try_at)s::timestamptz END"
INSERT = f"""
    WITH before AS (
        SELECT id FROM profiles_delivery
        WHERE target_id = %(target_id)s AND profile_id = %(profile_id)s AND state = 'waiting'
        ORDER BY id DESC LIMIT 1
        FOR SHARE
    )
    INSERT INTO profiles_delivery ({", ".join(_COLUMNS)})
    VALUES ({", ".join(_IS_NEXT if column == "next_try_at" else f"%({column})s" for column in _COLUMNS)})
    ON CONFLICT DO NOTHING
    RETURNING id, next_try_at
"""  # noqa: S608 - names of our own
