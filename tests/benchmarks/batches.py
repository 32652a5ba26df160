"""A batch of a thousand identities over HTTP, against one bare INSERT of the same rows.

The baseline knows the profiles and the normal forms beforehand, locks nothing and keeps no audit: it is what the
table and its indexes cost.
"""

from __future__ import annotations

import datetime
import random
import secrets
import uuid
from collections.abc import Sequence
from typing import Any

import psycopg

from tests.benchmarks import load
from tests.benchmarks.bench import Bench
from tests.benchmarks.load import Ask
from tests.benchmarks.measuring import Figures, Table, at_most

ROWS = 1_000

# As many profiles as are drawn from, and more batches than a client sends in a second.
PROFILES = 20_000
PER_SECOND = 25

HANDLES = ["pos", "loyalty-card"]

GOAL = at_most(5)

BARE = """
    INSERT INTO identities_identity (
        profile_id, handle, identifier, original, is_primary, is_active, addressed, by_contact, created_at, updated_at
    )
    SELECT sent.profile_id, sent.handle, sent.identifier, '', false, true, sent.profile_id, false, %s, %s
    FROM unnest(%s::uuid[], %s::text[], %s::text[]) AS sent (profile_id, handle, identifier)
    ON CONFLICT DO NOTHING
"""

Row = tuple[uuid.UUID, str, str]


def run(table: Table, bench: Bench) -> None:
    table.part(f"{ROWS:,} new identities of as many profiles")
    profiles = _profiles(bench)
    assert bench.token
    with bench.product() as address:
        for clients in (1, 2):
            at_once = "one at a time" if clients == 1 else f"{clients} at a time"
            # One after the other, so that both find the machine in the same mood.
            bare = table.add(f"bare INSERT ... ON CONFLICT, {at_once}", _bare(bench, profiles, clients))
            batch = table.add(f"POST /identities/batch, {at_once}", _posted(bench, address, profiles, clients))
            table.times_as_long(f"batch : bare INSERT, {at_once}", batch, bare, GOAL)


def _profiles(bench: Bench) -> Sequence[uuid.UUID]:
    """Live profiles, at random."""
    chance = random.Random(bench.seed)
    with psycopg.connect(bench.url) as connection:
        ((first, last),) = connection.execute("SELECT min(id), max(id) FROM identities_identity").fetchall()
        found = connection.execute(
            """
            SELECT DISTINCT profile_id FROM identities_identity AS identity
            JOIN profiles_profile AS profile ON profile.id = profile_id
            WHERE identity.id = ANY(%s) AND profile_type <> 'deleted' AND merged_into_id IS NULL
            ORDER BY profile_id LIMIT %s
            """,
            [[chance.randint(first, last) for _one in range(2 * PROFILES)], PROFILES],
        ).fetchall()
    return [pk for (pk,) in found]


def _rows(profiles: Sequence[uuid.UUID], chance: random.Random, name: str) -> list[Row]:
    """Rows for as many profiles, with identifiers that nobody has, in no order."""
    numbers = chance.sample(range(10**9), ROWS)
    return [
        (pk, HANDLES[number % len(HANDLES)], f"{name}{number:09}")
        for pk, number in zip(chance.sample(profiles, ROWS), numbers, strict=True)
    ]


def _bare(bench: Bench, profiles: Sequence[uuid.UUID], clients: int) -> Figures:
    def work(connection: psycopg.Connection, chance: random.Random) -> None:
        now = datetime.datetime.now(datetime.UTC)
        rows = _rows(profiles, chance, secrets.token_hex(4))
        written = connection.execute(BARE, [now, now, *map(list, zip(*rows, strict=True))])
        assert written.rowcount == ROWS

    return load.in_database(bench.url, work, clients=clients, seconds=bench.seconds)


def _posted(bench: Bench, address: str, profiles: Sequence[uuid.UUID], clients: int) -> Figures:
    chance, name = random.Random(bench.seed), secrets.token_hex(4)
    count = int(PER_SECOND * clients * (load.WARM_UP + bench.seconds))
    asks = [Ask("/api/v3/identities/batch", _body(_rows(profiles, chance, name))) for _one in range(count)]
    figures = load.over_http(address, asks, token=bench.token, clients=clients, seconds=bench.seconds)
    with psycopg.connect(bench.url) as connection:
        ((written,),) = connection.execute(
            "SELECT count(*) FROM identities_identity WHERE identifier LIKE %s", [f"{name}%"]
        ).fetchall()
    # An answer of 200 may be a thousand errors.
    assert written >= ROWS * figures.per_second * bench.seconds * 0.99
    return figures


def _body(rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "identities": [
            {"profile_id": str(pk), "handle": handle, "identifier": identifier} for pk, handle, identifier in rows
        ]
    }
