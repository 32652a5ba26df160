"""What the locks of the write path promise, and how a write that lost a race starts over."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import psycopg.errors
import pytest
from django.db import DatabaseError, connection, transaction

from identities import handles, matching, moving
from identities.models import Handle, Identity, RoutingLogEntry
from identities.outcomes import Routed
from profiles.auditing import By
from profiles.models import Profile, ProfileQuerySet
from tests.cast import add, pairs_of, route, update
from tests.racing import alternate, at_once, before_each, meanwhile, two_writers, waiting, while_it_is_locked

pytestmark = pytest.mark.django_db(transaction=True)


@two_writers
def test_writers_that_lock_the_same_profiles_do_not_deadlock(
    rounds: int, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    # In the order of their pairs, one record names Ada before Ada again and the other the other way round.
    for profile, pair in ((ada, "pos:1"), (ada_again, "pos:2"), (ada_again, "pos:3"), (ada, "pos:4")):
        add(profile, pair, by=by)

    def locking_slowly(*pairs: str) -> Routed[Profile]:
        def dawdle(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
            answer = execute(sql, *args)
            if "FOR NO KEY UPDATE" in sql:
                time.sleep(0.05)
            return answer

        with connection.execute_wrapper(dawdle):
            return route(*pairs, by=by)

    for round_ in range(rounds):
        with alternate(round_, 2):
            met = at_once(lambda: locking_slowly("pos:1", "pos:2"), lambda: locking_slowly("pos:4", "pos:3"))

        assert met.errors == []
        assert [routed.outcome for routed in met] == ["conflict", "conflict"]
    assert sum(entry.occurrences for entry in RoutingLogEntry.objects.all()) == 2 * rounds


def test_profiles_are_locked_in_key_order_however_they_were_met_and_stored(bo: Profile, by: By) -> None:
    # In the table, in the order of their pairs and by their hashes the last comes first.
    keys = [uuid.UUID(int=number) for number in (24, 17, 7)]
    last, middle, first = (Profile.objects.create(pk=key) for key in keys)
    for profile, pair in ((last, "pos:1"), (middle, "pos:2"), (first, "pos:3")):
        add(profile, pair, by=by)

    def route_without_the_index() -> Routed[Profile]:
        with connection.cursor() as cursor:
            # Reading by the index would give key order without being asked.
            cursor.execute("SET enable_indexscan TO off")
        return route("pos:1", "pos:2", "pos:3", by=by)

    with waiting(route_without_the_index) as routed, transaction.atomic():
        Profile.objects.lock([middle.pk])
        routed.start()
        not_locked = Profile.objects.select_for_update(skip_locked=True, no_key=True).filter(pk__in=keys)
        assert set(not_locked) == {middle, last}

    assert [one.outcome for one in routed] == ["conflict"]
    assert routed.errors == []


def test_a_change_that_waits_keeps_what_the_other_wrote(ada: Profile, bo: Profile, by: By) -> None:
    with while_it_is_locked(lambda: update(ada, by=by, last_name="Byron")) as updated:
        update(ada, by=by, first_name="Augusta")

    ada.refresh_from_db()
    assert (ada.first_name, ada.last_name) == ("Augusta", "Byron")
    assert updated.codes == {"": 1}


def test_a_writer_that_waits_for_a_merge_writes_to_the_survivor(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    for write in (lambda: add(ada_again, "pos:7", by=by).profile, lambda: update(ada_again, by=by, title="Countess")):
        with waiting(write) as written, transaction.atomic():
            # What a merge does to its duplicate.
            Profile.objects.lock([ada.pk, ada_again.pk])
            written.start()
            Profile.objects.filter(pk=ada_again.pk).update(merged_into=ada)
        Profile.objects.filter(pk=ada_again.pk).update(merged_into=None)

        assert written == [ada]
    assert (pairs_of(ada), pairs_of(ada_again)) == (["pos:7"], [])
    assert [Profile.objects.get(pk=one.pk).title for one in (ada, ada_again)] == ["Countess", ""]


@pytest.mark.parametrize("profiles", [2, 3])
def test_a_pair_that_hops_on_before_every_lock_does_not_escape(profiles: int, bo: Profile, by: By) -> None:
    homes = [Profile.objects.create() for _number in range(profiles)]
    card = add(homes[0], "loyalty-card:1", by=by)
    hops: list[Profile] = []

    def hop_on() -> None:
        hops.append(homes[(len(hops) + 1) % profiles])
        moving.move(card.pk, to=hops[-1].pk, reason="Hers", by=by)

    with before_each(ProfileQuerySet, "lock", hop_on):
        routed = route("loyalty-card:1", "pos:7", by=by)

    assert (routed.outcome, routed.profile, routed.identity) == ("attached", hops[-1], card)
    assert len(hops) == profiles, "Each try locks one more of them, and the last locks all."
    assert pairs_of(routed.profile) == ["loyalty-card:1", "pos:7"]


def test_a_pair_that_is_back_before_every_match_does_not_escape(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    card = add(ada, "loyalty-card:1", by=by)

    # No try matches the owner that the one before has found after its lock.
    with (
        before_each(handles, "read", lambda: moving.move(card.pk, to=ada.pk, reason="Hers", by=by)),
        before_each(ProfileQuerySet, "lock", lambda: moving.move(card.pk, to=ada_again.pk, reason="Hers", by=by)),
    ):
        routed = route("loyalty-card:1", "pos:7", by=by)

    assert (routed.outcome, routed.profile, routed.identity) == ("attached", ada_again, card)
    assert pairs_of(ada_again) == ["loyalty-card:1", "pos:7"]


def test_a_write_that_the_database_ends_for_a_deadlock_starts_over(ada: Profile, bo: Profile, by: By) -> None:
    add(ada, "loyalty-card:1", by=by)

    with waiting(lambda: route("loyalty-card:1", "pos:7", by=by)) as routed, transaction.atomic():
        # Somebody at the database's own console first writes and then locks, and has more time than the product.
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT set_config('deadlock_timeout', '1min', true)
                WHERE has_parameter_privilege('deadlock_timeout', 'SET')
                """
            )
        theirs = Identity.objects.create(profile=ada, handle_id="pos", identifier="7")
        routed.start()
        Profile.objects.lock([ada.pk])

    assert routed.errors == [psycopg.errors.DeadlockDetected]
    assert [(one.outcome, one.profile) for one in routed] == [("matched", ada)]
    assert ada.identities.get(handle="pos") == theirs


