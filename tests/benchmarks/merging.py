"""A merge and its undo, against the bare changes of their rows; and those of a profile with 100,000 records."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
from django.contrib.auth.models import User
from django.utils import timezone

from profiles import merging
from profiles.auditing import By
from profiles.models import DuplicatePair, Merge
from tests.benchmarks import filling
from tests.benchmarks.bench import Bench
from tests.benchmarks.filling import Has
from tests.benchmarks.measuring import Figures, Table, at_most, say, timed
from tests.benchmarks.serving import HEADERS

ROUNDS = 20
WARM_UP = 3
REASON = "The same card."

SURVIVOR = Has.mixed(identities=10, records=100)
DUPLICATE = Has.mixed(identities=50, records=1_000)
BIG = Has.mixed(identities=10_000, records=100_000)

MOST_SECONDS = 60
# What the big one may hold in memory more than a small one did: the keys of identities, never a record.
MOST_MEGABYTES = 64

TABLES = (
    "identities_identity",
    "profiles_interaction",
    "profiles_point",
    "profiles_reward",
    "profiles_transaction",
)

Ids = tuple[uuid.UUID, uuid.UUID]


def run(table: Table, bench: Bench) -> None:
    """Each round merges three fresh pairs of profiles: by bare SQL, by the operation, and over HTTP."""
    table.part("Merge of 50 identities and 1,000 records")
    say("merging")
    spans = _rounds(bench)
    bare = table.add("the changed rows by bare SQL", Figures.of(spans["bare"]))
    merged = table.add("merge", Figures.of(spans["merge"]))
    undone = table.add("undo", Figures.of(spans["undo"]))
    table.add("merge over HTTP", Figures.of(spans["merge over HTTP"]))
    table.add("undo over HTTP", Figures.of(spans["undo over HTTP"]))
    table.times_as_long("merge to the bare rows", merged, bare, at_most(3))
    table.times_as_long("undo to merge", undone, merged, at_most(1.5))

    table.part("Merge of 10,000 identities and 100,000 records")
    say("merging a big one")
    big = _in_a_process_of_its_own(bench, pair(DUPLICATE), pair(BIG))
    table.holds("merge", big["merge"], "s", at_most(MOST_SECONDS))
    table.holds("undo", big["undo"], "s", at_most(MOST_SECONDS))
    table.holds("memory above that of a small one", big["megabytes"], "MB", at_most(MOST_MEGABYTES))


def pair(has: Has) -> Ids:
    """A survivor, and a duplicate that has this. Each lacks a field of the other, and the queue asks about them."""
    survivor = filling.profile(SURVIVOR, first_name="Ada", last_name="Lovelace", company="Babbage")
    duplicate = filling.profile(has, first_name="Ada", last_name="King", gender="female", tags=["vip"])
    now, (first, second) = timezone.now(), sorted((survivor.pk, duplicate.pk))
    DuplicatePair.objects.create(
        first_id=first, second_id=second, low_id=first, high_id=second, score=0.9, created_at=now, updated_at=now
    )
    return survivor.pk, duplicate.pk


def _rounds(bench: Bench) -> dict[str, list[float]]:
    """The seconds of each operation, round by round, each round with pairs of its own and in another order."""
    by, spans = somebody(), defaultdict[str, list[float]](list)
    with bench.product() as address, psycopg.connect(bench.url, autocommit=True) as bare:
        send = partial(_send, address, bench.token)
        for number in range(WARM_UP + ROUNDS):
            three = [pair(DUPLICATE) for _one in range(3)]
            asked: dict[str, Callable[[], object]] = {
                "bare": partial(bare_merge, bare, *three[0], user=by.user.pk),
                "merge": partial(merging.merge, three[1][0], [three[1][1]], reason=REASON, by=by),
                "merge over HTTP": partial(send, "profiles/merge", _ids(*three[2])),
            }
            done = {name: seconds_of(asked[name]) for name in sorted(asked, reverse=bool(number % 2))}
            keys = [Merge.objects.get(duplicate=duplicate).pk for _survivor, duplicate in three[1:]]
            done["undo"] = seconds_of(partial(merging.undo, keys[0], reason=REASON, by=by))
            done["undo over HTTP"] = seconds_of(partial(send, f"merges/{keys[1]}/undo", {"reason": REASON}))
            for name, seconds in done.items():
                if number >= WARM_UP:
                    spans[name].append(seconds)
    return spans


def bare_merge(connection: psycopg.Connection, survivor: uuid.UUID, duplicate: uuid.UUID, *, user: int) -> None:
    """Change the rows that a merge changes, by hand: nothing is locked, compared, previewed or refused."""
    asked: dict[str, Any] = {"survivor": survivor, "duplicate": duplicate, "user": user, "reason": REASON}
    with connection.transaction():
        ((merge,),) = connection.execute(_MERGE, asked)
        asked["merge"] = merge
        for name in TABLES:
            more = ", is_primary = false, merged_from_id = %(duplicate)s" if name == "identities_identity" else ""
            connection.execute(
                f"""
                WITH moved AS (
                    UPDATE {name} SET profile_id = %(survivor)s, updated_at = now() {more}
                    WHERE profile_id = %(duplicate)s RETURNING id
                )
                INSERT INTO profiles_takenrows (merge_id, "table", keys, pairs)
                SELECT %(merge)s, '{name}', array_agg(id::text), '[]' FROM moved
                """,
                asked,
            )
        for sql in (_SURVIVOR, _DUPLICATE, _QUEUE, _AUDIT):
            connection.execute(sql, asked)


_MERGE = """
    INSERT INTO profiles_merge (
        survivor_id, duplicate_id, cause, by_id, at, reason, fields, deactivated, closed, shown, marks,
        undo_reason, undo_report
    )
    VALUES (
        %(survivor)s, %(duplicate)s, 'asked', %(user)s, now(), %(reason)s, '{}', '{}', '{}', '{}', '{}', '', '{}'
    )
    RETURNING id
