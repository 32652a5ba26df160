"""DELETE /profiles/{id}/purge: gone for good, and what that means for whoever asks or writes afterwards (API.md 3)."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from identities.models import IdempotencyRecord
from profiles.models import Audit, Profile, Transaction
from tests.api.conftest import CARD, Caller, sale

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada_again(api: Caller) -> dict[str, Any]:
    return api.profile(first_name="Augusta", identities=[{"handle": "pos", "identifier": "8"}])


def test_a_purged_profile_is_gone_for_every_way_of_asking(api, ada) -> None:
    url = f"/profiles/{ada['id']}"
    card = ada["identities"][0]
    record = api.record("transactions", sale(profile_id=ada["id"]))

    response = api.delete(f"{url}/purge")

    assert (response.status_code, response.content) == (204, b"")
    for path in (
        url,
        f"{url}/identities",
        f"{url}/balances",
        f"{url}/why?record=transaction:{record['id']}",
        f"/transactions/{record['id']}",
        f"/identities/search?handle={card['handle']}&identifier={card['identifier']}",
    ):
        assert api.get(path).status_code == 404, path
    assert api.data(f"/identities/search-profile/{card['identifier']}") == []
    for method, path in (("DELETE", f"{url}/purge"), ("GET", f"{url}/purge"), ("PUT", url), ("DELETE", url)):
        assert api.call(method, path, {}).status_code == 404, (method, path)


def test_the_same_path_tells_before_what_would_go(api, ada) -> None:
    api.record("transactions", sale(profile_id=ada["id"]))

    told = api.data(f"/profiles/{ada['id']}/purge")

    assert told["profile_ids"] == [told["profile_id"]] == [ada["id"]]
    assert (told["counts"]["profiles"], told["counts"]["transactions"]) == (1, 1)
    assert api.get(f"/profiles/{ada['id']}").status_code == 200


def test_the_merge_tree_beneath_goes_too_and_merged_ids_are_literal(api, ada, ada_again) -> None:
    body = {"source_profile_id": ada_again["id"], "destination_profile_id": ada["id"]}
    assert api.post("/profiles/merge", body).status_code == 200

    response = api.delete(f"/profiles/{ada_again['id']}/purge")
    assert (response.status_code, response.json()["code"]) == (409, "already_merged")
    assert response.json()["survivor_id"] == ada["id"]

    assert api.delete(f"/profiles/{ada['id']}/purge").status_code == 204
    assert not Profile.objects.filter(pk__in=[ada["id"], ada_again["id"]]).exists()


def test_a_late_copy_is_a_422_that_keeps_nothing(api, ada) -> None:
    card = next(one for one in ada["identities"] if one["handle"] == CARD)["identifier"]
    api.delete(f"/profiles/{ada['id']}/purge")
    pair = {"handle": CARD, "identifier": card}

    for path, body in (
        ("/transactions", sale(profile_id=card, profile_id_handle=CARD)),
        ("/transactions/update-create", sale(external_id="1", identities=[pair])),
        ("/profiles", {"first_name": "Ada", "identities": [pair]}),
    ):
        response = api.post(path, body)
        assert (response.status_code, response.json()["code"]) == (422, "identity_erased"), path
        assert card not in response.content.decode()
    assert api.get("/transactions").json()["data"] == []
    assert api.get("/routing-log").json()["data"] == []


def test_a_batch_names_the_erased_row_and_writes_the_others(api, ada, ada_again) -> None:
    card = next(one for one in ada["identities"] if one["handle"] == CARD)["identifier"]
    api.delete(f"/profiles/{ada['id']}/purge")
    rows = [{"handle": CARD, "identifier": card}, {"handle": "pos", "identifier": "9"}]

    answer = api.post("/identities/batch", {"profile_id": ada_again["id"], "identities": rows}).json()["data"]

    assert [(one["result"], one.get("code")) for one in answer] == [("error", "identity_erased"), ("created", None)]


def test_keep_out_is_a_choice_and_the_reason_is_kept(api, ada) -> None:
    card = next(one for one in ada["identities"] if one["handle"] == CARD)["identifier"]

    assert api.delete(f"/profiles/{ada['id']}/purge?keep_out=0&reason=Test%20data").status_code == 204

    again = api.profile(identities=[{"handle": CARD, "identifier": card}])
    assert again["id"] != ada["id"]
    told = Audit.objects.get(event="erased").new_values
    assert (told["kept_out"], told["reason"]) == (False, "Test data")


@pytest.mark.parametrize("query", ["keep_out=perhaps", "reason=%00", f"reason={'x' * 2_001}"])
def test_a_purge_that_is_not_understood_deletes_nothing(api, ada, query) -> None:
    assert api.delete(f"/profiles/{ada['id']}/purge?{query}").status_code == 422
    assert Profile.objects.filter(pk=ada["id"]).exists()


def test_an_unknown_id_is_a_404(api) -> None:
    for profile_id in (uuid.uuid4(), "nobody"):
        assert api.delete(f"/profiles/{profile_id}/purge").status_code == 404


def test_the_answer_to_a_purge_is_replayed_and_answers_about_the_person_are_not(api, ada) -> None:
    url, key = f"/profiles/{ada['id']}", {"Idempotency-Key": "one"}
    body = json.dumps({"company": "Analytical"}).encode()
    assert api.call("PUT", url, body, **{"Idempotency-Key": "two"}).status_code == 200

    first, second = (api.call("DELETE", f"{url}/purge", **key) for _time in range(2))

    assert (first.status_code, second.status_code, second.headers["Idempotent-Replay"]) == (204, 204, "true")
    assert api.call("PUT", url, body, **{"Idempotency-Key": "two"}).status_code == 404


def test_an_answer_with_another_spelling_of_what_is_erased_goes_as_well(api, bo) -> None:
    ada = api.profile(email="ada@example.com", mobile_phone="+61404777777")
    pairs = [
        {"handle": CARD, "identifier": bo["identities"][0]["identifier"]},
        {"handle": "email", "identifier": "Ada@Example.com"},
        {"handle": "mobile_phone", "identifier": "0404 777 777"},
    ]
    body = json.dumps(sale(identities=pairs)).encode()
    answer = api.call("POST", "/transactions", body, **{"Idempotency-Key": "one"})
    assert answer.json()["data"]["profile_id"] == bo["id"] and "Ada@Example.com" in answer.content.decode()

    api.delete(f"/profiles/{ada['id']}/purge")

    assert not IdempotencyRecord.objects.exists()


def test_what_has_the_same_word_in_it_as_an_erased_identity_is_done_once_all_the_same(api, bo) -> None:
    key = {"Idempotency-Key": "one"}
    body = json.dumps(sale(profile_id=bo["id"], location_id="12")).encode()
    api.call("POST", "/transactions", body, **key)

    for word in ("12", "data", "id"):
        ada = api.profile(identities=[{"handle": "pos", "identifier": word}])
        api.delete(f"/profiles/{ada['id']}/purge")

    assert api.call("POST", "/transactions", body, **key).headers["Idempotent-Replay"] == "true"
    assert Transaction.objects.count() == 1


def test_the_audit_says_that_somebody_was_erased_and_nothing_of_them(api, ada) -> None:
    api.delete(f"/profiles/{ada['id']}/purge")

    entries = api.get("/audits").json()["data"]

    (erased,) = [one for one in entries if one["event"] == "erased"]
    assert json.loads(erased["new_values"])["profiles"] == [ada["id"]]
    others = [one for one in entries if one["event"] != "erased"]
    assert others
    assert {(one["old_values"], one["new_values"], one["ip_address"]) for one in others} == {("{}", "{}", None)}
