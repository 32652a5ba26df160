"""search, search-id, search-profile and resolve (API.md 2)."""

from __future__ import annotations

import pytest

from identities.models import Handle, Identity
from tests.api.conftest import CARD, not_found, refused

pytestmark = pytest.mark.django_db


@pytest.fixture
def instagram(api, ada):
    return api.identity(ada, "instagram", "Ada.Lovelace")


@pytest.fixture
def till(api, ada):
    """A handle that keeps digits alone."""
    Handle.objects.create(name="till-number", normaliser="digits")
    return api.identity(ada, "till-number", "No. 00042")


def pair(handle, identifier):
    return {"handle": handle, "identifier": identifier}


def search(api, handle, identifier):
    return api.get("/identities/search", pair(handle, identifier))


def search_id(api, handle, identifier):
    return api.post("/profiles/search-id", {"type": handle, "id": identifier})


def resolve(api, *pairs):
    response = api.post("/identities/resolve", {"identities": [pair(*one) for one in pairs]})
    assert response.status_code == 200, response.content
    return response.json()["data"]


# GET /identities/search


def test_search_answers_the_identity_with_its_full_profile(api, ada) -> None:
    data = search(api, CARD, "1804974").json()["data"]

    assert data.pop("profile") == api.data(f"/profiles/{ada['id']}")
    assert data == api.data(f"/profiles/{ada['id']}/identities/{CARD}")


def test_search_of_what_nobody_has_is_a_404(api, ada) -> None:
    not_found(search(api, CARD, "77"))
    not_found(search(api, "pos", "1804974"))
    not_found(search(api, "no-such-handle", "1804974"))


@pytest.mark.parametrize(
    "query", ["", "?handle=pos", "?identifier=1", "?handle=&identifier=1", "?handle=pos&identifier="]
)
def test_search_needs_both(api, query) -> None:
    missing = "identifier" if "handle=pos" in query else "handle"

    refused(api.get(f"/identities/search{query}"), "required", missing)


# POST /profiles/search-id


def test_search_id_answers_the_full_profile(api, ada) -> None:
    assert search_id(api, CARD, "1804974").json() == {"data": api.data(f"/profiles/{ada['id']}")}
    assert search_id(api, CARD, 1804974).json()["data"]["id"] == ada["id"]


def test_search_id_takes_the_profiles_own_id(api, ada, nobody) -> None:
    assert search_id(api, "profile_id", ada["id"]).json()["data"]["id"] == ada["id"]
    for other in (nobody, "no-uuid", "", 7):
        not_found(search_id(api, "profile_id", other))


def test_search_id_of_a_deleted_profile_finds_it_by_its_own_id_only(api, ada) -> None:
    api.delete(f"/profiles/{ada['id']}")

    assert search_id(api, "profile_id", ada["id"]).json()["data"]["profile_type"] == "deleted"
    not_found(search_id(api, CARD, "1804974"))


def test_search_id_of_what_nobody_has_is_a_404(api, ada) -> None:
    not_found(search_id(api, CARD, "77"))
    not_found(search_id(api, "no-such-handle", "1804974"))


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "required", "type"),
        ({"type": CARD}, "required", "id"),
        ({"id": "1"}, "required", "type"),
        ({"type": 7, "id": "1"}, "invalid", "type"),
        ({"type": None, "id": "1"}, "invalid", "type"),
        ({"type": CARD, "id": None}, "invalid", "id"),
        ({"type": CARD, "id": 1.5}, "invalid", "id"),
        ({"type": CARD, "id": True}, "invalid", "id"),
        ({"type": CARD, "id": ["1"]}, "invalid", "id"),
    ],
)
def test_search_id_of_the_wrong_shape_is_refused(api, body, code, field) -> None:
    refused(api.post("/profiles/search-id", body), code, field)


# GET /identities/search-profile


def test_search_profile_finds_profiles_by_any_handle_oldest_identity_first(api, ada, bo) -> None:
    api.identity(bo, "pos", "shared")
    api.identity(ada, "pos-customer", "shared")

    assert [row["id"] for row in api.data("/identities/search-profile/shared")] == [bo["id"], ada["id"]]
    assert api.data("/identities/search-profile/1804974") == [api.data(f"/profiles/{ada['id']}")]
    assert api.get("/identities/search-profile", {"identifier": "1804974"}).json()["data"][0]["id"] == ada["id"]


