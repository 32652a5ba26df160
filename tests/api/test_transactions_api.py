"""POST, GET, PUT, DELETE, upsert and move of transactions (API.md 4), and what all of a transaction is read as."""

from __future__ import annotations

import json
import re
import uuid
from decimal import Decimal
from typing import Any

import pytest

from identities.models import Extension, RoutingLogEntry
from profiles.models import Audit, Move, Profile, Transaction
from tests.api.conftest import CARD, conflict, not_found, refused, sale

pytestmark = pytest.mark.django_db

ADAS = f"{CARD}:1804974"
NEVER_KNOWN = "00000000-0000-0000-0000-000000000007"


def exact(response: Any) -> Any:
    """The answer with every number as the decimal that it is written as."""
    return json.loads(response.content, parse_float=Decimal, parse_int=Decimal)


# The routes of the table


def test_a_post_keeps_a_transaction_on_the_profile_that_it_names(api, ada, bo) -> None:
    body = sale(
        "pos:77",
        profile_id="1804974",
        profile_id_handle=CARD,
        external_id="T07-000381",
        receipt_ref="R-1",
        total=79.95,
        total_original="89.95",
        location_id=12,
        staff_id="anna",
        systems=["pos"],
        payments=[{"type": "card", "amount": 79.95}],
        tags=["sale"],
        meta={"till": 7},
        items=[
            {"name": "Shirt", "quantity": 1, "price_current": 89.95, "price_sell": "79.95", "sku": "LS-42", "a": {}}
        ],
    )

    response = api.post("/transactions", body)

    assert response.status_code == 201
    data, routing = response.json()["data"], response.json()["routing"]
    (item,) = data.pop("items")
    assert isinstance(item.pop("id"), int)
    assert item == {
        "name": "Shirt",
        "quantity": 1,
        "price_current": 89.95,
        "price_sell": 79.95,
        "sku": "LS-42",
        "a": {},
    }
    card = ada["identities"][0]["id"]
    assert isinstance(data.pop("id"), int)
    assert data.pop("created_at") == data.pop("updated_at")
    assert data == {
        "profile_id": ada["id"],
        "external_id": "T07-000381",
        "receipt_ref": "R-1",
        "total": 79.95,
        "total_original": 89.95,
        "is_void": False,
        "transacted_at": "2026-11-25 01:00:00",
        "timezone": "Australia/Melbourne",
        "location_id": 12,
        "staff_id": "anna",
        "systems": ["pos"],
        "payments": [{"type": "card", "amount": 79.95}],
        "tags": ["sale"],
        "meta": {"till": 7},
        "identities": [{"handle": CARD, "identifier": "1804974"}, {"handle": "pos", "identifier": "77"}],
        "brought_by": {"id": card, "handle": CARD, "identifier": "1804974"},
        "addressed": None,
        "log_entry_id": None,
        "source": "staff",
    }
    assert routing == {
        "outcome": "attached",
        "profile_id": ada["id"],
        "identity_id": card,
        "log_entry_id": None,
        "refused": [],
        "not_taken": [],
    }
    assert api.data("/identities/search", {"handle": "pos", "identifier": "77"})["profile_id"] == ada["id"]
    assert Audit.objects.get(auditable_type="transaction").event == "created"


def test_what_is_left_out_is_empty(api) -> None:
    data = api.record("transactions", sale())

    for name in (
        "profile_id",
        "external_id",
        "receipt_ref",
        "total_original",
        "location_id",
        "staff_id",
        "brought_by",
    ):
        assert data[name] is None
    assert (data["is_void"], data["systems"], data["payments"], data["tags"], data["meta"]) == (False, [], [], [], {})


def test_null_is_the_same_as_left_out(api) -> None:
    plain, nulls = (api.record("transactions", sale(**body)) for body in ({}, dict.fromkeys(EMPTY)))

    for one in (plain, nulls):
        one["items"][0].pop("id")
        for name in ("id", "created_at", "updated_at"):
            one.pop(name)
    assert nulls == plain


EMPTY = (
    "profile_id",
    "profile_id_handle",
    "identities",
    "external_id",
    "receipt_ref",
    "total_original",
    "is_void",
    "location_id",
    "staff_id",
    "systems",
    "payments",
    "tags",
    "meta",
)


def test_a_list_is_newest_first_and_paged(api, ada) -> None:
    made = [api.record("transactions", sale(ADAS, external_id=str(number))) for number in range(3)]

    response = api.get("/transactions", {"page[size]": 2})

    assert [row["id"] for row in response.json()["data"]] == [made[2]["id"], made[1]["id"]]
    assert response.json()["meta"]["total"] == 3


def test_one_is_read_changed_and_deleted_by_its_id(api, ada) -> None:
    made = api.record("transactions", sale(ADAS))
    path = f"/transactions/{made['id']}"
    assert api.data(path) == {name: value for name, value in made.items() if name != "routing"}

    changed = api.put(path, {"total": "5.5", "tags": ["late"]})

    assert changed.status_code == 200
    assert changed.json()["routing"]["outcome"] == "matched"
    data = changed.json()["data"]
    assert (data["total"], data["tags"], data["items"]) == (5.5, ["late"], made["items"])
    response = api.delete(path)
    assert (response.status_code, response.content) == (204, b"")
    not_found(api.get(path))
    not_found(api.put(path, {}))
    not_found(api.delete(path))
    assert list(Audit.objects.filter(auditable_type="transaction").values_list("event", flat=True)) == [
        "deleted",
        "updated",
        "created",
    ]


