"""Do a thing once for each key that a caller gives it, and answer the same again (API.md 1, `Idempotency-Key`)."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from identities.holding import settle
from identities.models import IdempotencyRecord
from profiles.refusing import Refused

KEPT = datetime.timedelta(hours=24)

# Deleted at once, so that none of the transactions is a long one.
BATCH = 5_000


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: str


def once(act: Callable[[], Answer], *, user: User, key: str, fingerprint: str) -> tuple[Answer, bool]:
    """Act and keep the answer, or give the one that was kept under this key in the last 24 hours.

    One transaction holds the change and its answer, so that no crash can keep one without the other. Whatever `act`
    changes in transactions of its own becomes part of it. When it deadlocks with another write it starts over as a
    whole, hence `act` may be called several times. What `act` raises undoes everything, as an answer of 500 or more
    does: neither is kept.

    In: `fingerprint`, a digest of all that makes two requests the same, at most 64 characters. Out: the answer, and
    whether it was given before.
    Raises Refused: `idempotency_key_in_flight` while another call has the key, `idempotency_key_reused` when the
    answer is another request's. Raises Busy when every try met another writer.
    """

    def attempt() -> tuple[Answer, bool]:
        _claim(user, key)
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


def _claim(user: User, key: str) -> None:
    """Hold the key until the transaction ends. Nobody waits for it: whoever comes second is told so."""
    name = hashlib.sha256(f"idempotency {user.pk} {key}".encode()).digest()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [int.from_bytes(name[:8], signed=True)])
        (is_held,) = cursor.fetchone() or (False,)
    if not is_held:
        message = _("A request with this Idempotency-Key is still under way. Send it again in a moment.")
        raise Refused("idempotency_key_in_flight", message)


def _is_over(record: IdempotencyRecord) -> bool:
    return record.created_at <= timezone.now() - KEPT
