"""The catalogue's rules: what a sent pair means, whether it may be written, and handles never seen before."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import re2
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from identities import barring, matching, normalising
from identities.models import BUILT_IN, BlockedIdentifier, Extension, Handle, Identity, Pair, bare, fold_handle
from identities.models.handle import NOT_HANDLES, SLUG, compile_blocking
from identities.normalising import storable
from profiles import reading
from profiles.inserting import unsaved
from profiles.refusing import Refused

HANDLE = Identity._meta.get_field("handle")

# A misspelt handle is compared with so many known names, and no more.
MOST_COMPARED = 10_000

# What `BlockedIdentifier.blocks` goes by.
BLOCKING = ("id", "handle_id", "kind", "value")


@dataclass(frozen=True, slots=True)
class Sent:
    """A handle and an identifier as somebody sent them."""

    handle: str
    identifier: str
    is_active: bool = True
    is_primary: bool = False

    @property
    def pair(self) -> Pair:
        """The pair as sent, for telling two refusals apart; it has no normal form."""
        return Pair(self.handle, self.identifier)


class SpellingRace(Exception):
    """Another writer has just put the same new handle into the catalogue under another spelling."""


def read(sent: Sequence[Sent], *, writer: Extension | None, only_new: bool = False) -> list[Identity | Refused]:
    """Say of each sent pair which identity it would be, or why it may not be written.

    Out: one item for each that came in, in their order: an unsaved Identity in normal form that has passed its
    `clean()`, or the refusal (not raised, since an incoming record sets bad pairs aside and keeps the rest). A
    handle never seen is admitted as undocumented, or refused where HANDLE_POLICY says so. One query, however many
    pairs, one more where a normal form is not what was sent, and a few where pairs are refused. Contact points are not
    refused here; whether a request may name them is the interfaces' affair. With `only_new`, nobody is asked whether
    somebody has a pair that could not be written today: the answer goes to one who must not learn it.
    """
    if not sent:
        return []
    catalogue = _Catalogue({one.handle for one in sent}, {bare(storable(one.identifier)) for one in sent})
    answers: list[Identity | Refused] = []
    doubtful: dict[int, Identity] = {}
    for position, one in enumerate(sent):
        identity, refusal = _identity(one, catalogue=catalogue, writer=writer)
        if identity is not None and refusal is not None:
            doubtful[position] = identity
        answers.append(refusal or identity)  # type: ignore[arg-type]  # it is one or the other
    if not only_new:
        answers = _known_after_all(answers, doubtful)
    blocked = _blocked(sent, answers, catalogue=catalogue)
    answers = [blocked.get(position, answer) for position, answer in enumerate(answers)]
    return answers if only_new else _kept_out(sent, answers, catalogue=catalogue)


def read_one(sent: Sent, *, writer: Extension | None) -> Identity:
    """Read a single pair. Raises Refused."""
    (answer,) = read([sent], writer=writer)
    if isinstance(answer, Refused):
        raise answer
    return answer


def named(name: str) -> Handle:
    """The handle that is meant by this name today; one never seen is unsaved. Raises Refused, as `read` does."""
    return _Catalogue({name.strip()}).meant(name.strip())


def admit(identities: Iterable[Identity]) -> None:
    """Put the handles of these unsaved identities that the catalogue does not have into it, as undocumented.

    Sorted, and without complaint when another writer was first, so that two writers of the same new handles neither
    fail nor deadlock. Raises SpellingRace when the other one spelled it differently; start over then, and the near
    miss is seen. Must run inside the transaction of the write, so that a refused write leaves no handle behind.
    """
    missing = {identity.handle_id: identity.handle for identity in identities if identity.handle._state.adding}
    if not missing:
        return
    for handle in missing.values():
        handle.fold = fold_handle(handle.name)
    Handle.objects.bulk_create([missing[name] for name in sorted(missing)], ignore_conflicts=True)
    if Handle.objects.filter(pk__in=missing).count() < len(missing):
        raise SpellingRace


def refuse_built_in(name: str) -> None:
    """Refuse a contact point where an identity is asked for. Raises Refused `builtin_handle`."""
    if name.strip() in BUILT_IN:
        raise builtin_refusal(name)


def builtin_refusal(name: str) -> Refused:
    message = _("%(handle)s is set through the profile's own field.") % {"handle": name.strip()}
    return Refused("builtin_handle", message, field="handle")


def misspelt(name: str, known: str) -> Refused:
    """The refusal of a handle that is in the catalogue under another spelling."""
    message = _("There is no handle %(name)s; did you mean %(known)s?") % {"name": name, "known": known}
    return Refused("unknown_handle", message, field="handle", did_you_mean=[known])


def mask(identifier: str) -> str:
    """What lists and logs show of an identifier of a sensitive handle."""
    return f"•••{identifier[-4:]}" if len(identifier) > 8 else "•••"


def shown(identity: Identity) -> str:
    """What pages show of an identity whose handle is loaded: as people write it, or masked."""
    return mask(identity.identifier) if identity.handle.sensitive else identity.shown


class _Catalogue:
    """The handles that a write names, by their folds, each with the one that it was renamed to, and blocked values.

    In: the names, and the values of the write as far as they are known without the catalogue.
    """

    def __init__(self, names: Iterable[str], values: Iterable[str] = ()) -> None:
        folds = {fold_handle(storable(name)) for name in names}
        self._meant: dict[str, Handle | Refused] = {}
        self._asked = _keys(values)
        # At once: between two questions a handle may be renamed, and its new name be a former one by the second.
        handles, blocked = _answered(reading.rows(_rules(), [list(folds), list(self._asked)]))
        self._exactly: dict[str, list[BlockedIdentifier]] = {}
        self._patterns = self._sorted(blocked)
        self._blocking: dict[str, list[re2._Regexp]] = {}
        rows = {row.name: row for row in handles}
        self.known = {row.fold: row for row in rows.values() if row.fold in folds}
        for row in self.known.values():
            if row.renamed_to_id is not None:
                row.renamed_to = rows[row.renamed_to_id]

    def current_name(self, name: str) -> str:
        """What a handle is called today, by which its blocked values stand; what is not known keeps its name."""
        row = self.known.get(fold_handle(storable(name)))
        return (row.renamed_to or row).name if row is not None else name

    def meant(self, name: str) -> Handle:
        """The handle of this name, or the one that it was renamed to; unsaved, if it was never seen. Raises Refused.

        Many pairs of one write have the same few handles, so each name is looked up once.
        """
        if name not in self._meant:
            try:
                self._meant[name] = self._look_up(name)
            except Refused as fault:
                self._meant[name] = fault
        found = self._meant[name]
        if isinstance(found, Refused):
            raise found
        return found

    def ask_for(self, values: Iterable[str]) -> None:
        """Look up which of these values are blocked, those that have not been asked for."""
        more = _keys(values) - self._asked
        if more:
            self._asked |= more
            self._sorted(reading.instances(BlockedIdentifier, _blocked_exactly(), [list(more)], BLOCKING))

    def blocks(self, handle: str, value: str) -> bool:
        """Whether a value that has been asked for names nobody under this handle."""
        (key,) = _keys([value])
        if any(entry.blocks(handle, key) for entry in self._exactly.get(key, ())):
            return True
        if handle not in self._blocking:
            patterns = [one.value for one in self._patterns if one.handle_id in (None, handle)]
            self._blocking[handle] = compile_blocking(tuple(patterns))
        return any(pattern.fullmatch(key) is not None for pattern in self._blocking[handle])

    def _sorted(self, entries: Iterable[BlockedIdentifier]) -> list[BlockedIdentifier]:
        """Keep the entries of one value by that, and give the patterns."""
        patterns = []
        for entry in entries:
            if entry.kind == BlockedIdentifier.Kind.REGEX:
                patterns.append(entry)
            else:
                self._exactly.setdefault(entry.value, []).append(entry)
        return patterns

    def nearest(self, name: str) -> list[str]:
        """Up to three known names that somebody who wrote `name` may have meant."""
        return difflib.get_close_matches(name.casefold(), self._names, n=3)

    def _look_up(self, name: str) -> Handle:
        fold = fold_handle(name)
        handle = self.known.get(fold)
        if handle is not None and handle.name == name:
            return handle.renamed_to or handle
        if handle is not None:
            raise misspelt(name, handle.name)
        if fold in NOT_HANDLES:
            message = _("%(name)s means the profile itself and cannot be a handle.") % {"name": name}
            raise Refused("invalid_handle", message, field="handle")
        if not SLUG.fullmatch(name):
            message = _("A handle has 1 to 64 lower-case letters, digits, - and _, and begins with a letter or digit.")
            raise Refused("invalid_handle", message, field="handle")
        if settings.HANDLE_POLICY == "agreed":
            nearest = self.nearest(name)
            message = _("There is no handle %(name)s.") % {"name": name}
            if nearest:
                message = _("There is no handle %(name)s; did you mean %(known)s?") % {
                    "name": name,
                    "known": ", ".join(nearest),
                }
            raise Refused("unknown_handle", message, field="handle", did_you_mean=nearest)
        return Handle(name=name)

    @cached_property
    def _names(self) -> list[str]:
        current = Handle.objects.exclude(status=Handle.Status.RETIRED)
        return list(current.values_list("name", flat=True)[:MOST_COMPARED])


def _identity(
    sent: Sent, *, catalogue: _Catalogue, writer: Extension | None
) -> tuple[Identity | None, Refused | None]:
    """The identity that a sent pair would be, if it has a normal form, and why it may not be new, if so."""
    try:
        handle = catalogue.meant(sent.handle.strip())
    except Refused as fault:
        return None, fault
    identity = unsaved(
        Identity,
        handle_id=handle.pk,
        identifier=sent.identifier,
        is_active=sent.is_active,
        is_primary=sent.is_primary,
    )
    HANDLE.set_cached_value(identity, handle)
    identity.writer = writer
    try:
        identity.clean()
    except ValidationError as error:
        return identity if _is_known_form(identity) else None, Refused.because(error, field="handle")
    return identity, None


def _is_known_form(identity: Identity) -> bool:
    try:
        identity.clean_known()
    except ValidationError:
        return False
    return True


def _known_after_all(
    answers: Sequence[Identity | Refused], doubtful: Mapping[int, Identity]
) -> list[Identity | Refused]:
    """Take the refusals back of pairs that a live profile has, which their handles would no longer admit."""
    rows = matching.owned({identity.pair for identity in doubtful.values()})
    if not rows:
        return list(answers)
    live = set(Identity.objects.live().filter(pk__in=[row.pk for row in rows.values()]).values_list("pk", flat=True))
    held = {pair for pair, row in rows.items() if row.pk in live}
    known = {position: identity for position, identity in doubtful.items() if identity.pair in held}
    return [known.get(position, answer) for position, answer in enumerate(answers)]


def _kept_out(
    sent: Sequence[Sent], answers: Sequence[Identity | Refused], *, catalogue: _Catalogue
) -> list[Identity | Refused]:
    """Refuse as erased what would otherwise be set aside, and kept: pairs under a handle that is retired by now, or
    that this writer may not write. What may be written is asked under its lock (`holding.hold`)."""
    pairs: dict[int, Pair] = {}
    for position, (one, answer) in enumerate(zip(sent, answers, strict=True)):
        if isinstance(answer, Refused) and answer.code != "blocked_identifier":
            with contextlib.suppress(Refused):
                handle = catalogue.meant(one.handle.strip())
                form = normalising.form(handle.normaliser, one.identifier.strip())
                if form is not None:
                    pairs[position] = Pair(handle.pk, form)
    erased = barring.among(set(pairs.values()))
    return [
        barring.refusal(pairs[position]) if pairs.get(position) in erased else answer
        for position, answer in enumerate(answers)
    ]


def _bare(identifier: str, answer: Identity | Refused) -> set[str]:
    """The values by which an identifier may be blocked: as it was sent, and in its normal form."""
    if isinstance(answer, Refused):
        return {bare(storable(identifier))}
    if answer.identifier == identifier:
        return {bare(identifier)}
    return {bare(storable(identifier)), bare(answer.identifier)}


def _blocked(
    sent: Sequence[Sent], answers: Sequence[Identity | Refused], *, catalogue: _Catalogue
) -> dict[int, Refused]:
    """The refusals of values that name nobody, by position. They come before a complaint about the value's form."""
    values = {
        position: _bare(one.identifier, answer)
        for position, (one, answer) in enumerate(zip(sent, answers, strict=True))
        if isinstance(answer, Identity) or answer.code == "invalid_identifier"
    }
    refusals = {
        position: Refused("invalid_identifier", _("The identifier is empty."), field="identifier")
        for position, group in values.items()
        if "" in group  # nothing but quotes
    }
    catalogue.ask_for(value for group in values.values() for value in group)
    for position, group in values.items():
        answer = answers[position]
        handle = answer.handle_id if isinstance(answer, Identity) else catalogue.current_name(sent[position].handle)
        if any(catalogue.blocks(handle, value) for value in group):
            message = _("The value %(value)s names nobody and is blocked.") % {"value": sent[position].identifier}
            refusals[position] = Refused("blocked_identifier", message, field="identifier")
    return refusals


