"""Profiles that one write names together become one by themselves, where its handles are trusted so far."""

from __future__ import annotations

from typing import Any

import pytest

from identities import batching, cataloguing, moving, routing, sending
from identities.models import Extension, Handle, Identity, RoutingLogEntry
from identities.recording import Recorded
from profiles import duplicates, merging
from profiles.auditing import By
from profiles.models import Audit, DuplicatePair, Merge, Profile, Record, Transaction
from profiles.refusing import Refused
from profiles.tasks import read
from tests.cast import (
    add,
    assert_sound,
    change,
    come,
    every_kind,
    everything_of,
    known,
    merge,
    pairs_of,
    records_of,
    route,
    sent,
    undo,
    update,
    value_of,
)
from tests.racing import at_once, meanwhile, meeting, two_writers, while_it_is_locked

pytestmark = pytest.mark.django_db


def trust(*names: str) -> None:
    Handle.objects.filter(name__in=names).update(auto_merge=True)


@pytest.fixture(autouse=True)
def trusted(db: None) -> None:
    """The till's customer numbers and the staff's numbers name one person each, for sure."""
    trust("pos-customer", "staff-number")


@pytest.fixture
def ada(by: By) -> Profile:
    return known("pos-customer:1", by=by, first_name="Ada")


@pytest.fixture
def again(ada: Profile, by: By) -> Profile:
    return known("staff-number:2", by=by, first_name="Augusta", gender="f", email="ada@example.com")


BOTH = ("pos-customer:1", "staff-number:2")


def the_entry() -> RoutingLogEntry:
    return RoutingLogEntry.objects.get(outcome="conflict")


def assert_nothing_merged() -> None:
    assert not Merge.objects.exists()
    assert not Profile.objects.exclude(merged_into=None).exists()
    assert not RoutingLogEntry.objects.exclude(review_status="open").exists()
    assert_sound()


# What happens


@every_kind
def test_a_record_that_names_two_makes_them_one_and_lands_there(
    kind: type[Record], ada: Profile, again: Profile, bo: Profile, by: By
) -> None:
    recorded = come(kind, *BOTH, "pos:7", by=by)

    one = Merge.objects.get()
    assert (one.survivor, one.duplicate, one.cause, one.by) == (ada, again, Merge.Cause.AUTOMATIC, by.user)
    assert one.reason.endswith("by handles that merge by themselves: pos-customer, staff-number.")
    assert (recorded.routed.outcome, recorded.routed.profile, recorded.record.profile) == ("conflict", ada, ada)
    assert recorded.routed.log_entry_id == the_entry().pk
    assert records_of(ada) == [recorded.record]
    assert pairs_of(ada) == ["email:ada@example.com", "pos-customer:1", "pos:7", "staff-number:2"]
    assert (value_of(ada, "first_name"), value_of(ada, "gender")) == ("Ada", "f")
    assert (the_entry().review_status, the_entry().review_note, the_entry().reviewed_by) == (
        "reviewed",
        "merged",
        by.user,
    )
    assert DuplicatePair.objects.get().status == "merged"
    assert list(Audit.objects.filter(event="merged").values_list("by", "profile")) == [(by.user.pk, ada.pk)]
    assert_sound()


def test_a_profile_that_names_two_makes_them_one_and_the_answer_is_the_survivor(
    ada: Profile, again: Profile, bo: Profile, by: By
) -> None:
    routed = route(*BOTH, "pos:7", by=by, company="Analytical", gender="x")

    assert (routed.outcome, routed.profile, routed.log_entry_id) == ("conflict", ada, the_entry().pk)
    assert (routed.profile.company, routed.profile.gender) == ("Analytical", "x"), "It was filled before they merged."
    assert Profile.objects.surviving(again.pk) == ada
    assert pairs_of(ada) == ["email:ada@example.com", "pos-customer:1", "pos:7", "staff-number:2"]
    assert the_entry().review_status == "reviewed"


def test_the_survivor_is_the_profile_to_which_the_write_went(
    ada: Profile, again: Profile, bo: Profile, by: By
) -> None:
    Handle.objects.filter(name="staff-number").update(priority=5)

    recorded = come(Transaction, *BOTH, by=by)

    assert recorded.routed.profile == again
    assert Profile.objects.surviving(ada.pk) == again
    assert records_of(again) == [recorded.record]


