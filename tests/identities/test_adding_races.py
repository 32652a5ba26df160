"""Batches of identities that meet each other, and whoever else changes the same profiles, pairs and handles."""

from __future__ import annotations

import random
import threading
from collections.abc import Collection, Sequence
from typing import Any

import psycopg.errors
import pytest

from identities import adding, cataloguing, handles, holding, moving, releasing
from identities.adding import Added, Answer, Row
from identities.models import Handle, Identity, RoutingLogEntry
from identities.models.handle import HandleQuerySet
from profiles.auditing import By
from profiles.models import Audit, Profile
from profiles.refusing import Refused
from tests.cast import add, assert_sound, merge, pairs_of, sent, undo
from tests.racing import alternate, at_once, meanwhile, slow_inserts, two_writers

pytestmark = pytest.mark.django_db(transaction=True)


def batch(*rows: tuple[Profile, str], by: By) -> list[Answer]:
    return adding.add_all([Row(profile.pk, sent(pair)) for profile, pair in rows], by=by, source=None)


def words(answers: Sequence[Answer]) -> list[str]:
    """What became of each row: created, exists, or the code of its refusal."""
    return [
        ("created" if answer.created else "exists")
        if isinstance(answer, Added)
        else answer.code
        if isinstance(answer, Refused)
        else "not_found"
        for answer in answers
    ]


