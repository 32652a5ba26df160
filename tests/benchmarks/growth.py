"""Whether a look-up takes longer in a big shop than in a small one: databases of their own, one a thousand times the other."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from urllib.parse import urlencode

import psycopg
from django.core.management import call_command
from django.db import connection

from omneo_identity import database
from tests.benchmarks import load, population
from tests.benchmarks.bench import Bench
from tests.benchmarks.load import Ask
from tests.benchmarks.lookups import SEARCH
from tests.benchmarks.measuring import Figures, Table, at_most, say

SMALL = 10_000
# Of a run at the usual size; a smaller run has a smaller one.
GROWN = 1_000
USUAL = 1_000_000

PAIRS = 2_000


def run(table: Table, bench: Bench) -> None:
    large = SMALL * max(GROWN * bench.size // USUAL, 10)
    table.part("Growth, 1 client")
    small_figures = table.add(f"/identities/search among {SMALL:,} identities", _measured(bench, SMALL))
    large_figures = table.add(f"/identities/search among {large:,} identities", _measured(bench, large))
    table.times_as_long("search among as many : among few", large_figures, small_figures, at_most(1.2))


def _measured(bench: Bench, identities: int) -> Figures:
    with _database(bench, f"growth_{identities}") as own:
        say(f"making {identities:,} identities")
        sizes = population.Sizes(
            profiles=identities // 2, identities=identities, entries=0, audits=0, moves=0, heaviest=100
        )
        population.fill(sizes, seed=bench.seed)
        pairs = [{"handle": handle, "identifier": identifier} for handle, identifier in own.pairs(PAIRS)]
        token = own.token
        with own.product() as address:
            asks = [Ask(f"{SEARCH}?{urlencode(one)}") for one in pairs]
            # Each pair once, so that what is asked for is in the server's memory in both.
            load.over_http(address, asks, token=token, clients=1, seconds=bench.seconds)
            return load.over_http(address, asks, token=token, clients=1, seconds=bench.seconds)


@contextlib.contextmanager
def _database(bench: Bench, name: str) -> Iterator[Bench]:
    """A database of this name on the same server, for this process too, as long as it is used."""
    before = dict(connection.settings_dict)
    with psycopg.connect(bench.url, autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {name}")
        # As the embedded server makes its own (`database`).
        server.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
        )
    url = bench.url.replace(f"/{before['NAME']}?", f"/{name}?")
    connection.close()
    connection.settings_dict.update(database.configuration(url))
    try:
        call_command("migrate", verbosity=0)
        yield dataclasses.replace(bench, url=url)
    finally:
        connection.close()
        connection.settings_dict.update(before)
        with psycopg.connect(bench.url, autocommit=True) as server:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")
