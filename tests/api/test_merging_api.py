"""POST /profiles/merge and its preview (API.md 5)."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from identities.models import Handle, Identity, RoutingLogEntry
from profiles.models import Merge, Profile
from tests.api.conftest import CARD, Caller, conflict, not_found, refused, sale

pytestmark = pytest.mark.django_db


@pytest.fixture
def again(api: Caller) -> dict[str, Any]:
    """Ada, known a second time."""
    return api.profile(
        first_name="Augusta",
        gender="female",
        email="augusta@example.com",
        birth_day=10,
        birth_month=12,
        joined_at="2020-01-02 03:04:05",
        tags=["vip"],
        attributes={"comms": {"sms": True}},
        custom_attributes={"size": {"shoe": 38}},
        identities=[{"handle": CARD, "identifier": "1804975", "is_primary": True}],
    )


def merging(source: dict[str, Any] | list[str], destination: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The body of a merge."""
    sources = {"source_profile_ids": source} if isinstance(source, list) else {"source_profile_id": source["id"]}
    return {**sources, "destination_profile_id": destination["id"], **more}


def merge(api: Caller, *args: Any, **more: Any) -> Any:
    return api.post("/profiles/merge", merging(*args, **more))


def preview(api: Caller, *args: Any, **more: Any) -> Any:
    response = api.post("/profiles/merge/preview", merging(*args, **more))
    assert response.status_code == 200, response.content
    return response.json()["data"]


def outcomes(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["field"]: one for one in told["fields"]}


# Merge


def test_the_destination_survives_and_is_answered_in_full(api, ada, again, bo) -> None:
    sold = api.record("transactions", sale(f"{CARD}:1804975"))

    response = merge(api, again, ada, reason="One person")

    assert response.status_code == 200, response.content
    answer = response.json()
    assert answer["data"] == api.data(f"/profiles/{ada['id']}")
    assert set(answer["data"]) == set(ada)
    assert [one["identifier"] for one in answer["data"]["identities"]] == ["1804974", "1804975"]
    assert [one["merged_from"] for one in answer["data"]["identities"]] == [None, again["id"]]
    shown = {name: answer["data"][name] for name in ("first_name", "gender", "email", "external_id", "birth_month")}
    assert shown == {
        "first_name": "Ada",
        "gender": "female",
        "email": "ada@example.com",
        "external_id": "1804975",
        "birth_month": 12,
    }
    assert api.data(f"/transactions/{sold['id']}")["profile_id"] == ada["id"]
    (key,) = answer["merges"]
    made = Merge.objects.get()
    assert (made.pk, str(made.duplicate_id), made.reason, made.by.username) == (
        key,
        again["id"],
        "One person",
        "operator",
    )
    assert api.data(f"/profiles/{again['id']}")["id"] == ada["id"]


def test_many_are_merged_at_once_and_each_has_its_merge_in_the_order_in_which_they_were_named(api, ada) -> None:
    others = [api.profile(identities=[{"handle": "pos", "identifier": str(number)}])["id"] for number in range(3)]
    named = [others[2], others[0], others[2], others[1]]

    answer = merge(api, named, ada).json()

    duplicates = {one.pk: str(one.duplicate_id) for one in Merge.objects.all()}
    assert [duplicates[key] for key in answer["merges"]] == [others[2], others[0], others[1]]
    assert {one["handle"] for one in answer["data"]["identities"]} == {CARD, "pos"}


def test_one_source_and_several_may_be_named_together(api, ada, again, bo) -> None:
    body = {**merging(again, ada), "source_profile_ids": [bo["id"], again["id"]]}

    assert len(api.post("/profiles/merge", body).json()["merges"]) == 2


def test_the_caller_may_choose_a_side_for_any_field(api, ada, again, bo) -> None:
    fields = {
        "first_name": "source",
        "last_name": "source",
        "gender": "destination",
        "email": again["id"],
        "attributes.comms": "destination",
        "custom_attributes.size:shoe": "destination",
        "external_id": "destination",
    }

    data = merge(api, again, ada, fields=fields).json()["data"]

    shown = [data[name] for name in ("first_name", "last_name", "gender", "email", "external_id", "custom_attributes")]
    assert shown == ["Augusta", "", None, "augusta@example.com", None, {}]
    assert data["attributes"]["comms"] == {}


