"""Let the queue of duplicates follow merges and undos: for whom its pairs stand today, and what has become of them."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from profiles.auditing import By
from profiles.merging.rows import fetched
from profiles.models import Profile


def follow_merge(
    survivor_id: uuid.UUID, duplicate_ids: Collection[uuid.UUID], *, by: By, at: datetime.datetime
) -> list[int]:
    """Let the rows of profiles that were just merged stand for the survivor. One statement, however many rows.

    Rows whose two have become one are `merged`, whatever they were. Returns the keys of these. Called by merging
    within its transaction, which holds the profiles' locks.
    """
    return _keys(
        """
        WITH held AS (
            SELECT id,
                CASE WHEN low_id = ANY(%(duplicates)s) THEN %(survivor)s ELSE low_id END AS one,
                CASE WHEN high_id = ANY(%(duplicates)s) THEN %(survivor)s ELSE high_id END AS other
            FROM profiles_duplicatepair
            WHERE low_id = ANY(%(duplicates)s) OR high_id = ANY(%(duplicates)s)
            ORDER BY first_id, second_id
            FOR NO KEY UPDATE
        ), followed AS (
            UPDATE profiles_duplicatepair AS pair
            SET low_id = least(one, other),
                high_id = greatest(one, other),
                status = CASE WHEN one = other THEN 'merged' ELSE status END,
                by_id = CASE WHEN one = other AND status <> 'merged' THEN %(by)s ELSE by_id END,
                at = CASE WHEN one = other AND status <> 'merged' THEN %(at)s ELSE at END
            FROM held
            WHERE pair.id = held.id
            RETURNING pair.id, pair.status, pair.at
        )
        SELECT id FROM followed WHERE status = 'merged' AND at = %(at)s ORDER BY id
        """,
        {"survivor": survivor_id, "duplicates": list(duplicate_ids), "by": by.user.pk, "at": at},
    )


def follow_undo(
    duplicate_id: uuid.UUID,
    subtree_ids: Collection[uuid.UUID],
    survivor_id: uuid.UUID,
    *,
    by: By,
    at: datetime.datetime,
) -> list[int]:
    """Let the rows of profiles that a merge had brought away stand for them again. Two statements.

    In: the duplicate, all profiles beneath it, and the survivor as the merge named it, which may be part of another
    by now. Every row between the two sides that was `merged` is `dismissed` from now on, whatever it was before the
    merge: somebody has just said that these sides are two. So is the row of the two of the merge, which is made if
    there is none. Others keep their status. Returns the keys of the rows that parted. Called by merging within its
    transaction, which holds the profiles' locks, once `merged_into` is what the undo makes it.
    """
    root = Profile.objects.surviving(survivor_id).pk
    names = {
        "duplicate": duplicate_id,
        "side": list({duplicate_id, *subtree_ids}),
        "root": root,
        "by": by.user.pk,
        "at": at,
    }
    parted = _keys(
        """
        WITH held AS (
            SELECT id,
                CASE
                    WHEN first_id = ANY(%(side)s) THEN %(duplicate)s
                    WHEN low_id = %(root)s THEN high_id
                    ELSE low_id
                END AS one,
                CASE
                    WHEN second_id = ANY(%(side)s) THEN %(duplicate)s
                    WHEN low_id = %(root)s THEN high_id
                    ELSE low_id
                END AS other
            FROM profiles_duplicatepair
            WHERE first_id = ANY(%(side)s) OR second_id = ANY(%(side)s)
            ORDER BY first_id, second_id
            FOR NO KEY UPDATE
        ), followed AS (
            UPDATE profiles_duplicatepair AS pair
            SET low_id = least(one, other),
                high_id = greatest(one, other),
                status = CASE WHEN status = 'merged' AND one <> other THEN 'dismissed' ELSE status END,
                by_id = CASE WHEN status = 'merged' AND one <> other THEN %(by)s ELSE by_id END,
                at = CASE WHEN status = 'merged' AND one <> other THEN %(at)s ELSE at END
            FROM held
            WHERE pair.id = held.id
            RETURNING pair.id, pair.status, pair.at
        )
        SELECT id FROM followed WHERE status = 'dismissed' AND at = %(at)s ORDER BY id
        """,
        names,
    )
    first, second = sorted((duplicate_id, survivor_id))
    low, high = sorted((duplicate_id, root))
    made = _keys(
        """
        INSERT INTO profiles_duplicatepair AS pair (
            first_id, second_id, low_id, high_id, evidence, score, status, by_id, at, note, created_at, updated_at
        )
        VALUES (
            %(first)s, %(second)s, %(low)s, %(high)s, '{}', 0, 'dismissed', %(by)s, %(at)s, '', %(at)s, %(at)s
        )
        ON CONFLICT (first_id, second_id) DO UPDATE SET status = 'dismissed', by_id = %(by)s, at = %(at)s
        RETURNING id
        """,
        {**names, "first": first, "second": second, "low": low, "high": high},
    )
    return sorted({*parted, *made})


def _keys(sql: str, names: Mapping[str, Any]) -> list[int]:
    return [pk for (pk,) in fetched(sql, dict(names))]
