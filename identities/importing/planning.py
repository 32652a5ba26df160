"""Which rows of a chunk make new profiles, which change nothing, and which must go by the write path itself."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import Any, NamedTuple

from django.db import connection

from identities import barring
from identities.filling import BIRTH, EMPTY
from identities.importing.preparing import Key, Prepared
from identities.models import BUILT_IN, ErasedPair, IdentityClaim, Pair
from identities.overriding import MOST_OVERRIDDEN
from profiles.models import Profile

# No more rows than this go by the write path in one transaction, since it keeps what they lock until its end.
MOST_ALONE = 200


class Kind(enum.Enum):
    """FRESH: nobody has its pairs, so that it makes a profile. SETTLED: one profile has them all, and the row says
    nothing new of it. ALONE: everything else.
    """

    FRESH = "fresh"
    SETTLED = "settled"
    ALONE = "alone"


class Owner(NamedTuple):
    profile_id: uuid.UUID
    is_live: bool


@dataclass(slots=True)
class Plan:
    """The rows of a chunk, with their kinds, in the order of the file, up to the last that fits into a transaction.

    `touched` are the profiles that the rows which go alone may be about.
    """

    rows: list[tuple[Kind, Prepared]] = field(default_factory=list)
    touched: set[uuid.UUID] = field(default_factory=set)

    def runs(self) -> Iterator[tuple[Kind, list[Prepared]]]:
        """The rows of one kind that follow each other, together."""
        for kind, rows in groupby(self.rows, key=lambda one: one[0]):
            yield kind, [row for _kind, row in rows]


def plan(chunk: Sequence[Prepared]) -> Plan:
    """Sort the rows of a chunk into their kinds: one look at all pairs, one at the profiles that rows may settle on.

    Rows are done in the order of the file, so that it only matters what an earlier row of the chunk may have changed
    since this look: no row is fresh that has a pair with an earlier one in common, and none is settled on a profile
    that a row which goes alone may be about.
    """
    keys = [key for one in chunk for key in one.keys]
    owners, claimed = look_up(keys), claims_of(keys)
    # What the write path sees to, if nobody has it yet: claims end with the write of their pair, erased ones stay out.
    delicate = (claimed.keys() | erased(keys)) - owners.keys()
    kinds = list(_kinds(chunk, owners, delicate))
    maybe = {
        position: owners[chunk[position].keys[-1]].profile_id
        for position, kind in enumerate(kinds)
        if kind is Kind.SETTLED
    }
    columns = _columns([chunk[position] for position in maybe], set(maybe.values()))
    for position, profile_id in maybe.items():
        if not _says_nothing_new(chunk[position], columns.get(profile_id)):
            kinds[position] = Kind.ALONE
    alone_rows = [one for one, kind in zip(chunk, kinds, strict=True) if kind is Kind.ALONE]
    touched = _touched(alone_rows, owners, claimed)
    planned, alone = Plan(touched=touched), 0
    for position, (one, kind) in enumerate(zip(chunk, kinds, strict=True)):
        if maybe.get(position) in touched:
            kind = Kind.ALONE
        alone += kind is Kind.ALONE
        if alone > MOST_ALONE:
            break
        planned.rows.append((kind, one))
    return planned


def look_up(keys: Collection[Key]) -> dict[Key, Owner]:
    """Whose these pairs are, of those that somebody has. One statement, one probe of the index a pair.

    The limit keeps the planner from reading the whole table for many pairs. They go as two texts: no normal form has a
    line break, and a thousand values each for itself take longer to write than to look up.
    """
    if not keys:
        return {}
    asked = sorted(keys)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT asked.handle, asked.identifier, held.profile_id, held.is_live
            FROM unnest(string_to_array(%s, E'\\n'), string_to_array(%s, E'\\n')) AS asked (handle, identifier)
            CROSS JOIN LATERAL (
                SELECT identity.profile_id, profile.profile_type <> 'deleted' AND profile.merged_into_id IS NULL
                FROM identities_identity AS identity
                JOIN profiles_profile AS profile ON profile.id = identity.profile_id
                WHERE identity.handle = asked.handle AND identity.identifier = asked.identifier
                LIMIT 1
            ) AS held (profile_id, is_live)
            """,
            ["\n".join([handle for handle, _one in asked]), "\n".join([identifier for _one, identifier in asked])],
        )
        return {
            (handle, identifier): Owner(profile_id, is_live)
            for handle, identifier, profile_id, is_live in cursor.fetchall()
        }


