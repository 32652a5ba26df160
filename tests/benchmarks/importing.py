"""A file of new people, against bare COPY of the same profile and identity rows into the same tables and indexes.

The file says everything that an import does besides: it reads and checks each row, looks every pair up, and audits
profile and identities. Chunks are as large on both sides, and each is a transaction.
"""

from __future__ import annotations

import functools
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from django.db.models import Model

from identities.importing import running
from identities.models import Identity
from profiles.models import Profile, fold_name
from tests.benchmarks.bench import Bench
from tests.benchmarks.measuring import Figures, Table, at_least, at_most

# Rows of a file at most, and how often both sides are measured, in turn.
MOST_ROWS = 60_000
TIMES = 3

# How much longer the file is by which memory is seen to stay flat.
LONGER = 4

FIRST = ("Ada", "Bo", "Cleo", "Dan", "Eve", "Zoë")
LAST = ("Lovelace", "Diddley", "Nguyen", "Müller", "Garcia", "Wilson", "Taylor")
HEADER = "first_name,last_name,email,birth_date,loyalty-card,legacy_crm\n"


def run(table: Table, bench: Bench) -> None:
    rows = min(MOST_ROWS, bench.size)
    table.part(f"Import of {rows:,} people with an e-mail address and two numbers each")
    imported, copied, exported = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.csv"
        for time_ in range(TIMES):
            _write(path, _people(f"{bench.seed} {time_} copy {time.time_ns()}", rows))
            copied.append(_copy(bench.url, path))
            _write(path, _people(f"{bench.seed} {time_} import {time.time_ns()}", rows))
            seconds, few = _command(bench.url, "import_identities", str(path))
            imported.append(seconds)
        _write(path, _people(f"{bench.seed} memory {time.time_ns()}", LONGER * rows))
        _seconds, many = _command(bench.url, "import_identities", str(path))
        exported.append(_command(bench.url, "export_identities", str(Path(folder) / "all.ndjson"))[0])
    bare = table.add("bare COPY of profiles and identities", Figures.of(copied, per_call=rows))
    figures = table.add("import_identities", Figures.of(imported, per_call=rows))
    table.times_as_many("import_identities : bare COPY", figures, bare, at_least(0.4))
    table.holds("memory of an import", many, "MB")
    table.holds(f"memory of an import of {LONGER} times as many rows : of one", many / few, "×", at_most(1.1))
    with psycopg.connect(bench.url) as connection:
        ((profiles,),) = connection.execute("SELECT count(*) FROM profiles_profile").fetchall()
    table.add("export_identities, NDJSON", Figures.of(exported, per_call=profiles))


def _people(seed: str, count: int) -> Iterator[tuple[str, ...]]:
    """People of whom nobody has heard: name, address, birth date, two numbers."""
    chance = random.Random(seed)  # noqa: S311 - made-up people
    for _number in range(count):
        key = chance.getrandbits(48)
        first, last = chance.choice(FIRST), chance.choice(LAST)
        born = f"{chance.randrange(1940, 2005)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
        yield first, last, f"{first}.{key}@example{key % 500}.com", born, f"{chance.getrandbits(50)}", f"C-{key}"


def _write(path: Path, people: Iterator[tuple[str, ...]]) -> None:
    with path.open("w") as file:
        file.write(HEADER)
        file.writelines(f"{','.join(one)}\n" for one in people)


def _copy(url: str, path: Path) -> float:
    """The seconds that it takes to copy the rows in that the file makes."""
    rows = [line.rstrip("\n").split(",") for line in path.open()][1:]
    spent = 0.0
    with psycopg.connect(url) as connection:
        for begin in range(0, len(rows), running.CHUNK):
            profiles, identities = _lines(connection, rows[begin : begin + running.CHUNK])
            started = time.perf_counter()
            for model, lines in ((Profile, profiles), (Identity, identities)):
                columns = ", ".join(f'"{one.column}"' for one in model._meta.concrete_fields)
                with connection.cursor().copy(f'COPY "{model._meta.db_table}" ({columns}) FROM STDIN') as copy:
                    copy.write(lines)
            connection.commit()
            spent += time.perf_counter() - started
    return spent


def _lines(connection: psycopg.Connection, rows: Sequence[Sequence[str]]) -> tuple[bytes, bytes]:
    """These people as the two tables have them, in the format of COPY. This is not measured."""
    from uuid_utils.compat import uuid7

    ((now,),) = connection.execute("SELECT now()").fetchall()
    keys = connection.execute(
        "SELECT nextval(pg_get_serial_sequence('identities_identity', 'id')) FROM generate_series(1, %s)",
        [3 * len(rows)],
    )
    profiles, identities = [], []
    for key, (first, last, email, born, card, crm) in zip(sorted(uuid7() for _row in rows), rows, strict=True):
        year, month, day = (int(part) for part in born.split("-"))
        person = {
            **{"id": key, "first_name": first, "last_name": last, "email": email},
            **{"birth_year": year, "birth_month": month, "birth_day": day},
            **{"first_name_fold": fold_name(first), "last_name_fold": fold_name(last)},
            **{"joined_at": now, "created_at": now, "updated_at": now},
        }
        profiles.append(_line(Profile, person))
        for handle, identifier, original in (
            ("email", email.lower(), email),
            ("legacy_crm", crm, ""),
            ("loyalty-card", card, ""),
        ):
            ((number,),) = keys.fetchmany(1)
            pair = {"handle": handle, "identifier": identifier, "original": original}
            identities.append(
                _line(Identity, {"id": number, "profile_id": key, **pair, "created_at": now, "updated_at": now})
            )
    return "".join(profiles).encode(), "".join(identities).encode()


def _line(model: type[Model], values: Mapping[str, Any]) -> str:
    """A row in the format of COPY, with the model's defaults in the columns that are not given."""
    row = {**_defaults(model), **values}
    return "\t".join(map(_text, row.values())) + "\n"


@functools.cache
def _defaults(model: type[Model]) -> dict[str, Any]:
    return {str(field.column): field.get_default() for field in model._meta.concrete_fields}


def _text(value: Any) -> str:
    match value:
        case None:
            return "\\N"
        case [] | {}:
            return "{}"
        case _:
            return str(value)


# Tells how many seconds a command took, and the most kB that the process has ever had.
MEASURED = """
import sys, time
from pathlib import Path
import django
django.setup()
from django.core.management import call_command
started = time.perf_counter()
call_command(*sys.argv[1:], verbosity=0)
print(time.perf_counter() - started, Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


def _command(url: str, *command: str) -> tuple[float, float]:
    """The seconds that a command takes in a process of its own, and the megabytes that it had at most."""
    told = subprocess.run(
        [sys.executable, "-c", MEASURED, *command],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_URL": url},
    )
    seconds, kilobytes = told.stdout.split()[-2:]
    return float(seconds), int(kilobytes) / 1_024
