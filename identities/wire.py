"""The objects of the wire format (API.md 2 to 4), as SQL that builds their JSON: written here once for every endpoint.

Each is the expression of one row's document, over the alias that it names; `lookup` puts statements around them.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from django.conf import settings

from identities.models import BUILT_IN

# ruff: noqa: S608 - the expressions below are put together from constants only


def short(sql: str) -> str:
    """The same in one line, and with short names for the tables that are named most: of statements beyond 4,096 bytes
    the driver reads each one anew for its parameters."""
    named = re.sub(r"(?<=\bAS )(profile|identity)\b|\b(profile|identity)(?=\.)", lambda name: name[0][0], sql)
    return re.sub(r"(?<=[(,]) | (?=[)])", "", " ".join(named.split()))


TIME = "YYYY-MM-DD HH24:MI:SS"


def instant(column: str) -> str:
    return f"to_char({column} AT TIME ZONE 'UTC', '{TIME}')"


HIDDEN = ", ".join(f"'{handle}'" for handle in sorted(BUILT_IN))


def _identity(origin: str) -> str:
    return f"""
        'id', identity.id,
        'handle', identity.handle,
        'identifier', identity.identifier,
        'is_primary', identity.is_primary,
        'is_active', identity.is_active,
        'profile_id', identity.profile_id,
        {origin},
        'created_at', {instant("identity.created_at")},
        'updated_at', {instant("identity.updated_at")}
    """


IDENTITY = _identity("'merged_from', identity.merged_from_id, 'source', coalesce(identity.source, 'staff')")

# What somebody is shown of themselves under `/id` never names another profile, nor a handle that is an extension's own
# (API.md 6): not by where it came from, nor by who wrote it, since an extension is often called like its handle.
OWN_IDENTITY = _identity("'merged_from', NULL")
IS_OPEN = """NOT EXISTS (
    SELECT FROM identities_handle AS handle WHERE handle.name = identity.handle AND handle.reserved_for_id IS NOT NULL
)"""

FULL_NAME = "coalesce(nullif(trim(profile.first_name || ' ' || profile.last_name), ''), 'Unknown')"

_TIMES = f"""
    'created_at', {instant("record.created_at")},
    'updated_at', {instant("record.updated_at")}
"""

# What named whom a record is of: the pairs that it was sent with, and the one that decided.
PAIRS = """
    'identities', record.pairs,
    'brought_by', CASE WHEN record.brought_by_handle <> '' THEN json_build_object(
        'id', record.brought_by_id, 'handle', record.brought_by_handle, 'identifier', record.brought_by_identifier
    ) END
"""

# How a record came to be where it is, beside what it says.
TAGS = f"""
    {PAIRS},
    'addressed', record.addressed,
    'log_entry_id', record.log_entry_id,
    'source', coalesce(record.source, 'staff'),
    {_TIMES}
"""

TRANSACTION = f"""
    json_build_object(
        'id', record.id,
        'profile_id', record.profile_id,
        'external_id', nullif(record.external_id, ''),
        'receipt_ref', nullif(record.receipt_ref, ''),
        'total', trim_scale(record.total),
        'total_original', trim_scale(record.total_original),
        'is_void', record.is_void,
        'transacted_at', {instant("record.transacted_at")},
        'timezone', record.timezone,
        'location_id', record.location_id,
        'staff_id', record.staff_id,
        'systems', record.systems,
        'payments', record.payments,
        'tags', record.tags,
        'meta', record.meta,
        'items', (
            SELECT coalesce(json_agg(item.extra || jsonb_build_object(
                'id', item.id,
                'name', item.name,
                'quantity', trim_scale(item.quantity),
                'price_current', trim_scale(item.price_current),
                'price_sell', trim_scale(item.price_sell)
            ) ORDER BY item.position), '[]')
            FROM profiles_transactionitem AS item WHERE item.transaction_id = record.id
        ),
        {TAGS}
    )
"""

INTERACTION = f"""
    json_build_object(
        'id', record.id,
        'profile_id', record.profile_id,
        'action', record.action,
        'channel', record.channel,
        'signal', record.signal,
        'name', record.name,
        'namespace', record.namespace,
        'interacted_at', {instant("record.interacted_at")},
        'url', nullif(record.url, ''),
        'description', nullif(record.description, ''),
        'tags', record.tags,
        'meta', record.meta,
        {TAGS}
    )
