"""Single writes: a till's sale, brought to the profile that it names, against the same rows by SQL written by hand.

The baseline does what is needed to write these rows under the same locks, and no more: it matches, locks, matches
again, inserts, and reads back what the answer shows. It knows no catalogue, no token, no JSON that comes in, and no
pair that is anything but well.
"""

from __future__ import annotations

import hashlib
import json
import random
import secrets
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from identities.wire import TRANSACTION
from profiles.models import Profile
from tests.benchmarks import load
from tests.benchmarks.bench import Bench
from tests.benchmarks.load import Ask
from tests.benchmarks.measuring import Figures, Table, at_most, middle

CARD = "loyalty-card"

# As many cards as are drawn from, and more sales than a second sees.
CARDS = 5_000
PER_SECOND = 4_000
TURNS = 3

GOAL = at_most(2.5)

# ruff: noqa: S608 - the statements below are put together from constants only

MATCH = "SELECT id, profile_id FROM identities_identity WHERE handle = %s AND identifier = %s"
LOCK = """
    SELECT id, profile_type, merged_into_id FROM profiles_profile WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE
"""
SALE = """
    INSERT INTO profiles_transaction (
        profile_id, brought_by_id, brought_by_key, brought_by_handle, brought_by_identifier, decided_by, addressed, pairs,
        log_entry_id, source, created_at, updated_at, tags, meta, external_id, receipt_ref, total, is_void, transacted_at,
        timezone, location_id, systems, payments
    ) VALUES (
        %s, %s, %s, %s, %s, 'identity', %s, %s, %s, NULL, now(), now(), %s, '{}', %s, %s, %s, false,
        %s::timestamp AT TIME ZONE %s, %s, %s, '[]', %s
    ) RETURNING id
"""
ITEMS = """
    INSERT INTO profiles_transactionitem (transaction_id, position, name, quantity, price_current, price_sell, extra)
    VALUES (%s, 0, %s, %s, %s, %s, %s), (%s, 1, %s, %s, %s, %s, %s)
"""
AUDIT = """
    INSERT INTO profiles_audit (
        by_id, event, auditable_type, auditable_key, old_values, new_values, profile_id, url, ip_address, token_name,
        user_agent, created_at
    ) VALUES (%s, 'created', 'transaction', %s, '{}', %s, %s, '/api/v3/transactions', '127.0.0.1', 'Bench', '', now())
"""
ENTRY = """
    INSERT INTO identities_routinglogentry AS entry (
        outcome, kind, code, handle, identifier, requested_profile_id, routed_profile_id, candidates, payload, source,
        by_id, occurrences, created_at, last_seen_at, review_status, review_note, fingerprint
    ) VALUES (
        'rerouted', 'transaction', '', %s, %s, %s, %s, %s, %s, NULL, %s, 1, now(), now(), 'open', '', %s
    )
    ON CONFLICT (fingerprint) WHERE review_status = 'open'
    DO UPDATE SET occurrences = entry.occurrences + 1, last_seen_at = EXCLUDED.last_seen_at
    RETURNING id
"""
ANSWER = f"SELECT ({TRANSACTION})::text FROM profiles_transaction AS record WHERE record.id = %s"

Cards = Sequence[tuple[str, uuid.UUID]]


def run(table: Table, bench: Bench) -> None:
    table.part(f"A sale, routed and audited, {load.CLIENTS} clients")
    cards = cards_of(bench)
    by = bench.user.pk
    with bench.product() as address:
        for name, named in (("matched", by_card), ("rerouted, logged", _by_another_id)):
            # In turns, so that both find the machine in the same moods.
            turns = [(_bare(bench, cards, named, by), _posted(bench, address, cards, named)) for _turn in range(TURNS)]
            bare = table.add(f"{name}: bare SQL", middle([one for one, _other in turns]))
            routed = table.add(f"{name}: POST /transactions", middle([other for _one, other in turns]))
            table.times_as_long(f"{name}: time : bare SQL", routed, bare, GOAL)
            table.times_as_many(f"{name}: bare SQL's rate : rate", bare, routed, GOAL)


def cards_of(bench: Bench) -> Cards:
    """Cards of as many profiles, at random, so that no two sales at a time wait for the same one."""
    chance = random.Random(bench.seed)
    with psycopg.connect(bench.url) as connection:
        ((first, last),) = connection.execute("SELECT min(id), max(id) FROM identities_identity").fetchall()
        found = connection.execute(
            """
            SELECT DISTINCT ON (profile_id) identifier, profile_id FROM identities_identity AS identity
            JOIN profiles_profile AS profile ON profile.id = profile_id
            WHERE identity.id = ANY(%s) AND handle = %s AND profile_type <> 'deleted' AND merged_into_id IS NULL
            """,
            [[chance.randint(first, last) for _one in range(20 * CARDS)], CARD],
        ).fetchall()
    chance.shuffle(found)
    return found[:CARDS]


