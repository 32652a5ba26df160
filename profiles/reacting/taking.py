"""Take the next delivery of a target, and say what became of the last one: what of sending is in the database.

Whatever decides about a target is read and written under the lock of its row: whether it is muted, whether its circuit
is open, how many are being sent. No lock is held while something is sent; who has taken a delivery has it for a time
(`patience.LEASE`), and another may have it after that.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from profiles import reading
from profiles.models import Delivery, Target
from profiles.reacting import outbox, patience

# Rows that are changed in one transaction, of however many.
STEP = 1_000


@dataclass(frozen=True, slots=True)
class Taken:
    """A delivery that this worker is to send, and whoever it is sent for."""

    url: str
    id: int
    target_id: int
    profile_id: uuid.UUID | None
    tries: int
    message_id: str
    trigger: str
    body: str
    retry_hourly: bool
    retry_daily: bool
    waiting_since: datetime.datetime
    is_wanted: bool
    is_allowed: bool
    variables: list[str] | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a try. Without a `next_try_at` it is over: delivered, or dead. What was not sent at all says
    nothing about the target."""

    taken: Taken
    is_delivered: bool
    next_try_at: datetime.datetime | None
    status_code: int | None
    answer: str
    error: str
    was_sent: bool = True


def take(target_id: int, outcome: Outcome | None = None) -> Taken | None:
    """Keep what became of the last delivery, and take the next one that may be sent, in one transaction.

    Where more is due than this one, another worker is woken up for it. Returns None when nothing may be sent now.
    """
    with transaction.atomic():
        # What was not sent and is to be tried again must not be what is taken next.
        may_be_early = outcome is None or outcome.next_try_at is None
        return _next(*_settled(target_id, outcome), may_be_early=may_be_early)


def keep(target_id: int, outcome: Outcome | None) -> None:
    """Keep what became of the last delivery, and take no other."""
    with transaction.atomic():
        _settled(target_id, outcome)


def _settled(target_id: int, outcome: Outcome | None) -> tuple[Target, datetime.datetime]:
    is_news = outcome is not None and _hold(outcome)
    target = Target.objects.select_for_update(no_key=True).get(pk=target_id)
    now = timezone.now()
    if outcome is not None and is_news:
        _keep(outcome, now)
        if outcome.was_sent:
            _judge(target, outcome, now)
        elif target.opened_at is not None:
            # The look is still to come: many that are not sent must not use up one each.
            target.next_look_at = now
            target.save(update_fields=["next_look_at"])
    return target, now


def _hold(outcome: Outcome) -> bool:
    """Lock the delivery, before the target, as whoever puts one behind it does. Returns whether there is anything to
    say: not when another worker, who has taken it since, has said it, or is about to.
    """
    rows = reading.once("SELECT state, tries FROM profiles_delivery WHERE id = %s FOR UPDATE", [outcome.taken.id])
    for state, tries in rows:
        return state == Delivery.State.WAITING and (outcome.is_delivered or tries == outcome.taken.tries)
    return False


def _keep(outcome: Outcome, now: datetime.datetime) -> None:
    taken = outcome.taken
    if outcome.next_try_at is not None:
        state, finished_at = Delivery.State.WAITING, None
    else:
        state, finished_at = (Delivery.State.DELIVERED if outcome.is_delivered else Delivery.State.DEAD), now
    with connection.cursor() as cursor:
        cursor.execute(
            KEEP,
            [state, outcome.next_try_at, outcome.status_code, outcome.answer, outcome.error, finished_at, taken.id],
        )
        if finished_at is not None:
            let_next(taken.target_id, [taken.profile_id] if taken.profile_id is not None else [], now)
        else:
            cursor.execute(HOLD_BACK, [taken.target_id, taken.profile_id, taken.id])


KEEP = """
    UPDATE profiles_delivery
    SET state = %s, next_try_at = %s, status_code = %s, answer = %s, error = %s, finished_at = %s, taken_until = NULL
    WHERE id = %s
"""


def let_next(target_id: int, profile_ids: Collection[uuid.UUID], now: datetime.datetime) -> None:
    """Give a time to whichever is the first now in the lines of these profiles, the one before it being over."""
    if profile_ids:
        with connection.cursor() as cursor:
            cursor.execute(LET_NEXT, {"target": target_id, "now": now, "profiles": list(profile_ids)})


LET_NEXT = """
    UPDATE profiles_delivery SET next_try_at = coalesce(next_try_at, %(now)s)
    WHERE id IN (
        SELECT (
            SELECT id FROM profiles_delivery
            WHERE target_id = %(target)s AND profile_id = profile AND state = 'waiting' ORDER BY id LIMIT 1
        ) FROM unnest(%(profiles)s::uuid[]) AS line (profile)
    )
"""

