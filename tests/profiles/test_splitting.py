"""Split: chosen identities leave a profile, with what they brought."""

from __future__ import annotations

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from identities import attributing, moving, releasing, sending
from identities.attributing import Named
from identities.handles import Sent
from identities.models import EMAIL, Handle, Identity, RoutingLogEntry
from profiles import merging
from profiles.auditing import By
from profiles.models import Audit, Interaction, Move, Profile, Record, Transaction
from profiles.refusing import Refused
from tests.cast import (
    add,
    assert_sound,
    came,
    everything_of,
    known,
    merge,
    pairs_of,
    records_of,
    route,
    undo,
    value_of,
)
from tests.tables import differences, everything


def row_of(pair: str) -> Identity:
    handle, identifier = pair.split(":")
    return Identity.objects.get(handle=handle, identifier=identifier)


def split(profile: Profile, *pairs: str, by: By, to: Profile | None = None, reason: str = "") -> merging.Split:
    keys = [row_of(pair).pk for pair in pairs]
    return merging.split(profile.pk, keys, to=to.pk if to else None, reason=reason, by=by)


def code(profile: Profile, *keys: int, to: Profile | None = None, by: By) -> str:
    """The code by which a split is refused, which its preview is refused by, too."""
    with pytest.raises(Refused) as of_preview:
        merging.preview_split(profile.pk, keys, to=to.pk if to else None)
    with pytest.raises(Refused) as refusal:
        merging.split(profile.pk, keys, to=to.pk if to else None, by=by)
    assert refusal.value.code == of_preview.value.code
    return refusal.value.code


def test_the_founder_leaves_like_any_other(by: By, bo: Profile) -> None:
    """Elsewhere this reports success, does nothing, and blanks the profile."""
    ada = known("loyalty-card:1", by=by, first_name="Ada", email="ada@example.com")
    add(ada, "pos:1", by=by)
    hers, his = came(Transaction, "loyalty-card:1", by=by), came(Transaction, "pos:1", by=by)

    done = split(ada, "loyalty-card:1", by=by, reason="A household")

    assert done.profile is not None
    assert done.profile.pk != ada.pk
    assert (pairs_of(done.profile), pairs_of(ada)) == (["loyalty-card:1"], ["email:ada@example.com", "pos:1"])
    assert (records_of(done.profile), records_of(ada)) == ([hers], [his])
    assert (value_of(ada, "first_name"), value_of(ada, "email")) == ("Ada", "ada@example.com")
    assert route("loyalty-card:1", by=by).profile == done.profile
    assert_sound()


def test_records_go_along_and_are_noted_as_moves(by: By, bo: Profile) -> None:
    ada = known("loyalty-card:1", "pos:1", by=by)
    sale: Record = came(Transaction, "pos:1", by=by)
    visit: Record = came(Interaction, "pos:1", by=by)
    by_card, addressed = came(Transaction, "loyalty-card:1", by=by), came(Transaction, named=ada.pk, by=by)

    done = split(ada, "pos:1", by=by, reason="Somebody else's till account")

    assert done.profile is not None
    assert done.records == {"transaction": 1, "interaction": 1}
    assert list(map(str, records_of(done.profile))) == [str(sale), str(visit)]
    assert records_of(ada) == [by_card, addressed]
    moves = Move.objects.order_by("subject_type")
    assert [(move.subject_type, move.subject_key) for move in moves] == [
        ("identity", str(done.identities[0].pk)),
        ("interaction", str(visit.pk)),
        ("transaction", str(sale.pk)),
    ]
    assert {(move.from_profile_id, move.to_profile_id, move.cause, move.reason, move.by) for move in moves} == {
        (ada.pk, done.profile.pk, "split", "Somebody else's till account", by.user)
    }
    # A sale that comes later follows the pair by itself.
    came(Transaction, "pos:1", by=by)
    assert len(records_of(done.profile)) == 3
    assert_sound()


def test_the_preview_writes_nothing_and_tells_what_the_split_does(by: By, bo: Profile) -> None:
    ada = known("loyalty-card:1", "pos:1", by=by)
    came(Transaction, "pos:1", "pos-customer:9", by=by)
    key, before = row_of("pos:1").pk, everything()

    told = merging.preview_split(ada.pk, [key])

    assert differences(before, everything()) == []
    assert not Move.objects.exists()
    assert told.profile is None
    done = merging.split(ada.pk, [key], by=by)
    assert (told.identities, told.records, told.stay) == (done.identities, done.records, done.stay)
    assert told.records == {"transaction": 1}


