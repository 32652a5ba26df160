"""What goes home when a merge is undone, and what stays: told from what brought each row (API.md 5)."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from identities.models import Identity
from profiles.merging.rows import MOVES, Table, execute, fetched, tables
from profiles.models import Merge, Move

# ruff: noqa: S608 - the statements are put together from names of tables and columns of ours

ARRIVALS = ", ".join(f"'{cause}'" for cause in Move.ARRIVALS)


@dataclass(slots=True)
class Leaving:
    """What goes home when a merge is undone: from `root`, where it is today, to the duplicate.

    `side` are the duplicate and all beneath it. `brought` are the identities of that side, with those which came to
    it since and those that have been moved away: what one of them brought is of that side (API.md 5). `home` are
    those of them which go home.
    """

    merge: Merge
    root: uuid.UUID
    side: list[uuid.UUID]
    brought: list[int] = field(default_factory=list)
    home: list[int] = field(default_factory=list)

    @classmethod
    def read(cls, merge: Merge, *, root: uuid.UUID, side: list[uuid.UUID]) -> Leaving:
        """Find out which identities go home. Two statements."""
        leaving = cls(merge, root, side)
        leaving.brought = [key for (key,) in fetched(_BROUGHT, leaving.asked)]
        sql = f"""
            SELECT row.id FROM identities_identity AS row
            WHERE row.profile_id = %(root)s AND row.id = ANY(%(brought)s) AND NOT {_moved_since("identity")}
            ORDER BY row.id
        """
        leaving.home = [key for (key,) in fetched(sql, leaving.asked)]
        return leaving

    @property
    def asked(self) -> dict[str, Any]:
        marks = self.merge.marks
        return {
            "merge": self.merge.pk,
            "root": self.root,
            "home_id": self.merge.duplicate_id,
            "side": self.side,
            "brought": self.brought,
            "home": self.home,
            **{f"{kind}_mark": mark for kind, mark in marks.items()},
        }


def _taken(table: str, key_type: str = "bigint") -> str:
    return f"""(
        SELECT unnest(keys)::{key_type} FROM profiles_takenrows WHERE merge_id = %(merge)s AND "table" = '{table}'
    )"""


def _moved(kind: str, key: str, more: str = "") -> str:
    """Whether somebody has moved a row since the merge; one that was moved back counts as not moved."""
    return f"""EXISTS (
        SELECT FROM {MOVES} AS move
        WHERE move.subject_type = '{kind}' AND move.subject_key = ({key})::text AND move.id > %(move_mark)s
          AND move.undone_at IS NULL AND move.cause NOT IN ({ARRIVALS}) {more}
    )"""


def _moved_since(kind: str) -> str:
    return _moved(kind, "row.id")


def _came_since(kind: str) -> str:
    """Whether a row came to its profile after the merge: by its key, or because a deleted profile or nobody had it."""
    return f"""(row.id > %({kind}_mark)s OR EXISTS (
        SELECT FROM {MOVES} AS move
        WHERE move.subject_type = '{kind}' AND move.subject_key = row.id::text AND move.id > %(move_mark)s
          AND move.cause IN ({ARRIVALS})
    ))"""


# By what brought an identity as that stood when it came, else by the id that was addressed.
_BROUGHT = f"""
    WITH RECURSIVE came AS (
        SELECT row.id, row.brought_by_key, row.addressed, row.created_at FROM identities_identity AS row
        WHERE row.id IN (
            -- Both by their index; "or" between them would read every identity that there is.
            SELECT held.id FROM identities_identity AS held WHERE held.profile_id = %(root)s
            UNION ALL
            SELECT subject_key::bigint FROM {MOVES}
            WHERE from_profile_id = %(root)s AND subject_type = 'identity' AND id > %(move_mark)s
        ) AND {_came_since("identity")}
    ), brought AS (
        (
            SELECT key AS id FROM {_taken(Identity._meta.db_table)} AS taken (key)
            UNION
            SELECT came.id FROM came WHERE came.brought_by_key IS NULL AND came.addressed = ANY(%(side)s)
            UNION
            SELECT key FROM identities_deletedidentity
            WHERE brought_by_key IS NULL AND addressed = ANY(%(side)s) AND key > %(identity_mark)s
        )
        UNION
        SELECT next.id
        FROM brought, LATERAL (
            SELECT came.id, came.created_at FROM came WHERE came.brought_by_key = brought.id
            UNION ALL
            SELECT key, created_at FROM identities_deletedidentity
            WHERE brought_by_key = brought.id AND key > %(identity_mark)s
        ) AS next
        WHERE NOT {_moved("identity", "brought.id", "AND move.at <= next.created_at")}
    )
    SELECT id FROM brought ORDER BY id
"""


def _by_what_brought(kind: str) -> str:
    return f"""(
        {_came_since(kind)} AND CASE
            WHEN row.brought_by_key IS NOT NULL THEN row.brought_by_key = ANY(%(brought)s)
                AND NOT {_moved("identity", "row.brought_by_key", "AND move.at <= row.created_at")}
            ELSE row.addressed = ANY(%(side)s)
        END
    )"""


def _goes_home(table: Table) -> str:
    """The condition under which a row of the root, alias `row`, goes home."""
    of_root = f"row.{table.owner} = %(root)s"
    if table.model is Identity:
        return f"{of_root} AND row.id = ANY(%(home)s)"
    was_taken = f"row.{table.key} IN {_taken(table.name, table.key_type)}"
    if not table.is_tagged:
        return f"{of_root} AND {was_taken}"
    return f"{of_root} AND ({was_taken} OR {_by_what_brought(table.kind)}) AND NOT {_moved_since(table.kind)}"


# Custom attributes that came since: where the duplicate has one of that name, its own is the one that it keeps.
_ATTRIBUTES_HOME = f"""
    row.profile_id = %(root)s AND {_by_what_brought("custom_attribute")} AND NOT EXISTS (
        SELECT FROM profiles_customattribute AS kept
        WHERE kept.profile_id = %(home_id)s AND kept.namespace = row.namespace AND kept.handle = row.handle
    )
