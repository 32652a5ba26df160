"""The queue of duplicates: one row per pair for ever, offered until somebody decides or the two are one."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from functools import partial
from importlib import import_module

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from identities import releasing
from identities.models import Handle, RoutingLogEntry
from identities.telling import sentence
from profiles import duplicates, evidence, merging
from profiles.auditing import By
from profiles.duplicates import Found, Group
from profiles.merging.pairs import follow_merge, follow_undo
from profiles.models import Audit, DuplicatePair, Profile, Transaction
from profiles.refusing import Refused
from tests.cast import came, come, route
from tests.racing import at_once, while_it_is_locked

pytestmark = pytest.mark.django_db

SEEN = {"conflict": [1]}


@pytest.fixture
def cleo(db: None) -> Profile:
    return Profile.objects.create(first_name="Cleo", last_name="Lane")


@pytest.fixture
def dora(db: None) -> Profile:
    return Profile.objects.create(first_name="Dora", last_name="Maar")


def note(one: Profile, other: Profile, **seen: object) -> DuplicatePair:
    duplicates.note([Found(one.pk, other.pk, seen or SEEN)])
    return row_of(one, other)


def row_of(one: Profile, other: Profile) -> DuplicatePair:
    first, second = sorted([one.pk, other.pk])
    return DuplicatePair.objects.get(first=first, second=second)


def merge(survivor: Profile, *gone: Profile, by: By) -> list[int]:
    """What merging does to the queue, and as much of the rest as the queue looks at."""
    with transaction.atomic():
        ids = [one.pk for one in gone]
        Profile.objects.filter(pk__in=ids).update(merged_into=survivor)
        return follow_merge(survivor.pk, ids, by=by, at=timezone.now())


def undo(duplicate: Profile, survivor: Profile, *beneath: Profile, by: By) -> list[int]:
    with transaction.atomic():
        Profile.objects.filter(pk=duplicate.pk).update(merged_into=None)
        at = timezone.now()
        return follow_undo(duplicate.pk, [one.pk for one in beneath], survivor.pk, by=by, at=at)


def queue() -> list[set[uuid.UUID]]:
    return [{pair.low_id, pair.high_id} for pair in duplicates.offered()]


def two(one: Profile, other: Profile) -> set[uuid.UUID]:
    return {one.pk, other.pk}


def assert_today(pair: DuplicatePair, one: Profile, other: Profile, status: str) -> None:
    pair.refresh_from_db()
    assert ({pair.low_id, pair.high_id}, pair.status) == (two(one, other), status)


# Noting


def test_two_profiles_that_one_write_names_are_offered(ada: Profile, bo: Profile, by: By) -> None:
    route("pos:7", by=by)
    ada = route("loyalty-card:1", by=by, first_name="Ada").profile

    routed = route("loyalty-card:1", "loyalty-card:bo", by=by)

    (pair,) = duplicates.offered()
    assert ({pair.first_id, pair.second_id}, pair.status) == (two(ada, bo), "open")
    assert pair.evidence == {"conflict": [routed.log_entry_id]}
    assert pair.score == 0.9
    assert duplicates.duplicates_of(ada.pk).get() == pair == duplicates.duplicates_of(bo.pk).get()


def test_a_record_that_names_three_profiles_pairs_each_two(by: By) -> None:
    three = [route(f"pos:{number}", by=by).profile for number in (11, 12, 13)]

    recorded = came(Transaction, "pos:11", "pos:12", "pos:13", by=by)

    assert recorded.log_entry_id is not None
    assert {frozenset(one) for one in queue()} == {
        frozenset(two(one, other)) for one in three for other in three if one != other
    }


def test_of_very_many_profiles_each_is_paired_with_the_one_that_the_data_went_to(by: By) -> None:
    many = [route(f"pos:{number}", by=by).profile for number in range(11, 41)]

    routed = come(Transaction, *(f"pos:{number}" for number in range(11, 41)), by=by).routed

    assert routed.profile == many[0]
    assert len(queue()) == 29
    assert all(many[0].pk in pair for pair in queue())
    assert len(duplicates.group_of(row_of(many[0], many[1])).profile_ids) == 30


def test_evidence_of_another_kind_joins_that_of_the_row_and_the_score_says_so(
    ada: Profile, ada_again: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(evidence.KINDS, "a", evidence.Kind(0.5, "A."))
    monkeypatch.setitem(evidence.KINDS, "b", evidence.Kind(0.5, "B."))

    scores = [note(ada, ada_again, a={}).score, note(ada, ada_again, b={}).score]
    scores += [note(ada_again, ada, conflict=[3]).score, note(ada, ada_again, b={"weight": 0.8}).score]

    # What each leaves in doubt is multiplied; one may say itself how sure it is.
    assert scores == [0.5, 0.75, 0.975, 0.99]
    pair = DuplicatePair.objects.get()
    assert pair.evidence == {"a": {}, "b": {"weight": 0.8}, "conflict": [3]}
    # What nobody knows weighs nothing.
    assert note(ada, ada_again, riddle={}).score == 0.99


def test_the_newest_log_entries_of_a_pair_are_kept(ada: Profile, ada_again: Profile) -> None:
    for entry in (3, 9, 1, 4, 9, 7, 5):
        pair = note(ada, ada_again, conflict=[entry])

    assert pair.evidence == {"conflict": [9, 7, 5, 4, 3]}


def test_one_call_writes_many_pairs_with_the_same_number_of_statements(django_assert_num_queries) -> None:
    profiles = [Profile.objects.create() for _ in range(101)]
    found = [Found(profiles[0].pk, other.pk, SEEN) for other in profiles[1:]]

    with django_assert_num_queries(4):  # a savepoint, the locks, the rows, and the savepoint's end
        made = duplicates.note(found[:1])
    with django_assert_num_queries(4):
        made += duplicates.note(found)

    assert sorted(made) == sorted(DuplicatePair.objects.values_list("pk", flat=True))
    assert len(made) == 100


def test_a_pair_that_is_one_profile_or_gone_is_not_written(ada: Profile, ada_again: Profile, cleo, by: By) -> None:
    merge(ada, ada_again, by=by)

    found = [(ada.pk, ada_again.pk), (ada.pk, uuid.uuid4()), (cleo.pk, cleo.pk)]
    made = duplicates.note([Found(*pair, SEEN) for pair in found])

    assert made == []
    assert not DuplicatePair.objects.exists()


def test_a_new_row_is_literal_and_stands_for_todays_survivors(ada: Profile, ada_again, cleo, dora, by: By) -> None:
    merge(ada_again, ada, by=by)
    merge(cleo, ada_again, by=by)

    pair = note(ada, dora)

    assert {pair.first_id, pair.second_id} == two(ada, dora)
    assert_today(pair, cleo, dora, "open")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rounds", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_there_is_one_row_per_pair_however_many_write_it_at_once(rounds: int) -> None:
    for number in range(rounds):
        profiles = [Profile.objects.create() for _ in range(8)]
        all_of_them = duplicates.each_with_each([one.pk for one in profiles], SEEN)

        def write(backwards: bool, found: list[Found] = all_of_them) -> Callable[[], list[int]]:
            return lambda: duplicates.note(reversed(found) if backwards else found)

        met = at_once(*(write(backwards=bool(writer % 2)) for writer in range(8)))

        assert met.errors == []
        assert sum(len(made) for made in met) == 28
        assert DuplicatePair.objects.count() == 28 * (number + 1)


@pytest.mark.django_db(transaction=True)
def test_a_pair_that_is_noted_while_one_of_it_is_merged_stands_for_the_survivor(by: By) -> None:
    survivor, gone, other = (Profile.objects.create() for _ in range(3))

    with while_it_is_locked(partial(note, gone, other)):
        merging.merge(survivor.pk, [gone.pk], by=by)

    assert_today(row_of(gone, other), survivor, other, "open")


# The queue


def test_the_likeliest_pair_comes_first_and_a_deleted_profile_is_left_out(ada, ada_again, cleo, dora, by: By) -> None:
    note(ada, cleo, riddle={})
    note(ada, ada_again)
    note(ada, dora)

    assert queue() == [two(ada, dora), two(ada, ada_again), two(ada, cleo)]

    releasing.delete(dora.pk, by=by)
    assert queue() == [two(ada, ada_again), two(ada, cleo)]
    releasing.change_type(dora.pk, "active", by=by, source=None)
    assert queue() == [two(ada, dora), two(ada, ada_again), two(ada, cleo)]


def test_of_several_rows_of_the_same_two_the_best_is_offered_with_what_all_of_them_say(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    route("pos:7", by=by)
    route("loyalty-card:bo", "pos:7", by=by)
    entry = RoutingLogEntry.objects.latest("pk")
    DuplicatePair.objects.all().delete()
    note(ada, bo, riddle={})
    best = note(ada_again, bo, conflict=[entry.pk])

    merge(ada, ada_again, by=by)

    (pair,) = duplicates.offered()
    assert pair == best
    assert evidence.told(pair) == [sentence(entry)]


def test_a_purged_profile_takes_its_pairs_along(ada: Profile, ada_again: Profile, cleo: Profile) -> None:
    note(ada, ada_again)
    note(ada, cleo)

    Profile.objects.filter(pk=cleo.pk).delete()

    assert queue() == [two(ada, ada_again)]


def test_three_and_more_that_hang_together_are_one_group(ada, ada_again, bo, cleo, dora, by: By) -> None:
    pair = note(ada, ada_again)
    note(ada_again, cleo)
    note(bo, dora)

    assert duplicates.group_of(pair) == Group(sorted([ada.pk, ada_again.pk, cleo.pk]))

    duplicates.dismiss_two(ada_again.pk, cleo.pk, note="", by=by)
    assert duplicates.group_of(pair) == Group(sorted([ada.pk, ada_again.pk]))


@pytest.mark.parametrize("shape", ["star", "chain"])
def test_a_big_group_is_cut_and_says_so(shape: str, django_assert_max_num_queries) -> None:
    profiles = [Profile.objects.create() for _ in range(120)]
    ends = (
        zip(profiles, profiles[1:], strict=False) if shape == "chain" else ((profiles[0], one) for one in profiles[1:])
    )
    duplicates.note(Found(one.pk, other.pk, SEEN) for one, other in ends)

    with django_assert_max_num_queries(50):
        group = duplicates.group_of(row_of(profiles[0], profiles[1]))

    assert (len(group.profile_ids), group.is_cut) == (50, True)
    assert two(profiles[0], profiles[1]) <= set(group.profile_ids)


def test_a_page_of_a_big_queue_reads_little_of_it(by: By) -> None:
    """What a page costs follows the page: no other node of the plan may go through all rows."""
    profiles = Profile.objects.bulk_create([Profile() for _ in range(600)])
    pairs = [(one, other) for place, one in enumerate(profiles) for other in profiles[place + 1 : place + 41]]
    DuplicatePair.objects.bulk_create(
        DuplicatePair(first=one, second=other, low=one, high=other, score=number % 1000 / 1000)
        for number, (one, other) in enumerate(
            (one, other) if one.pk < other.pk else (other, one) for one, other in pairs
        )
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE profiles_duplicatepair, profiles_profile")

    found = duplicates.offered()[:50].explain(analyze=True, format="json")

    assert '"Sort"' not in found and '"Seq Scan"' not in found and '"Hash' not in found, found


# Decisions


def test_a_dismissal_wins_over_what_comes_later(ada: Profile, ada_again: Profile, by: By) -> None:
    pair = note(ada, ada_again)

    duplicates.dismiss(pair.pk, note="Sisters.", by=by)
    again = note(ada_again, ada, conflict=[2])

    assert queue() == []
    assert (again.pk, again.status, again.note, again.by) == (pair.pk, "dismissed", "Sisters.", by.user)
    assert again.evidence == {"conflict": [2, 1]}
    assert duplicates.is_dismissed(ada_again.pk, ada.pk)


def test_dismissing_again_changes_nothing_and_is_audited_once(ada: Profile, ada_again: Profile, by: By) -> None:
    pair = note(ada, ada_again)

    first = duplicates.dismiss(pair.pk, note="Sisters.", by=by)
    second = duplicates.dismiss(pair.pk, note="Really.", by=by)

    assert (second.note, second.at) == ("Sisters.", first.at)
    (audit,) = Audit.objects.filter(event="dismissed")
    assert (audit.auditable_type, audit.auditable_key, audit.by) == ("duplicate_pair", str(pair.pk), by.user)
    assert (audit.old_values["status"], audit.new_values["status"]) == ("open", "dismissed")


def test_two_that_nobody_thought_one_can_be_dismissed_beforehand(ada: Profile, ada_again: Profile, by: By) -> None:
    pair = duplicates.dismiss_two(ada_again.pk, ada.pk, note="Sisters.", by=by)

    assert (pair.status, pair.evidence, pair.score) == ("dismissed", {}, 0)
    note(ada, ada_again)
    assert queue() == []


def test_a_dismissal_holds_for_all_that_the_two_stand_for(ada, ada_again, cleo, by: By) -> None:
    of_the_merged_one = note(ada_again, cleo)
    merge(ada, ada_again, by=by)

    duplicates.dismiss(of_the_merged_one.pk, note="", by=by)
    note(ada, cleo)

    assert queue() == []
    assert duplicates.is_dismissed(ada_again.pk, cleo.pk)
    undo(ada_again, ada, by=by)
    assert duplicates.is_dismissed(ada.pk, cleo.pk)
    assert duplicates.is_dismissed(ada_again.pk, cleo.pk)
    assert queue() == []


def test_a_dismissal_can_be_taken_back(ada: Profile, ada_again: Profile, cleo: Profile, by: By) -> None:
    pair = note(ada, ada_again)
    duplicates.dismiss(pair.pk, note="Sisters.", by=by)

    duplicates.reopen(pair.pk, by=by)
    duplicates.reopen(pair.pk, by=by)

    assert queue() == [two(ada, ada_again)]
    pair.refresh_from_db()
    assert (pair.by, pair.at, pair.note) == (None, None, "")
    assert not duplicates.is_dismissed(ada.pk, ada_again.pk)
    assert Audit.objects.filter(event="reopened").count() == 1


def test_what_is_one_already_can_be_neither_dismissed_nor_reopened(ada: Profile, ada_again: Profile, by: By) -> None:
    pair = note(ada, ada_again)
    merge(ada, ada_again, by=by)

    for decide in (
        lambda: duplicates.dismiss(pair.pk, note="", by=by),
        lambda: duplicates.dismiss_two(ada.pk, ada_again.pk, note="", by=by),
        lambda: duplicates.reopen(pair.pk, by=by),
    ):
        with pytest.raises(Refused) as refusal:
            decide()
        assert (refusal.value.code, refusal.value.details) == ("already_merged", {"survivor_id": str(ada.pk)})
    assert_today(pair, ada, ada, "merged")


def test_only_two_profiles_that_are_known_can_be_dismissed(ada: Profile, by: By) -> None:
    with pytest.raises(Refused, match="one and the same"):
        duplicates.dismiss_two(ada.pk, ada.pk, note="", by=by)
    with pytest.raises(Profile.DoesNotExist):
        duplicates.dismiss_two(ada.pk, uuid.uuid4(), note="", by=by)
    with pytest.raises(DuplicatePair.DoesNotExist):
        duplicates.dismiss(7, note="", by=by)


@pytest.mark.django_db(transaction=True)
def test_a_pair_that_many_dismiss_at_once_is_dismissed_once(operator: User) -> None:
    by = By(operator)
    one, other = Profile.objects.create(), Profile.objects.create()

    at_once(*[lambda: duplicates.dismiss_two(one.pk, other.pk, note="", by=by)] * 8)

    assert Audit.objects.filter(event="dismissed").count() == 1
    assert DuplicatePair.objects.get().status == "dismissed"


# Merges and undos


def test_a_merge_takes_its_pair_out_and_lets_the_others_follow(ada, ada_again, cleo, dora, by: By) -> None:
    pair, follows, stays = note(ada, ada_again), note(ada_again, cleo), note(cleo, dora)

    merged = merge(ada, ada_again, by=by)

    assert merged == [pair.pk]
    assert_today(pair, ada, ada, "merged")
    assert (pair.by, pair.at is not None) == (by.user, True)
    assert_today(follows, ada, cleo, "open")
    assert_today(stays, cleo, dora, "open")
    assert {pair.first_id, pair.second_id} == two(ada, ada_again)


def test_a_merge_of_many_is_followed_by_one_statement(django_assert_num_queries, by: By) -> None:
    profiles = [Profile.objects.create() for _ in range(12)]
    duplicates.note(duplicates.each_with_each([one.pk for one in profiles], SEEN))
    ids = [one.pk for one in profiles[1:]]

    with django_assert_num_queries(1):
        merged = follow_merge(profiles[0].pk, ids, by=by, at=timezone.now())

    assert len(merged) == 66
    assert queue() == []


def test_an_undone_merge_is_a_dismissal(ada: Profile, ada_again: Profile, cleo: Profile, by: By) -> None:
    pair, other = note(ada, ada_again), note(ada_again, cleo)
    merge(ada, ada_again, by=by)

    parted = undo(ada_again, ada, by=by)

    assert parted == [pair.pk]
    assert_today(pair, ada, ada_again, "dismissed")
    assert_today(other, ada_again, cleo, "open")
    assert duplicates.is_dismissed(ada.pk, ada_again.pk)
    note(ada, ada_again, conflict=[5])
    assert queue() == [two(ada_again, cleo)]


def test_the_undo_of_a_merge_that_nothing_spoke_for_makes_the_dismissed_row(ada, ada_again, by: By) -> None:
    merge(ada, ada_again, by=by)

    (parted,) = undo(ada_again, ada, by=by)

    assert row_of(ada, ada_again).pk == parted
    assert_today(row_of(ada, ada_again), ada, ada_again, "dismissed")


def test_an_inner_merge_of_a_chain_is_undone_under_the_outer_one(ada, ada_again, cleo, dora, by: By) -> None:
    """Ada again was merged into Ada, Ada into Cleo; then Ada again turns out to be somebody else."""
    inner, outer, across = note(ada, ada_again), note(ada, cleo), note(ada_again, cleo)
    outside, of_the_rest = note(ada_again, dora), note(ada, dora)
    merge(ada, ada_again, by=by)
    merge(cleo, ada, by=by)
    assert queue() == [two(cleo, dora)]

    parted = undo(ada_again, ada, by=by)

    assert sorted(parted) == sorted([inner.pk, across.pk])
    assert_today(inner, cleo, ada_again, "dismissed")
    assert_today(across, cleo, ada_again, "dismissed")
    assert_today(outer, cleo, cleo, "merged")
    assert_today(outside, ada_again, dora, "open")
    assert_today(of_the_rest, cleo, dora, "open")


def test_an_outer_merge_is_undone_with_all_that_is_beneath(ada, ada_again, cleo, dora, by: By) -> None:
    inner, across, outside = note(ada, ada_again), note(ada_again, cleo), note(ada_again, dora)
    merge(ada, ada_again, by=by)
    merge(cleo, ada, by=by)

    parted = undo(ada, cleo, ada_again, by=by)

    assert_today(inner, ada, ada, "merged")
    assert_today(across, ada, cleo, "dismissed")
    assert_today(outside, ada, dora, "open")
    assert sorted(parted) == sorted([across.pk, row_of(ada, cleo).pk])


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_rows_follow_whatever_the_order_of_the_keys(order: tuple[int, ...], by: By) -> None:
    """Two profiles become parts of a third one after the other, and the inner merge is undone; a fourth looks on."""
    profiles = sorted((Profile.objects.create() for _ in range(4)), key=lambda profile: profile.pk)
    inner, middle, outer, other = (profiles[place] for place in order)
    duplicates.note(duplicates.each_with_each([one.pk for one in profiles], SEEN))

    def assert_followed(*parted: set[uuid.UUID]) -> None:
        root = {one.pk: Profile.objects.surviving(one.pk).pk for one in profiles}
        for pair in DuplicatePair.objects.all():
            today = sorted([root[pair.first_id], root[pair.second_id]])
            is_one, is_parted = today[0] == today[1], {pair.first_id, pair.second_id} in parted
            status = "merged" if is_one else "dismissed" if is_parted else "open"
            assert ([pair.low_id, pair.high_id], pair.status) == (today, status)

    merge(middle, inner, by=by)
    assert_followed()
    merge(outer, middle, by=by)
    assert_followed()
    undo(inner, middle, by=by)
    assert_followed(two(inner, middle), two(inner, outer))
    undo(middle, outer, by=by)
    assert_followed(two(inner, middle), two(inner, outer), two(middle, outer))


def test_merging_what_was_dismissed_is_a_decision_too(ada: Profile, ada_again: Profile, by: By) -> None:
    pair = duplicates.dismiss_two(ada.pk, ada_again.pk, note="Sisters.", by=by)

    merge(ada, ada_again, by=by)
    assert_today(pair, ada, ada, "merged")

    undo(ada_again, ada, by=by)
    assert_today(pair, ada, ada_again, "dismissed")


def test_the_database_keeps_what_is_one_out_of_the_queue(ada: Profile, ada_again: Profile) -> None:
    pair = note(ada, ada_again)

    for wrong in ({"status": "merged"}, {"low": pair.high_id}):
        with pytest.raises(IntegrityError), transaction.atomic():
            DuplicatePair.objects.filter(pk=pair.pk).update(**wrong)


# In words


def test_evidence_is_told_in_sentences_and_sensitive_identifiers_are_masked(by: By, bo: Profile) -> None:
    Handle.objects.filter(pk="pos").update(sensitive=True)
    route("pos:1234567890", by=by, first_name="Ada")
    route("pos:1234567890", "loyalty-card:bo", by=by)

    (pair,) = duplicates.offered()

    assert evidence.told(pair) == [
        "Staff (operator) sent data that names two profiles; it went to Bo Diddley, and Till •••7890 stayed with Ada."
    ]
    RoutingLogEntry.objects.all().delete()
    assert evidence.told(pair) == ["Data came in that names both of them."]


def test_a_page_of_pairs_is_told_with_the_same_number_of_queries(by: By, django_assert_num_queries) -> None:
    for number in range(11, 17):
        route(f"pos:{number}", by=by)
        route(f"loyalty-card:{number}", by=by)
        route(f"pos:{number}", f"loyalty-card:{number}", by=by)
    pairs = list(duplicates.offered())
    assert len(pairs) == 6

    with django_assert_num_queries(5):
        evidence.tell(pairs[:1])
    with django_assert_num_queries(5):
        told = evidence.tell(pairs)

    assert all(len(sentences) == 1 for sentences in told.values())


# What the log had before there was a queue


def test_conflicts_that_the_log_has_already_enter_the_queue(by: By) -> None:
    three = [route(f"pos:{number}", by=by).profile for number in (11, 12, 13)]
    for named in [(11, 12), (11, 12, 13)]:
        route(*(f"pos:{number}" for number in named), by=by)
    entries = list(RoutingLogEntry.objects.order_by("-pk").values_list("pk", flat=True))
    others = [route(f"pos:{number}", by=by).profile for number in (18, 19)]
    route("pos:18", "pos:19", by=by)
    RoutingLogEntry.objects.exclude(pk__in=entries).update(
        review_status="dismissed", review_note="Sisters.", reviewed_by=by.user, reviewed_at=timezone.now()
    )
    by_hand = {(pair.first_id, pair.second_id): pair.evidence for pair in DuplicatePair.objects.all()}
    DuplicatePair.objects.all().delete()

    with connection.schema_editor() as editor:
        import_module("identities.migrations.0017_conflicts_in_queue").queue(None, editor)

    pairs = DuplicatePair.objects.all()
    assert {(pair.first_id, pair.second_id): pair.evidence for pair in pairs} == by_hand
    assert {(pair.low_id, pair.high_id) for pair in pairs} == set(by_hand)
    assert row_of(three[0], three[1]).evidence == {"conflict": entries}
    dismissed = row_of(*others)
    assert (dismissed.status, dismissed.note, dismissed.by) == ("dismissed", "Sisters.", by.user)
    assert {pair.status for pair in pairs if pair != dismissed} == {"open"}
    assert {pair.score for pair in pairs} == {0.9}