@two_writers
def test_batches_of_the_same_pairs_in_opposite_order_share_them_without_a_deadlock(
    rounds: int, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    for round_ in range(rounds):
        pairs = [f"pos:{round_}-{number}" for number in range(4)]
        there = [(ada, pair) for pair in pairs]
        back = [(ada_again, pair) for pair in reversed(pairs)]

        with slow_inserts("identities_identity", seconds=0.02), alternate(round_, 2):
            met = at_once(lambda rows=there: batch(*rows, by=by), lambda rows=back: batch(*rows, by=by))

        assert set(met.errors) <= {psycopg.errors.UniqueViolation}
        first, second = words(met[0]), words(met[1])
        assert sorted([first, second]) == [["created"] * 4, ["identity_taken"] * 4]
        winner = ada if first[0] == "created" else ada_again
        assert set(pairs) <= set(pairs_of(winner))
    assert RoutingLogEntry.objects.count() == 4 * rounds
    assert_sound()


@two_writers
def test_batches_for_the_same_profiles_in_opposite_order_wait_for_each_other(
    rounds: int, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    for round_ in range(rounds):
        there = [(ada, f"pos:a{round_}"), (ada_again, f"pos:b{round_}"), (ada, f"till:c{round_}")]
        back = [(ada_again, f"pos:d{round_}"), (ada, f"pos:e{round_}"), (ada_again, f"till:f{round_}")]

        # Where they read the catalogue: of an unknown handle the second one waits for the first before it matches.
        with alternate(round_, 2, handles, "read"):
            met = at_once(lambda rows=there: batch(*rows, by=by), lambda rows=back: batch(*rows, by=by))

        assert met.errors == []
        assert [words(answers) for answers in met] == [["created"] * 3] * 2
    assert_sound()


@two_writers
def test_many_batches_of_a_few_pairs_leave_each_with_one_owner(
    rounds: int, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    chance = random.Random(rounds)  # noqa: S311 - the same each time
    for round_ in range(rounds):

        def rows(number: int = round_) -> list[tuple[Profile, str]]:
            return [
                (chance.choice((ada, ada_again)), f"{chance.choice(('pos', f'new{number}'))}:{chance.randint(1, 6)}")
                for _row in range(10)
            ]

        lists = [rows() for _writer in range(4)]
        with alternate(round_, 4, handles, "read"):
            met = at_once(*[lambda mine=mine: batch(*mine, by=by) for mine in lists])

        for mine, answers in zip(lists, met, strict=True):
            for (profile, pair), answer in zip(mine, answers, strict=True):
                owner = Identity.objects.get(handle=sent(pair).handle, identifier=sent(pair).identifier).profile
                if isinstance(answer, Added):
                    assert owner == profile == answer.identity.profile
                else:
                    assert isinstance(answer, Refused)
                    assert (answer.code, answer.details["profile_id"]) == ("identity_taken", str(owner.pk))
    created = Audit.objects.filter(event="created", auditable_type="identity", profile__in=[ada, ada_again])
    assert created.count() == Identity.objects.filter(profile__in=[ada, ada_again]).count()
    assert_sound()


def test_rows_follow_a_merge_that_happens_before_the_lock(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    with meanwhile(lambda: merge(ada, ada_again, by=by)):
        answers = batch((ada_again, "pos:1"), (bo, "loyalty-card:bo"), (ada, "pos:2"), by=by)

    assert words(answers) == ["created", "exists", "created"]
    assert pairs_of(ada) == ["pos:1", "pos:2"]
    assert Identity.objects.get(identifier="1").addressed == ada_again.pk


def test_rows_follow_an_undo_that_happens_before_the_lock(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    (merged,) = merge(ada, ada_again, by=by)

    with meanwhile(lambda: undo(merged, by=by)):
        answers = batch((ada_again, "pos:1"), (bo, "loyalty-card:bo"), (ada, "pos:2"), by=by)

    assert words(answers) == ["created", "exists", "created"]
    assert (pairs_of(ada), pairs_of(ada_again)) == (["pos:2"], ["pos:1"])


def test_rows_see_a_pair_that_moves_before_the_lock(ada: Profile, ada_again: Profile, bo: Profile, by: By) -> None:
    card = add(ada, "loyalty-card:1", by=by)

    with meanwhile(lambda: moving.move(card.pk, to=ada_again.pk, reason="Hers", by=by)):
        answers = batch((ada, "loyalty-card:1"), (ada, "pos:7"), (ada_again, "loyalty-card:1"), by=by)

    assert words(answers) == ["identity_taken", "created", "exists"]
    assert RoutingLogEntry.objects.get().candidates == [ada_again.pk]


def test_rows_of_a_profile_that_is_deleted_before_the_lock_are_refused_and_leave_no_handle(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    add(ada, "loyalty-card:1", by=by)

    with meanwhile(lambda: releasing.delete(ada.pk, by=by)):
        answers = batch((ada, "brand-new:1"), (ada_again, "loyalty-card:1"), (ada, "pos:1"), by=by)

    assert words(answers) == ["profile_deleted", "created", "profile_deleted"]
    assert not Handle.objects.filter(name="brand-new").exists()
    assert [entry.outcome for entry in RoutingLogEntry.objects.all()] == ["released_from"]


def test_rows_of_a_profile_that_is_undeleted_before_the_lock_are_written_under_a_new_handle(
    ada: Profile, bo: Profile, by: By
) -> None:
    releasing.delete(ada.pk, by=by)

    with meanwhile(lambda: releasing.change_type(ada.pk, "active", by=by, source=None)):
        answers = batch((ada, "brand-new:1"), (bo, "loyalty-card:bo"), by=by)

    assert words(answers) == ["created", "exists"]
    assert pairs_of(ada) == ["brand-new:1"]


def test_rows_go_by_a_rule_that_changes_before_the_lock(ada: Profile, bo: Profile, by: By) -> None:
    add(ada, "pos:1", by=by)
    pos = Handle.objects.get(pk="pos")

    with meanwhile(lambda: cataloguing.change(pos, {"max_per_profile": 2}, by=by)):
        answers = batch((ada, "pos:2"), (bo, "loyalty-card:bo"), (ada, "pos:3"), by=by)

    assert words(answers) == ["created", "exists", "too_many_identities"]


@two_writers
def test_batches_with_one_unknown_handle_in_two_spellings_agree_on_one(
    rounds: int, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    for round_ in range(rounds):
        name = f"new{round_}"
        with alternate(round_, 2, handles, "read"):
            met = at_once(
                lambda name=name: batch((ada, f"{name}:1"), (ada, f"{name}:2"), by=by),
                lambda name=name: batch((ada_again, f"{name[:3]}-{name[3:]}:1"), (ada_again, "pos:1"), by=by),
            )

        assert [words(answers)[0] for answers in met] in (["created", "unknown_handle"], ["unknown_handle", "created"])
        assert Handle.objects.filter(fold=name).count() == 1
    assert_sound()


def test_a_batch_that_loses_every_race_is_halved_until_its_rows_get_through(
    ada: Profile, bo: Profile, by: By, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, keep, kept = threading.get_ident(), HandleQuerySet.keep, []

    def keep_late(self: HandleQuerySet, names: Collection[str]) -> Any:
        """Somebody changes a rule whenever this thread has read several handles and is about to keep them."""
        if threading.get_ident() == here:
            kept.append(sorted(names))
            if len(names) > 1:
                at_once(lambda: Handle.objects.filter(pk="pos").update(priority=len(kept)))
        return keep(self, names)

    monkeypatch.setattr(holding, "MOST_TRIES", 2)
    monkeypatch.setattr(HandleQuerySet, "keep", keep_late)

    answers = batch((ada, "pos:1"), (ada, "till:1"), (ada, "pos:2"), (ada, "pos:1"), (bo, "pos:2"), by=by)

    assert words(answers) == ["created", "created", "created", "exists", "identity_taken"]
    assert kept == [["pos", "till"]] * 4 + [["pos"], ["till"], ["pos"]]
    assert pairs_of(ada) == ["pos:1", "pos:2", "till:1"]


def test_a_single_row_that_loses_every_race_is_busy_and_those_before_it_are_written(
    ada: Profile, bo: Profile, by: By, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, keep = threading.get_ident(), HandleQuerySet.keep

    def keep_late(self: HandleQuerySet, names: Collection[str]) -> Any:
        if threading.get_ident() == here and "till" in names:
            at_once(lambda: Handle.objects.filter(pk="till").update(priority=random.randrange(10**6)))  # noqa: S311
        return keep(self, names)

    Handle.objects.create(name="till")
    monkeypatch.setattr(holding, "MOST_TRIES", 2)
    monkeypatch.setattr(HandleQuerySet, "keep", keep_late)

    with pytest.raises(holding.Busy):
        batch((ada, "pos:1"), (ada, "till:1"), (ada, "pos:2"), by=by)

    assert pairs_of(ada) == ["pos:1"]


def test_within_a_larger_write_a_refused_row_leaves_its_entry_if_the_whole_stands(
    ada: Profile, bo: Profile, by: By
) -> None:
    answers = holding.settle(lambda: batch((ada, "loyalty-card:bo"), (ada, "pos:1"), by=by))

    assert words(answers) == ["identity_taken", "created"]
    entry = RoutingLogEntry.objects.get()
    refusal = answers[0]
    assert isinstance(refusal, Refused)
    assert refusal.details == {"profile_id": str(bo.pk), "log_entry_id": entry.pk}
