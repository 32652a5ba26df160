"""Have profiles be told of again to whoever listens (API.md 3, POST /profiles/sync)."""

from __future__ import annotations

import datetime
import uuid

from django.db import transaction
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from profiles import auditing, events, reading
from profiles.auditing import By
from profiles.models import Audit

# By its name: a task is an interface, which calls this operation.
TASK = "profiles.tasks.tell_again"

TRIGGER = "profile.updated"

# One transaction records so many events. Their jobs come before the next step, which waits for them in the queue.
MOST_AT_ONCE = 500

FIRST = ("-infinity", uuid.UUID(int=0))

CHANGED = """
    SELECT id, updated_at::text FROM profiles_profile
    WHERE (updated_at, id) > (%s::timestamptz, %s::uuid) AND updated_at >= %s::timestamptz AND updated_at <= %s
      AND profile_type <> 'deleted' AND merged_into_id IS NULL
    ORDER BY updated_at, id LIMIT %s
"""


def ask(since: datetime.datetime | None, *, by: By) -> Audit:
    """Keep who asked for the profiles that were changed since then, None for all, and have the worker tell of them."""
    entry = auditing.entry("sync asked", by.user, by=by, new={"updated_at": since})
    with transaction.atomic():
        auditing.write([entry])
        _go_on(entry.pk, *FIRST)
    return entry


def tell(audit_id: int, updated_at: str, profile_id: uuid.UUID) -> None:
    """Record `profile.updated` of the next of the live profiles that were asked for, in the order of their changes.

    In: the request, and the change and the id of the last profile told of. What was changed after the request has been
    told of by itself. Each step commits with the job of the next, so that one that was cut short begins where it did;
    if two workers do the same one at once, the rest may be told of twice. Nothing is done while nobody listens.
    """
    with transaction.atomic():
        asked = Audit.objects.select_for_update(of=("self",)).filter(pk=audit_id).first()
        if asked is None or not events.listens(TRIGGER):
            return
        since = asked.new_values["updated_at"] or FIRST[0]
        known = [updated_at, profile_id, since, asked.created_at, MOST_AT_ONCE]
        found = reading.once(CHANGED, known)
        facts = {"event": "synced"}
        events.write([events.made(TRIGGER, "profile", pk, profile_id=pk, facts=facts) for pk, _at in found])
        if len(found) == MOST_AT_ONCE:
            pk, at = found[-1]
            _go_on(audit_id, at, pk)


def _go_on(audit_id: int, updated_at: str, profile_id: uuid.UUID) -> None:
    step = f"tell again/{audit_id}/{profile_id}"
    task = app.configure_task(TASK, allow_unknown=False, lock="tell again", queueing_lock=step)
    try:
        with transaction.atomic():
            task.defer(audit_id=audit_id, updated_at=updated_at, profile_id=str(profile_id))
    except AlreadyEnqueued:
        # Another worker has just done the same step.
        return
