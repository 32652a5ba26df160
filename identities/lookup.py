"""The hot path: an identity, or a thousand, to profiles. One SQL statement each.

PostgreSQL builds the JSON (`wire`) and the views send its text as it came: a till waits for the answer, and no
serializer is as fast.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from identities import normalising
from identities.models import BUILT_IN
from identities.wire import BALANCES, HIDDEN, IDENTITY, PROFILE, RECORDS
from identities.wire import profile as profile_with
from profiles import reading

# ruff: noqa: S608 - the statements below are put together from constants only

# Which normaliser a handle has, as far as the last answers said; one that is not here is taken for exact. Nothing goes
# by it: each statement says what the catalogue says, and is asked again when the identifier was in another form.
_normalisers: dict[str, str] = dict(BUILT_IN)

# A renamed handle is followed, and one that nobody knows finds nothing.
CURRENT = """
    JOIN identities_handle AS handle ON handle.name = asked.handle
    JOIN identities_handle AS current ON current.name = coalesce(handle.renamed_to_id, handle.name)
"""

# Inactive pairs and contact points are found too (API.md 2).
FOUND = """
    FROM identities_identity AS identity
    JOIN profiles_profile AS profile ON profile.id = identity.profile_id AND profile.profile_type <> 'deleted'
    WHERE identity.handle = current.name AND identity.identifier = asked.identifier
"""

RESOLVED = f"""
    SELECT asked.position, current.normaliser, profile.id
    FROM unnest(%s::text[], %s::text[], %s::text[]) WITH ORDINALITY AS asked (handle, normaliser, identifier, position)
    {CURRENT}
    LEFT JOIN identities_identity AS identity
      ON identity.handle = current.name AND identity.identifier = asked.identifier
    LEFT JOIN profiles_profile AS profile ON profile.id = identity.profile_id AND profile.profile_type <> 'deleted'
    WHERE profile.id IS NOT NULL OR current.normaliser <> asked.normaliser
"""

LINE = """
    WITH RECURSIVE line AS (
        SELECT id, merged_into_id FROM profiles_profile WHERE id = %s
        UNION
        SELECT next.id, next.merged_into_id
        FROM profiles_profile AS next JOIN line ON next.id = line.merged_into_id
    )
