"""Keep erased pairs out: late copies of what was deleted for good must not bring a person back (API.md 4)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from identities.models import BUILT_IN, ErasedPair, Pair
from profiles import auditing, reading
from profiles.auditing import By
from profiles.refusing import Refused

# In the order of the pairs, however many there are: two erasures of the same ones must not deadlock.
BAR = """
    INSERT INTO identities_erasedpair (handle, digest, erased_at)
    SELECT erased.handle, erased.digest, %s FROM unnest(%s::text[], %s::text[]) AS erased (handle, digest)
    ON CONFLICT DO NOTHING
"""

ERASED = """
    SELECT asked.handle, asked.digest FROM unnest(%s::text[], %s::text[]) AS asked (handle, digest)
    JOIN identities_erasedpair AS erased ON erased.handle = asked.handle AND erased.digest = asked.digest
"""


def digest(identifier: str) -> str:
    """What is kept of an erased identifier: its HMAC-SHA256 by ERASURE_KEY, in hexadecimal digits.

    Identifiers are few enough to be guessed one after the other, phone numbers above all, so that a digest without a
    key would hide nothing. The handle is no part of it, since handles get other names.
    """
    return hmac.digest(settings.ERASURE_KEY.encode(), identifier.encode(), hashlib.sha256).hex()


def bar(pairs: Iterable[Pair]) -> None:
    """Keep these pairs out from now on. Must run in the transaction that deletes their identities."""
    rows = [(pair.handle, digest(pair.identifier)) for pair in sorted(pairs)]
    with connection.cursor() as cursor:
        cursor.execute(BAR, [timezone.now(), [handle for handle, _digest in rows], [one for _handle, one in rows]])


def among(pairs: Collection[Pair]) -> set[Pair]:
    """Which of these pairs, in normal form, were erased. One statement, none for no pairs."""
    if not pairs:
        return set()
    digests = {(pair.handle, digest(pair.identifier)): pair for pair in pairs}
    found = reading.rows(ERASED, [[handle for handle, _digest in digests], [one for _handle, one in digests]])
    return {digests[handle, one] for handle, one in found}


def find(pair: Pair) -> ErasedPair | None:
    """What keeps this pair, in normal form, out; nothing for one that was not erased, or was let in again."""
    return ErasedPair.objects.filter(handle=pair.handle, digest=digest(pair.identifier)).first()


def refusal(pair: Pair) -> Refused:
    """The refusal of an erased pair; it does not repeat what was sent, which is not to be kept anywhere."""
    message = _("The person who was known by this was erased. Staff can let it in again.")
    return Refused("identity_erased", message, field=pair.handle if pair.handle in BUILT_IN else "identifier")


def let_in(erased: ErasedPair, *, by: By) -> None:
    """Let an erased pair in again: whoever writes it next makes it anew. Raises ErasedPair.DoesNotExist."""
    with transaction.atomic():
        erased = ErasedPair.objects.select_for_update().get(pk=erased.pk)
        auditing.write([auditing.entry("deleted", erased, by=by, old={"handle": erased.handle})])
        erased.delete()


def follow_handle(former: str, name: str) -> None:
    """Let what was erased under one name of a handle be known under another one, which its pairs get now.

    What identifiers look like under another normaliser cannot be told of a digest: they are known by the normal form
    of their day only.
    """
    there = ErasedPair.objects.filter(handle=name)
    leaving = ErasedPair.objects.filter(handle=former)
    leaving.filter(digest__in=there.values("digest")).delete()
    leaving.update(handle=name)