@pytest.mark.parametrize("pk", ["0", "999999999", "9" * 30, "9" * 5_000, "x", "-1", "1.5"])
def test_an_id_that_none_has_is_a_404(api, pk) -> None:
    for method, path in (
        ("GET", f"/transactions/{pk}"),
        ("PUT", f"/transactions/{pk}"),
        ("DELETE", f"/transactions/{pk}"),
    ):
        not_found(api.call(method, path, {}))
    not_found(api.post(f"/transactions/{pk}/move", {"profile_id": None}))


# By external id


def test_an_external_id_finds_the_callers_own_transaction_first(api, shopify, ada) -> None:
    of_staff = api.record("transactions", sale(external_id="1001"))
    of_shopify = shopify.record("transactions", sale(external_id="1001"))
    assert of_shopify["source"] == "shopify"

    assert api.data("/transactions/external/1001")["id"] == of_staff["id"]
    assert shopify.data("/transactions/external/1001")["id"] == of_shopify["id"]
    not_found(api.get("/transactions/external/1002"))
    not_found(api.get("/transactions/external/"))


def test_an_external_id_of_others_finds_the_newest(api, caller, shopify) -> None:
    shopify.record("transactions", sale(external_id="1001"))
    newest = caller(extension="klaviyo").record("transactions", sale(external_id="1001"))

    assert api.data("/transactions/external/1001")["id"] == newest["id"]


@pytest.mark.parametrize("text", ["a/b", "a//b", "a b", "a?b=c&d#e", "%2F", "2026/11/25-7", "..", "نص", "a/"])
def test_an_external_id_is_the_rest_of_the_path(api, path, text) -> None:
    made = api.record("transactions", sale(external_id=text))

    assert api.data(f"/transactions/external/{path(text)}")["id"] == made["id"]
    assert api.data("/transactions", {"filter[external_id]": text})[0]["id"] == made["id"]


def test_a_slash_behind_an_external_id_may_be_the_clients(api) -> None:
    made = api.record("transactions", sale(external_id="T7-1"))

    assert api.data("/transactions/external/T7-1/")["id"] == made["id"]
    with_slash = api.record("transactions", sale(external_id="T7-1/"))
    assert api.data("/transactions/external/T7-1/")["id"] == with_slash["id"]


def test_an_external_id_is_unique_for_its_source(api, shopify, unchanged) -> None:
    made = api.record("transactions", sale(external_id="1001"))
    other = api.record("transactions", sale(external_id="1002"))
    shopify.record("transactions", sale(external_id="1001"))

    with unchanged():
        assert (
            refused(api.post("/transactions", sale(external_id="1001")), "record_exists", "external_id")["id"]
            == (made["id"])
        )
        response = api.put(f"/transactions/{other['id']}", {"external_id": "1001"})
        assert refused(response, "record_exists", "external_id")["id"] == made["id"]

    assert api.put(f"/transactions/{made['id']}", {"external_id": 1001}).status_code == 200
    for _twice in range(2):
        assert api.record("transactions", sale())["external_id"] is None


# Upsert


def test_an_upsert_makes_a_transaction_and_changes_it(api, ada) -> None:
    first = api.post("/transactions/update-create", sale(ADAS, external_id="T7-1"))
    again = api.post("/transactions/update-create", sale(ADAS, external_id="T7-1", total=5))

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["routing"]["outcome"] == again.json()["routing"]["outcome"] == "matched"
    assert again.json()["data"]["id"] == first.json()["data"]["id"]
    assert again.json()["data"]["total"] == 5
    assert Transaction.objects.count() == 1


def test_an_upsert_of_one_on_file_may_be_partial(api, ada) -> None:
    body = sale(external_id="T7-1")
    made = api.post("/transactions/update-create", body).json()["data"]
    assert made["profile_id"] is None

    response = api.post(
        "/transactions/update-create",
        {"external_id": "T7-1", "identities": [{"handle": CARD, "identifier": "1804974"}]},
    )

    assert response.status_code == 200
    assert response.json()["routing"]["outcome"] == "matched"
    assert response.json()["data"]["profile_id"] == ada["id"]
    assert response.json()["data"]["items"] == made["items"]
    refused(api.post("/transactions/update-create", {"external_id": "T7-2"}), "required", "total")


@pytest.mark.parametrize("external_id", [None, "", "  "])
def test_an_upsert_needs_an_external_id(api, external_id, unchanged) -> None:
    with unchanged():
        body = sale(external_id=external_id)
        assert api.post("/transactions/update-create", body).status_code == 422
        refused(api.post("/transactions/update-create", sale()), "required", "external_id")


