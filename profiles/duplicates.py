"""The queue of pairs of profiles that may be one person: what speaks for it, and what people decide (DESIGN 5).

A row is about two profiles as they were named, for ever; `low` and `high` are the two that these stand for today.
Whatever reads the queue goes by today's two, so that it never offers what has become one, and a decision is one about
today's two, so that it holds for all rows that stand for them. A row is `merged` as long as its two are one profile,
and only then; the database holds it to that.

Locks: profiles first, in key order, then rows in the order of (first, second), as merging does.
"""

from __future__ import annotations

import datetime
import itertools
import json
import math
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from psycopg.types.json import Jsonb

from identities.holding import settle
from profiles import auditing, events
from profiles.auditing import By
from profiles.evidence import KINDS, MOST_ENTRIES
from profiles.models import DuplicatePair, DuplicatePairQuerySet, Event, Profile
from profiles.refusing import Refused

OPEN, DISMISSED, MERGED = DuplicatePair.Status.OPEN, DuplicatePair.Status.DISMISSED, DuplicatePair.Status.MERGED

# So many profiles of one group are reviewed together, and so many pairs of theirs are looked at for others.
MOST_IN_GROUP = 50
MOST_LOOKED_AT = 2_000

# One statement writes so many pairs, whose profiles stay locked meanwhile.
MOST_AT_ONCE = 500

# Of more profiles than this that one write names, each is paired with the first alone: they still hang together, and
# a write of a thousand pairs does not make half a million rows.
MOST_EACH_WITH_EACH = 20


# Two profiles by their ids, in key order.
Two = tuple[uuid.UUID, uuid.UUID]


@dataclass(frozen=True, slots=True)
class Found:
    """Two profiles by the ids under which somebody met them, and the evidence that they are one person.

    The evidence is a JSON object by the words of `evidence.KINDS`.
    """

    one: uuid.UUID
    other: uuid.UUID
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Group:
    """Profiles that hang together by offered pairs, in key order; `is_cut` where there are more of them."""

    profile_ids: list[uuid.UUID]
    is_cut: bool = False


def each_with_each(profile_ids: Sequence[uuid.UUID], evidence: Mapping[str, Any]) -> list[Found]:
    """The pairs of profiles that one event named together; of very many, each with the first."""
    ids = list(dict.fromkeys(profile_ids))
    if len(ids) > MOST_EACH_WITH_EACH:
        return [Found(ids[0], other, evidence) for other in ids[1:]]
    return [Found(one, other, evidence) for one, other in itertools.combinations(ids, 2)]


def note(found: Iterable[Found], *, at: datetime.datetime | None = None) -> list[int]:
    """Keep what speaks for pairs of profiles being one person. Returns the keys of the rows that are new.

    A pair that has a row keeps it, and its status: its evidence is joined with the new, word by word, and scored
    again. Of log entries the newest stay. Pairs that are one profile already, or of which one is purged, are left out.
    Each portion of pairs has a transaction of its own, unless there is one around it: two statements, and a few more
    where profiles were merged. They stand in key order, so that two writers of the same pairs wait for each other.
    """
    in_order = _joined(found)
    made = []
    for start in range(0, len(in_order), MOST_AT_ONCE):
        made += settle(partial(_note, in_order[start : start + MOST_AT_ONCE], at or timezone.now()))
    return made


def note_held(found: Iterable[Found]) -> list[int]:
    """As `note`, for live profiles that the transaction around it holds: one statement, and no lock that is new."""
    rows = [(*pair, *pair, Jsonb(evidence)) for pair, evidence in _joined(found)]
    return _write(rows, timezone.now()) if rows else []


def _joined(found: Iterable[Found]) -> list[tuple[Two, dict[str, Any]]]:
    """What was found of each two profiles, in the order in which rows are locked."""
    evidence: dict[Two, dict[str, Any]] = {}
    for one in found:
        if one.one != one.other:
            evidence.setdefault(_in_order(one.one, one.other), {}).update(one.evidence)
    return sorted(evidence.items())


def _note(found: Sequence[tuple[Two, dict[str, Any]]], at: datetime.datetime) -> list[int]:
    roots = _held({pk for pair, _evidence in found for pk in pair})
    rows = []
    for (first, second), evidence in found:
        if first in roots and second in roots and roots[first] != roots[second]:
            rows.append((first, second, *_in_order(roots[first], roots[second]), Jsonb(evidence)))
    return _write(rows, at) if rows else []


