"""Customer tokens (API.md 6): signed, short-lived, and of one profile, which each use of them looks for anew.

Nothing of them is stored. What a token says was so when it was issued; whether it still is, one statement decides at
each use: who issued it is still welcome, and the profile or the identity that it names still stands for somebody.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
import uuid
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import jwt
from django.conf import settings
from django.contrib.auth.models import User

from identities import lookup
from identities.models import ApiToken, Extension
from identities.wire import CLAIMS, own_profile, short
from profiles import reading
from profiles.models import Move

# ruff: noqa: S608 - the statements below are put together from constants only

ALGORITHM = "HS256"

# Of a column, and so of a claim.
LARGEST = 2**63 - 1

# What a token of nobody says in place of a profile's id.
NOBODY = "null"

# Who may have a token issued: a server's own token, or an extension whose signature was checked instead.
Issuer = ApiToken | Extension


@dataclass(frozen=True, slots=True)
class _Said:
    """What a token says, its signature having been looked at: by which key, its end, its own id, of what it is (`OF`),
    who issued it (`ISSUERS`), and what the statement that decides about it is asked with."""

    key: str
    exp: int
    jti: str
    of: str
    issuer: str
    parameters: list[Any]


# By the digest of a token's text, since a visitor's goes with each of their requests. That it was signed stays so; all
# else is asked at each use.
MOST_REMEMBERED = 10_000
_remembered: dict[bytes, _Said] = {}
_turn = threading.Lock()


@dataclass(frozen=True, slots=True)
class Issued:
    """A customer token as it goes out, and its end in Unix seconds."""

    token: str
    exp: int


@dataclass(frozen=True, slots=True)
class CustomerToken:
    """A customer token in use: whose it is, and on whose behalf it was issued.

    `profile_id` is whose profile it opens today, `named_id` whose it is whatever merges make of that: the id that the
    token was issued by, or the profile to which its identity goes home when merges are undone. What is read is read by
    the one, what is written names the other, so that it goes home too. Both are None for that of an anonymous visitor.
    `identity_id` is the identity that the token was issued by, if by one, and that brings what is written.
    `document` is the profile as JSON text if that was asked for. What is done with the token is audited as done by
    `user`, with `name` for the token's.
    """

    profile_id: uuid.UUID | None
    named_id: uuid.UUID | None
    user: User
    extension: Extension | None
    name: str
    document: str | None = None
    identity_id: int | None = None

    @property
    def subject(self) -> str:
        """Who calls: tokens of one profile are one caller, an anonymous visitor only by the very same token.

        Of two profiles that are merged each stays a caller of its own: an undo parts them, and what they were told.
        """
        return f"{self.named_id} as {self.profile_id}" if self.profile_id else self.name


def issue_by_id(profile_id: uuid.UUID, *, by: Issuer) -> Issued | None:
    """A token of the profile that this id means, a merged one's its survivor; None when that stands for nobody.

    Nor is one issued for a locked or a deleted profile: it would be refused at its first use.
    """
    rows = reading.rows(BY_ID, [profile_id])
    if not rows:
        return None
    claims = {"pid": str(rows[0][0])}
    if rows[0][0] != profile_id:
        # Whose the token is when that merge is undone.
        claims["named"] = str(profile_id)
    return _issued(claims, by=by)


def issue_by_identity(handle: str, identifier: str, *, by: Issuer) -> Issued | None:
    """A token of whoever this identity names, to follow it; None when it may not be used to sign anybody in.

    It must be active, confirmed (not attached by a contact point alone), and a live, unlocked profile's.
    """
    told = lookup.of_pair(BY_IDENTITY, handle, identifier)
    if told is None or told[0] is None:
        return None
    profile_id, key, generation, name, form = told
    claims = {"pid": str(profile_id), "identity": f"{name}:{form}", "iid": key, "gen": generation}
    return _issued(claims, by=by)


def issue_anonymous(*, by: Issuer) -> Issued:
    """A token of a visitor who is nobody yet."""
    return _issued({"pid": NOBODY}, by=by)


def authenticate(plain: str, *, with_document: bool = False) -> CustomerToken | None:
    """Whose token this text is, if it may be used now; with their profile, if it is asked for. One statement."""
    said = _said(plain)
    if said is None:
        return None
    rows = reading.rows(_statement(said.of, said.issuer, with_document), said.parameters)
    if not rows:
        return None
    profile_id, named_id, document, claims, *rest = rows[0]
    if said.of == "profile":
        named_id = said.parameters[0]
    if document is not None:
        document = lookup.as_claimed(document, claims)
    user, extension = (model.from_db("default", names, rest[part]) for model, names, part in reading.parts(*OWNERS))
    speaks_for = extension if extension.pk is not None else None
    identity_id = said.parameters[0] if said.of == "identity" else None
    return CustomerToken(profile_id, named_id, user, speaks_for, f"customer {said.jti}", document, identity_id)


def own_document(plain: str) -> str | None:
    """The profile whose token this is, as its owner is shown it, as JSON text; None whatever there is against it."""
    said = _said(plain)
    if said is None or said.of == "nobody":
        return None
    rows = reading.rows(_document_statement(said.of, said.issuer), said.parameters)
    return lookup.as_claimed(*rows[0]) if rows else None


# What is signed


def _issued(claims: dict[str, Any], *, by: Issuer) -> Issued:
    now = int(time.time())
    exp = now + settings.ID_TOKEN_MINUTES * 60
    if isinstance(by, ApiToken):
        issuer = f"token:{by.pk}"
        if by.expires_at is not None:
            exp = min(exp, int(by.expires_at.timestamp()))
    else:
        issuer = f"extension:{by.pk}"
    claims |= {"exp": exp, "iat": now, "jti": secrets.token_hex(16), "iss": issuer}
    key_id, secret = next(iter(settings.ID_TOKEN_KEYS.items()))
    return Issued(jwt.encode(claims, secret, algorithm=ALGORITHM, headers={"kid": key_id}), exp)


def _said(plain: str) -> _Said | None:
    """What a token says, if one of our keys has signed it and it is not over."""
    known = hashlib.sha256(plain.encode(errors="surrogatepass")).digest()
    said = _remembered.get(known)
    if said is None:
        said = _signed(plain)
        if said is not None:
            with _turn:
                if len(_remembered) >= MOST_REMEMBERED:
                    del _remembered[next(iter(_remembered))]
                _remembered[known] = said
    if said is None or said.exp <= time.time() or said.key not in settings.ID_TOKEN_KEYS:
        return None
    return said


def _signed(plain: str) -> _Said | None:
    try:
        key = _key_id(plain.partition(".")[0])
        # When it was issued is not compared with our clock: another machine's may be a moment ahead.
        options: Any = {"require": ["exp", "iat", "jti", "iss", "pid"], "verify_iat": False}
        claims = jwt.decode(plain, settings.ID_TOKEN_KEYS[key], algorithms=[ALGORITHM], options=options)
        issuer, _colon, issuer_key = claims["iss"].partition(":")
        parameters: list[Any] = [_number(int(issuer_key)) if issuer == "token" else _slug(issuer_key)]
        if claims["pid"] == NOBODY:
            of = "nobody"
        elif "iid" in claims:
            of, parameters = "identity", [_number(claims["iid"]), _number(claims["gen"]), *parameters]
        else:
            of, parameters = "profile", [uuid.UUID(claims.get("named", claims["pid"])), *parameters]
        said = _Said(key, _number(claims["exp"]), claims["jti"], of, issuer, parameters)
        return said if issuer in ISSUERS else None
    except (jwt.InvalidTokenError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None


def _number(value: Any) -> int:
    """A claim that is one as we write them. Who else has a key of ours may write `"1"`, `1e400` or NaN, which is never
    over. Raises ValueError."""
    if type(value) is not int or not 0 <= value <= LARGEST:
        raise ValueError("This is no number of ours.")
    return value


def _slug(value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise ValueError("This is no name of ours.")
    return value


@lru_cache(maxsize=100)
def _key_id(header: str) -> str:
    """Which key a token's header, still encoded, says that it was signed with: of ours all have the same few."""
    key: str = jwt.get_unverified_header(f"{header}..")["kid"]
    return key


