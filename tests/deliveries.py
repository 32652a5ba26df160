"""What the tests of deliveries say often: put one, and let time pass."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.db import transaction
from django.utils import timezone

from profiles.auditing import By
from profiles.inserting import json_of
from profiles.models import Delivery, Event, Profile, Target, Webhook
from profiles.reacting import outbox, sending
from tests.working import work


def put(profile: Profile | None, url: str, by: By, body: Any = None, **webhook: Any) -> Delivery:
    """Tell of a new event, on behalf of a webhook of its own."""
    with transaction.atomic():
        event = Event.objects.create(trigger="profile.updated", profile=profile, subject_type="profile")
        hook = Webhook.objects.create(trigger="profile.updated", url=url, **{"user": by.user, **webhook})
        made = outbox.put(event, json_of({"first_name": "Ada"} if body is None else body), url=url, webhook=hook)
    assert made
    return made


def due_now() -> None:
    """Let the time pass that deliveries and looks wait for."""
    now = timezone.now()
    Delivery.objects.filter(state="waiting", next_try_at__gt=now).update(next_try_at=now, taken_until=None)
    Target.objects.filter(next_look_at__gt=now).update(next_look_at=now)


def go_on() -> None:
    due_now()
    sending.rouse()
    work()


def states() -> dict[str, int]:
    return dict(Counter(Delivery.objects.values_list("state", flat=True)))