def test_pairs_that_they_brought_stay_unless_chosen_and_are_named(by: By, bo: Profile) -> None:
    ada = known("loyalty-card:1", "pos:1", by=by)
    came(Transaction, "pos:1", "pos-customer:9", by=by)
    came(Transaction, "pos:1", "staff-number:4", by=by)

    done = split(ada, "pos:1", "staff-number:4", by=by)

    assert done.profile is not None
    assert pairs_of(done.profile) == ["pos:1", "staff-number:4"]
    assert [str(row.pair) for row in done.stay] == ["pos-customer:9"]
    assert pairs_of(ada) == ["loyalty-card:1", "pos-customer:9"]


def test_a_contact_that_leaves_is_shown_there_and_the_oldest_that_is_left_here(by: By, bo: Profile) -> None:
    ada = known("loyalty-card:1", by=by, email="old@example.com", mobile_phone="+61404123123")
    again = known("loyalty-card:2", by=by, email="other@example.com")
    merge(ada, again, by=by)

    done = split(ada, "email:old@example.com", "mobile_phone:+61404123123", by=by)

    assert done.profile is not None
    assert (value_of(ada, "email"), value_of(ada, "mobile_phone")) == ("other@example.com", "")
    assert value_of(ada, "mobile_phone_country") is None
    shown = [value_of(done.profile, name) for name in ("email", "mobile_phone", "mobile_phone_national")]
    assert shown == ["old@example.com", "+61404123123", "404123123"]
    assert [(one.profile, one.field) for one in done.contacts_changed] == [
        (ada, "email"),
        (done.profile, "email"),
        (ada, "mobile_phone"),
        (done.profile, "mobile_phone"),
    ]
    assert_sound()


def test_of_several_addresses_that_leave_together_each_side_shows_one(by: By, bo: Profile) -> None:
    ada = known("loyalty-card:1", by=by, email="a@example.com")
    for number, address in enumerate(["b@example.com", "c@example.com"]):
        merge(ada, known(f"pos:{number}", by=by, email=address), by=by)

    done = split(ada, "email:a@example.com", "email:b@example.com", by=by)

    assert done.profile is not None
    assert (value_of(ada, "email"), value_of(done.profile, "email")) == ("c@example.com", "a@example.com")
    assert [(one.profile, one.field) for one in done.contacts_changed] == [(ada, "email"), (done.profile, "email")]
    assert_sound()


def test_they_may_go_to_a_profile_that_is_named(by: By, bo: Profile) -> None:
    ada, eve = known("loyalty-card:1", "pos:1", by=by), known("loyalty-card:2", by=by, email="eve@example.com")
    sale = came(Transaction, "pos:1", by=by)
    profiles = Profile.objects.count()

    done = split(ada, "pos:1", by=by, to=eve)

    assert done.profile == eve
    assert pairs_of(eve) == ["email:eve@example.com", "loyalty-card:2", "pos:1"]
    assert records_of(eve) == [sale]
    assert Profile.objects.count() == profiles
    # Splitting it off again to where it was takes that back.
    split(eve, "pos:1", by=by, to=ada)
    assert records_of(ada) == [sale]
    assert_sound()


def test_the_primary_identity_may_leave_and_the_profile_then_has_none(by: By, bo: Profile) -> None:
    ada = known("pos:1", by=by)
    card = add(ada, Sent("loyalty-card", "1", is_primary=True), by=by)

    done = split(ada, "loyalty-card:1", by=by)

    assert done.primary == card
    assert not Identity.objects.filter(is_primary=True).exists()
    assert_sound()


