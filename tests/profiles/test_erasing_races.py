"""Erasures and writes that meet: the person is gone, or the write came first and went with them."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from django.db import IntegrityError
from django.test import Client

from identities import holding, lookup, recording, tokens
from identities.models import ApiToken, Identity, RoutingLogEntry
from profiles import erasing, merging
from profiles.auditing import By
from profiles.models import Delivery, Event, Profile, Transaction, Webhook
from profiles.reacting import taking_up
from profiles.refusing import Refused
from tests.cast import assert_sound, came, incoming, known, merge, pairs_of, update
from tests.profiles.test_merge_races import code, meet, people, rounds
from tests.racing import before_each, meanwhile, while_it_is_locked

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("merge races")]


def test_a_copy_that_waits_for_the_erasure_makes_no_new_profile(by: By) -> None:
    gone = known("loyalty-card:1", by=by)

    with while_it_is_locked(lambda: came(Transaction, "loyalty-card:1", by=by)) as waiter:
        erasing.purge(gone.pk, by=by)

    assert waiter.codes == {"identity_erased": 1}
    assert (Profile.objects.count(), Identity.objects.count(), Transaction.objects.count()) == (0, 0, 0)


def test_a_copy_that_has_matched_before_the_erasure_makes_no_new_profile(by: By) -> None:
    gone = known("loyalty-card:1", by=by)

    with meanwhile(lambda: erasing.purge(gone.pk, by=by)), pytest.raises(Refused) as refusal:
        came(Transaction, "loyalty-card:1", by=by)

    assert refusal.value.code == "identity_erased"
    assert Profile.objects.count() == 0


def test_what_comes_while_the_erasure_waits_is_erased_too(by: By) -> None:
    gone = known("loyalty-card:1", by=by)

    with while_it_is_locked(lambda: erasing.purge(gone.pk, by=by)) as waiter:
        came(Transaction, "loyalty-card:1", "pos:2", by=by)

    assert waiter.unexpected() == []
    assert (Profile.objects.count(), Identity.objects.count(), Transaction.objects.count()) == (0, 0, 0)
    with pytest.raises(Refused):
        known("pos:2", by=by)


@pytest.mark.parametrize(
    ("path", "body"), [("", {"first_name": "Ada"}), ("/update-type", {"profile_type": "pending"})]
)
def test_a_customer_who_is_erased_before_they_are_answered_is_not_there(path: str, body: Any, by: By) -> None:
    gone = known("loyalty-card:1", by=by)
    server, _plain = ApiToken.issue(user=by.user, name="Server", scopes=[])
    issued = tokens.issue_by_id(gone.pk, by=server)
    assert issued is not None
    headers = {"Authorization": f"Bearer {issued.token}"}

    with before_each(lookup, "own_profile", lambda: erasing.purge(gone.pk, by=by)):
        response = Client().put(f"/id/api/v1/profiles/me{path}", body, "application/json", headers=headers)

    assert (response.status_code, response.json()) == (404, {"message": "Not found."})
    assert Profile.objects.count() == 0


def test_a_duplicate_that_joins_meanwhile_goes_with_it_or_stays_whole(by: By) -> None:
    gone, other = known("loyalty-card:1", by=by), known("loyalty-card:2", by=by)

    with while_it_is_locked(lambda: erasing.purge(gone.pk, by=by)) as waiter:
        merge(gone, other, by=by)

    assert waiter.unexpected() == []
    assert Profile.objects.count() == 0
    assert_sound()


@rounds
def test_erasures_and_merges_in_any_direction_explain_each_other(rounds: int, by: By) -> None:
    cast = people(rounds, "ab")

    def erase(one: dict[str, Profile]) -> Any:
        try:
            return erasing.purge(one["a"].pk, by=by)
        except Profile.DoesNotExist as error:
            return error

    def join(survivor: Profile, duplicate: Profile) -> Any:
        try:
            return merging.merge(survivor.pk, [duplicate.pk], by=by)
        except Profile.DoesNotExist as error:
            return error

    writes = [
        (
            lambda one=one: erase(one),
            lambda one=one, turn=turn: join(*((one["a"], one["b"]) if turn % 2 else (one["b"], one["a"]))),
        )
        for turn, one in enumerate(cast)
    ]
    for one, (erased, joined) in zip(cast, meet(writes), strict=True):
        left = set(
            Profile.objects.filter(pk__in=[profile.pk for profile in one.values()]).values_list("pk", flat=True)
        )
        if code(erased) == "already_merged":
            assert left == {one["a"].pk, one["b"].pk}
        elif isinstance(joined, Profile.DoesNotExist):
            assert left == {one["b"].pk}
        else:
            assert left == set()
    assert_sound()


@rounds
def test_whoever_writes_while_she_is_erased_is_refused_or_goes_with_her(rounds: int, by: By) -> None:
    cast = people(rounds, "a")
    writes = [
        (
            lambda one=one: erasing.purge(one["a"].pk, by=by),
            lambda place=place: recording.record(
                Transaction, incoming(Transaction, f"loyalty-card:a{place}", f"pos:{place}"), by=by, source=None
            ),
        )
        for place, one in enumerate(cast)
    ]

    codes = {code(recorded) for _erased, recorded in meet(writes)}

    assert codes <= {"", "identity_erased"}
    assert (Profile.objects.count(), Transaction.objects.count()) == (0, 0)


def test_an_event_that_is_taken_up_meanwhile_is_told_to_nobody(by: By) -> None:
    Webhook.objects.create(trigger="profile.updated", url="https://hooks.example.com/", user=by.user)
    gone = known("loyalty-card:1", by=by)
    event = Event.objects.create(
        trigger="profile.updated", profile=gone, subject_type="profile", subject_key=str(gone.pk)
    )

    def take_up() -> None:
        # The worker begins a job anew that has met the end of its profile.
        with contextlib.suppress(IntegrityError):
            taking_up.take_up(event.pk, give_up=False)

    with while_it_is_locked(take_up):
        erasing.purge(gone.pk, by=by)

    taking_up.take_up(event.pk, give_up=False)
    assert (Event.objects.count(), Delivery.objects.count()) == (0, 0)


def test_a_refusal_whose_owner_is_erased_meanwhile_is_taken_back(by: By) -> None:
    gone = known("loyalty-card:1", by=by, email="ada@example.com")
    other = known("loyalty-card:2", by=by)

    with before_each(holding, "_note", lambda: erasing.purge(gone.pk, keep_out=False, by=by)):
        update(other, by=by, email="ada@example.com")

    assert pairs_of(other) == ["email:ada@example.com", "loyalty-card:2"]
    assert RoutingLogEntry.objects.count() == 0
