"""Entries whose candidates were merged since, and part again: what came by them goes to whom they stand for today."""

from __future__ import annotations

import pytest

from identities import moving, sending
from identities.models import Handle, Identity, RoutingLogEntry
from profiles import merging
from profiles.auditing import By
from profiles.models import Move, Profile, Transaction
from profiles.refusing import Refused
from tests.cast import add, assert_sound, came, come, known, merge, pairs_of, records_of, undo
from tests.racing import before_each

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(by: By) -> Profile:
    return known("loyalty-card:1", by=by, first_name="Ada")


@pytest.fixture
def again(ada: Profile, by: By) -> Profile:
    return known("pos-customer:55", by=by, first_name="Augusta")


@pytest.fixture
def third(again: Profile, by: By) -> Profile:
    return known("loyalty-card:3", by=by, first_name="Third")


@pytest.fixture
def sale(ada: Profile, again: Profile, by: By) -> Transaction:
    """It named both, and brought a till's number that nobody knew."""
    return came(Transaction, "loyalty-card:1", "pos-customer:55", "pos:7", by=by)


@pytest.fixture
def entry(sale: Transaction) -> RoutingLogEntry:
    return RoutingLogEntry.objects.get(outcome="conflict")


def send(entry: RoutingLogEntry, to: Profile, *, by: By) -> sending.Carried:
    return sending.send(entry.pk, to=to.pk, note="It was she.", by=by)


def code(entry: RoutingLogEntry, to: Profile, *, by: By) -> str:
    with pytest.raises(Refused) as refusal:
        send(entry, to, by=by)
    return refusal.value.code


def test_a_merged_candidate_stands_for_its_survivor(
    entry: RoutingLogEntry, sale: Transaction, ada: Profile, again: Profile, third: Profile, bo: Profile, by: By
) -> None:
    last = known("loyalty-card:4", by=by)
    merge(third, again, by=by)
    merge(last, third, by=by)

    assert sending.candidates(entry) == {ada.pk, last.pk}
    assert code(entry, third, by=by) == "not_a_candidate"
    assert code(entry, again, by=by) == "already_merged", "Its id is literal, as everywhere where something moves to."
    carried = send(entry, last, by=by)

    assert carried.keys["transaction"] == [sale.pk]
    assert (records_of(ada), records_of(last)) == ([], [sale])
    assert "pos:7" in pairs_of(last)
    assert_sound()


def test_the_refusal_of_a_merged_candidate_names_its_survivor(
    entry: RoutingLogEntry, again: Profile, third: Profile, bo: Profile, by: By
) -> None:
    merge(third, again, by=by)

    with pytest.raises(Refused) as refusal:
        send(entry, again, by=by)

    assert refusal.value.details["survivor_id"] == str(third.pk)


def test_where_the_candidates_have_become_one_nothing_is_left_to_send(
    entry: RoutingLogEntry, sale: Transaction, ada: Profile, again: Profile, bo: Profile, by: By
) -> None:
    merge(again, ada, by=by)

    assert sending.candidates(entry) == {again.pk}
    assert sending.preview(entry, again.pk).keys == {"identity": []}


def test_what_was_sent_goes_home_with_the_candidate_and_can_be_sent_back(
    entry: RoutingLogEntry, sale: Transaction, ada: Profile, again: Profile, bo: Profile, by: By
) -> None:
    send(entry, again, by=by)
    (one,) = merge(ada, again, by=by)
    assert records_of(ada) == [sale]

    undo(one, by=by)
    assert (records_of(ada), records_of(again)) == ([], [sale])
    send(entry, ada, by=by)

    assert (records_of(ada), records_of(again)) == ([sale], [])
    assert not Move.objects.filter(undone_at=None).exists(), "The way back takes the way there back."
    assert_sound()


