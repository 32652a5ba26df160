"""What the tests say often, said shortly."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

import pytest

from identities import adding, claiming, recording, routing
from identities.handles import Sent
from identities.incoming import Incoming
from identities.models import BUILT_IN, Extension, Identity, IdentityClaim
from identities.outcomes import Routed
from identities.recording import Recorded
from profiles import integrity, merging
from profiles.auditing import By
from profiles.models import (
    RECORDS,
    Interaction,
    Merge,
    Move,
    Point,
    Profile,
    Record,
    Reward,
    Transaction,
)
from profiles.models.record import of_kind

R = TypeVar("R", bound=Record)

NOON = datetime.datetime(2026, 11, 25, 12, tzinfo=datetime.UTC)

# The least that a record of each kind must have.
FIELDS: dict[type[Record], dict[str, Any]] = {
    Transaction: {"total": Decimal("19.99"), "transacted_at": NOON, "timezone": "Australia/Melbourne"},
    Interaction: {"action": "visit", "channel": "location", "signal": 1, "name": "Visit", "namespace": "shop"},
    Point: {"value_initial": Decimal(10), "value_remaining": Decimal(10), "issued_at": NOON},
    Reward: {"value_initial": Decimal(5), "value_remaining": Decimal(5), "issued_at": NOON, "timezone": "UTC"},
}

every_kind = pytest.mark.parametrize("kind", FIELDS)


def sent(pair: str) -> Sent:
    """ "loyalty-card:1804974" as a pair that somebody sent."""
    handle, _colon, identifier = pair.partition(":")
    return Sent(handle, identifier)


def route(
    *pairs: str | Sent,
    by: By,
    source: Extension | None = None,
    contact: Mapping[str, str | None] | None = None,
    **fields: Any,
) -> Routed[Profile]:
    """Route a profile that was sent with these pairs, contact points and fields."""
    pairs_sent = [sent(pair) if isinstance(pair, str) else pair for pair in pairs]
    return routing.route(pairs_sent, fields=fields, contact=contact or {}, by=by, source=source)


def known(*pairs: str, by: By, **fields: Any) -> Profile:
    """A profile that is known by these pairs, and has these fields and contact points."""
    contact: dict[str, Any] = {name: fields.pop(name) for name in BUILT_IN if name in fields}
    return route(*pairs, by=by, contact=contact, **fields).profile


def merge(survivor: Profile, *duplicates: Profile, by: By, **more: Any) -> list[Merge]:
    """Make the duplicates part of the survivor."""
    return merging.merge(survivor.pk, [one.pk for one in duplicates], by=by, **more).merges


def undo(merge: Merge, *, by: By) -> merging.Undo:
    """Take a merge back."""
    return merging.undo(merge.pk, by=by)


def value_of(profile: Profile, name: str) -> Any:
    """What the column of the profile holds today."""
    return getattr(Profile.objects.get(pk=profile.pk), name)


def add(profile: Profile, pair: str | Sent, *, by: By, source: Extension | None = None) -> Identity:
    """Give the profile one more identity."""
    one = sent(pair) if isinstance(pair, str) else pair
    return adding.add(profile.pk, one, by=by, source=source).identity


def claim(profile: Profile, pair: str, *, by: By, source: Extension | None = None) -> IdentityClaim:
    """The claim of this profile's customer that the pair is theirs."""
    row = claiming.claim(profile.pk, sent(pair), by=by, source=source).row
    assert isinstance(row, IdentityClaim)
    return row


def claim_contact(profile: Profile, *, by: By, **contact: str | None) -> None:
    """The customer says what their `email` or `mobile_phone` is."""
    claiming.update(profile.pk, fields={}, contact=contact, by=by, source=None)


def claims_of(profile: Profile) -> list[str]:
    """Every pair that the profile claims, contact points too."""
    return sorted(str(one.pair) for one in profile.claims.all())


def update(profile: Profile, *, by: By, source: Extension | None = None, **fields: Any) -> Profile:
    """Change fields and contact points of the profile."""
    contact: dict[str, Any] = {name: fields.pop(name) for name in ("email", "mobile_phone") if name in fields}
    return routing.update(profile.pk, fields=fields, contact=contact, by=by, source=source)


def incoming(
    kind: type[Record],
    *pairs: str,
    named: uuid.UUID | None = None,
    bare: str | None = None,
    items: Sequence[Mapping[str, Any]] | None = None,
    **fields: Any,
) -> Incoming:
    """A record as it comes in, with no more than it must have unless `fields` say more."""
    return Incoming({**FIELDS[kind], **fields}, items, [sent(pair) for pair in pairs], named, bare)


def come(
    kind: type[Record], *pairs: str, by: By, source: Extension | None = None, upsert: bool = False, **more: Any
) -> Recorded[Any]:
    """A record comes in with these pairs; see `incoming`."""
    return recording.record(kind, incoming(kind, *pairs, **more), upsert=upsert, by=by, source=source)


def came(kind: type[R], *pairs: str, items: Sequence[str] = (), **more: Any) -> R:
    """The record that has come in with these pairs, and with one each of these items."""
    bought = [
        {"name": name, "quantity": Decimal(1), "price_current": Decimal(12), "price_sell": Decimal("9.95")}
        for name in items
    ]
    record: R = come(kind, *pairs, items=bought or None, **more).record
    return record


def change(record: Record, *pairs: str, by: By, source: Extension | None = None, **more: Any) -> Recorded[Any]:
    """The record on file is changed by what comes in with these pairs: only the columns that are named."""
    named, bare, items = (more.pop(name, None) for name in ("named", "bare", "items"))
    sent_now = Incoming(more, items, [sent(pair) for pair in pairs], named, bare)
    return recording.change(type(record), record.pk, sent_now, by=by, source=source)


def records_of(profile: Profile | None) -> list[Record]:
    """Every record of the profile, or of nobody."""
    return [row for model in RECORDS.values() for row in of_kind(model).filter(profile=profile).order_by("pk")]


def pairs_of(profile: Profile) -> list[str]:
    """Every pair that the profile holds, contact points too."""
    return sorted(str(identity.pair) for identity in profile.identities.all())


def everything_of(profile: Profile) -> dict[str, Any]:
    """All that is stored of a profile, for asking whether any of it has changed."""
    return {
        "columns": Profile.objects.filter(pk=profile.pk).values().get(),
        "identities": list(profile.identities.order_by("pk").values()),
        "records": [(row.kind, row.pk) for row in records_of(profile)],
    }


def assert_sound() -> None:
    """What holds in the whole database between any two writes, whoever made them."""
    assert [(one.invariant.name, one.rows) for one in integrity.broken()] == []
    for profile in Profile.objects.all():
        national = f"+{profile.mobile_phone_country or ''}{profile.mobile_phone_national}"
        assert national == (profile.mobile_phone or "+")
    for kind, model in RECORDS.items():
        moved = set(Move.objects.filter(subject_type=kind).values_list("subject_key", flat=True))
        for record in of_kind(model).select_related("brought_by"):
            assert_record_is_sound(record, was_moved=str(record.pk) in moved)


def assert_record_is_sound(record: Record, *, was_moved: bool) -> None:
    """How a record came agrees with where it is."""
    decided_by = Record.DecidedBy(record.decided_by)
    assert (record.brought_by_handle in BUILT_IN) == (decided_by == Record.DecidedBy.CONTACT) or (
        decided_by == Record.DecidedBy.NEW
    )
    assert (record.profile_id is None) == (decided_by == Record.DecidedBy.NOBODY) or was_moved
