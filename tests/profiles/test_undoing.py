"""Undo: what a merge took goes home, with what has come in since."""

from __future__ import annotations

import pytest

from identities import adding, attributing, moving, moving_records, releasing, routing
from identities.attributing import Named
from identities.models import Handle, Identity
from profiles import merging
from profiles.auditing import By
from profiles.merging import Choices
from profiles.models import DuplicatePair, Interaction, Merge, Profile, Record, Transaction
from profiles.refusing import Refused
from tests.cast import (
    add,
    assert_sound,
    came,
    come,
    everything_of,
    known,
    merge,
    pairs_of,
    records_of,
    sent,
    undo,
    update,
    value_of,
)
from tests.lineages import four, result_of
from tests.tables import differences, everything


@pytest.mark.parametrize("steps", ["AB", "ABCD", "AD AB", "CD BC AB", "AB AC AD"])
def test_merge_then_undo_gives_back_every_column_of_every_row(steps: str, by: By, bo: Profile) -> None:
    cast = four(by)
    before = [everything()]
    merges = []
    for step in steps.split():
        merges.append(merge(cast[step[0]], *(cast[one] for one in step[1:]), by=by))
        before.append(everything())

    for made, wanted in zip(reversed(merges), reversed(before[:-1]), strict=True):
        for one in reversed(made):
            undo(one, by=by)
            assert_sound()
        assert differences(wanted, everything()) == []


def test_merges_of_one_survivor_are_undone_in_any_order(by: By, bo: Profile) -> None:
    cast = four(by)
    before = everything()
    merges = merge(cast["A"], cast["B"], cast["C"], cast["D"], by=by)
    only_c = {**result_of(cast["A"])}

    undo(merges[0], by=by)
    undo(merges[2], by=by)
    left = result_of(cast["A"])
    undo(merges[1], by=by)

    assert (only_c["gender"], left["gender"], left["primary"]) == ("of B", "of C", [])
    assert differences(before, everything()) == []


def test_an_inner_merge_is_undone_while_the_outer_one_stands(by: By, bo: Profile) -> None:
    cast = four(by)
    before = everything()
    (inner,) = merge(cast["B"], cast["C"], by=by)
    (outer,) = merge(cast["A"], cast["B"], by=by)

    undo(inner, by=by)

    assert Profile.objects.surviving(cast["B"].pk) == cast["A"]
    assert pairs_of(cast["C"]) == ["email:c@example.com", "loyalty-card:3"]
    assert value_of(cast["A"], "company") == ""
    assert value_of(cast["B"], "company") == ""
    assert_sound()
    merge(cast["A"], cast["C"], by=by)
    undo(outer, by=by)
    assert pairs_of(cast["C"]) == []
    assert pairs_of(cast["B"]) == ["loyalty-card:2"]
    undo(Merge.objects.live().get(), by=by)
    assert differences(before, everything()) == []


def test_the_outer_merge_is_undone_while_the_inner_one_stands(by: By) -> None:
    cast = four(by)
    (inner,) = merge(cast["B"], cast["C"], by=by)
    between = everything()
    (outer,) = merge(cast["A"], cast["B"], by=by)

    undo(outer, by=by)

    assert differences(between, everything()) == []
    assert inner in Merge.objects.live()


def test_what_came_since_goes_home_by_what_brought_it(by: By, bo: Profile) -> None:
    ada, again = known("loyalty-card:1", by=by), known("loyalty-card:2", by=by)
    (one,) = merge(ada, again, by=by)
    hers: Record = came(Transaction, "loyalty-card:2", "pos:22", by=by)
    through_the_new_pair = came(Interaction, "pos:22", by=by)
    addressed = came(Transaction, "pos:23", named=again.pk, by=by)
    survivors = came(Transaction, "loyalty-card:1", by=by)

    done = undo(one, by=by)

    assert records_of(again) == [hers, addressed, through_the_new_pair]
    assert records_of(ada) == [survivors]
    assert pairs_of(again) == ["loyalty-card:2", "pos:22", "pos:23"]
    assert (done.tallies["transaction"].home, done.tallies["transaction"].since) == (2, 2)
    assert_sound()


