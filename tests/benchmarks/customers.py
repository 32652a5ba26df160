"""Customer tokens: issued by a server for its visitors, and used by these, beside the look-up of a till."""

from __future__ import annotations

import json
import secrets
import urllib.request
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import psycopg

from tests.benchmarks import load
from tests.benchmarks.bench import Bench
from tests.benchmarks.load import Ask
from tests.benchmarks.lookups import PAIRS, SEARCH
from tests.benchmarks.measuring import Figures, Table, at_least, middle
from tests.benchmarks.serving import HEADERS

ISSUE = "/id/api/v1/auth/token"
ME = "/id/api/v1/profiles/me"

# Of so many visitors at a time each has a token.
VISITORS = 1_000
TURNS = 3


def run(table: Table, bench: Bench) -> None:
    table.part("Customers, 8 clients")
    pairs = _issuable(bench)
    # One key, whichever process issues.
    with bench.product(ID_TOKEN_KEYS=f"bench:{secrets.token_hex(32)}") as address:
        searches = [Ask(f"{SEARCH}?{urlencode({'handle': one, 'identifier': two})}") for one, two in pairs]
        bodies = [{"id": identifier, "id_handle": handle} for handle, identifier in pairs]
        issues = [Ask(ISSUE, body) for body in bodies]
        visits = [Ask(ME, token=token(bench, address, body)) for body in bodies[:VISITORS]]
        turns = [
            [_asked(bench, address, asks, bench.token) for asks in (searches, issues, visits)]
            for _turn in range(TURNS)
        ]
    search, issue, me = map(middle, zip(*turns, strict=True))
    table.add("/identities/search, the whole profile", search)
    table.add("a customer token, by an identity", issue)
    table.add("/profiles/me, each with a token of their own", me)
    table.times_as_many("issuing a token : search", issue, search, at_least(0.5))
    table.times_as_many("/profiles/me : search", me, search, at_least(0.8))


def _issuable(bench: Bench) -> list[tuple[str, str]]:
    """Pairs that sign somebody in: active, confirmed, of profiles that are not locked."""
    pairs = bench.pairs(PAIRS)
    with psycopg.connect(bench.url) as connection:
        return connection.execute(
            """
            SELECT handle, identifier FROM unnest(%s::text[], %s::text[]) AS asked (handle, identifier)
            JOIN identities_identity AS identity USING (handle, identifier)
            JOIN profiles_profile AS profile ON profile.id = profile_id
            WHERE is_active AND NOT by_contact AND NOT locked AND merged_into_id IS NULL
            """,
            [[handle for handle, _identifier in pairs], [identifier for _handle, identifier in pairs]],
        ).fetchall()


def _asked(bench: Bench, address: str, asks: Sequence[Ask], token: str) -> Figures:
    return load.over_http(address, asks, token=token, seconds=bench.seconds)


def token(bench: Bench, address: str, body: Mapping[str, str]) -> str:
    """A token for the customer whom this names, as a server of a shop asks for it."""
    headers = {**HEADERS, "Authorization": f"Bearer {bench.token}", "Content-Type": "application/json"}
    asked = urllib.request.Request(address + ISSUE, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(asked) as answer:
        issued: str = json.load(answer)["data"]["token"]
    return issued
