"""Writes by the id of a merged profile while its merge is undone: they are with whom the id means at the commit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from identities import adding, attributing
from identities.attributing import Named
from identities.handles import Sent
from identities.models import Identity
from profiles import merging
from profiles.auditing import By
from profiles.models import CustomAttribute, Merge, Profile, ProfileQuerySet, Transaction
from tests.cast import add, assert_sound, came, change, known, merge, undo, update
from tests.profiles.test_merge_races import meet, people, rounds
from tests.racing import before_each

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("merge races")]

Write = Callable[[Profile, By], Any]


def add_pair(profile: Profile, by: By) -> Profile:
    return add(profile, "pos:9", by=by).profile


def set_contact(profile: Profile, by: By) -> Profile:
    update(profile, by=by, email="new@example.com")
    return Identity.objects.get(identifier="new@example.com").profile


def set_field(profile: Profile, by: By) -> Profile:
    update(profile, by=by, company="Analytical")
    return Profile.objects.get(company="Analytical")


def put_attribute(profile: Profile, by: By) -> Profile:
    return attributing.put(profile.pk, Named("shoes", "size", 39), by=by, source=None).profile


def record(profile: Profile, by: By) -> Profile | None:
    return came(Transaction, named=profile.pk, by=by).profile


def change_record(profile: Profile, by: By) -> Profile | None:
    """A record that was nobody's, and is sent again with the profile's id."""
    found: Profile | None = change(Transaction.objects.get(profile=None), named=profile.pk, by=by).record.profile
    return found


every_write = pytest.mark.parametrize(
    "write", [add_pair, set_contact, set_field, put_attribute, record, change_record], ids=lambda write: write.__name__
)


@pytest.fixture(autouse=True)
def nobodys(by: By) -> Transaction:
    return came(Transaction, by=by)


def once(act: Callable[[], Any]) -> Callable[[], Any]:
    done: list[bool] = []

    def acted() -> None:
        if not done:
            done.append(True)
            act()

    return acted


@every_write
def test_a_write_by_a_merged_id_goes_to_its_own_when_the_merge_is_undone_before_the_lock(write: Write, by: By) -> None:
    ada, again = known("loyalty-card:1", by=by), known("loyalty-card:2", by=by)
    (done,) = merge(ada, again, by=by)

    with before_each(ProfileQuerySet, "lock", once(lambda: undo(done, by=by))):
        found = write(again, by)

    assert found == again
    assert_sound()


@every_write
def test_a_write_by_a_merged_id_goes_to_whom_it_was_merged_into_instead_meanwhile(write: Write, by: By) -> None:
    ada, again, bo = (known(f"loyalty-card:{number}", by=by) for number in "123")
    (done,) = merge(ada, again, by=by)

    def otherwise() -> None:
        undo(done, by=by)
        merge(bo, again, by=by)

    with before_each(ProfileQuerySet, "lock", once(otherwise)):
        found = write(again, by)

    assert found == bo
    assert_sound()


@every_write
def test_a_write_by_a_merged_id_is_not_refused_for_a_survivor_that_it_no_longer_means(write: Write, by: By) -> None:
    ada, again = known("loyalty-card:1", by=by), known("loyalty-card:2", by=by)
    (done,) = merge(ada, again, by=by)

    def part_and_delete() -> None:
        undo(done, by=by)
        Profile.objects.filter(pk=ada.pk).update(profile_type=Profile.Type.DELETED)

    with before_each(ProfileQuerySet, "lock", once(part_and_delete)):
        found = write(again, by)

    assert found == again


def test_an_attribute_is_not_taken_from_the_former_survivor(by: By) -> None:
    ada, again = known("loyalty-card:1", by=by), known("loyalty-card:2", by=by)
    attributing.put(ada.pk, Named("shoes", "size", 39), by=by, source=None)
    (done,) = merge(ada, again, by=by)

    with (
        before_each(ProfileQuerySet, "lock", once(lambda: undo(done, by=by))),
        pytest.raises(CustomAttribute.DoesNotExist),
    ):
        attributing.remove(again.pk, "shoes", "size", by=by)

    assert CustomAttribute.objects.get().profile == ada


@rounds
def test_writes_by_a_duplicates_id_that_meet_the_undo_are_all_with_the_duplicate(rounds: int, by: By) -> None:
    cast = people(rounds, "AB")
    merges = [merge(one["A"], one["B"], by=by)[0] for one in cast]

    def part(done: Merge) -> Callable[[], Any]:
        return lambda: merging.undo(done.pk, by=by)

    def write(profile: Profile, number: int) -> Callable[[], Any]:
        if number % 2:
            return lambda: came(Transaction, named=profile.pk, external_id=f"new{number}", by=by)
        return lambda: adding.add(profile.pk, Sent("pos", f"new{number}"), by=by, source=None)

    writes = [write(one["B"], number) for number, one in enumerate(cast)]
    met = meet(list(zip(map(part, merges), writes, strict=True)))

    assert [answer for answers in met for answer in answers if isinstance(answer, Exception)] == []
    added = Identity.objects.filter(handle="pos")
    assert {row.identifier: row.profile_id for row in added} == {
        f"new{number}": one["B"].pk for number, one in enumerate(cast) if not number % 2
    }
    assert {row.external_id: row.profile_id for row in Transaction.objects.exclude(profile=None)} == {
        f"new{number}": one["B"].pk for number, one in enumerate(cast) if number % 2
    }
    assert_sound()