def test_search_profile_names_a_profile_once(api, ada) -> None:
    api.identity(ada, "pos", "1804974")

    assert len(api.data("/identities/search-profile/1804974")) == 1


def test_search_profile_of_what_nobody_has_is_an_empty_list(api, ada) -> None:
    assert api.get("/identities/search-profile/nothing").json() == {"data": []}


def test_search_profile_by_query_needs_an_identifier(api) -> None:
    for path in (
        "/identities/search-profile",
        "/identities/search-profile/",
        "/identities/search-profile?identifier=",
    ):
        refused(api.get(path), "required", "identifier")


@pytest.mark.parametrize(
    "identifier",
    [
        "a/b",
        "a//b",
        "/a",
        "a/",
        "https://example.com/ada/",
        "100%",
        "a%2Fb",
        "a b",
        "ü",
        "😀",
        "a?b",
        "a#b",
        "..",
        "a&b=c",
    ],
)
def test_an_identifier_in_a_path_arrives_decoded_and_unfolded(api, ada, path, identifier) -> None:
    api.identity(ada, "pos", identifier)

    assert [row["id"] for row in api.data(f"/identities/search-profile/{path(identifier)}")] == [ada["id"]]
    assert [row["id"] for row in api.data("/identities/search-profile", {"identifier": identifier})] == [ada["id"]]


def test_each_handle_is_asked_by_its_own_normaliser_only(api, ada, bo, till, instagram) -> None:
    api.identity(bo, "pos", "ADA.LOVELACE")

    assert [row["id"] for row in api.data("/identities/search-profile/ADA.LOVELACE")] == [ada["id"], bo["id"]]
    assert [row["id"] for row in api.data("/identities/search-profile/ada.lovelace")] == [ada["id"]]
    assert [row["id"] for row in api.data("/identities/search-profile/abc-00042")] == [ada["id"]]
    assert api.data("/identities/search-profile/abc-042") == []


# POST /identities/resolve


def test_resolve_answers_in_the_order_asked(api, ada, bo) -> None:
    assert resolve(api, (CARD, "77"), (CARD, "none"), (CARD, 1804974), ("nothing", "1"), (CARD, "77")) == [
        {"handle": CARD, "identifier": "77", "profile_id": bo["id"]},
        {"handle": CARD, "identifier": "none", "profile_id": None},
        {"handle": CARD, "identifier": "1804974", "profile_id": ada["id"]},
        {"handle": "nothing", "identifier": "1", "profile_id": None},
        {"handle": CARD, "identifier": "77", "profile_id": bo["id"]},
    ]


def test_resolve_takes_a_thousand_pairs_at_most(api, ada) -> None:
    assert len(resolve(api, *[(CARD, "1804974")] * 1_000)) == 1_000
    assert resolve(api) == []

    response = api.post("/identities/resolve", {"identities": [pair(CARD, "1")] * 1_001})
    assert response.status_code == 422
    assert list(response.json()["errors"]) == ["identities"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "identities"),
        ({"identities": None}, "identities"),
        ({"identities": {}}, "identities"),
        ({"identities": [7]}, "identities.0"),
        ({"identities": [pair(CARD, "1"), {}]}, "identities.1.handle"),
        ({"identities": [pair(CARD, 1.5)]}, "identities.0.identifier"),
        ({"identities": [pair(7, "1")]}, "identities.0.handle"),
    ],
)
def test_resolve_of_the_wrong_shape_is_refused(api, body, field) -> None:
    response = api.post("/identities/resolve", body)

    assert response.status_code == 422
    assert next(iter(response.json()["errors"])) == field


# All of them


def ids(api, handle, identifier):
    """Whom each look-up by a pair finds; None for nobody."""
    searched, by_id = search(api, handle, identifier), search_id(api, handle, identifier)
    assert {searched.status_code, by_id.status_code} <= {200, 404}
    (resolved,) = resolve(api, (handle, identifier))
    return {
        searched.json()["data"]["profile"]["id"] if searched.status_code == 200 else None,
        by_id.json()["data"]["id"] if by_id.status_code == 200 else None,
        resolved["profile_id"],
    }


