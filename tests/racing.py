"""Writers that meet, in real threads on connections of their own.

Where a race would be rare, these bring it about: `meeting` and `meanwhile` stop a writer between its match and its
lock, which is where the world can move under it, and `waiting` keeps one behind a lock until all the rest has happened.

A write path matches and locks in one statement, in which nothing can be stopped but by a lock. So these take it apart
(`apart`): the same query first, then a lock of what it has found, which is what one statement does that has to wait.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from django.db import DatabaseError, connection

from profiles import reading
from profiles.models import Profile, ProfileQuerySet
from profiles.models.profile import Found
from profiles.refusing import Refused

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


class Match:
    """The first half of what is taken apart."""

    @staticmethod
    def owners(found: Found | None) -> set[uuid.UUID]:
        return {pk for (pk,) in reading.rows(*found)} if found else set()


@contextmanager
def apart() -> Iterator[pytest.MonkeyPatch]:
    """Have every writer match first, and lock then."""

    def one_after_the_other(
        self: ProfileQuerySet, found: Found | None, ids: Collection[uuid.UUID], *, only: tuple[str, ...] = ()
    ) -> dict[uuid.UUID, Profile]:
        return self.lock({*ids, *Match.owners(found)}, only=only)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ProfileQuerySet, "lock_found", one_after_the_other)
        yield patched


@contextmanager
def meeting(writers: int, place: Any = Match, name: str = "owners", patience: float = PATIENCE) -> Iterator[None]:
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

    with apart() as patched:
        patched.setattr(place, name, called)
        yield


def alternate(round_: int, writers: int, place: Any = Match, name: str = "owners") -> Any:
    """Every other round the writers are made to meet; in the rest they meet as they will."""
    return nullcontext() if round_ % 2 else meeting(writers, place, name)


@contextmanager
def meanwhile(other: Callable[[], Any], place: Any = Match, name: str = "owners") -> Iterator[None]:
    """Let something else begin and end when this thread has called this for the first time: by default, between its
    match and its lock."""
    here, function = threading.get_ident(), getattr(place, name)
    happened: list[bool] = []

    def called(*args: Any, **kwargs: Any) -> Any:
        answer = function(*args, **kwargs)
        if threading.get_ident() == here and not happened:
            happened.append(True)
            at_once(other)
        return answer

    with apart() as patched:
        patched.setattr(place, name, called)
        yield
    assert happened


@contextmanager
def before_each(place: Any, name: str, other: Callable[[], Any]) -> Iterator[None]:
    """Let something else begin and end every time that this thread is about to call this."""
    here, function = threading.get_ident(), getattr(place, name)

    def called(*args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() == here:
            at_once(other)
        return function(*args, **kwargs)

    with apart() as patched:
        patched.setattr(place, name, called)
        yield


class Waiter(Met):
    """Something in a thread of its own that will wait for what this thread has locked."""

    def __init__(self, write: Callable[[], Any], pool: ThreadPoolExecutor) -> None:
        super().__init__([], [])
        self.write, self.pool = write, pool
        self.future: Future[Met] | None = None

    def start(self) -> None:
        """Begin it, and return when it waits."""
        self.future = self.pool.submit(at_once, self.write)
        while not somebody_waits():
            assert not self.future.done(), "It has not waited for the lock."
            time.sleep(0.01)


@contextmanager
def waiting(write: Callable[[], Any]) -> Iterator[Waiter]:
    """Something for the block to start when it has locked what that will wait for.

    Its answer is in the list when the block has ended, which must let go of the lock.
    """
    with ThreadPoolExecutor(1) as pool:
        yield (waiter := Waiter(write, pool))
        assert waiter.future is not None, "It has not been started."
        met = waiter.future.result(PATIENCE)
        waiter.errors = met.errors
        waiter += met


@contextmanager
def while_it_is_locked(other: Callable[[], Any], place: Any = ProfileQuerySet, name: str = "lock") -> Iterator[Waiter]:
    """Start something else when this thread has called this for the first time, and go on when that waits for it.

    By default it has locked its profiles by then.
    """
    here, function = threading.get_ident(), getattr(place, name)

    with waiting(other) as waiter, apart() as patched:

        def called(*args: Any, **kwargs: Any) -> Any:
            answer = function(*args, **kwargs)
            if threading.get_ident() == here and waiter.future is None:
                waiter.start()
            return answer

        patched.setattr(place, name, called)
        yield waiter


def somebody_waits() -> bool:
    """Whether another connection waits for what this one has locked."""
    with connection.cursor() as cursor:
        # Not pg_stat_activity, which stays the same within a transaction.
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
        )
        return bool(cursor.fetchone()[0])


@contextmanager
def slow_inserts(table: str, seconds: float) -> Iterator[None]:
    """Let the database take a moment before each row of this table, so that two inserts of several rows overlap."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql
                AS 'BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END';
            CREATE TRIGGER dawdle BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION dawdle();
            """
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION dawdle() CASCADE")
