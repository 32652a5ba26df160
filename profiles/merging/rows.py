"""Give the rows of a profile another owner, set-wise: a hundred thousand are one statement, and pass no process.

Which tables take part is what the models declare (`profiles.models.policy`). Both sides must be locked.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, models

from identities.models import Identity
from profiles.auditing import By
from profiles.models import RECORDS, Audit, CustomAttribute, Merge, Move, Profile, TakenRows
from profiles.models.policy import moving

# ruff: noqa: S608 - the statements are put together from names of tables and columns of ours

MOVES = Move._meta.db_table

# The word for a row of each table in moves, logs and answers.
KINDS: dict[type[models.Model], str] = {Identity: "identity", **{model: kind for kind, model in RECORDS.items()}}


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows go with their profile."""

    model: type[models.Model]
    field: str

    @property
    def name(self) -> str:
        return self.model._meta.db_table

    @property
    def owner(self) -> str:
        return f"{self.field}_id"

    @property
    def key(self) -> str:
        return str(self.model._meta.pk.column)

    @property
    def key_type(self) -> str:
        return str(self.model._meta.pk.rel_db_type(connection))

    @property
    def kind(self) -> str:
        return KINDS.get(self.model) or str(self.model._meta.model_name)

    @property
    def is_tagged(self) -> bool:
        """Whether its rows say what brought them, so that those which came later can go home."""
        return self.model in KINDS

    @property
    def touch(self) -> str:
        names = {one.name for one in self.model._meta.local_fields}
        return ", updated_at = %(at)s" if "updated_at" in names else ""


def tables() -> list[Table]:
    return [Table(model, name) for model, name in moving(Profile)]


def count(profile_ids: Collection[uuid.UUID]) -> dict[str, dict[uuid.UUID, int]]:
    """How many rows of each kind each of these profiles has. One statement."""
    parts = [
        f"""
            SELECT '{table.kind}', {table.owner}, count(*) FROM {table.name}
            WHERE {table.owner} = ANY(%(ids)s) GROUP BY {table.owner}
        """
        for table in tables()
    ]
    found: dict[str, dict[uuid.UUID, int]] = {}
    for kind, owner, number in fetched(" UNION ALL ".join(parts), {"ids": list(profile_ids)}):
        found.setdefault(kind, {})[owner] = number
    return found


def marks() -> dict[str, int]:
    """The highest key of each table whose rows may come later, of the moves and of the audit. One statement."""
    named = {table.kind: table.name for table in tables() if table.is_tagged}
    named |= {"custom_attribute": CustomAttribute._meta.db_table, "move": MOVES, "audit": Audit._meta.db_table}
    columns = ", ".join(f"(SELECT coalesce(max(id), 0) FROM {name})" for name in named.values())
    return dict(zip(named, fetched(f"SELECT {columns}", {})[0], strict=True))


def take(merges: Sequence[Merge], kinds: Collection[str], *, at: datetime.datetime) -> None:
    """Move all that the duplicates of these merges have to their one survivor, and note the keys. One statement for
    each kind that they have any of, as `count` has told since they were locked."""
    asked = {
        "survivor": merges[0].survivor_id,
        "duplicates": [merge.duplicate_id for merge in merges],
        "merges": [merge.pk for merge in merges],
        "at": at,
    }
    for table in tables():
        if table.kind not in kinds:
            continue
        more, pairs = "", "'[]'::jsonb"
        if table.model is Identity:
            more = ", is_primary = false, merged_from_id = coalesce(taken.merged_from_id, former.owner)"
            pairs = "jsonb_agg(jsonb_build_array(moved.handle, moved.identifier) ORDER BY moved.key)"
        returned = ", taken.handle, taken.identifier" if table.model is Identity else ""
        execute(
            f"""
            WITH former AS (
                SELECT {table.key} AS key, {table.owner} AS owner FROM {table.name}
                WHERE {table.owner} = ANY(%(duplicates)s)
            ), moved AS (
                UPDATE {table.name} AS taken SET {table.owner} = %(survivor)s {table.touch} {more}
                FROM former WHERE taken.{table.key} = former.key
                RETURNING former.key, former.owner {returned}
            )
            INSERT INTO profiles_takenrows (merge_id, "table", keys, pairs)
            SELECT merge.id, '{table.name}', array_agg(moved.key::text ORDER BY moved.key), {pairs}
            FROM moved
            JOIN unnest(%(merges)s::bigint[], %(duplicates)s::uuid[]) AS merge (id, duplicate)
              ON merge.duplicate = moved.owner
            GROUP BY merge.id
            """,
            asked,
        )