# What both rows have seen, joined. Of the log entries of both, the newest.
_JOINED = """
    pair.evidence || EXCLUDED.evidence || CASE
        WHEN jsonb_exists(pair.evidence, 'conflict') AND jsonb_exists(EXCLUDED.evidence, 'conflict')
        THEN jsonb_build_object('conflict', (
            SELECT jsonb_agg(id ORDER BY id DESC) FROM (
                SELECT DISTINCT value::bigint AS id
                FROM jsonb_array_elements((pair.evidence -> 'conflict') || (EXCLUDED.evidence -> 'conflict'))
                ORDER BY id DESC LIMIT %(most_entries)s
            ) AS newest
        ))
        ELSE '{}'::jsonb
    END
"""


def _score(evidence: str) -> str:
    """SQL for the score of an evidence, by the rule of `evidence.KINDS`."""
    return f"""
        (
            SELECT round(1 - coalesce(exp(sum(ln(1 - coalesce(own, weight)))), 1), 4)
            FROM (
                SELECT kind.weight, ({evidence} -> kind.word ->> 'weight')::numeric AS own
                FROM unnest(%(words)s::text[], %(weights)s::numeric[]) AS kind (word, weight)
                WHERE jsonb_exists({evidence}, kind.word)
            ) AS seen
        )
    """  # noqa: S608 - the expressions below


def _weights() -> dict[str, list[str]]:
    return {"words": list(KINDS), "weights": [str(kind.weight) for kind in KINDS.values()]}


def _write(rows: Sequence[tuple[Any, ...]], at: datetime.datetime) -> list[int]:
    """Insert these rows, in their order, or join their evidence to that of the rows that are there."""
    names = ("first", "second", "low", "high", "evidence")
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO profiles_duplicatepair AS pair (
                first_id, second_id, low_id, high_id, evidence, score, status, note, created_at, updated_at
            )
            SELECT first, second, low, high, evidence, {_score("evidence")}, 'open', '', %(at)s, %(at)s
            FROM unnest(
                %(first)s::uuid[], %(second)s::uuid[], %(low)s::uuid[], %(high)s::uuid[], %(evidence)s::jsonb[]
            ) AS found (first, second, low, high, evidence)
            ORDER BY first, second
            ON CONFLICT (first_id, second_id) DO UPDATE SET
                evidence = {_JOINED}, score = {_score(f"({_JOINED})")}, updated_at = EXCLUDED.updated_at
            RETURNING id, xmax = 0, low_id, high_id, first_id, second_id, evidence, score, {_IS_TOLD}
            """,  # noqa: S608 - constants of this module
            {
                "at": at,
                "most_entries": MOST_ENTRIES,
                **_weights(),
                **{name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)},
            },
        )
        made = [row for row in cursor.fetchall() if row[1]]
    _tell([row for row in made if row[-1]], at)
    return [row[0] for row in made]


# Whether somebody is to hear of a new row: of two that nothing was known of, as the queue would have it.
_IS_TOLD = f"""
    '{events.DUPLICATE_DETECTED}' = ANY ({events.LISTENED}) AND NOT EXISTS (
        SELECT FROM profiles_duplicatepair AS known WHERE known.low_id = pair.low_id AND known.high_id = pair.high_id
    )
