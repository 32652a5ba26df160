"""POST /profiles/{id}/split and its preview (API.md 5)."""

from __future__ import annotations

from typing import Any

import pytest

from identities.models import Handle, Identity
from profiles.models import Profile
from tests.api.conftest import CARD, Caller, conflict, not_found, refused, sale

pytestmark = pytest.mark.django_db


@pytest.fixture
def household(api: Caller, ada: dict[str, Any]) -> dict[str, Any]:
    """Ada's profile, which has somebody else's till account, too."""
    api.identity(ada, "pos", "7")
    api.record("transactions", sale("pos:7", "pos-customer:70"))
    api.record("transactions", sale(f"{CARD}:1804974"))
    household: dict[str, Any] = api.data(f"/profiles/{ada['id']}")
    return household


def key_of(profile: dict[str, Any], identifier: str) -> int:
    keys: dict[str, int] = {one["identifier"]: one["id"] for one in profile["identities"]}
    return keys[identifier]


def split(api: Caller, profile: dict[str, Any], **body: Any) -> Any:
    return api.post(f"/profiles/{profile['id']}/split", body)


def test_chosen_identities_leave_for_a_new_profile_with_what_they_brought(api, household, bo) -> None:
    response = split(api, household, identity_ids=[key_of(household, "7")], reason="A neighbour")

    assert response.status_code == 200, response.content
    data = response.json()["data"]
    assert data["profile"]["id"] not in (household["id"], bo["id"])
    assert data["profile"] == api.data(f"/profiles/{data['profile']['id']}")
    assert data["former_profile"] == api.data(f"/profiles/{household['id']}")
    assert [one["identifier"] for one in data["profile"]["identities"]] == ["7"]
    assert data["identities"] == data["profile"]["identities"]
    assert [one["identifier"] for one in data["former_profile"]["identities"]] == ["1804974", "70"]
    assert data["records"] == {"transaction": 1, "interaction": 0, "point": 0, "reward": 0}
    assert [(one["handle"], one["identifier"]) for one in data["stay"]] == [("pos-customer", "70")]
    assert (data["primary_id"], data["contacts_changed"]) == (None, [])
    (moved,) = api.data(f"/profiles/{data['profile']['id']}/transactions")
    why = api.data(f"/profiles/{data['profile']['id']}/why", {"record": f"transaction:{moved['id']}"})
    assert (why["moves"][0]["cause"], why["moves"][0]["reason"]) == ("split", "A neighbour")


def test_contact_points_are_named_by_what_they_say_in_any_spelling(api, household) -> None:
    data = split(api, household, contacts=[" ADA@Example.com", "0404 123-123"]).json()["data"]

    assert (data["profile"]["email"], data["profile"]["mobile_phone"]) == ("ada@example.com", "+61404123123")
    assert (data["former_profile"]["email"], data["former_profile"]["mobile_phone"]) == ("", None)
    assert {one["handle"] for one in data["identities"]} == {"email", "mobile_phone"}
    assert data["profile"]["identities"] == []
    pks = (household["id"], data["profile"]["id"])
    assert data["contacts_changed"] == [
        {"profile_id": pk, "field": field} for field in ("email", "mobile_phone") for pk in pks
    ]


def test_an_identity_and_a_contact_point_may_leave_together_for_a_profile_that_is_named(api, household, bo) -> None:
    body = {"identity_ids": [key_of(household, "7")], "contacts": ["ada@example.com"], "profile_id": bo["id"]}

    data = split(api, household, **body).json()["data"]

    assert data["profile"]["id"] == bo["id"]
    assert data["profile"]["email"] == "bo@example.com"
    assert data["contacts_changed"] == [{"profile_id": household["id"], "field": "email"}]
    assert [row["id"] for row in api.data("/profiles", {"filter[email]": "ada@example.com"})] == [bo["id"]]


def test_the_primary_identity_that_leaves_is_named(api, ada) -> None:
    card = ada["identities"][0]["id"]
    api.put(f"/profiles/{ada['id']}/identities/id/{card}", {"is_primary": True})

    data = split(api, ada, identity_ids=[card]).json()["data"]

    assert (data["primary_id"], data["former_profile"]["external_id"]) == (card, None)


def test_the_preview_writes_nothing_and_says_what_the_split_does(api, household, bo, unchanged) -> None:
    key = key_of(household, "7")
    with unchanged():
        told = api.post(f"/profiles/{household['id']}/split/preview", {"identity_ids": [key]}).json()["data"]
        to_bo = {"identity_ids": [key], "profile_id": bo["id"]}
        named = api.post(f"/profiles/{household['id']}/split/preview", to_bo).json()["data"]

    assert (told["former_profile_id"], told["profile_id"], named["profile_id"]) == (household["id"], None, bo["id"])
    done = split(api, household, identity_ids=[key]).json()["data"]
    assert (told["records"], told["stay"], told["primary_id"]) == (done["records"], done["stay"], done["primary_id"])
    assert [one["id"] for one in told["identities"]] == [one["id"] for one in done["identities"]]


