"""Deletes and undeletes that meet writers of the same profiles."""

from __future__ import annotations

import psycopg.errors
import pytest

from identities import lookup, releasing, routing
from identities.models import Identity, RoutingLogEntry
from profiles.auditing import By
from profiles.models import Move, Profile
from profiles.refusing import Refused
from tests.cast import add, assert_sound, pairs_of, route, update
from tests.racing import alternate, at_once, meanwhile, while_it_is_locked

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_record_does_not_match_a_profile_that_is_deleted_before_its_lock(ada: Profile, bo: Profile, by: By) -> None:
    card = add(ada, "loyalty-card:1", by=by)

    with meanwhile(lambda: releasing.delete(ada.pk, by=by)):
        routed = route("loyalty-card:1", "pos:7", by=by)

    assert (routed.outcome, routed.identity, routed.profile == ada) == ("created", card, False)
    assert pairs_of(routed.profile) == ["loyalty-card:1", "pos:7"]
    assert RoutingLogEntry.objects.get().outcome == "released_from"
    assert_sound()


def test_a_record_finds_a_profile_that_is_undeleted_before_its_lock(ada: Profile, bo: Profile, by: By) -> None:
    add(ada, "loyalty-card:1", by=by)
    releasing.delete(ada.pk, by=by)

    with meanwhile(lambda: releasing.change_type(ada.pk, "active", by=by, source=None)):
        routed = route("loyalty-card:1", "pos:7", by=by)

    assert (routed.outcome, routed.profile) == ("attached", ada)
    assert pairs_of(ada) == ["loyalty-card:1", "pos:7"]
    assert Profile.objects.count() == 2
    assert not RoutingLogEntry.objects.exists()


@pytest.mark.parametrize("known", [False, True], ids=["an unknown pair", "its own pair"])
def test_nothing_is_added_to_a_profile_that_is_deleted_before_the_lock(
    known: bool, ada: Profile, bo: Profile, by: By
) -> None:
    identity = add(ada, "loyalty-card:1", by=by)

    for write in (
        lambda: add(ada, "loyalty-card:1" if known else "pos:7", by=by),
        lambda: routing.change(identity.pk, identifier="1" if known else "2", is_active=False, by=by, source=None),
        lambda: routing.remove(identity.pk, by=by, source=None),
        lambda: update(ada, by=by, email="ada@example.com"),
    ):
        with meanwhile(lambda: releasing.delete(ada.pk, by=by)), pytest.raises(Refused) as refusal:
            write()
        assert refusal.value.code == "profile_deleted"
        releasing.change_type(ada.pk, "active", by=by, source=None)

    assert pairs_of(ada) == ["loyalty-card:1"]
    assert Identity.objects.get(pk=identity.pk).is_active


def test_a_delete_waits_for_the_writer_that_holds_the_profile(ada: Profile, bo: Profile, by: By) -> None:
    add(ada, "loyalty-card:1", by=by)

    with while_it_is_locked(lambda: releasing.delete(ada.pk, by=by)):
        routed = route("loyalty-card:1", "pos:7", by=by)

    assert (routed.outcome, routed.profile) == ("attached", ada)
    assert not Profile.objects.get(pk=ada.pk).is_live
    assert lookup.resolve([("loyalty-card", "1"), ("pos", "7")]) == [None, None]


def test_a_writer_that_waits_for_a_delete_finds_the_profile_deleted(ada: Profile, bo: Profile, by: By) -> None:
    card = add(ada, "loyalty-card:1", by=by)

    with while_it_is_locked(lambda: add(ada, "pos:7", by=by)) as added:
        releasing.delete(ada.pk, by=by)
    releasing.change_type(ada.pk, "active", by=by, source=None)
    with while_it_is_locked(lambda: route("loyalty-card:1", by=by)) as routed:
        releasing.delete(ada.pk, by=by)

    assert added.codes == {"profile_deleted": 1}
    assert (routed[0].outcome, routed[0].identity, routed[0].profile == ada) == ("created", card, False)
    assert_sound()


