"""What an import costs: as many statements for many new rows as for two, no big table read, memory that stays flat."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from identities.importing import running
from identities.models import Identity
from profiles.models import Profile
from tests.importing import bring_in
from tests.working import environment


def people(path: Path, count: int, *, beginning: int = 1) -> Path:
    """A file of so many people, each with an address and two numbers."""
    with path.open("w") as file:
        file.write("first_name,email,loyalty-card,pos\n")
        for number in range(beginning, beginning + count):
            file.write(f"No {number},no{number}@example.com,C{number},P{number}\n")
    return path


def statements(write: Callable[[], object]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        write()
    return [one["sql"] for one in captured]


@pytest.mark.django_db
def test_many_new_rows_cost_the_statements_of_two(operator: User, tmp_path: Path) -> None:
    few = statements(lambda: bring_in(people(tmp_path / "few.csv", 2), "--by", "operator"))
    many = statements(lambda: bring_in(people(tmp_path / "many.csv", 500, beginning=10), "--by", "operator"))

    assert Profile.objects.count() == 502
    assert len(many) == len(few)


@pytest.mark.django_db
def test_rows_that_say_nothing_new_cost_as_many_as_two(operator: User, tmp_path: Path) -> None:
    for name, count in (("few.csv", 2), ("many.csv", 500)):
        bring_in(people(tmp_path / name, count, beginning=10 * count), "--by", "operator")

    few = statements(lambda: bring_in(tmp_path / "few.csv", "--by", "operator"))
    many = statements(lambda: bring_in(tmp_path / "many.csv", "--by", "operator"))

    assert len(many) == len(few)
    assert not [sql for sql in many if sql.startswith("COPY")]


@pytest.mark.django_db
def test_the_look_at_all_pairs_probes_an_index_for_each(operator: User, tmp_path: Path) -> None:
    # So many that a whole read would pay, if the planner were free to choose it.
    bring_in(people(tmp_path / "people.csv", 3_000), "--by", "operator")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE identities_identity, profiles_profile")

    looks = [
        sql
        for sql in statements(lambda: bring_in(tmp_path / "people.csv", "--by", "operator"))
        if "string_to_array" in sql
    ]

    (look,) = looks
    scans = set(_scans(look))
    assert ("Index Scan", "identities_identity") in scans or ("Index Only Scan", "identities_identity") in scans
    assert {table for kind, table in scans if kind == "Seq Scan"} == set()


def _scans(sql: str) -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
        ((answer,),) = cursor.fetchall()
    (plan,) = json.loads(answer) if isinstance(answer, str) else answer
    found = []

    def walk(node: dict[str, Any]) -> None:
        if "Relation Name" in node:
            found.append((node["Node Type"], node["Relation Name"]))
        for inner in node.get("Plans", []):
            walk(inner)

    walk(plan["Plan"])
    return found


# Prints the most memory that the process has ever had, in kB. Not by getrusage, which begins with that of its parent.
MEASURED = """
import sys
from pathlib import Path
import django
django.setup()
from django.core.management import call_command
call_command(*sys.argv[1:], verbosity=0)
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


def most_memory(*command: str) -> int:
    process = subprocess.run(
        [sys.executable, "-c", MEASURED, *command],
        cwd=settings.BASE_DIR,
        env={**environment(), "DJANGO_SETTINGS_MODULE": "tests.settings"},
        check=True,
        capture_output=True,
        text=True,
    )
    return int(process.stdout.splitlines()[-1])


# Bytes a row; what the validation of a chunk once left behind was 500.
LEAK = 400


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Only Linux says it there.")
@pytest.mark.django_db(transaction=True)
def test_memory_does_not_grow_with_the_file(operator: User, tmp_path: Path) -> None:
    once = 4 * running.CHUNK
    few, many = (
        people(tmp_path / f"{name}.csv", count, beginning=beginning)
        for name, count, beginning in (("few", once, 1), ("many", 4 * once, 2 * once))
    )
    imported = [most_memory("import_identities", str(path), "--by", "operator") for path in (few, many)]
    assert Identity.objects.count() == 15 * once
    exported = [most_memory("export_identities", str(tmp_path / name)) for name in ("a.ndjson", "a.csv")]

    # What is remembered of names and domains is bounded and fills at first; a leak of a row's smallest part is more.
    assert 1024 * (imported[1] - imported[0]) < 3 * once * LEAK
    assert max(exported) < imported[0]
    with connection.cursor() as cursor:
        # For the questions that are asked of the database after each test that commits.
        cursor.execute("ANALYZE")
