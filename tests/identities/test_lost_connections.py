"""Writes on a connection that the server has closed since the last one."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection, transaction

from identities.holding import settle
from identities.models import Identity
from profiles.auditing import By
from profiles.models import Profile
from tests.cast import route
from tests.killing import lose_the_connection

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_write_on_a_lost_connection_starts_over_on_a_new_one(by: By) -> None:
    lose_the_connection()

    routed = route("loyalty-card:1", by=by)

    assert routed.outcome == "created"
    assert Identity.objects.get().profile == routed.profile


def test_a_connection_that_is_lost_in_the_middle_of_a_write_costs_nothing_of_it(by: By) -> None:
    names: list[str] = []

    def attempt() -> None:
        names.append("Ada" if not names else "Ada again")
        Profile.objects.create(first_name=names[-1])
        if len(names) == 1:
            lose_the_connection()
        Profile.objects.create(last_name="Lovelace")

    settle(attempt)

    assert sorted(Profile.objects.values_list("first_name", "last_name")) == [("", "Lovelace"), ("Ada again", "")]


def test_a_write_whose_commit_met_the_loss_is_not_done_again() -> None:
    """It may be there already."""
    tries: list[bool] = []

    def attempt() -> None:
        tries.append(True)
        Profile.objects.create()
        lose_the_connection()

    with pytest.raises(OperationalError):
        settle(attempt)

    assert len(tries) == 1


def test_a_write_that_is_part_of_another_is_not_done_again_by_itself(by: By) -> None:
    """What the whole had written before on the old connection is gone."""
    with pytest.raises(OperationalError), transaction.atomic():
        Profile.objects.create()
        lose_the_connection()
        route("loyalty-card:1", by=by)

    assert not Profile.objects.exists()


def test_a_database_that_goes_again_and_again_is_an_error_after_the_second_try() -> None:
    connection.ensure_connection()
    tries: list[bool] = []

    def attempt() -> None:
        tries.append(True)
        lose_the_connection()
        Profile.objects.create()

    with pytest.raises(OperationalError):
        settle(attempt)

    assert len(tries) == 2