"""


@dataclass(slots=True)
class Tally:
    """How many rows of one kind an undo takes home, how many of those came after the merge, and what it leaves: rows
    that were moved or split off since, and such as are deleted."""

    home: int = 0
    since: int = 0
    moved: int = 0
    deleted: int = 0


def tally(leaving: Leaving) -> dict[str, Tally]:
    """What an undo would do with the rows of each kind. One statement per table."""
    found = {}
    for table in tables():
        taken = _taken(table.name, table.key_type)
        tagged = _moved_since(table.kind) if table.is_tagged else "false"
        sql = f"""
            SELECT home.count, home.since, kept.elsewhere, kept.deleted
            FROM (
                SELECT count(*), count(*) FILTER (WHERE row.{table.key} NOT IN {taken}) AS since
                FROM {table.name} AS row WHERE {_goes_home(table)}
            ) AS home, (
                SELECT count(*) FILTER (
                        WHERE row.{table.key} IS NOT NULL AND (row.{table.owner} IS DISTINCT FROM %(root)s OR {tagged})
                    ) AS elsewhere,
                    count(*) FILTER (WHERE row.{table.key} IS NULL) AS deleted
                FROM {taken} AS taken (key) LEFT JOIN {table.name} AS row ON row.{table.key} = taken.key
            ) AS kept
        """
        tally = Tally(*fetched(sql, leaving.asked)[0])
        if any((tally.home, tally.moved, tally.deleted)):
            found[table.kind] = tally
    return found


def send_home(
    leaving: Leaving, tallies: Mapping[str, Tally], outer: Collection[Merge], *, at: datetime.datetime
) -> None:
    """Give the duplicate what goes home, and strike that from what the merges above have taken.

    In: the tallies, which hold as long as the profiles are locked. Two statements at most for each kind that has any.
    """
    asked = {**leaving.asked, "at": at, "outer": [merge.pk for merge in outer]}
    for table in tables():
        if table.kind not in tallies or not tallies[table.kind].home:
            continue
        more = ""
        if table.model is Identity:
            # What came since may have been taken along by merges above, from a profile that is no part of it.
            was_there = f"row.id IN {_taken(table.name)} OR row.merged_from_id = ANY(%(side)s)"
            from_beneath = f"CASE WHEN {was_there} THEN row.merged_from_id END"
            more = f", is_primary = false, merged_from_id = nullif({from_beneath}, %(home_id)s)"
        execute(
            f"""
            UPDATE {table.name} AS row SET {table.owner} = %(home_id)s {table.touch} {more}
            WHERE {_goes_home(table)}
            """,
            asked,
        )
        if outer:
            execute(
                f"""
                UPDATE profiles_takenrows SET keys = kept.keys, pairs = kept.pairs FROM (
                    SELECT taken.id, coalesce(array_agg(key ORDER BY position) FILTER (WHERE stays), '{{}}') AS keys,
                        coalesce(
                            jsonb_agg(taken.pairs -> (position - 1)::int ORDER BY position) FILTER (
                                WHERE stays AND jsonb_array_length(taken.pairs) > 0
                            ), '[]'
                        ) AS pairs
                    FROM profiles_takenrows AS taken,
                    LATERAL unnest(taken.keys) WITH ORDINALITY AS one (key, position),
                    LATERAL (SELECT NOT EXISTS (
                        SELECT FROM {table.name} AS row
                        WHERE row.{table.key} = key::{table.key_type} AND row.{table.owner} = %(home_id)s
                    ) AS stays) AS tested
                    WHERE taken.merge_id = ANY(%(outer)s) AND taken."table" = '{table.name}'
                    GROUP BY taken.id
                ) AS kept
                WHERE profiles_takenrows.id = kept.id
                """,
                asked,
            )


def send_attributes_home(leaving: Leaving, *, at: datetime.datetime) -> None:
    """Give the duplicate the custom attributes that came since by what is its own. To be called when the survivor's
    copies of those that it took over are gone."""
    execute(
        f"UPDATE profiles_customattribute AS row SET profile_id = %(home_id)s, updated_at = %(at)s "
        f"WHERE {_ATTRIBUTES_HOME}",
        {**leaving.asked, "at": at},
    )


def left(leaving: Leaving, tallies: Mapping[str, Tally], *, most: int) -> list[dict[str, Any]]:
    """Some of the rows that an undo leaves where they are, with why, for the person to look at. One statement for each
    kind of which the tallies count any."""
    found: list[dict[str, Any]] = []
    for table in tables():
        kept = tallies.get(table.kind, Tally())
        if not table.is_tagged or not (kept.moved or kept.deleted):
            continue
        sql = f"""
            SELECT key, row.{table.owner}, row.id IS NULL FROM {_taken(table.name)} AS taken (key)
            LEFT JOIN {table.name} AS row ON row.id = taken.key
            WHERE row.id IS NULL OR row.{table.owner} IS DISTINCT FROM %(root)s OR {_moved_since(table.kind)}
            ORDER BY key LIMIT {most}
        """
        for key, owner, is_gone in fetched(sql, leaving.asked):
            why = "deleted" if is_gone else "moved"
            found.append({"kind": table.kind, "id": key, "why": why, "profile_id": str(owner) if owner else None})
    return found[:most]