def test_an_upsert_of_another_source_is_another_transaction(api, shopify) -> None:
    assert api.post("/transactions/update-create", sale(external_id="1001")).status_code == 201
    assert shopify.post("/transactions/update-create", sale(external_id="1001")).status_code == 201
    assert Transaction.objects.count() == 2


def test_an_upsert_needs_both_scopes(caller) -> None:
    for scope in ("create-transactions", "update-transactions"):
        response = caller(scope).post("/transactions/update-create", sale(external_id="1"))
        assert response.status_code == 403
    both = caller("create-transactions", "update-transactions")
    assert both.post("/transactions/update-create", sale(external_id="1")).status_code == 201


# Whom it names


def test_a_profile_id_alone_is_the_profiles_own(api, ada) -> None:
    data = api.record("transactions", sale(profile_id=ada["id"]))

    assert data["profile_id"] == data["addressed"] == ada["id"]
    assert data["routing"] | {"refused": []} == {
        "outcome": "matched",
        "profile_id": ada["id"],
        "identity_id": None,
        "log_entry_id": None,
        "refused": [],
        "not_taken": [],
    }


@pytest.mark.parametrize("handle", ["id", "profile_id", "", None])
def test_words_that_mean_the_profiles_own_id(api, ada, handle) -> None:
    data = api.record("transactions", sale(profile_id=ada["id"].upper(), profile_id_handle=handle))

    assert data["profile_id"] == ada["id"]


@pytest.mark.parametrize("text", ["1804974", "x", "Ada", 7, ADAS])
def test_a_profile_id_that_is_none_is_a_422(api, ada, unchanged, text) -> None:
    with unchanged():
        refused(api.post("/transactions", sale(profile_id=text)), "invalid", "profile_id")


def test_a_profile_id_may_be_an_address_or_a_number(api, ada, bo) -> None:
    by_email = api.record("transactions", sale(profile_id="ADA@example.com", profile_id_handle="email"))
    by_phone = api.record("transactions", sale(profile_id="0404 999 888", profile_id_handle="mobile_phone"))

    assert (by_email["profile_id"], by_phone["profile_id"]) == (ada["id"], bo["id"])
    assert by_email["brought_by"]["handle"] == "email"


def test_a_number_is_an_identifier_too(api, ada) -> None:
    data = api.record("transactions", sale(profile_id=1804974, profile_id_handle=CARD))

    assert data["profile_id"] == ada["id"]
    assert data["identities"] == [{"handle": CARD, "identifier": "1804974"}]


def test_an_unknown_profile_id_alone_is_a_404(api, unchanged) -> None:
    with unchanged():
        not_found(api.post("/transactions", sale(profile_id=NEVER_KNOWN)))


# The routing rule, line by line


def routed(api, body, outcome, profile=None) -> Any:
    data = api.record("transactions", body)
    assert data["routing"]["outcome"] == outcome
    assert data["routing"]["profile_id"] == data["profile_id"]
    if profile is not None:
        assert data["profile_id"] == profile["id"]
    return data


def test_rule_1_a_known_pair_decides_against_another_named_id(api, ada, bo) -> None:
    data = routed(api, sale(ADAS, profile_id=bo["id"]), "rerouted", ada)

    assert data["addressed"] == bo["id"]
    entry = api.data(f"/routing-log/{data['routing']['log_entry_id']}")
    assert data["log_entry_id"] == entry["id"]
    assert (entry["outcome"], entry["kind"]) == ("rerouted", "transaction")
    assert (entry["requested_profile_id"], entry["routed_profile_id"]) == (bo["id"], ada["id"])


def test_rule_1_unknown_pairs_attach_and_the_highest_priority_decides(api, ada) -> None:
    api.put("/handles/pos", {"priority": 1_000})
    till = api.identity(ada, "pos", "7")

    data = routed(api, sale(ADAS, "pos:7", "pos-customer:9"), "attached", ada)

    assert data["routing"]["identity_id"] == data["brought_by"]["id"] == till["id"]
    assert api.data("/identities/search", {"handle": "pos-customer", "identifier": "9"})["profile_id"] == ada["id"]


def test_rule_1_an_unknown_contact_attaches_only_where_there_is_none(api, ada, bo) -> None:
    data = routed(api, sale(ADAS, "email:other@example.com"), "matched", ada)
    assert data["routing"]["not_taken"] == ["email"]
    assert {"handle": "email", "identifier": "other@example.com"} in data["identities"]
    assert api.data(f"/profiles/{ada['id']}")["email"] == "ada@example.com"

    eve = api.profile(identities=[{"handle": "pos", "identifier": "eve"}])
    routed(api, sale("pos:eve", "email:eve@example.com"), "attached", eve)
    assert api.data(f"/profiles/{eve['id']}")["email"] == "eve@example.com"


def test_rule_2_several_known_profiles_are_a_conflict(api, ada, bo) -> None:
    api.put("/handles/pos", {"priority": 1_000})
    api.identity(bo, "pos", "7")

    data = routed(api, sale(ADAS, "pos:7", "pos-customer:9"), "conflict", bo)

    entry = api.data(f"/routing-log/{data['routing']['log_entry_id']}")
    assert (entry["outcome"], entry["kind"]) == ("conflict", "transaction")
    assert sorted(entry["candidates"]) == sorted([ada["id"], bo["id"]])
    assert entry["payload"]["total"] == "19.99"
    assert api.data("/identities/search", {"handle": "pos-customer", "identifier": "9"})["profile_id"] == bo["id"]