def test_what_an_identity_brought_before_it_was_moved_away_or_deleted_goes_home(by: By, bo: Profile) -> None:
    ada = known("loyalty-card:1", by=by)
    again = known("loyalty-card:2", "pos:2", by=by)
    (one,) = merge(ada, again, by=by)
    by_moved, by_deleted = came(Transaction, "loyalty-card:2", by=by), came(Transaction, "pos:2", by=by)
    third = known("loyalty-card:3", by=by)
    moving.move(Identity.objects.get(identifier="2", handle="loyalty-card").pk, to=third.pk, reason="", by=by)
    routing.remove(Identity.objects.get(handle="pos").pk, by=by, source=None)
    later = came(Transaction, "loyalty-card:2", by=by)
    (another,) = merge(ada, third, by=by)

    done = undo(one, by=by)

    assert records_of(again) == [by_moved, by_deleted]
    assert pairs_of(again) == [], "The one pair is another's by now, the other is gone."
    assert (done.tallies["identity"].moved, done.tallies["identity"].deleted) == (1, 1)
    assert {row["why"] for row in done.left} == {"moved", "deleted"}
    assert records_of(ada) == [later]
    undo(another, by=by)
    assert records_of(third) == [later]
    assert_sound()


def test_an_identity_goes_home_though_what_brought_it_was_deleted(by: By, bo: Profile) -> None:
    ada, again = known("loyalty-card:1", by=by), known("loyalty-card:2", "pos:2", by=by)
    (one,) = merge(ada, again, by=by)
    came(Transaction, "pos:2", "pos:22", by=by)
    routing.remove(Identity.objects.get(identifier="2", handle="pos").pk, by=by, source=None)

    undo(one, by=by)

    assert pairs_of(again) == ["loyalty-card:2", "pos:22"]
    assert_sound()


def test_what_came_through_deleted_identities_goes_home_through_them(by: By, bo: Profile) -> None:
    ada, again = known("loyalty-card:1", by=by), known("loyalty-card:2", by=by)
    (one,) = merge(ada, again, by=by)
    came(Transaction, "loyalty-card:2", "pos:2", by=by)
    sale = came(Transaction, "pos:2", by=by)
    added = adding.add(again.pk, sent("pos:3"), by=by, source=None).identity
    visit = came(Interaction, "pos:3", by=by)
    for row in (added, Identity.objects.get(identifier="2", handle="pos")):
        routing.remove(row.pk, by=by, source=None)

    undo(one, by=by)

    assert {str(row) for row in records_of(again)} >= {str(sale), str(visit)}
    assert records_of(ada) == []


def test_a_deleted_pair_that_was_moved_or_given_out_anew_sends_nobody_elses_records_home(by: By, bo: Profile) -> None:
    ada, again, third = (known(f"loyalty-card:{number}", by=by) for number in "123")
    (one,) = merge(ada, again, by=by)
    card = Identity.objects.get(identifier="2")
    moving.move(card.pk, to=third.pk, reason="", by=by)
    thirds = came(Transaction, "loyalty-card:2", by=by)
    (another,) = merge(ada, third, by=by)
    routing.remove(card.pk, by=by, source=None)
    anew = add(ada, "loyalty-card:2", by=by)
    adas = came(Transaction, "loyalty-card:2", by=by)
    routing.remove(anew.pk, by=by, source=None)

    undo(one, by=by)
    undo(another, by=by)

    assert records_of(again) == []
    assert records_of(ada) == [adas]
    assert records_of(third) == [thirds]


def test_what_came_before_the_merge_by_a_pair_that_was_the_survivors_then_stays(by: By) -> None:
    ada, again = known("loyalty-card:1", "pos:1", by=by), known("loyalty-card:2", by=by)
    sale = came(Transaction, "pos:1", by=by)
    moving.move(Identity.objects.get(handle="pos").pk, to=again.pk, reason="", by=by)
    (one,) = merge(ada, again, by=by)

    undo(one, by=by)

    assert records_of(ada) == [sale]
    assert pairs_of(again) == ["loyalty-card:2", "pos:1"]


def test_what_nobody_had_before_the_merge_comes_since_when_it_finds_its_profile(by: By, bo: Profile) -> None:
    ada, again = known("loyalty-card:1", by=by), known("loyalty-card:2", by=by)
    gone = known("pos:9", by=by)
    releasing.delete(gone.pk, by=by)
    sale = came(Transaction, by=by, external_id="R1")
    (one,) = merge(ada, again, by=by)
    come(Transaction, "loyalty-card:2", "pos:9", by=by, external_id="R1", upsert=True)

    undo(one, by=by)

    assert records_of(again) == [sale]
    assert pairs_of(again) == ["loyalty-card:2", "pos:9"]
    assert_sound()


