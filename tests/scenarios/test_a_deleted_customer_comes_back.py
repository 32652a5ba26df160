"""A deleted profile's card is used again, and late copies of old records arrive."""

from __future__ import annotations

from typing import Any

import pytest

from identities.models import Identity, RoutingLogEntry
from tests.api.conftest import Caller, sale

pytestmark = pytest.mark.django_db

ADAS = "loyalty-card:1804974"


def test_the_pairs_of_a_deleted_profile_are_free_and_what_it_had_stays_with_it(
    api: Caller, ada: dict[str, Any], bo: dict[str, Any]
) -> None:
    old = api.record("transactions", sale(ADAS, external_id="R1"))
    assert api.delete(f"/profiles/{ada['id']}").status_code == 204

    used_again = api.record("transactions", sale(ADAS, external_id="R2"))

    newcomer = used_again["profile_id"]
    assert (used_again["routing"]["outcome"], newcomer in (ada["id"], bo["id"])) == ("created", False)
    assert api.data(f"/profiles/{ada['id']}")["profile_type"] == "deleted", "The old id still answers."
    assert api.data(f"/transactions/{old['id']}")["profile_id"] == ada["id"]
    card = Identity.objects.get(handle="loyalty-card", identifier="1804974")
    assert (card.pk, str(card.profile_id)) == (ada["identities"][0]["id"], newcomer)
    entry = RoutingLogEntry.objects.get(outcome="released_from")
    assert (str(entry.requested_profile_id), str(entry.routed_profile_id)) == (ada["id"], newcomer)

    # A late copy of the old sale changes that sale where it is, and brings nobody back to life.
    late = api.post("/transactions/update-create", sale(ADAS, external_id="R1", total=5)).json()
    assert (late["data"]["id"], late["data"]["profile_id"], late["data"]["total"]) == (old["id"], ada["id"], 5)
    assert late["routing"]["outcome"] == "conflict"
    # A record that is meant for the deleted profile alone is kept on it.
    kept = api.record("transactions", sale(profile_id=ada["id"]))
    assert kept["profile_id"] == ada["id"]
    # And one that names it beside a card goes where the card is.
    beside = api.record("transactions", sale(ADAS, profile_id=ada["id"]))
    assert beside["profile_id"] == newcomer
    assert [one["code"] for one in beside["routing"]["refused"]] == ["profile_deleted"]
    assert api.data(f"/profiles/{ada['id']}")["profile_type"] == "deleted"


def test_an_undeleted_profile_gets_back_what_nobody_took(api: Caller, ada: dict[str, Any], bo: dict[str, Any]) -> None:
    api.identity(ada, "pos", "7")
    api.delete(f"/profiles/{ada['id']}")
    taken = api.record("transactions", sale("pos:7"))

    back = api.put(f"/profiles/{ada['id']}/update-type", {"profile_type": "active"})

    assert back.status_code == 200
    assert api.record("transactions", sale(ADAS))["profile_id"] == ada["id"]
    assert api.record("transactions", sale("pos:7"))["profile_id"] == taken["profile_id"] != ada["id"]
