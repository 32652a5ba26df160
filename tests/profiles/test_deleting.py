from __future__ import annotations

import json
import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from identities import adding, lookup, matching, moving, releasing, routing
from identities.handles import Sent
from identities.models import Extension, Handle, Identity, RoutingLogEntry
from identities.releasing import Retyped
from profiles.auditing import By
from profiles.models import Audit, Move, Profile
from profiles.refusing import Refused
from tests.cast import add, everything_of, pairs_of, route, sent, update

pytestmark = pytest.mark.django_db


def not_returned(back: Retyped) -> dict[str, Profile | None]:
    """The pairs that did not come back, and who has each now."""
    return {str(one.pair): one.owner for one in back.not_returned}


def test_a_deleted_profile_answers_by_its_id_and_matches_nothing(ada: Profile, bo: Profile, by: By) -> None:
    add(ada, "loyalty-card:1804974", by=by)
    update(ada, by=by, email="ada@example.com")

    releasing.delete(ada.pk, by=by)

    shown = json.loads(lookup.profile(ada.pk) or "null")
    assert (shown["profile_type"], shown["email"]) == ("deleted", "ada@example.com")
    assert [one["identifier"] for one in shown["identities"]] == ["1804974"]
    assert lookup.search_id("profile_id", str(ada.pk)) is not None
    assert lookup.search("loyalty-card", "1804974") is None
    assert lookup.search_id("email", "ada@example.com") is None
    assert lookup.resolve([("loyalty-card", "1804974"), ("email", "ada@example.com")]) == [None, None]
    assert lookup.search_profile(["1804974"]) == []
    assert not matching.holding_contact("email", "ada@example.com").live().exists()
    assert matching.search("ada@example.com").get() == ada  # staff look for deleted ones too
    assert list(Profile.objects.live()) == [bo]
    audit = Audit.objects.get(event="deleted")
    assert (audit.by, audit.profile, audit.new_values) == (by.user, ada, {"profile_type": "deleted"})


def test_whoever_writes_a_released_pair_gets_its_row(
    ada: Profile, ada_again: Profile, bo: Profile, shopify: Extension, by: By
) -> None:
    card, till, mobile = add(ada, "loyalty-card:1", by=by), add(ada, "pos:7", by=by), None
    update(ada, by=by, mobile_phone="0404 123 123")
    mobile = ada.identities.get(handle="mobile_phone")
    releasing.delete(ada.pk, by=by)

    added = adding.add(ada_again.pk, sent("loyalty-card:1"), by=by, source=None)
    routed = route("pos:7", by=by, source=shopify, first_name="Ada")
    update(ada_again, by=by, mobile_phone="+61404123123")

    assert (added.identity.pk, added.created) == (card.pk, True)
    assert (routed.outcome, routed.identity) == ("created", till)
    assert ada_again.identities.get(handle="mobile_phone") == mobile
    assert pairs_of(ada) == []
    assert pairs_of(ada_again) == ["loyalty-card:1", "mobile_phone:+61404123123"]
    till.refresh_from_db()
    assert (till.profile, till.source) == (routed.profile, shopify)
    entries = RoutingLogEntry.objects.order_by("pk")
    assert [(entry.outcome, entry.requested_profile, entry.candidates) for entry in entries] == [
        ("released_from", ada, [ada.pk])
    ] * 3
    assert [entry.routed_profile for entry in entries] == [ada_again, routed.profile, ada_again]
    assert [entry.source for entry in entries] == [None, shopify, None]
    moves = Move.objects.order_by("pk")
    assert {move.cause for move in moves} == {"released"}
    assert [move.subject_key for move in moves] == [str(card.pk), str(till.pk), str(mobile.pk)]
    assert Audit.objects.filter(event="taken over").count() == 3


