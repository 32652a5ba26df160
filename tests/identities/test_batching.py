"""Batches of profiles at the operation: cut short and gone on with, in races, and with faults of ours."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from django.db import OperationalError

from identities import batching, routing
from identities.models import Identity, RoutingLogEntry
from profiles import tasks
from profiles.auditing import By
from profiles.models import Audit, Profile, ProfileBatch
from tests.cast import assert_sound, pairs_of, route
from tests.racing import at_once, before_each, two_writers

pytestmark = pytest.mark.django_db(transaction=True)


def profile(*pairs: str, **fields: Any) -> dict[str, Any]:
    """A profile as a client would send it."""
    handles = [pair.partition(":") for pair in pairs]
    return {**fields, "identities": [{"handle": name, "identifier": value} for name, _colon, value in handles]}


def queue(*profiles: Any, by: By, criterion: str = "loyalty-card") -> ProfileBatch:
    return batching.queue(criterion, profiles, by=by, source=None)


def bring_in(batch: ProfileBatch, *, read: Any = tasks.read, stop: Any = lambda: False, give_up: bool = False) -> bool:
    return batching.bring_in(batch.pk, read=read, stop=stop, give_up=give_up)


def results(batch: ProfileBatch) -> list[str]:
    return [row.code or row.result for row in batch.rows.all()]


def status(batch: ProfileBatch) -> str:
    return ProfileBatch.objects.get(pk=batch.pk).status


def test_a_batch_goes_on_where_it_was_stopped(by: By) -> None:
    batch = queue(*(profile(f"loyalty-card:N{number}", company="x") for number in range(5)), by=by)
    asked = itertools.count()

    assert not bring_in(batch, stop=lambda: next(asked) == 2)
    assert results(batch) == ["created", "created", "", "", ""]
    assert status(batch) == "running"
    assert [row.payload is None for row in batch.rows.all()] == [True, True, False, False, False]

    assert bring_in(batch)
    assert results(batch) == ["created"] * 5
    assert status(batch) == "finished"
    assert Audit.objects.filter(event="created", auditable_type="profile").count() == Profile.objects.count() == 5


def test_doing_it_all_again_changes_nothing(by: By) -> None:
    batch = queue(profile("loyalty-card:N1", company="x"), profile("loyalty-card:null"), by=by)
    bring_in(batch)
    Profile.objects.update(company="changed since")
    finished = ProfileBatch.objects.get()

    assert bring_in(batch)

    assert Profile.objects.get().company == "changed since"
    assert ProfileBatch.objects.get().finished_at == finished.finished_at
    assert results(batch) == ["created", "blocked_identifier"]


def test_two_workers_on_one_batch_do_each_row_once(by: By) -> None:
    batch = queue(*(profile(f"loyalty-card:N{number}", tags=["x"]) for number in range(12)), by=by)

    at_once(lambda: bring_in(batch), lambda: bring_in(batch))

    assert results(batch) == ["created"] * 12
    assert Audit.objects.filter(auditable_type="profile").count() == 12
    assert_sound()


def test_a_fault_of_ours_leaves_its_row_for_the_next_try(by: By) -> None:
    batch = queue(*(profile(f"loyalty-card:N{number}") for number in range(3)), by=by)

    def read(payload: Any) -> batching.Row:
        given = tasks.read(payload)
        if given.sent[0].identifier == "N1":
            raise ZeroDivisionError
        return given

    with pytest.raises(ZeroDivisionError):
        bring_in(batch, read=read)
    assert results(batch) == ["created", "", ""]
    assert status(batch) == "running"

    assert bring_in(batch)
    assert results(batch) == ["created"] * 3


def test_on_the_last_try_a_fault_costs_its_row_and_not_the_batch(by: By, caplog: pytest.LogCaptureFixture) -> None:
    batch = queue(*(profile(f"loyalty-card:N{number}", company="x") for number in range(3)), by=by)

    def fields_of(_profile: Profile | None) -> dict[str, Any]:
        raise ZeroDivisionError

    def read(payload: Any) -> batching.Row:
        given = tasks.read(payload)
        return replace(given, fields_of=fields_of) if given.sent[0].identifier == "N1" else given

    assert bring_in(batch, read=read, give_up=True)

    assert results(batch) == ["created", "server_error", "created"]
    assert "ZeroDivisionError" in caplog.text
    assert Profile.objects.count() == 2


def test_a_database_that_is_away_is_never_a_rows_fault(by: By) -> None:
    batch = queue(profile("loyalty-card:N1"), by=by)

    def read(payload: Any) -> batching.Row:
        raise OperationalError

    with pytest.raises(OperationalError):
        bring_in(batch, read=read, give_up=True)
    assert results(batch) == [""]


def test_who_was_made_meanwhile_is_changed_as_anybody_who_is_known(by: By) -> None:
    batch = queue(profile("loyalty-card:N1", company="Sent"), by=by)

    with before_each(routing, "route", lambda: route("loyalty-card:N1", by=by, company="Meanwhile", first_name="Eve")):
        bring_in(batch)

    assert results(batch) == ["updated"]
    eve = Profile.objects.get()
    assert (eve.first_name, eve.company) == ("Eve", "Sent")


def test_a_pair_that_somebody_took_meanwhile_is_an_error(ada: Profile, by: By) -> None:
    route("loyalty-card:N1", by=by, first_name="Eve")
    batch = queue(profile("loyalty-card:N1", "pos:T07", company="Sent"), by=by)

    with before_each(routing, "update", lambda: route("pos:T07", by=by, first_name="Fay")):
        bring_in(batch)

    fay = Profile.objects.get(first_name="Fay")
    assert results(batch) == ["identity_taken"]
    assert batch.rows.get().profile_id == fay.pk
    assert RoutingLogEntry.objects.get().occurrences == 1
    assert Profile.objects.get(first_name="Eve").company == ""


@two_writers
def test_two_batches_with_the_same_pairs_in_opposite_order_both_come_through(by: By, rounds: int) -> None:
    for round_ in range(rounds):
        cards = [f"loyalty-card:{round_}-{number}" for number in range(4)]
        tills = [f"pos:{round_}-{number}" for number in range(4)]
        rows = [profile(*pair) for pair in zip(cards, tills, strict=True)]
        forth, back = queue(*rows, by=by), queue(*reversed(rows), by=by, criterion="pos")

        at_once(partial(bring_in, forth), partial(bring_in, back))

        assert sorted(results(forth) + results(back)) == ["created"] * 4 + ["updated"] * 4
    assert Profile.objects.count() == 4 * rounds
    assert Identity.objects.count() == 8 * rounds
    assert all(len(pairs_of(one)) == 2 for one in Profile.objects.all())
    assert_sound()
