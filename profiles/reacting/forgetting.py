"""Events, and the deliveries that they led to, are kept for a time only: their bodies are data of customers."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from profiles import reading

# One statement deletes so many events.
MOST_AT_ONCE = 1_000

# What is still on its way stays, and so does what came to its end only lately.
FORGET = """
    WITH old AS (
        SELECT event.id FROM profiles_event AS event
        WHERE event.created_at < %s AND event.taken_up_at IS NOT NULL AND NOT EXISTS (
            SELECT FROM profiles_delivery AS delivery
            WHERE delivery.event_id = event.id AND (delivery.state = 'waiting' OR delivery.finished_at >= %s)
        )
        ORDER BY event.created_at LIMIT %s
        FOR UPDATE SKIP LOCKED
    ), sent AS (
        DELETE FROM profiles_delivery WHERE event_id IN (SELECT id FROM old)
    )
    DELETE FROM profiles_event WHERE id IN (SELECT id FROM old) RETURNING id
"""


def forget_old() -> None:
    """Delete events that are older than `EVENT_DAYS`, once their deliveries have been finished for as long."""
    before = timezone.now() - timedelta(days=settings.EVENT_DAYS)
    while len(reading.once(FORGET, [before, before, MOST_AT_ONCE])) == MOST_AT_ONCE:
        pass
