"""Why is this record here? In words, and as data."""

from __future__ import annotations

import pytest

from identities import explaining, moving_records, routing, sending
from identities.models import Extension, Handle, RoutingLogEntry
from profiles.auditing import By
from profiles.models import Profile, Record, Transaction
from tests.cast import add, came, come, every_kind, sent, update

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(ada: Profile, by: By) -> Profile:
    add(ada, "loyalty-card:1", by=by)
    update(ada, email="ada@example.com", by=by)
    return ada


def sentences(row: Record) -> list[str]:
    row = type(row)._default_manager.get(pk=row.pk)
    return explaining.why(row).sentences


@every_kind
def test_it_says_what_decided(kind: type[Record], ada: Profile, bo: Profile, by: By) -> None:
    assert sentences(come(kind, "loyalty-card:1", by=by).record) == [
        "It named loyalty-card: 1, which this profile was known by."
    ]
    assert sentences(come(kind, named=ada.pk, by=by).record) == [
        f"It named the profile {ada.pk}, and no identity that was known."
    ]
    assert sentences(come(kind, "email:ada@example.com", by=by).record) == [
        "It named no identity that was known, but the contact point email: ada@example.com."
    ]
    assert sentences(come(kind, "pos:7", by=by).record) == [
        "Nobody was known by what it named, so a profile was made for it, first of all with pos: 7."
    ]
    assert sentences(come(kind, by=by).record) == ["It named nobody, so it was kept without a profile."]


def test_it_says_what_the_log_has_of_it(ada: Profile, ada_again: Profile, bo: Profile, by: By) -> None:
    add(ada_again, "pos:7", by=by)

    conflict = come(Transaction, "loyalty-card:1", "pos:7", by=by).record
    rerouted = come(Transaction, "loyalty-card:1", named=ada_again.pk, by=by).record
    refused = come(Transaction, "loyalty-card:1", "pos:null", by=by).record

    entries = {entry.outcome: entry.pk for entry in RoutingLogEntry.objects.all()}
    assert sentences(conflict)[1:] == [
        f"What it named belongs to several profiles; the routing log has it as entry {entries['conflict']}."
    ]
    assert sentences(rerouted)[1:] == [
        f"It was addressed to another profile; the routing log has it as entry {entries['rerouted']}.",
        f"The profile that it named by id is {ada_again.pk}.",
    ]
    assert sentences(refused)[1:] == [
        f"Something that it named could not be used; the routing log has it as entry {entries['refused']}."
    ]
    assert explaining.why(conflict).log_entry == RoutingLogEntry.objects.get(outcome="conflict")


def test_it_says_what_people_did_since(ada: Profile, ada_again: Profile, bo: Profile, by: By) -> None:
    add(ada_again, "pos:7", by=by)
    row = come(Transaction, "loyalty-card:1", "pos:7", by=by).record
    entry = RoutingLogEntry.objects.get()

    sending.send(entry.pk, to=ada_again.pk, note="It was she.", by=by)
    moving_records.move_record(Transaction, row.pk, to=None, reason="", by=by)
    told = explaining.why(Transaction.objects.get(pk=row.pk))

    assert told.sentences == [
        f"It named loyalty-card: 1, which the profile {ada.pk} was known by.",
        f"What it named belongs to several profiles; the routing log has it as entry {entry.pk}.",
        f"operator decided in the routing log that it goes from {ada.pk} to {ada_again.pk}: It was she.",
        f"operator moved it from {ada_again.pk} to nobody",
    ]
    assert [(move.from_profile, move.to_profile) for move in told.moves] == [(ada, ada_again), (ada_again, None)]
    assert (told.identity, str(told.pair)) == (ada.identities.get(handle="loyalty-card"), "loyalty-card:1")
    moving_records.move_record(Transaction, row.pk, to=ada_again.pk, reason="Back", by=by)
    assert sentences(row)[-2:] == [
        f"operator moved it from {ada_again.pk} to nobody (taken back since)",
        f"operator moved it from nobody to {ada_again.pk}: Back (taken back since)",
    ]


def test_it_still_says_what_brought_a_record_when_that_is_deleted(ada: Profile, bo: Profile, by: By) -> None:
    row = come(Transaction, "loyalty-card:1", by=by).record
    routing.remove(ada.identities.get(handle="loyalty-card").pk, by=by, source=None)

    told = explaining.why(Transaction.objects.get(pk=row.pk))

    assert (told.identity, str(told.pair)) == (None, "loyalty-card:1")
    assert told.sentences == ["It named loyalty-card: 1, which this profile was known by."]


def test_it_masks_what_a_sensitive_handle_protects_when_the_row_is_gone_too(
    ada: Profile, shopify: Extension, bo: Profile, by: By
) -> None:
    Handle.objects.create(name="passport", sensitive=True)
    passport = routing.add(ada.pk, sent("passport:X1234567890"), by=by, source=None).identity
    row = come(Transaction, "passport:X1234567890", by=by).record

    masked = "It named passport: •••7890, which this profile was known by."
    assert sentences(row) == [masked]
    routing.remove(passport.pk, by=by, source=None)
    assert sentences(row) == [masked]


def test_it_costs_the_same_for_every_record(
    ada: Profile, ada_again: Profile, bo: Profile, by: By, django_assert_max_num_queries
) -> None:
    add(ada_again, "pos:7", by=by)
    row = come(Transaction, "loyalty-card:1", "pos:7", named=ada_again.pk, by=by).record
    for to in (ada_again, ada, ada_again):
        moving_records.move_record(Transaction, row.pk, to=to.pk, reason="", by=by)
    row = Transaction.objects.get(pk=row.pk)

    with django_assert_max_num_queries(4):
        explaining.why(row)


def test_a_sensitive_pair_is_masked_wherever_it_is_told(by: By) -> None:
    record = came(Transaction, "apns:740f4707bebcf74f9b7c25d48e3358945f6aa01d", by=by)

    told = explaining.why(record)

    assert told.pair == ("apns", "•••a01d")
    assert "740f4707" not in " ".join(told.sentences)