def test_custom_attributes_that_they_brought_go_where_there_is_none_of_that_name(by: By, bo: Profile) -> None:
    ada, eve = known("loyalty-card:1", "pos:1", by=by), known("loyalty-card:2", by=by)
    attributing.put(eve.pk, Named("size", "shoe", 38), by=by, source=None)
    for name, value in (("shoe", 39), ("hat", 56), ("belt", 90)):
        attributing.put(ada.pk, Named("size", name, value), by=by, source=None)
    brought = ada.custom_attributes.filter(handle__in=["shoe", "hat"])
    brought.update(brought_by=row_of("pos:1"), brought_by_handle="pos", brought_by_identifier="1")

    split(ada, "pos:1", by=by, to=eve)

    assert dict(eve.custom_attributes.values_list("handle", "value")) == {"shoe": 38, "hat": 56}
    assert dict(ada.custom_attributes.values_list("handle", "value")) == {"shoe": 39, "belt": 90}


def test_whatever_cannot_be_is_refused_and_changes_nothing(by: By, bo: Profile) -> None:
    ada, eve = known("loyalty-card:1", "pos:1", by=by), known("loyalty-card:2", "pos:2", by=by)
    card, till = row_of("loyalty-card:1").pk, row_of("pos:1").pk
    before = everything_of(ada), everything_of(eve)

    assert code(ada, by=by) == "invalid"
    assert code(ada, card, till, by=by) == "last_identity"
    assert code(ada, card, to=ada, by=by) == "same_profile"
    Handle.objects.filter(pk="pos").update(single_valued=True)
    assert code(ada, till, to=eve, by=by) == "too_many_identities"
    for keys, error in (([row_of("pos:2").pk], Identity), ([10**9], Identity)):
        with pytest.raises(error.DoesNotExist):
            merging.split(ada.pk, keys, by=by)
        with pytest.raises(error.DoesNotExist):
            merging.preview_split(ada.pk, keys)
    with pytest.raises(Profile.DoesNotExist):
        merging.split(uuid.uuid4(), [card], by=by)
    with pytest.raises(Profile.DoesNotExist):
        merging.split(ada.pk, [card], to=uuid.uuid4(), by=by)

    assert (everything_of(ada), everything_of(eve)) == before
    assert not Move.objects.exists()


def test_an_inactive_identity_of_a_single_valued_handle_may_go_where_another_is_active(by: By, bo: Profile) -> None:
    Handle.objects.filter(pk="pos").update(single_valued=True)
    ada, eve = known("loyalty-card:1", "pos:1", by=by), known("loyalty-card:2", "pos:2", by=by)
    Identity.objects.filter(identifier="1", handle="pos").update(is_active=False)

    split(ada, "pos:1", by=by, to=eve)

    assert dict(eve.identities.filter(handle="pos").values_list("identifier", "is_active")) == {"1": False, "2": True}
    assert_sound()


def test_ids_are_literal(by: By, bo: Profile) -> None:
    ada, again, third = (known(f"loyalty-card:{number}", f"pos:{number}", by=by) for number in (1, 2, 3))
    merge(ada, again, by=by)

    for profile, to in ((again, None), (again, third), (third, again)):
        with pytest.raises(Refused) as refusal:
            split(profile, "pos:3", by=by, to=to)
        assert (refusal.value.code, refusal.value.details) == ("already_merged", {"survivor_id": str(ada.pk)})
    till = row_of("pos:3").pk
    releasing.delete(third.pk, by=by)
    assert code(third, till, by=by) == "profile_deleted"
    assert code(ada, row_of("pos:1").pk, to=third, by=by) == "profile_deleted"


def test_undo_of_a_merge_after_a_split_leaves_what_was_split_off_and_reports_it(by: By, bo: Profile) -> None:
    ada, again = known("loyalty-card:1", by=by), known("loyalty-card:2", "pos:2", by=by)
    split_off, kept = came(Transaction, "pos:2", by=by), came(Transaction, "loyalty-card:2", by=by)
    (one,) = merge(ada, again, by=by)
    since = came(Transaction, "pos:2", by=by)
    done = split(ada, "pos:2", by=by)
    assert done.profile is not None
    elsewhere = everything_of(done.profile)

    undone = undo(one, by=by)

    assert (pairs_of(again), pairs_of(ada)) == (["loyalty-card:2"], ["loyalty-card:1"])
    assert records_of(again) == [kept]
    assert everything_of(done.profile) == elsewhere
    assert records_of(done.profile) == [split_off, since]
    assert (undone.tallies["identity"].moved, undone.tallies["transaction"].moved) == (1, 1)
    assert {(row["kind"], row["id"], row["why"], row["profile_id"]) for row in undone.left} == {
        ("identity", done.identities[0].pk, "moved", str(done.profile.pk)),
        ("transaction", split_off.pk, "moved", str(done.profile.pk)),
    }
    assert_sound()