"""  # noqa: S608 - constants


def _tell(rows: Sequence[tuple[Any, ...]], at: datetime.datetime) -> None:
    """Record an event for each two profiles of these new rows, all in one statement."""
    told: dict[Two, Event] = {}
    for pk, _is_new, low, high, first, second, evidence, score, _is_told in rows:
        pair = DuplicatePair(
            id=pk,
            first_id=first,
            second_id=second,
            low_id=low,
            high_id=high,
            evidence=json.loads(evidence),
            score=score,
            created_at=at,
            updated_at=at,
        )
        event = events.made(
            events.DUPLICATE_DETECTED, "duplicate_pair", pk, profile_id=low, facts={"pair": document(pair)}
        )
        told.setdefault((low, high), event)
    events.write(list(told.values()))


def document(pair: DuplicatePair) -> dict[str, Any]:
    """A pair as GET /duplicates shows it, but for what is told of it in sentences, and by whom it was decided."""
    return {
        "id": pair.pk,
        "profile_ids": [str(pair.first_id), str(pair.second_id)],
        "survivor_ids": list(dict.fromkeys([str(pair.low_id), str(pair.high_id)])),
        "status": str(pair.status),
        "score": pair.score,
        "evidence": pair.evidence,
        "created_at": pair.created_at.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "last_seen_at": pair.updated_at.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S"),
    }


def forget(pair_ids: Collection[int], words: Collection[str], *, before: datetime.datetime) -> int:
    """Take evidence of these words off open rows that nobody has seen since; a row that nothing is left of is deleted.

    It was never decided, and a queue that says what no longer holds is not read. Returns how many rows that were.
    """

    def attempt() -> int:
        rows = DuplicatePair.objects.filter(pk__in=pair_ids, status=OPEN, updated_at__lt=before)
        held = list(rows.order_by("first", "second").select_for_update().values_list("pk", flat=True))
        left = "(evidence - %(forgotten)s::text[])"
        _execute(
            f"""
            UPDATE profiles_duplicatepair SET evidence = {left}, score = {_score(left)}
            WHERE id = ANY(%(ids)s) RETURNING id
            """,  # noqa: S608 - constants of this module
            {"forgotten": list(words), "ids": held, **_weights()},
        )
        DuplicatePair.objects.filter(pk__in=held, evidence={}).delete()
        return len(held)

    return settle(attempt)


def offered() -> DuplicatePairQuerySet:
    """What the queue shows, the likeliest first."""
    return DuplicatePair.objects.offered().order_by("-score", "-pk")


def duplicates_of(profile_id: uuid.UUID) -> DuplicatePairQuerySet:
    """The offered pairs of one profile, the likeliest first. It is literal: what is merged has none."""
    return offered().of(profile_id)


def group_of(pair: DuplicatePair) -> Group:
    """The two of a pair with all that hang together with them by offered pairs, since three are reviewed as one.

    One query for each step away from the pair, of which there are as many as profiles at most.
    """
    two = {pair.low_id, pair.high_id}
    known = set(two)
    while len(known) <= MOST_IN_GROUP:
        leading_on = offered().filter(pk__in=_touching(known)).exclude(low__in=known, high__in=known)
        # Each of these leads to somebody new, so that whatever the limit leaves out is found from there.
        ends = leading_on.order_by("low", "high").values_list("low", "high")[: MOST_IN_GROUP + 1]
        met = {pk for edge in ends for pk in edge} - known
        if not met:
            break
        known |= met
    nearest = sorted(known - two)[: MOST_IN_GROUP - 2]
    return Group(sorted({*two, *nearest}), is_cut=len(known) > MOST_IN_GROUP)


def _touching(profile_ids: Collection[uuid.UUID]) -> QuerySet[Any]:
    """Open rows of these profiles, by the index of either side: asked for both at once, the planner walks the queue.
    Of a profile that everybody is paired with, as many as a group needs."""
    rows = DuplicatePair.objects.filter(status=OPEN).order_by()
    low, high = (rows.filter(**{f"{side}__in": profile_ids}).values("pk")[:MOST_LOOKED_AT] for side in ("low", "high"))
    return low.union(high)


def is_dismissed(one: uuid.UUID, other: uuid.UUID) -> bool:
    """Whether a person has said of these two, or of the two that they stand for today, that they are two people.

    Raises Profile.DoesNotExist.
    """
    low, high = _in_order(Profile.objects.surviving(one).pk, Profile.objects.surviving(other).pk)
    return DuplicatePair.objects.filter(low=low, high=high, status=DISMISSED).exists()


def are_dismissed(profile_ids: Collection[uuid.UUID]) -> bool:
    """Whether a person has said of any two of these live profiles that they are two people. One query."""
    rows = DuplicatePair.objects.filter(low__in=profile_ids, high__in=profile_ids, status=DISMISSED)
    return rows.exists()


def are_all_dismissed(profile_ids: Collection[uuid.UUID]) -> bool:
    """Whether a person has said of each two of these live profiles that they are two people. One query."""
    rows = DuplicatePair.objects.filter(low__in=profile_ids, high__in=profile_ids, status=DISMISSED).order_by()
    pairs = set(rows.values_list("low", "high"))
    return len(pairs) == math.comb(len(set(profile_ids)), 2)


def dismiss(pair_id: int, *, note: str, by: By) -> DuplicatePair:
    """Say that the two of a pair are not the same person: they are never offered again by themselves.

    That holds for the two that they stand for today, so for all rows of these, and for that of these two themselves,
    which is made if there is none. Said again, it changes nothing. Raises DuplicatePair.DoesNotExist, and Refused
    `already_merged` with the `survivor_id` when they are one profile by now.
    """

    def attempt() -> DuplicatePair:
        pair = DuplicatePair.objects.get(pk=pair_id)
        _dismiss(*_two(pair.first_id, pair.second_id), note=note, by=by)
        return DuplicatePair.objects.get(pk=pair_id)

    return settle(attempt)


def dismiss_two(one: uuid.UUID, other: uuid.UUID, *, note: str, by: By) -> DuplicatePair:
    """Say of two profiles that they are not the same person, whether or not somebody thought so; as `dismiss`.

    Raises Profile.DoesNotExist, and Refused `same_profile` and `already_merged`.
    """

    def attempt() -> DuplicatePair:
        low, high = _two(one, other)
        _dismiss(low, high, note=note, by=by)
        return DuplicatePair.objects.get(first=low, second=high)

    return settle(attempt)


def reopen(pair_id: int, *, by: By) -> DuplicatePair:
    """Take a dismissal back, of all rows of the same two: they are offered again. Open ones stay as they are.

    Raises DuplicatePair.DoesNotExist, and Refused `already_merged`.
    """

    def attempt() -> DuplicatePair:
        pair = DuplicatePair.objects.get(pk=pair_id)
        rows = [row for row in _rows_of(*_two(pair.first_id, pair.second_id)) if row.status == DISMISSED]
        _decide(rows, OPEN, "reopened", note="", by=by)
        return DuplicatePair.objects.get(pk=pair_id)

    return settle(attempt)


def _dismiss(low: Profile, high: Profile, *, note: str, by: By) -> None:
    rows = _rows_of(low, high)
    changed = [row for row in rows if row.status == OPEN]
    if not any((row.first_id, row.second_id) == (low.pk, high.pk) for row in rows):
        changed.append(DuplicatePair(first=low, second=high, low=low, high=high))
    _decide(changed, DISMISSED, "dismissed", note=note, by=by)


def _rows_of(low: Profile, high: Profile) -> list[DuplicatePair]:
    rows = DuplicatePair.objects.filter(low=low, high=high).order_by("first", "second")
    return list(rows.select_for_update(no_key=True))


def _decide(rows: Sequence[DuplicatePair], status: str, event: str, *, note: str, by: By) -> None:
    """Give these rows a status; one without a key is made. Audited row by row."""
    now, audits = timezone.now(), []
    for row in rows:
        old = {} if row.pk is None else {"status": row.status, "note": row.note}
        row.status, row.note = status, note
        row.by, row.at = (None, None) if status == OPEN else (by.user, now)
        row.save()
        new = {"status": row.status, "note": row.note, "profile_ids": [str(row.first_id), str(row.second_id)]}
        audits.append(auditing.entry(event, row, by=by, profile=row.low, old=old, new=new))
    auditing.write(audits)


def _execute(sql: str, names: Mapping[str, Any]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(sql, names)
        return [pk for (pk,) in cursor.fetchall()]


def _in_order(one: uuid.UUID, other: uuid.UUID) -> Two:
    return (one, other) if one < other else (other, one)


def _held(ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
    """What each of these ids stands for today, so that no merge or undo can change it before the commit.

    Ids that are not there are left out. Locks the profiles, and hop by hop those that they were merged into; a chain
    leads out of the order of keys, and whoever deadlocks by that starts over.
    """
    held = Profile.objects.lock(set(ids))
    ahead = {row.merged_into_id for row in held.values() if row.merged_into_id is not None} - held.keys()
    while ahead:
        met = Profile.objects.lock(ahead)
        held |= met
        ahead = {row.merged_into_id for row in met.values() if row.merged_into_id is not None} - held.keys()

    def root(pk: uuid.UUID) -> uuid.UUID:
        while (above := held[pk].merged_into_id) is not None:
            pk = above
        return pk

    return {pk: root(pk) for pk in held}


def _two(one: uuid.UUID, other: uuid.UUID) -> tuple[Profile, Profile]:
    """The two profiles that these stand for today, held, in key order. Raises Refused, and Profile.DoesNotExist."""
    if one == other:
        raise Refused("same_profile", _("These are one and the same profile."))
    roots = _held([one, other])
    if one not in roots or other not in roots:
        raise Profile.DoesNotExist
    low, high = _in_order(roots[one], roots[other])
    if low == high:
        message = _("These two are one profile already. Undo the merge if they are two people.")
        raise Refused("already_merged", message, survivor_id=str(low))
    found = Profile.objects.in_bulk([low, high])
    return found[low], found[high]