def claims_of(keys: Collection[Key]) -> dict[Key, set[uuid.UUID]]:
    """Which profiles claim these pairs, of one pair the first. One statement more where there are claims at all."""
    claimed: dict[Key, set[uuid.UUID]] = {}
    if not keys or not IdentityClaim.objects.exists():
        return claimed
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT asked.handle, asked.identifier, claim.profile_id
            FROM unnest(string_to_array(%s, E'\\n'), string_to_array(%s, E'\\n')) AS asked (handle, identifier)
            CROSS JOIN LATERAL (
                SELECT profile_id FROM identities_identityclaim AS claim
                WHERE claim.handle = asked.handle AND claim.identifier = asked.identifier ORDER BY id LIMIT %s
            ) AS claim
            """,
            [
                "\n".join([handle for handle, _one in keys]),
                "\n".join([identifier for _one, identifier in keys]),
                MOST_OVERRIDDEN,
            ],
        )
        for handle, identifier, profile_id in cursor.fetchall():
            claimed.setdefault((handle, identifier), set()).add(profile_id)
    return claimed


def erased(keys: Collection[Key]) -> set[Key]:
    """Which of these pairs were erased. One statement more where any were."""
    if not keys or not ErasedPair.objects.exists():
        return set()
    return {(pair.handle, pair.identifier) for pair in barring.among({Pair(*key) for key in keys})}


def _kinds(chunk: Sequence[Prepared], owners: Mapping[Key, Owner], delicate: Collection[Key]) -> Iterator[Kind]:
    """What each row is as far as its pairs tell. A settled one may still say something new."""
    seen: set[Key] = set()
    for one in chunk:
        new = [key not in seen for key in one.keys]
        seen.update(one.keys)
        if not one.is_plain or (delicate and any(key in delicate for key in one.keys)):
            yield Kind.ALONE
        elif all(new) and (not owners or not any(key in owners for key in one.keys)):
            yield Kind.FRESH
        else:
            yield Kind.SETTLED if _is_known(one, new, owners) else Kind.ALONE


def _is_known(one: Prepared, new: Sequence[bool], owners: Mapping[Key, Owner]) -> bool:
    """Whether one live profile has all pairs of the row, and nobody else any of its contact points."""
    owner = owners.get(one.keys[-1]) if one.pairs else None
    if owner is None or not owner.is_live:
        return False
    contacts = len(one.contacts)
    return all(owners.get(key) == owner for key in one.keys[contacts:]) and all(
        owners[key] == owner if key in owners else is_new
        for key, is_new in zip(one.keys[:contacts], new[:contacts], strict=True)
    )


def _columns(rows: Sequence[Prepared], ids: Collection[uuid.UUID]) -> dict[uuid.UUID, dict[str, Any]]:
    if not ids:
        return {}
    names = {*BUILT_IN, *chain.from_iterable(one.row.fields for one in rows)}
    return {row["pk"]: row for row in Profile.objects.filter(pk__in=ids).order_by().values("pk", *names)}


def _says_nothing_new(one: Prepared, columns: Mapping[str, Any] | None) -> bool:
    """Whether `route` would leave the profile as it is: it fills only what is empty (`filling.fill`)."""
    if columns is None:
        return False
    for name, value in one.row.fields.items():
        if value in EMPTY or columns[name] == value:
            continue
        if columns[name] in EMPTY or name == "attributes" or name in BIRTH:
            return False
    return all(columns[good.handle] for good in one.contacts)


def _touched(
    alone: Sequence[Prepared], owners: Mapping[Key, Owner], claimed: Mapping[Key, Collection[uuid.UUID]]
) -> set[uuid.UUID]:
    named = {one.row.profile_id for one in alone if one.row.profile_id is not None}
    return {
        *Profile.objects.survivors(named).values(),
        *(owners[key].profile_id for one in alone for key in one.keys if key in owners),
        *(pk for one in alone for key in one.keys for pk in claimed.get(key, ())),
    }