"""


# In the functions below, `include` are words of wire.INCLUDES, whose newest ten each profile is to hold besides.


def search(handle: str, identifier: str, *, include: Collection[str] = ()) -> str | None:
    """The identity of this pair with its full profile, as JSON text; None when nobody has it."""
    return _found(_search(frozenset(include)), handle, identifier)


def search_id(handle: str, identifier: str, *, include: Collection[str] = ()) -> str | None:
    """The full profile that this pair names, as JSON text; None when nobody has it.

    The handle `profile_id` means the profile's own id, a merged one's its survivor, in any state.
    """
    if handle == "profile_id":
        return profile(identifier, include=include)
    return _found(_search_id(frozenset(include)), handle, identifier)


def profile(pk: uuid.UUID | str, *, include: Collection[str] = ()) -> str | None:
    """The full profile by its id, in any state, as JSON text; a merged id means its survivor."""
    try:
        pk = pk if isinstance(pk, uuid.UUID) else uuid.UUID(pk)
    except ValueError:
        return None
    return next(iter(_texts(_profile(frozenset(include)), [pk])), None)


def search_profile(identifiers: Collection[str], *, include: Collection[str] = ()) -> list[str]:
    """Full profiles that have one of these texts under any handle but the contact points, oldest identity first."""
    forms = {pair for text in identifiers for pair in normalising.forms(text).items() if pair[1] is not None}
    asked = [[normaliser for normaliser, _form in forms], [form for _normaliser, form in forms]]
    return _texts(_search_profile(frozenset(include)), asked)


def resolve(pairs: Sequence[tuple[str, str]]) -> list[uuid.UUID | None]:
    """The profile id that each pair names, in the order asked; None where nobody has it."""
    handles = [handle for handle, _identifier in pairs]
    while True:
        normalisers = [_normalisers.get(handle, "exact") for handle in handles]
        forms = [normalising.form(normaliser, pair[1]) for normaliser, pair in zip(normalisers, pairs, strict=True)]
        found: list[uuid.UUID | None] = [None] * len(pairs)
        is_settled = True
        for position, normaliser, profile_id in reading.rows(RESOLVED, [handles, normalisers, forms]):
            found[position - 1] = profile_id
            if normaliser != normalisers[position - 1]:
                _normalisers[handles[position - 1]] = normaliser
                is_settled = False
        if is_settled:
            return found


def profiles(pks: Sequence[uuid.UUID], *, include: Collection[str] = ()) -> list[str]:
    """Full profiles by id, in the order given: one page of a list."""
    return _texts(_profiles(frozenset(include)), [list(pks)])


def identities(pks: Sequence[int], *, with_profile: bool = False) -> list[str]:
    """Identities by id, in the order given, each with its full profile if asked."""
    return _texts(_identities(with_profile), [list(pks)])


def identities_by_id(pks: Sequence[int]) -> dict[int, str]:
    """Identities by id; one that somebody has deleted is absent."""
    return dict(reading.rows(IDENTITIES_BY_ID, [list(pks)]))


def identities_of(pk: uuid.UUID) -> list[str]:
    """All identities of a profile but its contact points, oldest first."""
    return _texts(IDENTITIES_OF, [pk])


def records(kind: str, pks: Sequence[int]) -> list[str]:
    """Records of one kind by id, in the order given. In: `transaction`, `interaction`, `point` or `reward`."""
    return _texts(_records(kind), [list(pks)])


def balances(pk: uuid.UUID) -> str:
    """What a profile may spend, as JSON text."""
    return _texts(BALANCES_OF, [pk])[0]


def _found(sql: str, handle: str, identifier: str) -> str | None:
    """The document of what this pair names, if anybody has it."""
    normaliser = _normalisers.get(handle, "exact")
    while True:
        rows = reading.rows(sql, [handle, normalising.form(normaliser, identifier)])
        if not rows:
            return None
        current: str
        document: str | None
        ((current, document),) = rows
        if current == normaliser:
            return document
        normaliser = _normalisers[handle] = current


def _texts(sql: str, parameters: Sequence[Any]) -> list[str]:
    return [document for (document,) in reading.rows(sql, parameters)]


# The statements, each made once. Documents are asked for as text: the driver would otherwise parse them only for the
# view to write them again.


def _short(sql: str) -> str:
    """The same in one line: of statements beyond 4,096 bytes the driver reads each one anew for its parameters."""
    return re.sub(r"(?<=[(,]) | (?=[)])", "", " ".join(sql.split()))


@cache
def _search(include: frozenset[str]) -> str:
    return _of_pair(f"json_build_object({IDENTITY}, 'profile', {profile_with(include)})")


@cache
def _search_id(include: frozenset[str]) -> str:
    return _of_pair(profile_with(include))


def _of_pair(document: str) -> str:
    return _short(f"""
        SELECT current.normaliser, (SELECT {document} {FOUND})::text
        FROM (SELECT %s::text, %s::text) AS asked (handle, identifier) {CURRENT}
    """)


@cache
def _profile(include: frozenset[str]) -> str:
    return _short(f"""
        {LINE} SELECT {profile_with(include)}::text FROM profiles_profile AS profile
        JOIN line ON line.id = profile.id AND line.merged_into_id IS NULL
    """)


@cache
def _search_profile(include: frozenset[str]) -> str:
    return _short(f"""
        SELECT {profile_with(include)}::text FROM (
            SELECT identity.profile_id, min(identity.id) AS first
            FROM unnest(%s::text[], %s::text[]) AS asked (normaliser, identifier)
            JOIN identities_identity AS identity ON identity.identifier = asked.identifier
            JOIN identities_handle AS handle
              ON handle.name = identity.handle AND handle.normaliser = asked.normaliser
            WHERE identity.handle NOT IN ({HIDDEN})
            GROUP BY identity.profile_id
        ) AS found
        JOIN profiles_profile AS profile ON profile.id = found.profile_id AND profile.profile_type <> 'deleted'
        ORDER BY found.first
    """)


@cache
def _profiles(include: frozenset[str]) -> str:
    return _short(f"""
        SELECT {profile_with(include)}::text FROM unnest(%s::uuid[]) WITH ORDINALITY AS page (id, position)
        JOIN profiles_profile AS profile ON profile.id = page.id ORDER BY page.position
    """)


@cache
def _identities(with_profile: bool) -> str:
    extra = f", 'profile', {PROFILE}" if with_profile else ""
    return _short(f"""
        SELECT json_build_object({IDENTITY}{extra})::text
        FROM unnest(%s::bigint[]) WITH ORDINALITY AS page (id, position)
        JOIN identities_identity AS identity ON identity.id = page.id
        JOIN profiles_profile AS profile ON profile.id = identity.profile_id
        ORDER BY page.position
    """)


@cache
def _records(kind: str) -> str:
    table, document, _order = RECORDS[kind]
    return _short(f"""
        SELECT {document}::text FROM unnest(%s::bigint[]) WITH ORDINALITY AS page (id, position)
        JOIN {table} AS record ON record.id = page.id ORDER BY page.position
    """)


IDENTITIES_BY_ID = _short(f"""
    SELECT identity.id, json_build_object({IDENTITY})::text FROM identities_identity AS identity
    WHERE identity.id = ANY (%s)
""")
IDENTITIES_OF = _short(f"""
    SELECT json_build_object({IDENTITY})::text FROM identities_identity AS identity
    WHERE identity.profile_id = %s AND identity.handle NOT IN ({HIDDEN}) ORDER BY identity.id
""")
BALANCES_OF = _short(f"SELECT document::text FROM ({BALANCES}) AS answer (document)")
