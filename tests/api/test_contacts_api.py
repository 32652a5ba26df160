"""Contact points are identities too: each line of that paragraph of API.md 2."""

from __future__ import annotations

import pytest

from identities.models import Identity, RoutingLogEntry
from profiles.models import Audit
from tests.api.conftest import CARD, conflict, not_found, refused

pytestmark = pytest.mark.django_db

CONTACTS = [
    ("email", "ada@example.com", "eve@example.com", "The email exists"),
    ("mobile_phone", "+61404123123", "+61404777666", "The phone number exists"),
]


def held(profile) -> dict[str, list[str]]:
    """The contact points that a profile holds, shown or not, oldest first."""
    rows = Identity.objects.filter(profile_id=profile["id"], handle__in=["email", "mobile_phone"]).order_by("pk")
    found: dict[str, list[str]] = {"email": [], "mobile_phone": []}
    for row in rows:
        found[row.handle_id].append(row.shown)
    return found


def put(api, profile, **body):
    response = api.put(f"/profiles/{profile['id']}", body)
    assert response.status_code == 200, response.content
    return response.json()["data"]


def give(api, handle, value, to):
    """Move the contact point to another profile, which then holds several."""
    row = Identity.objects.get(handle=handle, identifier=value)
    response = api.post(f"/identities/{row.pk}/move", {"profile_id": to["id"], "reason": "The same person."})
    assert response.status_code == 200, response.content
    return response.json()["data"]


@pytest.fixture
def ada_with_two(api, ada, bo):
    """Ada, who shows her own contact points and holds Bo's former ones too."""
    give(api, "email", "bo@example.com", ada)
    give(api, "mobile_phone", "+61404999888", ada)
    return api.data(f"/profiles/{ada['id']}")


# Identities like all others


def test_email_and_mobile_are_pairs_under_the_built_in_handles(api, ada) -> None:
    assert held(ada) == {"email": ["ada@example.com"], "mobile_phone": ["+61404123123"]}
    for handle, value, _other, _words in CONTACTS:
        assert api.data("/identities/search", {"handle": handle, "identifier": value})["profile"]["id"] == ada["id"]


@pytest.mark.parametrize(("field", "value", "other", "words"), CONTACTS)
@pytest.mark.parametrize("method", ["post", "put"])
def test_a_contact_of_another_profile_is_refused_in_the_words_of_the_contract(
    api, ada, bo, unchanged, method, field, value, other, words
) -> None:
    with unchanged(RoutingLogEntry):
        if method == "post":
            response = api.post("/profiles", {"first_name": "Eve", field: value})
        else:
            response = api.put(f"/profiles/{bo['id']}", {"first_name": "Changed", field: value})

    body = refused(response, "identity_taken", field)
    assert (body["message"], body["errors"]) == (words, {field: [words]})
    assert body["profile_id"] == ada["id"]
    entry = RoutingLogEntry.objects.get()
    assert body["log_entry_id"] == entry.pk
    assert (entry.outcome, entry.kind, entry.handle, entry.identifier) == ("identity_taken", "profile", field, value)
    assert entry.requested_profile_id == (None if method == "post" else entry.requested_profile_id)


@pytest.mark.parametrize(
    ("field", "spelling"),
    [
        ("email", "ADA@EXAMPLE.COM"),
        ("email", "  Ada@example.com "),
        ("mobile_phone", "0404123123"),
        ("mobile_phone", "+61 (404) 123-123"),
        ("mobile_phone", "+61 0404 123 123"),
    ],
)
def test_contacts_are_unique_in_every_spelling(api, ada, bo, unchanged, field, spelling) -> None:
    with unchanged(RoutingLogEntry):
        refused(api.put(f"/profiles/{bo['id']}", {field: spelling}), "identity_taken", field)


def test_the_address_is_shown_in_its_own_spelling_and_the_number_in_e164(api) -> None:
    eve = api.profile(email=" Eve.Adams@Example.COM ", mobile_phone="(0404) 777-666")

    assert eve["email"] == "Eve.Adams@Example.COM"
    assert eve["mobile_phone"] == eve["mobile_phone_e164"] == "+61404777666"
    assert (eve["mobile_phone_country"], eve["mobile_phone_national"]) == (61, "404777666")
    assert Identity.objects.get(handle="email").identifier == "eve.adams@example.com"


def test_contacts_are_multi_valued(api, ada_with_two) -> None:
    assert held(ada_with_two) == {
        "email": ["ada@example.com", "bo@example.com"],
        "mobile_phone": ["+61404123123", "+61404999888"],
    }
    assert (ada_with_two["email"], ada_with_two["mobile_phone"]) == ("ada@example.com", "+61404123123")