def test_every_lookup_follows_the_handles_normaliser(api, ada, instagram, till) -> None:
    assert ids(api, "instagram", " ADA.LOVELACE ") == {ada["id"]}
    assert ids(api, "till-number", "#0 00 42") == {ada["id"]}
    assert ids(api, "till-number", "42") == {None}
    assert ids(api, CARD, " 1804974 ") == {ada["id"]}


def test_every_lookup_finds_inactive_pairs(api, ada) -> None:
    api.put(f"/profiles/{ada['id']}/identities/{CARD}", {"is_active": False})

    assert ids(api, CARD, "1804974") == {ada["id"]}
    assert [row["id"] for row in api.data("/identities/search-profile/1804974")] == [ada["id"]]


def test_no_lookup_finds_a_deleted_profiles_pairs(api, ada) -> None:
    api.delete(f"/profiles/{ada['id']}")

    assert ids(api, CARD, "1804974") == {None}
    assert ids(api, "email", "ada@example.com") == {None}
    assert api.data("/identities/search-profile/1804974") == []


def test_every_lookup_finds_contacts_by_their_handle(api, ada) -> None:
    assert ids(api, "email", "ADA@Example.com") == {ada["id"]}
    assert ids(api, "mobile_phone", "+61 404 123 123") == {ada["id"]}
    assert ids(api, "mobile_phone", "0404123123") == {ada["id"]}


def test_a_renamed_handles_old_name_is_followed(api, ada) -> None:
    Handle.objects.create(name="club-card", status="agreed")
    Identity.objects.filter(handle=CARD).update(handle="club-card")
    Handle.objects.filter(pk=CARD).update(status="retired", renamed_to="club-card")

    assert ids(api, CARD, "1804974") == ids(api, "club-card", "1804974") == {ada["id"]}
    assert api.data("/identities", {"filter[handle]": CARD})[0]["handle"] == "club-card"
    assert api.identity(ada, CARD, "new")["handle"] == "club-card"
    assert api.data(f"/profiles/{ada['id']}/identities/{CARD}")["handle"] == "club-card"


@pytest.mark.parametrize(
    "value", ["null", "0", "-1", "a\u200bb", "x" * 300, "x" * 10_000, "😀", "' OR 1=1 --", "<b>", "%", "\\"]
)
def test_lookups_refuse_no_value(api, ada, path, value) -> None:
    for handle in (CARD, "instagram", "email", "mobile_phone", "<b>", "x" * 255):
        assert ids(api, handle, value) == {None}
    assert api.data(f"/identities/search-profile/{path(value)}") == []
    assert api.data("/identities", {"filter[identifier]": value}) == []


@pytest.mark.parametrize("character", ["\x00", "\x01", "\n", "\x7f", "\x85"])
def test_lookups_refuse_control_characters_in_a_parameter(api, path, character) -> None:
    refused(search(api, CARD, f"a{character}b"), "invalid", "identifier")
    refused(search(api, f"a{character}b", "1"), "invalid", "handle")
    refused(api.get(f"/identities/search-profile/{path(f'a{character}b')}"), "invalid", "identifier")
    refused(api.get("/identities/search-profile", {"identifier": f"a{character}b"}), "invalid", "identifier")


def test_either_read_scope_looks_up(caller, ada) -> None:
    for scope in ("read-identities", "read-profiles"):
        reader = caller(scope)
        assert ids(reader, CARD, "1804974") == {ada["id"]}
        assert len(reader.data("/identities/search-profile/1804974")) == 1

    stranger = caller("create-profiles")
    for response in (
        search(stranger, CARD, "1804974"),
        search_id(stranger, CARD, "1804974"),
        stranger.get("/identities/search-profile/1804974"),
        stranger.get("/identities/search-profile?identifier=1804974"),
        stranger.post("/identities/resolve", {"identities": []}),
    ):
        assert response.status_code == 403
