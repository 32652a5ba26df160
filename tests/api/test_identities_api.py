"""GET /identities, POST /identities/batch and POST /identities/{id}/move (API.md 2)."""

from __future__ import annotations

import datetime

import pytest
from django.utils import timezone

from identities.models import Identity, RoutingLogEntry
from profiles.models import Audit, Move
from tests.api.conftest import CARD, conflict, not_found, refused

pytestmark = pytest.mark.django_db


def of(api, **filters) -> list[str]:
    return [
        row["identifier"]
        for row in api.data("/identities", {f"filter[{name}]": value for name, value in filters.items()})
    ]


def card(api, profile):
    return api.data(f"/profiles/{profile['id']}/identities/{CARD}")


def test_the_list_is_paged_and_holds_identity_objects(api, ada, bo) -> None:
    body = api.get("/identities").json()

    assert list(body) == ["data", "links", "meta"]
    assert body["data"] == [card(api, ada), card(api, bo)]
    assert (body["meta"]["total"], body["meta"]["per_page"]) == (2, 15)


@pytest.mark.parametrize(
    ("name", "value", "identifiers"),
    [
        ("handle", CARD, ["1804974", "77"]),
        ("handle", "nothing", []),
        ("identifier", "77", ["77"]),
        ("identifier", " 77 ", ["77"]),
        ("identifier", "null", []),
        ("is_active", "1", ["1804974", "77"]),
        ("is_active", "false", ["S-1"]),
        ("source", "staff", ["1804974", "77", "S-1"]),
        ("source", "shopify", ["6432187489345"]),
        ("source", "nobody", []),
        ("created_at][gte", "2021-01-27 00:00:00", ["1804974", "77", "S-1", "6432187489345"]),
        ("created_at][lt", "2021-01-27T00:00:00Z", []),
        ("updated_at][gt", "2021-01-27", ["1804974", "77", "S-1", "6432187489345"]),
    ],
)
def test_filters_are_equality(api, shopify, ada, bo, name, value, identifiers) -> None:
    api.identity(ada, "staff-number", "S-1", is_active=False)
    shopify.identity(bo, "shopify", "6432187489345")
    if name == "is_active" and value == "1":
        identifiers = [*identifiers, "6432187489345"]

    assert of(api, **{name: value}) == identifiers


def test_profile_id_filters(api, ada, bo, nobody) -> None:
    assert of(api, profile_id=bo["id"]) == ["77"]
    assert of(api, profile_id=nobody) == []
    refused(api.get("/identities?filter[profile_id]=x"), "invalid", "filter[profile_id]")


@pytest.mark.parametrize("name", ["handle", "identifier", "profile_id", "is_active", "created_at"])
def test_an_empty_filter_is_refused(api, ada, name) -> None:
    refused(api.get(f"/identities?filter[{name}]="), "invalid", f"filter[{name}]")


def test_an_identifier_is_found_in_any_spelling_that_its_handle_folds(api, ada) -> None:
    api.identity(ada, "instagram", "Ada.Lovelace")

    assert of(api, identifier="ADA.lovelace") == ["ada.lovelace"]
    assert of(api, identifier="ADA.lovelace", handle="instagram") == ["ada.lovelace"]
    assert of(api, identifier="ADA.lovelace", handle="pos") == []


def test_filters_are_joined_by_and(api, ada, bo) -> None:
    assert of(api, handle=CARD, profile_id=ada["id"]) == ["1804974"]
    assert of(api, identifier="77", profile_id=ada["id"]) == []


def test_the_list_is_sorted_as_asked(api, ada, bo) -> None:
    Identity.objects.filter(identifier="77").update(created_at=timezone.now() - datetime.timedelta(days=1))

    for sort, identifiers in {
        "created_at": ["77", "1804974"],
        "-created_at": ["1804974", "77"],
        "id": ["1804974", "77"],
        "-id": ["77", "1804974"],
        "updated_at,-id": ["1804974", "77"],
    }.items():
        assert [row["identifier"] for row in api.data("/identities", {"sort": sort})] == identifiers


def test_include_profile_embeds_the_full_profile(api, ada, bo) -> None:
    for row, profile in zip(api.data("/identities", {"include": "profile"}), (ada, bo), strict=True):
        assert row["profile"] == api.data(f"/profiles/{profile['id']}")