def by_card(card: tuple[str, uuid.UUID], _other: uuid.UUID) -> dict[str, Any]:
    return {"profile_id": card[0], "profile_id_handle": CARD}


def _by_another_id(card: tuple[str, uuid.UUID], other: uuid.UUID) -> dict[str, Any]:
    """The till was told another profile's id than the one that has the card."""
    return {"profile_id": str(other), "identities": [{"handle": CARD, "identifier": card[0]}]}


Named = Callable[[tuple[str, uuid.UUID], uuid.UUID], dict[str, Any]]


def sale(cards: Cards, named: Named, number: int, run_: str) -> dict[str, Any]:
    card, other = cards[number % len(cards)], cards[(number + 1) % len(cards)][1]
    item = {"quantity": 1, "price_current": 89.95, "price_sell": 79.95, "sku": f"LS-{number % 1_000:04}-M"}
    return {
        **named(card, other),
        "external_id": f"{run_}-{number}",
        "receipt_ref": f"R-{number}",
        "total": 159.9,
        "transacted_at": "2026-11-25 12:04:09",
        "timezone": "Australia/Melbourne",
        "location_id": "george-street",
        "payments": [{"type": "card", "amount": 159.9}],
        "tags": ["sale"],
        "items": [{"name": "Linen shirt", **item}, {"name": "Linen trousers", **item}],
    }


def _posted(bench: Bench, address: str, cards: Cards, named: Named) -> Figures:
    answer: Figures | None = None
    # Warmed up by other sales, since each can be sent once.
    for seconds in (load.WARM_UP, bench.seconds):
        run_ = secrets.token_hex(4)
        asks = [
            Ask("/api/v3/transactions", sale(cards, named, number, run_))
            for number in range(int(PER_SECOND * seconds))
        ]
        answer = load.over_http(address, asks, token=bench.token, seconds=seconds, warm_up=0)
    assert answer is not None
    return answer


def _bare(bench: Bench, cards: Cards, named: Named, by: int) -> Figures:
    run_ = secrets.token_hex(4)

    def work(connection: psycopg.Connection, chance: random.Random) -> str:
        # What comes in as JSON over there is an object here.
        return _write(connection, sale(cards, named, chance.getrandbits(48), run_), by)

    return load.in_database(bench.url, work, seconds=bench.seconds)


def _write(connection: psycopg.Connection, body: dict[str, Any], by: int) -> str:
    """The same rows, under the same locks, from first to last; returns the document for the answer."""
    pairs = body.get("identities") or [{"handle": CARD, "identifier": body["profile_id"]}]
    handle, identifier = pairs[0]["handle"], pairs[0]["identifier"]
    requested = uuid.UUID(body["profile_id"]) if "identities" in body else None
    with connection.transaction():
        _identity, profile = _one(connection, MATCH, [handle, identifier])
        held = connection.execute(LOCK, [[pk for pk in (profile, requested) if pk is not None]]).fetchall()
        identity, owner = _one(connection, MATCH, [handle, identifier])
        assert owner == profile
        assert all(type_ != Profile.Type.DELETED and merged is None for _id, type_, merged in held)
        entry = None
        if requested is not None:
            candidates = sorted([profile, requested])
            same = json.dumps(["rerouted", "transaction", handle, identifier, *map(str, candidates), str(requested)])
            fingerprint = hashlib.sha256(same.encode()).hexdigest()
            (entry,) = _one(
                connection,
                ENTRY,
                [
                    handle,
                    identifier,
                    requested,
                    profile,
                    candidates,
                    Jsonb({**body, "identities": pairs}),
                    by,
                    fingerprint,
                ],
            )
        (pk,) = _one(
            connection,
            SALE,
            [
                profile, identity, identity, handle, identifier, requested, Jsonb(pairs), entry, Jsonb(body["tags"]),
                body["external_id"], body["receipt_ref"], body["total"], body["transacted_at"], body["timezone"],
                body["timezone"], Jsonb(body["location_id"]), Jsonb(body["payments"]),
            ],
        )  # fmt: skip
        items: list[Any] = []
        for item in body["items"]:
            items += [pk, item["name"], item["quantity"], item["price_current"], item["price_sell"]]
            items += [Jsonb({"sku": item["sku"]})]
        connection.execute(ITEMS, items)
        known = {"external_id": body["external_id"], "total": str(body["total"]), "profile_id": str(profile)}
        connection.execute(AUDIT, [by, str(pk), Jsonb(known), profile])
    (document,) = _one(connection, ANSWER, [pk])
    return str(document)


def _one(connection: psycopg.Connection, sql: str, values: list[Any]) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = connection.execute(sql, values).fetchone()
    assert row is not None
    return row
