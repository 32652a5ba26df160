"""The eight routes under /profiles/{id}/identities (API.md 2)."""

from __future__ import annotations

import re

import pytest

from identities.models import Handle, Identity, RoutingLogEntry
from profiles.models import Audit
from tests.api.conftest import CARD, conflict, not_found, refused

pytestmark = pytest.mark.django_db

FIELDS = [
    "id",
    "handle",
    "identifier",
    "is_primary",
    "is_active",
    "profile_id",
    "merged_from",
    "source",
    "created_at",
    "updated_at",
]


def card(api, profile):
    return api.data(f"/profiles/{profile['id']}/identities/{CARD}")


def test_an_identity_is_added_with_201_and_read_back(api, ada) -> None:
    response = api.post(f"/profiles/{ada['id']}/identities", {"handle": "pos", "identifier": "T07-000381"})

    assert response.status_code == 201
    assert list(response.json()) == ["data"]
    identity = response.json()["data"]
    assert list(identity) == FIELDS
    assert identity == {
        "id": identity["id"],
        "handle": "pos",
        "identifier": "T07-000381",
        "is_primary": False,
        "is_active": True,
        "profile_id": ada["id"],
        "merged_from": None,
        "source": "staff",
        "created_at": identity["created_at"],
        "updated_at": identity["updated_at"],
    }
    assert isinstance(identity["id"], int)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", identity["created_at"])
    for path in ("pos", f"id/{identity['id']}"):
        assert api.data(f"/profiles/{ada['id']}/identities/{path}") == identity


def test_the_list_is_plain_and_whole(api, ada) -> None:
    for number in range(20):
        api.identity(ada, "pos", f"T{number}")

    body = api.get(f"/profiles/{ada['id']}/identities").json()

    assert list(body) == ["data"]
    assert [row["identifier"] for row in body["data"]] == ["1804974", *(f"T{number}" for number in range(20))]


def test_a_profile_without_identities_has_an_empty_list(api) -> None:
    eve = api.profile(first_name="Eve")

    assert api.get(f"/profiles/{eve['id']}/identities").json() == {"data": []}


@pytest.mark.parametrize(("sent", "kept"), [(123, "123"), (-7, "-7"), (10**30, str(10**30)), ("0012", "0012")])
def test_an_identifier_is_always_a_string(api, ada, sent, kept) -> None:
    assert api.identity(ada, "pos", sent)["identifier"] == kept


@pytest.mark.parametrize("sent", [1.5, True, False, None, [], {}, ["1"]])
def test_an_identifier_is_text_or_a_whole_number(api, ada, unchanged, sent) -> None:
    with unchanged():
        response = api.post(f"/profiles/{ada['id']}/identities", {"handle": "pos", "identifier": sent})

    refused(response, "invalid", "identifier")


def test_handle_and_identifier_are_required(api, ada, unchanged) -> None:
    with unchanged():
        response = api.post(f"/profiles/{ada['id']}/identities")

    body = refused(response, "required", "handle")
    assert set(body["errors"]) == {"handle", "identifier"}


def test_an_identity_may_be_added_inactive_and_primary(api, ada) -> None:
    identity = api.identity(ada, "pos", "1", is_active=False, is_primary=True)

    assert (identity["is_active"], identity["is_primary"]) == (False, True)
    assert api.data(f"/profiles/{ada['id']}")["external_id"] == "1"


def test_asking_for_primary_demotes_the_former_one(api, ada) -> None:
    first = api.identity(ada, "pos", "1", is_primary=True)
    second = api.identity(ada, "pos", "2")
    assert second["is_primary"] is False

    third = api.identity(ada, "pos", "3", is_primary=True)
    assert [row["is_primary"] for row in api.data(f"/profiles/{ada['id']}/identities")] == [False, False, False, True]

    changed = api.put(f"/profiles/{ada['id']}/identities/id/{first['id']}", {"is_primary": True}).json()["data"]

    assert changed["is_primary"] is True
    assert api.data(f"/profiles/{ada['id']}/identities/id/{third['id']}")["is_primary"] is False
    assert api.data(f"/profiles/{ada['id']}")["external_id"] == "1"


def test_adding_a_pair_that_the_profile_holds_is_a_200_with_the_row_as_it_is(api, ada, unchanged) -> None:
    before = card(api, ada)

    with unchanged():
        body = {"handle": CARD, "identifier": " 1804974 ", "is_primary": True, "is_active": False}
        response = api.post(f"/profiles/{ada['id']}/identities", body)

    assert (response.status_code, response.json()) == (200, {"data": before})


