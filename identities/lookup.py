"""The hot path: an identity, or a thousand, to profiles. One SQL statement each.

PostgreSQL builds the JSON (`wire`) and the views send its text as it came: a till waits for the answer, and no
serializer is as fast.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from django.db import connection

from identities import normalising
from identities.wire import BALANCES, HIDDEN, IDENTITY, PROFILE, RECORDS
from identities.wire import profile as profile_with

# ruff: noqa: S608 - the statements below are put together from constants only
# What was asked, in every normal form that it could be stored under; the handle's own normaliser picks one. A
# renamed handle is followed, and a handle that nobody knows finds nothing.
ASKED = """
    SELECT asked.position, coalesce(handle.renamed_to_id, handle.name) AS handle, CASE current.normaliser
        WHEN 'exact' THEN asked.exact
        WHEN 'fold' THEN asked.fold
        WHEN 'digits' THEN asked.digits
        WHEN 'email' THEN asked.email
        WHEN 'phone' THEN asked.phone
    END AS identifier
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[]) WITH ORDINALITY
        AS asked (handle, exact, fold, digits, email, phone, position)
    JOIN identities_handle AS handle ON handle.name = asked.handle
    JOIN identities_handle AS current ON current.name = coalesce(handle.renamed_to_id, handle.name)
"""

FOUND = f"""
    FROM ({ASKED}) AS asked
    JOIN identities_identity AS identity
      ON identity.handle = asked.handle AND identity.identifier = asked.identifier
    JOIN profiles_profile AS profile ON profile.id = identity.profile_id AND profile.profile_type <> 'deleted'
"""


# In the functions below, `include` are words of wire.INCLUDES, whose newest ten each profile is to hold besides.


def search(handle: str, identifier: str, *, include: Collection[str] = ()) -> str | None:
    """The identity of this pair with its full profile, as JSON text; None when nobody has it."""
    # Inactive pairs and contact points are found too (API.md 2).
    document = f"json_build_object({IDENTITY}, 'profile', {profile_with(include)})"
    return _text(f"SELECT {document} {FOUND}", _asked([(handle, identifier)]))


def search_id(handle: str, identifier: str, *, include: Collection[str] = ()) -> str | None:
    """The full profile that this pair names, as JSON text; None when nobody has it.

    The handle `profile_id` means the profile's own id, a merged one's its survivor, in any state.
    """
    if handle == "profile_id":
        return profile(identifier, include=include)
    return _text(f"SELECT {profile_with(include)} {FOUND}", _asked([(handle, identifier)]))


def profile(pk: uuid.UUID | str, *, include: Collection[str] = ()) -> str | None:
    """The full profile by its id, in any state, as JSON text; a merged id means its survivor."""
    try:
        pk = pk if isinstance(pk, uuid.UUID) else uuid.UUID(pk)
    except ValueError:
        return None
    sql = f"""
        WITH RECURSIVE line AS (
            SELECT id, merged_into_id FROM profiles_profile WHERE id = %s
            UNION
            SELECT next.id, next.merged_into_id
            FROM profiles_profile AS next JOIN line ON next.id = line.merged_into_id
        )
        SELECT {profile_with(include)} FROM profiles_profile AS profile
        JOIN line ON line.id = profile.id AND line.merged_into_id IS NULL
    """
    return _text(sql, [pk])


def search_profile(identifiers: Collection[str], *, include: Collection[str] = ()) -> list[str]:
    """Full profiles that have one of these texts under any handle but the contact points, oldest identity first."""
    sql = f"""
        SELECT {profile_with(include)} FROM (
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
    """
    forms = {pair for text in identifiers for pair in normalising.forms(text).items() if pair[1] is not None}
    return _texts(sql, [[normaliser for normaliser, _form in forms], [form for _normaliser, form in forms]])


def resolve(pairs: Sequence[tuple[str, str]]) -> list[uuid.UUID | None]:
    """The profile id that each pair names, in the order asked; None where nobody has it."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT asked.position, profile.id {FOUND}", _asked(pairs))
        found = dict(cursor.fetchall())
    return [found.get(position) for position in range(1, len(pairs) + 1)]


def profiles(pks: Sequence[uuid.UUID], *, include: Collection[str] = ()) -> list[str]:
    """Full profiles by id, in the order given: one page of a list."""
    sql = f"""
        SELECT {profile_with(include)} FROM unnest(%s::uuid[]) WITH ORDINALITY AS page (id, position)
        JOIN profiles_profile AS profile ON profile.id = page.id ORDER BY page.position
    """
    return _texts(sql, [list(pks)])


def identities(pks: Sequence[int], *, with_profile: bool = False) -> list[str]:
    """Identities by id, in the order given, each with its full profile if asked."""
    extra = f", 'profile', {PROFILE}" if with_profile else ""
    sql = f"""
        SELECT json_build_object({IDENTITY}{extra}) FROM unnest(%s::bigint[]) WITH ORDINALITY AS page (id, position)
        JOIN identities_identity AS identity ON identity.id = page.id
        JOIN profiles_profile AS profile ON profile.id = identity.profile_id
        ORDER BY page.position
    """
    return _texts(sql, [list(pks)])


def identities_of(pk: uuid.UUID) -> list[str]:
    """All identities of a profile but its contact points, oldest first."""
    sql = f"""
        SELECT json_build_object({IDENTITY}) FROM identities_identity AS identity
        WHERE identity.profile_id = %s AND identity.handle NOT IN ({HIDDEN}) ORDER BY identity.id
    """
    return _texts(sql, [pk])


def records(kind: str, pks: Sequence[int]) -> list[str]:
    """Records of one kind by id, in the order given. In: `transaction`, `interaction`, `point` or `reward`."""
    table, document, _order = RECORDS[kind]
    sql = f"""
        SELECT {document} FROM unnest(%s::bigint[]) WITH ORDINALITY AS page (id, position)
        JOIN {table} AS record ON record.id = page.id ORDER BY page.position
    """
    return _texts(sql, [list(pks)])


def balances(pk: uuid.UUID) -> str:
    """What a profile may spend, as JSON text."""
    return _texts(BALANCES, [pk])[0]


def _asked(pairs: Sequence[tuple[str, str]]) -> list[list[str | None]]:
    """The parameters of ASKED: one array per column."""
    forms = [normalising.forms(identifier) for _handle, identifier in pairs]
    columns: list[list[str | None]] = [[handle for handle, _identifier in pairs]]
    columns += [[form[normaliser] for form in forms] for normaliser in ("exact", "fold", "digits", "email", "phone")]
    return columns


def _text(sql: str, parameters: Sequence[Any]) -> str | None:
    return next(iter(_texts(sql, parameters)), None)


def _texts(sql: str, parameters: Sequence[Any]) -> list[str]:
    with connection.cursor() as cursor:
        # As text: the driver would otherwise parse the document only for the view to write it again.
        cursor.execute(f"SELECT document::text FROM ({sql}) AS answer (document)", parameters)
        return [row[0] for row in cursor.fetchall()]
