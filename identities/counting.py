"""Count what happened lately: figures for people who ask whether all is well. Read only.

Each question is one statement on an index, and every count in it stops at a limit, so that an answer costs the same
with a million rows as with ten (measured with 1.5 million identities, of which 30,000 came a day, a million log
entries and two million audits: 1 to 25 ms each).
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from identities.models import Extension, Handle, RoutingLogEntry
from profiles import duplicates
from profiles.models import Profile, Transaction

# What people read as "so many or more".
MOST_COUNTED = 10_000

# As many as the list of pairs shows: for each it has to be asked whether it is offered.
MOST_PAIRS = 1_000

# Per day of a chart, which has up to thirty. A day of a big import would flatten all others anyway.
MOST_PER_DAY = 5_000

# Identities of one profile. Past that, the exact number makes no difference to whoever looks into it.
MOST_HELD = 1_000

# Where profiles with many identities are looked for: the newest identities, and this many candidates of each source.
NEWEST = 10_000
CANDIDATES = 20

TAKEN, REFUSED = RoutingLogEntry.Outcome.IDENTITY_TAKEN, RoutingLogEntry.Outcome.REFUSED


@dataclass(frozen=True, slots=True)
class Count:
    """A number that was counted up to a limit: exact, or "so many or more" when it `is_capped`."""

    value: int
    is_capped: bool = False

    @classmethod
    def up_to(cls, most: int, counted: int) -> Count:
        """What a statement found that stopped at `most` + 1."""
        return cls(min(counted, most), counted > most)

    @classmethod
    def total(cls, counts: Iterable[Count]) -> Count:
        counts = list(counts)
        return cls(sum(count.value for count in counts), any(count.is_capped for count in counts))


@dataclass(frozen=True, slots=True)
class Health:
    """How an extension is doing: when a token of its was last used, what it wrote, what was refused and is open."""

    last_used_at: datetime.datetime | None
    writes: Count
    refused: Count
    taken: Count
    claims: Sequence[str] = ()


# ruff: noqa: S608 - the statements below are put together from constants only
def _counted(table: str, where: str) -> str:
    """A subquery that counts rows up to a limit, which is its last parameter."""
    return f"(SELECT count(*) FROM (SELECT 1 FROM {table} AS counted WHERE {where} LIMIT %s) AS bounded)"


def anonymous_transactions() -> Count:
    """How many transactions are nobody's."""
    few = Transaction.objects.anonymous().order_by().values("pk")[: MOST_COUNTED + 1]
    return Count.up_to(MOST_COUNTED, few.count())


def open_duplicates() -> Count:
    """How many pairs of profiles the queue of duplicates offers."""
    return Count.up_to(MOST_PAIRS, duplicates.offered().values("pk")[: MOST_PAIRS + 1].count())


def open_entries() -> dict[str, Count]:
    """How many entries of the routing log are open, by outcome; each of them has its key."""
    counted = _counted(
        "identities_routinglogentry", "counted.review_status = 'open' AND counted.outcome = asked.outcome"
    )
    rows = _rows(
        f"SELECT asked.outcome, {counted} FROM unnest(%s::text[]) AS asked (outcome)",
        [MOST_COUNTED + 1, RoutingLogEntry.Outcome.values],
    )
    return {outcome: Count.up_to(MOST_COUNTED, number) for outcome, number in rows}


def refusals(extension: Extension) -> list[tuple[str, str, Count]]:
    """What an extension sent that was refused and is open: outcome, reason code and how many, most first.

    Counted among the first ten thousand of each outcome; past that each number is a part of more.
    """
    found: list[tuple[str, str, Count]] = []
    for outcome in (TAKEN, REFUSED):
        rows = _rows(
            """
            SELECT code, count(*), sum(count(*)) OVER () FROM (
                SELECT code FROM identities_routinglogentry
                WHERE review_status = 'open' AND outcome = %s AND source = %s LIMIT %s
            ) AS bounded
            GROUP BY code
            """,
            [outcome, extension.pk, MOST_COUNTED + 1],
        )
        found += [
            (outcome, code, Count(min(number, MOST_COUNTED), every > MOST_COUNTED)) for code, number, every in rows
        ]
    return sorted(found, key=lambda row: (-row[2].value, row[:2]))


def identities_per_day(midnights: Sequence[datetime.datetime]) -> list[Count]:
    """How many identities arrived between each of these moments and the next."""
    return _per_day("identities_identity", "true", midnights, [])