def test_all_that_one_write_names_become_one(ada: Profile, again: Profile, bo: Profile, by: By) -> None:
    third = known("pos-customer:3", by=by)

    come(Transaction, *BOTH, "pos-customer:3", by=by)

    assert {one.duplicate for one in Merge.objects.all()} == {again, third}
    assert (the_entry().review_status, the_entry().review_note) == ("reviewed", "merged")
    assert set(DuplicatePair.objects.values_list("status", flat=True)) == {"merged"}


def test_a_record_on_file_that_comes_again_with_another_pair_merges_too(
    ada: Profile, again: Profile, bo: Profile, by: By
) -> None:
    record = come(Transaction, "pos-customer:1", by=by).record

    changed = change(record, *BOTH, by=by)

    assert (changed.routed.outcome, changed.routed.profile) == ("conflict", ada)
    assert Profile.objects.surviving(again.pk) == ada


def test_what_the_write_has_attached_stays_with_the_survivor_when_that_is_undone(
    ada: Profile, again: Profile, bo: Profile, by: By
) -> None:
    record = come(Transaction, *BOTH, "pos:7", by=by).record

    undo(Merge.objects.get(), by=by)

    assert (pairs_of(ada), records_of(ada)) == (["pos-customer:1", "pos:7"], [record])
    assert (pairs_of(again), value_of(again, "email")) == (
        ["email:ada@example.com", "staff-number:2"],
        "ada@example.com",
    )
    assert (the_entry().review_status, the_entry().review_note) == ("reviewed", "merged, undone")
    assert_sound()


def test_an_undone_merge_never_happens_by_itself_again(ada: Profile, again: Profile, bo: Profile, by: By) -> None:
    come(Transaction, *BOTH, by=by)
    undo(Merge.objects.get(), by=by)

    for _time in range(2):
        recorded = come(Transaction, *BOTH, by=by)

    assert (recorded.routed.outcome, recorded.record.profile) == ("conflict", ada)
    assert Merge.objects.live().count() == 0
    entry = RoutingLogEntry.objects.get(review_status="open")
    assert (entry.occurrences, entry.pk) == (2, recorded.routed.log_entry_id)
    # Not by way of a third either.
    third = known("pos-customer:3", by=by)
    come(Transaction, *BOTH, "pos-customer:3", by=by)
    assert Profile.objects.surviving(third.pk) == third
    # A person still may.
    merge(ada, again, by=by)
    assert Profile.objects.surviving(again.pk) == ada


# What does not


def test_it_is_off_until_staff_say_otherwise(ada: Profile, again: Profile, bo: Profile, by: By) -> None:
    Handle.objects.update(auto_merge=False)
    assert not Handle._meta.get_field("auto_merge").default

    recorded = come(Transaction, *BOTH, by=by)

    assert recorded.routed.outcome == "conflict"
    assert_nothing_merged()


def test_every_handle_that_names_one_of_them_must_say_so(ada: Profile, again: Profile, bo: Profile, by: By) -> None:
    add(ada, "loyalty-card:1", by=by)

    come(Transaction, *BOTH, "loyalty-card:1", by=by)
    come(Transaction, "staff-number:2", "loyalty-card:1", by=by)
    route("staff-number:2", "loyalty-card:1", by=by)
    assert_nothing_merged()
    trust("loyalty-card")
    come(Transaction, "staff-number:2", "loyalty-card:1", by=by)

    assert Profile.objects.surviving(ada.pk) == again


def test_a_new_pair_needs_no_trust_since_it_names_nobody(ada: Profile, again: Profile, bo: Profile, by: By) -> None:
    come(Transaction, *BOTH, "loyalty-card:1", "brand-new:9", by=by)

    assert Profile.objects.surviving(again.pk) == ada


def test_contact_points_alone_never_merge(ada: Profile, again: Profile, bo: Profile, by: By) -> None:
    update(ada, mobile_phone="0404 123 123", by=by)

    come(Transaction, "email:ada@example.com", "mobile_phone:0404 123 123", by=by)
    come(Transaction, "pos-customer:1", "email:ada@example.com", by=by)

    assert {entry.outcome for entry in RoutingLogEntry.objects.all()} == {"conflict"}
    assert_nothing_merged()


