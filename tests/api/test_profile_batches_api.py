"""POST /profiles/batch and what became of it (API.md 3): queued by the request, brought in by the worker."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from identities import batching, renaming
from identities.models import Handle, Identity, RoutingLogEntry
from profiles.auditing import By
from profiles.models import Audit, CustomAttribute, Profile, ProfileBatch, ProfileBatchRow
from tests.api.conftest import CARD, not_found, refused
from tests.working import jobs, work

pytestmark = pytest.mark.django_db(transaction=True)

CRITERIA = "match_criteria"


def queued(caller: Any, *profiles: Any, by: str = CARD) -> str:
    """Send a batch; returns its id."""
    response = caller.post("/profiles/batch", {"match_criteria": by, "profiles": list(profiles)})
    assert response.status_code == 200, response.content
    data = response.json()["data"]
    assert data.pop("message") == "Profiles queued for batch import."
    batch_id: str = data.pop("batch_id")
    assert data == {}
    return batch_id


def brought_in(caller: Any, *profiles: Any, by: str = CARD) -> list[dict[str, Any]]:
    """Send a batch, let the worker do it, and read what became of each profile."""
    batch_id = queued(caller, *profiles, by=by)
    work()
    state = caller.data(f"/profiles/batch/{batch_id}")
    assert state["status"] == "finished", state
    assert [row["position"] for row in state["profiles"]] == list(range(len(profiles)))
    rows: list[dict[str, Any]] = state["profiles"]
    return rows


def card(identifier: Any, **fields: Any) -> dict[str, Any]:
    """A profile with a loyalty card."""
    return {"identities": [{"handle": CARD, "identifier": identifier}], **fields}


def pairs(caller: Any, profile_id: str) -> list[str]:
    return sorted(f"{one['handle']}:{one['identifier']}" for one in caller.data(f"/profiles/{profile_id}/identities"))


def test_a_batch_changes_who_is_known_and_makes_who_is_not(api, ada, bo) -> None:
    before = api.data(f"/profiles/{bo['id']}")
    known = card("1804974", first_name="Augusta", company="Analytical Engines")
    known["identities"].append({"handle": "pos", "identifier": "T07"})
    batch_id = queued(api, known, card("99", first_name="Eve", email="eve@example.com"))

    state = api.data(f"/profiles/batch/{batch_id}")
    assert (state["status"], state["finished_at"]) == ("queued", None)
    assert state["counts"] == {"total": 2, "waiting": 2, "created": 0, "updated": 0, "error": 0}
    assert {row["result"] for row in state["profiles"]} == {"waiting"}

    work()

    state = api.data(f"/profiles/batch/{batch_id}")
    assert state["status"] == "finished"
    assert state["match_criteria"] == CARD
    assert state["counts"] == {"total": 2, "waiting": 0, "created": 1, "updated": 1, "error": 0}
    updated, created = state["profiles"]
    assert updated == {
        "position": 0,
        "result": "updated",
        "profile_id": ada["id"],
        "code": None,
        "message": None,
        "refused": [],
        "log_entry_id": None,
    }
    # As PUT: what is sent wins, what is not sent stays.
    profile = api.data(f"/profiles/{ada['id']}")
    assert (profile["first_name"], profile["last_name"]) == ("Augusta", "Lovelace")
    assert profile["company"] == "Analytical Engines"
    assert pairs(api, ada["id"]) == ["loyalty-card:1804974", "pos:T07"]
    attached = Identity.objects.get(handle="pos")
    assert (str(attached.brought_by), attached.addressed) == ("loyalty-card: 1804974", None)
    assert created["result"] == "created"
    eve = api.data(f"/profiles/{created['profile_id']}")
    assert (eve["first_name"], eve["email"]) == ("Eve", "eve@example.com")
    assert pairs(api, eve["id"]) == ["loyalty-card:99"]
    assert api.data(f"/profiles/{bo['id']}") == before
    assert not ProfileBatchRow.objects.exclude(payload=None).exists()


@pytest.mark.parametrize(("by", "value"), [("email", "ADA@example.com"), ("mobile_phone", "0404 123 123")])
def test_a_contact_point_may_be_the_criterion(api, ada, bo, by, value) -> None:
    before = api.data(f"/profiles/{bo['id']}")
    in_its_field = {by: value, "first_name": "Augusta", "identities": [{"handle": "pos", "identifier": "T07"}]}
    among_the_pairs = {"last_name": "King", "identities": [{"handle": by, "identifier": value}]}
    unknown = {"email": "eve@example.com", "mobile_phone": "0404 555 444", "first_name": "Eve"}

    first, second, third = brought_in(api, in_its_field, among_the_pairs, unknown, by=by)

    assert [first["result"], second["result"], third["result"]] == ["updated", "updated", "created"]
    assert {first["profile_id"], second["profile_id"]} == {ada["id"]}
    assert first["refused"] == second["refused"] == []
    profile = api.data(f"/profiles/{ada['id']}")
    assert profile["full_name"] == "Augusta King"
    assert (profile["email"], profile["mobile_phone"]) == ("ada@example.com", "+61404123123")
    assert pairs(api, ada["id"]) == ["loyalty-card:1804974", "pos:T07"]
    assert Identity.objects.get(handle="pos").brought_by == Identity.objects.get(handle=by, profile_id=ada["id"])
    assert api.data(f"/profiles/{third['profile_id']}")["email"] == "eve@example.com"
    assert api.data(f"/profiles/{bo['id']}") == before


def test_two_rows_of_one_person_are_brought_in_in_their_order(api) -> None:
    first, second, third = brought_in(
        api,
        card("5", first_name="Eve", company="First"),
        card("5", last_name="Moore", company="Second"),
        card("5", company=""),
    )

    assert [first["result"], second["result"], third["result"]] == ["created", "updated", "updated"]
    profile = api.data(f"/profiles/{first['profile_id']}")
    assert (profile["full_name"], profile["company"]) == ("Eve Moore", None)
    assert Profile.objects.count() == 1


def test_batches_of_one_account_are_brought_in_in_their_order(api) -> None:
    queued(api, *(card("5", company=f"First {number}") for number in range(20)))
    queued(api, card("5", company="Second"))

    work()

    assert Profile.objects.get().company == "Second"


@pytest.mark.parametrize(
    ("row", "code", "told"),
    [
        (7, "invalid", "Invalid data"),
        (None, "invalid", ""),
        ([], "invalid", "Invalid data"),
        ({"first_name": 1, "identities": []}, "invalid", "first_name: This must be text."),
        (card("5", identities=[{"handle": CARD}]), "invalid", "identities.0.identifier: This field is required."),
        (card("5", birth_month=2, birth_day=30), "invalid", "There is no such birth date."),
        (card("5", email="not an address"), "invalid_identifier", "This is not an e-mail address."),
        (card("5", email="test@test.com"), "blocked_identifier", "blocked"),
        ({"first_name": "Eve"}, "criterion_required", "has no loyalty-card"),
        ({"loyalty-card": "5"}, "criterion_required", "has no loyalty-card"),
        (card("null"), "blocked_identifier", "names nobody"),
        (card(" "), "invalid_identifier", "is empty"),
        (card("5", identities=[{"handle": "Loyalty_Card", "identifier": "5"}]), "criterion_required", ""),
    ],
)
def test_a_row_that_cannot_be_brought_in_says_why_and_spoils_no_other(api, ada, row, code, told) -> None:
    before = api.data(f"/profiles/{ada['id']}")

    good, bad, good_too = brought_in(api, card("6", first_name="Eve"), row, card("7", first_name="Fay"))

    assert (bad["result"], bad["code"], bad["profile_id"]) == ("error", code, None)
    assert told in bad["message"]
    assert (good["result"], good_too["result"]) == ("created", "created")
    assert Profile.objects.count() == 3
    assert api.data(f"/profiles/{ada['id']}") == before


def test_another_profiles_pair_is_an_error_of_its_row_which_writes_nothing(api, ada, bo) -> None:
    before = [api.data(f"/profiles/{one['id']}") for one in (ada, bo)]
    of_bo = {"handle": CARD, "identifier": "77"}
    known = card("1804974", first_name="Augusta")
    known["identities"] += [{"handle": "pos", "identifier": "T07"}, of_bo]
    unknown = {"first_name": "Eve", "identities": [{"handle": "pos", "identifier": "T08"}, of_bo]}

    (row,) = brought_in(api, known)
    (other,) = brought_in(api, unknown, by="pos")

    for answer in (row, other):
        assert (answer["result"], answer["code"], answer["profile_id"]) == ("error", "identity_taken", bo["id"])
        assert answer["message"] == "Another profile has this identity."
        entry = RoutingLogEntry.objects.get(pk=answer["log_entry_id"])
        assert (entry.outcome, entry.identifier, entry.occurrences) == ("identity_taken", "77", 1)
        assert [str(pk) for pk in entry.candidates] == [bo["id"]]
    assert [api.data(f"/profiles/{one['id']}") for one in (ada, bo)] == before
    assert Profile.objects.count() == 2
    assert not Identity.objects.filter(handle="pos").exists()


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [("email", "bo@example.com", "The email exists"), ("mobile_phone", "0404 999 888", "The phone number exists")],
)
def test_another_profiles_contact_is_an_error_in_the_words_of_put(api, ada, bo, field, value, told) -> None:
    before = [api.data(f"/profiles/{one['id']}") for one in (ada, bo)]

    known, unknown = brought_in(api, card("1804974", company="x", **{field: value}), card("6", **{field: value}))

    for answer in (known, unknown):
        assert (answer["code"], answer["message"], answer["profile_id"]) == ("identity_taken", told, bo["id"])
        assert answer["log_entry_id"]
    assert [api.data(f"/profiles/{one['id']}") for one in (ada, bo)] == before
    assert Profile.objects.count() == 2


def test_pairs_that_cannot_come_along_are_set_aside_for_who_is_known_and_who_is_not(api, ada) -> None:
    def row(identifier: str) -> dict[str, Any]:
        bad = [("pos", "null"), ("shopify", f"9{identifier}"), ("email", "eve@example.com"), ("pos", f"T{identifier}")]
        one = card(identifier, company="Analytical Engines")
        one["identities"] += [{"handle": handle, "identifier": text} for handle, text in bad]
        return one

    known, unknown = brought_in(api, row("1804974"), row("6"))

    for answer, result in ((known, "updated"), (unknown, "created")):
        assert answer["result"] == result
        codes = {f"{one['handle']}": one["code"] for one in answer["refused"]}
        assert codes == {"pos": "blocked_identifier", "shopify": "reserved_handle", "email": "builtin_handle"}
        assert answer["log_entry_id"]
        assert api.data(f"/profiles/{answer['profile_id']}")["company"] == "Analytical Engines"
        assert len(pairs(api, answer["profile_id"])) == 2
    assert RoutingLogEntry.objects.filter(outcome="refused").count() == 6


def test_by_a_reserved_handle_only_its_extension_reaches_anybody(api, shopify) -> None:
    eve = shopify.profile(first_name="Eve", identities=[{"handle": "shopify", "identifier": "1"}])
    rows = [
        {"company": "x", "identities": [{"handle": "shopify", "identifier": identifier}]} for identifier in ("1", "2")
    ]

    refused(api.post("/profiles/batch", {"match_criteria": "shopify", "profiles": rows}), "reserved_handle", CRITERIA)

    known, unknown = brought_in(shopify, *rows, by="shopify")
    assert (known["result"], known["profile_id"]) == ("updated", eve["id"])
    assert unknown["result"] == "created"
    assert Identity.objects.get(identifier="2").source_id == "shopify"


def test_a_handle_that_was_claimed_since_is_an_error_of_the_rows(api, ada) -> None:
    batch_id = queued(api, card("1804974", company="x"), card("6"))
    Handle.objects.filter(pk=CARD).update(reserved_for="shopify")

    work()

    rows = api.data(f"/profiles/batch/{batch_id}")["profiles"]
    assert [(row["result"], row["code"]) for row in rows] == [("error", "reserved_handle")] * 2
    assert api.data(f"/profiles/{ada['id']}")["company"] is None


def test_a_handle_that_was_renamed_since_still_decides(api, ada) -> None:
    batch_id = queued(api, card("1804974", company="x"), card("6"))
    renaming.rename(Handle.objects.get(pk=CARD), to="club-card", reason="", by=By(api.token.user))

    work()

    rows = api.data(f"/profiles/batch/{batch_id}")["profiles"]
    assert [row["result"] for row in rows] == ["updated", "created"]
    assert rows[0]["profile_id"] == ada["id"]
    assert pairs(api, rows[1]["profile_id"]) == ["club-card:6"]


def test_custom_attributes_come_along(api, ada) -> None:
    rows = [card(number, custom_attributes={"loyalty": {"tier": "gold"}}) for number in ("1804974", "6")]

    known, unknown = brought_in(api, *rows, card("7", custom_attributes={"loyalty": 1}))[:2]

    for row in (known, unknown):
        profile = api.data(f"/profiles/{row['profile_id']}")
        assert profile["custom_attributes"] == {"loyalty": {"tier": "gold"}}
    attribute = CustomAttribute.objects.get(profile_id=ada["id"])
    assert (attribute.brought_by_handle, attribute.addressed) == (CARD, None)
    assert ProfileBatchRow.objects.get(position=2).message.startswith("custom_attributes: ")


def test_a_profile_that_is_deleted_does_not_match_and_gives_its_pair_away(api, ada) -> None:
    api.delete(f"/profiles/{ada['id']}")

    (row,) = brought_in(api, card("1804974", first_name="Eve"))

    assert row["result"] == "created"
    assert pairs(api, row["profile_id"]) == ["loyalty-card:1804974"]
    assert Profile.objects.get(pk=ada["id"]).first_name == "Ada"


def test_a_batch_keeps_the_type_of_a_profile_that_is_known(api, ada) -> None:
    known, unknown = brought_in(
        api, card("1804974", profile_type="pending"), card("6", profile_type="pending", first_name="Eve")
    )

    assert api.data(f"/profiles/{known['profile_id']}")["profile_type"] == "active"
    assert api.data(f"/profiles/{unknown['profile_id']}")["profile_type"] == "pending"


def test_a_new_handle_comes_into_the_catalogue_with_the_first_row_that_has_it(api) -> None:
    first, second = brought_in(
        api, *({"identities": [{"handle": "fax-club", "identifier": text}]} for text in ("1", "2")), by="fax-club"
    )

    assert [first["result"], second["result"]] == ["created", "created"]
    assert api.data("/handles/fax-club")["status"] == "undocumented"


def test_the_audit_tells_of_the_caller_and_not_of_the_worker(caller) -> None:
    shopify = caller(extension="shopify")
    body = {"match_criteria": CARD, "profiles": [card("6", first_name="Eve")]}
    response = shopify.call("POST", "/profiles/batch", body, **{"User-Agent": "importer/1.2"})
    assert response.status_code == 200

    work()

    for audit in Audit.objects.filter(profile__first_name="Eve"):
        assert audit.by == shopify.token.user
        assert audit.token_name == "Token of shopify"
        assert audit.url == "/api/v3/profiles/batch"
        assert audit.ip_address == "127.0.0.1"
        assert audit.user_agent == "importer/1.2"
    assert Audit.objects.filter(profile__first_name="Eve", event="created").count() == 2
    assert Identity.objects.get().source_id == "shopify"


@pytest.mark.slow
def test_five_hundred_profiles_are_one_batch(api) -> None:
    profiles = [card(f"N{number}", first_name=f"Number {number}") for number in range(500)]

    rows = brought_in(api, *profiles)

    assert {row["result"] for row in rows} == {"created"}
    assert Profile.objects.count() == 500
    named = {str(profile.pk): profile.first_name for profile in Profile.objects.all()}
    assert [named[row["profile_id"]] for row in rows] == [profile["first_name"] for profile in profiles]


def test_more_than_five_hundred_profiles_are_refused(api) -> None:
    body = {"match_criteria": CARD, "profiles": [card(str(number)) for number in range(501)]}

    refused(api.post("/profiles/batch", body), "invalid", "profiles")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "required", "match_criteria"),
        ({"match_criteria": CARD}, "required", "profiles"),
        ({"match_criteria": CARD, "profiles": []}, "invalid", "profiles"),
        ({"match_criteria": CARD, "profiles": {}}, "invalid", "profiles"),
        ({"match_criteria": 1, "profiles": [{}]}, "invalid", "match_criteria"),
        ({"match_criteria": "Loyalty_Card", "profiles": [{}]}, "unknown_handle", "match_criteria"),
        ({"match_criteria": "profile_id", "profiles": [{}]}, "invalid_handle", "match_criteria"),
        ({"match_criteria": "no handle", "profiles": [{}]}, "invalid_handle", "match_criteria"),
    ],
)
def test_a_batch_that_nothing_could_come_of_is_refused_whole(api, body, code, field) -> None:
    refused(api.post("/profiles/batch", body), code, field)

    assert not ProfileBatch.objects.exists()
    assert jobs() == []


def test_a_batch_is_nobody_elses(api, caller, shopify) -> None:
    batch_id = queued(api, card("6"))

    not_found(shopify.get(f"/profiles/batch/{batch_id}"))
    not_found(api.get(f"/profiles/batch/{uuid.uuid4()}"))
    not_found(api.get("/profiles/batch/6"))
    # The account's other tokens are of the same account.
    assert caller("update-profiles").data(f"/profiles/batch/{batch_id}")["batch_id"] == batch_id


@pytest.mark.parametrize("scope", ["create-profiles", "update-profiles"])
def test_a_batch_needs_both_scopes(caller, scope) -> None:
    one = caller(scope)
    (missing,) = {"create-profiles", "update-profiles"} - {scope}

    response = one.post("/profiles/batch", {"match_criteria": CARD, "profiles": [card("6")]})

    assert response.status_code == 403
    assert response.json() == {"message": f"The token lacks the scope {missing}."}
    queued(caller("create-profiles", "update-profiles"), card("6"))


def test_a_request_that_is_rolled_back_leaves_no_job_and_no_batch(api) -> None:
    with transaction.atomic():
        queued(api, card("6"))
        assert len(jobs()) == 1
        transaction.set_rollback(True)

    assert jobs() == []
    assert not ProfileBatch.objects.exists()


def test_the_state_of_a_batch_costs_the_same_for_one_row_and_for_fifty(api, django_assert_num_queries) -> None:
    one, fifty = queued(api, card("6")), queued(api, *(card(str(number)) for number in range(50)))
    api.get("/auth/verify")

    for batch_id in (one, fifty):
        with django_assert_num_queries(3):  # The token, the batch, its rows.
            api.data(f"/profiles/batch/{batch_id}")


def test_the_jobs_arguments_hold_nothing_of_anybody(api) -> None:
    batch_id = queued(api, card("6", first_name="Eve"))

    assert jobs() == [("todo", {"batch_id": batch_id})]


def test_old_batches_are_forgotten(api) -> None:
    old, new = queued(api, card("6")), queued(api, card("7"))
    past = timezone.now() - batching.KEPT - timedelta(minutes=1)
    ProfileBatch.objects.filter(pk=old).update(created_at=past)

    batching.forget_old()

    assert [str(batch.pk) for batch in ProfileBatch.objects.all()] == [new]
    assert ProfileBatchRow.objects.count() == 1
    work()  # The job of the old one finds nothing to do.
    assert [status for status, _arguments in jobs()] == ["succeeded", "succeeded"]


# POST /profiles/sync


@pytest.mark.parametrize(
    ("body", "since"),
    [
        ({"updated_at": "2021-01-27 00:00:00"}, "2021-01-27T00:00:00Z"),
        ({"updated_at": "2021-01-27T10:00:00+10:00"}, "2021-01-27T00:00:00Z"),
        ({"updated_at": None}, None),
        ({}, None),
    ],
)
def test_a_sync_is_answered_and_the_audit_keeps_who_asked_for_what(caller, body, since) -> None:
    api = caller("update-profiles", "read-audits")

    response = api.post("/profiles/sync", body)

    assert response.status_code == 200
    assert response.json() == {"data": {"message": "Profiles queued for sync."}}
    audit = Audit.objects.get(event="sync asked")
    assert (audit.by, audit.token_name, audit.url) == (api.token.user, "Token of staff", "/api/v3/profiles/sync")
    assert audit.new_values == {"updated_at": since}
    (shown,) = api.data("/audits", {"filter[event]": "sync asked"})
    assert (shown["auditable_type"], shown["auditable_id"]) == ("user", api.token.user.pk)
    assert json.loads(shown["new_values"]) == {"updated_at": since}


@pytest.mark.parametrize("time", ["yesterday", 7, "", "2021-13-01 00:00:00"])
def test_a_sync_since_no_time_is_refused(api, time) -> None:
    refused(api.post("/profiles/sync", {"updated_at": time}), "invalid", "updated_at")

    assert not Audit.objects.filter(event="sync asked").exists()
