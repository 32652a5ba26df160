"""What staff do about targets and deliveries: mute a target, let it hear again, send once more what was dead, and look
at what was sent without masks."""

from __future__ import annotations

import datetime
from collections.abc import Collection

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from profiles import auditing
from profiles.auditing import By
from profiles.models import Delivery, Target
from profiles.reacting import outbox, patience
from profiles.reacting.taking import STEP, let_next
from profiles.refusing import Refused


def mute(target_id: int, *, by: By) -> Target:
    """Send nothing more to a target. What is to go there waits, for however long, and goes in its order when it is
    unmuted; what is being sent in this moment arrives all the same. Raises Target.DoesNotExist.
    """
    with transaction.atomic():
        target = Target.objects.select_for_update(no_key=True).get(pk=target_id)
        if target.muted_at is None:
            target.muted_at, target.muted_by = timezone.now(), by.user
            target.save(update_fields=["muted_at", "muted_by"])
            auditing.write([auditing.entry("muted", target, by=by)])
    return target


def unmute(target_id: int, *, by: By) -> Target:
    """Let a target hear again, also one that did not answer: it is tried at once. Raises Target.DoesNotExist.

    What waits for it may be tried for as long as what is made now, or else whatever fails first after days of peace
    would be given up.
    """
    with transaction.atomic():
        target = Target.objects.select_for_update(no_key=True).get(pk=target_id)
        if target.muted_at is not None:
            target.muted_at = target.muted_by = None
            target.unmuted_at = timezone.now()
            if target.opened_at is not None:
                target.opened_at = target.next_look_at = target.unmuted_at
            target.save(update_fields=["muted_at", "muted_by", "unmuted_at", "opened_at", "next_look_at"])
            auditing.write([auditing.entry("unmuted", target, by=by)])
            transaction.on_commit(lambda: outbox.wake([target_id]))
    return target


def reveal(delivery_id: int, *, by: By) -> Delivery:
    """Read a delivery for somebody who needs what was sent as it was; the audit says who and when, not what.

    Raises Delivery.DoesNotExist.
    """
    with transaction.atomic():
        row = Delivery.objects.select_related("profile").get(pk=delivery_id)
        auditing.write([auditing.entry("revealed", row, by=by, profile=row.profile)])
    return row


def send_again(delivery_ids: Collection[int], *, by: By) -> int:
    """Send these once more, as they were and under the same `webhook-id`, with a new time to be tried in.

    In: at most STEP of them. One that waits already is tried at once, when its turn has come. In its profile's order
    each has the place that it had, before whatever came later and still waits. Returns how many it is about; others
    are gone. Raises Refused `invalid` where they are too many.
    """
    if len(delivery_ids) > STEP:
        raise Refused("invalid", _("At most %(count)d deliveries are sent again at once.") % {"count": STEP})
    with transaction.atomic():
        rows = list(
            Delivery.objects.select_for_update(of=("self",))
            .filter(pk__in=delivery_ids)
            .order_by("pk")
            .only("pk", "target_id", "profile_id", "state", "taken_until")
            .select_related("profile")
        )
        now = timezone.now()
        over = [one.pk for one in rows if one.state != Delivery.State.WAITING]
        # Each has a time, so that the first of each line has one; that it is no other's turn is seen when it is taken.
        Delivery.objects.filter(pk__in=over).update(
            state=Delivery.State.WAITING, tries=0, next_try_at=now, waiting_since=now, finished_at=None
        )
        waiting = [one.pk for one in rows if one.pk not in set(over)]
        Delivery.objects.filter(pk__in=waiting, taken_until=None, next_try_at__gt=now).update(next_try_at=now)
        auditing.write([auditing.entry("sent again", one, by=by, profile=one.profile) for one in rows])
        targets = {one.target_id for one in rows}
        transaction.on_commit(lambda: outbox.wake(targets))
    return len(rows)


def dead_of(target_id: int) -> list[int]:
    """The oldest that a target was not given, as many as can be sent again at once."""
    dead = Delivery.objects.filter(target_id=target_id, state=Delivery.State.DEAD)
    return list(dead.order_by("pk").values_list("pk", flat=True)[:STEP])


def give_up() -> int:
    """Give up what is as old as a delivery may get, at targets that have not answered for as long. Returns how many.

    A target that is down is only looked at now and then: one look for each delivery would take for ever.
    """
    before = timezone.now() - patience.LIFE
    given_up = 0
    for pk in Target.objects.filter(opened_at__lt=before, muted_at=None).values_list("pk", flat=True):
        while count := _give_up_some(pk, before):
            given_up += count
    return given_up


def _give_up_some(target_id: int, before: datetime.datetime) -> int:
    """One step, in a transaction of its own. Those behind them in their lines are the first of these then."""
    error = _("The target did not answer for three days.")
    now = timezone.now()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(GIVE_UP, {"target": target_id, "before": before, "now": now, "error": error, "step": STEP})
        profiles = [profile for (profile,) in cursor.fetchall()]
        let_next(target_id, set(profiles) - {None}, now)
    return len(profiles)


GIVE_UP = """
    UPDATE profiles_delivery SET state = 'dead', finished_at = %(now)s, error = %(error)s, next_try_at = NULL
    WHERE id IN (
        SELECT id FROM profiles_delivery
        WHERE target_id = %(target)s AND state = 'waiting' AND waiting_since < %(before)s
        AND (taken_until IS NULL OR taken_until < %(now)s)
        ORDER BY id LIMIT %(step)s
        FOR UPDATE SKIP LOCKED
    )
    RETURNING profile_id
"""