# The statements

ARRIVALS = ", ".join(f"'{cause}'" for cause in Move.ARRIVALS)

IS_GOOD = "profile.profile_type <> 'deleted' AND NOT profile.locked"

BY_ID = f"""
    {lookup.LINE} SELECT profile.id FROM profiles_profile AS profile JOIN line ON line.id = profile.id
    WHERE line.merged_into_id IS NULL AND {IS_GOOD}
"""

BY_IDENTITY = f"""
    SELECT current.normaliser, profile.id, identity.id, identity.token_generation, identity.handle, identity.identifier
    FROM (SELECT %s::text, %s::text) AS asked (handle, identifier) {lookup.CURRENT}
    LEFT JOIN identities_identity AS identity
      ON identity.handle = current.name AND identity.identifier = asked.identifier
      AND identity.is_active AND NOT identity.by_contact
    LEFT JOIN profiles_profile AS profile ON profile.id = identity.profile_id AND {IS_GOOD}
"""

# Whose a token is, by what it is of; the parameters of these stand first.
OF = {
    "profile": (
        lookup.LINE,
        f"profiles_profile AS profile JOIN line ON line.id = profile.id AND line.merged_into_id IS NULL AND {IS_GOOD}",
    ),
    # Merges and their undo take the row along; deleted and made anew, it is another.
    "identity": (
        "",
        f"""
        identities_identity AS identity JOIN profiles_profile AS profile
          ON identity.id = %s AND identity.token_generation = %s AND identity.is_active AND NOT identity.by_contact
          AND profile.id = identity.profile_id AND {IS_GOOD}
        """,
    ),
    "nobody": ("", "(SELECT NULL::uuid) AS profile (id)"),
}


