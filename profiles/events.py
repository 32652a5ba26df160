"""What happened, for whoever listens: recorded in the transaction of the change, so that neither is without the other.

Every operation audits what it changes (`auditing`), so that this is the one place where events come from. Where nobody
listens, the statement that writes the audit has said so, and nothing else is asked.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import cache
from typing import Any

from profiles import reading
from profiles.inserting import document, given, unsaved
from profiles.models import Audit, Event

CREATED, UPDATED = "profile.created", "profile.updated"
# Of a profile; points that are nobody's are no balance.
BALANCE_UPDATED = "balance.updated"

# What is told of, by the kind of row and the event of its audit entry (API.md 7).
TRIGGERS = {
    ("profile", "created"): CREATED,
    ("profile", "updated"): UPDATED,
    ("profile", "undeleted"): UPDATED,
    ("profile", "split"): UPDATED,
    ("profile", "deleted"): "profile.deleted",
    ("profile", "erased"): "profile.deleted",
    ("profile", "merged"): "profile.merged",
    ("profile", "unmerged"): "profile.unmerged",
    ("custom_attribute", "created"): UPDATED,
    ("custom_attribute", "updated"): UPDATED,
    ("custom_attribute", "deleted"): UPDATED,
    ("identity", "created"): "identity.created",
    ("identity", "updated"): "identity.updated",
    ("identity", "moved"): "identity.moved",
    # Of a deleted profile's, which left it free.
    ("identity", "taken over"): "identity.moved",
    ("identity", "deleted"): "identity.deleted",
    ("transaction", "created"): "transaction.created",
    ("transaction", "updated"): "transaction.updated",
    ("transaction", "moved"): "transaction.updated",
    ("transaction", "deleted"): "transaction.deleted",
    ("interaction", "created"): "interaction.created",
    **{
        (kind, event): BALANCE_UPDATED
        for kind in ("points", "reward")
        for event in ("created", "updated", "moved", "deleted")
    },
}

# No audit tells of it, since nobody has done anything.
DUPLICATE_DETECTED = "duplicate.detected"

KNOWN = tuple(dict.fromkeys([*TRIGGERS.values(), DUPLICATE_DETECTED]))

# Which triggers somebody listens to, as an expression for the statement that writes what may be one.
LISTENED = """
    ARRAY(
        SELECT trigger FROM profiles_webhook WHERE is_active
        UNION SELECT trigger FROM profiles_reaction WHERE is_active
    )
