"""No list of records walks, sorts or counts a big table, whatever it is asked for."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from profiles.models import Profile
from tests import plans
from tests.api.conftest import Caller
from tests.conftest import put_back

# All in one process: the rows take longer to make than to look at.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("big lists of the API")]

ROWS = 150_000
TIMES = {
    "transactions": "transacted_at",
    "interactions": "interacted_at",
    "points": "issued_at",
    "rewards": "issued_at",
}

# Per kind: the table, and its columns beside those of all.
COLUMNS = {
    "profiles_transaction": {
        "external_id": "number::text",
        "receipt_ref": "''",
        "total": "10",
        "is_void": "false",
        "transacted_at": "born",
        "timezone": "'UTC'",
        "systems": "'[]'",
        "payments": "'[]'",
        "tags": "'[]'",
        "meta": "'{}'",
    },
    "profiles_interaction": {
        "action": "'visit'",
        "channel": "'app'",
        "signal": "1",
        "name": "'x'",
        "namespace": "'x'",
        "interacted_at": "born",
        "url": "''",
        "description": "''",
        "tags": "'[]'",
        "meta": "'{}'",
    },
    "profiles_point": {
        "value_initial": "1",
        "value_remaining": "1",
        "issued_at": "born",
        "definition_id": "1",
        "meta": "'{}'",
    },
    "profiles_reward": {"value_initial": "1", "value_remaining": "1", "issued_at": "born", "timezone": "'UTC'"},
}

# One in fifty profiles is deleted, and one in ten records is nobody's. sfcc was in use first, klaviyo is new, and one
# profile, the oldest, has a twentieth of all rows, in the first years.
ALL = {
    "profile_id": """CASE WHEN number % 10 = 0 THEN NULL WHEN number < 3000 THEN lpad('1', 32, '0')::uuid
        ELSE lpad((1 + number % 20000)::text, 32, '0')::uuid END""",
    "brought_by_handle": "''",
    "brought_by_identifier": "''",
    "decided_by": "'id'",
    "pairs": "'[]'",
    "source": """CASE WHEN number < 50000 THEN 'sfcc' WHEN number > 140000 THEN 'klaviyo' WHEN number % 3 = 0 THEN NULL
        ELSE 'shopify' END""",
    "created_at": "born",
    "updated_at": "born",
}


@pytest.fixture(scope="module")
def big(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[set[str]]:
    """Fill the tables for this module. Returns the names of the big ones."""
    with django_db_blocker.unblock():
        put_back()
        try:
            fill()
            yield plans.big_tables()
        finally:
            put_back()


def fill() -> None:
    Profile.objects.create()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO profiles_profile
            SELECT made.* FROM profiles_profile AS first, generate_series(1, 20000) AS number,
            LATERAL jsonb_populate_record(first, jsonb_build_object(
                'id', lpad(number::text, 32, '0')::uuid,
                'profile_type', CASE WHEN number % 50 = 0 THEN 'deleted' ELSE 'active' END
            )) AS made
            """
        )
        for table, columns in COLUMNS.items():
            named = ALL | columns
            cursor.execute(
                f"""
                INSERT INTO {table} ({", ".join(named)}) SELECT {", ".join(named.values())} FROM (
                    SELECT number, now() - ({ROWS} - number) * interval '10 minutes' AS born
                    FROM generate_series(1, {ROWS}) AS number
                ) AS made
                """.replace("%", "%%"),
                [],
            )
    # A vacuum runs in no transaction; here there is none.
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")


def queries(kind: str) -> Iterator[str]:
    """Every filter and sort of a list, and some together."""
    time = TIMES[kind]
    day, next_day = (timezone.now() - datetime.timedelta(days=days) for days in (300, 299))
    seldom, often = "00000000-0000-0000-0000-000000000777", "00000000-0000-0000-0000-000000000001"
    filters = [
        "",
        f"filter[profile_id]={seldom}",
        f"filter[profile_id]={often}",
        "filter[source]=sfcc",
        "filter[source]=klaviyo",
        "filter[source]=zendesk",
        "filter[source]=staff",
    ]
    if kind == "transactions":
        filters += ["filter[external_id]=777", "filter[external_id]=none"]
    for one in (time, "created_at"):
        filters += [
            f"filter[{one}][lt]=2000-01-01",
            f"filter[{one}][gte]=2000-01-01",
            f"filter[{one}][lte]={day:%Y-%m-%d}",
            f"filter[{one}][gte]={day:%Y-%m-%d}&filter[{one}][lt]={next_day:%Y-%m-%d}",
        ]
    yield from filters
    for sort in ("id", "-id", time, f"-{time}", "created_at", "-created_at"):
        yield f"sort={sort}"
        yield f"sort={sort}&filter[profile_id]={seldom}"
        yield f"sort={sort}&filter[source]=shopify"
    yield "page[number]=600"
    yield f"filter[profile_id]={often}&filter[source]=sfcc"


@pytest.mark.parametrize("kind", TIMES)
def test_no_list_reads_a_big_table(kind: str, big: set[str], api: Caller) -> None:
    assert {f"profiles_{kind.removesuffix('s')}", "profiles_profile"} <= big
    faults = []
    for query in queries(kind):
        with CaptureQueriesContext(connection) as captured:
            response = api.get(f"/{kind}?{query}")
        assert response.status_code == 200, (query, response.content)
        for sql in [one["sql"] for one in captured]:
            if plans.only_reads(sql) and any(table in sql for table in big):
                faults += [f"{query}\n  {fault}:\n  {sql}" for fault in plans.Plan(sql, big).faults]

    assert not faults, "\n\n".join(faults)