def test_adding_a_pair_that_another_profile_holds_is_refused_and_logged_once(api, ada, bo, unchanged) -> None:
    with unchanged(RoutingLogEntry):
        response = api.post(f"/profiles/{bo['id']}/identities", {"handle": CARD, "identifier": "1804974"})
        again = api.post(f"/profiles/{bo['id']}/identities", {"handle": CARD, "identifier": "1804974"})

    body = refused(response, "identity_taken", "identifier")
    assert body["profile_id"] == ada["id"]
    entry = RoutingLogEntry.objects.get()
    assert again.json()["log_entry_id"] == body["log_entry_id"] == entry.pk
    assert (entry.outcome, entry.handle, entry.identifier, entry.occurrences) == ("identity_taken", CARD, "1804974", 2)
    assert (str(entry.requested_profile_id), [str(pk) for pk in entry.candidates]) == (bo["id"], [ada["id"]])


def test_the_pair_is_unique_and_the_identifier_alone_is_not(api, ada, bo) -> None:
    assert api.identity(bo, "pos", "1804974")["profile_id"] == bo["id"]
    assert api.identity(ada, "pos-customer", "1804974")["profile_id"] == ada["id"]


def test_a_profile_may_hold_several_identities_of_a_handle(api, ada) -> None:
    assert api.identity(ada, CARD, "2")["id"] != api.identity(ada, CARD, "3")["id"]


def test_by_handle_the_newest_active_one_is_meant_else_the_newest(api, ada) -> None:
    api.identity(ada, CARD, "2")
    api.identity(ada, CARD, "3", is_active=False)
    url = f"/profiles/{ada['id']}/identities/{CARD}"

    assert api.data(url)["identifier"] == "2"

    for _active in range(2):
        assert api.put(url, {"is_active": False}).status_code == 200
    assert [row["is_active"] for row in api.data(f"/profiles/{ada['id']}/identities")] == [False] * 3
    assert api.data(url)["identifier"] == "3"

    assert api.delete(url).status_code == 204
    assert api.data(url)["identifier"] == "2"


@pytest.mark.parametrize("by", ["handle", "id"])
def test_a_put_is_partial_and_keeps_the_id(api, ada, by) -> None:
    before = card(api, ada)
    url = f"/profiles/{ada['id']}/identities/" + (CARD if by == "handle" else f"id/{before['id']}")

    changed = api.put(url, {"identifier": 42})
    assert changed.status_code == 200
    assert changed.json()["data"] == before | {"identifier": "42", "updated_at": changed.json()["data"]["updated_at"]}

    changed = api.put(url, {"is_active": False})
    assert (changed.json()["data"]["is_active"], changed.json()["data"]["identifier"]) == (False, "42")

    assert api.put(url).status_code == 200
    assert card(api, ada)["id"] == before["id"]
    assert Audit.objects.filter(auditable_type="identity", event="updated").count() >= 2


@pytest.mark.parametrize("by", ["handle", "id"])
def test_a_delete_is_a_204_without_body(api, ada, by) -> None:
    url = f"/profiles/{ada['id']}/identities/" + (CARD if by == "handle" else f"id/{card(api, ada)['id']}")

    response = api.delete(url)

    assert (response.status_code, response.content) == (204, b"")
    not_found(api.get(url))
    not_found(api.delete(url))


def test_a_client_may_send_back_the_whole_object_with_one_field_changed(api, ada) -> None:
    before = card(api, ada)

    after = api.put(f"/profiles/{ada['id']}/identities/{CARD}", before | {"is_primary": True}).json()["data"]

    assert after == before | {"is_primary": True, "updated_at": after["updated_at"]}


def test_a_put_to_a_pair_of_the_same_profile_is_identity_exists(api, ada, unchanged) -> None:
    two = api.identity(ada, CARD, "2")

    with unchanged():
        response = api.put(f"/profiles/{ada['id']}/identities/id/{two['id']}", {"identifier": "1804974"})

    refused(response, "identity_exists", "identifier")


def test_a_put_to_a_pair_of_another_profile_is_identity_taken(api, ada, bo, unchanged) -> None:
    with unchanged(RoutingLogEntry):
        response = api.put(f"/profiles/{bo['id']}/identities/{CARD}", {"identifier": "1804974"})

    assert refused(response, "identity_taken", "identifier")["profile_id"] == ada["id"]
    assert RoutingLogEntry.objects.get().outcome == "identity_taken"


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_what_is_not_this_profiles_is_a_404(api, ada, bo, nobody, unchanged, method) -> None:
    call = getattr(api, method)
    theirs = card(api, bo)["id"]

    with unchanged():
        not_found(call(f"/profiles/{ada['id']}/identities/id/{theirs}"))
        not_found(call(f"/profiles/{ada['id']}/identities/pos"))
        not_found(call(f"/profiles/{ada['id']}/identities/id/0"))
        not_found(call(f"/profiles/{nobody}/identities/{CARD}"))
        not_found(call(f"/profiles/{nobody}/identities/id/{theirs}"))
        not_found(call(f"/profiles/no-uuid/identities/{CARD}"))


