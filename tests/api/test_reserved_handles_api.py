"""A reserved handle is written by the extension that claims it and by nobody else (API.md 2)."""

from __future__ import annotations

import pytest

from identities.models import Extension, Handle, Identity, RoutingLogEntry
from tests.api.conftest import CARD, refused

pytestmark = pytest.mark.django_db

RESERVED = ["shopify", "klaviyo", "magento_id", "sfcc", "commercetools", "zendesk", "mailchimp"]


@pytest.fixture
def owned(shopify, ada):
    """Ada's identity under the handle that Shopify claims."""
    return shopify.identity(ada, "shopify", "6432187489345")


@pytest.fixture(params=["staff", "klaviyo"])
def stranger(request, caller):
    """Whoever is not Shopify: staff, and another extension. Each with every scope."""
    return caller() if request.param == "staff" else caller(extension=request.param)


def reserved(response) -> None:
    body = refused(response, "reserved_handle", "handle")
    assert "shopify" in body["message"]


@pytest.mark.parametrize("handle", RESERVED)
def test_the_shipped_handles_are_reserved_for_the_extension_of_their_name(api, caller, ada, unchanged, handle) -> None:
    body = {"handle": handle, "identifier": "1"}

    with unchanged():
        refused(api.post(f"/profiles/{ada['id']}/identities", body), "reserved_handle", "handle")

    assert caller(extension=handle).identity(ada, handle, "1")["source"] == handle


def test_an_add_is_refused(stranger, ada, unchanged) -> None:
    with unchanged():
        reserved(stranger.post(f"/profiles/{ada['id']}/identities", {"handle": "shopify", "identifier": "1"}))


def test_an_add_of_the_pair_that_is_there_is_refused_too(stranger, ada, owned, unchanged) -> None:
    with unchanged():
        body = {"handle": "shopify", "identifier": owned["identifier"]}
        reserved(stranger.post(f"/profiles/{ada['id']}/identities", body))


@pytest.mark.parametrize(
    "change",
    [
        {"identifier": "2"},
        {"identifier": "6432187489345"},
        {"is_active": False},
        {"is_primary": True},
        {},
    ],
)
@pytest.mark.parametrize("by", ["handle", "id"])
def test_a_change_and_a_deactivation_are_refused(stranger, ada, owned, unchanged, by, change) -> None:
    path = "shopify" if by == "handle" else f"id/{owned['id']}"

    with unchanged():
        reserved(stranger.put(f"/profiles/{ada['id']}/identities/{path}", change))


@pytest.mark.parametrize("by", ["handle", "id"])
def test_a_delete_is_refused(stranger, ada, owned, unchanged, by) -> None:
    path = "shopify" if by == "handle" else f"id/{owned['id']}"

    with unchanged():
        reserved(stranger.delete(f"/profiles/{ada['id']}/identities/{path}"))


def test_a_batch_refuses_the_row_alone(stranger, ada, owned) -> None:
    before = Identity.objects.filter(handle="shopify").values().get()
    rows = [
        {"handle": "shopify", "identifier": "1"},
        {"handle": "shopify", "identifier": owned["identifier"]},
        {"handle": "pos", "identifier": "1"},
    ]

    data = stranger.post("/identities/batch", {"profile_id": ada["id"], "identities": rows}).json()["data"]

    assert [row.get("code", row["result"]) for row in data] == ["reserved_handle", "reserved_handle", "created"]
    assert Identity.objects.filter(handle="shopify").values().get() == before


def test_a_profile_sets_the_pair_aside_and_is_not_routed_by_it(stranger, ada, owned) -> None:
    body = {"first_name": "Eve", "identities": [{"handle": "shopify", "identifier": owned["identifier"]}]}

    response = stranger.post("/profiles", body)

    assert response.status_code == 201
    assert response.json()["routing"]["refused"][0]["code"] == "reserved_handle"
    assert response.json()["data"]["id"] != ada["id"]
    assert RoutingLogEntry.objects.get().code == "reserved_handle"


def test_the_extension_itself_adds_changes_deactivates_and_deletes(shopify, ada, owned) -> None:
    url = f"/profiles/{ada['id']}/identities/shopify"

    assert shopify.put(url, {"identifier": 7}).json()["data"]["identifier"] == "7"
    assert shopify.put(url, {"is_active": False}).json()["data"]["is_active"] is False
    assert shopify.put(url, {"is_active": True, "is_primary": True}).status_code == 200
    assert shopify.delete(url).status_code == 204
    rows = [{"handle": "shopify", "identifier": "8"}]
    data = shopify.post("/identities/batch", {"profile_id": ada["id"], "identities": rows}).json()["data"]
    assert data[0]["result"] == "created"
    routed = shopify.post("/profiles", {"identities": rows}).json()
    assert (routed["data"]["id"], routed["routing"]["refused"]) == (ada["id"], [])


def test_reading_is_free(stranger, ada, owned) -> None:
    assert stranger.data(f"/profiles/{ada['id']}/identities/shopify") == owned
    assert stranger.data(f"/profiles/{ada['id']}/identities/id/{owned['id']}") == owned
    assert owned in stranger.data(f"/profiles/{ada['id']}/identities")
    assert stranger.data("/identities", {"filter[handle]": "shopify"}) == [owned]
    assert stranger.data("/identities/search", {"handle": "shopify", "identifier": 6432187489345})["id"] == owned["id"]
    assert stranger.data("/identities/search-profile/6432187489345")[0]["id"] == ada["id"]


def test_the_owner_may_change_while_the_pair_does_not(stranger, bo, owned) -> None:
    body = {"profile_id": bo["id"], "reason": "The same person."}

    assert stranger.post(f"/identities/{owned['id']}/move", body).json()["data"]["profile_id"] == bo["id"]


def test_deleting_the_profile_frees_its_reserved_pairs_for_the_extension_only(
    stranger, shopify, ada, bo, owned, unchanged
) -> None:
    stranger.delete(f"/profiles/{ada['id']}")
    body = {"handle": "shopify", "identifier": owned["identifier"]}

    with unchanged():
        reserved(stranger.post(f"/profiles/{bo['id']}/identities", body))

    assert shopify.identity(bo, "shopify", owned["identifier"])["id"] == owned["id"]


def test_a_handle_that_staff_reserve_is_closed_from_then_on(api, caller, shopify, ada, unchanged) -> None:
    assert api.put(f"/handles/{CARD}", {"reserved_for": "shopify"}).status_code == 200
    url = f"/profiles/{ada['id']}/identities/{CARD}"

    with unchanged():
        reserved(api.put(url, {"is_active": False}))
        reserved(api.delete(url))

    assert shopify.put(url, {"is_active": False}).status_code == 200
    assert api.put(f"/handles/{CARD}", {"reserved_for": None}).status_code == 200
    assert api.delete(url).status_code == 204


def test_an_extension_cannot_take_a_handle(caller, unchanged) -> None:
    klaviyo = caller(extension="klaviyo")

    with unchanged():
        for handle in ("shopify", CARD):
            assert klaviyo.put(f"/handles/{handle}", {"reserved_for": "klaviyo"}).status_code == 403

    assert Handle.objects.get(pk="shopify").reserved_for_id == "shopify"


def test_a_disabled_extension_writes_nothing_and_its_handle_stays_closed(api, shopify, ada, owned, unchanged) -> None:
    Extension.objects.filter(pk="shopify").update(enabled=False)
    url = f"/profiles/{ada['id']}/identities/shopify"

    with unchanged():
        assert shopify.delete(url).status_code == 401
        reserved(api.delete(url))
