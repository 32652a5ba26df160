"""Tills that send everything twice, late, and in any order."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from identities import sending
from identities.models import RoutingLogEntry
from profiles.auditing import By
from profiles.models import Profile, Transaction
from tests.api.conftest import Caller, sale

pytestmark = pytest.mark.django_db

ADAS, BOS = "loyalty-card:1804974", "loyalty-card:77"


def upsert(api: Caller, *pairs: str, **more: Any) -> dict[str, Any]:
    response = api.post("/transactions/update-create", sale(*pairs, **more))
    assert response.status_code in (200, 201), response.content
    answer: dict[str, Any] = response.json()
    return {**answer["data"], "routing": answer["routing"]}


def test_the_same_sale_twice_is_one_sale(api: Caller, ada: dict[str, Any], bo: dict[str, Any]) -> None:
    first, second = (upsert(api, ADAS, "pos:7", external_id="R1") for _time in range(2))

    assert first["id"] == second["id"]
    assert [one["routing"]["outcome"] for one in (first, second)] == ["attached", "matched"]
    (only,) = api.data(f"/profiles/{ada['id']}/transactions")
    assert (only["id"], len(only["items"])) == (first["id"], 1)
    assert Profile.objects.count() == 2


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_copies_in_any_order_are_one_sale_of_one_customer(
    order: tuple[int, ...], api: Caller, ada: dict[str, Any], bo: dict[str, Any]
) -> None:
    copies: list[tuple[str, ...]] = [(), (ADAS,), (ADAS, "pos:7")]

    for number in order:
        upsert(api, *copies[number], external_id="R1")

    (only,) = api.data(f"/profiles/{ada['id']}/transactions")
    assert only["external_id"] == "R1"
    assert Transaction.objects.count() == 1
    assert {one["handle"] for one in api.data(f"/profiles/{ada['id']}")["identities"]} == {"loyalty-card", "pos"}
    assert not RoutingLogEntry.objects.exists()


def test_a_late_copy_does_not_undo_what_people_have_decided_since(
    api: Caller, ada: dict[str, Any], bo: dict[str, Any], by: By
) -> None:
    doubtful = upsert(api, ADAS, BOS, "pos:7", external_id="R1")
    moved = upsert(api, ADAS, external_id="R2")
    assert (doubtful["routing"]["outcome"], doubtful["profile_id"]) == ("conflict", ada["id"])
    bo_now = Profile.objects.get(pk=bo["id"])

    sending.send(doubtful["routing"]["log_entry_id"], to=bo_now.pk, note="Bo's", by=by)
    api.post(f"/transactions/{moved['id']}/move", {"profile_id": bo["id"], "reason": "Bo's, too"})
    for _time in range(2):
        upsert(api, ADAS, BOS, "pos:7", external_id="R1")
        upsert(api, ADAS, external_id="R2")

    assert {one["external_id"] for one in api.data(f"/profiles/{bo['id']}/transactions")} == {"R1", "R2"}
    assert api.data(f"/profiles/{ada['id']}/transactions") == []
    assert api.record("transactions", sale("pos:7"))["profile_id"] == bo["id"], "The pair stays decided as well."


def test_a_till_that_has_had_no_answer_asks_again_with_its_key(
    api: Caller, ada: dict[str, Any], bo: dict[str, Any]
) -> None:
    # Without an external id, nothing but the key says that it is the same sale.
    def ask() -> Any:
        return api.call("POST", "/transactions", sale(ADAS, "pos:7"), **{"Idempotency-Key": "till-7-000381"})

    first, again = ask(), ask()
    api.post(f"/transactions/{first.json()['data']['id']}/move", {"profile_id": bo["id"], "reason": "Bo's"})
    late = ask()

    assert [one.status_code for one in (first, again, late)] == [201, 201, 201]
    assert first.content == again.content == late.content, "The same key, the same answer."
    assert late.headers["Idempotent-Replay"] == "true"
    assert Transaction.objects.count() == 1
    assert [one["id"] for one in api.data(f"/profiles/{bo['id']}/transactions")] == [first.json()["data"]["id"]]