def entries_per_day(midnights: Sequence[datetime.datetime]) -> list[Count]:
    """How many entries the routing log got between each of these moments and the next."""
    return _per_day("identities_routinglogentry", "true", midnights, [])


def writes_per_day(extension: Extension, midnights: Sequence[datetime.datetime]) -> list[Count]:
    """How many changes the extension's account made, by the audit, between each of these moments and the next."""
    return _per_day("profiles_audit", "counted.by_id = %s", midnights, [extension.service_account_id])


def _per_day(table: str, where: str, midnights: Sequence[datetime.datetime], values: list[Any]) -> list[Count]:
    counted = _counted(table, f"{where} AND counted.created_at >= day.since AND counted.created_at < day.until")
    rows = _rows(
        f"""
        SELECT {counted}
        FROM unnest(%s::timestamptz[], %s::timestamptz[]) WITH ORDINALITY AS day (since, until, position)
        ORDER BY day.position
        """,
        [*values, MOST_PER_DAY + 1, list(midnights[:-1]), list(midnights[1:])],
    )
    return [Count.up_to(MOST_PER_DAY, number) for (number,) in rows]


def biggest_profiles(most: int) -> list[tuple[Profile, Count]]:
    """Profiles with many identities (contact points, too), most first, and how many they hold now.

    No profile keeps a number, and counting for each would read every identity. PostgreSQL's statistics know which
    profiles stand out, from a sample that is taken anew as the table grows; the newest identities know which profile
    is being filled right now. Who is in neither is missed: that cannot be one that holds a noticeable share of all.
    """
    held = _counted("identities_identity", "counted.profile_id = candidate.profile_id")
    rows = _rows(
        f"""
        WITH frequent AS (
            SELECT common.profile_id FROM pg_stats, unnest(most_common_vals::text::uuid[])
                WITH ORDINALITY AS common (profile_id, position)
            WHERE schemaname = current_schema() AND tablename = 'identities_identity' AND attname = 'profile_id'
            ORDER BY common.position LIMIT {CANDIDATES}
        ), filled AS (
            SELECT newest.profile_id FROM (
                SELECT profile_id FROM identities_identity ORDER BY id DESC LIMIT {NEWEST}
            ) AS newest
            GROUP BY newest.profile_id ORDER BY count(*) DESC, newest.profile_id LIMIT {CANDIDATES}
        ), held AS (
            SELECT candidate.profile_id, {held} AS held
            FROM (SELECT profile_id FROM frequent UNION SELECT profile_id FROM filled) AS candidate
        )
        SELECT profile_id, held FROM held WHERE held > 0 ORDER BY held DESC, profile_id LIMIT %s
        """,
        [MOST_HELD + 1, most],
    )
    numbers: dict[uuid.UUID, int] = dict(rows)
    profiles = Profile.objects.in_bulk(numbers)
    return [(profiles[pk], Count.up_to(MOST_HELD, number)) for pk, number in numbers.items() if pk in profiles]


def health(extensions: Collection[Extension], *, since: datetime.datetime) -> dict[str, Health]:
    """How each of these extensions is doing, by slug; writes are counted from `since`. Two statements for them all."""
    slugs = [extension.pk for extension in extensions]
    claims: dict[str, list[str]] = {}
    for handle, slug in Handle.objects.filter(reserved_for__in=slugs).order_by("pk").values_list("pk", "reserved_for"):
        claims.setdefault(str(slug), []).append(handle)
    written = _counted("profiles_audit", "counted.by_id = extension.service_account_id AND counted.created_at >= %s")
    opened = _counted(
        "identities_routinglogentry",
        "counted.review_status = 'open' AND counted.source = extension.slug AND counted.outcome = %s",
    )
    rows = _rows(
        f"""
        SELECT extension.slug, (
            SELECT max(token.last_used_at) FROM identities_apitoken AS token WHERE token.extension_id = extension.slug
        ), {written}, {opened}, {opened}
        FROM identities_extension AS extension WHERE extension.slug = ANY(%s)
        """,
        [since, MOST_COUNTED + 1, REFUSED, MOST_COUNTED + 1, TAKEN, MOST_COUNTED + 1, slugs],
    )
    return {
        slug: Health(
            last_used_at,
            writes=Count.up_to(MOST_COUNTED, writes),
            refused=Count.up_to(MOST_COUNTED, refused),
            taken=Count.up_to(MOST_COUNTED, taken),
            claims=claims.get(slug, ()),
        )
        for slug, last_used_at, writes, refused, taken in rows
    }


def _rows(statement: str, values: Sequence[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())
