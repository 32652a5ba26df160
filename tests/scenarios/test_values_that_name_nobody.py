"""Systems that send "null" for a customer: the data is kept, and nobody becomes everybody's profile."""

from __future__ import annotations

from typing import Any

import pytest

from identities.models import Identity, RoutingLogEntry
from profiles.models import Profile
from tests.api.conftest import KINDS, Caller, sale

pytestmark = pytest.mark.django_db

NOBODY = [
    "null", '"null"', "NULL ", "0", "00000", "-1", "undefined", "[object Object]", "NaN", "None", "anonymous",
    "test@test.com", "'null'", " ", '""',
]  # fmt: skip


@pytest.mark.parametrize("path", KINDS)
def test_the_record_is_kept_the_identity_is_not_made_and_the_reason_is_logged(
    path: str, api: Caller, ada: dict[str, Any], bo: dict[str, Any]
) -> None:
    alone = [api.record(path, KINDS[path](f"pos:{value}")) for value in NOBODY]
    beside = api.record(path, KINDS[path](*(f"pos:{value}" for value in NOBODY), "loyalty-card:1804974"))

    assert {(one["profile_id"], one["routing"]["outcome"]) for one in alone} == {(None, "anonymous")}
    assert (beside["profile_id"], beside["routing"]["outcome"]) == (ada["id"], "matched")
    assert len(beside["routing"]["refused"]) == len(NOBODY)
    for answer in (*alone, beside):
        assert {one["code"] for one in answer["routing"]["refused"]} <= {"blocked_identifier", "invalid_identifier"}
        assert RoutingLogEntry.objects.get(pk=answer["routing"]["log_entry_id"]).outcome == "refused"
    assert Profile.objects.count() == 2
    assert not Identity.objects.filter(handle="pos").exists()
    assert len(api.data(f"/profiles/{ada['id']}")["identities"]) == 1


def test_two_customers_called_null_do_not_meet(api: Caller, ada: dict[str, Any], bo: dict[str, Any]) -> None:
    first = api.record("transactions", sale("pos:null", "pos-customer:1"))
    second = api.record("transactions", sale("pos:null", "pos-customer:2"))
    third = api.record("transactions", sale("email:test@test.com", "pos-customer:2"))

    assert len({first["profile_id"], second["profile_id"], ada["id"], bo["id"]}) == 4
    assert third["profile_id"] == second["profile_id"]
    assert api.get("/identities/search", {"handle": "pos", "identifier": "null"}).status_code == 404
    seen = RoutingLogEntry.objects.get(handle="pos", routed_profile=first["profile_id"])
    assert (seen.code, seen.occurrences) == ("blocked_identifier", 1)
    for _time in range(3):
        api.record("transactions", sale("pos:null", "pos-customer:1"))
    seen.refresh_from_db()
    assert seen.occurrences == 4, "It counts up, and does not flood the log."