def test_what_was_moved_by_hand_stays_and_moved_back_counts_as_not_moved(by: By) -> None:
    ada, third = known("loyalty-card:1", by=by), known("loyalty-card:3", by=by)
    again = known("loyalty-card:2", by=by)
    stays, returns = came(Transaction, "loyalty-card:2", by=by), came(Transaction, "loyalty-card:2", by=by)
    (one,) = merge(ada, again, by=by)
    for row in (stays, returns):
        moving_records.move_record(Transaction, row.pk, to=third.pk, reason="", by=by)
    moving_records.move_record(Transaction, returns.pk, to=ada.pk, reason="", by=by)

    done = undo(one, by=by)

    assert records_of(again) == [returns]
    assert records_of(third) == [stays]
    assert done.tallies["transaction"].moved == 1


def test_what_was_moved_to_somebody_who_was_merged_since_stays_with_them(by: By) -> None:
    ada, third = known("loyalty-card:1", by=by), known("loyalty-card:3", by=by)
    again = known("loyalty-card:2", by=by)
    sale = came(Transaction, "loyalty-card:2", by=by)
    (one,) = merge(ada, again, by=by)
    moving_records.move_record(Transaction, sale.pk, to=third.pk, reason="", by=by)
    (another,) = merge(ada, third, by=by)

    done = undo(one, by=by)

    assert records_of(ada) == [sale]
    assert done.tallies["transaction"].moved == 1
    undo(another, by=by)
    assert records_of(third) == [sale]


def test_an_identity_that_is_moved_to_where_it_came_from_was_merged_from_nowhere(by: By) -> None:
    ada, again, third = (known(f"loyalty-card:{number}", by=by) for number in "123")
    (one,) = merge(ada, again, by=by)
    card = Identity.objects.get(identifier="2")
    moving.move(card.pk, to=third.pk, reason="", by=by)
    undo(one, by=by)

    moving.move(card.pk, to=again.pk, reason="", by=by)

    card.refresh_from_db()
    assert (card.profile, card.merged_from) == (again, None)


def test_a_field_written_since_stays_and_is_reported(by: By) -> None:
    ada = known("loyalty-card:1", by=by)
    again = known("loyalty-card:2", by=by, gender="f", company="hers")
    (one,) = merge(ada, again, by=by)
    update(ada, gender="x", by=by)

    done = undo(one, by=by)

    assert [value_of(ada, name) for name in ("gender", "company")] == ["x", ""]
    assert [(kept.name, kept.profile_id) for kept in done.kept] == [("gender", ada.pk)]
    assert [restored.name for restored in done.restored] == ["company"]


def test_whatever_was_written_since_is_named_also_by_the_duplicates_id(by: By) -> None:
    ada, again = known("loyalty-card:1", by=by, first_name="Ada"), known("loyalty-card:2", by=by, first_name="Bob")
    attributing.put(ada.pk, Named("size", "hat", 1), by=by, source=None)
    attributing.put(again.pk, Named("size", "hat", 2), by=by, source=None)
    (one,) = merge(ada, again, by=by)
    update(again, first_name="Bobby", company="X", attributes={"comms": {"email": True}}, by=by)
    attributing.put(again.pk, Named("size", "hat", 3), by=by, source=None)
    routing.change(Identity.objects.get(identifier="2").pk, is_primary=True, by=by, source=None)

    told = merging.preview_undo(one.pk)
    done = undo(one, by=by)

    names = {"first_name", "company", "attributes.comms", "custom_attributes.size:hat"}
    assert {kept.name for kept in told.kept} == {kept.name for kept in done.kept} == names
    assert [restored.name for restored in done.restored] == ["external_id"]
    assert value_of(ada, "first_name") == "Bobby"
    assert not ada.identities.filter(is_primary=True).exists()
    assert_sound()


