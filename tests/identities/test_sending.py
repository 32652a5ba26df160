"""Staff decide an entry of the routing log: what came by it goes to another of its candidates."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from identities import moving, moving_records, releasing, sending
from identities.models import Handle, Identity, RoutingLogEntry
from profiles.auditing import By
from profiles.models import Audit, Move, Profile, Record, Transaction
from profiles.refusing import Refused
from tests.cast import (
    add,
    assert_sound,
    change,
    come,
    every_kind,
    everything_of,
    pairs_of,
    records_of,
    route,
    update,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(ada: Profile, by: By) -> Profile:
    add(ada, "loyalty-card:1", by=by)
    return ada


@pytest.fixture
def ada_again(ada: Profile, ada_again: Profile, by: By) -> Profile:
    add(ada_again, "pos-customer:55", by=by)
    return ada_again


@pytest.fixture
def conflict(ada: Profile, ada_again: Profile, by: By) -> RoutingLogEntry:
    """A sale that named both, and brought a till's number that nobody knew."""
    come(Transaction, "loyalty-card:1", "pos-customer:55", "pos:7", by=by)
    return RoutingLogEntry.objects.get()


def send(entry: RoutingLogEntry, to: Profile, *, by: By, note: str = "It was she.") -> sending.Carried:
    return sending.send(entry.pk, to=to.pk, note=note, by=by)


def till() -> Identity:
    return Identity.objects.get(handle="pos", identifier="7")


