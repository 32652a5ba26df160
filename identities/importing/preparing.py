"""What is plainly good about a row, told without the database, so that it can be done while another chunk is written.

Plain is what `handles.read` would let pass. Whatever is not, is left to the write path: rules are refused there only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError

from identities import handles, normalising
from identities.handles import Sent
from identities.importing.rows import Row
from identities.models import EMAIL, BlockedIdentifier, Extension, Handle, bare
from identities.models.handle import compile_blocking
from identities.normalising import normalise, storable
from profiles.models import Profile, is_birth_date
from profiles.refusing import Refused

Key = tuple[str, str]

LONGEST_SHOWN = Profile._meta.get_field("email").max_length or 0


class Good(NamedTuple):
    """A pair in its normal form, which is what identities sort by, and the rest of what an identity says."""

    handle: str
    identifier: str
    original: str
    is_active: bool = True
    is_primary: bool = False

    @property
    def shown(self) -> str:
        """As `Identity.shown`."""
        return normalising.exact(self.original) if self.handle == EMAIL and self.original else self.identifier


@dataclass(slots=True)
class Prepared:
    """A row with its good pairs and contact points, in their order. `is_plain` when there is nothing else to it.

    `keys` are handle and identifier of all of them.
    """

    row: Row
    pairs: list[Good]
    contacts: list[Good]
    is_plain: bool
    keys: list[Key]


class Catalogue:
    """The catalogue at one moment: handles with their rules, and blocked values. Three queries, and none later.

    What has changed meanwhile of a handle is found out before anything is written (`holding.keep_rules`); a value that
    was blocked a moment ago is as one that came a moment before. In: names of handles that are to be known even when
    the catalogue does not have them yet.
    """

    def __init__(self, *, writer: Extension | None, names: Collection[str] = ()) -> None:
        self.names = names
        self.handles: dict[str, Handle] = {}
        for row in Handle.objects.select_related("renamed_to"):
            self.handles[row.name] = row.renamed_to or row
        for name in names:
            if name not in self.handles:
                try:
                    self.handles[name] = handles.named(name)
                except Refused:
                    continue
        self.usable = {name: handle for name, handle in self.handles.items() if _takes(handle, writer)}
        # Those of which a profile that has nothing yet may not have as many as it likes.
        limits = {name: _most(handle) for name, handle in self.usable.items()}
        self._limited = {name: most for name, most in limits.items() if most is not None}
        values: dict[str | None, set[str]] = {}
        patterns: dict[str | None, list[str]] = {}
        blocked = BlockedIdentifier.objects.filter(enabled=True).order_by().values_list("handle", "kind", "value")
        for handle_name, kind, value in blocked:
            if kind == BlockedIdentifier.Kind.EXACT:
                values.setdefault(handle_name, set()).add(value)
            else:
                patterns.setdefault(handle_name, []).append(value)
        # The empty value is what is left of one that is nothing but quotes.
        self._values = {"", *values.pop(None, ())}
        self._values_of = values
        self._patterns = {
            name: compile_blocking((*patterns.get(None, ()), *patterns.get(name, ()))) for name in self.usable
        }

    def good(self, sent: Sent) -> Good | None:
        """The pair in its normal form, or None for one that the write path must look at."""
        handle = self.usable.get(sent.handle.strip())
        if handle is None:
            return None
        trimmed = sent.identifier.strip()
        try:
            normal = normalise(handle.normaliser, trimmed)
        except ValidationError as error:
            forget(error)
            return None
        if not handle.matches(normal) or self._blocks(handle.name, trimmed):
            return None
        if normal == trimmed:
            return Good(handle.name, normal, "", sent.is_active, sent.is_primary)
        if bare(normal) != bare(trimmed) and self._blocks(handle.name, normal):
            return None
        return Good(handle.name, normal, trimmed, sent.is_active, sent.is_primary)

    def prepare(self, rows: Iterable[Row]) -> list[Prepared]:
        return [self._prepare(row) for row in rows]

    def _prepare(self, row: Row) -> Prepared:
        pairs, contacts = [], []
        is_plain = row.refusal is None and row.profile_id is None and not row.attributes
        for sent in row.sent:
            good = self.good(sent)
            if good is None:
                is_plain = False
            else:
                pairs.append(good)
        for name, text in row.contact.items():
            if text and not text.isspace():
                good = self.good(Sent(name, text))
                if good is None:
                    is_plain = False
                else:
                    contacts.append(good)
        pairs.sort()
        contacts.sort()
        keys = [(good.handle, good.identifier) for good in (*contacts, *pairs)]
        is_plain = (
            is_plain
            and len(set(keys)) == len(keys)
            and _is_calendar_date(row.fields)
            and all(len(good.original) <= LONGEST_SHOWN for good in contacts)
            and self._are_within_limits(pairs)
        )
        return Prepared(row, pairs, contacts, is_plain, keys)

    def _blocks(self, handle: str, value: str) -> bool:
        value = bare(storable(value))[:255]
        if value in self._values or (handle in self._values_of and value in self._values_of[handle]):
            return True
        return any(pattern.fullmatch(value) is not None for pattern in self._patterns[handle])

    def _are_within_limits(self, pairs: Sequence[Good]) -> bool:
        """Whether a profile that has nothing yet may have all of these, none of which may be a contact point."""
        limited = [good.handle for good in pairs if good.handle in self._limited]
        return all(limited.count(name) <= self._limited[name] for name in limited)


def forget(error: ValidationError) -> None:
    """Let go of what an error has seen: it refers to itself, and would keep that until cycles are looked for."""
    error.__traceback__ = None


def _most(handle: Handle) -> int | None:
    if handle.is_built_in:
        return 0
    return 1 if handle.single_valued else handle.max_per_profile


def _takes(handle: Handle, writer: Extension | None) -> bool:
    if handle.status == Handle.Status.RETIRED:
        return False
    try:
        handle.refuse_writer(writer)
    except ValidationError as error:
        forget(error)
        return False
    return True


def _is_calendar_date(fields: Mapping[str, Any]) -> bool:
    birth = (fields.get("birth_year"), fields.get("birth_month"), fields.get("birth_day"))
    return birth == (None, None, None) or is_birth_date(*birth)
