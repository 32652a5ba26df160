"""Incoming records find their profile: the rules of API.md 4, one by one."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from typing import Any

import pytest

from identities import recording
from identities.models import Identity
from identities.recording import Incoming
from profiles.auditing import By
from profiles.models import Interaction, Point, Profile, Reward, Transaction
from tests.cast import pairs_of, route, sent

NOON = datetime.datetime(2026, 11, 25, 12, tzinfo=datetime.UTC)

FIELDS: dict[type, dict[str, Any]] = {
    Transaction: {"total": Decimal("19.99"), "transacted_at": NOON, "timezone": "Australia/Melbourne"},
    Interaction: {"action": "visit", "channel": "location", "signal": 1, "name": "Visit", "namespace": "shop"},
    Point: {"value_initial": Decimal(10), "value_remaining": Decimal(10), "issued_at": NOON},
    Reward: {"value_initial": Decimal(5), "value_remaining": Decimal(5), "issued_at": NOON, "timezone": "UTC"},
}

every_kind = pytest.mark.parametrize("kind", FIELDS)


def come(
    kind: type,
    *pairs: str,
    by: By,
    named: uuid.UUID | None = None,
    source: Any = None,
    upsert: bool = False,
    **more: Any,
) -> recording.Recorded[Any]:
    incoming = Incoming({**FIELDS[kind], **more}, sent=[sent(pair) for pair in pairs], named=named)
    return recording.record(kind, incoming, upsert=upsert, by=by, source=source)


@pytest.fixture
def ada(by: By) -> Profile:
    return route("loyalty-card:1", "pos:7", email="ada@example.com", by=by).profile


@pytest.fixture
def bo(by: By) -> Profile:
    return route("loyalty-card:2", mobile_phone="0404 123 123", by=by).profile


@every_kind
def test_a_known_pair_decides_and_unknown_ones_attach(kind, ada: Profile, by: By) -> None:
    recorded = come(kind, "loyalty-card:1", "pos-customer:55", by=by)

    assert recorded.routed.outcome == "attached"
    assert recorded.record.profile == ada
    assert recorded.record.decided_by == "identity"
    assert recorded.record.brought_by == Identity.objects.get(handle="loyalty-card", identifier="1")
    assert "pos-customer:55" in pairs_of(ada)
    assert Identity.objects.get(handle="pos-customer").brought_by == recorded.record.brought_by


@every_kind
def test_a_record_of_nobody_is_kept_without_a_profile(kind, by: By) -> None:
    recorded = come(kind, by=by)

    assert recorded.routed.outcome == "anonymous"
    assert recorded.record.profile is None
    assert not Profile.objects.exists()
