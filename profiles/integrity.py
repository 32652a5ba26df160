"""What holds in the whole database between any two writes, whoever made them, as questions that find nothing.

Constraints of the database hold some of it, and are asked about all the same: a backup may have been restored by
hand. Each is one SQL statement over the tables, whose rows are those that break it: kind, key, and what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from identities.models import EMAIL, MOBILE_PHONE
from profiles.merging.rows import tables
from profiles.models import RECORDS, Record

# ruff: noqa: S608 - the statements are put together from names of tables and columns of ours

# How many rows that break one are named.
MOST_NAMED = 20

DecidedBy = Record.DecidedBy


@dataclass(frozen=True, slots=True)
class Invariant:
    """A sentence that holds, and the statement that finds what breaks it."""

    name: str
    sentence: str | Promise
    sql: str


@dataclass(frozen=True, slots=True)
class Broken:
    """An invariant that does not hold, and the first of the rows that break it: kind, key, what is wrong."""

    invariant: Invariant
    rows: list[tuple[str, str, str]]


def broken() -> Iterator[Broken]:
    """Ask for every invariant; gives those that do not hold. Reads only, a table at a time."""
    for invariant in invariants():
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT kind, key::text, wrong::text FROM ({invariant.sql}) AS found LIMIT {MOST_NAMED}")
            rows = cursor.fetchall()
        if rows:
            yield Broken(invariant, rows)


# Every profile with the live one that it stands for today; one whose chain goes round is not in it.
_ROOTS = """
    WITH RECURSIVE root AS (
        SELECT id, id AS root FROM profiles_profile WHERE merged_into_id IS NULL
        UNION ALL
        SELECT duplicate.id, root.root
        FROM profiles_profile AS duplicate JOIN root ON duplicate.merged_into_id = root.id
    )
