"""Writers that meet, in real threads on connections of their own.

Where a race would be rare, `meeting` and `meanwhile` bring it about: they stop a writer between its match and its
lock, which is where the world can move under it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any

import psycopg.errors
import pytest
from django.db import DatabaseError, connection

from identities import handles, lookup, matching, moving, releasing, routing, routing_log
from identities.handles import Sent
from identities.models import Handle, Identity, RoutingLogEntry
from identities.routing import Routed
from profiles.auditing import By
from profiles.models import Move, Profile, ProfileQuerySet
from profiles.refusing import Refused
from tests.cast import add, assert_sound, pairs_of, route, update

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE = 30

# How many writers, how many rounds: a short form for every day, and a long one.
few_writers = pytest.mark.parametrize(
    ("writers", "rounds"), [(16, 2), pytest.param(32, 20, marks=pytest.mark.slow)], ids=["short", "long"]
)
two_writers = pytest.mark.parametrize("rounds", [4, pytest.param(60, marks=pytest.mark.slow)], ids=["short", "long"])


class Met(list[Any]):
    """What each writer returned or raised, in their order, and every error that the database gave meanwhile."""

    def __init__(self, answers: list[Any], errors: list[DatabaseError]) -> None:
        super().__init__(answers)
        self.errors = [type(error.__cause__) for error in errors]

    @property
    def codes(self) -> Counter[str]:
        """How many were refused for what; the empty word counts those that came through."""
        return Counter(answer.code if isinstance(answer, Refused) else "" for answer in self)

    def unexpected(self) -> list[Exception]:
        return [answer for answer in self if isinstance(answer, Exception) and not isinstance(answer, Refused)]


def at_once(*writes: Callable[[], Any]) -> Met:
    """Let all of them begin at the same moment."""
    ready = threading.Barrier(len(writes))
    errors: list[DatabaseError] = []

    def watch(execute: Callable[..., Any], *args: Any) -> Any:
        try:
            return execute(*args)
        except DatabaseError as error:
            errors.append(error)
            raise

    def run(write: Callable[[], Any]) -> Any:
        try:
            with connection.execute_wrapper(watch):
                connection.ensure_connection()
                ready.wait(PATIENCE)
                return write()
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(writes)) as pool:
        met = Met(list(pool.map(run, writes)), errors)
    assert met.unexpected() == []
    return met


@contextmanager
def meeting(writers: int, place: Any = matching, name: str = "owned", patience: float = PATIENCE) -> Iterator[None]:
    """Let that many writers wait for each other when they have called this for the first time.

    By default that is between match and lock, so that all of them have seen the same state. With little patience it
    is an offer: whoever waits in vain (because a lock keeps the others out, say) goes on alone.
    """
    barrier, here, function = threading.Barrier(writers), threading.local(), getattr(place, name)

    def called(*args: Any, **kwargs: Any) -> Any:
        answer = function(*args, **kwargs)
        if not hasattr(here, "was"):
            here.was = True
            try:
                barrier.wait(patience)
            except threading.BrokenBarrierError:
                assert patience < PATIENCE, "The writers have not met."
        return answer

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(place, name, called)
        yield


@contextmanager
def meanwhile(other: Callable[[], Any]) -> Iterator[None]:
    """Let something else begin and end between the first match of this thread and its lock."""
    here, owned = threading.get_ident(), matching.owned
    happened: list[bool] = []

    def called(pairs: Any) -> Any:
        answer = owned(pairs)
        if threading.get_ident() == here and not happened:
            happened.append(True)
            at_once(other)
        return answer

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(matching, "owned", called)
        yield
    assert happened


@contextmanager
def while_it_is_locked(other: Callable[[], Any]) -> Iterator[Met]:
    """Start something else when this thread has locked its profiles, and go on when that waits for the lock.

    Its answer is in the list when the block has ended.
    """
    here, lock, pool = threading.get_ident(), ProfileQuerySet.lock, ThreadPoolExecutor(1)
    started: list[Future[Met]] = []
    met = Met([], [])

    def called(self: ProfileQuerySet, ids: Any) -> Any:
        profiles = lock(self, ids)
        if threading.get_ident() == here and not started:
            started.append(pool.submit(at_once, other))
            while not somebody_waits():
                assert not started[0].done(), "It has not waited for the lock."
                time.sleep(0.01)
        return profiles

    with pool, pytest.MonkeyPatch.context() as patched:
        patched.setattr(ProfileQuerySet, "lock", called)
        yield met
        met += started[0].result(PATIENCE)


def somebody_waits() -> bool:
    """Whether some connection waits for another's row."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        return bool(cursor.fetchone()[0])


