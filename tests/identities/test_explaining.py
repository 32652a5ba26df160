"""Why is this record here? In words, and as data."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from identities import adding, explaining, moving_records, routing, sending
from identities.models import Extension, Handle, Identity, RoutingLogEntry
from profiles import merging
from profiles.auditing import By
from profiles.models import Profile, Record, Transaction
from tests.cast import add, came, change, come, every_kind, known, merge, sent, undo, update

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
    passport = adding.add(ada.pk, sent("passport:X1234567890"), by=by, source=None).identity
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

    with django_assert_max_num_queries(6):
        explaining.why(row)


def test_a_sensitive_pair_is_masked_wherever_it_is_told(by: By) -> None:
    record = came(Transaction, "apns:740f4707bebcf74f9b7c25d48e3358945f6aa01d", by=by)

    told = explaining.why(record)

    assert told.pair == ("apns", "•••a01d")
    assert "740f4707" not in " ".join(told.sentences)


# Merges


def test_it_tells_each_merge_that_a_record_passed_through_the_oldest_first(by: By, bo: Profile) -> None:
    a, b, c = (known(f"loyalty-card:{number}", by=by) for number in (1, 2, 3))
    others = [known(f"pos:{number}", by=by) for number in range(3)]
    row = came(Transaction, "loyalty-card:3", by=by)
    survivors = came(Transaction, "loyalty-card:1", by=by)
    (inner,) = merge(b, c, by=by, reason="the same")
    merge(b, *others, by=by)
    (outer,) = merge(a, b, by=by)

    told = explaining.why(Transaction.objects.get(pk=row.pk))

    assert [(one.merge, one.since) for one in told.merges] == [(inner, False), (outer, False)]
    assert told.came_to == c.pk
    assert told.sentences == [
        f"It named loyalty-card: 3, which the profile {c.pk} was known by.",
        f"operator merged {c.pk}, which had it, into {b.pk}: the same",
        f"operator merged {b.pk}, which had it, into {a.pk}",
    ]
    assert explaining.why(survivors).merges == []


def test_moves_and_merges_stand_in_the_order_in_which_they_happened(by: By, bo: Profile) -> None:
    a, b, c = (known(f"loyalty-card:{number}", by=by) for number in (1, 2, 3))
    row = came(Transaction, "loyalty-card:3", by=by)
    merge(b, c, by=by)
    moving_records.move_record(Transaction, row.pk, to=a.pk, reason="", by=by)
    merge(b, a, by=by)

    told = explaining.why(Transaction.objects.get(pk=row.pk))

    assert told.sentences[1:] == [
        f"operator merged {c.pk}, which had it, into {b.pk}",
        f"operator moved it from {b.pk} to {a.pk}",
        f"operator merged {a.pk}, which had it, into {b.pk}",
    ]
    assert told.came_to == c.pk
    assert (len(told.how), len(told.of_merges)) == (1, 2)


def test_a_merge_that_was_undone_is_told_as_taken_back(by: By, bo: Profile) -> None:
    a, b = known("loyalty-card:1", by=by), known("loyalty-card:2", by=by)
    row = came(Transaction, "loyalty-card:2", by=by)
    (one,) = merge(a, b, by=by)
    undo(one, by=by)

    told = explaining.why(Transaction.objects.get(pk=row.pk))

    assert [passed.merge.undone_at is not None for passed in told.merges] == [True]
    assert told.sentences[1:] == [f"operator merged {b.pk}, which had it, into {a.pk} (taken back since)"]


def test_what_came_by_a_merged_profiles_id_and_went_home_says_so(by: By, bo: Profile) -> None:
    a, b, c = (known(f"loyalty-card:{number}", by=by) for number in (1, 2, 3))
    before = came(Transaction, "loyalty-card:2", by=by)
    (inner,) = merge(b, c, by=by)
    (outer,) = merge(a, b, by=by)
    row = came(Transaction, named=c.pk, by=by)
    at_first = explaining.why(Transaction.objects.get(pk=row.pk))
    undo(outer, by=by)
    undo(inner, by=by)
    after = came(Transaction, "loyalty-card:3", by=by)

    told = explaining.why(Transaction.objects.get(pk=row.pk))

    stood_for = f"It named the profile {c.pk}, which stood for {a.pk}, and no identity that was known."
    assert at_first.sentences == [stood_for]
    assert told.record.profile == c
    assert [(one.merge, one.since) for one in told.merges] == [(inner, True), (outer, True)]
    took = "It came while {} was part of {}, and went home when operator undid that"
    assert told.sentences == [stood_for, took.format(b.pk, a.pk), took.format(c.pk, b.pk)]
    # Neither what was there before, nor what came afterwards, nor what somebody moved there.
    assert [one.since for one in explaining.why(Transaction.objects.get(pk=before.pk)).merges] == [False]
    assert explaining.why(after).merges == []


def test_what_went_home_past_an_outer_merge_did_not_pass_through_that(by: By, bo: Profile) -> None:
    a, b, c = (known(f"loyalty-card:{number}", by=by) for number in (1, 2, 3))
    (inner,) = merge(b, c, by=by)
    (outer,) = merge(a, b, by=by)
    row = came(Transaction, "loyalty-card:3", by=by)
    undo(inner, by=by)
    undo(outer, by=by)

    told = explaining.why(Transaction.objects.get(pk=row.pk))

    assert told.record.profile == c
    assert [(one.merge, one.since) for one in told.merges] == [(inner, True)]


def test_what_found_its_profile_after_an_undo_did_not_come_home_by_it(by: By, bo: Profile) -> None:
    a, b = known("loyalty-card:1", by=by), known("loyalty-card:2", by=by)
    row = came(Transaction, external_id="T-1", by=by)
    (one,) = merge(a, b, by=by)
    undo(one, by=by)
    change(row, "loyalty-card:2", by=by)

    assert explaining.why(Transaction.objects.get(pk=row.pk)).merges == []


def test_what_came_to_another_profile_meanwhile_did_not_come_home(by: By, bo: Profile) -> None:
    a, b, c = (known(f"loyalty-card:{number}", by=by) for number in (1, 2, 3))
    (one,) = merge(a, b, by=by)
    moved, taken = came(Transaction, "loyalty-card:3", by=by), came(Transaction, "loyalty-card:3", by=by)
    undo(one, by=by)
    moving_records.move_record(Transaction, moved.pk, to=b.pk, reason="", by=by)
    (another,) = merge(b, c, by=by)

    assert explaining.why(Transaction.objects.get(pk=moved.pk)).merges == []
    told = explaining.why(Transaction.objects.get(pk=taken.pk))
    assert [(passed.merge, passed.since) for passed in told.merges] == [(another, False)]


def test_a_record_that_was_nobodys_at_first_and_one_that_was_split_off_say_so(by: By, bo: Profile) -> None:
    a, b = known("loyalty-card:1", "pos:1", by=by), known("loyalty-card:2", by=by)
    (one,) = merge(a, b, by=by)
    row = came(Transaction, external_id="T-1", by=by)
    change(row, "loyalty-card:2", by=by)

    assert sentences(row) == [
        "It named loyalty-card: 2, which this profile was known by.",
        f"It was nobody's until what it named led to {a.pk}",
    ]
    undo(one, by=by)
    told = explaining.why(Transaction.objects.get(pk=row.pk))
    assert [(passed.merge, passed.since) for passed in told.merges] == [(one, True)]
    assert told.sentences[-1].startswith(f"It came while {b.pk} was part of {a.pk}")
    shared = came(Transaction, "pos:1", by=by)
    split = merging.split(a.pk, [Identity.objects.get(handle="pos").pk], reason="A household", by=by)
    assert split.profile is not None
    assert sentences(shared)[-1] == (
        f"operator split it off from {a.pk} to {split.profile.pk}, with what had brought it: A household"
    )


def test_merges_that_have_nothing_to_do_with_a_record_cost_it_nothing(by: By, bo: Profile) -> None:
    a = known("loyalty-card:1", by=by)
    row, counts = came(Transaction, "loyalty-card:1", by=by), []
    for number in range(3):
        with CaptureQueriesContext(connection) as captured:
            explaining.why(Transaction.objects.get(pk=row.pk))
        counts.append(len(captured))
        other = known(f"pos:{number}", by=by)
        came(Transaction, f"pos:{number}", by=by)
        merge(a, other, by=by)

    assert len(set(counts)) == 1