def _keys(values: Iterable[str]) -> set[str]:
    """Values as blocked ones are stored: no longer than their column."""
    return {value[:255] for value in values}


def _answered(rows: Iterable[tuple[Any, ...]]) -> tuple[list[Handle], list[BlockedIdentifier]]:
    """What `_rules` gives: each row is of one of the two, and has nothing in the columns of the other."""
    width = len(Handle._meta.concrete_fields)
    handles: list[tuple[Any, ...]] = []
    blocked: list[tuple[Any, ...]] = []
    for row in rows:
        (blocked if row[0] is None else handles).append(row)
    return (
        reading.made(Handle, (row[:width] for row in handles)),
        reading.made(BlockedIdentifier, (row[width:] for row in blocked), BLOCKING),
    )


@cache
def _rules() -> str:
    """Handles by their folds, those that they were renamed to, and blocked values: these ones, and all patterns."""
    no_handle = ", ".join("NULL" for _column in Handle._meta.concrete_fields)
    not_blocked = ", ".join("NULL" for _column in BLOCKING)
    return f"""
        WITH named AS (SELECT name, renamed_to_id FROM identities_handle WHERE fold = ANY(%s))
        SELECT {reading.columns(Handle)}, {not_blocked} FROM identities_handle
        WHERE name IN (SELECT name FROM named UNION SELECT renamed_to_id FROM named)
        UNION ALL SELECT {no_handle}, exactly.* FROM ({_blocked_exactly()}) AS exactly
        UNION ALL SELECT {no_handle}, {reading.columns(BlockedIdentifier, only=BLOCKING)}
        FROM identities_blockedidentifier WHERE enabled AND kind = 'regex'
    """  # noqa: S608 - names of our own


@cache
def _blocked_exactly() -> str:
    # Without the patterns: asked for either at once, each row of the table would be compared with each of a thousand.
    return f"""
        SELECT {reading.columns(BlockedIdentifier, only=BLOCKING)} FROM identities_blockedidentifier
        WHERE enabled AND kind = 'exact' AND value = ANY(%s)
    """  # noqa: S608 - names of our own
