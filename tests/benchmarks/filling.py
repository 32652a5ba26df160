"""Rows of single profiles, put beside the made-up population by COPY: what a benchmark then works on."""

from __future__ import annotations

import datetime
import itertools
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from django.db import connection, models
from django.utils import timezone

from identities.models import Handle, Identity, brought
from profiles.models import (
    Interaction,
    Point,
    Profile,
    Record,
    Reward,
    Transaction,
    TransactionItem,
)

# What a profile's identities are of, one after the other.
HANDLES = ("pos", "loyalty-card", "zendesk")

ITEMS = 2

DAY = datetime.timedelta(days=1)

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Has:
    """How many rows of each kind a profile is to have. Each transaction has two items."""

    identities: int
    transactions: int = 0
    interactions: int = 0
    points: int = 0
    rewards: int = 0

    @classmethod
    def mixed(cls, *, identities: int, records: int) -> Has:
        """Of ten records four sales, three interactions, two points, one reward."""
        tenth = records // 10
        return cls(identities, 4 * tenth, 3 * tenth, 2 * tenth, tenth)


def profile(has: Has, **fields: object) -> Profile:
    """Make a profile with so many rows, each record brought by one of its identities, the newest of today."""
    one = Profile.objects.create(**fields)
    identities = _identities(one, has.identities)
    put(Identity, identities)
    transactions = _records(Transaction, has.transactions, one, identities)
    put(Transaction, transactions)
    items = ((sale, position) for sale in transactions for position in range(ITEMS))
    keys = iter(_keys(TransactionItem, ITEMS * has.transactions))
    put(TransactionItem, (_item(next(keys), sale, position) for sale, position in items))
    put(Interaction, _records(Interaction, has.interactions, one, identities))
    put(Point, _records(Point, has.points, one, identities))
    put(Reward, _records(Reward, has.rewards, one, identities))
    return one


def put(model: type[models.Model], rows: Iterable[models.Model]) -> None:
    """Write rows as they are, keys and all."""
    fields = model._meta.concrete_fields
    columns = ", ".join(f'"{one.column}"' for one in fields)
    with (
        connection.cursor() as cursor,
        cursor.copy(f'COPY "{model._meta.db_table}" ({columns}) FROM STDIN') as copy,
    ):
        for row in rows:
            copy.write_row([one.get_db_prep_save(getattr(row, one.attname), connection) for one in fields])


def _keys(model: type[models.Model], size: int) -> list[int]:
    sql = "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)"
    with connection.cursor() as cursor:
        cursor.execute(sql, [model._meta.db_table, size])
        return [key for (key,) in cursor.fetchall()]


def _identities(profile: Profile, size: int) -> list[Identity]:
    handles = itertools.cycle(Handle.objects.in_bulk(HANDLES)[name] for name in HANDLES)
    return [
        Identity(pk=key, profile=profile, handle=handle, identifier=uuid.uuid4().hex, is_primary=position == 0)
        for position, (key, handle) in enumerate(zip(_keys(Identity, size), handles, strict=False))
    ]


def _records(kind: type[R], size: int, profile: Profile, identities: Sequence[Identity]) -> list[R]:
    now, rows = timezone.now(), []
    for position, key in enumerate(_keys(kind, size)):
        by = identities[position % len(identities)]
        at = now - DAY * ((size - position) % 1_000)
        common = {"profile": profile, "decided_by": Record.DecidedBy.IDENTITY, "created_at": at, "updated_at": at}
        rows.append(kind(pk=key, **common, **brought(by), **_own(kind, position, at)))
    return rows


def _own(kind: type[Record], position: int, at: datetime.datetime) -> dict[str, object]:
    """What only one kind of record has."""
    if kind is Transaction:
        words = {"external_id": uuid.uuid4().hex, "receipt_ref": f"R{position}", "timezone": "Australia/Melbourne"}
        return {**words, "total": 20, "transacted_at": at, "location_id": f"shop-{position % 40}"}
    if kind is Interaction:
        words = {"action": "visit", "channel": "location", "name": "Visit", "namespace": "shop"}
        return {**words, "signal": 0, "interacted_at": at}
    # Of three the first is spent, the second does not expire, and some of the third have expired.
    left = {"value_initial": 10, "value_remaining": position % 3 * 5}
    expires_at = at + 365 * DAY if position % 3 == 2 else None
    more = {"timezone": "UTC"} if kind is Reward else {}
    return {**left, **more, "issued_at": at, "expires_at": expires_at}


def _item(key: int, sale: Transaction, position: int) -> TransactionItem:
    return TransactionItem(
        pk=key, transaction=sale, position=position, name="Shirt", quantity=1, price_current=10, price_sell=10
    )