def test_a_write_starts_over_that_a_stricter_isolation_ends(ada: Profile, bo: Profile, by: By) -> None:
    card = add(ada, "loyalty-card:1", by=by)

    def route_in_isolation() -> Routed[Profile]:
        connection.ensure_connection()
        connection.connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with meanwhile(lambda: update(ada, by=by, title="Countess")):
            return route("loyalty-card:1", "pos:7", by=by, title="Lady")

    routed = at_once(route_in_isolation)

    assert routed.errors == [psycopg.errors.SerializationFailure]
    assert [(one.outcome, one.identity, one.not_taken) for one in routed] == [("attached", card, ["title"])]
    assert Profile.objects.get(pk=ada.pk).title == "Countess"


def test_a_stricter_default_of_the_database_does_not_blind_the_write_path(transactional_db: None) -> None:
    def level() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            with transaction.atomic():
                cursor.execute("SHOW transaction_isolation")
                return str(cursor.fetchone()[0])

    assert list(at_once(level)) == ["read committed"]


def test_a_race_that_is_lost_every_time_ends_with_the_error_and_leaves_nothing(
    bo: Profile, by: By, monkeypatch
) -> None:
    monkeypatch.setattr("identities.holding.time.sleep", lambda seconds: None)
    taken = matching.owned

    def blind(pairs: Any) -> Any:
        return {} if any(pair.handle == "pos" for pair in pairs) else taken(pairs)

    route("pos:7", by=by)
    monkeypatch.setattr(matching, "owned", blind)

    with pytest.raises(DatabaseError):
        route("pos:7", "new-handle:1", by=by, first_name="Ada")

    assert Profile.objects.count() == 2
    assert not Handle.objects.filter(name="new-handle").exists()


@pytest.mark.parametrize("back", [False, True], ids=["and_stays", "and_comes_back"])
def test_a_pair_that_goes_while_its_match_waits_for_the_lock_is_followed(
    back: bool, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    """The statement that matches and locks as it is, and not taken apart: it waits for Ada, whose the pair was."""
    card = add(ada, "loyalty-card:1", by=by)

    with waiting(lambda: route("loyalty-card:1", "pos:7", by=by)) as routed, transaction.atomic():
        Profile.objects.lock([ada.pk, ada_again.pk])
        routed.start()
        for home in (ada_again, ada) if back else (ada_again,):
            Identity.objects.filter(pk=card.pk).update(profile=home)

    assert [(one.outcome, one.profile, one.identity) for one in routed] == [
        ("attached", ada if back else ada_again, card)
    ]
    assert pairs_of(ada if back else ada_again) == ["loyalty-card:1", "pos:7"]
