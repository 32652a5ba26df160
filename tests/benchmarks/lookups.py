"""Look-ups while a till waits: against an empty view, and against what people would write with REST framework."""

from __future__ import annotations

import datetime
import random
from typing import Any
from urllib.parse import urlencode

import psycopg
from django.utils import timezone

from identities import lookup
from identities.models import Identity
from profiles.models import Profile, Transaction, TransactionItem
from tests.benchmarks import load
from tests.benchmarks.bench import Bench
from tests.benchmarks.load import Ask
from tests.benchmarks.measuring import Figures, Table, at_least, at_most, middle

PAIRS = 20_000
RESOLVED = 1_000

# What all else is compared with is measured so often, and the middle counts: a moment in which the machine does something
# else makes the slowest of one turn.
TURNS = 3

# People who have shopped for years.
REGULARS = 200
THEIR_IDENTITIES = 20
THEIR_TRANSACTIONS = 100

SEARCH = "/api/v3/identities/search"


def run(table: Table, bench: Bench) -> None:
    pairs = bench.pairs(PAIRS)
    regulars = _regulars()
    queries = [{"handle": handle, "identifier": identifier} for handle, identifier in pairs]
    with_sales = [{**query, "include": "transactions"} for query in queries]
    loyal = [{"handle": handle, "identifier": identifier} for handle, identifier in regulars]

    table.part("Look-ups, 8 clients")
    with bench.stock() as address:
        turns = [load.over_http(address, [Ask("/empty")], seconds=bench.seconds) for _turn in range(TURNS)]
        empty = table.add("an empty Django view, no middleware", middle(turns))
        flat = table.add("stock: identities, filtered, flat", _stock(bench, address, "/identities/", queries))
        nested = table.add(
            "stock: profiles, filtered, identities and newest transactions nested",
            _stock(bench, address, "/profiles/", queries),
        )
        nested_loyal = table.add(
            "stock nested, of 20 identities and 100 transactions", _stock(bench, address, "/profiles/", loyal)
        )
    with bench.product() as address:
        turns = [_search(bench, address, queries) for _turn in range(TURNS)]
        search = table.add("/identities/search, the whole profile", middle(turns))
        with_newest = table.add("/identities/search?include=transactions", _search(bench, address, with_sales))
        search_loyal = table.add(
            "the same, of 20 identities and 100 transactions",
            _search(bench, address, [{**query, "include": "transactions"} for query in loyal]),
        )
        table.add(
            "/profiles/search-id",
            _post(
                bench, address, "/api/v3/profiles/search-id", [{"type": handle, "id": one} for handle, one in pairs]
            ),
        )
    table.times_as_many("search : an empty view", search, empty, at_least(0.25))
    table.times_as_many("search : stock flat", search, flat, at_least(2.5))
    table.times_as_many("search : stock nested", search, nested, at_least(4.5))
    table.times_as_many("search with transactions : stock nested", with_newest, nested, at_least(4.5))
    table.times_as_many("20 identities, 100 transactions : stock nested", search_loyal, nested_loyal, at_least(3))
    table.holds("p99 of search", search.p99, "ms", at_most(20))

    table.part("1,000 pairs at once, 1 client")
    resolved = [pairs[start : start + RESOLVED] for start in range(0, PAIRS - RESOLVED + 1, RESOLVED)]
    sql = table.add("the statement of resolve, by psycopg, prepared", _resolve_in_database(bench, resolved))
    with bench.product() as address:
        bodies = [{"identities": [{"handle": handle, "identifier": one} for handle, one in part]} for part in resolved]
        resolve = table.add(
            "/identities/resolve", _post(bench, address, "/api/v3/identities/resolve", bodies, clients=1)
        )
    table.times_as_long("resolve : its statement", resolve, sql, at_most(3))


def _stock(bench: Bench, address: str, path: str, queries: list[dict[str, str]]) -> Figures:
    return load.over_http(address, [Ask(f"{path}?{urlencode(one)}") for one in queries], seconds=bench.seconds)


def _search(bench: Bench, address: str, queries: list[dict[str, str]]) -> Figures:
    asks = [Ask(f"{SEARCH}?{urlencode(one)}") for one in queries]
    return load.over_http(address, asks, token=bench.token, seconds=bench.seconds)


def _post(bench: Bench, address: str, path: str, bodies: list[Any], clients: int = load.CLIENTS) -> Figures:
    asks = [Ask(path, body) for body in bodies]
    return load.over_http(address, asks, token=bench.token, clients=clients, seconds=bench.seconds)


def _resolve_in_database(bench: Bench, parts: list[list[tuple[str, str]]]) -> Figures:
    arrays = [
        [[handle for handle, _one in part], ["exact"] * len(part), [one for _handle, one in part]] for part in parts
    ]

    def work(connection: psycopg.Connection, chance: random.Random) -> None:
        connection.execute(lookup.RESOLVED, chance.choice(arrays)).fetchall()

    return load.in_database(bench.url, work, clients=1, seconds=bench.seconds)


def _regulars() -> list[tuple[str, str]]:
    """Profiles with many identities and transactions; gives one pair of each."""
    profiles = Profile.objects.bulk_create(Profile(first_name="Regular", last_name=str(n)) for n in range(REGULARS))
    now = timezone.now()
    identities = [
        Identity(profile=profile, handle_id="pos", identifier=f"{profile.pk}-{number}")
        for profile in profiles
        for number in range(THEIR_IDENTITIES)
    ]
    Identity.objects.bulk_create(identities)
    transactions = Transaction.objects.bulk_create(
        Transaction(profile=profile, total=10, transacted_at=now - datetime.timedelta(days=number), timezone="UTC")
        for profile in profiles
        for number in range(THEIR_TRANSACTIONS)
    )
    TransactionItem.objects.bulk_create(
        TransactionItem(transaction=one, position=0, name="Shirt", quantity=1, price_current=10, price_sell=10)
        for one in transactions
    )
    return [("pos", f"{profile.pk}-0") for profile in profiles]