"""

# Where the jobs wait.
QUEUE = "reactions"

# An event that so many reactions have led to, one through the other, is told to nobody: they go in a circle.
MOST_DEPTH = 5

_depth: ContextVar[int] = ContextVar("depth", default=0)
_is_untold: ContextVar[bool] = ContextVar("is_untold", default=False)
# What reactions to one event have led to so far.
_gathered: ContextVar[list[Event] | None] = ContextVar("gathered", default=None)


@contextlib.contextmanager
def caused_by(event: Event) -> Iterator[list[Event]]:
    """Let what is changed meanwhile be known as the consequence of reactions to this event.

    It is stored at the end, each row once per trigger: however many values reactions set of a profile, that is one
    change of it, or else each would be told of to all of them again, and so on. Yields what has been gathered, for
    whoever rolls a savepoint back to take out what was changed since.
    """
    gathered: list[Event] = []
    forget_depth, forget_gathered = _depth.set(event.depth + 1), _gathered.set(gathered)
    try:
        yield gathered
    finally:
        _depth.reset(forget_depth)
        _gathered.reset(forget_gathered)
    found: dict[tuple[str, str, str], Event] = {}
    for one in gathered:
        found.setdefault((one.trigger, one.subject_type, one.subject_key), one)
    write(list(found.values()))


@contextlib.contextmanager
def untold() -> Iterator[None]:
    """Let what is changed meanwhile be no event: for millions of rows, of which a sync can tell afterwards."""
    forget = _is_untold.set(True)
    try:
        yield
    finally:
        _is_untold.reset(forget)


def record(entries: Iterable[Audit], listened: Collection[str] | None) -> None:
    """Record what these changes are to those who listen, each row once per trigger. In: the triggers of LISTENED.

    Must run in the transaction of the change, under the lock of the profile, so that the events of one profile are
    numbered in the order of their commits.
    """
    if not listened:
        return
    found: dict[tuple[str, str, str, int], Event] = {}
    new: set[uuid.UUID | None] = set()
    for entry in entries:
        trigger = TRIGGERS.get((entry.auditable_type, entry.event))
        if trigger == CREATED:
            new.add(entry.profile_id)
        if trigger is None or trigger not in listened or entry.is_hidden:
            continue
        if trigger == UPDATED and entry.profile_id in new:
            # What it was made with, is no change of it.
            continue
        for place, facts in enumerate(entry.facts() if entry.facts is not None else [{}]):
            for event in _events(trigger, entry, facts):
                found.setdefault((trigger, event.subject_type, event.subject_key, place), event)
    write(list(found.values()))


def listens(trigger: str) -> bool:
    """Whether anybody listens to this trigger: for what has to be known before the change."""
    is_listened: bool = reading.rows(f"SELECT %s::text = ANY({LISTENED})", [trigger])[0][0]  # noqa: S608 - constants
    return is_listened


def write(events: Sequence[Event]) -> None:
    """Store events, each with a job that takes it up: those of one profile one after the other.

    Nobody is notified, unlike of other jobs: whoever commits with a notification waits for everybody else who does so,
    to the end of their writing to disk. Workers look for events by themselves, every moment (migration 0022).
    """
    if not events or events[0].depth > MOST_DEPTH or _is_untold.get():
        return
    gathered = _gathered.get()
    if gathered is not None:
        gathered += events
    else:
        reading.once(_statement(), [document(events)])


def made(trigger: str, subject_type: str, subject_key: object, **values: object) -> Event:
    """An event that is not stored yet. In: other columns of it, such as `profile_id` and `facts`."""
    return unsaved(
        Event,
        trigger=trigger,
        subject_type=subject_type,
        subject_key=str(subject_key),
        depth=_depth.get(),
        **values,
    )


def _events(trigger: str, entry: Audit, more: Mapping[str, Any]) -> Iterator[Event]:
    facts = {"event": entry.event, "old": entry.old_values, "new": entry.new_values, **more}
    if not trigger.startswith(("profile.", "balance.")):
        yield made(trigger, entry.auditable_type, entry.auditable_key, profile_id=entry.profile_id, facts=facts)
        return
    if entry.event == "erased":
        # Nothing refers to it any more.
        yield made(trigger, entry.auditable_type, entry.auditable_key, facts={**more, "event": entry.event})
        return
    # What is of the profile is told as the profile; what went from one to another, as both.
    others = {"moved": entry.old_values, "split": entry.new_values}.get(entry.event, {})
    for pk in dict.fromkeys([entry.profile_id, others.get("profile_id")]):
        if pk is not None:
            yield made(trigger, "profile", pk, profile_id=pk, facts=facts)


@cache
def _statement() -> str:
    columns = ", ".join(f'"{field.column}"' for field in Event._meta.concrete_fields if not field.primary_key)
    return f"""
        WITH event AS (
            INSERT INTO profiles_event ({columns}) SELECT {columns} FROM {given(Event)} ORDER BY place
            RETURNING id, profile_id, subject_type, subject_key
        )
        INSERT INTO procrastinate_jobs (queue_name, task_name, lock, args)
        SELECT '{QUEUE}', 'profiles.tasks.react',
            'event/' || coalesce(profile_id::text, subject_type || '/' || subject_key),
            jsonb_build_object('event_id', id)
        FROM event ORDER BY id
        RETURNING id
    """  # noqa: S608 - names of our own