def test_rule_3_an_unknown_pair_goes_to_the_named_id(api, ada) -> None:
    routed(api, sale("pos:7", profile_id=ada["id"]), "attached", ada)

    assert api.data("/identities/search", {"handle": "pos", "identifier": "7"})["profile_id"] == ada["id"]


def test_rule_3_unknown_pairs_make_a_profile(api, ada) -> None:
    data = routed(api, sale("pos:7", "email:new@example.com"), "created")

    profile = api.data(f"/profiles/{data['profile_id']}")
    assert [one["identifier"] for one in profile["identities"]] == ["7"]
    assert profile["email"] == "new@example.com"
    assert data["routing"]["identity_id"] == data["brought_by"]["id"] == profile["identities"][0]["id"]


def test_rule_3_an_unknown_named_id_is_set_aside_beside_a_pair(api, ada) -> None:
    data = routed(api, sale(ADAS, profile_id=NEVER_KNOWN), "matched", ada)

    (one,) = data["routing"]["refused"]
    assert (one["handle"], one["identifier"], one["code"]) == ("profile_id", NEVER_KNOWN, "unknown_profile")


def test_rule_3_a_record_of_a_deleted_profile_is_kept_on_it(api, ada) -> None:
    api.delete(f"/profiles/{ada['id']}")

    data = routed(api, sale(profile_id=ada["id"]), "matched", ada)

    assert api.data(f"/transactions/{data['id']}")["profile_id"] == ada["id"]
    assert api.data("/transactions") == []


def test_rule_4_a_contact_decides_when_nothing_else_is_known(api, ada, bo) -> None:
    data = routed(api, sale("mobile_phone:0404 999 888", "pos:9", "email:ada@example.com"), "conflict", ada)
    assert data["brought_by"]["handle"] == "email"

    alone = routed(api, sale("mobile_phone:0404 999 888"), "matched", bo)
    assert alone["brought_by"]["handle"] == "mobile_phone"


def test_rule_4_a_contact_of_another_is_a_conflict_and_never_reroutes(api, ada, bo) -> None:
    routed(api, sale(ADAS, "email:bo@example.com"), "conflict", ada)
    routed(api, sale("email:bo@example.com", profile_id=ada["id"]), "conflict", ada)


def test_rule_5_nothing_usable_is_a_record_of_nobody(api) -> None:
    routed(api, sale(), "anonymous")
    data = routed(api, sale("pos:null", "shopify:1", "pos:a\u200bb"), "anonymous")

    assert [one["code"] for one in data["routing"]["refused"]] == [
        "invalid_identifier",
        "blocked_identifier",
        "reserved_handle",
    ]
    assert data["routing"]["log_entry_id"] == data["log_entry_id"]
    assert api.data("/profiles") == []
    assert len(api.data("/transactions")) == 2


def test_rule_6_nothing_is_dropped_because_of_an_identity(api, ada) -> None:
    data = routed(api, sale(ADAS, "pos:null", "No Such Handle:7", "loyalty_card:7", ":7"), "matched", ada)

    assert sorted(one["code"] for one in data["routing"]["refused"]) == [
        "blocked_identifier",
        "invalid_handle",
        "invalid_handle",
        "unknown_handle",
    ]
    assert len(data["identities"]) == 5
    assert RoutingLogEntry.objects.filter(outcome="refused", kind="transaction").count() == 4


# PUT


def test_a_put_routes_a_transaction_of_nobody(api, ada) -> None:
    made = api.record("transactions", sale())

    response = api.put(f"/transactions/{made['id']}", {"profile_id": "1804974", "profile_id_handle": CARD})

    assert response.json()["routing"]["outcome"] == "matched"
    assert response.json()["data"]["profile_id"] == ada["id"]


def test_a_put_keeps_the_profile_and_logs_who_else_is_named(api, ada, bo) -> None:
    made = api.record("transactions", sale(ADAS))
    path = f"/transactions/{made['id']}"

    response = api.put(
        path, {"identities": [{"handle": CARD, "identifier": "77"}, {"handle": "pos", "identifier": "5"}]}
    )

    assert response.json()["routing"]["outcome"] == "conflict"
    assert response.json()["data"]["profile_id"] == ada["id"]
    assert api.data("/identities/search", {"handle": "pos", "identifier": "5"})["profile_id"] == ada["id"]
    assert api.put(path, {"profile_id": bo["id"]}).json()["routing"]["outcome"] == "rerouted"
    assert api.data(path)["profile_id"] == ada["id"]


