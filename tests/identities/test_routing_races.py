"""Writers of the same pairs, identities and profiles that meet."""

from __future__ import annotations

from collections import Counter

import psycopg.errors
import pytest

from identities import moving, routing
from identities.models import Handle, Identity, RoutingLogEntry
from profiles.auditing import By
from profiles.models import Profile, ProfileQuerySet
from profiles.refusing import Refused
from tests.cast import add, assert_sound, pairs_of, route, update
from tests.racing import alternate, at_once, few_writers, meanwhile, meeting, slow_inserts, two_writers

pytestmark = pytest.mark.django_db(transaction=True)


@few_writers
def test_writers_of_one_unknown_pair_make_one_profile_and_all_succeed(
    writers: int, rounds: int, bo: Profile, by: By
) -> None:
    for round_ in range(rounds):
        with alternate(round_, writers):
            met = at_once(*[lambda pair=f"loyalty-card:{round_ + 1}": route(pair, by=by)] * writers)

        assert met.codes == {"": writers}
        assert Counter(routed.outcome for routed in met) == {"created": 1, "matched": writers - 1}
        (profile,) = {routed.profile for routed in met}
        assert pairs_of(profile) == [f"loyalty-card:{round_ + 1}"]
        assert set(met.errors) <= {psycopg.errors.UniqueViolation}
    assert Profile.objects.count() == 1 + rounds
    assert not Profile.objects.filter(identities=None).exists()
    assert_sound()


@two_writers
def test_writers_of_the_same_new_pairs_in_opposite_order_do_not_deadlock(rounds: int, bo: Profile, by: By) -> None:
    for round_ in range(rounds):
        pairs = [f"pos:{round_}-{number}" for number in range(1, 4)]

        with slow_inserts("identities_identity", seconds=0.05), alternate(round_, 2):
            met = at_once(lambda there=pairs: route(*there, by=by), lambda back=pairs[::-1]: route(*back, by=by))

        (profile,) = {routed.profile for routed in met}
        assert pairs_of(profile) == pairs
        assert psycopg.errors.DeadlockDetected not in met.errors
    assert Profile.objects.count() == 1 + rounds
    assert_sound()


def test_a_record_follows_a_pair_that_moves_to_a_third_profile_before_the_lock(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    card = add(ada, "loyalty-card:1", by=by)

    with meanwhile(lambda: moving.move(card.pk, to=ada_again.pk, reason="Hers", by=by)):
        routed = route("loyalty-card:1", "pos:7", by=by)

    assert (routed.outcome, routed.profile, routed.identity) == ("attached", ada_again, card)
    assert (pairs_of(ada), pairs_of(ada_again)) == ([], ["loyalty-card:1", "pos:7"])


def test_the_owner_named_in_a_refusal_is_the_one_after_the_move(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    card = add(ada, "loyalty-card:1", by=by)

    with meanwhile(lambda: moving.move(card.pk, to=ada_again.pk, reason="Hers", by=by)), pytest.raises(Refused) as no:
        add(bo, "loyalty-card:1", by=by)

    assert no.value.details["profile_id"] == str(ada_again.pk)
    assert RoutingLogEntry.objects.get().candidates == [ada_again.pk]


def test_a_change_follows_an_identity_that_moves_before_the_lock(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    card = add(ada, "loyalty-card:1", by=by)

    with meanwhile(lambda: moving.move(card.pk, to=ada_again.pk, reason="Hers", by=by)):
        changed = routing.change(card.pk, identifier="2", is_primary=True, by=by, source=None)

    assert (changed.pk, changed.profile, changed.is_primary) == (card.pk, ada_again, True)
    assert (pairs_of(ada), pairs_of(ada_again)) == ([], ["loyalty-card:2"])


def test_a_change_of_an_identity_that_is_deleted_before_the_lock_is_not_there(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    card = add(ada, "loyalty-card:1", by=by)

    def give_to_another() -> None:
        routing.remove(card.pk, by=by, source=None)
        add(ada_again, "loyalty-card:1", by=by)

    with meanwhile(give_to_another), pytest.raises(Identity.DoesNotExist):
        routing.change(card.pk, is_active=False, by=by, source=None)

    assert ada_again.identities.get().is_active


@two_writers
def test_one_pair_added_to_two_profiles_at_once_has_one_owner(
    rounds: int, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    for round_ in range(rounds):
        pair = f"pos:7-{round_}"
        with alternate(round_, 2):
            met = at_once(lambda one=pair: add(ada, one, by=by), lambda one=pair: add(ada_again, one, by=by))

        assert met.codes == {"": 1, "identity_taken": 1}
        identity = Identity.objects.get(handle="pos", identifier=f"7-{round_}")
        (refusal,) = (answer for answer in met if isinstance(answer, Refused))
        assert refusal.details["profile_id"] == str(identity.profile_id)
        entry = RoutingLogEntry.objects.get(identifier=f"7-{round_}")
        assert (entry.pk, entry.candidates) == (refusal.details["log_entry_id"], [identity.profile_id])
    assert_sound()


@two_writers
def test_one_e_mail_set_on_two_profiles_at_once_has_one_owner(
    rounds: int, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    for round_ in range(rounds):
        with alternate(round_, 2):
            met = at_once(
                lambda email=f"ada{round_}@example.com": update(ada, by=by, email=email),
                lambda email=f"Ada{round_}@Example.com": update(ada_again, by=by, email=email),
            )

        assert met.codes == {"": 1, "identity_taken": 1}
        (refusal,) = (answer for answer in met if isinstance(answer, Refused))
        assert refusal.message == "The email exists"
        assert Identity.objects.filter(handle="email", identifier=f"ada{round_}@example.com").count() == 1
        assert_sound()


@two_writers
def test_two_makers_of_the_primary_agree_on_one(rounds: int, ada: Profile, bo: Profile, by: By) -> None:
    card, till = add(ada, "loyalty-card:1", by=by), add(ada, "pos:7", by=by)

    for _round in range(rounds):
        with meeting(2, ProfileQuerySet, "lock", patience=0.2):
            met = at_once(
                *[lambda pk=pk: routing.change(pk, is_primary=True, by=by, source=None) for pk in (card.pk, till.pk)]
            )

        assert met.codes == {"": 2}
        assert met.errors == [], "They wait for each other instead of failing and starting over."
        assert ada.identities.filter(is_primary=True).count() == 1


@two_writers
def test_two_adders_do_not_both_pass_a_limit(rounds: int, bo: Profile, by: By) -> None:
    Handle.objects.filter(name="pos").update(single_valued=True)

    for round_ in range(rounds):
        ada = route(f"loyalty-card:1-{round_}", by=by).profile
        with meeting(2, ProfileQuerySet, "lock", patience=0.2):
            met = at_once(*[lambda to=ada, pair=f"pos:{number}-{round_}": add(to, pair, by=by) for number in (7, 8)])

        assert met.codes == {"": 1, "too_many_identities": 1}
        assert ada.identities.filter(handle="pos").count() == 1