def test_list_and_add_of_an_unknown_profile_are_a_404(api, nobody, unchanged) -> None:
    with unchanged():
        for profile_id in (nobody, "no-uuid"):
            not_found(api.get(f"/profiles/{profile_id}/identities"))
            not_found(api.post(f"/profiles/{profile_id}/identities", {"handle": "new", "identifier": "1"}))


@pytest.mark.parametrize("number", [2**31, 2**63 - 1, 2**63, 10**30, int("9" * 4000)])
@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_an_integer_of_any_size_in_a_path_is_a_404(api, ada, number, method) -> None:
    not_found(getattr(api, method)(f"/profiles/{ada['id']}/identities/id/{number}"))


def test_an_unknown_handle_is_accepted_and_appears_as_undocumented(api, ada) -> None:
    identity = api.identity(ada, "parcel-locker", "9")

    assert identity["handle"] == "parcel-locker"
    assert Handle.objects.get(pk="parcel-locker").status == "undocumented"


def test_with_the_agreed_policy_an_unknown_handle_is_refused_with_the_nearest(api, ada, settings, unchanged) -> None:
    settings.HANDLE_POLICY = "agreed"

    with unchanged():
        response = api.post(f"/profiles/{ada['id']}/identities", {"handle": "loyalty-cart", "identifier": "9"})

    body = refused(response, "unknown_handle", "handle")
    assert body["did_you_mean"][0] == CARD
    assert CARD in body["message"]
    assert api.identity(ada, "pos", "9")["handle"] == "pos"


@pytest.mark.parametrize("name", ["Loyalty-Card", "loyalty_card", "loyaltycard", "LOYALTY_CARD", "loyal-ty-card"])
@pytest.mark.parametrize("policy", ["open", "agreed"])
def test_a_misspelt_handle_is_always_refused_with_did_you_mean(api, ada, settings, unchanged, policy, name) -> None:
    settings.HANDLE_POLICY = policy

    with unchanged():
        response = api.post(f"/profiles/{ada['id']}/identities", {"handle": name, "identifier": "9"})

    body = refused(response, "unknown_handle", "handle")
    assert body["did_you_mean"] == [CARD]
    assert "did you mean loyalty-card" in body["message"]


@pytest.mark.parametrize("name", ["id", "profile_id", "profile-id", "ID", "ProfileId"])
def test_words_for_the_profile_itself_are_no_handles(api, ada, unchanged, name) -> None:
    with unchanged():
        response = api.post(f"/profiles/{ada['id']}/identities", {"handle": name, "identifier": "9"})

    refused(response, "invalid_handle", "handle")


@pytest.mark.parametrize("name", ["-a", "_a", "a b", "a.b", "ä", "a" * 65, "a/b", "a:b"])
def test_a_handle_is_a_slug(api, ada, unchanged, name) -> None:
    with unchanged():
        response = api.post(f"/profiles/{ada['id']}/identities", {"handle": name, "identifier": "9"})

    refused(response, "invalid_handle", "handle")


def test_a_retired_handle_takes_nothing_new_and_keeps_what_it_has(api, ada, unchanged) -> None:
    assert api.put(f"/handles/{CARD}", {"status": "retired"}).status_code == 200

    with unchanged():
        response = api.post(f"/profiles/{ada['id']}/identities", {"handle": CARD, "identifier": "9"})

    refused(response, "retired_handle", "handle")
    assert card(api, ada)["identifier"] == "1804974"
    assert api.put(f"/profiles/{ada['id']}/identities/{CARD}", {"is_active": False}).status_code == 200


def test_a_single_valued_handle_takes_one_active_identity(api, ada, unchanged) -> None:
    assert api.put(f"/handles/{CARD}", {"single_valued": True}).status_code == 200
    spare = api.identity(ada, CARD, "2", is_active=False)

    with unchanged():
        response = api.post(f"/profiles/{ada['id']}/identities", {"handle": CARD, "identifier": "3"})
        activated = api.put(f"/profiles/{ada['id']}/identities/id/{spare['id']}", {"is_active": True})

    refused(response, "too_many_identities", "handle")
    refused(activated, "too_many_identities", "handle")


def test_a_handle_may_limit_how_many_a_profile_has(api, ada, unchanged) -> None:
    assert api.put(f"/handles/{CARD}", {"max_per_profile": 2}).status_code == 200
    api.identity(ada, CARD, "2", is_active=False)

    with unchanged():
        response = api.post(f"/profiles/{ada['id']}/identities", {"handle": CARD, "identifier": "3"})

    refused(response, "too_many_identities", "handle")


