from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from django.db import models

from profiles import events
from profiles.inserting import insert, insert_with, unsaved
from profiles.models import Audit, Profile

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@dataclass(frozen=True, slots=True)
class By:
    """Who does it, and through what: the `by=` of every operation.

    The user decides nothing here (permissions are the interfaces' affair); the rest is what the audit keeps of the
    request, and stays empty for a command.
    """

    user: User
    token_name: str = ""
    url: str = ""
    ip_address: str | None = None
    user_agent: str = ""


def entry(
    event: str,
    row: models.Model,
    *,
    by: By,
    profile: Profile | None = None,
    old: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
) -> Audit:
    """Prepare the audit entry of one change; `write` stores it in the transaction of the change."""
    return unsaved(
        Audit,
        by_id=by.user.pk,
        event=event,
        auditable_type=kind_of(type(row)),
        auditable_key=str(row.pk),
        profile_id=profile.pk if profile is not None else None,
        old_values=dict(old or {}),
        new_values=dict(new or {}),
        url=by.url[:512],
        ip_address=by.ip_address,
        token_name=by.token_name,
        user_agent=by.user_agent[:512],
    )


@cache
def kind_of(model: type[models.Model]) -> str:
    """The word by which the audit knows the rows of a model."""
    return model._meta.verbose_name_raw.lower().replace(" ", "_")


# The entries of an operation that stores them at its end.
_gathered: ContextVar[list[Audit] | None] = ContextVar("gathered", default=None)


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Store what is written meanwhile in one statement at the end, so that a profile of which several things were
    changed at once is told of once. No savepoint may be rolled back meanwhile and its rest go on."""
    if _gathered.get() is not None:
        yield
        return
    entries: list[Audit] = []
    forget = _gathered.set(entries)
    try:
        yield
    finally:
        _gathered.reset(forget)
    _store(entries)


def write(entries: Iterable[Audit]) -> None:
    """Store these entries, and the events that they are to whoever listens."""
    rows, gathered = list(entries), _gathered.get()
    if gathered is None:
        _store(rows)
        return
    gathered += rows
    if any(row.facts for row in rows):
        # What it is to tell may be gone at the end.
        _store(gathered)
        gathered.clear()


def _store(rows: Sequence[Audit]) -> None:
    events.record(rows, insert(rows, asking=events.LISTENED))


def write_with(row: models.Model, entry: Audit, parts: Mapping[str, Sequence[models.Model]]) -> bool:
    """Insert a new row together with what tells of it, and with rows that refer to it, as `insert_with` does.

    Returns whether it has been inserted.
    """
    is_made, listened = insert_with(row, {**parts, "auditable_key": [entry]}, asking=events.LISTENED)
    if is_made:
        entry.auditable_key = str(row.pk)
        events.record([entry], listened)
    return is_made
