"""What a statement does to big tables: by the plan that PostgreSQL makes for it, and by what it reads when it runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connection

Node = dict[str, Any]

# A table of more rows than this is big.
BIG = 10_000

# Rows of a big table that one statement may read, with those that it throws away again. A bounded count reads ten
# thousand, and if it counts what nearly all rows have, some more.
MOST_READ = 12_000

# Entries of an index alone, which stand by the hundred on a page, in the order asked for: to find out that no row has
# two things together, those that have the rarer one are gone through. That grows with the table, at 10 ms a 100,000.
MOST_READ_OF_AN_INDEX = 100_000

# Rows that one statement may sort.
MOST_SORTED = 10_000


def big_tables() -> set[str]:
    """Tables that are big, as far as the planner knows."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples > %s", [BIG])
        return {name for (name,) in cursor.fetchall()}


class Plan:
    """How a statement that only reads was run. `faults` are the reasons why it would not hold at any size."""

    def __init__(self, sql: str, big: set[str]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, VERBOSE, TIMING OFF, BUFFERS OFF, FORMAT JSON) {sql}")
            ((answer,),) = cursor.fetchall()
        (self.plan,) = json.loads(answer) if isinstance(answer, str) else answer
        self.big = big
        self.faults = list(self._faults(self.plan["Plan"], above=[], times=1))

    @property
    def milliseconds(self) -> float:
        return float(self.plan["Planning Time"] + self.plan["Execution Time"])

    def _faults(self, node: Node, *, above: Sequence[Node], times: float) -> Iterator[str]:
        if node.get("Parent Relationship") == "SubPlan":
            # Once for each row of the page, whose bound is seen elsewhere.
            times = max(node["Actual Loops"], 1)
        if node.get("Relation Name") in self.big:
            yield from self._faults_of_scan(node, above, times)
        if node["Node Type"] == "Sort":
            rows = node["Plans"][0]["Actual Rows"] * node["Plans"][0]["Actual Loops"] / times
            if rows > MOST_SORTED:
                yield f"sorts {rows:,.0f} rows by {', '.join(node['Sort Key'])}"
        for beneath in node.get("Plans", []):
            yield from self._faults(beneath, above=[*above, node], times=times)

    def _faults_of_scan(self, node: Node, above: Sequence[Node], times: float) -> Iterator[str]:
        kind, table = node["Node Type"], node["Relation Name"]
        thrown_away = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        read = (node["Actual Rows"] + thrown_away) * node["Actual Loops"] / times
        if kind == "Index Only Scan":
            if read > MOST_READ_OF_AN_INDEX:
                yield f"reads {read:,.0f} entries of {node['Index Name']}"
            read = node["Heap Fetches"] / times
        # Just the first rows, whatever they are, is as little to read as their number.
        if kind == "Seq Scan" and ("Filter" in node or not above or above[-1]["Node Type"] != "Limit"):
            yield f"reads {table} from its beginning"
        elif read > MOST_READ:
            yield f"reads {read:,.0f} rows of {table} ({kind})"
        # What only makes rows of a sub-select distinct has no function in it.
        counts = [one for one in _up_to_a_limit(above) if one["Node Type"] == "Aggregate"]
        if any("(" in output for one in counts for output in one.get("Output", [])):
            yield f"counts {table} without a bound"


def _up_to_a_limit(above: Sequence[Node]) -> Iterator[Node]:
    for node in reversed(above):
        if node["Node Type"] == "Limit":
            return
        yield node


def only_reads(sql: str) -> bool:
    """Whether the statement reads and neither writes nor locks, so that it can be run once more."""
    return (
        re.match(r"[\s(]*(SELECT|WITH)\b", sql) is not None
        and re.search(r"\bFOR (UPDATE|NO|KEY|SHARE)\b", sql) is None
    )