@pytest.mark.parametrize(
    ("parameter", "known"),
    [
        ("filter[name]", "filter[handle]"),
        ("filter[profile_type]", "filter[profile_id]"),
        ("filter[created_at][like]", "filter[created_at][gte]"),
        ("sort", "created_at, updated_at, id"),
        ("include", "profile"),
        ("search", "filter[identifier]"),
        ("page[offset]", "page[cursor]"),
    ],
)
def test_what_the_list_does_not_know_is_refused_with_what_it_knows(api, ada, parameter, known) -> None:
    body = refused(api.get("/identities", {parameter: "nothing"}), "invalid", parameter)

    assert known in body["message"]


def test_a_deleted_profiles_identities_are_not_listed(api, ada, bo) -> None:
    api.delete(f"/profiles/{ada['id']}")

    assert of(api) == ["77"]
    assert of(api, identifier="1804974") == []
    assert of(api, profile_id=ada["id"]) == []


# POST /identities/batch


def batch(api, *rows, **more):
    response = api.post("/identities/batch", {"identities": list(rows), **more})
    assert response.status_code == 200, response.content
    assert list(response.json()) == ["data"]
    return response.json()["data"]


def pair(handle, identifier, **more):
    return {"handle": handle, "identifier": identifier, **more}


def test_a_batch_has_a_result_per_row_in_their_order(api, ada, bo) -> None:
    rows = batch(
        api,
        pair("pos", "1"),
        pair(CARD, "1804974"),
        pair("pos", "2", profile_id=bo["id"]),
        pair("pos", 3),
        profile_id=ada["id"],
    )

    assert [row["result"] for row in rows] == ["created", "exists", "created", "created"]
    assert [row["identity"]["identifier"] for row in rows] == ["1", "1804974", "2", "3"]
    assert [row["identity"]["profile_id"] for row in rows] == [ada["id"], ada["id"], bo["id"], ada["id"]]
    assert all(list(row) == ["result", "identity"] for row in rows)


def test_a_bad_row_spoils_no_other(api, ada, bo, nobody) -> None:
    api.delete(f"/profiles/{bo['id']}")
    eve = api.profile(first_name="Eve", identities=[pair("pos", "of Eve")])
    rows = {
        "reserved_handle": pair("shopify", "1"),
        "identity_taken": pair("pos", "of Eve"),
        "blocked_identifier": pair("pos", "null"),
        "invalid_identifier": pair("pos", "a\u200bb"),
        "invalid_handle": pair("profile_id", "1"),
        "unknown_handle": pair("loyalty_card", "1"),
        "builtin_handle": pair("email", "eve@example.com"),
        "profile_deleted": pair("pos", "1", profile_id=bo["id"]),
        "not_found": pair("pos", "1", profile_id=nobody),
    }
    wrong = [None, 7, "x", [], {}, pair("pos", 1.5), pair("pos", True), pair(7, "1"), pair("pos", "1", profile_id=5)]

    answers = batch(api, *rows.values(), *wrong, pair("pos", "good"), profile_id=ada["id"])

    assert [answer["result"] for answer in answers] == ["error"] * (len(rows) + len(wrong)) + ["created"]
    for code, answer in zip(rows, answers, strict=False):
        assert answer["code"] == code
        assert answer["message"]
    assert {answer["code"] for answer in answers[len(rows) : -1]} == {"invalid"}
    taken = answers[list(rows).index("identity_taken")]
    assert taken["profile_id"] == eve["id"]
    assert taken["log_entry_id"] == RoutingLogEntry.objects.get(outcome="identity_taken").pk
    assert [row["identifier"] for row in api.data(f"/profiles/{ada['id']}/identities")] == ["1804974", "good"]


def test_a_row_without_a_profile_is_profile_required(api, ada, unchanged) -> None:
    with unchanged():
        (row,) = batch(api, pair("pos", "1"))

    assert (row["result"], row["code"]) == ("error", "profile_required")


def test_the_same_new_pair_twice_in_a_batch_exists_the_second_time(api, ada, bo) -> None:
    rows = batch(api, pair("pos", "1"), pair("pos", "1"), pair("pos", "1", profile_id=bo["id"]), profile_id=ada["id"])

    assert [row["result"] for row in rows] == ["created", "exists", "error"]
    assert rows[2]["code"] == "identity_taken"


@pytest.mark.slow
def test_a_thousand_rows_are_taken(api, ada) -> None:
    assert len(batch(api, *[pair(CARD, "1804974")] * 1_000, profile_id=ada["id"])) == 1_000


def test_more_than_a_thousand_rows_are_refused(api, ada, unchanged) -> None:
    with unchanged():
        response = api.post("/identities/batch", {"identities": [pair("pos", str(n)) for n in range(1_001)]})

    refused(response, "invalid", "identities")


