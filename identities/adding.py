"""Give profiles more identities: one, or a thousand in one transaction, by the same code.

As in `routing`, a write survives races by starting over (`holding`).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from identities import barring, handles, routing_log
from identities.attaching import Limits, Store, taken
from identities.handles import Sent
from identities.holding import Busy, Changed, Held, Taken, deleted, hold, settle
from identities.models import BUILT_IN, Extension, Identity, fold_handle
from profiles.auditing import By
from profiles.models import Profile
from profiles.models.profile import STATE
from profiles.refusing import Refused


@dataclass(frozen=True, slots=True)
class Added:
    identity: Identity
    created: bool


@dataclass(frozen=True, slots=True)
class Row:
    """A pair that somebody sent for a profile."""

    profile_id: uuid.UUID
    sent: Sent


# What became of a row: what `add` returns, or what it raises.
Answer = Added | Refused | Profile.DoesNotExist


def add(
    profile_id: uuid.UUID, sent: Sent, *, by: By, source: Extension | None, brought_by: Identity | None = None
) -> Added:
    """Give a profile one more identity. `brought_by` is the identity by which the profile was found, if it was.

    The pair that the profile already has is returned as it is (`created` False). A deleted profile's pair is taken
    over, row and all, and that is logged. A merged profile's id means its survivor. Raises Profile.DoesNotExist, and
    Refused: `identity_taken` with the owner's `profile_id` (logged), `profile_deleted`, `too_many_identities`,
    `builtin_handle`, `identity_erased`, and whatever `Identity.clean()` refuses.
    """
    (answer,) = _add([Row(profile_id, sent)], by=by, source=source, brought_by=brought_by)
    if isinstance(answer, Exception):
        raise answer
    return answer


def add_all(rows: Sequence[Row], *, by: By, source: Extension | None) -> list[Answer]:
    """Give profiles more identities, as `add` would one after the other; a row that is refused spoils no other.

    Out: for each row, in their order, what `add` returns or raises. One transaction and some twenty statements,
    however many rows. When every try has met another writer, each half goes on alone, down to single rows, so that
    what a crowd is about does not keep the rest out; then not all of them are in one transaction.

    Raises Busy when a single row has lost every race; rows before it may have been written.
    """
    if not rows:
        return []
    try:
        return _add(rows, by=by, source=source)
    except Busy:
        if len(rows) == 1:
            raise
    middle = len(rows) // 2
    return [answer for half in (rows[:middle], rows[middle:]) for answer in add_all(half, by=by, source=source)]


def _add(rows: Sequence[Row], *, by: By, source: Extension | None, brought_by: Identity | None = None) -> list[Answer]:
    def attempt() -> list[Answer]:
        wanted = _read(rows, writer=source)
        named, pairs = set(wanted.meant.values()), {one.pair for one in wanted.identities}
        held = hold(pairs, profile_ids=named, only=STATE, refuse_erased=False)
        wanted.keep(held)
        deciding = _Deciding(rows, wanted, held, by=by, source=source, brought_by=brought_by)
        answers = [deciding.answer(row, one) for row, one in zip(rows, wanted.answers, strict=True)]
        deciding.write()
        return answers

    return settle(attempt)


@dataclass(slots=True)
class _Wanted:
    """What the rows would be, as far as it can be known before the lock.

    `answers` are unsaved identities, or why there is none. `meant` says which profile each id means that is named for
    one of them, and `were_live` whether the profiles for which an unknown handle came were.
    """

    answers: list[Identity | Refused | Profile.DoesNotExist]
    meant: dict[uuid.UUID, uuid.UUID]
    were_live: dict[uuid.UUID, bool] = field(default_factory=dict)

    @property
    def identities(self) -> list[Identity]:
        return [answer for answer in self.answers if isinstance(answer, Identity)]

    def keep(self, held: Held) -> None:
        """Make sure that the same is so under the lock. Raises Changed."""
        held.keep_meaning(self.meant)
        if any(held.profiles[pk].is_live != was_live for pk, was_live in self.were_live.items()):
            raise Changed


def _read(rows: Sequence[Row], *, writer: Extension | None) -> _Wanted:
    answers: list[Identity | Refused | Profile.DoesNotExist] = [
        handles.builtin_refusal(row.sent.handle) if row.sent.handle.strip() in BUILT_IN else answer
        for row, answer in zip(rows, handles.read([row.sent for row in rows], writer=writer), strict=True)
    ]
    named = {row.profile_id for row, answer in zip(rows, answers, strict=True) if isinstance(answer, Identity)}
    wanted = _Wanted(answers, Profile.objects.survivors(named))
    for position, row in enumerate(rows):
        if isinstance(answers[position], Identity) and row.profile_id not in wanted.meant:
            answers[position] = Profile.DoesNotExist()
    _admit(rows, wanted)
    return wanted


def _admit(rows: Sequence[Row], wanted: _Wanted) -> None:
    """Put unknown handles into the catalogue, each in the spelling of the first row that will be written under it.

    That is one for a live profile, since a write that is refused leaves no handle behind; nothing else is refused
    under a handle that has no rules and no pairs yet.
    """
    new = {
        position: wanted.meant[rows[position].profile_id]
        for position, answer in enumerate(wanted.answers)
        if isinstance(answer, Identity) and answer.handle._state.adding
    }
    if not new:
        return
    gone = set(Profile.objects.deleted().filter(pk__in=set(new.values())).values_list("pk", flat=True))
    wanted.were_live = {pk: pk not in gone for pk in new.values()}
    spellings: dict[str, str] = {}
    for position, row in enumerate(rows):
        name = row.sent.handle.strip()
        known = spellings.get(fold_handle(name), name)
        if known != name:
            wanted.answers[position] = handles.misspelt(name, known)
        elif position in new and wanted.were_live[new[position]]:
            spellings[fold_handle(name)] = name
    admitted = set(spellings.values())
    handles.admit(identity for identity in wanted.identities if identity.handle_id in admitted)


class _Deciding:
    """What becomes of each row, in their order: what the ones before it have put on profiles is there for the next."""

    def __init__(
        self,
        rows: Sequence[Row],
        wanted: _Wanted,
        held: Held,
        *,
        by: By,
        source: Extension | None,
        brought_by: Identity | None,
    ) -> None:
        self.meant, self.held, self.by, self.source, self.brought_by = wanted.meant, held, by, source, brought_by
        self.store = Store(held, by=by, source=source)
        self.erased = barring.among({one.pair for one in wanted.identities} - held.identities.keys())
        self.limits = Limits(
            (answer, wanted.meant[row.profile_id])
            for row, answer in zip(rows, wanted.answers, strict=True)
            if isinstance(answer, Identity)
        )
        self.taken: list[Taken] = []

    def answer(self, row: Row, wanted: Identity | Refused | Profile.DoesNotExist) -> Answer:
        if isinstance(wanted, Exception):
            return wanted
        profile = self.held.profiles[self.meant[row.profile_id]]
        if not profile.is_live:
            return deleted()
        pair = wanted.pair
        if pair in self.erased:
            return barring.refusal(pair)
        owner = self.held.owner(pair)
        if owner is not None and owner != profile:
            self.taken.append(taken(wanted, owner=owner, requested=profile, by=self.by, source=self.source))
            return self.taken[-1]
        if owner is not None:
            known = self.held.identities[pair]
            if known.by_contact:
                # Naming the pair for this very profile confirms one that came by contact alone (API.md 4, rule 4).
                self.store.confirm(known, profile, wanted.handle)
            return Added(known, created=False)
        too_many = self.limits.take(wanted, profile.pk)
        if too_many is not None:
            return too_many
        wanted.addressed = row.profile_id if self.brought_by is None else None
        return Added(self.store.put(wanted, profile, brought_by=self.brought_by), created=True)

    def write(self) -> None:
        """Write what was decided. Nothing is rolled back for a refusal, so its entry in the log is written here."""
        self.store.write()
        noted = routing_log.note_all((refusal.entry, [refusal.pair]) for refusal in self.taken)
        for refusal, entry_id in zip(self.taken, noted, strict=True):
            refusal.details["log_entry_id"] = entry_id
