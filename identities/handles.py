"""The catalogue's rules: what a sent pair means, whether it may be written, and handles never seen before."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from identities import matching
from identities.models import BUILT_IN, BlockedIdentifier, Extension, Handle, Identity, Pair, bare, fold_handle
from identities.models.handle import NOT_HANDLES, SLUG
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


def read(sent: Sequence[Sent], *, writer: Extension | None) -> list[Identity | Refused]:
    """Say of each sent pair which identity it would be, or why it may not be written.

    Out: one item for each that came in, in their order: an unsaved Identity in normal form that has passed its
    `clean()`, or the refusal (not raised, since an incoming record sets bad pairs aside and keeps the rest). A
    handle never seen is admitted as undocumented, or refused where HANDLE_POLICY says so. Two queries, however many
    pairs, and a few more where pairs are refused. Contact points are not refused here;
    whether a request may name them is the interfaces' affair.
    """
    if not sent:
        return []
    catalogue = _Catalogue({one.handle for one in sent})
    answers: list[Identity | Refused] = []
    doubtful: dict[int, Identity] = {}
    for position, one in enumerate(sent):
        identity, refusal = _identity(one, catalogue=catalogue, writer=writer)
        if identity is not None and refusal is not None:
            doubtful[position] = identity
        answers.append(refusal or identity)  # type: ignore[arg-type]  # it is one or the other
    answers = _known_after_all(answers, doubtful)
    blocked = _blocked(sent, answers, catalogue=catalogue)
    return [blocked.get(position, answer) for position, answer in enumerate(answers)]


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
    """The handles that a write names, by their folds, each with the one that it was renamed to."""

    def __init__(self, names: Iterable[str]) -> None:
        folds = {fold_handle(storable(name)) for name in names}
        self._meant: dict[str, Handle | Refused] = {}
        # At once: between two questions a handle may be renamed, and its new name be a former one by the second.
        rows = {row.name: row for row in reading.instances(Handle, _of_folds(), [list(folds)])}
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
    keys = {value[:255] for group in values.values() for value in group}
    entries = reading.instances(BlockedIdentifier, _blocking(), [list(keys)], BLOCKING)
    exactly: dict[str, list[BlockedIdentifier]] = {}
    for entry in entries:
        exactly.setdefault(entry.value, []).append(entry)
    patterns = [entry for entry in entries if entry.kind == BlockedIdentifier.Kind.REGEX]
    for position, group in values.items():
        answer = answers[position]
        handle = answer.handle_id if isinstance(answer, Identity) else catalogue.current_name(sent[position].handle)
        for value in group:
            candidates = [*exactly[value[:255]], *patterns] if value[:255] in exactly else patterns
            if any(entry.blocks(handle, value[:255]) for entry in candidates):
                message = _("The value %(value)s names nobody and is blocked.") % {"value": sent[position].identifier}
                refusals[position] = Refused("blocked_identifier", message, field="identifier")
    return refusals


@cache
def _of_folds() -> str:
    """Handles by their folds, and those that they were renamed to."""
    return f"""
        WITH named AS (SELECT name, renamed_to_id FROM identities_handle WHERE fold = ANY(%s))
        SELECT {reading.columns(Handle)} FROM identities_handle
        WHERE name IN (SELECT name FROM named UNION SELECT renamed_to_id FROM named)
    """  # noqa: S608 - names of our own


@cache
def _blocking() -> str:
    # Two parts: asked for either kind at once, each row of the table would be compared with each of a thousand values.
    columns = reading.columns(BlockedIdentifier, only=BLOCKING)
    return f"""
        SELECT {columns} FROM identities_blockedidentifier WHERE enabled AND kind = 'exact' AND value = ANY(%s)
        UNION ALL SELECT {columns} FROM identities_blockedidentifier WHERE enabled AND kind = 'regex'
    """  # noqa: S608 - names of our own