def _origin(row: str, came_at: str) -> str:
    """Where a person has put an identity, as of the moment that it brought what came then; from where a merge had
    taken it by then; and the columns that lead further up."""
    return f"""
        (
            SELECT move.to_profile_id FROM profiles_move AS move
            WHERE move.subject_type = 'identity' AND move.subject_key = {row}.id::text AND move.at <= {came_at}
              AND move.undone_at IS NULL AND move.cause NOT IN ({ARRIVALS})
            ORDER BY move.id DESC LIMIT 1
        ) AS put_id, (
            SELECT merge.duplicate_id FROM profiles_merge AS merge
            WHERE merge.duplicate_id = {row}.merged_from_id AND merge.undone_at IS NULL AND merge.at <= {came_at}
        ) AS taken_id, {row}.addressed, {row}.brought_by_key, {row}.created_at
    """


# Whose a token is whatever merges make of that, where it does not say so itself. An identity goes home by what brought
# it: up to the one that a person has moved, or that came on its own, by the id that somebody addressed (API.md 5).
# What came by the id of a profile beneath is at home there, though a merge of one above has taken it along since: the
# deepest place counts, of those that are part of this profile. Two may have brought each other, one of them when a
# deleted profile had left it: the walk ends since it gives no row twice.
NAMED = {
    "profile": "NULL::uuid",
    "identity": f"""coalesce((
        WITH RECURSIVE origin AS (
            SELECT {_origin("identity", "'infinity'")}
            UNION
            SELECT {_origin("above", "origin.created_at")}
            FROM origin JOIN identities_identity AS above ON above.id = origin.brought_by_key
            WHERE origin.put_id IS NULL
        ), home AS (
            SELECT coalesce(put_id, taken_id) AS id, 0 AS own FROM origin
            UNION
            SELECT addressed, 1 FROM origin WHERE put_id IS NULL AND brought_by_key IS NULL
        ), line AS (
            SELECT id AS home_id, own, id, ARRAY[id] AS path FROM home
            UNION ALL
            SELECT home_id, own, next.id, path || next.id FROM line, LATERAL (
                SELECT former.merged_into_id AS id FROM profiles_profile AS former WHERE former.id = line.id OFFSET 0
            ) AS next WHERE next.id IS NOT NULL
        )
        SELECT home_id FROM line WHERE line.id = profile.id
        ORDER BY coalesce(identity.merged_from_id = ANY(path), false) DESC, cardinality(path) DESC, own DESC LIMIT 1
    ), profile.id)""",
    "nobody": "NULL::uuid",
}

ISSUERS = {
    "token": """
        identities_apitoken AS apitoken
        JOIN auth_user AS "user" ON "user".id = apitoken.user_id AND "user".is_active
        LEFT JOIN identities_extension AS extension ON extension.slug = apitoken.extension_id
        WHERE apitoken.id = %s AND apitoken.revoked_at IS NULL AND extension.enabled IS NOT FALSE
          AND (apitoken.expires_at IS NULL OR apitoken.expires_at > statement_timestamp())
    """,
    "extension": """
        identities_extension AS extension
        JOIN auth_user AS "user" ON "user".id = extension.service_account_id AND "user".is_active
        WHERE extension.slug = %s AND extension.enabled
    """,
}


# On whose behalf a token is used.
OWNERS = (User, Extension)


@cache
def _statement(kind: str, issuer: str, with_document: bool) -> str:
    columns = ", ".join(reading.columns(model, f'"{model._meta.model_name}"') for model in OWNERS)
    document = f"{own_profile()}::text, {CLAIMS}" if with_document and kind != "nobody" else "NULL, NULL"
    before, of = OF[kind]
    return short(f"{before} SELECT profile.id, {NAMED[kind]}, {document}, {columns} FROM {of}, {ISSUERS[issuer]}")


@cache
def _document_statement(kind: str, issuer: str) -> str:
    before, of = OF[kind]
    return short(f"{before} SELECT {own_profile()}::text, {CLAIMS} FROM {of}, {ISSUERS[issuer]}")