def test_of_several_sources_one_is_chosen_by_its_id(api, ada, again, bo, unchanged) -> None:
    with unchanged():
        body = refused(
            merge(api, [again["id"], bo["id"]], ada, fields={"first_name": "source"}), "invalid", "fields.first_name"
        )
    assert "several" in body["message"]

    data = merge(api, [again["id"], bo["id"]], ada, fields={"first_name": bo["id"]}).json()["data"]

    assert data["first_name"] == "Bo"


def test_what_is_no_profile_of_the_merge_and_no_field_cannot_be_chosen(api, ada, again, bo, unchanged) -> None:
    with unchanged():
        for choices, field in (
            ({"fields": {"first_name": bo["id"]}}, "fields.first_name"),
            ({"fields": {"first_name": "left"}}, "fields.first_name"),
            ({"fields": {"last_name": "source", "shoes": "source"}}, "fields.shoes"),
            ({"fields": {"first_name": ""}}, "fields.first_name"),
            ({"handles": {CARD: bo["id"]}}, f"handles.{CARD}"),
            ({"handles": {CARD: 7}}, f"handles.{CARD}"),
            ({"fields": ["first_name"]}, "fields"),
        ):
            for path in ("/profiles/merge", "/profiles/merge/preview"):
                refused(api.post(path, merging(again, ada, **choices)), "invalid", field)


def test_a_plan_is_done_or_refused_with_the_difference_and_the_new_plan(api, ada, again, bo, unchanged) -> None:
    plan = preview(api, again, ada)["plan"]
    api.identity(again, "pos", "9")
    api.put(f"/profiles/{again['id']}", {"gender": "x"})

    with unchanged():
        body = conflict(merge(api, again, ada, plan=plan), "plan_changed")

    assert body["changed"] == ["fields.gender", "identities", "moves.identity"]
    assert body["plan"] == preview(api, again, ada)["plan"]
    assert merge(api, again, ada, plan=body["plan"]).status_code == 200


def test_a_plan_is_one_of_the_same_body(api, ada, again, bo, unchanged) -> None:
    plan = preview(api, again, ada)["plan"]

    with unchanged():
        for response in (
            merge(api, ada, again, plan=plan),
            merge(api, again, ada, plan=plan, fields={"gender": "destination"}),
            merge(api, again, ada, plan=""),
            merge(api, again, ada, plan="nonsense"),
        ):
            conflict(response, "plan_changed")
    assert merge(api, again, ada, plan=None).status_code == 200


def test_a_single_valued_handle_in_conflict_refuses_until_somebody_says_which_stays(
    api, ada, again, bo, unchanged
) -> None:
    Handle.objects.filter(pk=CARD).update(single_valued=True)

    with unchanged():
        body = conflict(merge(api, again, ada), "handle_conflict")
        told = preview(api, again, ada)
    assert (body["handle"], "1804974, 1804975" in body["message"]) == (CARD, True)
    assert [one["code"] for one in told["blockers"]] == ["handle_conflict"]
    assert told["blockers"][0]["message"] == body["message"]
    (asked,) = told["handle_conflicts"]
    assert (asked["handle"], asked["stays"], told["plan"]) == (CARD, None, None)
    assert asked["identities"] == [ada["identities"][0], again["identities"][0]]

    chosen = preview(api, again, ada, handles={CARD: "source"})
    assert (chosen["blockers"], chosen["handle_conflicts"][0]["stays"]) == ([], again["id"])
    data = merge(api, again, ada, handles={CARD: "source"}, plan=chosen["plan"]).json()["data"]
    assert {one["identifier"]: one["is_active"] for one in data["identities"]} == {"1804974": False, "1804975": True}


def test_the_words_of_a_sensitive_handle_in_conflict_are_masked(api, ada, again) -> None:
    Handle.objects.create(name="passport", sensitive=True, single_valued=True)
    for profile, number in ((ada, "X1234567890"), (again, "X9876543210")):
        api.identity(profile, "passport", number)

    assert "X1234567890" not in merge(api, again, ada).content.decode()


