"""The plans that PostgreSQL keeps for the hot paths' statements: made for any values, and none reads a big table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from psycopg import sql

from identities import authenticating
from identities.models import Identity
from profiles import reading
from tests.api.conftest import CARD, sale
from tests.api.test_query_counts import calls, scanned

pytestmark = pytest.mark.django_db

# Those with many rows here, and those that are big in a shop: an index must be there that finds their rows.
BIG = {"identities_identity", "profiles_profile"}
BIG_ELSEWHERE = {"profiles_transaction", "profiles_transactionitem", "profiles_audit", "identities_routinglogentry"}


@pytest.fixture
def kept(monkeypatch) -> Iterator[dict[str, Any]]:
    """The statements that are prepared from now on, each once, with what it was asked for."""
    seen: dict[str, Any] = {}
    execute = reading.PreparedCursor.execute

    def note(self, query, params=None, **options):
        seen.setdefault(query, params)
        return execute(self, query, params, **options)

    monkeypatch.setattr(reading.PreparedCursor, "execute", note)
    yield seen


def scanned_by_kept_plan(statement: str, parameters: Any, *, seqscan: str = "on") -> list[str]:
    """The tables that the plan for any values reads from one end to the other; with `seqscan` off, has to read."""
    numbers = iter(range(1, 1_000))
    text = re.sub("%s", lambda _found: f"${next(numbers)}", statement).replace("%%", "%")
    values = sql.SQL(", ").join(map(sql.Literal, parameters or ()))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        cursor.execute(f"SET LOCAL enable_seqscan = {seqscan}")
        cursor.execute(f"PREPARE kept AS {text}")
        try:
            call = sql.SQL("EXECUTE kept ({})").format(values) if parameters else sql.SQL("EXECUTE kept")
            return list(scanned(call.as_string(connection.connection)))
        finally:
            cursor.execute("DEALLOCATE kept")


def sales(api: Any, ada: Any) -> list[Callable[[], Any]]:
    pairs = [{"handle": CARD, "identifier": "1804974"}, {"handle": "pos", "identifier": "new"}]
    other = str(Identity.objects.get(handle=CARD, identifier="L7").profile_id)
    return [
        lambda: api.record("transactions", sale(external_id="1", identities=pairs)),
        lambda: api.record("transactions", sale(external_id="2", profile_id=ada["id"])),
        lambda: api.record("transactions", sale(external_id="3", profile_id=other, identities=pairs)),
        lambda: api.record("transactions", sale(f"{CARD}:1804974", f"{CARD}:L7")),
        lambda: api.record("transactions", sale("email:new@example.com")),
        lambda: api.record("transactions", sale()),
        lambda: api.post("/transactions/update-create", sale(external_id="1", total=2)),
        lambda: api.post("/identities/batch", {"profile_id": ada["id"], "identities": pairs}),
        lambda: api.post("/profiles", {"identities": pairs}),
        lambda: api.get("/transactions?filter[external_id]=1"),
    ]


def test_no_kept_plan_reads_a_big_table(api, ada, twenty_thousand, kept) -> None:
    for call in (*(call for _name, call in calls(ada, ada["identities"][0]["id"])), *sales(api, ada)):
        call()
    authenticating.authenticate(api.plain)

    statements = dict(kept)
    assert len(statements) > 20
    for statement, parameters in statements.items():
        assert BIG.isdisjoint(scanned_by_kept_plan(statement, parameters)), statement
        assert BIG_ELSEWHERE.isdisjoint(scanned_by_kept_plan(statement, parameters, seqscan="off")), statement


def test_a_kept_plan_that_reads_a_big_table_is_seen(twenty_thousand) -> None:
    statement = "SELECT id FROM profiles_profile WHERE company = %s"

    assert scanned_by_kept_plan(statement, ["x"]) == ["profiles_profile"]