def test_what_cannot_leave_is_refused_and_changes_nothing(api, household, ada, bo, unchanged) -> None:
    card, till, account = (key_of(household, identifier) for identifier in ("1804974", "7", "70"))
    every = list(Identity.objects.filter(profile=ada["id"]).values_list("pk", flat=True))
    api.identity(bo, "pos", "8")
    Handle.objects.filter(pk="pos").update(single_valued=True)
    with unchanged():
        for path in (f"/profiles/{ada['id']}/split", f"/profiles/{ada['id']}/split/preview"):
            for body, code, field in (
                ({}, "required", "identity_ids"),
                ({"identity_ids": [], "contacts": None}, "required", "identity_ids"),
                ({"identity_ids": ["card"]}, "invalid", "identity_ids.0"),
                ({"identity_ids": [True]}, "invalid", "identity_ids.0"),
                ({"identity_ids": [10**20]}, "invalid", "identity_ids.0"),
                ({"identity_ids": card}, "invalid", "identity_ids"),
                ({"identity_ids": [card] * 1_001}, "invalid", "identity_ids"),
                ({"contacts": ["ada@example.com", "bo@example.com"]}, "invalid", "contacts.1"),
                ({"contacts": ["nonsense"]}, "invalid", "contacts.0"),
                ({"contacts": [7]}, "invalid", "contacts.0"),
                ({"identity_ids": [card], "profile_id": "Bo"}, "invalid", "profile_id"),
                ({"identity_ids": [card], "reason": "x" * 2_001}, "invalid", "reason"),
                ({"identity_ids": every}, "last_identity", "identity_ids"),
                ({"identity_ids": [till], "profile_id": bo["id"]}, "too_many_identities", "handle"),
            ):
                refused(api.post(path, body), code, field)
            conflict(api.post(path, {"identity_ids": [account], "profile_id": ada["id"]}), "same_profile")


def test_what_is_not_there_is_a_404(api, ada, bo, nobody, unchanged) -> None:
    card = ada["identities"][0]["id"]
    with unchanged():
        for end in ("split", "split/preview"):
            not_found(api.post(f"/profiles/{ada['id']}/{end}", {"identity_ids": [bo["identities"][0]["id"]]}))
            not_found(api.post(f"/profiles/{ada['id']}/{end}", {"identity_ids": [card], "profile_id": nobody}))
            not_found(api.post(f"/profiles/{nobody}/{end}", {"identity_ids": [card]}))
            not_found(api.post(f"/profiles/{nobody}/{end}", {"contacts": ["ada@example.com"]}))
            not_found(api.post(f"/profiles/Ada/{end}", {"identity_ids": [card]}))


def test_ids_are_literal(api, ada, bo, unchanged) -> None:
    cy = api.profile(first_name="Cy", email="cy@example.com", identities=[{"handle": CARD, "identifier": "3"}])
    merging = {"source_profile_id": bo["id"], "destination_profile_id": ada["id"]}
    assert api.post("/profiles/merge", merging).status_code == 200
    gone = api.profile(first_name="Di", email="di@example.com")
    api.delete(f"/profiles/{gone['id']}")
    card = cy["identities"][0]["id"]

    with unchanged():
        for end in ("split", "split/preview"):
            for body in ({"identity_ids": [card]}, {"contacts": ["bo@example.com"]}):
                merged = conflict(api.post(f"/profiles/{bo['id']}/{end}", body), "already_merged")
                assert merged["survivor_id"] == ada["id"]
            to_merged = {"identity_ids": [card], "profile_id": bo["id"]}
            conflict(api.post(f"/profiles/{cy['id']}/{end}", to_merged), "already_merged")
            to_deleted = {"identity_ids": [card], "profile_id": gone["id"]}
            conflict(api.post(f"/profiles/{cy['id']}/{end}", to_deleted), "profile_deleted")
            conflict(api.post(f"/profiles/{gone['id']}/{end}", {"contacts": ["di@example.com"]}), "profile_deleted")


def test_a_split_that_is_sent_again_makes_no_second_profile(api, household, unchanged) -> None:
    body = {"identity_ids": [key_of(household, "7")]}
    headers = {"Idempotency-Key": "split-1"}
    first = api.call("POST", f"/profiles/{household['id']}/split", body, **headers)

    with unchanged():
        replay = api.call("POST", f"/profiles/{household['id']}/split", body, **headers)

    assert (replay.content, replay["Idempotent-Replay"]) == (first.content, "true")
    assert Profile.objects.count() == 2


def test_a_split_asks_for_the_scope_of_merging(caller, household) -> None:
    body = {"identity_ids": [key_of(household, "7")]}

    for end in ("split/preview", "split"):
        path = f"/profiles/{household['id']}/{end}"
        refusal = caller("update-profiles", "update-identities", "unmerge-profiles").post(path, body)
        assert (refusal.status_code, "merge-profiles" in refusal.json()["message"]) == (403, True)
        assert caller("merge-profiles").post(path, body).status_code == 200