@pytest.mark.parametrize("handle", ["email", "mobile_phone"])
@pytest.mark.parametrize(
    "change",
    [
        {"status": "retired"},
        {"status": "undocumented"},
        {"reserved_for": "shopify"},
        {"normaliser": "exact"},
        {"single_valued": True},
        {"max_per_profile": 1},
        {"immutable": True},
        {"pattern": "x"},
    ],
)
def test_the_built_in_handles_cannot_be_changed(api, unchanged, handle, change) -> None:
    with unchanged():
        response = api.put(f"/handles/{handle}", change)

    assert response.status_code == 422
    assert response.json()["code"] == "builtin_handle"


@pytest.mark.parametrize("handle", ["email", "mobile_phone"])
def test_the_built_in_handles_can_be_described(api, handle) -> None:
    response = api.put(f"/handles/{handle}", {"label": "New", "description": "Words.", "example": "x", "priority": 3})

    assert response.status_code == 200
    assert (response.json()["data"]["label"], response.json()["data"]["priority"]) == ("New", 3)


def test_a_contact_is_never_primary(api, ada) -> None:
    for row in Identity.objects.filter(profile_id=ada["id"], handle__in=["email", "mobile_phone"]):
        response = api.put(f"/profiles/{ada['id']}/identities/id/{row.pk}", {"is_primary": True})
        refused(response, "builtin_handle", "handle")

    assert not Identity.objects.filter(is_primary=True).exists()


# Shown and held


@pytest.mark.parametrize(("field", "value", "other", "words"), CONTACTS)
def test_a_new_value_adds_its_pair_and_deletes_the_one_shown(api, ada, field, value, other, words) -> None:
    assert put(api, ada, **{field: other})[field] == other
    assert held(ada)[field] == [other]
    not_found(api.get("/identities/search", {"handle": field, "identifier": value}))


@pytest.mark.parametrize(("field", "value", "other", "words"), CONTACTS)
def test_a_new_value_leaves_the_other_ones_held(api, ada_with_two, field, value, other, words) -> None:
    kept = held(ada_with_two)[field][1]

    assert put(api, ada_with_two, **{field: other})[field] == other
    assert sorted(held(ada_with_two)[field]) == sorted([kept, other])


@pytest.mark.parametrize(("field", "value", "other", "words"), CONTACTS)
def test_a_value_that_is_held_only_changes_which_one_is_shown(api, ada_with_two, field, value, other, words) -> None:
    before = list(Identity.objects.order_by("pk").values())
    second = held(ada_with_two)[field][1]

    assert put(api, ada_with_two, **{field: second})[field] == second
    assert list(Identity.objects.order_by("pk").values()) == before
    assert put(api, ada_with_two, **{field: value})[field] == value


@pytest.mark.parametrize(("field", "value", "other", "words"), CONTACTS)
@pytest.mark.parametrize("empty", ["", "   ", None])
def test_emptying_deletes_the_one_shown_and_promotes_none(
    api, ada_with_two, field, value, other, words, empty
) -> None:
    kept = held(ada_with_two)[field][1]

    data = put(api, ada_with_two, **{field: empty})

    assert data[field] == ("" if field == "email" else None)
    assert held(ada_with_two)[field] == [kept]
    if field == "mobile_phone":
        assert data["mobile_phone_country"] is data["mobile_phone_national"] is data["mobile_phone_e164"] is None
    assert put(api, ada_with_two, **{field: empty})[field] == data[field]
    assert held(ada_with_two)[field] == [kept]


@pytest.mark.parametrize(("field", "spelling"), [("email", "ADA@example.com"), ("mobile_phone", "0404 123 123")])
def test_an_equal_value_changes_nothing(api, ada, unchanged, field, spelling) -> None:
    with unchanged():
        assert put(api, ada, **{field: spelling}) == ada


@pytest.mark.parametrize(("field", "value", "other", "words"), CONTACTS)
def test_a_contact_that_is_moved_away_gives_way_to_the_oldest_left(
    api, ada_with_two, bo, field, value, other, words
) -> None:
    second = held(ada_with_two)[field][1]

    give(api, field, value, bo)

    assert api.data(f"/profiles/{ada_with_two['id']}")[field] == second
    assert api.data(f"/profiles/{bo['id']}")[field] == value

    give(api, field, second, bo)

    assert api.data(f"/profiles/{ada_with_two['id']}")[field] in ("", None)
    assert held(bo)[field] == [value, second] or held(bo)[field] == [second, value]