def test_a_contact_point_shown_since_falls_back_to_the_former_one(by: By) -> None:
    ada = known("loyalty-card:1", by=by, email="first@example.com")
    update(ada, email="", by=by)
    update(ada, email="ada@example.com", by=by)
    again = known("loyalty-card:2", by=by, email="again@example.com")
    (one,) = merge(ada, again, by=by)
    update(ada, email="again@example.com", by=by)

    done = undo(one, by=by)

    assert value_of(ada, "email") == "ada@example.com"
    assert value_of(again, "email") == "again@example.com"
    assert [(changed.profile, changed.field) for changed in done.contacts_changed] == [(ada, "email")]
    assert_sound()


def test_of_several_contact_points_the_one_that_was_shown_before_is_shown_again(by: By) -> None:
    other = known("loyalty-card:3", by=by, email="oldest@example.com")
    ada = known("loyalty-card:1", by=by, email="ada@example.com")
    moving.move(other.identities.get(handle="email").pk, to=ada.pk, reason="", by=by)
    again = known("loyalty-card:2", by=by, email="again@example.com")
    (one,) = merge(ada, again, by=by)
    update(ada, email="again@example.com", by=by)

    undo(one, by=by)

    assert value_of(ada, "email") == "ada@example.com"


def test_a_duplicate_whose_contact_point_was_deleted_since_shows_none(by: By) -> None:
    ada = known("loyalty-card:1", by=by)
    again = known("loyalty-card:2", by=by, email="again@example.com")
    (one,) = merge(ada, again, by=by)
    update(ada, email="new@example.com", by=by)

    done = undo(one, by=by)

    assert value_of(again, "email") == ""
    assert value_of(ada, "email") == "new@example.com"
    assert [changed.profile for changed in done.contacts_changed] == [again]
    assert_sound()


def test_an_identity_that_made_way_becomes_active_again(by: By) -> None:
    Handle.objects.filter(pk="loyalty-card").update(single_valued=True)
    ada, again = known("loyalty-card:1", by=by), known("loyalty-card:2", by=by)
    before = everything()
    (one,) = merge(ada, again, by=by, choices=Choices(handles={"loyalty-card": again.pk}))

    undo(one, by=by)

    assert differences(before, everything()) == []


def test_what_an_outer_merge_made_inactive_is_active_again_when_it_leaves_by_an_inner_undo(by: By) -> None:
    Handle.objects.filter(pk="loyalty-card").update(single_valued=True)
    first, second, third = known("loyalty-card:1", by=by), known("pos:2", by=by), known("loyalty-card:3", by=by)
    (inner,) = merge(second, third, by=by)
    (outer,) = merge(first, second, by=by, choices=Choices(handles={"loyalty-card": first.pk}))
    assert not Identity.objects.get(identifier="3").is_active

    undo(inner, by=by)

    assert Identity.objects.get(identifier="3").is_active
    undo(outer, by=by)
    assert Identity.objects.get(identifier="1").is_active
    assert_sound()


@pytest.mark.parametrize("first_undone", [0, 1])
def test_identities_that_merges_made_inactive_are_active_again_when_all_are_undone(first_undone: int, by: By) -> None:
    Handle.objects.filter(pk="loyalty-card").update(single_valued=True)
    ada, again, third = (known(f"loyalty-card:{number}", by=by) for number in "123")
    before = everything()
    merges = [
        *merge(ada, again, by=by, choices=Choices(handles={"loyalty-card": again.pk})),
        *merge(ada, third, by=by, choices=Choices(handles={"loyalty-card": third.pk})),
    ]

    undo(merges[first_undone], by=by)
    active = set(Identity.objects.filter(is_active=True).values_list("identifier", flat=True))
    undo(merges[1 - first_undone], by=by)

    assert active == ({"2", "3"})
    assert differences(before, everything()) == []


@pytest.mark.parametrize("first_undone", [0, 1])
def test_the_same_holds_along_a_chain(first_undone: int, by: By) -> None:
    Handle.objects.filter(pk="loyalty-card").update(single_valued=True)
    ada, again, above = (known(f"loyalty-card:{number}", by=by) for number in "123")
    before = everything()
    merges = [
        *merge(ada, again, by=by, choices=Choices(handles={"loyalty-card": again.pk})),
        *merge(above, ada, by=by, choices=Choices(handles={"loyalty-card": above.pk})),
    ]

    for place in (first_undone, 1 - first_undone):
        undo(merges[place], by=by)

    assert differences(before, everything()) == []


