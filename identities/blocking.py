"""Read only: which identities have a value that is to be blocked, and what have they brought?"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from django.db.models import Q, QuerySet

from identities import surveying
from identities.models import BlockedIdentifier, Identity, Pair, bare
from identities.surveying import Listed
from profiles.models import RECORDS
from profiles.models.record import of_kind

# The spellings in which a value is looked for: as it is, in capitals, and in each kind of quotes.
QUOTES = ("", '"', "'", "`")


# Records are counted no further.
MOST_COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class Named:
    """An identity that has the value."""

    pk: int
    profile_id: uuid.UUID
    handle: str
    identifier: str


@dataclass(slots=True)
class Touched:
    """The identities found, by handle, and of how many profiles.

    `read` is how many of the newest identities were read, None where an index told them all; `is_cut` when there are
    more. `records` is how many records of each kind came by them, each counted up to MOST_COUNTED; None where the
    identities were not told by an index, and may be too many to ask.
    """

    identities: Listed[Named] = field(default_factory=Listed)
    handles: Counter[str] = field(default_factory=Counter)
    profiles: set[uuid.UUID] = field(default_factory=set)
    read: int | None = None
    is_cut: bool = False
    records: dict[str, int] | None = None


def touched(blocked: BlockedIdentifier) -> Touched:
    """Say which identities stand under a value that is to be blocked. Changes nothing.

    In: an entry that has passed its `clean()`, stored or not. An exact value is looked for by the index, in its usual
    spellings; for a regular expression the newest `surveying.MOST_READ` identities are read.
    """
    found, keys = Touched(), list[int]()
    rows = _spelled(blocked) if blocked.kind == BlockedIdentifier.Kind.EXACT else _newest(blocked, found)
    for row in rows:
        if blocked.blocks(row.handle, bare(row.identifier)[:255]):
            found.identities.add(row)
            found.handles[row.handle] += 1
            found.profiles.add(row.profile_id)
            keys.append(row.pk)
    if blocked.kind == BlockedIdentifier.Kind.EXACT:
        found.records = _brought(keys)
    return found


def blocked_among(pairs: Collection[Pair]) -> set[Pair]:
    """Those of these pairs, in their normal form, whose values are blocked already. One query."""
    values = {pair: bare(pair.identifier)[:255] for pair in pairs}
    is_asked = Q(kind=BlockedIdentifier.Kind.REGEX) | Q(value__in=set(values.values()))
    entries = list(BlockedIdentifier.objects.filter(is_asked, enabled=True)) if values else []
    return {pair for pair, value in values.items() if any(entry.blocks(pair.handle, value) for entry in entries)}


def _brought(identity_ids: Collection[int]) -> dict[str, int]:
    if not identity_ids:
        return {}
    came = {kind: of_kind(model).filter(brought_by__in=identity_ids).order_by() for kind, model in RECORDS.items()}
    counted = {kind: rows[: MOST_COUNTED + 1].count() for kind, rows in came.items()}
    return {kind: number for kind, number in counted.items() if number}


def _spelled(blocked: BlockedIdentifier) -> Iterator[Named]:
    cases = {blocked.value, blocked.value.upper(), blocked.value.capitalize(), blocked.value.title()}
    spellings = [f"{quote}{text}{quote}" for text in cases for quote in QUOTES]
    rows = Identity.objects.filter(identifier__in=spellings)
    if blocked.handle_id is not None:
        rows = rows.filter(handle=blocked.handle_id)
    return _named(rows.order_by("handle_id", "identifier"))


def _newest(blocked: BlockedIdentifier, found: Touched) -> Iterator[Named]:
    rows = Identity.objects.order_by("-pk")
    if blocked.handle_id is not None:
        rows = Identity.objects.of_handle(blocked.handle_id, newest_first=True)
    most = surveying.MOST_READ
    beyond = rows.values_list("pk", flat=True)[most : most + 1].first()
    found.read, found.is_cut = rows[:most].count(), beyond is not None
    if beyond is not None:
        rows = rows.filter(pk__gt=beyond)
    while chunk := list(_named(rows[: surveying.CHUNK])):
        yield from chunk
        rows = rows.filter(pk__lt=chunk[-1].pk)


def _named(rows: QuerySet[Identity]) -> Iterator[Named]:
    for values in rows.values_list("pk", "profile_id", "handle_id", "identifier"):
        yield Named(*values)
