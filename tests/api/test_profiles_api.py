"""The profile object, and /profiles with its routes (API.md 3)."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest
from django.utils import timezone

from identities import matching
from identities.models import Handle, Identity, RoutingLogEntry
from omneo_identity.api.auth import SCOPES
from profiles.models import Audit, Profile
from tests.api.conftest import CARD, conflict, not_found, refused

pytestmark = pytest.mark.django_db

EMPTY: dict[str, Any] = {
    "external_id": None,
    "title": None,
    "first_name": "",
    "last_name": "",
    "full_name": "Unknown",
    "email": "",
    "gender": None,
    "currency": None,
    "mobile_phone": None,
    "mobile_phone_country": None,
    "mobile_phone_national": None,
    "mobile_phone_e164": None,
    "secondary_phone": None,
    "birth_year": None,
    "birth_month": None,
    "birth_day": None,
    "birth_date": None,
    "company": None,
    "occupation": None,
    "avatar_url": None,
    "tags": [],
    "identities": [],
    "attributes": {"comms": {}, "appearance": {}, "dates": []},
    "custom_attributes": {},
    "reward_balance": 0,
    "point_balance": 0,
    "point_balance_dollars": 0,
    "combined_balance_dollars": 0,
    "profile_type": "active",
}
ORDER = [
    "id",
    "external_id",
    "title",
    "first_name",
    "last_name",
    "full_name",
    "email",
    "gender",
    "currency",
    "joined_at",
    "mobile_phone",
    "mobile_phone_country",
    "mobile_phone_national",
    "mobile_phone_e164",
    "secondary_phone",
    "birth_year",
    "birth_month",
    "birth_day",
    "birth_date",
    "company",
    "occupation",
    "avatar_url",
    "tags",
    "identities",
    "attributes",
    "custom_attributes",
    "reward_balance",
    "point_balance",
    "point_balance_dollars",
    "combined_balance_dollars",
    "profile_type",
    "created_at",
    "updated_at",
]
FULL = {
    "title": "Ms",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "gender": "female",
    "currency": "AUD",
    "secondary_phone": "02 9999 0000",
    "birth_year": 1990,
    "birth_month": 12,
    "birth_day": 10,
    "company": "Analytical Engines",
    "occupation": "Mathematician",
    "avatar_url": "https://example.com/ada.png",
    "tags": ["vip", "é"],
    "attributes": {"comms": {"email_promo": True}, "appearance": {"eyes": "brown"}, "dates": [{"name": "wedding"}]},
    "joined_at": "2021-01-27 00:00:00",
    "profile_type": "pending",
}


NOT_TEXT: list[Any] = [7, True, 1.5, [], {}]


def pair(handle, identifier, **more):
    return {"handle": handle, "identifier": identifier, **more}


def names(api, **query) -> list[str]:
    return sorted(row["first_name"] for row in api.data("/profiles", query))


def filtered(api, **filters) -> list[str]:
    return names(api, **{f"filter[{name}]": value for name, value in filters.items()})


# The object


def test_an_empty_profile_has_every_field(api) -> None:
    response = api.post("/profiles")

    assert response.status_code == 201
    assert list(response.json()) == ["data", "routing"]
    profile = response.json()["data"]
    assert list(profile) == ORDER
    assert profile == EMPTY | {name: profile[name] for name in ("id", "joined_at", "created_at", "updated_at")}
    for name in ("joined_at", "created_at", "updated_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", profile[name])


def test_a_full_profile_comes_back_as_it_was_sent(api) -> None:
    profile = api.profile(**FULL, email="ada@example.com", mobile_phone="+61404123123")

    assert {name: profile[name] for name in FULL} == FULL
    assert profile["full_name"] == "Ada Lovelace"
    assert profile["birth_date"] == "1990-12-10"
    assert (profile["mobile_phone_country"], profile["mobile_phone_national"]) == (61, "404123123")
    assert api.data(f"/profiles/{profile['id']}") == profile


@pytest.mark.parametrize("name", ["first_name", "last_name"])
def test_one_name_is_the_full_name(api, name) -> None:
    assert api.profile(**{name: "Ada"})["full_name"] == "Ada"


def test_external_id_is_the_primary_identity_and_read_only(api, ada) -> None:
    assert ada["external_id"] is None
    api.put(f"/profiles/{ada['id']}/identities/{CARD}", {"is_primary": True})

    assert api.data(f"/profiles/{ada['id']}")["external_id"] == "1804974"
    body = api.put(f"/profiles/{ada['id']}", {"external_id": "other"}).json()["data"]
    assert body["external_id"] == "1804974"


def test_embedded_identities_are_identity_objects(api, ada) -> None:
    assert ada["identities"] == api.data(f"/profiles/{ada['id']}/identities")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("2021-01-27 11:00:00", "2021-01-27 11:00:00"),
        ("2021-01-27T11:00:00+11:00", "2021-01-27 00:00:00"),
        ("2021-01-27T11:00:00Z", "2021-01-27 11:00:00"),
        ("2021-01-27", "2021-01-27 00:00:00"),
        ("2021-01-27T11:00:00.999Z", "2021-01-27 11:00:00"),
    ],
)
def test_a_time_is_utc_whatever_the_input(api, sent, kept) -> None:
    assert api.profile(joined_at=sent)["joined_at"] == kept


def test_a_birth_date_sets_its_parts_and_parts_may_be_missing(api) -> None:
    profile = api.profile(birth_date="1990-12-10")
    assert (profile["birth_year"], profile["birth_month"], profile["birth_day"]) == (1990, 12, 10)

    profile = api.profile(birth_month=2, birth_day=29)
    assert (profile["birth_date"], profile["birth_month"], profile["birth_day"]) == (None, 2, 29)

    assert api.profile(birth_date="0007-01-02")["birth_date"] == "0007-01-02"


# GET /profiles


def test_the_list_is_paged_and_holds_full_profiles(api, ada, bo) -> None:
    body = api.get("/profiles").json()

    assert list(body) == ["data", "links", "meta"]
    assert {row["id"] for row in body["data"]} == {ada["id"], bo["id"]}
    assert all(row == api.data(f"/profiles/{row['id']}") for row in body["data"])
    assert (body["meta"]["total"], body["meta"]["per_page"]) == (2, 15)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("email", "ADA@example.com", ["Ada"]),
        ("email", "nobody@example.com", []),
        ("email", "nonsense", []),
        ("mobile_phone", "0404 123 123", ["Ada"]),
        ("mobile_phone", "+61404123123", ["Ada"]),
        ("mobile_phone", "x", []),
        ("first_name", "aDA", ["Ada"]),
        ("first_name", "Ad", []),
        ("last_name", "LOVELACE", ["Ada"]),
        ("profile_type", "active", ["Ada", "Bo"]),
        ("profile_type", "pending", ["Eve"]),
        ("profile_type", "system", []),
        ("identity", f"{CARD}:1804974", ["Ada"]),
        ("identity", f"{CARD}: 1804974 ", ["Ada"]),
        ("identity", "pos:1804974", []),
        ("identity", "nothing:1", []),
        ("identity", "pos:a:b", ["Eve"]),
        ("identity", "email:bo@example.com", ["Bo"]),
    ],
)
def test_filters_of_profiles(api, ada, bo, name, value, found) -> None:
    api.profile(first_name="Eve", profile_type="pending", identities=[pair("pos", "a:b")])

    assert filtered(api, **{name: value}) == found


def test_the_identity_filter_asks_for_one_pair(api, ada) -> None:
    api.identity(ada, "pos", "9")

    assert filtered(api, identity=f"{CARD}:9") == []
    assert filtered(api, identity="pos:9") == ["Ada"]
    refused(api.get("/profiles?filter[identity]=1804974"), "invalid", "filter[identity]")


@pytest.mark.parametrize("parameter", ["email", "mobile_phone", "first_name", "last_name", "profile_type", "identity"])
def test_an_empty_filter_is_refused(api, ada, parameter) -> None:
    refused(api.get(f"/profiles?filter[{parameter}]="), "invalid", f"filter[{parameter}]")


def test_times_filter_and_sort(api, ada, bo) -> None:
    Profile.objects.filter(pk=bo["id"]).update(created_at=timezone.now() - datetime.timedelta(days=2))

    yesterday = (timezone.now() - datetime.timedelta(days=1)).strftime("%Y-%m-%d %H:%M:%S")
    assert filtered(api, **{"created_at][gte": yesterday}) == ["Ada"]
    assert filtered(api, **{"created_at][lt": yesterday}) == ["Bo"]
    assert [row["first_name"] for row in api.data("/profiles", {"sort": "created_at"})] == ["Bo", "Ada"]
    assert [row["first_name"] for row in api.data("/profiles", {"sort": "-created_at"})] == ["Ada", "Bo"]
    assert [row["first_name"] for row in api.data("/profiles", {"sort": "-updated_at"})] == ["Bo", "Ada"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ada", ["Ada"]),
        ("LOVEL", ["Ada"]),
        ("ada lovelace", ["Ada"]),
        ("lovelace ada", ["Ada"]),
        ("bo d", ["Bo"]),
        ("1804974", ["Ada"]),
        ("ada@example.com", ["Ada"]),
        ("0404 999 888", ["Bo"]),
        ("+61404999888", ["Bo"]),
        ("dia", ["Bo"]),
        ("iaz", []),
        ("%", []),
        ("_", []),
    ],
)
def test_search_finds_by_name_contact_or_any_identifier(api, ada, bo, text, found) -> None:
    assert names(api, search=text) == found


def test_search_finds_by_profile_id(api, ada, bo) -> None:
    assert names(api, search=ada["id"]) == ["Ada"]


def test_search_that_finds_too_much_is_cut_and_says_so(api, monkeypatch) -> None:
    monkeypatch.setattr(matching, "MOST_FOUND", 2)
    for name in ("Ada", "Adam", "Adan"):
        api.profile(first_name=name, last_name="Smith")

    cut = api.get("/profiles", {"search": "smith", "sort": "-created_at", "page[size]": "1"}).json()
    whole = api.get("/profiles", {"search": "smith adam"}).json()
    past = api.get("/profiles", {"search": "smith", "page[number]": "9"}).json()

    assert [row["first_name"] for row in cut["data"]] == ["Adan"]
    assert (cut["meta"]["total"], cut["meta"]["total_is_estimate"], cut["meta"]["last_page"]) == (2, True, 2)
    assert names(api, search="smith", sort="-created_at") == ["Adam", "Adan"]
    assert names(api, search="smith", sort="created_at") == ["Ada", "Adam"]
    assert (whole["meta"]["total"], "total_is_estimate" in whole["meta"]) == (1, False)
    assert (past["data"], past["meta"]["total_is_estimate"]) == ([], True)


def test_what_a_list_leaves_out_does_not_use_up_the_hits_of_a_search(api, monkeypatch) -> None:
    monkeypatch.setattr(matching, "MOST_FOUND", 2)
    Handle.objects.bulk_create(Handle(name=f"till{number}", fold=f"till{number}") for number in range(3))
    for number in range(3):
        gone = api.profile(first_name="Ada", identities=[pair(f"till{number}", "7")])
        api.delete(f"/profiles/{gone['id']}")
    old = api.profile(first_name="Ada", last_name="Old", identities=[pair("pos", "7")])
    Profile.objects.filter(pk=old["id"]).update(created_at=timezone.now() - datetime.timedelta(days=2))
    for name in ("One", "Two"):
        api.profile(first_name="Ada", last_name=name)
    yesterday = (timezone.now() - datetime.timedelta(days=1)).strftime("%Y-%m-%d %H:%M:%S")

    for query, found in (
        ({"search": "7"}, ["Old"]),
        ({"search": "ada", "filter[created_at][lt]": yesterday}, ["Old"]),
        ({"search": "ada", "filter[last_name]": "two"}, ["Two"]),
        ({"search": "ada", "filter[created_at][gte]": yesterday}, ["One", "Two"]),
    ):
        body = api.get("/profiles", query).json()
        assert sorted(row["last_name"] for row in body["data"]) == found
        assert "total_is_estimate" not in body["meta"]


def test_deleted_profiles_are_listed_only_when_asked_for(api, ada, bo) -> None:
    api.delete(f"/profiles/{ada['id']}")

    assert names(api) == ["Bo"]
    assert names(api, search="ada") == []
    assert filtered(api, email="ada@example.com") == []
    assert filtered(api, profile_type="deleted") == ["Ada"]
    assert filtered(api, profile_type="deleted", first_name="bo") == []


def test_include_identities_is_known(api, ada) -> None:
    assert api.data("/profiles", {"include": "identities"})[0]["identities"] == ada["identities"]


@pytest.mark.parametrize(
    ("parameter", "known"),
    [
        ("filter[nothing]", "filter[email]"),
        ("filter[id]", "filter[identity]"),
        ("filter[first_name][like]", "filter[first_name]"),
        ("sort", "created_at, updated_at"),
        ("include", "identities"),
        ("page[offset]", "page[cursor]"),
    ],
)
def test_what_the_list_does_not_know_is_refused_with_what_it_knows(api, ada, parameter, known) -> None:
    assert known in refused(api.get("/profiles", {parameter: "nothing"}), "invalid", parameter)["message"]


def test_an_unknown_profile_type_is_refused(api) -> None:
    refused(api.get("/profiles?filter[profile_type]=merged"), "invalid", "filter[profile_type]")


# POST /profiles


def test_a_profile_of_unknown_pairs_is_made_with_201(api) -> None:
    response = api.post("/profiles", {"first_name": "Ada", "identities": [pair(CARD, 1804974), pair("pos", "1")]})

    assert response.status_code == 201
    body = response.json()
    first = Identity.objects.get(handle=CARD)
    assert body["routing"] == {
        "outcome": "created",
        "profile_id": body["data"]["id"],
        "identity_id": body["routing"]["identity_id"],
        "log_entry_id": None,
        "refused": [],
        "not_taken": [],
    }
    assert body["routing"]["identity_id"] in {row["id"] for row in body["data"]["identities"]}
    assert (first.identifier, str(first.profile_id)) == ("1804974", body["data"]["id"])


def test_a_profile_whose_pair_is_known_is_routed_with_200(api, ada) -> None:
    response = api.post("/profiles", {"identities": [pair(CARD, "1804974")]})

    assert response.status_code == 200
    body = response.json()
    assert body["data"] == ada
    assert body["routing"]["outcome"] == "matched"
    assert body["routing"]["profile_id"] == ada["id"]
    assert body["routing"]["identity_id"] == ada["identities"][0]["id"]
    assert Profile.objects.count() == 1


def test_unknown_pairs_are_attached_to_the_profile_reached(api, ada) -> None:
    body = api.post("/profiles", {"identities": [pair("pos", "1"), pair(CARD, "1804974")]}).json()

    assert body["routing"]["outcome"] == "attached"
    assert [row["identifier"] for row in body["data"]["identities"]] == ["1804974", "1"]
    assert body["routing"]["identity_id"] == ada["identities"][0]["id"]


def test_a_routed_profile_fills_empty_fields_only(api, ada) -> None:
    body = api.post(
        "/profiles",
        {
            "first_name": "Augusta",
            "last_name": "Lovelace",
            "company": "Analytical Engines",
            "tags": ["vip"],
            "identities": [pair(CARD, "1804974")],
        },
    ).json()

    assert body["data"]["first_name"] == "Ada"
    assert (body["data"]["company"], body["data"]["tags"]) == ("Analytical Engines", ["vip"])
    assert body["routing"]["not_taken"] == ["first_name"]


def test_a_routed_profile_takes_a_contact_only_where_it_has_none(api, ada) -> None:
    eve = api.profile(first_name="Eve", identities=[pair("pos", "1")])

    filled = api.post("/profiles", {"email": "eve@example.com", "identities": [pair("pos", "1")]}).json()
    assert (filled["data"]["id"], filled["data"]["email"]) == (eve["id"], "eve@example.com")
    assert filled["routing"]["not_taken"] == []

    kept = api.post("/profiles", {"email": "new@example.com", "identities": [pair(CARD, "1804974")]}).json()
    assert kept["data"]["email"] == "ada@example.com"
    assert kept["routing"]["not_taken"] == ["email"]
    not_found(api.get("/identities/search?handle=email&identifier=new@example.com"))


def test_a_contact_of_another_profile_than_the_one_reached_is_refused(api, ada, bo, unchanged) -> None:
    with unchanged(RoutingLogEntry):
        response = api.post("/profiles", {"email": "bo@example.com", "identities": [pair(CARD, "1804974")]})

    assert refused(response, "identity_taken", "email")["profile_id"] == bo["id"]


def test_pairs_of_several_profiles_are_a_conflict_that_is_logged(api, ada, bo) -> None:
    api.identity(bo, "pos", "of Bo")
    api.put("/handles/pos", {"priority": 10})

    response = api.post("/profiles", {"identities": [pair(CARD, "1804974"), pair("pos", "of Bo"), pair("apns", "n")]})

    assert response.status_code == 200
    routing = response.json()["routing"]
    assert (routing["outcome"], routing["profile_id"]) == ("conflict", bo["id"])
    entry = RoutingLogEntry.objects.get()
    assert routing["log_entry_id"] == entry.pk
    assert {str(pk) for pk in entry.candidates} == {ada["id"], bo["id"]}
    assert Identity.objects.get(handle="apns").conflict_id == entry.pk
    assert api.data(f"/profiles/{ada['id']}") == ada


def test_bad_blocked_and_reserved_pairs_are_set_aside(api) -> None:
    sent = [
        pair("shopify", "1"),
        pair("pos", "null"),
        pair("pos", "a\u200bb"),
        pair("pos", ""),
        pair("loyalty_card", "1"),
        pair("id", "1"),
        pair("Not A Handle", "1"),
        pair("email", "eve@example.com"),
        pair("pos", "good"),
    ]

    body = api.post("/profiles", {"first_name": "Eve", "identities": sent}).json()

    assert body["routing"]["outcome"] == "created"
    assert [row["identifier"] for row in body["data"]["identities"]] == ["good"]
    assert {(row["handle"], row["identifier"], row["code"]) for row in body["routing"]["refused"]} == {
        ("shopify", "1", "reserved_handle"),
        ("pos", "null", "blocked_identifier"),
        ("pos", "a\u200bb", "invalid_identifier"),
        ("pos", "", "invalid_identifier"),
        ("loyalty_card", "1", "unknown_handle"),
        ("id", "1", "invalid_handle"),
        ("Not A Handle", "1", "invalid_handle"),
        ("email", "eve@example.com", "builtin_handle"),
    }
    assert all(row["message"] for row in body["routing"]["refused"])
    assert set(RoutingLogEntry.objects.values_list("outcome", flat=True)) == {"refused"}
    assert RoutingLogEntry.objects.count() == 8
    assert body["routing"]["log_entry_id"] in RoutingLogEntry.objects.values_list("pk", flat=True)


@pytest.mark.parametrize(
    ("known", "sent", "filled", "not_taken"),
    [
        ({}, {"comms": {"sms": True}}, {"comms": {"sms": True}}, []),
        ({"comms": {"sms": True}}, {"dates": [1], "appearance": {}}, {"comms": {"sms": True}, "dates": [1]}, []),
        ({"comms": {}, "dates": []}, {"comms": {"sms": True}}, {"comms": {"sms": True}}, []),
        ({"comms": {"sms": True}}, {"comms": {"sms": True}, "dates": None}, {"comms": {"sms": True}}, []),
        ({"comms": {"sms": True}}, {"comms": {"email": True}}, {"comms": {"sms": True}}, ["attributes"]),
        (
            {"comms": {"sms": True}},
            {"comms": {"email": True}, "appearance": {"eyes": "brown"}},
            {"comms": {"sms": True}, "appearance": {"eyes": "brown"}},
            ["attributes"],
        ),
    ],
)
def test_attributes_of_a_known_profile_are_filled_each_part_for_itself(api, known, sent, filled, not_taken) -> None:
    api.profile(attributes=known, identities=[pair(CARD, "1")])

    body = api.post("/profiles", {"attributes": sent, "identities": [pair(CARD, "1")]}).json()

    assert body["data"]["attributes"] == {"comms": {}, "appearance": {}, "dates": []} | filled
    assert body["routing"]["not_taken"] == not_taken


def test_attributes_that_fill_nothing_change_nothing(api, unchanged) -> None:
    api.profile(attributes={"comms": {"sms": True}}, identities=[pair(CARD, "1")])

    with unchanged():
        api.post("/profiles", {"attributes": {"comms": {}, "dates": []}, "identities": [pair(CARD, "1")]})


def test_an_extension_brings_its_own_reserved_pair(shopify) -> None:
    body = shopify.post("/profiles", {"identities": [pair("shopify", 6432187489345)]}).json()

    assert body["routing"]["refused"] == []
    assert body["data"]["identities"][0]["source"] == "shopify"


@pytest.mark.parametrize("identities", [None, []])
def test_no_identities_are_no_identities(api, identities) -> None:
    assert api.profile(first_name="Eve", identities=identities)["identities"] == []


@pytest.mark.parametrize(
    ("identities", "field"),
    [
        ("x", "identities"),
        ({}, "identities"),
        ([7], "identities.0"),
        ([{}], "identities.0.handle"),
        ([pair("pos", 1.5)], "identities.0.identifier"),
        ([pair("pos", "1"), pair(None, "1")], "identities.1.handle"),
        ([pair("pos", "1", is_active="maybe")], "identities.0.is_active"),
        ([pair("pos", str(number)) for number in range(1_001)], "identities"),
    ],
)
def test_identities_of_the_wrong_shape_are_refused(api, unchanged, identities, field) -> None:
    with unchanged():
        response = api.post("/profiles", {"identities": identities})

    assert response.status_code == 422
    assert next(iter(response.json()["errors"])) == field


def test_a_profile_does_not_come_into_being_deleted(api, unchanged) -> None:
    with unchanged():
        refused(api.post("/profiles", {"profile_type": "deleted"}), "invalid", "profile_type")
        refused(api.post("/profiles", {"profile_type": "merged"}), "invalid", "profile_type")
        refused(api.post("/profiles", {"profile_type": 1}), "invalid", "profile_type")


# GET, PUT and DELETE /profiles/{id}


def test_a_put_is_partial(api, ada) -> None:
    response = api.put(f"/profiles/{ada['id']}", {"first_name": "Augusta"})

    assert response.status_code == 200
    after = response.json()["data"]
    assert after == ada | {
        "first_name": "Augusta",
        "full_name": "Augusta Lovelace",
        "updated_at": after["updated_at"],
    }
    audit = Audit.objects.get(auditable_type="profile", event="updated")
    assert (audit.old_values, audit.new_values) == ({"first_name": "Ada"}, {"first_name": "Augusta"})


def test_a_put_sets_every_field_and_empties_it(api, ada) -> None:
    full = {name: value for name, value in FULL.items() if name not in ("profile_type",)}

    after = api.put(f"/profiles/{ada['id']}", full).json()["data"]
    assert {name: after[name] for name in full} == full

    emptied = api.put(f"/profiles/{ada['id']}", dict.fromkeys(full) | {"joined_at": full["joined_at"]}).json()["data"]
    assert {name: emptied[name] for name in full if name != "joined_at"} == {
        name: EMPTY[name] for name in full if name != "joined_at"
    }


def test_a_put_ignores_identities_and_what_it_does_not_know(api, ada, unchanged) -> None:
    body = {
        "identities": [pair("pos", "1")],
        "profile_type": "deleted",
        "reward_balance": 5,
        "id": "x",
        "created_at": 7,
        "nonsense": {"a": [1]},
    }

    with unchanged():
        response = api.put(f"/profiles/{ada['id']}", body)

    assert (response.status_code, response.json()["data"]) == (200, ada)


def test_a_client_may_send_back_the_whole_object_with_one_field_changed(api) -> None:
    before = api.profile(**FULL, email="ada@example.com", mobile_phone="+61404123123")

    after = api.put(f"/profiles/{before['id']}", before).json()["data"]
    assert after == before

    after = api.put(f"/profiles/{before['id']}", before | {"birth_day": 11}).json()["data"]
    assert after["birth_date"] == "1990-12-11"

    after = api.put(f"/profiles/{before['id']}", after | {"birth_date": "1991-01-02"}).json()["data"]
    assert (after["birth_year"], after["birth_month"], after["birth_day"]) == (1991, 1, 2)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[
            (name, value)
            for name in ("title", "first_name", "last_name", "secondary_phone", "gender", "currency", "company")
            for value in NOT_TEXT
        ],
        ("occupation", 7),
        ("avatar_url", []),
        ("first_name", "x" * 256),
        ("title", "x" * 65),
        ("currency", "AUDD"),
        ("avatar_url", "x" * 2_049),
        ("joined_at", None),
        ("joined_at", "soon"),
        ("joined_at", 7),
        ("joined_at", ""),
        ("joined_at", []),
        ("birth_year", 0),
        ("birth_year", 10_000),
        ("birth_year", 10**30),
        ("birth_year", "x"),
        ("birth_year", 1.5),
        ("birth_year", True),
        ("birth_year", [1990]),
        ("birth_month", 13),
        ("birth_day", 32),
        ("birth_date", "1990-02-30"),
        ("birth_date", "27/01/1990"),
        ("birth_date", "1990-01-27T00:00:00"),
        ("birth_date", 19900127),
        ("birth_date", {}),
        ("tags", "vip"),
        ("tags", {}),
        ("tags", 7),
        ("attributes", []),
        ("attributes", "x"),
        ("attributes", 7),
    ],
)
def test_a_field_of_the_wrong_type_is_refused(api, ada, unchanged, field, value) -> None:
    with unchanged():
        refused(api.put(f"/profiles/{ada['id']}", {"company": "Changed", field: value}), "invalid", field)
        refused(api.post("/profiles", {"company": "New", field: value}), "invalid", field)


@pytest.mark.parametrize(
    ("field", "value", "at"),
    [
        ("tags", [7], "tags.0"),
        ("tags", ["a", None], "tags.1"),
        ("tags", ["x" * 256], "tags.0"),
        ("tags", ["x"] * 1_001, "tags"),
        ("attributes", {"comms": []}, "attributes"),
        ("attributes", {"dates": {}}, "attributes"),
        ("attributes", {"appearance": "x"}, "attributes"),
        ("attributes", {"comms": {"a": "x" * 65_537}}, "attributes"),
    ],
)
def test_a_wrong_part_of_a_field_is_refused_by_its_place(api, ada, unchanged, field, value, at) -> None:
    with unchanged():
        response = api.put(f"/profiles/{ada['id']}", {field: value})

    assert response.status_code == 422
    assert list(response.json()["errors"]) == [at]


def test_a_birth_date_of_no_calendar_is_refused(api, ada, unchanged) -> None:
    api.put(f"/profiles/{ada['id']}", {"birth_date": "1991-03-31"})

    with unchanged():
        refused(api.put(f"/profiles/{ada['id']}", {"birth_month": 2}), "invalid", "birth_day")
        refused(api.post("/profiles", {"birth_month": 2, "birth_day": 30}), "invalid", "birth_day")


def test_a_delete_is_soft(api, ada, bo) -> None:
    response = api.delete(f"/profiles/{ada['id']}")

    assert (response.status_code, response.content) == (204, b"")
    after = api.data(f"/profiles/{ada['id']}")
    assert after == ada | {"profile_type": "deleted", "updated_at": after["updated_at"]}
    assert api.data(f"/profiles/{bo['id']}") == bo
    assert Audit.objects.filter(auditable_key=ada["id"], event="deleted").count() == 1


def test_writes_to_a_deleted_profile_are_a_409(api, ada, unchanged) -> None:
    api.delete(f"/profiles/{ada['id']}")

    with unchanged():
        conflict(api.put(f"/profiles/{ada['id']}", {"first_name": "Changed"}), "profile_deleted")
        conflict(api.delete(f"/profiles/{ada['id']}"), "profile_deleted")


def test_a_deleted_profiles_pair_makes_a_new_profile(api, ada) -> None:
    api.delete(f"/profiles/{ada['id']}")

    response = api.post("/profiles", {"first_name": "Ada again", "identities": [pair(CARD, "1804974")]})

    assert response.status_code == 201
    assert response.json()["data"]["identities"][0]["id"] == ada["identities"][0]["id"]
    assert RoutingLogEntry.objects.get().outcome == "released_from"


def test_an_unknown_id_is_a_404(api, nobody, unchanged) -> None:
    with unchanged():
        for profile_id in (nobody, "no-uuid", "0", "'; DROP TABLE profiles_profile; --"):
            for method in (api.get, api.put, api.delete):
                not_found(method(f"/profiles/{profile_id}"))
            not_found(api.put(f"/profiles/{profile_id}/update-type", {"profile_type": "active"}))


def test_an_id_is_read_in_any_spelling_of_a_uuid(api, ada) -> None:
    assert api.data(f"/profiles/{ada['id'].upper()}")["id"] == ada["id"]
    assert api.data(f"/profiles/{ada['id'].replace('-', '')}")["id"] == ada["id"]


def test_what_a_profile_does_not_have_is_a_404_in_json(api, ada) -> None:
    not_found(api.get(f"/profiles/{ada['id']}/nothing"))


# PUT /profiles/{id}/update-type


@pytest.mark.parametrize("profile_type", ["temporary", "dependant", "incomplete", "pending", "system", "active"])
def test_a_type_is_changed(api, ada, profile_type) -> None:
    response = api.put(f"/profiles/{ada['id']}/update-type", {"profile_type": profile_type})

    assert response.status_code == 200
    assert response.json()["data"]["profile_type"] == profile_type
    assert (response.json()["not_returned"], response.json()["contacts_changed"]) == ([], [])


def test_update_type_deletes_and_undeletes(api, ada) -> None:
    url = f"/profiles/{ada['id']}/update-type"
    assert api.put(url, {"profile_type": "deleted"}).json()["data"]["profile_type"] == "deleted"
    assert names(api) == []
    assert api.put(url, {"profile_type": "deleted"}).status_code == 200

    body = api.put(url, {"profile_type": "active"}).json()

    assert body["data"] == ada | {"updated_at": body["data"]["updated_at"]}
    assert body["not_returned"] == []
    assert api.data("/identities/search", pair(CARD, "1804974"))["profile_id"] == ada["id"]
    assert filtered(api, email="ada@example.com") == ["Ada"]
    assert list(Audit.objects.filter(auditable_key=ada["id"]).order_by("pk").values_list("event", flat=True)) == [
        "created",
        "deleted",
        "undeleted",
    ]


def test_undelete_names_the_pairs_that_were_taken(api, ada, bo) -> None:
    api.identity(ada, "pos", "mine")
    api.delete(f"/profiles/{ada['id']}")
    api.identity(bo, CARD, "1804974")

    body = api.put(f"/profiles/{ada['id']}/update-type", {"profile_type": "active"}).json()

    assert [row["identifier"] for row in body["data"]["identities"]] == ["mine"]
    assert body["not_returned"] == [pair(CARD, "1804974", profile_id=bo["id"])]


def test_undelete_names_nobody_for_a_pair_that_was_deleted_for_good(api, ada, bo) -> None:
    api.delete(f"/profiles/{ada['id']}")
    api.identity(bo, CARD, "1804974")
    taken = Identity.objects.get(handle=CARD, identifier="1804974")
    api.delete(f"/profiles/{bo['id']}/identities/id/{taken.pk}")

    body = api.put(f"/profiles/{ada['id']}/update-type", {"profile_type": "active"}).json()

    assert body["not_returned"] == [pair(CARD, "1804974", profile_id=None)]


def test_undelete_by_an_extension_is_in_the_log_as_its(api, shopify, ada, bo) -> None:
    api.delete(f"/profiles/{ada['id']}")
    api.identity(bo, CARD, "1804974")
    api.delete(f"/profiles/{bo['id']}")

    body = shopify.put(f"/profiles/{ada['id']}/update-type", {"profile_type": "active"}).json()

    assert [row["identifier"] for row in body["data"]["identities"]] == ["1804974"]
    assert list(RoutingLogEntry.objects.order_by("pk").values_list("outcome", "source")) == [
        ("released_from", None),
        ("released_from", "shopify"),
    ]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "required"),
        ({"profile_type": None}, "invalid"),
        ({"profile_type": ""}, "invalid"),
        ({"profile_type": "merged"}, "invalid"),
        ({"profile_type": 7}, "invalid"),
        ({"profile_type": ["active"]}, "invalid"),
    ],
)
def test_a_type_of_no_list_is_refused(api, ada, unchanged, body, code) -> None:
    with unchanged():
        refused(api.put(f"/profiles/{ada['id']}/update-type", body), code, "profile_type")


# POST /profiles/availability


def test_availability_says_who_has_it(api, ada) -> None:
    response = api.post("/profiles/availability", {"email": "ADA@example.com", "mobile_phone": "0404 000 000"})

    assert response.status_code == 200
    assert response.json() == {
        "data": {
            "email": {"available": False, "profile": {"id": ada["id"], "full_name": "Ada Lovelace"}},
            "mobile_phone": {"available": True, "profile": None},
        }
    }


def test_availability_of_one_of_the_two(api, ada) -> None:
    assert api.post("/profiles/availability", {"mobile_phone": "0404123123"}).json() == {
        "data": {"mobile_phone": {"available": False, "profile": {"id": ada["id"], "full_name": "Ada Lovelace"}}}
    }
    assert api.post("/profiles/availability").json() == {"data": {}}
    assert api.post("/profiles/availability", {"email": None, "mobile_phone": ""}).json() == {"data": {}}


def test_a_deleted_profiles_contact_is_available(api, ada) -> None:
    api.delete(f"/profiles/{ada['id']}")

    body = api.post("/profiles/availability", {"email": "ada@example.com"}).json()
    assert body["data"]["email"] == {"available": True, "profile": None}


@pytest.mark.parametrize("field", ["email", "mobile_phone"])
@pytest.mark.parametrize("value", [7, True, [], {}, "x" * 513])
def test_availability_of_the_wrong_type_is_refused(api, field, value) -> None:
    refused(api.post("/profiles/availability", {field: value}), "invalid", field)


# Scopes


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "", "read-profiles"),
        ("POST", "", "create-profiles"),
        ("GET", "/{id}", "read-profiles"),
        ("PUT", "/{id}", "update-profiles"),
        ("DELETE", "/{id}", "delete-profiles"),
        ("PUT", "/{id}/update-type", "update-profiles"),
        ("POST", "/availability", "read-profiles"),
    ],
)
def test_each_route_asks_for_its_scope(api, caller, ada, unchanged, method, path, scope) -> None:
    others = caller(*(other for other in SCOPES if other != scope))
    url = f"/profiles{path}".format(id=ada["id"])
    body = {"profile_type": "active"}

    with unchanged():
        response = others.call(method, url, body)
    assert response.status_code == 403
    assert scope in response.json()["message"]
    assert caller(scope).call(method, url, body).status_code in (200, 201, 204)