@pytest.mark.parametrize("swapped", [False, True])
def test_what_cannot_be_merged_is_a_409_and_a_blocker_in_the_preview(api, ada, again, bo, unchanged, swapped) -> None:
    cy = api.profile(first_name="Cy")
    merge(api, again, bo)
    Profile.objects.filter(pk=cy["id"]).update(locked=True)
    gone = api.profile(first_name="Di")
    api.delete(f"/profiles/{gone['id']}")
    expected = {
        "same_profile": (ada, {}),
        "already_merged": (again, {"profile_id": again["id"], "survivor_id": bo["id"]}),
        "profile_locked": (cy, {"profile_id": cy["id"]}),
        "profile_deleted": (gone, {"profile_id": gone["id"]}),
    }

    with unchanged():
        for code, (other, details) in expected.items():
            sides = (ada, other) if swapped else (other, ada)
            body = conflict(merge(api, *sides), code)
            told = preview(api, *sides)
            assert body == told["blockers"][0]
            assert {name: body[name] for name in details} == details
            assert (told["fields"], told["plan"]) == ([], None)


def test_everything_that_stands_against_a_merge_is_told_at_once(api, ada, again, bo) -> None:
    merge(api, again, bo)
    api.delete(f"/profiles/{ada['id']}")

    told = preview(api, [again["id"], ada["id"]], bo)

    assert {one["code"] for one in told["blockers"]} == {"already_merged", "profile_deleted"}


def test_a_profile_that_is_not_there_is_a_404(api, ada, nobody, unchanged) -> None:
    with unchanged():
        for path in ("/profiles/merge", "/profiles/merge/preview"):
            not_found(api.post(path, merging({"id": nobody}, ada)))
            not_found(api.post(path, merging(ada, {"id": nobody})))


def test_more_than_a_hundred_are_refused(api, ada, unchanged) -> None:
    many = [str(uuid.uuid4()) for _number in range(101)]

    with unchanged():
        for path in ("/profiles/merge", "/profiles/merge/preview"):
            refused(api.post(path, merging(many, ada)), "too_many_profiles", "source_profile_ids")


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"source_profile_id": None}, "source_profile_id", "required"),
        ({"source_profile_id": None, "source_profile_ids": []}, "source_profile_id", "required"),
        ({"source_profile_id": "7"}, "source_profile_id", "invalid"),
        ({"source_profile_id": 7}, "source_profile_id", "invalid"),
        ({"source_profile_ids": ["7"]}, "source_profile_ids.0", "invalid"),
        ({"source_profile_ids": "7"}, "source_profile_ids", "invalid"),
        ({"destination_profile_id": None}, "destination_profile_id", "invalid"),
        ({"destination_profile_id": "Ada"}, "destination_profile_id", "invalid"),
        ({"reason": "x" * 2_001}, "reason", "invalid"),
        ({"plan": 7}, "plan", "invalid"),
    ],
)
def test_a_body_that_names_no_merge_is_a_422(api, ada, again, unchanged, change, field, code) -> None:
    with unchanged():
        for path in ("/profiles/merge", "/profiles/merge/preview"):
            refused(api.post(path, merging(again, ada) | change), code, field)
    assert refused(api.post("/profiles/merge", {}), "required", "destination_profile_id")


def test_a_merge_that_is_sent_again_does_nothing_more(api, ada, again, unchanged) -> None:
    key = {"Idempotency-Key": "of-this-merge"}
    first = api.call("POST", "/profiles/merge", merging(again, ada), **key)

    with unchanged():
        replay = api.call("POST", "/profiles/merge", merging(again, ada), **key)
        without = conflict(merge(api, again, ada), "already_merged")

    assert (replay.content, replay["Idempotent-Replay"]) == (first.content, "true")
    assert without["survivor_id"] == ada["id"]


def test_reserved_pairs_come_along_whoever_merges(api, shopify, ada, again) -> None:
    shopify.identity(again, "shopify", "7")

    data = merge(api, again, ada).json()["data"]

    assert data["identities"][-1]["identifier"] == "7"
    assert data["identities"][-1]["source"] == "shopify"


def test_a_merge_asks_for_its_scope(caller, ada, again) -> None:
    others = caller("read-profiles", "update-profiles", "delete-profiles", "unmerge-profiles", "update-identities")

    for path in ("/profiles/merge", "/profiles/merge/preview"):
        response = others.post(path, merging(again, ada))
        assert (response.status_code, "merge-profiles" in response.json()["message"]) == (403, True)
        assert caller("merge-profiles").post(path, merging(again, ada)).status_code == 200


def test_entries_of_the_log_about_the_two_are_settled(api, ada, again) -> None:
    conflict_of = api.record("transactions", sale(f"{CARD}:1804974", f"{CARD}:1804975"))["routing"]

    merge(api, again, ada)

    assert RoutingLogEntry.objects.get(pk=conflict_of["log_entry_id"]).review_status == "reviewed"


# Preview