@pytest.mark.parametrize("body", [{}, {"identities": None}, {"identities": {}}, {"identities": "x"}])
def test_a_batch_of_the_wrong_shape_is_refused(api, unchanged, body) -> None:
    with unchanged():
        response = api.post("/identities/batch", body)

    assert response.status_code == 422
    assert list(response.json()["errors"]) == ["identities"]


def test_an_empty_batch_does_nothing(api, unchanged) -> None:
    with unchanged():
        assert batch(api) == []


# POST /identities/{id}/move


def move(api, identity, profile, reason="Ada showed this card in the shop."):
    return api.post(f"/identities/{identity['id']}/move", {"profile_id": profile["id"], "reason": reason})


def test_a_move_is_asked_for_audited_and_reversible(api, ada, bo) -> None:
    before = card(api, ada)

    response = move(api, before, bo)

    assert response.status_code == 200
    moved = response.json()["data"]
    assert moved == before | {"profile_id": bo["id"], "updated_at": moved["updated_at"]}
    row = Move.objects.get()
    assert (str(row.from_profile_id), str(row.to_profile_id), row.cause) == (ada["id"], bo["id"], "asked")
    assert (row.handle, row.identifier, row.reason) == (CARD, "1804974", "Ada showed this card in the shop.")
    audit = Audit.objects.filter(event="moved").get()
    assert (audit.auditable_type, audit.auditable_key) == ("identity", str(before["id"]))
    assert (audit.old_values["profile_id"], audit.new_values["profile_id"]) == (ada["id"], bo["id"])

    back = move(api, before, ada).json()["data"]

    assert back == before | {"updated_at": back["updated_at"]}
    assert [row.undone_at is None for row in Move.objects.order_by("pk")] == [False, False]


def test_what_comes_next_follows_the_moved_identity(api, ada, bo) -> None:
    move(api, card(api, ada), bo)

    routed = api.post("/profiles", {"identities": [pair(CARD, "1804974")]}).json()["routing"]

    assert (routed["outcome"], routed["profile_id"]) == ("matched", bo["id"])


def test_a_moved_identity_is_no_longer_primary(api, ada, bo) -> None:
    api.put(f"/profiles/{ada['id']}/identities/{CARD}", {"is_primary": True})

    assert move(api, card(api, ada), bo).json()["data"]["is_primary"] is False


def test_a_reserved_pair_moves_like_any_other(api, shopify, ada, bo) -> None:
    identity = shopify.identity(ada, "shopify", "6432187489345")

    assert move(api, identity, bo).json()["data"]["profile_id"] == bo["id"]


def test_a_move_to_where_it_is_changes_nothing(api, ada, unchanged) -> None:
    with unchanged():
        response = move(api, card(api, ada), ada)

    assert (response.status_code, response.json()["data"]) == (200, card(api, ada))


def test_a_move_is_refused_where_it_cannot_be(api, ada, bo, nobody, unchanged) -> None:
    identity = card(api, ada)
    gone = api.profile(first_name="Gone")
    api.delete(f"/profiles/{gone['id']}")

    with unchanged():
        conflict(move(api, identity, gone), "profile_deleted")
        not_found(move(api, identity, {"id": nobody}))
        not_found(move(api, {"id": 0}, bo))
        not_found(move(api, {"id": 10**30}, bo))
        refused(move(api, identity, {"id": "x"}), "invalid", "profile_id")
        refused(move(api, identity, {"id": 1}), "invalid", "profile_id")
        refused(move(api, identity, bo, reason=7), "invalid", "reason")
        refused(move(api, identity, bo, reason="x" * 2_001), "invalid", "reason")
        body = refused(api.post(f"/identities/{identity['id']}/move"), "required", "profile_id")
        assert set(body["errors"]) == {"profile_id", "reason"}


def test_a_move_of_a_deleted_profiles_identity_is_a_409(api, ada, bo, unchanged) -> None:
    identity = card(api, ada)
    api.delete(f"/profiles/{ada['id']}")

    with unchanged():
        conflict(move(api, identity, bo), "profile_deleted")


def test_a_move_holds_the_limit_of_the_handle(api, ada, bo, unchanged) -> None:
    api.put(f"/handles/{CARD}", {"single_valued": True})

    with unchanged():
        refused(move(api, card(api, ada), bo), "too_many_identities", "handle")


def test_only_who_may_change_identities_may_move_them(api, caller, ada, bo, unchanged) -> None:
    editor = caller("create-profiles", "create-identities", "delete-identities")

    with unchanged():
        assert move(editor, card(api, ada), bo).status_code == 403

    assert move(caller("update-identities"), card(api, ada), bo).status_code == 200
