from __future__ import annotations

import json

import pytest
from django.db import IntegrityError, transaction

from identities import releasing, reviewing, routing, routing_log
from identities.handles import Sent
from identities.models import Extension, Handle, Pair, RoutingLogEntry
from profiles.auditing import By
from profiles.models import Profile
from profiles.refusing import Refused
from tests.cast import add, route

pytestmark = pytest.mark.django_db

TOKEN = "740f4707bebcf74f9b7c25d4"


def entries() -> list[RoutingLogEntry]:
    return list(RoutingLogEntry.objects.order_by("pk"))


def test_the_same_event_again_counts_up_while_its_entry_is_open(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    add(ada, "pos:7", by=by)
    add(ada_again, "loyalty-card:1", by=by)
    first = route("pos:7", "loyalty-card:1", by=by, title="Countess").log_entry_id
    (before,) = entries()

    again = [route("loyalty-card:1", "pos:7", "pos:7", by=by).log_entry_id for _time in range(2)]

    (entry,) = entries()
    assert again == [first, first] == [entry.pk] * 2
    assert (entry.occurrences, entry.created_at) == (3, before.created_at)
    assert entry.last_seen_at > before.last_seen_at
    assert entry.payload == before.payload

    reviewing.review(entry, status="reviewed", note="The same person", by=by)
    new = route("pos:7", "loyalty-card:1", by=by).log_entry_id
    assert new != first
    assert [(one.occurrences, one.review_status) for one in entries()] == [(3, "reviewed"), (1, "open")]


def test_many_entries_are_noted_at_once_and_their_ids_are_in_the_order_asked(
    ada: Profile, by: By, django_assert_num_queries
) -> None:
    payload = {"identities": [{"handle": "apns", "identifier": TOKEN}, {"handle": "pos", "identifier": "7"}]}

    def event(handle: str, identifier: str) -> tuple[RoutingLogEntry, list[Pair]]:
        entry = RoutingLogEntry(
            outcome="refused", kind="profile", handle=handle, identifier=identifier, payload=payload, by=by.user
        )
        return entry, [Pair(handle, identifier)]

    with django_assert_num_queries(2):
        first = routing_log.note_all([event("pos", "9"), event("apns", TOKEN), event("pos", "9"), event("pos", "10")])
    again = routing_log.note_all([event("pos", "10"), event("pos", "9"), event("pos", "8")])

    assert routing_log.note_all([]) == []
    by_id = {entry.pk: entry for entry in entries()}
    assert [by_id[pk].identifier for pk in first] == ["9", "\u2022\u2022\u202225d4", "9", "10"]
    assert (first[0], again[:2]) == (first[2], [first[3], first[0]])
    assert [by_id[pk].occurrences for pk in (*first, *again)] == [3, 1, 3, 2, 2, 3, 1]
    for entry in entries():
        assert [one["identifier"] for one in entry.payload["identities"]] == ["\u2022\u2022\u202225d4", "7"]
    assert payload["identities"][0]["identifier"] == TOKEN, "The caller's own is left as it was."


def test_another_outcome_pair_profile_or_source_is_another_event(
    ada: Profile, ada_again: Profile, bo: Profile, shopify: Extension, by: By
) -> None:
    add(ada, "pos:7", by=by)
    add(ada, "pos:8", by=by)
    add(ada_again, "loyalty-card:1", by=by)

    route("pos:7", "loyalty-card:1", by=by)
    route("pos:8", "loyalty-card:1", by=by)
    route("pos:7", "pos:8", "loyalty-card:1", by=by)
    route("pos:7", "loyalty-card:1", by=by, source=shopify)
    for profile in (ada, ada_again):
        with pytest.raises(Refused):
            add(profile, "loyalty-card:bo", by=by)
    for pair in ("loyalty-card:null", "loyalty-card:NULL", "pos:null", "loyalty-card:\u200b"):
        route("pos:7", pair, by=by)

    assert [entry.occurrences for entry in entries()] == [1] * 10


def test_only_what_met_somebody_else_or_was_set_aside_is_logged(ada: Profile, bo: Profile, by: By) -> None:
    card = add(ada, "loyalty-card:1", by=by)
    route("loyalty-card:1", "pos:7", by=by)
    route("pos:8", by=by)
    routing.change(card.pk, identifier="2", is_primary=True, by=by, source=None)
    routing.remove(card.pk, by=by, source=None)
    releasing.delete(ada.pk, by=by)
    with pytest.raises(Refused):
        add(bo, "loyalty-card:null", by=by)

    assert entries() == []


def test_one_record_may_leave_several_entries_and_names_the_most_telling(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    gone = Profile.objects.create(first_name="Gone")
    add(gone, "pos-customer:1", by=by)
    releasing.delete(gone.pk, by=by)
    add(ada, "pos:7", by=by)
    add(ada_again, "loyalty-card:1", by=by)

    routed = route("pos:7", "loyalty-card:1", "pos-customer:1", "pos:null", by=by)

    outcomes = {entry.outcome: entry for entry in entries()}
    assert set(outcomes) == {"conflict", "released_from", "refused"}
    assert routed.log_entry_id == outcomes["conflict"].pk


@pytest.mark.parametrize("handle", ["apns", " apns ", "APNS", "a-p-n-s", "device"])
def test_a_sensitive_identifier_is_masked_wherever_the_log_says_it(
    handle: str, ada: Profile, bo: Profile, by: By
) -> None:
    Handle.objects.create(name="device", status="retired", renamed_to_id="apns")
    add(ada, "pos:7", by=by)
    add(ada, f"apns:{TOKEN}", by=by)

    if handle in ("apns", " apns ", "device"):
        with pytest.raises(Refused):
            add(bo, Sent(handle, TOKEN), by=by)
    route("pos:7", Sent(handle, f"{TOKEN}\u200b{TOKEN}"), Sent(handle, "short\u200b"), Sent(handle, TOKEN), by=by)

    assert entries()
    for entry in entries():
        stored = json.dumps([entry.identifier, entry.payload])
        assert "740f" not in stored
        assert "short" not in stored
        assert entry.identifier in ("\u2022\u2022\u202225d4", "\u2022\u2022\u2022")


def test_two_masked_identifiers_are_two_events(ada: Profile, bo: Profile, by: By) -> None:
    for number in ("1", "2"):
        add(ada, f"apns:{number}{TOKEN}", by=by)
        with pytest.raises(Refused):
            add(bo, f"apns:{number}{TOKEN}", by=by)

    first, second = entries()
    assert first.identifier == second.identifier
    assert (first.occurrences, second.occurrences) == (1, 1)


def test_a_large_payload_is_cut_and_says_so(ada: Profile, bo: Profile, by: By) -> None:
    add(ada, "pos:7", by=by)

    route("pos:7", "loyalty-card:null", by=by, company="x" * 255, attributes={"comms": {"note": "\u00eb" * 20_000}})

    (entry,) = entries()
    assert entry.payload["truncated"] is True
    assert entry.payload["bytes"] > 20_000
    assert entry.payload["beginning"].startswith('{"identities": [{"handle": "pos", "identifier": "7"}')
    assert len(json.dumps(entry.payload)) < 20_000


def test_what_cannot_be_stored_is_logged_with_a_mark_in_its_place(ada: Profile, by: By) -> None:
    add(ada, "pos:7", by=by)
    pairs = [
        Sent("loyalty-card", "a\0b"),
        Sent("loyalty-card", "a\ud83db"),
        Sent("till\0", "1"),
        Sent("till\ud83d", "1"),
    ]

    routed = route("pos:7", *pairs, Sent("loyalty-card", "\\u0000"), by=by)

    assert routed.profile == ada
    assert {(entry.handle, entry.identifier) for entry in entries()} == {
        ("loyalty-card", "a\ufffdb"),
        ("till\ufffd", "1"),
    }
    assert len(entries()) == 4
    assert {one["identifier"] for one in entries()[0].payload["identities"]} == {"7", "a\ufffdb", "1", "\\u0000"}
    assert ada.identities.filter(identifier="\\u0000").exists()


def test_a_refusals_entry_survives_the_refusal_and_the_write_does_not(ada: Profile, bo: Profile, by: By) -> None:
    with pytest.raises(Refused) as refusal:
        route("tiktok:ada", by=by, contact={"email": "bo@example.com"}, first_name="Ada")

    (entry,) = entries()
    assert (entry.outcome, entry.pk) == ("identity_taken", refusal.value.details["log_entry_id"])
    assert Profile.objects.count() == 2
    assert not Handle.objects.filter(name="tiktok").exists()


def test_one_open_entry_per_event_is_a_constraint(ada: Profile, bo: Profile, by: By) -> None:
    with pytest.raises(Refused):
        add(ada, "loyalty-card:bo", by=by)
    (entry,) = entries()

    with pytest.raises(IntegrityError, match="one_open_entry_per_event"), transaction.atomic():
        RoutingLogEntry.objects.create(
            outcome=entry.outcome, kind=entry.kind, fingerprint=entry.fingerprint, by=by.user
        )
    RoutingLogEntry.objects.create(
        outcome=entry.outcome, kind=entry.kind, fingerprint=entry.fingerprint, by=by.user, review_status="dismissed"
    )


def test_an_entry_outlives_its_profiles(ada: Profile, ada_again: Profile, by: By) -> None:
    add(ada, "pos:7", by=by)
    with pytest.raises(Refused):
        add(ada_again, "pos:7", by=by)

    ada_again.delete()

    (entry,) = entries()
    assert (entry.requested_profile, entry.candidates) == (None, [ada.pk])