@pytest.mark.parametrize("pairs", [(ADAS, "pos:null", ":8"), (), ("pos:new",)])
def test_a_whole_transaction_sent_back_changes_nothing(api, ada, unchanged, pairs) -> None:
    made = api.record("transactions", sale(*pairs, external_id="7", location_id=1.5, total="0.10", meta={"a": 1.0}))
    del made["routing"]

    with unchanged():
        response = api.put(f"/transactions/{made['id']}", made)

    assert (response.status_code, response.json()["data"]) == (200, made)


def test_false_is_another_value_than_0(api) -> None:
    made = api.record("transactions", sale(meta={"a": [0, 1]}, location_id=1, items=[sale()["items"][0] | {"b": 0}]))
    path = f"/transactions/{made['id']}"

    meta = {"a": [False, True]}
    assert json.dumps(api.put(path, {"meta": meta}).json()["data"]["meta"]) == json.dumps(meta)
    items = [made["items"][0] | {"b": False}]
    assert api.put(path, {"items": items}).json()["data"]["items"][0]["b"] is False
    assert Audit.objects.filter(auditable_type="transaction", event="updated").count() == 2


def test_a_whole_transaction_sent_back_with_one_field_changed_changes_that_one(api, ada) -> None:
    made = api.record("transactions", sale(ADAS))
    del made["routing"]
    path = f"/transactions/{made['id']}"
    for name, value in (
        ("total", 7),
        ("timezone", "Australia/Perth"),
        ("transacted_at", "2026-11-25T03:00:00Z"),
        ("is_void", True),
    ):
        whole = api.data(path)
        changed = api.put(path, whole | {name: value}).json()["data"]
        shown = "2026-11-25 03:00:00" if name == "transacted_at" else value
        assert changed == whole | {name: shown, "updated_at": changed["updated_at"]}


def test_an_upsert_that_corrects_the_zone_means_its_own_clock(api) -> None:
    api.post("/transactions/update-create", sale(external_id="7", timezone="UTC"))

    corrected = api.post("/transactions/update-create", sale(external_id="7")).json()["data"]

    assert corrected["transacted_at"] == "2026-11-25 01:00:00"
    assert api.post("/transactions/update-create", corrected).json()["data"]["transacted_at"] == "2026-11-25 01:00:00"


def test_a_put_of_items_replaces_them_all(api) -> None:
    made = api.record("transactions", sale())
    items = [{"name": str(number), "quantity": number, "price_current": 1, "price_sell": 1} for number in range(3)]

    changed = api.put(f"/transactions/{made['id']}", {"items": items}).json()["data"]

    assert [item["name"] for item in changed["items"]] == ["0", "1", "2"]


def test_an_item_must_be_whole_in_a_put_too(api, unchanged) -> None:
    made = api.record("transactions", sale())

    with unchanged():
        response = api.put(f"/transactions/{made['id']}", {"items": [{"name": "Tea", "quantity": 1}]})
        refused(response, "required", "items.0.price_current")


# Times


@pytest.mark.parametrize(
    ("written", "zone", "shown"),
    [
        ("2026-11-25 12:00:00", "Australia/Melbourne", "2026-11-25 01:00:00"),
        ("2026-06-25 12:00:00", "Australia/Melbourne", "2026-06-25 02:00:00"),
        ("2026-11-25T12:00:00", "UTC", "2026-11-25 12:00:00"),
        ("2026-11-25T12:00:00.999", "Asia/Kolkata", "2026-11-25 06:30:00"),
        ("2026-11-25", "Pacific/Kiritimati", "2026-11-24 10:00:00"),
        # An offset wins.
        ("2026-11-25T12:00:00Z", "Australia/Melbourne", "2026-11-25 12:00:00"),
        ("2026-11-25 12:00:00+02:00", "Australia/Melbourne", "2026-11-25 10:00:00"),
        # 02:30 does not come: the clocks go from 02:00 to 03:00.
        ("2026-10-04 01:59:59", "Australia/Melbourne", "2026-10-03 15:59:59"),
        ("2026-10-04 02:30:00", "Australia/Melbourne", "2026-10-03 16:30:00"),
        ("2026-10-04 03:00:00", "Australia/Melbourne", "2026-10-03 16:00:00"),
        # 02:30 comes twice: the clocks go from 03:00 back to 02:00. It is the first.
        ("2026-04-05 02:30:00", "Australia/Melbourne", "2026-04-04 15:30:00"),
        ("2026-04-05 02:30:00+10:00", "Australia/Melbourne", "2026-04-04 16:30:00"),
        ("2026-04-05 03:00:00", "Australia/Melbourne", "2026-04-04 17:00:00"),
    ],
)
def test_a_time_is_local_on_input_and_utc_in_the_answer(api, written, zone, shown) -> None:
    data = api.record("transactions", sale(transacted_at=written, timezone=zone))

    assert (data["transacted_at"], data["timezone"]) == (shown, zone)


@pytest.mark.parametrize(
    "zone", ["Melbourne", "+10:00", "australia/melbourne", "AEST5", "../etc/passwd", "", 10, None, []]
)
def test_a_zone_that_is_none_is_a_422(api, unchanged, zone) -> None:
    with unchanged():
        refused(api.post("/transactions", sale(timezone=zone)), "invalid", "timezone")


