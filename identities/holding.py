"""The one place for races: lock what a write is about, look again, and start over when the world has moved."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NoReturn, TypeVar

import psycopg.errors
from django.db import DatabaseError, OperationalError, connection, transaction
from django.utils.translation import gettext as _

from identities import barring, handles, matching, routing_log
from identities.models import Handle, Identity, Pair, RoutingLogEntry
from profiles.models import Profile
from profiles.refusing import Refused

T = TypeVar("T")

# A lost race is lost to somebody who committed, so that each try meets a newer state; ten in a row means trouble.
MOST_TRIES = 10

# What a savepoint can be tried again after: the other writer has committed, and is seen.
RETRIED_IN_PART = (psycopg.errors.UniqueViolation,)
# Whose profile was erased between look and commit, meets the foreign key.
RETRIED = (
    *RETRIED_IN_PART,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.ForeignKeyViolation,
)


# Profiles that own or owned the pairs of the write under way, over all its tries. Each try locks them all, so that a
# pair which hops from one to another cannot escape for ever.
_met: ContextVar[set[uuid.UUID]] = ContextVar("met")


class Changed(Exception):
    """What was read before the lock is no longer so after it."""


class Busy(OperationalError):
    """Every try met another writer. Nothing was written, and the same write may well succeed later."""


class Taken(Refused):
    """A refusal that leaves an entry in the routing log, though its write is rolled back."""

    def __init__(self, message: str, *, field: str, owner: Profile, pair: Pair, entry: RoutingLogEntry) -> None:
        super().__init__("identity_taken", message, field=field, profile_id=str(owner.pk))
        self.owner = owner
        self.pair = pair
        self.entry = entry


@dataclass(frozen=True, slots=True)
class Held:
    """Locked profiles by id, and the rows that own the pairs asked for. Neither changes before the commit."""

    profiles: dict[uuid.UUID, Profile]
    identities: dict[Pair, Identity]

    def owner(self, pair: Pair) -> Profile | None:
        """The live profile that holds this pair. A deleted profile's pairs are free, so it is no owner."""
        row = self.identities.get(pair)
        if row is None:
            return None
        profile = self.profiles[row.profile_id]
        return profile if profile.is_live else None

    def meant(self, pk: uuid.UUID, *, named: uuid.UUID) -> Profile:
        """The locked profile of this key, which a caller's id meant before the lock. Raises Changed when that is over.

        That the profile is still there is not enough: the merge that made the caller's id mean it may have been undone
        between look and lock, and what is written then by that id would stay with the wrong person for good. Under the
        lock that cannot happen, since an undo locks the whole chain. One statement, and none for a profile's own id.
        """
        self.keep_meaning({named: pk})
        return self.profiles[pk]

    def keep_meaning(self, meant: Mapping[uuid.UUID, uuid.UUID]) -> None:
        """Make sure, as `meant` does, that each of these ids means the locked profile that it meant before the lock.

        One statement, and none where each is the profile's own. Raises Changed.
        """
        for pk in meant.values():
            profile = self.profiles.get(pk)
            if profile is None or profile.merged_into_id is not None:
                raise Changed
        merged = {named: pk for named, pk in meant.items() if named != pk}
        if merged and Profile.objects.survivors(merged.keys()) != merged:
            raise Changed

    def live(self, pk: uuid.UUID, *, named: uuid.UUID | None = None) -> Profile:
        """A locked profile that may be written. Raises Refused `profile_deleted`, or Changed if it was merged, or if
        `named`, the id that the caller gave, means another by now (`meant`)."""
        profile = self.meant(pk, named=pk if named is None else named)
        if not profile.is_live:
            raise deleted()
        return profile


def deleted() -> Refused:
    return Refused("profile_deleted", _("This profile is deleted; undelete it before you change it."))


