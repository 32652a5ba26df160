"""Do a thing once for each key that a caller gives it, and answer the same again (API.md 1, `Idempotency-Key`)."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from identities.holding import Changed, settle
from identities.models import IdempotencyRecord
from profiles.refusing import Refused

KEPT = datetime.timedelta(hours=24)

# Deleted at once, so that none of the transactions is a long one.
BATCH = 5_000

# The clocks of two servers never differ by more.
SKEW = datetime.timedelta(minutes=5)

# Answers of a day, read one after the other.
DELETE_TELLING = """
    DELETE FROM identities_idempotencyrecord
    WHERE created_at >= %s AND id <> ALL(%s::bigint[])
    AND EXISTS (SELECT 1 FROM unnest(%s::text[]) AS one (text) WHERE strpos(body, one.text) > 0)
"""

# Foreign keys are checked at the end of a transaction, which takes long where it has changed many rows: before a lock
# for which all others wait, that is done.
CHECKED = "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED; "

# By audit_by_event. The keys of erasures are in the order of their commits (`hold_back`).
LAST_ERASURE = "SELECT max(id) FROM profiles_audit WHERE event = 'erased'"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: str


def once(act: Callable[[], Answer], *, user: User, key: str, fingerprint: str) -> tuple[Answer, bool]:
    """Act and keep the answer, or give the one that was kept under this key in the last 24 hours.

    One transaction holds the change and its answer, so that no crash can keep one without the other. Whatever `act`
    changes in transactions of its own becomes part of it. When it deadlocks with another write it starts over as a
    whole, hence `act` may be called several times, and so it does when somebody was erased meanwhile, whom its answer
    may tell of. What `act` raises undoes everything, as an answer of 500 or more does: neither is kept.

    In: `fingerprint`, a digest of all that makes two requests the same, at most 64 characters. Out: the answer, and
    whether it was given before.
    Raises Refused: `idempotency_key_in_flight` while another call has the key, `idempotency_key_reused` when the
    answer is another request's. Raises Busy when every try met another writer.
    """

    overtaken = False

    def attempt() -> tuple[Answer, bool]:
        nonlocal overtaken
        if overtaken:
            # Once is enough: whoever erases many, one after the other, would have it start over until it gives up.
            _hold_erasures_back()
        last_erasure = _claim(user, key)
        # A statement of its own, that sees what the last one to hold the claim has committed.
        record = IdempotencyRecord.objects.filter(user=user, key=key).first()
        if record is not None and not _is_over(record):
            if record.fingerprint != fingerprint:
                message = _("This Idempotency-Key was sent with another request: send each request with its own.")
                raise Refused("idempotency_key_reused", message, field="Idempotency-Key")
            return Answer(record.status, record.headers, record.body), True
        if record is not None:
            record.delete()
        answer = act()
        if answer.status >= 500:
            transaction.set_rollback(True)
        else:
            if answer.body and not overtaken and not _outruns_erasures(last_erasure):
                overtaken = True
                raise Changed
            IdempotencyRecord.objects.create(
                user=user,
                key=key,
                fingerprint=fingerprint,
                status=answer.status,
                headers=answer.headers,
                body=answer.body,
            )
        return answer, False

    return settle(attempt)


def forget_expired() -> int:
    """Delete the answers that are older than 24 hours. Returns how many there were."""
    over = IdempotencyRecord.objects.filter(created_at__lte=timezone.now() - KEPT).order_by("created_at")
    forgotten = 0
    while keys := list(over.values_list("pk", flat=True)[:BATCH]):
        # Those that a request replaces meanwhile are new rows, with keys of their own.
        IdempotencyRecord.objects.filter(pk__in=keys).delete()
        forgotten += len(keys)
    return forgotten


def recent(since: datetime.datetime) -> list[int]:
    """The keys of the answers since then, as far as servers' clocks may differ."""
    return list(IdempotencyRecord.objects.filter(created_at__gte=since - SKEW).values_list("pk", flat=True))


def forget_telling(texts: Sequence[str], *, since: datetime.datetime | None = None, but: Collection[int] = ()) -> None:
    """Delete the answers with one of these texts in them. In: from when on there may be such, at the earliest; and the
    keys of those that were looked through."""
    since = since - SKEW if since else datetime.datetime.min.replace(tzinfo=datetime.UTC)
    with connection.cursor() as cursor:
        cursor.execute(DELETE_TELLING, [since, list(but), list(texts)])


def hold_back() -> None:
    """Let nobody keep an answer until this transaction ends.

    To be called by an erasure before it writes its entry of the audit. Whoever is about to keep an answer waits for
    its commit, and then finds that entry, so that no answer outlives a person by having been on its way.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"{CHECKED}SELECT pg_advisory_xact_lock(%s)", [_lock("answers")])


def _hold_erasures_back() -> None:
    """Keep erasures from their commit until this transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(f"{CHECKED}SELECT pg_advisory_xact_lock_shared(%s)", [_lock("answers")])


def _outruns_erasures(last: int | None) -> bool:
    """Whether none has committed since the one of this key in the audit; from here on none does, until this ends.

    Nothing comes after it but the answer's row. So that no circle of locks can come of it, whoever has this one asks
    for no profile any more.
    """
    _hold_erasures_back()
    with connection.cursor() as cursor:
        # A statement of its own, that sees what those who were waited for have committed.
        cursor.execute(LAST_ERASURE)
        return bool(cursor.fetchone() == (last,))


def _claim(user: User, key: str) -> int | None:
    """Hold the key until the transaction ends. Nobody waits for it: whoever comes second is told so.

    Returns the key of the last erasure in the audit, if there was one.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT pg_try_advisory_xact_lock(%s), ({LAST_ERASURE})",  # noqa: S608 - a statement of ours
            [_lock(f"idempotency {user.pk} {key}")],
        )
        is_held, last_erasure = cursor.fetchone() or (False, None)
    if not is_held:
        message = _("A request with this Idempotency-Key is still under way. Send it again in a moment.")
        raise Refused("idempotency_key_in_flight", message)
    return last_erasure


def _lock(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)


def _is_over(record: IdempotencyRecord) -> bool:
    return record.created_at <= timezone.now() - KEPT