@pytest.mark.parametrize(
    "written", ["", "yesterday", "2026-13-01", "0001-01-01 00:00:00", "9999-12-31 23:59:59", 7, None, [], "12:00"]
)
def test_a_time_that_is_none_is_a_422(api, unchanged, written) -> None:
    with unchanged():
        zone = "America/New_York" if str(written).startswith("9") else "Australia/Melbourne"
        refused(api.post("/transactions", sale(transacted_at=written, timezone=zone)), "invalid", "transacted_at")


# Money


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("0.1", "0.1"),
        ("19.99", "19.99"),
        ('"19.990"', "19.99"),
        ('" 5 "', "5"),
        ("100", "100"),
        ("1e2", "100"),
        ('"1E+2"', "100"),
        ("-0.0", "0"),
        ('"-0"', "0"),
        ("-12.5", "-12.5"),
        ('".5"', "0.5"),
        # Half to even, at the sixth place, of the decimal that was written.
        ('"0.0000005"', "0"),
        ('"0.0000015"', "0.000002"),
        ('"0.0000025"', "0.000002"),
        ("0.0000025", "0.000002"),
        # Of the binary fraction next to it, the last would be 1.000001.
        ("2.0000015", "2.000002"),
        ("1.0000015", "1.000002"),
        ("2.675000500000001", "2.675001"),
        ('"33.3333333333333333333333333"', "33.333333"),
        ("9999999999999", "9999999999999"),
        ('"9999999999999.999999"', "9999999999999.999999"),
        ("0.30000000000000004", "0.3"),
    ],
)
def test_an_amount_is_exact(api, written, shown) -> None:
    body = json.dumps(sale(total="?", total_original="?")).replace('"?"', written).encode()

    response = api.post("/transactions", body)

    assert response.status_code == 201, response.content
    data = exact(response)["data"]
    assert data["total"] == data["total_original"] == Decimal(shown)
    assert re.search(rb'"total" : ([^,]+),', response.content)[1].decode() == shown  # type: ignore[index]
    assert Transaction.objects.get().total == Decimal(shown)


def test_cents_add_up(api, ada) -> None:
    for amount in (0.1, 0.2, 0.3, 0.1, 0.7):
        api.record("transactions", sale(ADAS, total=amount))

    assert sum(Transaction.objects.values_list("total", flat=True)) == Decimal("1.4")


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        [],
        {},
        "",
        "NaN",
        "Infinity",
        "1,5",
        "$5",
        "0x10",
        "1_000",
        "١٢",
        "1e9999",
        "1e999999999999",
        "9" * 5_000,
        10**13,
        "10000000000000",
        "9999999999999.9999995",
        -(10**13),
        10**400,
        1e300,
        "1e13",
    ],
    ids=lambda value: repr(value)[:20],
)
def test_an_amount_that_is_none_is_a_422(api, unchanged, value) -> None:
    item = sale()["items"][0]
    with unchanged():
        assert api.post("/transactions", sale(total=value)).json()["errors"].keys() == {"total"}
        if value is not None:
            refused(api.post("/transactions", sale(total_original=value)), "invalid", "total_original")
        for name in ("quantity", "price_current", "price_sell"):
            response = api.post("/transactions", sale(items=[item, item | {name: value}]))
            refused(response, "invalid", f"items.1.{name}")


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_a_number_that_json_does_not_have_is_a_400(api, unchanged, number) -> None:
    body = json.dumps(sale(total="?")).encode().replace(b'"?"', number)

    with unchanged():
        assert api.post("/transactions", body).status_code == 400


# Other input


@pytest.mark.parametrize("name", ["total", "transacted_at", "timezone", "items"])
def test_what_a_transaction_must_have(api, unchanged, name) -> None:
    with unchanged():
        refused(
            api.post("/transactions", {key: value for key, value in sale().items() if key != name}), "required", name
        )


def test_a_thousand_items_are_kept_and_more_refused(api, unchanged) -> None:
    (item,) = sale()["items"]
    assert len(api.record("transactions", sale(items=[item] * 1_000))["items"]) == 1_000

    with unchanged():
        for count in (1_001, 10_000):
            body = refused(api.post("/transactions", sale(items=[item] * count)), "invalid", "items")
            assert body["message"] == "This has more than 1000 rows."
        # Not one of them is looked at.
        assert len(refused(api.post("/transactions", sale(items=[7] * 100_000)), "invalid", "items")["errors"]) == 1
        refused(api.post("/transactions", sale(items=[])), "invalid", "items")


def test_free_json_has_bounds(api, unchanged) -> None:
    deep: Any = {}
    for _level in range(20):
        deep = {"a": [deep]}
    (item,) = sale()["items"]

    with unchanged():
        for value in (deep, {"a": "x" * 70_000}):
            refused(api.post("/transactions", sale(meta=value)), "invalid", "meta")
            for name in ("systems", "payments", "tags"):
                refused(api.post("/transactions", sale(**{name: [value]})), "invalid", name)
            refused(api.post("/transactions", sale(items=[item | {"sku": value}])), "invalid", "items.0")
        for _level in range(100):
            deep = {"a": deep}
        assert api.post("/transactions", sale(meta=deep)).status_code == 400