@pytest.fixture
def slow_inserts() -> Iterator[None]:
    """Let the database take a moment before each row of identities, so that two inserts of several rows overlap."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql
                AS 'BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END';
            CREATE TRIGGER dawdle BEFORE INSERT ON identities_identity FOR EACH ROW EXECUTE FUNCTION dawdle();
            """
        )
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION dawdle() CASCADE")


def alternate(round_: int, writers: int) -> Any:
    """Every other round the writers are made to meet; in the rest they meet as they will."""
    return nullcontext() if round_ % 2 else meeting(writers)


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
def test_writers_of_the_same_new_pairs_in_opposite_order_do_not_deadlock(
    rounds: int, slow_inserts: None, bo: Profile, by: By
) -> None:
    for round_ in range(rounds):
        pairs = [f"pos:{round_}-{number}" for number in range(1, 4)]

        with alternate(round_, 2):
            met = at_once(lambda there=pairs: route(*there, by=by), lambda back=pairs[::-1]: route(*back, by=by))

        (profile,) = {routed.profile for routed in met}
        assert pairs_of(profile) == pairs
        assert psycopg.errors.DeadlockDetected not in met.errors
    assert Profile.objects.count() == 1 + rounds
    assert_sound()


@two_writers
def test_writers_that_lock_the_same_profiles_do_not_deadlock(
    rounds: int, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    # In the order of their pairs, one record names Ada before Ada again and the other the other way round.
    for profile, pair in ((ada, "pos:1"), (ada_again, "pos:2"), (ada_again, "pos:3"), (ada, "pos:4")):
        add(profile, pair, by=by)

    def locking_slowly(*pairs: str) -> Routed:
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


def test_a_record_does_not_match_a_profile_that_is_deleted_before_its_lock(ada: Profile, bo: Profile, by: By) -> None:
    card = add(ada, "loyalty-card:1", by=by)

    with meanwhile(lambda: releasing.delete(ada.pk, by=by)):
        routed = route("loyalty-card:1", "pos:7", by=by)

    assert (routed.outcome, routed.identity, routed.profile == ada) == ("created", card, False)
    assert pairs_of(routed.profile) == ["loyalty-card:1", "pos:7"]
    assert RoutingLogEntry.objects.get().outcome == "released_from"
    assert_sound()


def test_a_record_finds_a_profile_that_is_undeleted_before_its_lock(ada: Profile, bo: Profile, by: By) -> None:
    add(ada, "loyalty-card:1", by=by)
    releasing.delete(ada.pk, by=by)

    with meanwhile(lambda: releasing.change_type(ada.pk, "active", by=by)):
        routed = route("loyalty-card:1", "pos:7", by=by)

    assert (routed.outcome, routed.profile) == ("attached", ada)
    assert pairs_of(ada) == ["loyalty-card:1", "pos:7"]
    assert Profile.objects.count() == 2
    assert not RoutingLogEntry.objects.exists()


@pytest.mark.parametrize("known", [False, True], ids=["an unknown pair", "its own pair"])
def test_nothing_is_added_to_a_profile_that_is_deleted_before_the_lock(
    known: bool, ada: Profile, bo: Profile, by: By
) -> None:
    identity = add(ada, "loyalty-card:1", by=by)

    for write in (
        lambda: add(ada, "loyalty-card:1" if known else "pos:7", by=by),
        lambda: routing.change(identity.pk, identifier="1" if known else "2", is_active=False, by=by, source=None),
        lambda: routing.remove(identity.pk, by=by, source=None),
        lambda: update(ada, by=by, email="ada@example.com"),
    ):
        with meanwhile(lambda: releasing.delete(ada.pk, by=by)), pytest.raises(Refused) as refusal:
            write()
        assert refusal.value.code == "profile_deleted"
        releasing.change_type(ada.pk, "active", by=by)

    assert pairs_of(ada) == ["loyalty-card:1"]
    assert Identity.objects.get(pk=identity.pk).is_active


def test_a_delete_waits_for_the_writer_that_holds_the_profile(ada: Profile, bo: Profile, by: By) -> None:
    add(ada, "loyalty-card:1", by=by)

    with while_it_is_locked(lambda: releasing.delete(ada.pk, by=by)):
        routed = route("loyalty-card:1", "pos:7", by=by)

    assert (routed.outcome, routed.profile) == ("attached", ada)
    assert not Profile.objects.get(pk=ada.pk).is_live
    assert lookup.resolve([("loyalty-card", "1"), ("pos", "7")]) == [None, None]


def test_a_writer_that_waits_for_a_delete_finds_the_profile_deleted(ada: Profile, bo: Profile, by: By) -> None:
    card = add(ada, "loyalty-card:1", by=by)

    with while_it_is_locked(lambda: add(ada, "pos:7", by=by)) as added:
        releasing.delete(ada.pk, by=by)
    releasing.change_type(ada.pk, "active", by=by)
    with while_it_is_locked(lambda: route("loyalty-card:1", by=by)) as routed:
        releasing.delete(ada.pk, by=by)

    assert added.codes == {"profile_deleted": 1}
    assert (routed[0].outcome, routed[0].identity, routed[0].profile == ada) == ("created", card, False)
    assert_sound()


@pytest.mark.parametrize("rounds", [8, pytest.param(300, marks=pytest.mark.slow)], ids=["short", "long"])
def test_a_writer_against_deletes_and_undeletes_leaves_one_owner(
    rounds: int, ada: Profile, bo: Profile, by: By
) -> None:
    add(ada, "loyalty-card:1", by=by)
    update(ada, by=by, email="ada@example.com")

    def write() -> None:
        for number in range(rounds):
            routed = route("loyalty-card:1", f"pos:7-{number}", by=by)
            assert (
                f"pos:7-{number}" in pairs_of(routed.profile) or not Profile.objects.get(pk=routed.profile.pk).is_live
            )

    def delete_and_undelete() -> None:
        for _round in range(rounds):
            releasing.delete(ada.pk, by=by)
            releasing.change_type(ada.pk, "active", by=by)

    at_once(write, delete_and_undelete)

    (card,) = Identity.objects.filter(handle="loyalty-card", identifier="1")
    assert card.profile.is_live
    assert Identity.objects.filter(handle="pos").count() == rounds
    # Ada is there from the beginning; whoever else took the card over has it, or brought a pair and lost it.
    assert not Profile.objects.exclude(pk=ada.pk).filter(identities=None).exists()
    assert_sound()


@pytest.mark.parametrize("rounds", [2, pytest.param(100, marks=pytest.mark.slow)], ids=["short", "long"])
def test_two_takers_of_one_released_pair_reach_one_profile(rounds: int, bo: Profile, by: By) -> None:
    for round_ in range(rounds):
        former = route(f"pos:7-{round_}", by=by)
        releasing.delete(former.profile.pk, by=by)

        with alternate(round_, 2):
            met = at_once(*[lambda pair=f"pos:7-{round_}": route(pair, by=by)] * 2)

        assert sorted(routed.outcome for routed in met) == ["created", "matched"]
        assert met[0].profile == met[1].profile
        assert met[0].identity == met[1].identity == former.identity
    assert Move.objects.count() == RoutingLogEntry.objects.count() == rounds
    assert Profile.objects.live().count() == 1 + rounds
    assert_sound()


@pytest.mark.parametrize("rounds", [2, pytest.param(100, marks=pytest.mark.slow)], ids=["short", "long"])
def test_two_spellings_of_one_new_handle_never_both_come_into_the_catalogue(
    rounds: int, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    for round_ in range(rounds):
        with nullcontext() if round_ % 2 else meeting(2, handles, "read"):
            met = at_once(
                lambda name=f"till-{round_}": add(ada, Sent(name, "7"), by=by),
                lambda name=f"till_{round_}": add(ada_again, Sent(name, "7"), by=by),
            )

        (handle,) = Handle.objects.filter(fold=f"till{round_}")
        assert met.codes == {"": 1, "unknown_handle": 1}
        (refusal,) = (answer for answer in met if isinstance(answer, Refused))
        assert refusal.details == {"did_you_mean": [handle.name]}
        assert Identity.objects.filter(handle=handle).count() == 1
        assert met.errors == []


def test_two_spellings_in_two_records_keep_the_rest_of_both(bo: Profile, by: By) -> None:
    with meeting(2, handles, "read"):
        met = at_once(lambda: route("my-till:7", "pos:1", by=by), lambda: route("my_till:7", "pos:2", by=by))

    assert [routed.outcome for routed in met] == ["created", "created"]
    assert sorted(one["code"] for routed in met for one in routed.refused) == ["unknown_handle"]
    assert Identity.objects.filter(handle="pos").count() == 2
    assert Handle.objects.filter(fold="mytill").count() == Identity.objects.filter(handle__fold="mytill").count() == 1
    assert_sound()


@few_writers
def test_writers_under_one_new_handle_do_not_get_in_each_others_way(
    writers: int, rounds: int, bo: Profile, by: By
) -> None:
    for round_ in range(rounds):
        handle = f"till-{round_}"
        with meeting(writers, handles, "read"):
            met = at_once(*[lambda pair=f"{handle}:{number}-7": route(pair, by=by) for number in range(writers)])

        assert met.errors == []
        assert {routed.outcome for routed in met} == {"created"}
        assert Identity.objects.filter(handle=handle).count() == writers


def test_writers_of_two_new_handles_in_opposite_order_do_not_deadlock(bo: Profile, by: By) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql
                AS 'BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END';
            CREATE TRIGGER dawdle BEFORE INSERT ON identities_handle FOR EACH ROW EXECUTE FUNCTION dawdle();
            """
        )
    try:
        with meeting(2, handles, "read"):
            met = at_once(lambda: route("a1:1", "b1:1", by=by), lambda: route("b1:2", "a1:2", by=by))
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION dawdle() CASCADE")

    assert met.errors == []
    assert Handle.objects.filter(name__in=["a1", "b1"]).count() == 2


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


@few_writers
def test_writers_of_one_conflicting_record_make_one_open_entry(
    writers: int, rounds: int, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    add(ada, "pos:7", by=by)
    add(ada_again, "loyalty-card:1", by=by)

    for round_ in range(rounds):
        with alternate(round_, writers):
            met = at_once(*[lambda: route("pos:7", "loyalty-card:1", by=by)] * writers)

        assert {routed.outcome for routed in met} == {"conflict"}
        entry = RoutingLogEntry.objects.get()
        assert {routed.log_entry_id for routed in met} == {entry.pk}
        assert entry.occurrences == writers * (round_ + 1)


@few_writers
def test_writers_that_are_refused_the_same_pair_make_one_open_entry(
    writers: int, rounds: int, ada: Profile, bo: Profile, by: By
) -> None:
    for round_ in range(rounds):
        with meeting(writers, routing_log, "_fingerprint"):
            met = at_once(*[lambda: add(ada, "loyalty-card:bo", by=by)] * writers)

        assert met.codes == {"identity_taken": writers}
        assert met.errors == []
        assert RoutingLogEntry.objects.get().occurrences == writers * (round_ + 1)


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