def test_what_was_sent_to_a_survivor_goes_on_to_the_candidate_when_the_merge_is_undone(
    entry: RoutingLogEntry, sale: Transaction, ada: Profile, again: Profile, third: Profile, bo: Profile, by: By
) -> None:
    (one,) = merge(third, again, by=by)
    later = came(Transaction, "pos:7", by=by)
    send(entry, third, by=by)
    assert records_of(third) == [sale, later]

    undo(one, by=by)
    assert records_of(third) == [sale, later], "Somebody has sent it there since, so it stays where it is."
    assert sending.candidates(entry) == {ada.pk, again.pk}
    carried = send(entry, again, by=by)

    assert carried.keys["transaction"] == [sale.pk, later.pk]
    assert (records_of(third), records_of(again)) == ([], [sale, later])
    assert_sound()


def test_what_another_entry_was_decided_for_counts_by_whom_that_stands_for_today(
    entry: RoutingLogEntry, ada: Profile, again: Profile, third: Profile, bo: Profile, by: By
) -> None:
    Handle.objects.filter(name="pos").update(priority=1)
    other = come(Transaction, "pos:7", "loyalty-card:3", by=by)
    assert other.routed.log_entry_id is not None
    sending.send(other.routed.log_entry_id, to=third.pk, note="The third's.", by=by)
    assert other.record.pk not in sending.preview(entry, again.pk).keys["transaction"]

    (one,) = merge(again, third, by=by)
    assert other.record in records_of(again)
    assert other.record.pk in sending.preview(entry, ada.pk).keys["transaction"]
    undo(one, by=by)

    assert other.record.pk not in sending.preview(entry, again.pk).keys["transaction"]


def test_what_somebody_has_split_off_stays_where_it_is(
    entry: RoutingLogEntry, sale: Transaction, ada: Profile, again: Profile, bo: Profile, by: By
) -> None:
    later = came(Transaction, "pos:7", by=by)
    split = merging.split(ada.pk, [Identity.objects.get(handle="pos").pk], reason="Another's till.", by=by)
    assert split.profile is not None

    carried = send(entry, again, by=by)

    assert carried.keys == {"identity": [], "transaction": [sale.pk]}
    assert (pairs_of(split.profile), records_of(split.profile)) == (["pos:7"], [later])


def test_what_was_moved_by_hand_before_a_merge_stays_after_it(
    entry: RoutingLogEntry, sale: Transaction, ada: Profile, again: Profile, third: Profile, bo: Profile, by: By
) -> None:
    till = Identity.objects.get(handle="pos")
    moving.move(till.pk, to=third.pk, reason="By hand.", by=by)
    (one,) = merge(ada, third, by=by)

    assert sending.preview(entry, again.pk).keys["identity"] == []
    undo(one, by=by)

    assert sending.preview(entry, again.pk).keys["identity"] == []


@pytest.mark.django_db(transaction=True)
def test_a_merge_that_is_undone_before_the_lock_takes_the_survivor_out_of_the_candidates(
    entry: RoutingLogEntry, ada: Profile, again: Profile, third: Profile, bo: Profile, by: By
) -> None:
    (one,) = merge(third, again, by=by)
    undone: list[object] = []

    def undo_once() -> None:
        if not undone:
            undone.append(undo(one, by=by))

    with before_each(sending, "hold", undo_once):
        assert code(entry, third, by=by) == "not_a_candidate"

    assert undone
    entry.refresh_from_db()
    assert entry.review_status == "open"


def test_an_identity_of_a_conflict_is_sent_with_what_it_brought_after_the_owner_was_merged(
    entry: RoutingLogEntry, sale: Transaction, ada: Profile, again: Profile, third: Profile, bo: Profile, by: By
) -> None:
    merge(third, ada, by=by)
    add(third, "loyalty-card:9", by=by)
    later = came(Transaction, "pos:7", by=by)
    assert records_of(third) == [sale, later]

    send(entry, again, by=by)

    assert (records_of(third), records_of(again)) == ([], [sale, later])
