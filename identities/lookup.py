"""The hot path: an identity, or a thousand, to profiles. One SQL statement each.

PostgreSQL builds the JSON (`wire`) and the views send its text as it came: a till waits for the answer, and no
serializer is as fast.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from identities import normalising, wire
from identities.models import BUILT_IN, EMAIL, MOBILE_PHONE
from identities.wire import (
    BALANCES,
    CLAIM,
    CLAIMED,
    CLAIMS,
    HIDDEN,
    IDENTITY,
    IS_OPEN,
    IS_OPEN_CLAIM,
    OWN_IDENTITY,
    OWN_RECORDS,
    PROFILE,
    RECORDS,
    short,
)
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
    return _found(_search(frozenset(include)), handle, identifier, end="}}")


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
    return _texts(_identities(with_profile), [list(pks)], end="}}")


def identities_by_id(pks: Sequence[int]) -> dict[int, str]:
    """Identities by id; one that somebody has deleted is absent."""
    return dict(reading.rows(IDENTITIES_BY_ID, [list(pks)]))


def identities_of(pk: uuid.UUID) -> list[str]:
    """All identities of a profile but its contact points, oldest first."""
    return _texts(IDENTITIES_OF, [pk])


def records(kind: str, pks: Sequence[int]) -> list[str]:
    """Records of one kind by id, in the order given. In: `transaction`, `interaction`, `point` or `reward`."""
    return _texts(_records(kind), [list(pks)])


def own_profile(pk: uuid.UUID) -> str | None:
    """A profile as its owner is shown it, as JSON text; None when it has been erased meanwhile."""
    rows = reading.rows(_own_profile(), [pk])
    return as_claimed(*rows[0]) if rows else None


def as_claimed(document: str, claims: bool) -> str:
    """The document of a profile as its owner is shown it, with what they claim in its place (API.md 6).

    In: `wire.own_profile` and `wire.CLAIMS`. Hardly anybody claims anything, so that PostgreSQL's text goes out as it
    is; one statement more where somebody does.
    """
    if not claims:
        return document
    told = json.loads(document)
    for claim in map(json.loads, _texts(OWN_CLAIMS, [told["id"]])):
        text = claim["identifier"]
        if claim["handle"] == EMAIL:
            told["email"] = text
        elif claim["handle"] == MOBILE_PHONE:
            told["mobile_phone"] = told["mobile_phone_e164"] = text
            told["mobile_phone_country"], told["mobile_phone_national"] = normalising.split_phone(text)
        else:
            told["identities"].append(claim)
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def own_identities(pk: uuid.UUID) -> list[str]:
    """All identities of a profile that its owner is shown, and what they claim, each the oldest first."""
    return _texts(OWN_IDENTITIES, [pk, pk])


def own_identity(pk: uuid.UUID, handle: str) -> str | None:
    """That of this handle, of several the newest active one, else the newest; None when the owner is shown none.

    What they claim counts as newer than what is confirmed.
    """
    return next(iter(_texts(OWN_IDENTITY_BY_HANDLE, [handle, pk, pk])), None)


def own_identity_by_id(pk: uuid.UUID, identity_id: int) -> str | None:
    """That of this key, if the profile has it and its owner is shown it."""
    return next(iter(_texts(OWN_IDENTITY_BY_ID, [pk, identity_id, pk, identity_id])), None)


def own_records(kind: str, pks: Sequence[int], *, of: uuid.UUID | None) -> list[str]:
    """Records of one kind by id, in the order given, as who they are about is shown them; without those that have left
    this profile since they were looked for."""
    return _texts(_own_records(kind), [list(pks), of])


def balances(pk: uuid.UUID) -> str:
    """What a profile may spend, as JSON text."""
    return _texts(BALANCES_OF, [pk])[0]


def of_pair(sql: str, handle: str, identifier: str) -> tuple[Any, ...] | None:
    """What a statement tells of a pair; None for a handle that nobody knows.

    In: a statement that asks for the `CURRENT` of one pair, and gives its handle's normaliser before the rest.
    """
    normaliser = _normalisers.get(handle, "exact")
    while True:
        rows = reading.rows(sql, [handle, normalising.form(normaliser, identifier)])
        if not rows:
            return None
        current, *told = rows[0]
        if current == normaliser:
            return tuple(told)
        normaliser = _normalisers[handle] = current


def _found(sql: str, handle: str, identifier: str, *, end: str = "}") -> str | None:
    """The document of what this pair names, if anybody has it. In: as `_texts`."""
    told = of_pair(sql, handle, identifier)
    return _told(*told, end=end) if told and told[0] is not None else None


def _texts(sql: str, parameters: Sequence[Any], *, end: str = "}") -> list[str]:
    """The documents that a statement gives. In: one that gives wire.CLAIMED besides, if it gives profiles, and how
    these end in their documents."""
    return [_told(*row, end=end) for row in reading.rows(sql, parameters)]


def _told(document: str, claimed: str | None = None, *, end: str = "}") -> str:
    return document if claimed is None else f'{document[: -len(end)]}, "claimed" : {claimed}{end}'


# The statements, each made once. Documents are asked for as text: the driver would otherwise parse them only for the
# view to write them again.


@cache
def _search(include: frozenset[str]) -> str:
    return _of_pair(f"json_build_object({IDENTITY}, 'profile', {profile_with(include)})")


@cache
def _search_id(include: frozenset[str]) -> str:
    return _of_pair(profile_with(include))


def _of_pair(document: str) -> str:
    return short(f"""
        SELECT current.normaliser, found.document, found.claimed
        FROM (SELECT %s::text, %s::text) AS asked (handle, identifier) {CURRENT}
        LEFT JOIN LATERAL (SELECT {document}::text AS document, {CLAIMED} AS claimed {FOUND}) AS found ON true
    """)


@cache
def _profile(include: frozenset[str]) -> str:
    return short(f"""
        {LINE} SELECT {profile_with(include)}::text, {CLAIMED} FROM profiles_profile AS profile
        JOIN line ON line.id = profile.id AND line.merged_into_id IS NULL
    """)


@cache
def _search_profile(include: frozenset[str]) -> str:
    return short(f"""
        SELECT {profile_with(include)}::text, {CLAIMED} FROM (
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
    return short(f"""
        SELECT {profile_with(include)}::text, {CLAIMED} FROM unnest(%s::uuid[]) WITH ORDINALITY AS page (id, position)
        JOIN profiles_profile AS profile ON profile.id = page.id ORDER BY page.position
    """)


@cache
def _identities(with_profile: bool) -> str:
    extra = f", 'profile', {PROFILE}" if with_profile else ""
    return short(f"""
        SELECT json_build_object({IDENTITY}{extra})::text {f", {CLAIMED}" if with_profile else ""}
        FROM unnest(%s::bigint[]) WITH ORDINALITY AS page (id, position)
        JOIN identities_identity AS identity ON identity.id = page.id
        JOIN profiles_profile AS profile ON profile.id = identity.profile_id
        ORDER BY page.position
    """)


@cache
def _own_profile() -> str:
    return short(f"""
        SELECT {wire.own_profile()}::text, {CLAIMS} FROM profiles_profile AS profile WHERE profile.id = %s
    """)


@cache
def _records(kind: str) -> str:
    table, document, _order = RECORDS[kind]
    return _paged(table, document)


@cache
def _own_records(kind: str) -> str:
    table, _document, _order = RECORDS[kind]
    return _paged(table, OWN_RECORDS[kind], "AND record.profile_id = %s")


def _paged(table: str, document: str, of: str = "") -> str:
    return short(f"""
        SELECT {document}::text FROM unnest(%s::bigint[]) WITH ORDINALITY AS page (id, position)
        JOIN {table} AS record ON record.id = page.id {of} ORDER BY page.position
    """)


IDENTITIES_BY_ID = short(f"""
    SELECT identity.id, json_build_object({IDENTITY})::text FROM identities_identity AS identity
    WHERE identity.id = ANY (%s)
""")
IDENTITIES_OF = short(f"""
    SELECT json_build_object({IDENTITY})::text FROM identities_identity AS identity
    WHERE identity.profile_id = %s AND identity.handle NOT IN ({HIDDEN}) ORDER BY identity.id
""")
# Those of reserved handles are not shown.
_OWN = f"""
    SELECT json_build_object({OWN_IDENTITY})::text FROM identities_identity AS identity
    WHERE identity.profile_id = %s AND {IS_OPEN}
"""
_OWN_CLAIM = f"""
    SELECT {CLAIM}::text FROM identities_identityclaim AS claim
    WHERE claim.profile_id = %s AND {IS_OPEN_CLAIM}
"""
OWN_CLAIMS = short(f"{_OWN_CLAIM} ORDER BY claim.id")
OWN_IDENTITIES = short(f"""
    SELECT document FROM (
        ({_OWN} AND identity.handle NOT IN ({HIDDEN}) ORDER BY identity.id)
        UNION ALL ({_OWN_CLAIM} AND claim.handle NOT IN ({HIDDEN}) ORDER BY claim.id)
    ) AS own (document)
""")
OWN_IDENTITY_BY_ID = short(f"{_OWN} AND identity.id = %s UNION ALL {_OWN_CLAIM} AND claim.id = %s")
# A handle that nobody has agreed on, or that the catalogue does not have, may be claimed.
OWN_IDENTITY_BY_HANDLE = short(f"""
    WITH named AS (
        SELECT coalesce(handle.renamed_to_id, asked.handle) AS name
        FROM (SELECT %s::text) AS asked (handle) LEFT JOIN identities_handle AS handle ON handle.name = asked.handle
    )
    (
        SELECT {CLAIM}::text FROM identities_identityclaim AS claim JOIN named ON claim.handle = named.name
        WHERE claim.profile_id = %s AND claim.handle NOT IN ({HIDDEN}) AND {IS_OPEN_CLAIM}
        ORDER BY claim.id DESC LIMIT 1
    ) UNION ALL (
        SELECT json_build_object({OWN_IDENTITY})::text
        FROM identities_identity AS identity JOIN named ON identity.handle = named.name
        WHERE identity.profile_id = %s AND identity.handle NOT IN ({HIDDEN}) AND {IS_OPEN}
        ORDER BY identity.is_active DESC, identity.id DESC LIMIT 1
    )
""")
BALANCES_OF = short(f"SELECT document::text FROM ({BALANCES}) AS answer (document)")