"""


def _balance_record(definition_table: str, more: str) -> str:
    return f"""
        json_build_object(
            'id', record.id,
            'profile_id', record.profile_id,
            'value_initial', trim_scale(record.value_initial),
            'value_remaining', trim_scale(record.value_remaining),
            'issued_at', {instant("record.issued_at")},
            'expires_at', {instant("record.expires_at")},
            'definition', (
                SELECT json_build_object('id', definition.id, 'name', definition.name, 'handle', definition.handle)
                FROM {definition_table} AS definition WHERE definition.id = record.definition_id
            ),
            {more},
            {TAGS}
        )
    """


POINT = _balance_record("profiles_pointdefinition", "'meta', record.meta")
REWARD = _balance_record("profiles_rewarddefinition", "'timezone', record.timezone")

# By kind: the table, the document, and what puts the newest first.
RECORDS = {
    "transaction": ("profiles_transaction", TRANSACTION, "record.transacted_at DESC, record.id DESC"),
    "interaction": ("profiles_interaction", INTERACTION, "record.interacted_at DESC, record.id DESC"),
    "point": ("profiles_point", POINT, "record.id DESC"),
    "reward": ("profiles_reward", REWARD, "record.id DESC"),
}

# The same as who they are about is shown them, by kind: the pairs of a record may name others.
OWN_RECORDS = {kind: document.replace(TAGS, _TIMES) for kind, (_table, document, _order) in RECORDS.items()}

# What `include=` may add to a profile, and how many of each.
INCLUDES = {f"{kind}s": kind for kind in RECORDS}
NEWEST = 10


def _balance(table: str) -> str:
    return f"""
        SELECT trim_scale(coalesce(sum(record.value_remaining), 0)) AS balance FROM {table} AS record
        WHERE record.profile_id = profile.id AND record.value_remaining <> 0
          AND (record.expires_at IS NULL OR record.expires_at > now())
    """


def _newest(word: str) -> str:
    table, document, order = RECORDS[INCLUDES[word]]
    return f"""
        , '{word}', (
            SELECT coalesce(json_agg(newest.document), '[]') FROM (
                SELECT {document} AS document FROM {table} AS record
                WHERE record.profile_id = profile.id ORDER BY {order} LIMIT {NEWEST}
            ) AS newest
        )
    """


def profile(include: Collection[str] = ()) -> str:
    """The full profile, over the alias `profile`.

    In: words of INCLUDES, whose newest ten it is to hold besides; others ask for what it holds anyway.
    """
    return f"""
        (
            SELECT {_profile(IDENTITY)} {"".join(map(_newest, sorted(INCLUDES.keys() & include)))})
            FROM ({_balance("profiles_point")}) AS points, ({_balance("profiles_reward")}) AS rewards
        )
    """


# What its customer has said that its e-mail and mobile are, and nobody has confirmed, over the alias `profile`; null
# where there is none. `lookup` puts it into the document, which is what clients have always read where there is none.
CLAIMED = f"""
    (
        SELECT json_object_agg(claim.handle, coalesce(nullif(claim.original, ''), claim.identifier))
        FROM identities_identityclaim AS claim WHERE claim.profile_id = profile.id AND claim.handle IN ({HIDDEN})
    )::text
"""

# A claim as its customer sees it among their identities, a contact point as it is shown.
CLAIM = f"""
    json_build_object(
        'id', claim.id,
        'handle', claim.handle,
        'identifier', CASE WHEN claim.handle IN ({HIDDEN}) AND claim.original <> '' THEN claim.original
            ELSE claim.identifier END,
        'is_primary', false,
        'is_active', true,
        'profile_id', claim.profile_id,
        'merged_from', NULL,
        'created_at', {instant("claim.created_at")},
        'updated_at', {instant("claim.updated_at")},
        'is_claimed', true
    )
"""
IS_OPEN_CLAIM = IS_OPEN.replace("identity.", "claim.")

# Whether its customer claims anything, over the alias `profile`. What that is, `lookup` asks then.
CLAIMS = "EXISTS (SELECT FROM identities_identityclaim AS claim WHERE claim.profile_id = profile.id)"


def own_profile() -> str:
    """The full profile as its owner is shown it, but for what they claim, over the alias `profile`."""
    return f"""
        (
            SELECT {_profile(OWN_IDENTITY, f"AND {IS_OPEN}")})
            FROM ({_balance("profiles_point")}) AS points, ({_balance("profiles_reward")}) AS rewards
        )
    """


def _profile(identity: str, is_shown: str = "") -> str:
    """All but what is included and the last bracket. In: an identity, and which ones there are to see."""
    return f"""
        json_build_object(
            'id', profile.id,
            'external_id', (
                SELECT identity.identifier FROM identities_identity AS identity
                WHERE identity.profile_id = profile.id AND identity.is_primary {is_shown}
            ),
            'title', nullif(profile.title, ''),
            'first_name', profile.first_name,
            'last_name', profile.last_name,
            'full_name', {FULL_NAME},
            'email', profile.email,
            'gender', nullif(profile.gender, ''),
            'currency', nullif(profile.currency, ''),
            'joined_at', {instant("profile.joined_at")},
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
                SELECT coalesce(json_agg(json_build_object({identity}) ORDER BY identity.id), '[]')
                FROM identities_identity AS identity
                WHERE identity.profile_id = profile.id AND identity.handle NOT IN ({HIDDEN}) {is_shown}
            ),
            'attributes', '{{"comms": {{}}, "appearance": {{}}, "dates": []}}'::jsonb || profile.attributes,
            'custom_attributes', (
                SELECT coalesce(json_object_agg(named.namespace, named.handles), '{{}}')
                FROM (
                    SELECT attribute.namespace, json_object_agg(attribute.handle, attribute.value) AS handles
                    FROM profiles_customattribute AS attribute
                    WHERE attribute.profile_id = profile.id
                    GROUP BY attribute.namespace
                ) AS named
            ),
            'reward_balance', rewards.balance,
            'point_balance', points.balance,
            'point_balance_dollars', trim_scale(points.balance * {settings.POINT_VALUE}),
            'combined_balance_dollars', trim_scale(rewards.balance + points.balance * {settings.POINT_VALUE}),
            'profile_type', profile.profile_type,
            'created_at', {instant("profile.created_at")},
            'updated_at', {instant("profile.updated_at")}
    """


PROFILE = profile()

# The balances alone. Benefits are no part of this product.
BALANCES = f"""
    SELECT json_build_object(
        'reward_balance', rewards.balance,
        'point_balance', points.balance,
        'point_balance_dollars', trim_scale(points.balance * {settings.POINT_VALUE}),
        'benefit_balance', 0,
        'combined_balance_dollars', trim_scale(rewards.balance + points.balance * {settings.POINT_VALUE})
    )
    FROM (SELECT %s::uuid AS id) AS profile,
    LATERAL ({_balance("profiles_point")}) AS points, LATERAL ({_balance("profiles_reward")}) AS rewards
"""