def first_parting(merges: Iterable[Merge], one: int, other: int) -> Merge | None:
    """The first of these merges whose undo would part two identities: it has taken one of them, and not the other."""
    by_key = {merge.pk: merge for merge in merges}
    taken = TakenRows.objects.filter(merge__in=by_key, table=Identity._meta.db_table).order_by("merge")
    has = [taken.filter(keys__contains=[str(key)]).values_list("merge", flat=True) for key in (one, other)]
    parting = sorted(set(has[0]) ^ set(has[1]))
    return by_key[parting[0]] if parting else None


def count_brought(profile_id: uuid.UUID, identity_ids: Sequence[int]) -> dict[str, int]:
    """How many records of each kind on this profile these identities have brought. One statement."""
    parts = [
        f"""
            SELECT '{table.kind}', count(*) FROM {table.name}
            WHERE {table.owner} = %(profile)s AND brought_by_id = ANY(%(identities)s)
        """
        for table in tables()
        if table.model in RECORDS.values()
    ]
    asked = {"profile": profile_id, "identities": list(identity_ids)}
    return {kind: number for kind, number in fetched(" UNION ALL ".join(parts), asked) if number}


def split_off(
    former_id: uuid.UUID,
    profile_id: uuid.UUID,
    identity_ids: Sequence[int],
    *,
    reason: str,
    by: By,
    at: datetime.datetime,
) -> None:
    """Give another profile the records, and custom attributes that it has not, which these identities have brought,
    each record with its move, which takes back the last one if that was the way here. One statement per table."""
    asked = {
        "former": former_id,
        "profile": profile_id,
        "identities": list(identity_ids),
        "by": by.user.pk,
        "reason": reason,
        "at": at,
    }
    for table in tables():
        if table.model not in RECORDS.values():
            continue
        execute(
            f"""
            WITH moved AS (
                UPDATE {table.name} AS row SET {table.owner} = %(profile)s {table.touch}
                WHERE {table.owner} = %(former)s AND brought_by_id = ANY(%(identities)s)
                RETURNING row.id
            ), last AS (
                SELECT DISTINCT ON (move.subject_key) move.id, move.from_profile_id, move.to_profile_id
                FROM moved JOIN {MOVES} AS move
                  ON move.subject_type = '{table.kind}' AND move.subject_key = moved.id::text
                WHERE move.undone_at IS NULL AND move.cause <> '{Move.Cause.ROUTED}'
                ORDER BY move.subject_key, move.id DESC
            ), back AS (
                UPDATE {MOVES} AS move SET undone_at = %(at)s FROM last
                WHERE move.id = last.id AND last.from_profile_id = %(profile)s AND last.to_profile_id = %(former)s
                RETURNING move.subject_key
            )
            INSERT INTO {MOVES} (
                subject_type, subject_key, handle, identifier, from_profile_id, to_profile_id, cause, by_id, at,
                reason, undone_at
            )
            SELECT '{table.kind}', id, '', '', %(former)s, %(profile)s, '{Move.Cause.SPLIT}', %(by)s, %(at)s,
                %(reason)s, CASE WHEN id::text IN (SELECT subject_key FROM back) THEN %(at)s END
            FROM moved ORDER BY id
            """,
            asked,
        )
    execute(
        """
        UPDATE profiles_customattribute AS row SET profile_id = %(profile)s, updated_at = %(at)s
        WHERE profile_id = %(former)s AND brought_by_id = ANY(%(identities)s) AND NOT EXISTS (
            SELECT FROM profiles_customattribute AS held
            WHERE held.profile_id = %(profile)s AND held.namespace = row.namespace AND held.handle = row.handle
        )
        """,
        asked,
    )


def execute(sql: str, asked: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, asked)


def fetched(sql: str, asked: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, asked)
        rows: Iterable[tuple[Any, ...]] = cursor.fetchall()
        return list(rows)