def hold(
    pairs: Iterable[Pair],
    *,
    profile_ids: Iterable[uuid.UUID] = (),
    only: tuple[str, ...] = (),
    refuse_erased: bool = True,
) -> Held:
    """Lock every profile that owns one of the pairs, and those named, in key order; then match the pairs once more.
    `only` these columns of the profiles are read, if any are named.

    That it matches them first, in the statement that locks, is not enough: while that waits for a lock, a pair may go
    to a third profile. One that went to another of those locked has not escaped, and each try locks what the earlier
    ones met, so that no pair hops between two profiles for ever. Pairs that nobody owns cannot be locked; the unique
    constraint catches whoever writes them meanwhile.

    Whether they were erased is asked last, since an erasure may have been what the lock was waiting for: no pair of a
    profile that is gone for good is seen as one that nobody has had yet. Must run inside the transaction of `settle`.
    Raises Changed, and Refused `identity_erased`, unless the caller is told by `barring.among` itself.
    """
    wanted = sorted(set(pairs))
    met = _met.get()
    profiles = Profile.objects.lock_found(matching.owners(wanted), met | set(profile_ids), only=only)
    after: dict[Pair, Identity] = {}
    if wanted and profiles:
        met.update(profiles)
        after = matching.owned(wanted)
        owners = {row.profile_id for row in after.values()}
        if not owners <= profiles.keys():
            met.update(owners)
            raise Changed
    if refuse_erased:
        for pair in barring.among([pair for pair in wanted if pair not in after]):
            raise barring.refusal(pair)
    return Held(profiles, after)


def widen(profile_ids: Iterable[uuid.UUID]) -> NoReturn:
    """Start the write over, and lock these profiles too: in key order with the others, which is too late now."""
    _met.get().update(profile_ids)
    raise Changed


def keep_rules(used: Iterable[Handle]) -> None:
    """Make sure that these handles, as a write has read them, are still what the catalogue says, up to its commit.

    To be asked before the first row of a handle is inserted, taken over or changed: `handles.read` locks nothing, so
    that staff may have changed a rule, or have given a handle another name, while the write was under way. One query
    for all of them, since two in another order of names could deadlock with whoever changes several. Contact points
    are left out: their rules are built in. Must run inside the transaction of `settle`. Raises Changed.
    """
    used = {id(handle): handle for handle in used if not handle.is_built_in}.values()
    if not used:
        return
    current = Handle.objects.keep({handle.name for handle in used})
    if any(handle.name not in current or current[handle.name].rules != handle.rules for handle in used):
        raise Changed


def settle(attempt: Callable[[], T]) -> T:
    """Run one write in a transaction of its own, again and again until it meets no race.

    Each try is rolled back whole, so that a lost race leaves nothing behind: no empty profile, no handle. A
    refusal rolls back too, but the log entry that it carries is committed before it is raised. Raises Busy when
    every try was lost.

    A connection that the server has closed since the last request is found out by the first statement, and the write
    starts over on a new one: to ask before each write whether it is well would cost as much as a statement.

    Within the attempt of a larger write it is a part of that: a savepoint, whose log entry stands if the whole does.
    A deadlock is then raised to the whole, which starts over: what its earlier parts have locked, somebody waits for,
    and trying the last part again would let go of none of it.
    """
    retried = RETRIED if _met.get(None) is None else RETRIED_IN_PART
    forget = _met.set(set())
    try:
        return _settle(attempt, retried)
    finally:
        _met.reset(forget)


def _settle(attempt: Callable[[], T], retried: tuple[type[Exception], ...]) -> T:
    is_whole, raw = not connection.in_atomic_block, connection.connection
    connection.health_check_done = True  # type: ignore[attr-defined]  # the stubs leave it out
    for tries in range(MOST_TRIES):
        is_settled = False
        try:
            with transaction.atomic():
                answer = attempt()
                is_settled = True
            return answer
        except (Changed, handles.SpellingRace) as error:
            if tries == MOST_TRIES - 1:
                raise Busy from error
        except DatabaseError as error:
            # When the commit itself has met the end of the connection, nobody knows whether it took place.
            was_lost = raw is not None and connection.connection is not raw
            starts_over = was_lost and is_whole and not is_settled and tries == 0
            if not starts_over and not isinstance(error.__cause__, retried):
                raise
            if tries == MOST_TRIES - 1:
                raise Busy from error
        except Taken as refusal:
            if _note(refusal):
                raise
            if tries == MOST_TRIES - 1:
                raise Busy from refusal
        time.sleep(random.uniform(0, 0.005 * 2**tries))  # noqa: S311 - two writers must not meet in step again
    raise AssertionError("unreachable")


def _note(refusal: Taken) -> bool:
    """Log the refusal of a write that was rolled back, and its locks with it.

    Returns whether it still holds: not, when one of the profiles has been erased since, of whom nothing must be
    written down any more.
    """
    with transaction.atomic():
        ids = {pk for pk in (refusal.owner.pk, refusal.entry.requested_profile_id) if pk is not None}
        if Profile.objects.keep(ids) != ids:
            return False
        refusal.details["log_entry_id"] = routing_log.note(refusal.entry, pairs=[refusal.pair])
        return True