"""


def invariants() -> list[Invariant]:
    """All of them, in the order in which one rests on another."""
    return [*_of_merges(), *_of_identities(), *_of_claims(), *_of_records(), *_of_the_queue()]


def _of_merges() -> Iterator[Invariant]:
    yield Invariant(
        "chains_end",
        _("Every merged profile leads to one that is not merged."),
        f"""
            {_ROOTS}
            SELECT 'profile' AS kind, profile.id AS key, 'its chain does not end' AS wrong
            FROM profiles_profile AS profile LEFT JOIN root USING (id) WHERE root.id IS NULL
        """,
    )
    yield Invariant(
        "merged_by_a_merge",
        _("A profile is merged into another exactly where a live merge says so."),
        """
            SELECT 'profile' AS kind, coalesce(profile.id, merge.duplicate_id) AS key,
                format('merged into %s, by its merge into %s', profile.merged_into_id, merge.survivor_id) AS wrong
            FROM (SELECT * FROM profiles_profile WHERE merged_into_id IS NOT NULL) AS profile
            FULL JOIN (SELECT * FROM profiles_merge WHERE undone_at IS NULL) AS merge
              ON merge.duplicate_id = profile.id
            WHERE merge.survivor_id IS DISTINCT FROM profile.merged_into_id
        """,
    )
    for table in tables():
        yield Invariant(
            f"no_{table.kind}_on_a_merged_profile",
            _("No row that moves with a merge is on a merged profile."),
            f"""
                SELECT '{table.kind}' AS kind, row.{table.key} AS key,
                    format('is on %s, which was merged', profile.id) AS wrong
                FROM profiles_profile AS profile JOIN {table.name} AS row ON row.{table.owner} = profile.id
                WHERE profile.merged_into_id IS NOT NULL
            """,
        )
    kinds = ", ".join(f"'{table.kind}'" for table in tables() if table.is_tagged)
    yield Invariant(
        "merges_can_be_undone",
        _("A live merge remembers what there was when it was made, and tells rows of tables that there are."),
        f"""
            SELECT 'merge' AS kind, merge.id AS key, 'it does not say what came since' AS wrong
            FROM profiles_merge AS merge
            WHERE merge.undone_at IS NULL AND NOT merge.marks ?& ARRAY[{kinds}, 'move', 'custom_attribute']
            UNION ALL
            SELECT 'merge', taken.merge_id, format('it took rows of %s', taken."table")
            FROM profiles_takenrows AS taken JOIN profiles_merge AS merge ON merge.id = taken.merge_id
            WHERE merge.undone_at IS NULL AND to_regclass(taken."table") IS NULL
        """,
    )
    yield Invariant(
        "fields_are_of_the_lineage",
        _("What a survivor has taken over is of a profile that is part of it."),
        f"""
            {_ROOTS}
            SELECT 'merge' AS kind, merge.id AS key, format('%s is of %s', field.name, field.entry ->> 'of') AS wrong
            FROM profiles_merge AS merge
            JOIN root AS survivor ON survivor.id = merge.survivor_id,
            LATERAL jsonb_each(merge.fields) AS field (name, entry)
            LEFT JOIN root AS owner ON owner.id = (field.entry ->> 'of')::uuid
            WHERE merge.undone_at IS NULL AND owner.root IS DISTINCT FROM survivor.root
        """,
    )


def _of_identities() -> Iterator[Invariant]:
    yield Invariant(
        "no_pair_twice",
        _("A pair names one profile."),
        """
            SELECT 'identity' AS kind, min(id) AS key, format('%s of %s', count(*), handle) AS wrong
            FROM identities_identity GROUP BY handle, identifier HAVING count(*) > 1
        """,
    )
    yield Invariant(
        "one_primary",
        _("A profile has one primary identity at most, and no contact point is it."),
        f"""
            SELECT 'profile' AS kind, profile_id AS key, 'several primary identities, or a contact point' AS wrong
            FROM identities_identity WHERE is_primary
            GROUP BY profile_id HAVING count(*) > 1 OR bool_or(handle IN ('{EMAIL}', '{MOBILE_PHONE}'))
        """,
    )
    for handle in (EMAIL, MOBILE_PHONE):
        yield Invariant(
            f"shown_{handle}_is_held",
            _("What a live profile shows as its contact point is a pair that it holds."),
            f"""
                SELECT 'profile' AS kind, profile.id AS key, 'it shows {handle} that it does not hold' AS wrong
                FROM profiles_profile AS profile
                WHERE profile.{handle} <> '' AND profile.merged_into_id IS NULL AND profile.profile_type <> 'deleted'
                  AND NOT EXISTS (
                    SELECT FROM identities_identity AS held
                    WHERE held.profile_id = profile.id AND held.handle = '{handle}'
                      AND profile.{handle} IN (held.identifier, btrim(normalize(held.original, NFC)))
                )
            """,
        )
    yield Invariant(
        "conflicts_are_conflicts",
        _("An identity that waits for a decision waits for that on a conflict."),
        """
            SELECT 'identity' AS kind, identity.id AS key, format('waits for entry %s', entry.id) AS wrong
            FROM identities_identity AS identity
            JOIN identities_routinglogentry AS entry ON entry.id = identity.conflict_id
            WHERE entry.outcome <> 'conflict'
        """,
    )


def _of_claims() -> Iterator[Invariant]:
    yield Invariant(
        "claims_follow_their_profiles",
        _("A claim stands for the profile that the one it was made for is today."),
        f"""
            {_ROOTS}
            SELECT 'identity_claim' AS kind, claim.id AS key, format('stands for %s', claim.profile_id) AS wrong
            FROM identities_identityclaim AS claim JOIN root ON root.id = claim.named_id
            WHERE root.root <> claim.profile_id
        """,
    )
    yield Invariant(
        "no_claim_of_what_is_held",
        _("A profile claims no pair that it holds."),
        """
            SELECT 'identity_claim' AS kind, claim.id AS key, format('is identity %s, too', held.id) AS wrong
            FROM identities_identityclaim AS claim
            JOIN identities_identity AS held USING (profile_id, handle, identifier)
        """,
    )


def _of_records() -> Iterator[Invariant]:
    by_pair = ", ".join(f"'{one}'" for one in (DecidedBy.IDENTITY, DecidedBy.CONTACT, DecidedBy.NEW))
    for kind, model in RECORDS.items():
        table = model._meta.db_table
        yield Invariant(
            f"{kind}_says_what_brought_it",
            _("A record says how it came to its profile, in full."),
            f"""
                SELECT '{kind}' AS kind, id AS key, format('decided by %s', decided_by) AS wrong FROM {table}
                WHERE (brought_by_handle <> '' AND brought_by_identifier <> '') <> (decided_by IN ({by_pair}))
                   OR (brought_by_id IS NOT NULL AND decided_by NOT IN ({by_pair}))
                   OR (decided_by = '{DecidedBy.ID}' AND addressed IS NULL)
            """,
        )
    yield Invariant(
        "items_are_in_order",
        _("The items of a transaction are counted from 0."),
        """
            SELECT 'transaction' AS kind, transaction_id AS key, 'its items are not counted from 0' AS wrong
            FROM profiles_transactionitem GROUP BY transaction_id
            HAVING min(position) <> 0 OR max(position) <> count(*) - 1 OR count(DISTINCT position) <> count(*)
        """,
    )


def _of_the_queue() -> Iterator[Invariant]:
    yield Invariant(
        "pairs_follow_their_profiles",
        _("A pair in the queue of duplicates stands for the two that its profiles are today."),
        f"""
            {_ROOTS}
            SELECT 'duplicate_pair' AS kind, pair.id AS key,
                format('stands for %s and %s', pair.low_id, pair.high_id) AS wrong
            FROM profiles_duplicatepair AS pair
            JOIN root AS first ON first.id = pair.first_id
            JOIN root AS second ON second.id = pair.second_id
            WHERE (pair.low_id, pair.high_id)
                <> (least(first.root, second.root), greatest(first.root, second.root))
        """,
    )
    yield Invariant(
        "pairs_are_merged_when_they_are_one",
        _("A pair in the queue is merged exactly when its two are one profile."),
        """
            SELECT 'duplicate_pair' AS kind, id AS key, status AS wrong FROM profiles_duplicatepair
            WHERE (status = 'merged') <> (low_id = high_id)
        """,
    )
    yield Invariant(
        "one_open_entry_per_event",
        _("An event has one open entry in the routing log."),
        """
            SELECT 'routing_log_entry' AS kind, min(id) AS key, format('%s open entries', count(*)) AS wrong
            FROM identities_routinglogentry WHERE review_status = 'open' GROUP BY fingerprint HAVING count(*) > 1
        """,
    )