def test_the_preview_writes_nothing_and_says_what_becomes_of_each_field(api, ada, again, bo, unchanged) -> None:
    api.record("transactions", sale(f"{CARD}:1804975"))

    with unchanged():
        told = preview(api, again, ada)

    assert (told["destination_profile_id"], told["source_profile_ids"]) == (ada["id"], [again["id"]])
    assert told["moves"] == {"identity": 2, "transaction": 1, "interaction": 0, "point": 0, "reward": 0}
    assert (told["handle_conflicts"], told["blockers"]) == ([], [])
    fields = outcomes(told)
    assert fields["first_name"] == {
        "field": "first_name",
        "outcome": "conflicting",
        "value": "Ada",
        "profile_id": ada["id"],
        "chosen": False,
        "values": [{"profile_id": ada["id"], "value": "Ada"}, {"profile_id": again["id"], "value": "Augusta"}],
    }
    assert fields["gender"]["outcome"] == "adopted"
    assert (fields["gender"]["value"], fields["gender"]["profile_id"]) == ("female", again["id"])
    assert fields["last_name"]["outcome"] == "kept"
    assert "company" not in fields
    assert list(fields)[:2] == ["first_name", "last_name"]


def test_values_are_those_of_the_profile_object(api, ada, again, bo) -> None:
    fields = outcomes(preview(api, again, ada))

    values = {name: [side["value"] for side in one["values"]] for name, one in fields.items()}
    assert values == {
        "first_name": ["Ada", "Augusta"],
        "last_name": ["Lovelace", ""],
        "email": ["ada@example.com", "augusta@example.com"],
        "mobile_phone": ["+61404123123", None],
        "gender": [None, "female"],
        "birth_date": [None, "--12-10"],
        "tags": [[], ["vip"]],
        "joined_at": [ada["joined_at"], "2020-01-02 03:04:05"],
        "attributes.comms": [{}, {"sms": True}],
        "custom_attributes.size:shoe": [None, 38],
        "external_id": [None, "1804975"],
    }


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ((1990, 12, 10), "1990-12-10"),
        ((990, 1, 2), "0990-01-02"),
        ((1990, 12, None), "1990-12"),
        ((1990, None, None), "1990"),
        ((None, 12, 10), "--12-10"),
        ((None, 12, None), "--12"),
        ((None, None, 10), "---10"),
    ],
)
def test_a_birth_date_of_which_not_all_is_known_says_what_is(api, ada, parts, text) -> None:
    other = api.profile(**dict(zip(("birth_year", "birth_month", "birth_day"), parts, strict=True)))

    assert outcomes(preview(api, other, ada))["birth_date"]["value"] == text


def test_the_preview_tells_of_chosen_fields(api, ada, again) -> None:
    fields = outcomes(preview(api, again, ada, fields={"first_name": "source", "email": "destination"}))

    assert [fields["first_name"][name] for name in ("outcome", "value", "profile_id", "chosen")] == [
        "adopted",
        "Augusta",
        again["id"],
        True,
    ]
    assert (fields["email"]["outcome"], fields["email"]["chosen"]) == ("kept", True)


def test_the_merge_does_what_its_preview_said(api, ada, again, bo) -> None:
    told = preview(api, [again["id"], bo["id"]], ada)

    data = merge(api, [again["id"], bo["id"]], ada, plan=told["plan"]).json()["data"]

    flat = {**data, **{f"attributes.{part}": value for part, value in data["attributes"].items()}}
    flat["custom_attributes.size:shoe"] = data["custom_attributes"]["size"]["shoe"]
    for field in told["fields"]:
        if field["field"] != "birth_date":
            assert flat[field["field"]] == field["value"], field["field"]
    assert Identity.objects.filter(profile=ada["id"]).count() == 3 + told["moves"]["identity"]


def test_a_preview_costs_the_same_for_profiles_with_much(api, ada) -> None:
    api.get("/auth/verify")
    counts = []
    for number in (1, 20):
        pairs = [{"handle": "pos", "identifier": f"{number}-{one}"} for one in range(number)]
        custom = {"size": {f"a{one}": one for one in range(number)}}
        other = api.profile(identities=pairs, custom_attributes=custom)
        for pair in pairs:
            api.record("transactions", sale(f"pos:{pair['identifier']}"))
        with CaptureQueriesContext(connection) as captured:
            preview(api, other, ada)
        counts.append(len(captured))

    assert counts[0] == counts[1]