"""
_SURVIVOR = """
    UPDATE profiles_profile SET gender = 'female', tags = '{vip}', updated_at = now() WHERE id = %(survivor)s
"""
_DUPLICATE = """
    UPDATE profiles_profile SET merged_into_id = %(survivor)s, updated_at = now() WHERE id = %(duplicate)s
"""
_QUEUE = """
    UPDATE profiles_duplicatepair
    SET low_id = %(survivor)s, high_id = %(survivor)s, status = 'merged', by_id = %(user)s, at = now()
    WHERE low_id = least(%(survivor)s, %(duplicate)s) AND high_id = greatest(%(survivor)s, %(duplicate)s)
"""
_AUDIT = """
    INSERT INTO profiles_audit (
        by_id, event, auditable_type, auditable_key, profile_id, old_values, new_values, url, token_name, user_agent,
        created_at
    )
    VALUES
        (%(user)s, 'merged', 'profile', %(survivor)s, %(survivor)s, '{}', '{}', '', '', '', now()),
        (%(user)s, 'merged into', 'profile', %(duplicate)s, %(duplicate)s, '{}', '{}', '', '', '', now())
"""


def somebody() -> By:
    user, _created = User.objects.get_or_create(username="benchmark", defaults={"is_staff": True})
    return By(user)


def seconds_of(call: Callable[[], object]) -> float:
    return timed(call, times=1)[0]


def _ids(survivor: uuid.UUID, duplicate: uuid.UUID) -> dict[str, object]:
    return {"source_profile_id": str(duplicate), "destination_profile_id": str(survivor), "reason": REASON}


def _send(address: str, token: str, path: str, body: object) -> None:
    headers = {**HEADERS, "Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    asked = urllib.request.Request(f"{address}/api/v3/{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(asked) as answer:
        answer.read()


def _in_a_process_of_its_own(bench: Bench, small: Ids, big: Ids) -> dict[str, float]:
    """What a merge and its undo cost: the seconds of the big one, and how much more memory it had than the small."""
    command = [sys.executable, "-m", "tests.benchmarks.big_merge", *map(str, (*small, *big))]
    environment = {**os.environ, "DATABASE_URL": bench.url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    run = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    told: dict[str, float] = json.loads(run.stdout)
    return told