def test_a_contact_point_that_names_yet_another_is_a_doubt(ada: Profile, again: Profile, bo: Profile, by: By) -> None:
    come(Transaction, *BOTH, "email:bo@example.com", by=by)
    assert_nothing_merged()

    # One that names one of them says no more than the other pairs do.
    come(Transaction, *BOTH, "email:ada@example.com", by=by)

    assert Profile.objects.surviving(again.pk) == ada


def test_an_id_that_names_yet_another_is_a_doubt(ada: Profile, again: Profile, bo: Profile, by: By) -> None:
    come(Transaction, *BOTH, named=bo.pk, by=by)
    assert_nothing_merged()

    come(Transaction, *BOTH, named=again.pk, by=by)

    assert Profile.objects.surviving(again.pk) == ada


def test_a_pair_that_came_by_a_contact_point_alone_merges_nobody(
    ada: Profile, again: Profile, bo: Profile, by: By
) -> None:
    """Whoever knows an address could else make its owner's profile part of one of theirs."""
    come(Transaction, "email:ada@example.com", "pos-customer:55", by=by)
    assert Identity.objects.get(identifier="55").by_contact

    come(Transaction, "pos-customer:1", "pos-customer:55", by=by)
    route("pos-customer:1", "pos-customer:55", by=by)
    assert_nothing_merged()

    add(again, "pos-customer:55", by=by)
    come(Transaction, "pos-customer:1", "pos-customer:55", by=by)
    assert Profile.objects.surviving(again.pk) == ada, "Staff have confirmed it."


def test_a_pair_that_is_switched_off_merges_nobody(ada: Profile, again: Profile, bo: Profile, by: By) -> None:
    routing.change(Identity.objects.get(handle="staff-number").pk, is_active=False, by=by, source=None)

    come(Transaction, *BOTH, by=by)

    assert_nothing_merged()


@pytest.mark.parametrize("side", ["ada", "again"])
def test_a_locked_profile_never_merges_by_itself(side: str, ada: Profile, again: Profile, bo: Profile, by: By) -> None:
    locked = {"ada": ada, "again": again}[side]
    Profile.objects.filter(pk=locked.pk).update(locked=True)

    come(Transaction, *BOTH, by=by)
    route(*BOTH, by=by)

    assert_nothing_merged()


def test_two_of_whom_staff_have_said_that_they_are_two_never_merge_by_themselves(
    ada: Profile, again: Profile, bo: Profile, by: By
) -> None:
    duplicates.dismiss_two(ada.pk, again.pk, note="Mother and daughter.", by=by)
    third = known("pos-customer:3", by=by)

    come(Transaction, *BOTH, by=by)
    come(Transaction, *BOTH, "pos-customer:3", by=by)

    assert_nothing_merged()
    # What was said of two is said of those that they become.
    merge(third, again, by=by)
    come(Transaction, "pos-customer:1", "pos-customer:3", by=by)
    assert Profile.objects.surviving(ada.pk) == ada


def test_a_conflict_of_a_single_valued_handle_stays_a_persons_affair(
    ada: Profile, again: Profile, bo: Profile, by: By
) -> None:
    Handle.objects.filter(name="loyalty-card").update(single_valued=True)
    for profile, card in ((ada, "loyalty-card:1"), (again, "loyalty-card:2")):
        add(profile, card, by=by)

    recorded = come(Transaction, *BOTH, "pos:7", by=by)

    assert (recorded.routed.outcome, recorded.record.profile) == ("conflict", ada)
    assert "pos:7" in pairs_of(ada), "The write stands, whatever becomes of the merge."
    assert_nothing_merged()


def test_more_than_a_hundred_at_once_stay_a_persons_affair(ada: Profile, bo: Profile, by: By) -> None:
    others = [f"staff-number:{number}" for number in range(2, 103)]
    for pair in others:
        known(pair, by=by)

    come(Transaction, "pos-customer:1", *others, by=by)
    assert_nothing_merged()
    come(Transaction, "pos-customer:1", *others[:100], by=by)

    assert Merge.objects.count() == 100


