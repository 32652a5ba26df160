"""A prepaid number, and a card, go from one customer to another (the move is said aloud, never a side effect)."""

from __future__ import annotations

from typing import Any

import pytest

from identities.models import Identity
from profiles.models import Audit, Move
from tests.api.conftest import Caller, sale

pytestmark = pytest.mark.django_db

NUMBER = "mobile_phone:0404 123 123"


def owner_of(api: Caller, handle: str, identifier: str) -> str | None:
    response = api.post("/profiles/search-id", {"type": handle, "id": identifier})
    return response.json()["data"]["id"] if response.status_code == 200 else None


def test_a_prepaid_number_goes_to_its_next_owner(api: Caller, ada: dict[str, Any], bo: dict[str, Any]) -> None:
    before = api.record("transactions", sale(NUMBER))
    assert before["profile_id"] == ada["id"]

    # Bo has bought the number. To give it at the till does not take it from Ada.
    claimed = api.record("transactions", sale("loyalty-card:77", NUMBER))
    refused = api.put(f"/profiles/{bo['id']}", {"mobile_phone": "0404 123 123"})
    assert (claimed["profile_id"], claimed["routing"]["outcome"]) == (bo["id"], "conflict")
    assert refused.json()["errors"] == {"mobile_phone": ["The phone number exists"]}
    assert owner_of(api, "mobile_phone", "0404 123 123") == ada["id"]

    # Somebody moves it, and says why.
    identity = Identity.objects.get(handle="mobile_phone", identifier="+61404123123")
    moved = api.post(f"/identities/{identity.pk}/move", {"profile_id": bo["id"], "reason": "Number handed on"})

    assert moved.status_code == 200
    after = api.record("transactions", sale(NUMBER))
    assert after["profile_id"] == bo["id"], "What comes from now on follows it."
    assert api.data(f"/transactions/{before['id']}")["profile_id"] == ada["id"], "What has come stays."
    assert not api.data(f"/profiles/{ada['id']}")["mobile_phone"]
    audit = Audit.objects.get(event="moved")
    assert (audit.auditable_type, audit.auditable_key) == ("identity", str(identity.pk))
    assert Move.objects.get().reason == "Number handed on"

    # The same sale can follow, if staff know that it was Bo's.
    api.post(f"/transactions/{before['id']}/move", {"profile_id": bo["id"], "reason": "Was Bo's"})
    assert api.data(f"/transactions/{before['id']}")["profile_id"] == bo["id"]


def test_a_move_is_taken_back_by_moving_it_back(api: Caller, ada: dict[str, Any], bo: dict[str, Any]) -> None:
    (card,) = ada["identities"]
    api.post(f"/identities/{card['id']}/move", {"profile_id": bo["id"], "reason": "Mistyped"})
    meanwhile = api.record("transactions", sale("loyalty-card:1804974"))

    api.post(f"/identities/{card['id']}/move", {"profile_id": ada["id"], "reason": "It was right"})
    api.post(f"/transactions/{meanwhile['id']}/move", {"profile_id": ada["id"], "reason": "It was right"})

    assert owner_of(api, "loyalty-card", "1804974") == ada["id"]
    assert api.record("transactions", sale("loyalty-card:1804974"))["profile_id"] == ada["id"]
    assert api.data(f"/profiles/{bo['id']}/transactions") == []
    assert not Move.objects.filter(subject_type="identity", undone_at=None).exists()
