"""Writers that meet a rename, a merge of two handles or a change of the normaliser: no pair is left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.db import transaction

from identities import lookup, moving, releasing, renaming, renormalising, rewriting, routing
from identities.models import Handle, Identity, RoutingLogEntry
from identities.models.handle import HandleQuerySet
from profiles.auditing import By
from profiles.models import Move, Profile
from profiles.refusing import Refused
from tests.cast import add, assert_sound, pairs_of, route
from tests.racing import PATIENCE, at_once, meanwhile, meeting, two_writers, while_it_is_locked

pytestmark = pytest.mark.django_db(transaction=True)


def rename(to: str, *, of: str = "pos2", by: By) -> Callable[[], Any]:
    return lambda: renaming.rename(Handle.objects.get(pk=of), to=to, reason="", by=by)


def merge(into: str = "pos", *, of: str = "pos2", by: By) -> Callable[[], Any]:
    handles = Handle.objects.in_bulk([of, into])
    return lambda: renaming.merge(handles[of], into=handles[into], reason="", by=by)


def renormalise(normaliser: str, *, by: By) -> Callable[[], Any]:
    return lambda: renormalising.change(Handle.objects.get(pk="pos2"), {"normaliser": normaliser}, by=by)


def left_behind() -> list[str]:
    """What stands under a former name, where nobody would find it."""
    return [str(row.pair) for row in Identity.objects.exclude(handle__renamed_to=None)]


@pytest.fixture
def pos2(ada: Profile, bo: Profile, by: By) -> Handle:
    add(ada, "pos2:9000", by=by)
    return Handle.objects.get(pk="pos2")


@pytest.mark.parametrize("name", ["rename", "merge"])
def test_a_write_that_has_matched_before_follows(
    name: str, pos2: Handle, ada: Profile, ada_again: Profile, by: By
) -> None:
    """Every way to write a pair, each of which has read the old name when the handle gets another."""
    mine = Identity.objects.get(handle="pos2")
    writes: list[Callable[[], Any]] = [
        lambda: route("pos2:1", by=by),
        lambda: route("pos2:9000", "loyalty-card:7", by=by),
        lambda: add(ada, "pos2:2", by=by),
        lambda: add(ada, "pos2:9000", by=by),
        lambda: routing.change(mine.pk, identifier="9001", by=by, source=None),
        lambda: routing.change(mine.pk, is_active=False, by=by, source=None),
        lambda: routing.change(mine.pk, is_primary=True, by=by, source=None),
        lambda: moving.move(mine.pk, to=ada_again.pk, reason="Hers.", by=by),
        lambda: routing.remove(mine.pk, by=by, source=None),
    ]
    for number, write in enumerate(writes):
        to = f"till-{number}" if name == "rename" else "pos"
        operation = rename(to, by=by) if name == "rename" else merge(by=by)

        with meanwhile(operation):
            write()

        assert left_behind() == [], number
        assert not Identity.objects.filter(handle="pos2").exists(), number
        # And once more.
        Handle.objects.filter(pk="pos2").update(status="undocumented", renamed_to=None)
        Identity.objects.filter(handle=to).update(handle="pos2")
    assert not Identity.objects.filter(pk=mine.pk).exists()
    assert pairs_of(ada) == ["loyalty-card:7", "pos2:2"]
    assert sorted(Identity.objects.filter(handle="pos2").values_list("identifier", flat=True)) == ["1", "2"]
    assert_sound()


def test_what_a_deleted_profile_left_behind_is_taken_over_under_the_new_name(
    pos2: Handle, ada: Profile, ada_again: Profile, by: By
) -> None:
    releasing.delete(ada.pk, by=by)

    with meanwhile(rename("till-2", by=by)):
        identity = add(ada_again, "pos2:9000", by=by)

    assert (str(identity.pair), identity.profile) == ("till-2:9000", ada_again)
    assert (Identity.objects.filter(identifier="9000").count(), left_behind()) == (1, [])


def test_a_write_that_meets_the_other_handles_pair_after_a_merge_is_told_who_has_it(
    pos2: Handle, ada: Profile, ada_again: Profile, by: By
) -> None:
    add(ada_again, "pos:7", by=by)

    with meanwhile(merge(by=by)), pytest.raises(Refused) as refusal:
        add(ada, "pos2:7", by=by)

    assert (refusal.value.code, refusal.value.details["profile_id"]) == ("identity_taken", str(ada_again.pk))
    assert RoutingLogEntry.objects.get().handle == "pos"


@pytest.mark.parametrize("name", ["rename", "merge", "renormalise"])
def test_it_waits_for_a_writer_that_has_kept_the_rules_and_takes_its_pair_along(
    name: str, pos2: Handle, ada: Profile, by: By
) -> None:
    operation = {
        "rename": rename("till-2", by=by), "merge": merge(by=by), "renormalise": renormalise("fold", by=by),
    }[name]  # fmt: skip

    with while_it_is_locked(operation, HandleQuerySet, "keep") as met:
        add(ada, "pos2:Ab-1", by=by)

    assert (met.errors, met.unexpected(), left_behind()) == ([], [], [])
    assert (
        pairs_of(ada)
        == {
            "rename": ["till-2:9000", "till-2:Ab-1"],
            "merge": ["pos:9000", "pos:Ab-1"],
            "renormalise": ["pos2:9000", "pos2:ab-1"],
        }[name]
    )
    assert lookup.resolve([("pos2", "Ab-1")]) == [ada.pk]


@pytest.mark.parametrize("name", ["rename", "merge", "renormalise"])
def test_a_writer_waits_while_it_is_done_and_follows(name: str, pos2: Handle, ada: Profile, by: By) -> None:
    operation = {
        "rename": rename("till-2", by=by), "merge": merge(by=by), "renormalise": renormalise("fold", by=by),
    }[name]  # fmt: skip

    with while_it_is_locked(lambda: add(ada, "pos2:Ab-1", by=by), HandleQuerySet, "lock") as met:
        operation()

    assert (met.errors, left_behind()) == ([], [])
    assert str(met[0].pair) == {"rename": "till-2:Ab-1", "merge": "pos:Ab-1", "renormalise": "pos2:ab-1"}[name]


def test_a_first_spelling_and_a_new_normaliser_do_not_leave_two(pos2: Handle, ada: Profile, by: By) -> None:
    add(ada, "pos2:abc", by=by)

    with meanwhile(renormalise("fold", by=by)):
        identity = add(ada, "pos2:ABC", by=by)

    assert identity.identifier == "abc"
    assert pairs_of(ada) == ["pos2:9000", "pos2:abc"]


@two_writers
def test_of_two_renames_of_one_handle_one_is_refused(rounds: int, pos2: Handle, ada: Profile, by: By) -> None:
    name = "pos2"
    for round_ in range(rounds):
        first, second = f"till-{round_}-a", f"till-{round_}-b"

        met = at_once(rename(first, of=name, by=by), rename(second, of=name, by=by))

        assert met.codes == {"": 1, "retired_handle": 1}
        assert met.errors == []
        (name,) = Identity.objects.filter(profile=ada).values_list("handle", flat=True)
        assert name in (first, second)
        assert lookup.resolve([("pos2", "9000")]) == [ada.pk]


@two_writers
def test_of_two_handles_that_want_one_name_one_is_refused(rounds: int, pos2: Handle, ada: Profile, by: By) -> None:
    names = ["pos2", "pos"]
    add(ada, "pos:7", by=by)
    for round_ in range(rounds):
        with meeting(2, HandleQuerySet, "lock"):
            met = at_once(*[rename(f"till-{round_}", of=name, by=by) for name in names])

        assert met.codes == {"": 1, "invalid_handle": 1}
        names = sorted(set(Identity.objects.filter(profile=ada).values_list("handle", flat=True)))
        assert len(names) == 2
    assert left_behind() == []


@two_writers
def test_a_name_that_is_first_written_while_a_handle_gets_it_is_one_handle(
    rounds: int, pos2: Handle, ada: Profile, ada_again: Profile, by: By
) -> None:
    name = "pos2"
    for round_ in range(rounds):
        to = f"till-{round_}"

        first = partial(add, ada_again, f"{to}:new", by=by)
        met = at_once(rename(to, of=name, by=by), first)

        assert isinstance(met[1], Identity)
        assert met[1].handle_id == to
        name = to if met.codes == {"": 2} else name
        assert Identity.objects.get(identifier="9000").handle_id == name
    assert left_behind() == []
    assert_sound()


@two_writers
def test_merges_in_opposite_directions_do_not_deadlock(rounds: int, pos2: Handle, ada: Profile, by: By) -> None:
    for round_ in range(rounds):
        names = [f"till-{round_}-a", f"till-{round_}-b"]
        for name in names:
            Handle.objects.create(name=name, status="agreed")
            add(ada, f"{name}:{name}", by=by)

        met = at_once(merge(names[1], of=names[0], by=by), merge(names[0], of=names[1], by=by))

        assert (sum(met.codes.values()), met.codes[""], met.errors) == (2, 1, [])
        assert len(set(Identity.objects.filter(identifier__in=names).values_list("handle", flat=True))) == 1
    assert left_behind() == []


def test_writers_who_go_on_while_a_handle_is_renamed_to_and_fro_lose_nothing(
    pos2: Handle, ada: Profile, by: By
) -> None:
    done = threading.Event()

    def write(mine: int) -> None:
        for number in range(10):
            route(f"pos2:{mine}-{number}", f"loyalty-card:{mine}", by=by)

    def keep_renaming() -> None:
        name, other = "pos2", "till-2"
        while not done.is_set():
            renaming.rename(Handle.objects.get(pk=name), to=other, reason="", by=by)
            name, other = other, name
            # Nobody renames without a pause; a write that lost ten times in a row would be told to come again.
            done.wait(0.05)

    with ThreadPoolExecutor(1) as pool:
        renamed = pool.submit(at_once, keep_renaming)
        try:
            met = at_once(*[lambda mine=mine: write(mine) for mine in range(1, 4)])
        finally:
            done.set()
        assert renamed.result(PATIENCE).unexpected() == []

    assert met.unexpected() == []
    assert left_behind() == []
    assert Identity.objects.filter(handle__in=["pos2", "till-2"]).values("handle").distinct().count() == 1
    for mine in range(1, 4):
        found = lookup.resolve([("pos2", f"{mine}-{number}") for number in range(10)])
        assert len(set(found)) == 1 and found[0] is not None
    assert_sound()


def test_a_profile_that_comes_back_while_its_pair_would_give_way_keeps_it(
    pos2: Handle, ada: Profile, ada_again: Profile, by: By, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The merge does not wait for the profile with its handles locked, which the undelete may want: it starts over."""
    add(ada_again, "pos:9000", by=by)
    releasing.delete(ada.pk, by=by)
    tries, free = threading.Semaphore(0), rewriting._free

    def freed(*args: Any, **kwargs: Any) -> None:
        tries.release()
        free(*args, **kwargs)

    monkeypatch.setattr(rewriting, "_free", freed)
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        Profile.objects.lock([ada.pk])
        merging = pool.submit(at_once, merge(by=by))
        for _try in range(2):
            assert tries.acquire(timeout=PATIENCE)
        Profile.objects.filter(pk=ada.pk).update(profile_type="active", deleted_at=None)
    met = merging.result(PATIENCE)

    assert met.codes == {"identity_taken": 1}
    assert pairs_of(ada) == ["pos2:9000"]
    assert not Move.objects.exists()