def test_a_pair_that_somebody_has_moved_away_does_not_bring_the_two_together(
    ada: Profile, again: Profile, bo: Profile, by: By
) -> None:
    card = add(ada, "pos-customer:9", by=by)
    moving.move(card.pk, to=again.pk, reason="It is hers.", by=by)

    come(Transaction, "pos-customer:1", "pos-customer:9", by=by)
    assert_nothing_merged()

    moving.move(card.pk, to=ada.pk, reason="It was right.", by=by)
    come(Transaction, "staff-number:2", "pos-customer:9", by=by)
    assert Merge.objects.count() == 1, "A move that was taken back says nothing."


def test_what_somebody_has_split_off_does_not_come_back_by_itself(ada: Profile, bo: Profile, by: By) -> None:
    card = add(ada, "pos-customer:9", by=by)
    merging.split(ada.pk, [card.pk], reason="Two people.", by=by)

    come(Transaction, "pos-customer:1", "pos-customer:9", by=by)

    assert_nothing_merged()


def test_what_was_sent_to_the_other_does_not_bring_the_two_together(
    ada: Profile, again: Profile, bo: Profile, by: By
) -> None:
    Handle.objects.update(auto_merge=False)
    come(Transaction, *BOTH, "pos-customer:9", by=by)
    sending.send(the_entry().pk, to=again.pk, note="It is hers.", by=by)
    trust("pos-customer", "staff-number")

    come(Transaction, "pos-customer:1", "pos-customer:9", by=by)

    assert not Merge.objects.exists()


def test_a_move_between_others_says_nothing_of_these(ada: Profile, again: Profile, bo: Profile, by: By) -> None:
    third = known("loyalty-card:3", by=by)
    card = add(third, "pos-customer:9", by=by)
    moving.move(card.pk, to=again.pk, reason="It is hers.", by=by)

    come(Transaction, "pos-customer:1", "pos-customer:9", by=by)

    assert Profile.objects.surviving(again.pk) == ada


def test_a_record_on_file_that_is_elsewhere_brings_nobody_together(
    ada: Profile, again: Profile, bo: Profile, by: By
) -> None:
    third = known("loyalty-card:3", by=by)
    record = come(Transaction, "loyalty-card:3", by=by).record

    change(record, *BOTH, by=by)

    assert records_of(third) == [record]
    assert_nothing_merged()


def test_what_is_taken_or_meant_for_another_is_no_conflict_of_pairs(
    ada: Profile, again: Profile, bo: Profile, by: By
) -> None:
    with pytest.raises(Refused) as refusal:
        add(ada, "staff-number:2", by=by)
    rerouted = come(Transaction, "pos-customer:1", named=again.pk, by=by)

    assert (refusal.value.code, rerouted.routed.outcome) == ("identity_taken", "rerouted")
    assert_nothing_merged()


def test_a_row_of_a_batch_that_names_another_profiles_pair_stays_an_error(
    ada: Profile, again: Profile, bo: Profile, by: By
) -> None:
    pairs = [{"handle": handle, "identifier": number} for handle, number in (pair.split(":") for pair in BOTH)]
    batch = batching.queue("pos-customer", [{"identities": pairs}], by=by, source=None)

    batching.bring_in(batch.pk, read=read, stop=lambda: False, give_up=True)

    row = batch.rows.get()
    assert (row.result, row.code, row.profile_id) == ("error", "identity_taken", again.pk)
    assert_nothing_merged()


# Races


def one_of(met: Any) -> Recorded[Any]:
    answer: Recorded[Any] = met[0]
    return answer


