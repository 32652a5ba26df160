"""Profiles with their identities, streamed out in the form that an import reads back (`importing`)."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from django.db import connection
from psycopg import sql

from identities.models import Handle
from identities.wire import HIDDEN
from profiles import auditing
from profiles.auditing import By

# ruff: noqa: S608 - the statements below are put together from constants only

CSV, NDJSON = "csv", "ndjson"

TEXTS = (
    "title", "first_name", "last_name", "email", "mobile_phone", "secondary_phone", "gender", "currency", "company",
    "occupation", "avatar_url",
)  # fmt: skip

# Every column with the expression of its value; null is nothing, which an import leaves alone.
COLUMNS = {
    "profile_type": "nullif(profile.profile_type, 'active')",
    **{name: f"nullif(profile.{name}, '')" for name in TEXTS},
    "joined_at": "to_char(profile.joined_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
    "birth_year": "profile.birth_year",
    "birth_month": "profile.birth_month",
    "birth_day": "profile.birth_day",
    "tags": "to_jsonb(nullif(profile.tags, '{}'))",
    "attributes": "nullif(profile.attributes, '{}')",
    "custom_attributes": """(
        SELECT jsonb_object_agg(namespace, named) FROM (
            SELECT attribute.namespace, jsonb_object_agg(attribute.handle, attribute.value) AS named
            FROM profiles_customattribute AS attribute WHERE attribute.profile_id = profile.id
            GROUP BY attribute.namespace
        ) AS attributes
    )""",
}

# As it was sent, so that it is brought to its normal form again wherever it is read.
SENT = "coalesce(nullif(identity.original, ''), identity.identifier)"

IDENTITIES = f"""(
    SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
        'handle', identity.handle,
        'identifier', {SENT},
        'is_primary', CASE WHEN identity.is_primary THEN true END,
        'is_active', CASE WHEN NOT identity.is_active THEN false END
    )) ORDER BY identity.id)
    FROM identities_identity AS identity
    WHERE identity.profile_id = profile.id AND {{which}}
)"""

# The one that the API means by `/profiles/{id}/identities/{handle}`.
IDENTITY = f"""(
    SELECT {SENT} FROM identities_identity AS identity
    WHERE identity.profile_id = profile.id AND identity.handle = {{handle}}
    ORDER BY identity.is_active DESC, identity.id DESC LIMIT 1
)"""

EVERY = f"identity.handle NOT IN ({HIDDEN})"


def unknown(names: Collection[str]) -> list[str]:
    """Those of the names under which no identity can stand."""
    known = set(Handle.objects.filter(renamed_to=None).values_list("name", flat=True))
    return [name for name in names if name not in known]


def ambiguous(names: Collection[str]) -> list[str]:
    """Those of the names that a column of CSV cannot have, since a field of profiles or a part of a pair has it."""
    return [name for name in names if name in {*COLUMNS, "handle", "identifier", "identities"}]


def export(format: str, *, handles: Collection[str] = (), with_id: bool = False, to: str, by: By) -> Iterator[bytes]:
    """All live profiles in the order in which they were made, as CSV or NDJSON, in pieces of any size.

    With `handles`, identities of these alone: in NDJSON all of them, in CSV a column each with the one that counts.
    Identifiers of sensitive handles are in it like all others, so the audit says before the first piece who has asked,
    and `to` where. One statement, which sees one moment and holds nobody up; memory does not grow.
    """
    told = {"format": format, "handles": list(handles), "to": to}
    auditing.write([auditing.entry("exported", by.user, by=by, new=told)])
    columns: dict[str, sql.Composable] = {name: sql.SQL(expression) for name, expression in COLUMNS.items()}
    if with_id:
        columns = {"profile_id": sql.SQL("profile.id"), **columns}
    if format == CSV and handles:
        columns |= {name: sql.SQL(IDENTITY).format(handle=name) for name in handles}
    elif handles:
        which = sql.SQL("identity.handle = ANY({handles})").format(handles=list(handles))
        columns["identities"] = sql.SQL(IDENTITIES).format(which=which)
    else:
        columns["identities"] = sql.SQL(IDENTITIES).format(which=sql.SQL(EVERY))
    yield from _csv(columns) if format == CSV else _ndjson(columns)


def _csv(columns: dict[str, sql.Composable]) -> Iterator[bytes]:
    values = sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(expression, sql.Identifier(name)) for name, expression in columns.items()
    )
    return _copied(
        sql.SQL("COPY (SELECT {values} {profiles}) TO STDOUT (FORMAT csv, HEADER)").format(
            values=values, profiles=PROFILES
        )
    )


def _ndjson(columns: dict[str, sql.Composable]) -> Iterator[bytes]:
    values = sql.SQL(", ").join(
        sql.SQL("{}, {}").format(sql.Literal(name), expression) for name, expression in columns.items()
    )
    document = sql.SQL(
        "(SELECT json_object_agg(key, value) FROM json_each(json_build_object({values})) WHERE value::text <> 'null')"
    ).format(values=values)
    # COPY doubles the backslashes of a text, and JSON has nothing else in it that COPY would write otherwise.
    lines = _copied(
        sql.SQL("COPY (SELECT {document} {profiles}) TO STDOUT").format(document=document, profiles=PROFILES)
    )
    return (line.replace(b"\\\\", b"\\") for line in lines)


PROFILES = sql.SQL(
    "FROM profiles_profile AS profile"
    " WHERE profile.profile_type <> 'deleted' AND profile.merged_into_id IS NULL ORDER BY profile.id"
)


def _copied(statement: sql.Composable) -> Iterator[bytes]:
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(statement) as copy:
        for piece in copy:
            yield bytes(piece)