def test_an_immutable_identifier_cannot_be_changed_but_deactivated(api, ada, unchanged) -> None:
    assert api.put(f"/handles/{CARD}", {"immutable": True}).status_code == 200
    url = f"/profiles/{ada['id']}/identities/{CARD}"

    with unchanged():
        refused(api.put(url, {"identifier": "2"}), "immutable_handle", "identifier")

    assert api.put(url, {"identifier": "1804974", "is_active": False}).status_code == 200


def test_a_pattern_is_asked_of_the_whole_normal_form(api, ada, unchanged) -> None:
    assert api.put(f"/handles/{CARD}", {"pattern": "[0-9]{7}"}).status_code == 200
    url = f"/profiles/{ada['id']}/identities"

    with unchanged():
        for identifier in ("180497", "18049745", "x1804975", "1804975\n1"):
            refused(api.post(url, {"handle": CARD, "identifier": identifier}), "invalid_identifier", "identifier")

    assert api.identity(ada, CARD, " 1804975\n")["identifier"] == "1804975"


def test_inactive_pairs_still_own_and_are_found(api, ada, bo) -> None:
    api.put(f"/profiles/{ada['id']}/identities/{CARD}", {"is_active": False})

    response = api.post(f"/profiles/{bo['id']}/identities", {"handle": CARD, "identifier": "1804974"})

    refused(response, "identity_taken", "identifier")
    assert api.data("/identities/search", {"handle": CARD, "identifier": "1804974"})["profile_id"] == ada["id"]


def test_a_pair_of_a_deleted_profile_is_free_and_keeps_its_row(api, ada, bo) -> None:
    before = card(api, ada)
    api.delete(f"/profiles/{ada['id']}")

    taken = api.identity(bo, CARD, "1804974")

    assert (taken["id"], taken["profile_id"]) == (before["id"], bo["id"])
    entry = RoutingLogEntry.objects.get()
    assert (entry.outcome, str(entry.requested_profile_id)) == ("released_from", ada["id"])
    assert str(entry.routed_profile_id) == bo["id"]


def test_a_put_onto_a_released_pair_keeps_its_own_id_and_deletes_the_released_row(api, ada, bo) -> None:
    released = card(api, ada)["id"]
    own = card(api, bo)["id"]
    api.delete(f"/profiles/{ada['id']}")

    changed = api.put(f"/profiles/{bo['id']}/identities/{CARD}", {"identifier": "1804974"}).json()["data"]

    assert (changed["id"], changed["identifier"]) == (own, "1804974")
    assert not Identity.objects.filter(pk=released).exists()
    assert RoutingLogEntry.objects.get().outcome == "released_from"


@pytest.mark.parametrize("path", ["", "/loyalty-card", "/id/{id}"])
def test_writes_to_a_deleted_profiles_identities_are_a_409(api, ada, unchanged, path) -> None:
    path = path.format(id=card(api, ada)["id"])
    api.delete(f"/profiles/{ada['id']}")
    url = f"/profiles/{ada['id']}/identities{path}"

    with unchanged():
        if path:
            conflict(api.put(url, {"is_active": False}), "profile_deleted")
            conflict(api.delete(url), "profile_deleted")
        else:
            conflict(api.post(url, {"handle": "pos", "identifier": "1"}), "profile_deleted")

    assert api.get(url).status_code == 200


def test_what_was_sent_is_kept_when_it_differs(api, ada) -> None:
    identity = api.identity(ada, "instagram", " Ada.Lovelace ")

    assert identity["identifier"] == "ada.lovelace"
    assert Identity.objects.get(pk=identity["id"]).original == "Ada.Lovelace"


def test_source_is_the_extension_or_staff(api, shopify, ada) -> None:
    assert shopify.identity(ada, "shopify", "6432187489345")["source"] == "shopify"
    assert shopify.identity(ada, "pos", "1")["source"] == "shopify"
    assert api.identity(ada, "pos", "2")["source"] == "staff"


@pytest.mark.parametrize("field", ["is_active", "is_primary"])
@pytest.mark.parametrize("value", ["yes", "", 2, 1.0, None, [], {}, "TRUE"])
def test_a_boolean_of_the_wrong_type_is_refused(api, ada, unchanged, field, value) -> None:
    url = f"/profiles/{ada['id']}/identities"

    with unchanged():
        refused(api.post(url, {"handle": "pos", "identifier": "1", field: value}), "invalid", field)
        refused(api.put(f"{url}/{CARD}", {field: value}), "invalid", field)
