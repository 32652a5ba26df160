"""Very many deliveries that wait: what is asked of them costs no more than of a few."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from profiles.admin.targets import MOST_COUNTED
from profiles.auditing import By
from profiles.models import Event, Profile, Target, Webhook
from profiles.reacting import outbox, sending, taking, tending

pytestmark = pytest.mark.django_db

MANY = 20_000

# Of one profile, all of them but the first with no time of their own; and of nobody, each due.
FILL = """
    INSERT INTO profiles_delivery (
        event_id, target_id, profile_id, webhook_id, message_id, trigger, body, retry_hourly, retry_daily, priority,
        state, tries, next_try_at, answer, error, created_at, waiting_since
    )
    SELECT %(event)s, %(target)s, CASE WHEN number %% 2 = 0 THEN %(profile)s::uuid END, NULL, number::text,
        'profile.updated', '{}', false, false, 0, 'waiting', 0,
        CASE WHEN number %% 2 = 1 OR number = 2 THEN now() END, '', '', now(), now()
    FROM generate_series(1, %(many)s) AS number
"""


@pytest.fixture
def many(ada: Profile, by: By) -> Target:
    target = Target.objects.create(url="https://hooks.example.com/")
    event = Event.objects.create(trigger="profile.updated", profile=ada, subject_type="profile")
    Webhook.objects.create(trigger="profile.updated", url=target.url, user=by.user)
    with connection.cursor() as cursor:
        cursor.execute(FILL, {"event": event.pk, "target": target.pk, "profile": ada.pk, "many": MANY})
        cursor.execute("ANALYZE profiles_delivery")
    return target


def read(sql: str, values: Any) -> int:
    """How many rows of deliveries a statement reads, wherever in it."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, BUFFERS OFF, FORMAT JSON) {sql}", values)
        ((answer,),) = cursor.fetchall()
    nodes = [(json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"]]
    rows = 0
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if node.get("Relation Name") == "profiles_delivery" and "Scan" in node["Node Type"]:
            removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
            rows += (node["Actual Rows"] + removed) * node["Actual Loops"]
    return int(rows)


def test_the_next_one_is_found_among_many(many: Target, ada: Profile) -> None:
    now = timezone.now()
    lease = now + datetime.timedelta(seconds=30)
    most = settings.DELIVERIES_PER_TARGET
    usual = {
        "target": many.pk,
        "now": now,
        "due": now,
        "is_look": False,
        "most": most,
        "lease": lease,
        "unmuted_at": None,
    }

    assert read(taking.TAKE, usual) < 50
    assert read(taking.TAKE, {**usual, "due": "infinity", "is_look": True, "most": 1}) < 50
    assert read(sending.DUE, {"now": now}) < 50
    assert read(taking.LET_NEXT, {"target": many.pk, "now": now, "profiles": [ada.pk]}) < 50


def test_one_more_is_put_behind_many(many: Target, ada: Profile) -> None:
    event = Event.objects.create(trigger="profile.updated", profile=ada, subject_type="profile")
    with CaptureQueriesContext(connection) as queries:
        outbox.put(event, "{}", url=many.url, webhook=Webhook.objects.get())
    (sql,) = [one["sql"] for one in queries if "INSERT INTO profiles_delivery" in one["sql"]]
    event.deliveries.all().delete()

    assert read(sql.replace("%", "%%"), []) < 50


def test_a_target_that_many_wait_for_costs_a_look_no_more(many: Target, by: By) -> None:
    tending.mute(many.pk, by=by)
    with CaptureQueriesContext(connection) as queries:
        assert taking.take(many.pk) is None
        sending.rouse()

    assert len([one for one in queries if "profiles_" in one["sql"]]) == 2
    assert MOST_COUNTED < MANY
