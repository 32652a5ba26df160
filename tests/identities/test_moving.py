from __future__ import annotations

import uuid

import pytest

from identities import lookup, moving, releasing, routing
from identities.handles import Sent
from identities.models import Handle, Identity
from identities.moving import Moved
from profiles.auditing import By
from profiles.models import Audit, Move, Profile
from profiles.refusing import Refused
from tests.cast import add, everything_of, pairs_of, route, update

pytestmark = pytest.mark.django_db


def test_an_identity_moves_alone_and_later_writes_follow_it(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    card = add(ada, Sent("loyalty-card", "1804974", is_primary=True), by=by)
    till = route("loyalty-card:1804974", "pos:7", by=by).identity
    assert till == card

    moved = moving.move(card.pk, to=ada_again.pk, reason="She lent it to her daughter", by=by).identity

    assert (moved.pk, moved.profile, moved.is_primary) == (card.pk, ada_again, False)
    assert (pairs_of(ada), pairs_of(ada_again)) == (["pos:7"], ["loyalty-card:1804974"])
    assert route("loyalty-card:1804974", by=by).profile == ada_again
    assert lookup.resolve([("loyalty-card", "1804974"), ("pos", "7")]) == [ada_again.pk, ada.pk]
    move = Move.objects.get()
    assert (move.subject_type, move.subject_key, move.cause) == ("identity", str(card.pk), "asked")
    assert (move.from_profile, move.to_profile, move.by) == (ada, ada_again, by.user)
    assert (move.handle, move.identifier, move.reason) == ("loyalty-card", "1804974", "She lent it to her daughter")
    audit = Audit.objects.get(event="moved")
    assert (audit.by, audit.auditable_key, audit.profile) == (by.user, str(card.pk), ada_again)
    assert (audit.old_values["profile_id"], audit.new_values["profile_id"]) == (str(ada.pk), str(ada_again.pk))


def test_moving_it_back_takes_the_move_back(ada: Profile, ada_again: Profile, bo: Profile, by: By) -> None:
    card = add(ada, "loyalty-card:1804974", by=by)
    moving.move(card.pk, to=ada_again.pk, reason="A mistake", by=by)

    moving.move(card.pk, to=ada.pk, reason="Taken back", by=by)

    assert pairs_of(ada) == ["loyalty-card:1804974"]
    there, back = Move.objects.order_by("pk")
    assert there.undone_at is not None
    assert back.undone_at == there.undone_at
    assert (back.from_profile, back.to_profile) == (ada_again, ada)
    # And once more: that is a move of its own.
    moving.move(card.pk, to=ada_again.pk, reason="After all", by=by)
    assert Move.objects.filter(undone_at=None).count() == 1


def test_going_on_to_a_third_profile_takes_nothing_back(ada: Profile, ada_again: Profile, bo: Profile, by: By) -> None:
    third = Profile.objects.create(first_name="Ada", last_name="Byron")
    card = add(ada, "loyalty-card:1804974", by=by)

    moving.move(card.pk, to=ada_again.pk, reason="one", by=by)
    moving.move(card.pk, to=third.pk, reason="two", by=by)
    moving.move(card.pk, to=ada.pk, reason="three", by=by)

    assert Move.objects.filter(undone_at=None).count() == 3


def test_moving_to_where_it_is_changes_nothing(ada: Profile, by: By) -> None:
    card = add(ada, Sent("loyalty-card", "1804974", is_primary=True), by=by)
    before = everything_of(ada)

    assert moving.move(card.pk, to=ada.pk, reason="", by=by) == Moved(card, [])

    assert everything_of(ada) == before
    assert not Move.objects.exists()


def test_a_contact_is_shown_by_its_new_profile_only_if_that_shows_none(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    ada = update(ada, by=by, email="Ada@example.com", mobile_phone="0404 123 123")
    update(ada_again, by=by, email="king@example.com")

    email, mobile = ada.identities.order_by("handle")
    by_email, by_mobile = (moving.move(row.pk, to=ada_again.pk, reason="Hers", by=by) for row in (email, mobile))

    assert by_email.contacts_changed == [(ada, "email")]
    assert by_mobile.contacts_changed == [(ada, "mobile_phone"), (ada_again, "mobile_phone")]
    ada_again.refresh_from_db()
    assert (ada_again.email, ada_again.mobile_phone) == ("king@example.com", "+61404123123")
    assert pairs_of(ada_again) == ["email:ada@example.com", "email:king@example.com", "mobile_phone:+61404123123"]
    card = add(ada, "loyalty-card:1804974", by=by)
    assert moving.move(card.pk, to=ada_again.pk, reason="Hers", by=by).contacts_changed == []


def test_a_move_keeps_to_the_limits_of_its_new_profile(ada: Profile, ada_again: Profile, bo: Profile, by: By) -> None:
    Handle.objects.filter(name="pos").update(single_valued=True)
    till = add(ada, "pos:7", by=by)
    add(ada_again, "pos:8", by=by)

    with pytest.raises(Refused) as refusal:
        moving.move(till.pk, to=ada_again.pk, reason="Hers", by=by)
    assert refusal.value.code == "too_many_identities"
    assert pairs_of(ada) == ["pos:7"]
    assert not Move.objects.exists()

    routing.change(till.pk, is_active=False, by=by, source=None)
    moving.move(till.pk, to=ada_again.pk, reason="Hers", by=by)
    assert pairs_of(ada_again) == ["pos:7", "pos:8"]


def test_a_move_names_profiles_literally(ada: Profile, ada_again: Profile, bo: Profile, by: By) -> None:
    survivor = Profile.objects.create(first_name="Ada", last_name="Byron")
    card = add(ada, "loyalty-card:1804974", by=by)
    Profile.objects.filter(pk=ada_again.pk).update(merged_into=survivor)

    with pytest.raises(Refused) as refusal:
        moving.move(card.pk, to=ada_again.pk, reason="Hers", by=by)
    assert (refusal.value.code, refusal.value.details) == ("already_merged", {"survivor_id": str(survivor.pk)})
    with pytest.raises(Profile.DoesNotExist):
        moving.move(card.pk, to=uuid.uuid4(), reason="Hers", by=by)
    with pytest.raises(Identity.DoesNotExist):
        moving.move(card.pk + 1_000_000, to=ada.pk, reason="Hers", by=by)
    releasing.delete(survivor.pk, by=by)
    with pytest.raises(Refused) as refusal:
        moving.move(card.pk, to=survivor.pk, reason="Hers", by=by)
    assert refusal.value.code == "profile_deleted"
    releasing.delete(ada.pk, by=by)
    with pytest.raises(Refused) as refusal:
        moving.move(card.pk, to=bo.pk, reason="Hers", by=by)
    assert refusal.value.code == "profile_deleted"

    assert pairs_of(ada) == ["loyalty-card:1804974"]
    assert not Move.objects.exists()