@pytest.mark.parametrize(("field", "value", "other", "words"), CONTACTS)
def test_a_move_reports_whose_shown_contact_it_changes(api, ada_with_two, bo, field, value, other, words) -> None:
    eve = api.profile(first_name="Eve")
    first, second = Identity.objects.filter(handle=field, profile=ada_with_two["id"]).order_by("pk")
    told = []

    for identity, to in ((second, bo), (second, eve), (first, eve), (first, eve)):
        body = {"profile_id": to["id"], "reason": "Theirs"}
        told.append(api.post(f"/identities/{identity.pk}/move", body).json()["contacts_changed"])

    def changed(*profiles) -> list[dict[str, str]]:
        return [{"profile_id": profile["id"], "field": field} for profile in profiles]

    assert told == [changed(bo), changed(bo, eve), changed(ada_with_two), []]


def test_an_undelete_shows_what_is_left_and_reports_it(api, ada_with_two, bo) -> None:
    api.delete(f"/profiles/{ada_with_two['id']}")
    put(api, bo, email="ada@example.com", mobile_phone="+61404123123")

    body = api.put(f"/profiles/{ada_with_two['id']}/update-type", {"profile_type": "active"}).json()

    assert (body["data"]["email"], body["data"]["mobile_phone"]) == ("bo@example.com", "+61404999888")
    assert body["contacts_changed"] == [
        {"profile_id": ada_with_two["id"], "field": "email"},
        {"profile_id": ada_with_two["id"], "field": "mobile_phone"},
    ]
    assert {(row["handle"], row["identifier"], row["profile_id"]) for row in body["not_returned"]} == {
        ("email", "ada@example.com", bo["id"]),
        ("mobile_phone", "+61404123123", bo["id"]),
    }


def test_an_undelete_with_no_contact_left_shows_none(api, ada, bo) -> None:
    api.delete(f"/profiles/{ada['id']}")
    put(api, bo, email="ada@example.com")

    body = api.put(f"/profiles/{ada['id']}/update-type", {"profile_type": "active"}).json()

    assert (body["data"]["email"], body["contacts_changed"]) == ("", [{"profile_id": ada["id"], "field": "email"}])
    assert body["data"]["mobile_phone"] == "+61404123123"


def test_a_shown_contact_that_is_deleted_by_id_is_emptied(api, ada_with_two) -> None:
    row = Identity.objects.get(handle="email", identifier="ada@example.com")

    assert api.delete(f"/profiles/{ada_with_two['id']}/identities/id/{row.pk}").status_code == 204
    assert api.data(f"/profiles/{ada_with_two['id']}")["email"] == ""
    assert held(ada_with_two)["email"] == ["bo@example.com"]


def test_contacts_of_a_deleted_profile_are_free(api, ada, bo) -> None:
    api.delete(f"/profiles/{ada['id']}")

    assert put(api, bo, email="ada@example.com", mobile_phone="0404 123 123")["email"] == "ada@example.com"
    assert {entry.outcome for entry in RoutingLogEntry.objects.all()} == {"released_from"}


# Hidden


def test_contacts_are_absent_where_identities_are_shown(api, ada) -> None:
    assert {row["handle"] for row in api.data(f"/profiles/{ada['id']}")["identities"]} == {CARD}
    assert {row["handle"] for row in api.data(f"/profiles/{ada['id']}/identities")} == {CARD}
    assert {row["handle"] for row in api.data("/identities")} == {CARD}
    assert api.get("/identities").json()["meta"]["total"] == 1
    assert api.data("/identities", {"filter[identifier]": "ada@example.com"}) == []
    assert api.data("/identities", {"filter[profile_id]": ada["id"]})[0]["handle"] == CARD
    assert api.data("/identities/search-profile/ada@example.com") == []
    assert api.data("/identities/search-profile/%2B61404123123") == []
    for handle in ("email", "mobile_phone"):
        not_found(api.get(f"/profiles/{ada['id']}/identities/{handle}"))


def test_contacts_are_present_by_their_handle_and_by_id(api, ada) -> None:
    for handle, value, _other, _words in CONTACTS:
        (row,) = api.data("/identities", {"filter[handle]": handle})
        assert (row["identifier"], row["profile_id"]) == (value, ada["id"])
        assert api.data("/identities", {"filter[handle]": handle, "filter[identifier]": value}) == [row]
        assert api.data(f"/profiles/{ada['id']}/identities/id/{row['id']}") == row


