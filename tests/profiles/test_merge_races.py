"""Merges, undos and writes that meet: nobody sees a deadlock, nothing is left behind, some order explains the result."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from identities import adding
from identities.handles import Sent
from identities.models import Handle, Identity
from profiles import merging
from profiles.auditing import By
from profiles.merging.lineage import Lineage
from profiles.models import Merge, Profile, Transaction
from profiles.refusing import Refused
from tests.cast import assert_sound, come, pairs_of, records_of
from tests.racing import PATIENCE, at_once, while_it_is_locked

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("merge races")]

rounds = pytest.mark.parametrize("rounds", [100, pytest.param(1_000, marks=pytest.mark.slow)], ids=["short", "long"])

Write = Callable[[], Any]


def people(number: int, letters: str) -> list[dict[str, Profile]]:
    """So many times a profile for each letter, known by loyalty-card:<letter><number>. Made at once, being many."""
    handle = Handle.objects.get(pk="loyalty-card")
    cast = [{letter: Profile(first_name=letter) for letter in letters} for _round in range(number)]
    Profile.objects.bulk_create(profile for one in cast for profile in one.values())
    Identity.objects.bulk_create(
        Identity(profile=profile, handle=handle, identifier=f"{letter}{place}")
        for place, one in enumerate(cast)
        for letter, profile in one.items()
    )
    return cast


def meet(pairs_of_writes: Sequence[tuple[Write, Write]]) -> Iterator[tuple[Any, Any]]:
    """Let two threads begin the two writes of each round at the same moment; gives what they returned, or raised."""
    ready = threading.Barrier(2)

    def run(side: int) -> list[Any]:
        answers = []
        try:
            for writes in pairs_of_writes:
                ready.wait(PATIENCE)
                try:
                    answers.append(writes[side]())
                except Refused as refusal:
                    answers.append(refusal)
            return answers
        except BaseException:
            ready.abort()
            raise
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(run, 0), pool.submit(run, 1)
        yield from zip(first.result(), second.result(), strict=True)


def merge(survivor: Profile, *duplicates: Profile, by: By) -> Write:
    return lambda: merging.merge(survivor.pk, [one.pk for one in duplicates], by=by)


def code(answer: Any) -> str:
    return answer.code if isinstance(answer, Refused) else ""


def root(profile: Profile) -> Profile:
    return Profile.objects.surviving(profile.pk)


@rounds
def test_of_two_opposite_merges_one_is_done_and_the_other_finds_it_done(rounds: int, by: By) -> None:
    cast = people(rounds, "AB")

    met = meet([(merge(one["A"], one["B"], by=by), merge(one["B"], one["A"], by=by)) for one in cast])

    for number, (one, answers) in enumerate(zip(cast, met, strict=True)):
        assert sorted(map(code, answers)) == ["", "already_merged"]
        survivor = next(answer.survivor for answer in answers if not code(answer))
        assert root(one["A"]) == root(one["B"]) == survivor
        assert pairs_of(survivor) == [f"loyalty-card:A{number}", f"loyalty-card:B{number}"]
    assert_sound()


@rounds
def test_a_pair_added_to_the_duplicate_meanwhile_is_with_the_survivor(rounds: int, by: By) -> None:
    cast = people(rounds, "AB")

    def add(profile: Profile, number: int) -> Write:
        return lambda: adding.add(profile.pk, Sent("pos", f"new{number}"), by=by, source=None)

    met = meet([(merge(one["A"], one["B"], by=by), add(one["B"], number)) for number, one in enumerate(cast)])

    for number, (one, answers) in enumerate(zip(cast, met, strict=True)):
        assert list(map(code, answers)) == ["", ""]
        assert f"pos:new{number}" in pairs_of(one["A"])
    assert_sound()


@rounds
def test_two_merges_that_share_a_side_are_done_one_after_the_other(rounds: int, by: By) -> None:
    cast = people(rounds, "ABC")

    met = meet(
        [
            (merge(one["A"], one["B"], by=by), merge(one["C"], one["B"], by=by))
            if number % 2
            else (merge(one["A"], one["B"], by=by), merge(one["B"], one["C"], by=by))
            for number, one in enumerate(cast)
        ]
    )

    for number, (one, answers) in enumerate(zip(cast, met, strict=True)):
        codes = list(map(code, answers))
        if number % 2:
            assert sorted(codes) == ["", "already_merged"]
        else:
            # B into A first: then there is no B to merge C into.
            assert codes in (["", ""], ["", "already_merged"])
        assert Merge.objects.filter(duplicate__in=one.values()).count() == codes.count("")
    assert_sound()


@rounds
def test_an_undo_and_another_merge_of_the_same_survivor_are_both_done(rounds: int, by: By) -> None:
    cast = people(rounds, "ABC")
    merges = [merge(one["A"], one["B"], by=by)().merges[0] for one in cast]

    def undo(one: Merge) -> Write:
        return lambda: merging.undo(one.pk, by=by)

    met = meet([(undo(done), merge(one["A"], one["C"], by=by)) for one, done in zip(cast, merges, strict=True)])

    for number, (one, answers) in enumerate(zip(cast, met, strict=True)):
        assert list(map(code, answers)) == ["", ""]
        assert pairs_of(one["A"]) == [f"loyalty-card:A{number}", f"loyalty-card:C{number}"]
        assert pairs_of(one["B"]) == [f"loyalty-card:B{number}"]
    assert_sound()


@rounds
def test_a_record_that_comes_while_its_profile_is_merged_or_revived_is_where_it_belongs(rounds: int, by: By) -> None:
    cast = people(rounds, "AB")

    def sell(number: int) -> Write:
        return lambda: come(Transaction, f"loyalty-card:B{number}", f"pos:with{number}", by=by)

    merged = list(meet([(merge(one["A"], one["B"], by=by), sell(number)) for number, one in enumerate(cast)]))

    for number, one in enumerate(cast):
        assert len(records_of(one["A"])) == 1
        assert f"pos:with{number}" in pairs_of(one["A"])
    assert_sound()

    def undo(done: merging.Merged) -> Write:
        return lambda: merging.undo(done.merges[0].pk, by=by)

    met = meet([(undo(answers[0]), sell(number)) for number, answers in enumerate(merged)])

    for number, (one, answers) in enumerate(zip(cast, met, strict=True)):
        assert list(map(code, answers)) == ["", ""]
        assert len(records_of(one["B"])) == 2
        assert pairs_of(one["B"]) == [f"loyalty-card:B{number}", f"pos:with{number}"]
    assert_sound()


@rounds
def test_of_two_undos_of_one_merge_one_finds_it_undone(rounds: int, by: By) -> None:
    cast = people(rounds, "AB")
    merges = [merge(one["A"], one["B"], by=by)().merges[0] for one in cast]

    def undo(one: Merge) -> Write:
        return lambda: merging.undo(one.pk, by=by)

    for answers in meet([(undo(one), undo(one)) for one in merges]):
        assert sorted(map(code, answers)) == ["", "already_undone"]
    assert_sound()


def test_a_preview_that_meets_what_it_previews_tells_what_is_by_then(by: By) -> None:
    (one,) = people(1, "AB")
    told: list[str] = []

    def tell(preview: Write) -> None:
        try:
            told.extend(refusal.code for refusal in getattr(preview(), "blockers", []))
        except Refused as refusal:
            told.append(refusal.code)

    done: list[merging.Merged] = []
    with before_the_lineage_is_read(lambda: done.append(merge(one["A"], one["B"], by=by)())):
        tell(lambda: merging.preview(one["A"].pk, [one["B"].pk]))
    with before_the_lineage_is_read(lambda: merging.undo(done[0].merges[0].pk, by=by)):
        tell(lambda: merging.preview_undo(done[0].merges[0].pk))

    assert told == ["already_merged", "already_undone"]


@contextmanager
def before_the_lineage_is_read(other: Write) -> Iterator[None]:
    """Let something else begin and end after the first reads of a preview, and before the others."""
    read = Lineage.read
    happened: list[bool] = []

    def called(ids: Any) -> Lineage:
        if not happened and threading.current_thread() is threading.main_thread():
            happened.append(True)
            at_once(other)
        return read(ids)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Lineage, "read", called)
        yield
    assert happened


def test_a_write_waits_for_the_undo_of_its_profile(by: By) -> None:
    (one,) = people(1, "AB")
    done = merge(one["A"], one["B"], by=by)()

    with while_it_is_locked(lambda: come(Transaction, "loyalty-card:B0", by=by)) as waiter:
        merging.undo(done.merges[0].pk, by=by)

    assert [answer.record.profile for answer in waiter] == [one["B"]]


def test_an_undo_waits_for_a_write_to_its_profile(by: By) -> None:
    (one,) = people(1, "AB")
    done = merge(one["A"], one["B"], by=by)()

    with while_it_is_locked(lambda: merging.undo(done.merges[0].pk, by=by)):
        come(Transaction, "loyalty-card:B0", by=by)

    assert len(records_of(one["B"])) == 1