def test_an_identity_stays_inactive_where_another_has_its_place_by_now(by: By) -> None:
    Handle.objects.filter(pk="loyalty-card").update(single_valued=True)
    ada, again = known("loyalty-card:1", by=by), known("loyalty-card:2", by=by)
    (one,) = merge(ada, again, by=by, choices=Choices(handles={"loyalty-card": again.pk}))
    routing.change(Identity.objects.get(identifier="2").pk, is_active=False, by=by, source=None)
    add(ada, "loyalty-card:3", by=by)

    done = undo(one, by=by)

    assert [row.identifier for row in done.inactive] == ["1"]
    assert dict(ada.identities.values_list("identifier", "is_active")) == {"1": False, "3": True}


def test_custom_attributes_go_back_where_they_still_hold_the_adopted_value(by: By) -> None:
    ada, again = known("loyalty-card:1", by=by), known("loyalty-card:2", by=by)
    for name in ("hat", "shoe"):
        attributing.put(again.pk, Named("size", name, 1), by=by, source=None)
    (one,) = merge(ada, again, by=by)
    attributing.put(ada.pk, Named("size", "hat", 2), by=by, source=None)
    attributing.put(again.pk, Named("size", "belt", 3), by=by, source=None)

    done = undo(one, by=by)

    assert dict(ada.custom_attributes.values_list("handle", "value")) == {"hat": 2}
    assert dict(again.custom_attributes.values_list("handle", "value")) == {"hat": 1, "shoe": 1, "belt": 3}
    assert [kept.name for kept in done.kept] == ["custom_attributes.size:hat"]


def test_a_custom_attribute_that_was_given_up_for_nothing_comes_back_as_the_same_row(by: By) -> None:
    ada, again = known("loyalty-card:1", by=by), known("loyalty-card:2", by=by)
    attributing.put(ada.pk, Named("size", "hat", 1), by=by, source=None)
    before = everything()
    (one,) = merge(ada, again, by=by, choices=Choices(fields={"custom_attributes.size:hat": again.pk}))
    assert not ada.custom_attributes.exists()

    undo(one, by=by)

    assert differences(before, everything()) == []


def test_the_two_are_known_not_to_be_one_person_afterwards(ada: Profile, ada_again: Profile, by: By) -> None:
    (one,) = merge(ada, ada_again, by=by)

    undo(one, by=by)

    pair = DuplicatePair.objects.get()
    assert {pair.first, pair.second} == {ada, ada_again}
    assert pair.status == DuplicatePair.Status.DISMISSED


def test_undo_twice_and_of_a_deleted_survivor_is_refused(ada: Profile, ada_again: Profile, by: By) -> None:
    (one,) = merge(ada, ada_again, by=by)
    Profile.objects.filter(pk=ada.pk).update(profile_type=Profile.Type.DELETED)
    with pytest.raises(Refused) as refusal:
        undo(one, by=by)
    assert refusal.value.code == "profile_deleted"
    Profile.objects.filter(pk=ada.pk).update(profile_type=Profile.Type.ACTIVE)
    undo(one, by=by)
    after = everything_of(ada)

    with pytest.raises(Refused) as refusal:
        undo(one, by=by)

    assert refusal.value.code == "already_undone"
    assert everything_of(ada) == after


def test_the_preview_of_an_undo_tells_what_it_does(by: By) -> None:
    cast = four(by)
    (one,) = merge(cast["A"], cast["C"], by=by)
    came(Transaction, "loyalty-card:3", by=by)

    told = merging.preview_undo(one.pk)
    done = undo(one, by=by)

    assert (told.tallies, told.restored, told.kept) == (done.tallies, done.restored, done.kept)


def test_what_a_person_has_moved_away_from_a_merge_is_after_another_one_what_it_was(by: By) -> None:
    first, second, third, fourth = (known(f"pos:{number}", by=by) for number in range(4))
    merge(first, second, by=by)
    row = Identity.objects.get(handle="pos", identifier="1")
    moving.move(row.pk, to=third.pk, reason="", by=by)
    before = Identity.objects.get(pk=row.pk).merged_from
    (one,) = merge(fourth, third, by=by)

    undo(one, by=by)

    row.refresh_from_db()
    assert (row.profile, row.merged_from, before) == (third, second, second)
    assert_sound()
