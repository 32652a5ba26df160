"""A into B into C, then back: one hop for whoever asks, no circle, and every undo can be undone."""

from __future__ import annotations

import pytest

from profiles import merging
from profiles.auditing import By
from profiles.models import Merge, Profile, Transaction
from profiles.refusing import Refused
from tests.cast import assert_sound, came, known, merge, pairs_of, records_of, undo
from tests.tables import differences, everything


@pytest.fixture
def three(by: By) -> tuple[Profile, Profile, Profile]:
    one, two, three = (known(f"loyalty-card:{number}", by=by) for number in "123")
    return one, two, three


def test_any_id_of_a_chain_is_one_hop_from_the_survivor(three: tuple[Profile, ...], bo: Profile, by: By) -> None:
    first, second, third = three
    merge(second, third, by=by)
    merge(first, second, by=by)

    assert {Profile.objects.surviving(one.pk) for one in three} == {first}
    sale = came(Transaction, named=third.pk, by=by)
    assert sale.profile == first
    assert_sound()


def test_no_circle_can_be_merged(three: tuple[Profile, ...], by: By) -> None:
    first, second, third = three
    merge(second, third, by=by)
    merge(first, second, by=by)

    for survivor, duplicate in ((third, first), (second, first), (third, second), (first, first)):
        with pytest.raises(Refused) as refusal:
            merge(survivor, duplicate, by=by)
        assert refusal.value.code in ("already_merged", "same_profile")
    assert Merge.objects.count() == 2
    assert_sound()


def test_an_undo_is_undone_by_merging_again(three: tuple[Profile, ...], bo: Profile, by: By) -> None:
    first, second, _third = three
    (one,) = merge(first, second, by=by)
    undo(one, by=by)
    before = everything()

    (again,) = merge(first, second, by=by)
    came(Transaction, "loyalty-card:2", by=by)
    assert pairs_of(first) == ["loyalty-card:1", "loyalty-card:2"]
    merging.undo(again.pk, by=by)

    assert len(records_of(second)) == 1
    Transaction.objects.all().delete()
    assert differences(before, everything()) == []
    assert_sound()


def test_part_of_a_merge_is_taken_back_by_a_split_and_the_undo_leaves_that(
    three: tuple[Profile, ...], bo: Profile, by: By
) -> None:
    first, second, _third = three
    card = second.identities.get()
    sale = came(Transaction, "loyalty-card:2", by=by)
    visit = came(Transaction, "pos:2", "loyalty-card:2", by=by)
    (one,) = merge(first, second, by=by)

    done = merging.split(first.pk, [card.pk], reason="Only the card is somebody else's", by=by)
    undone = undo(one, by=by)

    assert done.profile is not None
    assert pairs_of(done.profile) == ["loyalty-card:2"]
    assert {row.pk for row in records_of(done.profile)} == {sale.pk, visit.pk}
    assert pairs_of(second) == ["pos:2"]
    assert undone.tallies["identity"].moved == 1
    assert_sound()