FREE = {"a": [1, 2.5, None, True, "ü", {"b": []}], "big": 10**30, "small": -1e-7, "": {}}


def test_free_json_comes_back_as_it_went(api) -> None:
    (item,) = sale()["items"]
    made = api.record(
        "transactions",
        sale(
            meta=FREE,
            systems=[FREE],
            payments=[FREE, 1],
            tags=["a", 1, FREE],
            items=[item | {"extra": FREE, "position": 5, "transaction": "x", "id": -5}],
        ),
    )

    assert (made["meta"], made["systems"], made["payments"]) == (FREE, [FREE], [FREE, 1])
    assert made["tags"] == ["a", 1, FREE]
    (shown,) = made["items"]
    assert shown.pop("id") > 0
    assert shown == item | {"extra": FREE, "position": 5, "transaction": "x"}


@pytest.mark.parametrize("value", ["shop", "", "007", 7, -7, 1.5, 10**20, "ü" * 255])
def test_a_location_is_any_text_or_number(api, value) -> None:
    made = api.record("transactions", sale(location_id=value, staff_id=value))

    assert (made["location_id"], made["staff_id"]) == (value, value)
    assert type(made["location_id"]) is type(value)


@pytest.mark.parametrize("value", [True, [], {}, "x" * 256, 10**400])
def test_a_location_that_is_neither_is_a_422(api, unchanged, value) -> None:
    with unchanged():
        for name in ("location_id", "staff_id"):
            refused(api.post("/transactions", sale(**{name: value})), "invalid", name)


def test_numbers_are_external_ids_and_receipts_too(api) -> None:
    made = api.record("transactions", sale(external_id=1001, receipt_ref=" 7 "))

    assert (made["external_id"], made["receipt_ref"]) == ("1001", "7")
    assert api.data("/transactions/external/1001")["id"] == made["id"]


@pytest.mark.parametrize("value", [True, 1.5, [], {}, "x" * 256, "a\nb", "a\x7fb", 10**400])
def test_an_external_id_that_is_none_is_a_422(api, unchanged, value) -> None:
    with unchanged():
        for name in ("external_id", "receipt_ref"):
            refused(api.post("/transactions", sale(**{name: value})), "invalid", name)


WRONG: list[Any] = [None, True, 7, -1.5, 10**400, "", "x" * 70_000, [], [[]], {}, {"a": 1}, [None], [{"handle": []}]]
FIELDS = [*sale(), *EMPTY]


@pytest.mark.parametrize("field", FIELDS)
def test_a_wrong_type_in_any_field_is_no_500(api, ada, field) -> None:
    made = api.record("transactions", sale(ADAS, external_id="7"))
    for value in WRONG:
        for response in (
            api.post("/transactions", sale(**{field: value})),
            api.post("/transactions/update-create", sale(**{"external_id": "7", field: value})),
            api.put(f"/transactions/{made['id']}", {field: value}),
        ):
            assert response.status_code in (200, 201, 404, 422), (field, value, response.content)
            if response.status_code == 422:
                body = response.json()
                assert body["message"] == next(iter(body["errors"].values()))[0]
                assert body["code"]


def test_unknown_fields_are_ignored(api) -> None:
    made = api.record("transactions", sale(id=7, source="shopify", nonsense=[1], decided_by="id", log_entry_id=5))

    assert (made["source"], made["log_entry_id"]) == ("staff", None)
    assert made["id"] == Transaction.objects.get().pk


# Move


def test_a_move_gives_it_to_a_profile_by_id_or_by_identities(api, ada, bo) -> None:
    made = api.record("transactions", sale(ADAS))
    path = f"/transactions/{made['id']}"

    moved = api.post(f"{path}/move", {"profile_id": bo["id"], "reason": "Bo paid."})

    assert moved.status_code == 200
    data = moved.json()["data"]
    changed = {"profile_id": bo["id"], "updated_at": data["updated_at"], "routing": made["routing"]}
    assert data | {"routing": made["routing"]} == made | changed
    move = Move.objects.get()
    assert (str(move.from_profile_id), str(move.to_profile_id), move.reason) == (ada["id"], bo["id"], "Bo paid.")
    assert Audit.objects.latest("pk").event == "moved"
    back = api.post(f"{path}/move", {"identities": [{"handle": CARD, "identifier": "1804974"}]})
    assert back.json()["data"]["profile_id"] == ada["id"]
    assert not Move.objects.filter(undone_at=None).exists()


def test_a_move_gives_it_to_nobody_and_from_nobody(api, ada) -> None:
    made = api.record("transactions", sale(ADAS))
    path = f"/transactions/{made['id']}/move"

    assert api.post(path, {"profile_id": None}).json()["data"]["profile_id"] is None
    assert api.post(path, {"profile_id": ada["id"]}).json()["data"]["profile_id"] == ada["id"]


