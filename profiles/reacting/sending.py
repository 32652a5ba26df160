"""Send what waits for a target: one delivery after the other, each until the target has said yes, or for three days.

A delivery that was sent and not heard of is sent again, under the same `webhook-id`: at least once, and in the order
of each profile. Only numbers of rows are logged: bodies, answers and addresses may tell of a customer, or be secret.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from profiles.reacting import outbox, patience, posting, signing, taking
from profiles.reacting.posting import Answer
from profiles.reacting.taking import Outcome, Taken

logger = logging.getLogger(__name__)

# By which a receiver says that it will never take it.
GONE = 410


def deliver(target_id: int, *, stop: Callable[[], bool]) -> None:
    """See to one target, until nothing more may be sent to it now. In: whether to leave the rest to another job."""
    outcome = None
    ends_at = time.monotonic() + patience.LONGEST_STINT
    for _number in range(patience.STINT):
        taken = taking.take(target_id, outcome)
        if taken is None:
            return
        outcome = attempt(taken)
        logger.info("Delivery %s, try %s: %s", taken.id, taken.tries, outcome.status_code or "no answer")
        if stop() or time.monotonic() >= ends_at:
            break
    taking.keep(target_id, outcome)
    outbox.wake([target_id])


def attempt(taken: Taken) -> Outcome:
    """Try once. Never raises for what is wrong with the target, or with what is set for it."""
    if not taken.is_wanted:
        error = _("The webhook or the reaction that it was for has been deleted.")
        return Outcome(taken, False, None, None, "", error, was_sent=False)
    if not taken.is_allowed:
        error = _("The account of the webhook is deactivated, or its extension is disabled.")
        return Outcome(taken, False, None, None, "", error, was_sent=False)
    try:
        keys = signing.secrets(taken.variables)
    except signing.Unsigned as unsigned:
        return judged(taken, Answer(error=str(unsigned)), was_sent=False)
    headers = signing.headers(taken.message_id, taken.body, taken.trigger, keys=keys, at=timezone.now())
    return judged(taken, posting.post(taken.url, taken.body.encode(), headers))


def judged(taken: Taken, answer: Answer, *, was_sent: bool = True) -> Outcome:
    """What follows from an answer: it is delivered, or dead, or tried again.

    In: `was_sent` is false where the target was not asked at all, so that it is none of its failures.
    """
    at = timezone.now()
    next_try_at = None
    is_over = answer.is_yes or answer.status == GONE or at - taken.waiting_since >= patience.LIFE
    if not is_over:
        gap = patience.gap(taken.tries, is_hourly=taken.retry_hourly, is_daily=taken.retry_daily)
        asked = datetime.timedelta(seconds=min(answer.retry_after or 0, patience.LONGEST_REQUEST))
        next_try_at = at + max(gap, asked)
    error = answer.error[:255]
    return Outcome(taken, answer.is_yes, next_try_at, answer.status, answer.text, error, was_sent=was_sent)


def rouse() -> None:
    """Wake workers for every target at which something has come due. The worker's clock asks for it (`worker`).

    It is what retries, looks and unfinished business wait for: whatever a dead worker has left behind, in whichever
    moment it died, is due at some time, and found here.
    """
    with connection.cursor() as cursor:
        cursor.execute(DUE, {"now": timezone.now()})
        targets = [pk for (pk,) in cursor.fetchall()]
    if targets:
        outbox.wake(targets)


# One look into the index for each target and priority, however much waits.
DUE = """
    SELECT id FROM profiles_target
    WHERE muted_at IS NULL AND (opened_at IS NULL OR next_look_at <= %(now)s)
    AND EXISTS (
        SELECT 1 FROM profiles_delivery
        WHERE target_id = profiles_target.id AND state = 'waiting' AND priority IN (-1, 0, 1)
        AND next_try_at <= CASE WHEN opened_at IS NULL THEN %(now)s ELSE 'infinity' END
    )
"""