def test_a_record_that_also_names_a_live_profile_brings_the_released_pair_there(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    add(ada, "loyalty-card:1", by=by)
    till = add(ada_again, "pos:7", by=by)
    releasing.delete(ada.pk, by=by)

    routed = route("loyalty-card:1", "pos:7", by=by)

    assert (routed.profile, routed.outcome, routed.identity) == (ada_again, "attached", till)
    assert pairs_of(ada_again) == ["loyalty-card:1", "pos:7"]
    card = Identity.objects.get(handle="loyalty-card", identifier="1")
    assert (card.brought_by, card.is_primary, card.merged_from) == (till, False, None)


def test_a_change_onto_a_released_pair_keeps_its_own_id_and_deletes_the_released_row(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    released = add(ada, "loyalty-card:1", by=by)
    kept = add(ada_again, "loyalty-card:2", by=by)
    releasing.delete(ada.pk, by=by)

    changed = routing.change(kept.pk, identifier="1", by=by, source=None)

    assert (changed.pk, changed.identifier, changed.profile) == (kept.pk, "1", ada_again)
    assert not Identity.objects.filter(pk=released.pk).exists()
    assert lookup.resolve([("loyalty-card", "1"), ("loyalty-card", "2")]) == [ada_again.pk, None]
    entry = RoutingLogEntry.objects.get()
    assert (entry.outcome, entry.requested_profile, entry.routed_profile) == ("released_from", ada, ada_again)
    back = releasing.change_type(ada.pk, "active", by=by, source=None)
    assert not_returned(back) == {"loyalty-card:1": ada_again}
    assert pairs_of(ada) == []


def test_undeleting_returns_the_pairs_not_taken_since_and_names_the_rest(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    for pair in ("loyalty-card:1", "loyalty-card:2", "pos:7"):
        add(ada, pair, by=by)
    releasing.delete(ada.pk, by=by)
    assert Profile.objects.get(pk=ada.pk).deleted_at is not None
    add(ada_again, "loyalty-card:2", by=by)

    back = releasing.change_type(ada.pk, "active", by=by, source=None)

    assert not_returned(back) == {"loyalty-card:2": ada_again}
    assert back.contacts_changed == []
    assert (back.profile.profile_type, back.profile.deleted_at) == ("active", None)
    assert pairs_of(ada) == ["loyalty-card:1", "pos:7"]
    assert lookup.resolve([("loyalty-card", "1"), ("loyalty-card", "2"), ("pos", "7")]) == [
        ada.pk,
        ada_again.pk,
        ada.pk,
    ]
    assert route("pos:7", by=by).profile == ada
    assert Audit.objects.get(event="undeleted").old_values == {"profile_type": "deleted"}


def test_a_second_deletion_forgets_what_was_taken_during_the_first(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    add(ada, "loyalty-card:1", by=by)
    add(ada, "pos:7", by=by)
    releasing.delete(ada.pk, by=by)
    add(ada_again, "loyalty-card:1", by=by)
    releasing.change_type(ada.pk, "active", by=by, source=None)

    releasing.change_type(ada.pk, "deleted", by=by, source=None)
    add(ada_again, "pos:7", by=by)
    back = releasing.change_type(ada.pk, "pending", by=by, source=None)

    assert not_returned(back) == {"pos:7": ada_again}
    assert back.profile.profile_type == "pending"


def test_two_deleted_owners_in_a_row_leave_one_row(ada: Profile, ada_again: Profile, bo: Profile, by: By) -> None:
    card = add(ada, "loyalty-card:1", by=by)
    releasing.delete(ada.pk, by=by)
    add(ada_again, "loyalty-card:1", by=by)
    releasing.delete(ada_again.pk, by=by)

    third = route("loyalty-card:1", by=by)

    assert third.identity == card
    assert third.profile not in (ada, ada_again)
    for former in (ada, ada_again):
        back = releasing.change_type(former.pk, "active", by=by, source=None)
        assert not_returned(back) == {"loyalty-card:1": third.profile}
        assert not former.identities.exists()


def test_an_undelete_names_whoever_has_a_pair_now_and_not_who_took_it_first(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    third = Profile.objects.create(first_name="Third")
    card, till = add(ada, "loyalty-card:1", by=by), add(ada, "pos:7", by=by)
    add(ada, "pos:8", by=by)
    kept = add(third, "pos:9", by=by)
    releasing.delete(ada.pk, by=by)
    for pair in ("loyalty-card:1", "pos:7", "pos:8"):
        add(ada_again, pair, by=by)
    moving.move(card.pk, to=third.pk, reason="Theirs", by=by)  # moved on
    routing.change(till.pk, identifier="70", by=by, source=None)  # given up, and written by another
    routing.change(kept.pk, identifier="7", by=by, source=None)

    back = releasing.change_type(ada.pk, "active", by=by, source=None)

    assert not_returned(back) == {"loyalty-card:1": third, "pos:7": third, "pos:8": ada_again}
    assert pairs_of(ada) == []


def test_a_pair_whose_taker_is_deleted_too_comes_back(
    ada: Profile, ada_again: Profile, bo: Profile, shopify: Extension, by: By
) -> None:
    card = add(ada, "loyalty-card:1", by=by)
    account = adding.add(ada.pk, sent("shopify:1"), by=by, source=shopify).identity
    releasing.delete(ada.pk, by=by)
    adding.add(ada_again.pk, Sent("loyalty-card", "1", is_primary=True), by=by, source=None)
    adding.add(ada_again.pk, sent("shopify:1"), by=by, source=shopify)
    add(ada_again, "pos:7", by=by)
    moved = Move.objects.count()
    releasing.delete(ada_again.pk, by=by)
    RoutingLogEntry.objects.all().delete()

    back = releasing.change_type(ada.pk, "active", by=by, source=shopify)

    assert back.not_returned == []
    assert (pairs_of(ada), pairs_of(ada_again)) == (["loyalty-card:1", "shopify:1"], ["pos:7"])
    assert set(ada.identities.all()) == {card, account}
    card.refresh_from_db()
    assert (card.is_primary, card.is_active, card.addressed, card.source) == (False, True, ada.pk, None)
    account.refresh_from_db()
    assert account.source == shopify, "It is still the extension's, whoever undeletes."
    assert route("loyalty-card:1", by=by).profile == ada
    moves = Move.objects.order_by("pk")[moved:]
    assert {(move.subject_key, move.cause, move.from_profile, move.to_profile) for move in moves} == {
        (str(one.pk), "released", ada_again, ada) for one in (card, account)
    }
    entries = RoutingLogEntry.objects.all()
    assert {(one.outcome, one.requested_profile, one.routed_profile, one.source) for one in entries} == {
        ("released_from", ada_again, ada, shopify)
    }
    audits = Audit.objects.filter(event="taken over", profile=ada)
    assert {audit.auditable_key for audit in audits} == {str(card.pk), str(account.pk)}

    again = releasing.change_type(ada_again.pk, "active", by=by, source=None)
    assert not_returned(again) == {"loyalty-card:1": ada, "shopify:1": ada}
    assert pairs_of(ada_again) == ["pos:7"]


def test_a_pair_comes_back_from_the_last_of_several_that_had_it(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    third = Profile.objects.create(first_name="Third")
    add(ada, "loyalty-card:1", by=by)
    for former, taker in ((ada, ada_again), (ada_again, third)):
        releasing.delete(former.pk, by=by)
        add(taker, "loyalty-card:1", by=by)
    releasing.delete(third.pk, by=by)

    assert not_returned(releasing.change_type(ada.pk, "active", by=by, source=None)) == {}

    assert (pairs_of(ada), pairs_of(third)) == (["loyalty-card:1"], [])


def test_a_pair_that_was_deleted_for_good_does_not_come_back_and_is_nobodys(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    card = add(ada, "loyalty-card:1", by=by)
    releasing.delete(ada.pk, by=by)
    add(ada_again, "loyalty-card:1", by=by)
    routing.remove(card.pk, by=by, source=None)

    back = releasing.change_type(ada.pk, "active", by=by, source=None)

    assert not_returned(back) == {"loyalty-card:1": None}
    assert pairs_of(ada) == []


def test_a_pair_that_comes_back_beyond_the_limit_of_its_handle_is_inactive(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    Handle.objects.filter(name="pos").update(single_valued=True)
    add(ada, "pos:7", by=by)
    add(ada, Sent("pos", "8", is_active=False), by=by)
    releasing.delete(ada.pk, by=by)
    add(ada_again, "pos:8", by=by)
    releasing.delete(ada_again.pk, by=by)

    releasing.change_type(ada.pk, "active", by=by, source=None)

    assert list(ada.identities.order_by("pk").values_list("identifier", "is_active")) == [("7", True), ("8", False)]


def test_an_undelete_costs_the_same_for_one_pair_that_comes_back_and_for_fifty(bo: Profile, by: By) -> None:
    def cost(count: int) -> int:
        pairs = [f"pos:{count}-{number}" for number in range(count)]
        former = route(*pairs, by=by).profile
        releasing.delete(former.pk, by=by)
        releasing.delete(route(*pairs, by=by).profile.pk, by=by)
        with CaptureQueriesContext(connection) as queries:
            back = releasing.change_type(former.pk, "active", by=by, source=None)
        assert (len(pairs_of(former)), back.not_returned) == (count, [])
        return len(queries)

    assert cost(1) == cost(50)


def test_other_writes_to_a_deleted_profile_are_refused(ada: Profile, ada_again: Profile, bo: Profile, by: By) -> None:
    card = add(ada, "loyalty-card:1", by=by)
    releasing.delete(ada.pk, by=by)
    before = everything_of(ada)

    for write in (
        lambda: add(ada, "pos:7", by=by),
        lambda: add(ada, "loyalty-card:1", by=by),
        lambda: update(ada, by=by, title="Countess"),
        lambda: update(ada, by=by, email="ada@example.com"),
        lambda: routing.change(card.pk, is_active=False, by=by, source=None),
        lambda: routing.remove(card.pk, by=by, source=None),
        lambda: moving.move(card.pk, to=ada_again.pk, reason="Hers", by=by),
        lambda: releasing.delete(ada.pk, by=by),
    ):
        with pytest.raises(Refused) as refusal:
            write()
        assert refusal.value.code == "profile_deleted"

    assert everything_of(ada) == before
    assert not RoutingLogEntry.objects.exists()


def test_a_type_changes_without_touching_identities(ada: Profile, bo: Profile, by: By) -> None:
    add(ada, "loyalty-card:1", by=by)

    for profile_type in ("pending", "incomplete", "active", "active"):
        retyped = releasing.change_type(ada.pk, profile_type, by=by, source=None)
        assert (retyped.profile.profile_type, retyped.not_returned) == (profile_type, [])

    assert pairs_of(ada) == ["loyalty-card:1"]
    assert Audit.objects.filter(event="updated", auditable_type="profile").count() == 3


def test_deleting_means_the_profile_named_and_no_survivor(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    Profile.objects.filter(pk=ada_again.pk).update(merged_into=ada)

    for operation in (
        lambda: releasing.delete(ada_again.pk, by=by),
        lambda: releasing.change_type(ada_again.pk, "pending", by=by, source=None),
    ):
        with pytest.raises(Refused) as refusal:
            operation()
        assert (refusal.value.code, refusal.value.details) == ("already_merged", {"survivor_id": str(ada.pk)})
    with pytest.raises(Profile.DoesNotExist):
        releasing.delete(uuid.uuid4(), by=by)

    assert Profile.objects.get(pk=ada.pk).is_live