@pytest.mark.django_db(transaction=True)
@two_writers
def test_eight_writers_that_name_the_same_two_merge_them_once(rounds: int, bo: Profile, by: By) -> None:
    for round_ in range(rounds):
        pairs = (f"pos-customer:a{round_}", f"staff-number:b{round_}")
        ada, again = (known(pair, by=by) for pair in pairs)
        writes = [
            lambda pairs=pairs, number=number: come(Transaction, *pairs[:: 1 if number % 2 else -1], by=by)
            for number in range(8)
        ]

        with meeting(8):
            met = at_once(*writes)

        assert {answer.record.profile_id for answer in met} == {ada.pk}
        assert sorted(answer.routed.outcome for answer in met) == ["conflict", *["matched"] * 7]
        merged = Merge.objects.get(survivor=ada)
        assert (merged.duplicate, merged.undone_at) == (again, None)
        assert len(records_of(ada)) == 8
        assert pairs_of(ada) == sorted(pairs)
        entry = RoutingLogEntry.objects.get(pk=merged.closed[0])
        assert (entry.review_status, entry.occurrences) == ("reviewed", 1)
    assert_sound()


@pytest.mark.django_db(transaction=True)
@two_writers
def test_eight_writers_that_name_other_twos_of_three_end_in_one(rounds: int, bo: Profile, by: By) -> None:
    for round_ in range(rounds):
        pairs = [f"pos-customer:{letter}{round_}" for letter in "abc"]
        cast = [known(pair, by=by) for pair in pairs]
        twos = [(pairs[0], pairs[1]), (pairs[2], pairs[1]), (pairs[2], pairs[0]), (pairs[1], pairs[0])]
        writes = [
            *(lambda two=two: come(Transaction, *two, by=by) for two in twos),
            *(lambda two=two: route(*two, by=by) for two in twos),
        ]

        with meeting(8):
            at_once(*writes)

        (survivor,) = set(Profile.objects.survivors([one.pk for one in cast]).values())
        (profile,) = (one for one in cast if one.pk == survivor)
        assert len(records_of(profile)) == 4
        assert pairs_of(profile) == pairs
    assert Merge.objects.filter(undone_at=None).count() == 2 * rounds
    assert not RoutingLogEntry.objects.exclude(review_status="reviewed").exists()
    assert_sound()


@pytest.mark.django_db(transaction=True)
def test_trust_that_is_taken_back_before_the_lock_merges_nobody(
    ada: Profile, again: Profile, bo: Profile, by: By
) -> None:
    handle = Handle.objects.get(name="staff-number")

    with meanwhile(lambda: cataloguing.change(handle, {"auto_merge": False}, by=by)):
        recorded = come(Transaction, *BOTH, by=by)

    assert recorded.routed.outcome == "conflict"
    assert_nothing_merged()


@pytest.mark.django_db(transaction=True)
def test_a_dismissal_that_comes_first_is_heeded_and_one_that_comes_second_finds_them_merged(
    ada: Profile, again: Profile, bo: Profile, by: By
) -> None:
    def dismiss() -> DuplicatePair:
        return duplicates.dismiss_two(ada.pk, again.pk, note="Two.", by=by)

    with while_it_is_locked(dismiss) as late:
        come(Transaction, *BOTH, by=by)
    assert late.codes == {"already_merged": 1}
    undo(Merge.objects.get(), by=by)
    DuplicatePair.objects.all().delete()

    with meanwhile(dismiss):
        come(Transaction, *BOTH, by=by)
    assert not Merge.objects.live().exists()


@pytest.mark.django_db(transaction=True)
def test_a_merge_by_hand_and_one_by_itself_that_meet_in_opposite_directions_are_one(
    ada: Profile, again: Profile, bo: Profile, by: By
) -> None:
    with meeting(2, patience=1):
        met = at_once(
            lambda: come(Transaction, *BOTH, by=by), lambda: merging.merge(again.pk, [ada.pk], by=by).survivor
        )

    assert met.codes in ({"": 2}, {"": 1, "already_merged": 1})
    assert Merge.objects.live().count() == 1
    (survivor,) = Profile.objects.filter(pk__in=[ada.pk, again.pk], merged_into=None)
    assert records_of(survivor) == [Transaction.objects.get()]
    assert_sound()


def test_an_extensions_write_merges_in_its_name(ada: Profile, again: Profile, bo: Profile, shopify: Extension) -> None:
    routing.route(
        [sent(pair) for pair in BOTH],
        fields={},
        contact={},
        by=By(shopify.service_account),
        source=shopify,
    )

    assert Merge.objects.get().by == shopify.service_account
    assert everything_of(ada)["columns"]["merged_into_id"] is None