@every_kind
def test_what_came_by_an_entry_goes_to_the_profile_that_it_is_decided_for(
    kind: type[Record], ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    row = come(kind, "loyalty-card:1", "pos-customer:55", "pos:7", by=by).record
    other = come(kind, "loyalty-card:1", by=by).record
    entry = RoutingLogEntry.objects.get()

    carried = send(entry, ada_again, by=by)

    assert carried.keys == {"identity": [till().pk], kind.kind: [row.pk]}
    assert (records_of(ada), records_of(ada_again)) == ([other], [row])
    assert (pairs_of(ada), pairs_of(ada_again)) == (["loyalty-card:1"], ["pos-customer:55", "pos:7"])
    entry.refresh_from_db()
    assert (entry.review_status, entry.review_note, entry.reviewed_by) == ("reviewed", "It was she.", by.user)
    moves = Move.objects.order_by("pk")
    assert [(one.subject_type, one.subject_key) for one in moves] == [
        ("identity", str(till().pk)),
        (kind.kind, str(row.pk)),
    ]
    for move in moves:
        assert (move.from_profile, move.to_profile, move.cause) == (ada, ada_again, "decided")
        assert (move.by, move.reason, move.undone_at) == (by.user, "It was she.", None)
    for audit in Audit.objects.filter(event="moved"):
        assert (audit.profile, audit.by) == (ada_again, by.user)
        assert (audit.old_values["profile_id"], audit.new_values["profile_id"]) == (str(ada.pk), str(ada_again.pk))
    assert Audit.objects.filter(event="moved").count() == 2
    row.refresh_from_db()
    assert (row.decided_by, row.brought_by_identifier, row.log_entry) == ("identity", "1", entry), (
        "It came as it came."
    )
    assert_sound()


def test_later_records_of_a_tagged_pair_follow_the_decision(
    conflict: RoutingLogEntry, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    before = come(Transaction, "pos:7", by=by).record
    send(conflict, ada_again, by=by)
    after = come(Transaction, "pos:7", by=by).record

    assert after.profile == ada_again
    assert [row.pk for row in records_of(ada_again)] == [*carried_records(conflict), before.pk, after.pk]
    assert not records_of(ada)


def carried_records(entry: RoutingLogEntry) -> list[int]:
    return list(Transaction.objects.filter(log_entry=entry).order_by("pk").values_list("pk", flat=True))


def test_what_tagged_pairs_brought_since_goes_along_however_many_steps(
    conflict: RoutingLogEntry, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    come(Transaction, "pos:7", "staff-number:3", by=by)
    last = come(Transaction, "staff-number:3", "email:ada@example.com", by=by).record
    come(Transaction, "email:ada@example.com", by=by)
    stays = come(Transaction, "loyalty-card:1", by=by).record
    everything = {row.pk for row in records_of(ada)}

    preview = sending.preview(conflict, ada_again.pk)
    carried = send(conflict, ada_again, by=by)

    assert preview.keys == carried.keys
    assert records_of(ada) == [stays]
    assert {row.pk for row in records_of(ada_again)} == everything - {stays.pk}
    assert last.brought_by.handle_id == "staff-number"
    assert pairs_of(ada) == ["loyalty-card:1"]
    assert pairs_of(ada_again) == ["email:ada@example.com", "pos-customer:55", "pos:7", "staff-number:3"]
    assert_sound()


def test_what_a_record_on_file_attached_follows_the_pair_that_brought_the_record(
    conflict: RoutingLogEntry, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    row = come(Transaction, "pos:7", by=by).record
    change(row, "staff-number:3", by=by)

    send(conflict, ada_again, by=by)

    assert pairs_of(ada_again) == ["pos-customer:55", "pos:7", "staff-number:3"]


def test_sending_back_takes_it_all_back(
    conflict: RoutingLogEntry, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    come(Transaction, "pos:7", "staff-number:3", "email:ada@example.com", by=by)
    before = [everything_of_pairs(one) for one in (ada, ada_again)]
    shown = Profile.objects.get(pk=ada.pk).email

    send(conflict, ada_again, by=by, note="Hers.")
    since = come(Transaction, "staff-number:3", by=by).record
    send(conflict, ada, by=by, note="Not hers.")

    assert [everything_of_pairs(one) for one in (ada, ada_again)] == before
    assert since in records_of(ada), "What came since follows the pair that brought it."
    assert not records_of(ada_again)
    assert (Profile.objects.get(pk=ada.pk).email, Profile.objects.get(pk=ada_again.pk).email) == (shown, "")
    moves = Move.objects.exclude(subject_type="transaction", subject_key=str(since.pk))
    assert not moves.filter(undone_at=None).exists()
    conflict.refresh_from_db()
    assert conflict.review_note == "Not hers."
    assert_sound()


def everything_of_pairs(profile: Profile) -> list[Any]:
    columns = ("pk", "handle", "identifier", "is_active", "brought_by", "conflict", "by_contact")
    return list(profile.identities.order_by("pk").values_list(*columns))


def test_what_was_moved_by_hand_since_stays(
    conflict: RoutingLogEntry, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    third = Profile.objects.create()
    come(Transaction, "pos:7", "staff-number:3", by=by)
    by_hand, back = (come(Transaction, "pos:7", by=by).record for _number in range(2))
    moving_records.move_record(Transaction, by_hand.pk, to=third.pk, reason="", by=by)
    moving.move(Identity.objects.get(handle="staff-number").pk, to=third.pk, reason="", by=by)
    for to in (third, ada):
        moving_records.move_record(Transaction, back.pk, to=to.pk, reason="", by=by)
    of_the_moved = come(Transaction, "staff-number:3", by=by).record

    send(conflict, ada_again, by=by)

    assert records_of(third) == [by_hand, of_the_moved]
    assert pairs_of(third) == ["staff-number:3"]
    assert back in records_of(ada_again), "Moved and moved back counts as not moved."
    assert pairs_of(ada_again) == ["pos-customer:55", "pos:7"]
    assert_sound()


def test_a_tagged_pair_that_was_moved_by_hand_stays_with_what_it_brought(
    conflict: RoutingLogEntry, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    brought = come(Transaction, "pos:7", "staff-number:3", by=by).record
    moving.move(till().pk, to=bo_like(by).pk, reason="", by=by)

    carried = send(conflict, ada_again, by=by)

    assert carried.keys == {"identity": [], "transaction": carried_records(conflict)}
    assert brought in records_of(ada)
    assert pairs_of(ada) == ["loyalty-card:1", "staff-number:3"]


def bo_like(by: By) -> Profile:
    return route("loyalty-card:9", by=by).profile


def test_what_another_entry_was_decided_for_stays_there(
    conflict: RoutingLogEntry, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    third = bo_like(by)
    Handle.objects.filter(name="pos").update(priority=1)
    # The tagged pair decides, and the entry that this makes is about a third profile.
    other = come(Transaction, "pos:7", "loyalty-card:9", "staff-number:3", by=by).record
    second = RoutingLogEntry.objects.get(pk=other.log_entry_id)
    assert (other.profile, second.pk != conflict.pk) == (ada, True)

    send(second, third, by=by, note="The third's sale.")
    carried = send(conflict, ada_again, by=by)

    assert carried.keys == {"identity": [till().pk], "transaction": carried_records(conflict)}
    assert pairs_of(third) == ["loyalty-card:9", "staff-number:3"]
    assert records_of(third) == [other]


def test_an_entry_decides_what_came_by_it_wherever_another_entry_took_that(
    conflict: RoutingLogEntry, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    third = bo_like(by)
    Handle.objects.filter(name="pos").update(priority=1)
    other = come(Transaction, "pos:7", "loyalty-card:9", "staff-number:3", by=by).record
    second = RoutingLogEntry.objects.get(pk=other.log_entry_id)

    send(conflict, ada_again, by=by)
    assert other in records_of(ada_again), "It came by a pair that the first entry took along."
    send(second, third, by=by)

    assert records_of(third) == [other]
    assert pairs_of(third) == ["loyalty-card:9", "staff-number:3"]


def test_a_rerouted_record_goes_to_the_profile_that_was_named(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    row = come(Transaction, "loyalty-card:1", "pos:7", named=ada_again.pk, by=by).record
    entry = RoutingLogEntry.objects.get()

    carried = send(entry, ada_again, by=by)

    assert records_of(ada_again) == [row]
    assert carried.keys["identity"] == [], "Its pairs are not in doubt."


def test_a_profile_named_by_id_in_a_conflict_is_a_candidate(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    third = Profile.objects.create()
    row = come(Transaction, "loyalty-card:1", "pos-customer:55", "pos:7", named=third.pk, by=by).record

    send(RoutingLogEntry.objects.get(), third, by=by)

    assert (records_of(third), pairs_of(third)) == ([row], ["pos:7"])


def test_a_profile_that_an_entry_routed_follows_with_its_tagged_pairs(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    route("loyalty-card:1", "pos-customer:55", "pos:7", by=by)
    row = come(Transaction, "pos:7", by=by).record

    send(RoutingLogEntry.objects.get(), ada_again, by=by)

    assert (records_of(ada_again), pairs_of(ada_again)) == ([row], ["pos-customer:55", "pos:7"])


def test_contacts_that_go_are_shown_by_the_profile_that_has_none(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    come(Transaction, "loyalty-card:1", "pos-customer:55", "email:ada@example.com", "mobile_phone:0404123123", by=by)
    update(ada_again, email="again@example.com", by=by)
    entry = RoutingLogEntry.objects.get()

    carried = send(entry, ada_again, by=by)

    ada.refresh_from_db()
    ada_again.refresh_from_db()
    assert (ada.email, ada.mobile_phone, ada.mobile_phone_country) == ("", "", None)
    assert (ada_again.email, ada_again.mobile_phone) == ("again@example.com", "+61404123123")
    assert {(one.profile, one.field) for one in carried.contacts_changed} == {
        (ada, "email"), (ada, "mobile_phone"), (ada_again, "mobile_phone"),
    }  # fmt: skip
    audits = Audit.objects.filter(event="updated", profile__in=[ada, ada_again], auditable_type="profile")
    assert [one.new_values for one in audits.filter(profile=ada).order_by("pk")][-2:] == [
        {"email": ""},
        {"mobile_phone": ""},
    ]
    assert_sound()


def test_a_contact_that_goes_is_no_longer_shown_though_another_kept_showing(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    come(Transaction, "loyalty-card:1", "pos-customer:55", "email:ada@example.com", "mobile_phone:0404123123", by=by)
    # Ada holds a second address and shows that one.
    other = Profile.objects.create()
    update(other, email="second@example.com", by=by)
    moving.move(other.identities.get().pk, to=ada.pk, reason="", by=by)
    update(ada, email="second@example.com", by=by)

    send(RoutingLogEntry.objects.get(), ada_again, by=by)

    ada.refresh_from_db()
    assert (ada.email, ada.mobile_phone) == ("second@example.com", "")
    assert_sound()


def test_more_than_a_handle_admits_is_refused_and_leaves_all_as_it_was(
    conflict: RoutingLogEntry, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    Handle.objects.filter(name="pos").update(single_valued=True)
    add(ada_again, "pos:8", by=by)
    before = [everything_of(one) for one in (ada, ada_again)]

    with pytest.raises(Refused) as refusal:
        send(conflict, ada_again, by=by)

    assert refusal.value.code == "too_many_identities"
    assert [everything_of(one) for one in (ada, ada_again)] == before
    assert not Move.objects.exists()
    conflict.refresh_from_db()
    assert conflict.review_status == "open"


def test_only_live_candidates_of_what_can_be_decided_are_sent_to(
    conflict: RoutingLogEntry, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    third = Profile.objects.create()
    come(Transaction, "loyalty-card:1", "pos:null", by=by)
    refused = RoutingLogEntry.objects.get(outcome="refused")
    before = records_of(ada)

    def code(entry: RoutingLogEntry, to: Profile) -> str:
        with pytest.raises(Refused) as refusal:
            send(entry, to, by=by)
        return refusal.value.code

    assert code(conflict, third) == "not_a_candidate"
    assert code(refused, ada) == "not_a_candidate"
    assert sending.candidates(refused) == set()
    Profile.objects.filter(pk=ada_again.pk).update(merged_into=third)
    assert code(conflict, ada_again) == "already_merged"
    Profile.objects.filter(pk=ada_again.pk).update(merged_into=None)
    releasing.delete(ada_again.pk, by=by)
    assert code(conflict, ada_again) == "profile_deleted"
    with pytest.raises(RoutingLogEntry.DoesNotExist):
        sending.send(conflict.pk + 100, to=ada.pk, note="", by=by)
    with pytest.raises(Profile.DoesNotExist):
        RoutingLogEntry.objects.filter(pk=conflict.pk).update(candidates=[uuid.UUID(int=7)])
        sending.send(conflict.pk, to=uuid.UUID(int=7), note="", by=by)
    assert records_of(ada) == before


def test_sending_to_where_it_is_says_that_it_belongs_there(
    conflict: RoutingLogEntry, ada: Profile, bo: Profile, by: By
) -> None:
    carried = send(conflict, ada, by=by, note="All is well.")

    assert carried.keys == {"identity": []}
    assert not Move.objects.exists()
    conflict.refresh_from_db()
    assert (conflict.review_status, conflict.review_note) == ("reviewed", "All is well.")


def test_the_same_again_after_the_decision_is_a_new_entry_with_its_own_decision(
    conflict: RoutingLogEntry, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    send(conflict, ada_again, by=by)

    again = come(Transaction, "loyalty-card:1", "pos-customer:55", "pos:7", by=by)

    assert again.record.profile == ada, "The card is still Ada's, and the older identity."
    assert again.routed.log_entry_id != conflict.pk
    send(RoutingLogEntry.objects.latest("pk"), ada_again, by=by)
    assert again.record in records_of(ada_again)
