"""A claim that meets a write of the same pair, or a decision that meets another: every end is one of one after the other."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from identities import adding, cataloguing, claiming, holding, matching, overriding
from identities.models import Identity, IdentityClaim, RoutingLogEntry
from profiles.auditing import By
from profiles.models import DuplicatePair, Profile
from profiles.refusing import Refused
from tests.cast import add, assert_sound, claim, claims_of, known, merge, pairs_of, sent
from tests.racing import at_once, before_each, meanwhile, two_writers, while_it_is_locked

pytestmark = pytest.mark.django_db(transaction=True)

CARD = "loyalty-card:777"


def claims(profile: Profile, by: By, pair: str = CARD) -> Any:
    return lambda: claiming.claim(profile.pk, sent(pair), by=by, source=None)


def writes(profile: Profile, by: By, pair: str = CARD) -> Any:
    return lambda: adding.add(profile.pk, sent(pair), by=by, source=None)


def gone(act: Any) -> Any:
    """Do it; None when the claim is gone already."""

    def try_it() -> Any:
        try:
            return act()
        except IdentityClaim.DoesNotExist:
            return None

    return try_it


@two_writers
def test_a_claim_and_a_write_of_the_same_pair_for_the_same_profile_leave_the_identity_alone(
    rounds: int, by: By
) -> None:
    for number in range(rounds):
        ada, pair = known(f"pos-customer:{number + 1}", by=by), f"loyalty-card:7{number}"

        at_once(claims(ada, by, pair), writes(ada, by, pair))

        assert pair in pairs_of(ada)
        assert claims_of(ada) == []
    assert_sound()
    assert not RoutingLogEntry.objects.exists()


@two_writers
def test_a_claim_and_a_write_of_the_same_pair_for_another_end_as_one_after_the_other(rounds: int, by: By) -> None:
    for number in range(rounds):
        ada, bo = (known(f"{handle}:{number + 1}", by=by) for handle in ("pos-customer", "pos"))
        pair = f"loyalty-card:7{number}"

        at_once(claims(ada, by, pair), writes(bo, by, pair))

        assert pair in pairs_of(bo)
        told = RoutingLogEntry.objects.filter(requested_profile=ada, outcome="claim_overridden").count()
        # The claim came before, and gave way; or it came after, and waits for staff as any claim of another's does.
        assert (claims_of(ada), told) in [([], 1), ([pair], 0)]
        assert DuplicatePair.objects.filter(low__in=[ada, bo], high__in=[ada, bo]).count() == told
    assert_sound()


def test_a_write_that_finds_the_claim_of_one_who_is_not_locked_starts_over_and_locks_both(by: By) -> None:
    """Whose claim it is shows only when the pair is written, which is too late to lock them in key order."""
    ada, bo = known("pos-customer:1", by=by), known("pos:1", by=by)
    claim(ada, CARD, by=by)
    started_over: list[Any] = []
    widen = holding.widen

    def watched(profile_ids: Any) -> Any:
        started_over.append(set(profile_ids))
        widen(started_over[-1])

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(overriding, "widen", watched)
        add(bo, CARD, by=by)

    assert started_over == [{ada.pk}]
    assert claims_of(ada) == []
    assert DuplicatePair.objects.count() == 1


def test_a_claim_made_between_look_and_lock_of_a_write_for_the_same_profile_is_seen(by: By) -> None:
    ada = known("pos-customer:1", by=by)

    with meanwhile(claims(ada, by), matching, "owners"):
        add(ada, CARD, by=by)

    assert CARD in pairs_of(ada)
    assert claims_of(ada) == []
    assert_sound()


def test_a_claim_waits_for_a_write_to_its_profile_and_finds_the_identity(by: By) -> None:
    ada = known("pos-customer:1", by=by)

    with while_it_is_locked(claims(ada, by)) as waiter:
        add(ada, CARD, by=by)

    assert waiter[0].row == Identity.objects.get(handle="loyalty-card")
    assert claims_of(ada) == []
    assert_sound()


@two_writers
def test_confirming_and_withdrawing_leave_one_of_the_two(rounds: int, by: By) -> None:
    for number in range(rounds):
        ada, pair = known(f"pos-customer:{number + 1}", by=by), f"loyalty-card:7{number}"
        row = claim(ada, pair, by=by)

        confirmed, _withdrawn = at_once(
            gone(lambda row=row: claiming.confirm(row.pk, by=by)),
            gone(lambda row=row, ada=ada: claiming.withdraw(row.pk, of=ada.pk, by=by)),
        )

        assert claims_of(ada) == []
        # Whoever was late found nothing more to decide.
        assert (pair in pairs_of(ada)) == (confirmed is not None)
    assert_sound()


def test_two_who_confirm_the_same_claim_make_one_identity(by: By) -> None:
    ada = known("pos-customer:1", by=by)
    row = claim(ada, CARD, by=by)
    confirm = gone(lambda: claiming.confirm(row.pk, by=by))

    met = at_once(confirm, confirm)

    assert sorted(one is None for one in met) == [False, True]
    assert pairs_of(ada) == [CARD, "pos-customer:1"]


def test_what_its_customer_says_while_staff_confirm_is_not_confirmed(by: By) -> None:
    ada = known("pos-customer:1", by=by)
    row = claim(ada, CARD, by=by)
    says = partial(claiming.change, row.pk, of=ada.pk, identifier="888", by=by)

    with before_each(claiming, "hold", says), pytest.raises(Refused) as raised:
        claiming.confirm(row.pk, said_at=row.updated_at, by=by)

    assert raised.value.code == "plan_changed"
    assert (claims_of(ada), pairs_of(ada)) == (["loyalty-card:888"], ["pos-customer:1"])


@two_writers
def test_two_claims_of_one_profile_make_one(rounds: int, by: By) -> None:
    for number in range(rounds):
        ada = known(f"pos-customer:{number + 1}", by=by)
        pair = f"loyalty-card:7{number}"

        met = at_once(claims(ada, by, pair), claims(ada, by, pair))

        assert sorted(one.created for one in met) == [False, True]
        assert claims_of(ada) == [pair]


@two_writers
def test_a_claim_and_a_merge_of_its_profile_never_lose_it(rounds: int, by: By) -> None:
    for number in range(rounds):
        ada, again = (known(f"{handle}:{number + 1}", by=by) for handle in ("pos-customer", "pos"))
        pair = f"loyalty-card:7{number}"

        at_once(claims(again, by, pair), lambda ada=ada, again=again: merge(ada, again, by=by))  # type: ignore[misc]

        assert claims_of(ada) == [pair]
    assert_sound()


@two_writers
def test_claims_of_each_others_pairs_and_writes_of_them_deadlock_nobody(rounds: int, by: By) -> None:
    for number in range(rounds):
        ada, bo = (known(f"{handle}:{number + 1}", by=by) for handle in ("pos-customer", "pos"))
        one, other = f"loyalty-card:7{number}", f"loyalty-card:8{number}"
        claim(ada, one, by=by)
        claim(bo, other, by=by)

        at_once(writes(bo, by, one), writes(ada, by, other))

        assert claims_of(ada) == claims_of(bo) == []
    assert_sound()


def stranger(by: By) -> Profile:
    """Somebody who is nothing but what they claim, and so is not locked by whoever writes that."""
    told = claiming.introduce([sent(CARD)], fields={}, contact={}, by=by, source=None)
    return told.profile


def test_a_claim_of_nobody_that_says_something_else_by_now_stays(by: By) -> None:
    profile, bo = stranger(by), known("pos:1", by=by)
    row = profile.claims.get()

    with before_each(overriding, "_lock", lambda: claiming.change(row.pk, of=profile.pk, identifier="778", by=by)):
        add(bo, CARD, by=by)

    assert CARD in pairs_of(bo)
    assert claims_of(profile) == ["loyalty-card:778"]
    assert_sound()


def test_a_claim_of_nobody_that_a_merge_has_taken_to_somebody_stays_until_somebody_looks(by: By) -> None:
    profile, bo, ada = stranger(by), known("pos:1", by=by), known("pos-customer:1", by=by)

    with before_each(overriding, "_lock", lambda: merge(ada, profile, by=by)):
        add(bo, CARD, by=by)

    assert claims_of(ada) == [CARD]
    assert_sound()


@two_writers
def test_a_claim_of_nobody_is_changed_or_gives_way(rounds: int, by: By) -> None:
    for number in range(rounds):
        bo, pair = known(f"pos:{number + 1}", by=by), f"loyalty-card:7{number}"
        told = claiming.introduce([sent(pair)], fields={}, contact={}, by=by, source=None)
        row = told.profile.claims.get()

        changed, _written = at_once(
            gone(lambda row=row, of=told.profile.pk: claiming.change(row.pk, of=of, identifier="999", by=by)),
            writes(bo, by, pair),
        )

        assert claims_of(told.profile) == (["loyalty-card:999"] if changed is not None else [])
    assert_sound()


@two_writers
def test_a_claim_that_is_changed_while_its_handle_gets_other_rules_keeps_them(rounds: int, by: By) -> None:
    """One locks the claim and then the handle, the other the handle and then its claims."""
    ada = known("pos-customer:1", by=by)
    row = claim(ada, "club-card:A0", by=by)
    handle = cataloguing.create({"name": "club-card", "status": "agreed"}, by=by)
    for number in range(1, rounds + 1):
        normaliser = "fold" if number % 2 else "exact"

        met = at_once(
            partial(claiming.change, row.pk, of=ada.pk, identifier=f"A{number}", by=by),
            partial(cataloguing.change, handle, {"normaliser": normaliser}, by=by),
        )

        assert met.unexpected() == []
        assert claims_of(ada) == [f"club-card:{'a' if normaliser == 'fold' else 'A'}{number}"]
    assert_sound()
