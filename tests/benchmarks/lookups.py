"""Look-ups while a till waits: against an empty view, and against what people would write with REST framework."""

from __future__ import annotations

from urllib.parse import urlencode

from tests.benchmarks import load
from tests.benchmarks.bench import Bench
from tests.benchmarks.load import Ask
from tests.benchmarks.measuring import Table, at_least, at_most

PAIRS = 20_000


def run(table: Table, bench: Bench) -> None:
    table.part("Look-ups, 8 clients")
    pairs = [{"handle": handle, "identifier": identifier} for handle, identifier in bench.pairs(PAIRS)]
    with bench.stock() as address:
        empty = table.add("an empty Django view", load.over_http(address, [Ask("/empty")], seconds=bench.seconds))
        flat = table.add(
            "stock: identities, filtered, flat",
            load.over_http(address, _asks("/identities/", pairs), seconds=bench.seconds),
        )
        nested = table.add(
            "stock: profiles, filtered, identities and newest transactions nested",
            load.over_http(address, _asks("/profiles/", pairs), seconds=bench.seconds),
        )
    with bench.product() as address:
        search = table.add(
            "/identities/search, the whole profile",
            load.over_http(
                address, _asks("/api/v3/identities/search", pairs), token=bench.token, seconds=bench.seconds
            ),
        )
        whole = table.add(
            "/identities/search, with the newest transactions",
            load.over_http(
                address,
                _asks("/api/v3/identities/search", [{**pair, "include": "transactions"} for pair in pairs]),
                token=bench.token,
                seconds=bench.seconds,
            ),
        )
    table.times_as_many("search : an empty view", search, empty, at_least(0.25))
    table.times_as_many("search : stock flat", search, flat, at_least(2.5))
    table.times_as_many("search : stock nested", search, nested, at_least(4.5))
    table.times_as_many("search with transactions : stock nested", whole, nested, at_least(4.5))
    table.holds("p99 of search", search.p99, "ms", at_most(20))


def _asks(path: str, queries: list[dict[str, str]]) -> list[Ask]:
    return [Ask(f"{path}?{urlencode(query)}") for query in queries]