def test_a_move_that_cannot_be(api, ada, bo, unchanged) -> None:
    made = api.record("transactions", sale(ADAS))
    path = f"/transactions/{made['id']}/move"
    eve = api.profile()
    api.delete(f"/profiles/{eve['id']}")
    card, bos = ({"handle": CARD, "identifier": text} for text in ("1804974", "77"))

    with unchanged():
        refused(api.post(path, {}), "required", "profile_id")
        refused(api.post(path, {"profile_id": bo["id"], "identities": [bos]}), "invalid", "identities")
        refused(api.post(path, {"profile_id": "x"}), "invalid", "profile_id")
        refused(api.post(path, {"profile_id": 7}), "invalid", "profile_id")
        refused(api.post(path, {"identities": []}), "invalid", "identities")
        refused(api.post(path, {"identities": [{"handle": CARD}]}), "required", "identities.0.identifier")
        refused(api.post(path, {"identities": [card | {"identifier": "5"}]}), "unknown_identity", "identities")
        body = refused(api.post(path, {"identities": [card, bos]}), "ambiguous_identities", "identities")
        assert body["profile_ids"] == sorted([ada["id"], bo["id"]])
        not_found(api.post(path, {"profile_id": NEVER_KNOWN}))
        conflict(api.post(path, {"profile_id": eve["id"]}), "profile_deleted")


# Filters and order


def test_filters_by_profile_source_and_external_id(api, shopify, ada, bo) -> None:
    of_ada = api.record("transactions", sale(ADAS, external_id="1"))
    of_bo = shopify.record("transactions", sale(f"{CARD}:77", external_id="1"))
    of_nobody = api.record("transactions", sale())

    def found(**filters: str) -> list[int]:
        query = {f"filter[{name}]": value for name, value in filters.items()}
        return [row["id"] for row in api.data("/transactions", query)]

    assert found() == [of_nobody["id"], of_bo["id"], of_ada["id"]]
    assert found(profile_id=ada["id"]) == [of_ada["id"]]
    assert found(profile_id=NEVER_KNOWN) == []
    assert found(source="staff") == [of_nobody["id"], of_ada["id"]]
    assert found(source="shopify") == [of_bo["id"]]
    assert found(external_id="1") == [of_bo["id"], of_ada["id"]]
    assert found(external_id="1", source="shopify") == [of_bo["id"]]
    for name in ("profile_id", "external_id"):
        refused(api.get("/transactions", {f"filter[{name}]": ""}), "invalid", f"filter[{name}]")
    api.delete(f"/profiles/{ada['id']}")
    assert found() == [of_nobody["id"], of_bo["id"]]
    assert found(profile_id=ada["id"]) == []


def test_a_merged_id_means_its_survivor(api, ada, bo) -> None:
    made = api.record("transactions", sale(ADAS))
    Profile.objects.filter(pk=bo["id"]).update(merged_into=ada["id"])

    assert [row["id"] for row in api.data("/transactions", {"filter[profile_id]": bo["id"]})] == [made["id"]]
    assert api.record("transactions", sale(profile_id=bo["id"]))["profile_id"] == ada["id"]
    response = api.post(f"/transactions/{made['id']}/move", {"profile_id": bo["id"]})
    assert conflict(response, "already_merged")["survivor_id"] == ada["id"]


def test_spans_of_time_and_order(api) -> None:
    late, early, mid = (
        api.record("transactions", sale(transacted_at=f"2026-11-{day}T00:00:00Z"))["id"] for day in ("25", "05", "15")
    )

    def found(query: dict[str, str]) -> list[int]:
        return [row["id"] for row in api.data("/transactions", query)]

    assert found({"filter[transacted_at][gte]": "2026-11-15 00:00:00"}) == [late, mid]
    assert found({"filter[transacted_at][lt]": "2026-11-15 00:00:00"}) == [early]
    assert found({"filter[transacted_at]": "2026-11-15 00:00:00"}) == [mid]
    assert found({"filter[created_at][gte]": "2020-01-01"}) == [mid, early, late]
    assert found({"filter[created_at][lt]": "2020-01-01"}) == []
    assert found({"sort": "transacted_at"}) == [early, mid, late]
    assert found({"sort": "-transacted_at"}) == [late, mid, early]
    assert found({"sort": "created_at"}) == found({"sort": "id"}) == [late, early, mid]
    refused(api.get("/transactions", {"sort": "total"}), "invalid", "sort")
    refused(api.get("/transactions", {"filter[total]": "1"}), "invalid", "filter[total]")
    refused(api.get("/transactions", {"include": "items"}), "invalid", "include")


def test_an_extensions_transactions_are_its_own_source(shopify) -> None:
    made = shopify.record("transactions", sale("shopify:1"))

    assert (made["source"], made["routing"]["outcome"]) == ("shopify", "created")
    assert Transaction.objects.get().source == Extension.objects.get(pk="shopify")


def test_a_known_external_id_is_told_before_an_unknown_profile(api, ada) -> None:
    there = api.record("transactions", sale(external_id="T7-1", profile_id=ada["id"]))

    response = api.post("/transactions", sale(external_id="T7-1", profile_id=str(uuid.uuid4())))

    assert (response.status_code, response.json()["code"], response.json()["id"]) == (
        422,
        "record_exists",
        there["id"],
    )
