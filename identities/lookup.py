"""The hot path: an identity, or a thousand, to profiles. One SQL statement each.

PostgreSQL builds the JSON and the views send its text as it came: a till waits for the answer, and no serializer is
as fast. The two objects of the wire format are therefore written here, once for every endpoint (API.md 2 and 3).
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from django.db import connection

from identities import normalising
from identities.models import BUILT_IN

TIME = "YYYY-MM-DD HH24:MI:SS"


def _time(column: str) -> str:
    return f"to_char({column} AT TIME ZONE 'UTC', '{TIME}')"


HIDDEN = ", ".join(f"'{handle}'" for handle in sorted(BUILT_IN))

# ruff: noqa: S608 - the statements below are put together from constants only
IDENTITY = f"""
    'id', identity.id,
    'handle', identity.handle,
    'identifier', identity.identifier,
    'is_primary', identity.is_primary,
    'is_active', identity.is_active,
    'profile_id', identity.profile_id,
    'merged_from', identity.merged_from_id,
    'source', coalesce(identity.source, 'staff'),
    'created_at', {_time("identity.created_at")},
    'updated_at', {_time("identity.updated_at")}
"""

FULL_NAME = "coalesce(nullif(trim(profile.first_name || ' ' || profile.last_name), ''), 'Unknown')"

PROFILE = f"""
    json_build_object(
        'id', profile.id,
        'external_id', (
            SELECT identity.identifier FROM identities_identity AS identity
            WHERE identity.profile_id = profile.id AND identity.is_primary
        ),
        'title', nullif(profile.title, ''),
        'first_name', profile.first_name,
        'last_name', profile.last_name,
        'full_name', {FULL_NAME},
        'email', profile.email,
        'gender', nullif(profile.gender, ''),
        'currency', nullif(profile.currency, ''),
        'joined_at', {_time("profile.joined_at")},
        'mobile_phone', nullif(profile.mobile_phone, ''),
        'mobile_phone_country', profile.mobile_phone_country,
        'mobile_phone_national', nullif(profile.mobile_phone_national, ''),
        'mobile_phone_e164', nullif(profile.mobile_phone, ''),
        'secondary_phone', nullif(profile.secondary_phone, ''),
        'birth_year', profile.birth_year,
        'birth_month', profile.birth_month,
        'birth_day', profile.birth_day,
        'birth_date', lpad(profile.birth_year::text, 4, '0') || '-' || lpad(profile.birth_month::text, 2, '0')
            || '-' || lpad(profile.birth_day::text, 2, '0'),
        'company', nullif(profile.company, ''),
        'occupation', nullif(profile.occupation, ''),
        'avatar_url', nullif(profile.avatar_url, ''),
        'tags', profile.tags,
        'identities', (
            SELECT coalesce(json_agg(json_build_object({IDENTITY}) ORDER BY identity.id), '[]')
            FROM identities_identity AS identity
            WHERE identity.profile_id = profile.id AND identity.handle NOT IN ({HIDDEN})
        ),
        'attributes', '{{"comms": {{}}, "appearance": {{}}, "dates": []}}'::jsonb || profile.attributes,
        'custom_attributes', '{{}}'::json,
        'reward_balance', 0,
        'point_balance', 0,
        'point_balance_dollars', 0,
        'combined_balance_dollars', 0,
        'profile_type', profile.profile_type,
        'created_at', {_time("profile.created_at")},
        'updated_at', {_time("profile.updated_at")}
    )
"""

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


def search(handle: str, identifier: str) -> str | None:
    """The identity of this pair with its full profile, as JSON text; None when nobody has it."""
    # Inactive pairs and contact points are found too (API.md 2).
    return _text(f"SELECT json_build_object({IDENTITY}, 'profile', {PROFILE}) {FOUND}", _asked([(handle, identifier)]))


def search_id(handle: str, identifier: str) -> str | None:
    """The full profile that this pair names, as JSON text; None when nobody has it.

    The handle `profile_id` means the profile's own id, a merged one's its survivor, in any state.
    """
    if handle == "profile_id":
        return profile(identifier)
    return _text(f"SELECT {PROFILE} {FOUND}", _asked([(handle, identifier)]))


def profile(pk: uuid.UUID | str) -> str | None:
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
        SELECT {PROFILE} FROM profiles_profile AS profile
        JOIN line ON line.id = profile.id AND line.merged_into_id IS NULL
    """
    return _text(sql, [pk])


def search_profile(identifiers: Collection[str]) -> list[str]:
    """Full profiles that have one of these texts under any handle but the contact points, oldest identity first."""
    sql = f"""
        SELECT {PROFILE} FROM (
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


def profiles(pks: Sequence[uuid.UUID]) -> list[str]:
    """Full profiles by id, in the order given: one page of a list."""
    sql = f"""
        SELECT {PROFILE} FROM unnest(%s::uuid[]) WITH ORDINALITY AS page (id, position)
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
