"""What the settings do that matter: the same look-ups, one setting changed at a time."""

from __future__ import annotations

from urllib.parse import urlencode

from tests.benchmarks import load
from tests.benchmarks.bench import Bench
from tests.benchmarks.load import Ask
from tests.benchmarks.lookups import PAIRS, SEARCH
from tests.benchmarks.measuring import Table

CHANGES = [
    {"WORKERS": "1"},
    {"WORKERS": "4"},
    {"THREADS": "1"},
    {"THREADS": "2"},
    {"THREADS": "8"},
    {"PREPARE": "false"},
    {"CONN_MAX_AGE": "0"},
    {"POOL": "true"},
    {"TOKEN_CACHE_SECONDS": "0"},
    {"LOG_LEVEL": "WARNING"},
]


def run(table: Table, bench: Bench) -> None:
    table.part("Settings: /identities/search, 8 clients")
    asks = [
        Ask(f"{SEARCH}?{urlencode({'handle': handle, 'identifier': identifier})}")
        for handle, identifier in bench.pairs(PAIRS)
    ]
    for change in ({}, *CHANGES):
        with bench.product(**change) as address:
            figures = load.over_http(address, asks, token=bench.token, seconds=bench.seconds)
        name = ", ".join(f"{name}={value}" for name, value in change.items()) or "as they are by default"
        table.add(name, figures)
        if not change:
            usual = figures
        else:
            table.times_as_many(f"{name} : default", figures, usual)
