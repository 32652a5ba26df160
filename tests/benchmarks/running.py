"""`make bench`: fill a throwaway database from a seed, measure every part beside its baseline, print one table.

Ratios of one run are what counts: both sides of each ran on the same machine, one shortly after the other.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from omneo_identity import database
from tests.benchmarks.bench import Bench
from tests.benchmarks.measuring import Table, say

# In this order, since the later ones change what the earlier ones read.
PARTS = [
    *("lookups", "customers", "configuration", "balances", "lists", "writes", "events", "batches", "merging"),
    *("importing", "growth"),
]

# Of the embedded server, which is meant for trying things out; as anybody gives a server of this size.
SERVER = ["shared_buffers=2GB", "max_wal_size=8GB", "max_connections=200"]


def main() -> None:
    arguments = _arguments()
    table = Table()
    with _database(arguments.database) as url:
        bench = _bench(url, arguments)
        for name in arguments.parts or PARTS:
            _settle()
            importlib.import_module(f"tests.benchmarks.{name}").run(table, bench)
    text = f"{_machine(arguments)}\n\n{table.markdown()}\n"
    print(f"\n{text}")  # noqa: T201 - a command
    if arguments.write:
        Path(arguments.write).write_text(text)
    for line in table.missed:
        say(f"missed: {line.name}: {line.value:.3g} {line.unit}, not {line.goal}")
    sys.exit(1 if table.missed else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"which parts; all unless given: {', '.join(PARTS)}")
    parser.add_argument("--size", type=int, default=1_000_000, help="how many profiles (1,000,000 unless given)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=5, help="how long each rate is measured")
    parser.add_argument("--database", help="a database of that size that a run has filled, on a server that is up")
    parser.add_argument("--write", help="a file for the table")
    return parser.parse_args()


@contextlib.contextmanager
def _database(url: str | None) -> Iterator[str]:
    if url is None:
        options = [part for option in SERVER for part in ("-c", option)]
        with database.throwaway(*options):
            yield database.url(settings.DATABASES["default"]["HOST"])
            connection.close()
    else:
        settings.DATABASES["default"].update(database.configuration(url))
        connection.settings_dict.update(settings.DATABASES["default"])
        yield url
        connection.close()


def _bench(url: str, arguments: argparse.Namespace) -> Bench:
    call_command("migrate", verbosity=0)
    bench = Bench(url, arguments.size, arguments.seed, arguments.seconds)
    if arguments.database is None:
        started = time.monotonic()
        say(f"making {arguments.size:,} profiles")
        bench.fill()
        say(f"made in {time.monotonic() - started:,.0f} s")
    return bench


def _settle() -> None:
    """Have the server write down what the part before has left to be written."""
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")


def _machine(arguments: argparse.Namespace) -> str:
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return (
        f"{arguments.size:,} profiles, seed {arguments.seed}; {os.cpu_count()} cores ({model or platform.machine()}), "
        f"Python {platform.python_version()}, Django {django.get_version()}, PostgreSQL {_postgres()}"
    )


def _postgres() -> str:
    from omneo_identity import embedded

    return str(embedded.VERSION)