@pytest.mark.parametrize("rounds", [8, pytest.param(300, marks=pytest.mark.slow)], ids=["short", "long"])
def test_a_writer_against_deletes_and_undeletes_leaves_one_owner(
    rounds: int, ada: Profile, bo: Profile, by: By
) -> None:
    add(ada, "loyalty-card:1", by=by)
    update(ada, by=by, email="ada@example.com")

    def write() -> None:
        for number in range(rounds):
            routed = route("loyalty-card:1", f"pos:7-{number}", by=by)
            assert (
                f"pos:7-{number}" in pairs_of(routed.profile) or not Profile.objects.get(pk=routed.profile.pk).is_live
            )

    def delete_and_undelete() -> None:
        for _round in range(rounds):
            releasing.delete(ada.pk, by=by)
            releasing.change_type(ada.pk, "active", by=by, source=None)

    at_once(write, delete_and_undelete)

    (card,) = Identity.objects.filter(handle="loyalty-card", identifier="1")
    assert card.profile.is_live
    assert Identity.objects.filter(handle="pos").count() == rounds
    # Ada is there from the beginning; whoever else took the card over has it, or brought a pair and lost it.
    assert not Profile.objects.exclude(pk=ada.pk).filter(identities=None).exists()
    assert_sound()


@pytest.mark.parametrize("rounds", [2, pytest.param(100, marks=pytest.mark.slow)], ids=["short", "long"])
def test_two_takers_of_one_released_pair_reach_one_profile(rounds: int, bo: Profile, by: By) -> None:
    for round_ in range(rounds):
        former = route(f"pos:7-{round_}", by=by)
        releasing.delete(former.profile.pk, by=by)

        with alternate(round_, 2):
            met = at_once(*[lambda pair=f"pos:7-{round_}": route(pair, by=by)] * 2)

        assert sorted(routed.outcome for routed in met) == ["created", "matched"]
        assert met[0].profile == met[1].profile
        assert met[0].identity == met[1].identity == former.identity
    assert Move.objects.count() == RoutingLogEntry.objects.count() == rounds
    assert Profile.objects.live().count() == 1 + rounds
    assert_sound()


def deleted_one_after_the_other(ada: Profile, ada_again: Profile, pair: str, *, by: By) -> Identity:
    """Let Ada again take this pair of Ada's, who is deleted; both are deleted then, and the pair is free."""
    identity = add(ada, pair, by=by)
    releasing.delete(ada.pk, by=by)
    add(ada_again, pair, by=by)
    releasing.delete(ada_again.pk, by=by)
    return identity


def test_an_undelete_names_whoever_takes_a_free_pair_before_its_lock(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    card = deleted_one_after_the_other(ada, ada_again, "loyalty-card:1", by=by)

    with meanwhile(lambda: route("loyalty-card:1", by=by)):
        back = releasing.change_type(ada.pk, "active", by=by, source=None)

    card.refresh_from_db()
    assert card.profile not in (ada, ada_again)
    assert [(str(one.pair), one.owner) for one in back.not_returned] == [("loyalty-card:1", card.profile)]
    assert pairs_of(ada) == []
    assert_sound()


def test_an_undelete_names_whoever_takes_the_first_pair_before_its_lock(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    add(ada, "pos:7", by=by)
    releasing.delete(ada.pk, by=by)

    with meanwhile(lambda: add(ada_again, "pos:7", by=by)):
        back = releasing.change_type(ada.pk, "active", by=by, source=None)

    assert [(str(one.pair), one.owner) for one in back.not_returned] == [("pos:7", ada_again)]


def test_a_writer_waits_for_an_undelete_and_finds_the_pair_that_came_back(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    card = deleted_one_after_the_other(ada, ada_again, "loyalty-card:1", by=by)

    with while_it_is_locked(lambda: route("loyalty-card:1", "pos:7", by=by)) as met:
        back = releasing.change_type(ada.pk, "active", by=by, source=None)

    assert back.not_returned == []
    assert (met[0].outcome, met[0].profile, met[0].identity) == ("attached", ada, card)
    assert pairs_of(ada) == ["loyalty-card:1", "pos:7"]
    assert Profile.objects.count() == 3


@pytest.mark.parametrize("rounds", [6, pytest.param(100, marks=pytest.mark.slow)], ids=["short", "long"])
def test_undeletes_and_a_writer_who_want_one_free_pair_leave_it_with_one_of_them(
    rounds: int, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    for round_ in range(rounds):
        pair = f"pos:7-{round_}"
        identity = deleted_one_after_the_other(ada, ada_again, pair, by=by)

        with alternate(round_, 3):
            met = at_once(
                lambda: releasing.change_type(ada.pk, "active", by=by, source=None),
                lambda: releasing.change_type(ada_again.pk, "active", by=by, source=None),
                lambda one=pair: route(one, by=by),
            )

        assert psycopg.errors.DeadlockDetected not in met.errors
        *undeleted, routed = met
        identity.refresh_from_db()
        assert identity.profile == routed.profile, "Both others had it to give, and nobody took it after the writer."
        assert identity.profile.is_live
        for back in undeleted:
            for one in back.not_returned:
                assert (str(one.pair), one.owner.is_live) == (pair, True)
        assert_sound()
