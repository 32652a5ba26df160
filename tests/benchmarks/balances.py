"""What a profile with a hundred thousand points may spend, as the database says how long that took."""

from __future__ import annotations

import json
import statistics
import uuid
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

from identities import lookup
from profiles.models import Point
from tests.benchmarks import filling
from tests.benchmarks.bench import Bench
from tests.benchmarks.filling import Has
from tests.benchmarks.measuring import Goal, Table, at_most

POINTS = 100_000
TIMES = 9
MOST_MILLISECONDS = 20


def run(table: Table, bench: Bench) -> None:
    """Twice: as the points have just come in, all at once, when the server has to look at each row whether it is seen;
    and as they are a minute later, when it has looked after its table as it does by itself."""
    table.part(f"A profile with {POINTS:,} points, in the database")
    profile = filling.profile(Has(identities=2, points=POINTS), first_name="Ada", last_name="Lovelace")
    _measure(table, profile.pk, "the moment that all came in")
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM (ANALYZE) {Point._meta.db_table}")
    _measure(table, profile.pk, "vacuumed", at_most(MOST_MILLISECONDS))


def _measure(table: Table, pk: uuid.UUID, when: str, goal: Goal | None = None) -> None:
    with CaptureQueriesContext(connection) as asked:
        lookup.balances(pk)
        lookup.profile(pk)
    for name, query in zip(("balances", "the whole profile"), asked.captured_queries, strict=True):
        spans = [_milliseconds(query["sql"]) for _one in range(TIMES)]
        table.holds(f"{name}, {when}", statistics.median(spans), "ms", goal)


def _milliseconds(sql: str) -> float:
    """What planning and running it took, by the server's own clock; a clock in each step would be most of it."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}")
        ((answer,),) = cursor.fetchall()
    plan: dict[str, Any] = (json.loads(answer) if isinstance(answer, str) else answer)[0]
    return float(plan["Planning Time"] + plan["Execution Time"])