# What was sent again stands in its old place, with a time of its own: it is not to be looked at before its turn.
HOLD_BACK = """
    UPDATE profiles_delivery SET next_try_at = NULL
    WHERE target_id = %s AND profile_id = %s AND state = 'waiting' AND id > %s
    AND next_try_at IS NOT NULL AND taken_until IS NULL
"""


def _judge(target: Target, outcome: Outcome, now: datetime.datetime) -> None:
    """Open the circuit of a target that fails again and again, and close it when it answers."""
    if outcome.is_delivered:
        if target.opened_at is not None:
            _hurry(target, now)
        if not target.failures:
            return
        target.failures, target.opened_at, target.next_look_at = 0, None, None
    else:
        target.failures += 1
        if target.failures >= patience.OPENS_AFTER:
            target.opened_at = target.opened_at or now
            target.next_look_at = now + patience.look(target.failures)
    target.save(update_fields=["failures", "opened_at", "next_look_at"])


def _hurry(target: Target, now: datetime.datetime) -> None:
    """Let those be tried that have failed for what is over now: so many in one step; others come when they are due."""
    late = Delivery.objects.filter(target=target, state=Delivery.State.WAITING, next_try_at__gt=now, taken_until=None)
    chosen = list(late.order_by("next_try_at", "pk").values_list("pk", flat=True)[:STEP])
    Delivery.objects.filter(pk__in=chosen).update(next_try_at=now)


def _next(target: Target, now: datetime.datetime, *, may_be_early: bool) -> Taken | None:
    if target.muted_at is not None:
        return None
    is_look = target.opened_at is not None
    if is_look and target.next_look_at is not None and target.next_look_at > now:
        return None
    lease = now + datetime.timedelta(seconds=patience.LEASE)
    values: dict[str, Any] = {
        "target": target.pk,
        "now": now,
        # A look is worth more than the time of the one that is sent.
        "due": "infinity" if is_look and may_be_early else now,
        # Whatever has just failed is behind the others by its time: the next look is by one of them.
        "is_look": is_look,
        "most": 1 if is_look else settings.DELIVERIES_PER_TARGET,
        "lease": lease,
        "unmuted_at": target.unmuted_at,
    }
    with connection.cursor() as cursor:
        cursor.execute(TAKE, values)
        rows = cursor.fetchall()
    for *row, found in rows:
        if is_look:
            target.next_look_at = lease
            target.save(update_fields=["next_look_at"])
        elif found > 1:
            transaction.on_commit(lambda: outbox.wake([target.pk]))
        return Taken(target.url, *row)
    return None


# The oldest of the highest priority, or of all where it is a look, but never before an earlier one of its profile. At
# most so many at a time, so that a target which takes long for each does not take every worker. One that is locked is
# just being written to by somebody who wakes a worker up afterwards.
TAKE = """
    WITH due AS (
        SELECT candidate.* FROM (VALUES (1), (0), (-1)) AS wanted (priority)
        CROSS JOIN LATERAL (
            SELECT id, priority, next_try_at FROM profiles_delivery AS one
            WHERE target_id = %(target)s AND priority = wanted.priority AND state = 'waiting'
            AND next_try_at <= %(due)s AND (taken_until IS NULL OR taken_until <= %(now)s)
            AND NOT EXISTS (
                SELECT 1 FROM profiles_delivery AS earlier
                WHERE earlier.target_id = one.target_id AND earlier.profile_id = one.profile_id
                AND earlier.state = 'waiting' AND earlier.id < one.id
            )
            ORDER BY next_try_at, id LIMIT 2
            FOR UPDATE SKIP LOCKED
        ) AS candidate
        WHERE %(most)s > (
            SELECT count(*) FROM profiles_delivery WHERE target_id = %(target)s AND taken_until > %(now)s
        )
    )
    UPDATE profiles_delivery AS taken
    SET tries = tries + 1, tried_at = %(now)s, next_try_at = %(lease)s, taken_until = %(lease)s
    WHERE id = (
        SELECT id FROM due ORDER BY CASE WHEN %(is_look)s THEN 0 ELSE priority END DESC, next_try_at, id LIMIT 1
    )
    RETURNING
        id, target_id, profile_id, tries, message_id, trigger, body, retry_hourly, retry_daily,
        greatest(waiting_since, %(unmuted_at)s::timestamptz),
        EXISTS (SELECT FROM profiles_webhook WHERE id = webhook_id)
            OR EXISTS (SELECT FROM profiles_action WHERE id = action_id),
        NOT EXISTS (
            SELECT 1 FROM profiles_webhook JOIN auth_user ON auth_user.id = user_id
            LEFT JOIN identities_extension ON service_account_id = user_id
            WHERE profiles_webhook.id = taken.webhook_id AND NOT (auth_user.is_active AND coalesce(enabled, true))
        ),
        (
            SELECT secret_variables FROM identities_extension JOIN profiles_webhook ON user_id = service_account_id
            WHERE profiles_webhook.id = taken.webhook_id
        ),
        (SELECT count(*) FROM due)
"""