@pytest.mark.parametrize(("field", "value", "other", "words"), CONTACTS)
def test_post_put_and_batch_of_identities_refuse_them(api, ada, bo, unchanged, field, value, other, words) -> None:
    row = Identity.objects.get(handle=field, profile_id=ada["id"])
    url = f"/profiles/{ada['id']}/identities"

    with unchanged():
        refused(api.post(url, {"handle": field, "identifier": other}), "builtin_handle", "handle")
        refused(api.post(url, {"handle": f" {field} ", "identifier": other}), "builtin_handle", "handle")
        refused(api.put(f"{url}/{field}", {"identifier": other}), "builtin_handle", "handle")
        refused(api.put(f"{url}/id/{row.pk}", {"is_active": False}), "builtin_handle", "handle")
        body = {"profile_id": ada["id"], "identities": [{"handle": field, "identifier": other}]}
        assert api.post("/identities/batch", body).json()["data"][0]["code"] == "builtin_handle"


def test_a_contact_among_the_identities_of_a_profile_is_set_aside(api, ada) -> None:
    body = {"first_name": "Eve", "identities": [{"handle": "email", "identifier": "ada@example.com"}]}

    routing = api.post("/profiles", body).json()["routing"]

    assert routing["outcome"] == "created"
    assert [row["code"] for row in routing["refused"]] == ["builtin_handle"]


# Found


def test_filters_availability_and_search_match_every_contact_held(api, ada_with_two, bo) -> None:
    for field, values in held(ada_with_two).items():
        for value in values:
            assert [row["id"] for row in api.data("/profiles", {f"filter[{field}]": value})] == [ada_with_two["id"]]
            assert [row["id"] for row in api.data("/profiles", {"search": value})] == [ada_with_two["id"]]
            asked = api.post("/profiles/availability", {field: value}).json()["data"][field]
            assert asked == {"available": False, "profile": {"id": ada_with_two["id"], "full_name": "Ada Lovelace"}}


def test_post_and_put_never_match_by_contact(api, ada, bo, unchanged) -> None:
    with unchanged(RoutingLogEntry):
        body = {"email": "ada@example.com", "identities": [{"handle": CARD, "identifier": "new"}]}
        refused(api.post("/profiles", body), "identity_taken", "email")
        body = {"email": "ada@example.com", "identities": [{"handle": CARD, "identifier": "77"}]}
        refused(api.post("/profiles", body), "identity_taken", "email")


# Bad and blocked


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("email", "nonsense", "invalid_identifier"),
        ("email", "a@b@c", "invalid_identifier"),
        ("email", "a\u200bda@example.com", "invalid_identifier"),
        ("email", f"{'x' * 300}@example.com", "invalid_identifier"),
        ("email", "null", "blocked_identifier"),
        ("email", " TEST@test.com ", "blocked_identifier"),
        ("email", '"unknown"', "blocked_identifier"),
        ("mobile_phone", "12", "invalid_identifier"),
        ("mobile_phone", "not a number", "invalid_identifier"),
        ("mobile_phone", "+61 404 123 123 ext. 7", "invalid_identifier"),
        ("mobile_phone", "0000000000", "blocked_identifier"),
        ("mobile_phone", "n/a", "blocked_identifier"),
    ],
)
def test_a_bad_or_blocked_contact_is_refused(api, ada, unchanged, field, value, code) -> None:
    with unchanged():
        refused(api.post("/profiles", {"first_name": "Eve", field: value}), code, field)
        refused(api.put(f"/profiles/{ada['id']}", {"first_name": "Changed", field: value}), code, field)


@pytest.mark.parametrize("field", ["email", "mobile_phone"])
@pytest.mark.parametrize("value", [7, 1.5, True, [], {}, ["ada@example.com"]])
def test_a_contact_is_text(api, ada, unchanged, field, value) -> None:
    with unchanged():
        refused(api.post("/profiles", {field: value}), "invalid", field)
        refused(api.put(f"/profiles/{ada['id']}", {field: value}), "invalid", field)


def test_changing_a_contact_of_a_deleted_profile_is_a_409(api, ada, unchanged) -> None:
    api.delete(f"/profiles/{ada['id']}")

    with unchanged():
        conflict(api.put(f"/profiles/{ada['id']}", {"email": "new@example.com"}), "profile_deleted")


def test_a_change_of_contact_is_audited(api, ada) -> None:
    put(api, ada, email="new@example.com")

    assert set(Audit.objects.filter(profile_id=ada["id"]).values_list("auditable_type", "event")) >= {
        ("profile", "updated"),
        ("identity", "deleted"),
        ("identity", "created"),
    }