def test_what_was_split_off_by_mistake_and_brought_back_goes_home_by_the_undo(by: By, bo: Profile) -> None:
    ada, again = known("loyalty-card:1", by=by), known("loyalty-card:2", "pos:2", by=by)
    sale = came(Transaction, "pos:2", by=by)
    before = everything_of(again)
    (one,) = merge(ada, again, by=by)
    done = split(ada, "pos:2", by=by)
    assert done.profile is not None
    add(done.profile, "pos:3", by=by)
    split(done.profile, "pos:2", by=by, to=ada)

    undone = undo(one, by=by)

    after = everything_of(again)
    assert records_of(again) == [sale]
    assert pairs_of(again) == ["loyalty-card:2", "pos:2"]
    assert undone.left == []
    assert before["records"] == after["records"]
    assert_sound()


def test_a_shown_contact_that_was_split_off_is_not_given_back(by: By, bo: Profile) -> None:
    ada, again = known("loyalty-card:1", by=by), known("loyalty-card:2", by=by, email="again@example.com")
    (one,) = merge(ada, again, by=by)
    done = split(ada, f"{EMAIL}:again@example.com", by=by)
    assert done.profile is not None

    undone = undo(one, by=by)

    assert [value_of(profile, "email") for profile in (ada, again, done.profile)] == ["", "", "again@example.com"]
    assert again in [changed.profile for changed in undone.contacts_changed]
    assert_sound()


def test_who_split_what_and_why_stands_in_the_audit(by: By, bo: Profile) -> None:
    ada = known("loyalty-card:1", "pos:1", by=by)
    came(Transaction, "pos:1", by=by)

    done = split(ada, "pos:1", by=by, reason="A household")

    assert done.profile is not None
    audit = Audit.objects.get(event="split")
    assert (audit.profile, audit.by) == (ada, by.user)
    key = done.identities[0].pk
    assert audit.new_values == {
        "profile_id": str(done.profile.pk),
        "identities": [key],
        "reason": "A household",
        "transaction": 1,
    }
    moved = Audit.objects.get(event="moved")
    assert (moved.old_values["profile_id"], moved.new_values["profile_id"]) == (str(ada.pk), str(done.profile.pk))
    assert Audit.objects.filter(event="created", auditable_key=str(done.profile.pk)).exists()


def test_a_split_takes_as_many_statements_for_many_identities_and_records_as_for_one(by: By, bo: Profile) -> None:
    counts = []
    for number in (1, 20):
        pairs = [f"pos:{number}-{one}" for one in range(number)]
        ada = known(f"loyalty-card:{number}", *pairs, by=by)
        for pair in pairs:
            came(Transaction, pair, by=by)
        keys = [row_of(pair).pk for pair in pairs]
        with CaptureQueriesContext(connection) as captured:
            merging.split(ada.pk, keys, by=by)
        counts.append(len(captured))

    assert counts[0] == counts[1]


def test_moving_is_for_the_pair_alone(by: By, bo: Profile) -> None:
    ada, eve = known("loyalty-card:1", "pos:1", by=by), known("loyalty-card:2", by=by)
    sale = came(Transaction, "pos:1", by=by)

    moving.move(row_of("pos:1").pk, to=eve.pk, reason="", by=by)

    assert (records_of(ada), records_of(eve)) == ([sale], [])


def test_what_was_split_off_does_not_follow_a_decision_in_the_routing_log_any_more(by: By, bo: Profile) -> None:
    ada, eve = known("loyalty-card:1", by=by), known("pos:7", by=by)
    came(Transaction, "loyalty-card:1", "pos:7", "staff-number:4", by=by)
    of_the_number = came(Transaction, "staff-number:4", by=by)
    done = split(ada, "staff-number:4", by=by)
    assert done.profile is not None

    sending.send(RoutingLogEntry.objects.get().pk, to=eve.pk, note="", by=by)

    assert pairs_of(done.profile) == ["staff-number:4"]
    assert records_of(done.profile) == [of_the_number]
    assert len(records_of(eve)) == 1
    assert_sound()
