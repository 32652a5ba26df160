"""What is kept of profiles where no foreign key says so, or not theirs alone: wiped before they are erased.

History stays as history, of whom and of what is gone: who did something when remains in the audit and in the log, but
no value of it. Others' rows stay theirs, without what came by a pair that is erased.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Any

from django.apps import apps
from django.db import connection, models
from django.utils import timezone

from identities import replaying
from identities.handles import mask
from identities.models import BUILT_IN, DeletedIdentity, Identity, Pair
from profiles.auditing import By, kind_of
from profiles.inserting import json_of
from profiles.merging.lineage import BESIDE
from profiles.models import RECORDS, CustomAttribute, Move, Profile, Record
from profiles.models.policy import dying
from profiles.reacting import taking

# So many identifiers are looked for in answers and in what others were told, and as many entries of the log.
MOST_INSIDE = 1_000

# As orjson, PostgreSQL's json and its jsonb write them.
COLONS = (":", " : ", ": ")

# ruff: noqa: S608 - the statements are put together from names of tables and columns of ours


def wipe(ids: Sequence[uuid.UUID], pairs: Collection[Pair], *, by: By) -> list[str]:
    """Wipe what is kept of these profiles, and of the pairs that they have, outside of their own rows.

    Must run in the transaction that erases them, before it does, with their locks. Returns by which texts an answer
    that waits to be replayed is told to be about them (`replaying.forget_telling`).
    """
    asked: dict[str, Any] = {
        "ids": list(ids),
        "texts": [str(pk) for pk in ids],
        "handles": [pair.handle for pair in pairs],
        "identifiers": [pair.identifier for pair in pairs],
        # In what others were told. As JSON has them, quotes and all.
        "inside": [*map(str, ids), *(json_of(pair.identifier) for pair in islice(pairs, MOST_INSIDE))],
        "most": MOST_INSIDE,
        "by": by.user.pk,
    }
    asked["others"] = _others(asked)
    asked["inside"] += [json_of(text) for (text,) in _run(FORMER, asked) if text and not text.startswith(mask(""))]
    asked["entries"] = [pk for (pk,) in _run(LOG, asked)]
    _wipe_records(asked)
    _wipe_audit(asked)
    for statement in (TAKEN, FIELDS, MOVES, ADMIN_LOG, BATCHES):
        _run(statement, asked)
    in_answers = _in_answers(ids, pairs, asked["entries"])
    replaying.forget_telling(in_answers)
    _wipe_events(asked)
    DeletedIdentity.objects.filter(addressed__in=ids).delete()
    return in_answers


def _in_answers(ids: Sequence[uuid.UUID], pairs: Iterable[Pair], entries: Sequence[int]) -> list[str]:
    """What stands in answers that tell of these, as JSON has it: their ids, pairs, and the entries of the log.

    An identifier counts where it is said to be one, and a contact point anywhere. Somebody else's total may have the
    same digits in it, and their shop the same number; and where an answer is deleted, its request can be done twice.
    """
    texts = [str(pk) for pk in ids]
    for pair in islice(pairs, MOST_INSIDE):
        value = json_of(pair.identifier)
        texts += [value] if pair.handle in BUILT_IN else [f'"identifier"{colon}{value}' for colon in COLONS]
    # What was sent in another spelling, of a record that went to somebody else.
    for entry in entries[:MOST_INSIDE]:
        texts += [f'"log_entry_id"{colon}{entry}{end}' for colon in COLONS for end in ",}"]
    return texts


def _others(asked: dict[str, Any]) -> list[uuid.UUID]:
    """The profiles whose own history may tell of these: they were one with them, or thought to be, or got rows."""
    parts = [BESIDE]
    # Where their identities have been on their way to them.
    parts += [
        f"""
        SELECT move.{side} FROM identities_identity AS identity JOIN profiles_move AS move
        ON move.subject_type = 'identity' AND move.subject_key = identity.id::text
        WHERE identity.profile_id = ANY(%(ids)s)
        """
        for side in ("from_profile_id", "to_profile_id")
    ]
    parts.append(f"{ABOVE} SELECT survivor_id FROM above")
    return [
        pk
        for (pk,) in _run(" UNION ".join(f"({part})" for part in parts), asked)
        if pk is not None and pk not in asked["ids"]
    ]


# The merges by which one of these was part of others, directly or not; all that are left were undone, or were of
# others which have let go of it since.
ABOVE = """
    WITH RECURSIVE above AS (
        SELECT id, survivor_id, duplicate_id, at, undone_at FROM profiles_merge WHERE duplicate_id = ANY(%(ids)s)
        UNION
        SELECT merge.id, merge.survivor_id, merge.duplicate_id, merge.at, merge.undone_at
        FROM above JOIN profiles_merge AS merge ON merge.duplicate_id = above.survivor_id
        WHERE merge.at <= coalesce(above.undone_at, 'infinity') AND coalesce(merge.undone_at, 'infinity') >= above.at
    )
"""

# What survivors had taken over from them through others. A merge that stands has given it back.
FIELDS = f"""
    {ABOVE}
    UPDATE profiles_merge SET fields = (
        SELECT coalesce(jsonb_object_agg(name, entry), '{{}}') FROM jsonb_each(fields) AS field (name, entry)
        WHERE NOT coalesce(entry ->> 'of' = ANY(%(texts)s) OR entry ->> 'former_of' = ANY(%(texts)s), false)
    )
    WHERE id IN (SELECT id FROM above) AND fields <> '{{}}'
"""

# Entries that name one of the profiles or a pair of theirs. What is left of them is nobody's to decide any more.
LOG = """
    UPDATE identities_routinglogentry
    SET handle = '', identifier = '', payload = '{}', candidates = '{}', review_note = '', fingerprint = '',
        review_status = CASE review_status WHEN 'open' THEN 'reviewed' ELSE review_status END,
        reviewed_by_id = coalesce(reviewed_by_id, %(by)s), reviewed_at = coalesce(reviewed_at, now())
    WHERE id IN (
        SELECT id FROM identities_routinglogentry WHERE requested_profile_id = ANY(%(ids)s)
        UNION SELECT id FROM identities_routinglogentry WHERE routed_profile_id = ANY(%(ids)s)
        UNION SELECT id FROM identities_routinglogentry WHERE candidates && %(ids)s::uuid[]
        UNION SELECT entry.id FROM unnest(%(handles)s::text[], %(identifiers)s::text[]) AS pair (handle, identifier)
        JOIN identities_routinglogentry AS entry USING (handle, identifier)
    )
    RETURNING id
"""

# What merges of others had taken, however many one after the other, and moves between others, before it came to one of
# these. Keys and pairs stand in the same order; a pair may have been another row, or another name of its handle, then.
TAKEN = """
    WITH RECURSIVE mine AS (
        SELECT coalesce(array_agg(id::text), '{}') AS keys FROM identities_identity WHERE profile_id = ANY(%(ids)s)
    ), had AS (
        SELECT unnest(%(others)s::uuid[]) AS profile_id, NULL::bigint AS taken_id
        UNION
        SELECT merge.other, taken.id
        FROM had, mine, LATERAL (
            SELECT id, duplicate_id AS other FROM profiles_merge WHERE survivor_id = had.profile_id
            UNION ALL SELECT id, survivor_id FROM profiles_merge WHERE duplicate_id = had.profile_id
        ) AS merge, LATERAL (
            SELECT id FROM profiles_takenrows AS rows
            WHERE merge_id = merge.id AND "table" = 'identities_identity' AND (
                rows.keys && mine.keys OR EXISTS (
                    SELECT 1 FROM jsonb_array_elements(rows.pairs) AS pair (one) WHERE (one ->> 0, one ->> 1)
                    IN (SELECT * FROM unnest(%(handles)s::text[], %(identifiers)s::text[]))
                )
            )
        ) AS taken
    )
    UPDATE profiles_takenrows AS taken SET pairs = (
        SELECT jsonb_agg(
            CASE WHEN taken.keys[place] = ANY(mine.keys) OR (one ->> 0, one ->> 1)
                IN (SELECT * FROM unnest(%(handles)s::text[], %(identifiers)s::text[]))
            THEN '["", ""]' ELSE one END ORDER BY place
        ) FROM jsonb_array_elements(taken.pairs) WITH ORDINALITY AS pair (one, place)
    )
    FROM mine WHERE taken.id IN (SELECT taken_id FROM had) AND taken.pairs <> '[]'
"""
MOVES = """
    UPDATE profiles_move AS move SET handle = '', identifier = '' FROM identities_identity AS identity
    WHERE identity.profile_id = ANY(%(ids)s) AND subject_type = 'identity' AND subject_key = identity.id::text
"""

# Django's own log of what was done in the admin names each row as pages do: a profile by the name of the person, an
# identity, also one that was deleted since, by its identifier.
ADMIN_LOG = """
    DELETE FROM django_admin_log
    WHERE (
        object_id = ANY(%(texts)s) AND content_type_id IN (
            SELECT id FROM django_content_type WHERE app_label = 'profiles' AND model = 'profile'
        )
    ) OR (
        object_id IN (
            SELECT id::text FROM identities_identity WHERE profile_id = ANY(%(ids)s)
            UNION SELECT auditable_key FROM profiles_audit
            WHERE profile_id = ANY(%(ids)s) AND auditable_type = 'identity' AND event = 'deleted'
        ) AND content_type_id IN (
            SELECT id FROM django_content_type WHERE app_label = 'identities' AND model = 'identity'
        )
    )
"""

BATCHES = """
    UPDATE profiles_profilebatchrow SET refused = '[]', message = '' WHERE profile_id = ANY(%(ids)s)
"""

# What their identities were before, perhaps while others had them: others were told of that.
FORMER = """
    SELECT one.identifier FROM (
        SELECT id::text AS key FROM identities_identity WHERE profile_id = ANY(%(ids)s)
    ) AS mine, LATERAL (
        SELECT identifier FROM profiles_move WHERE subject_type = 'identity' AND subject_key = mine.key
        UNION ALL
        SELECT old_values ->> 'identifier' FROM profiles_audit
        WHERE auditable_type = 'identity' AND auditable_key = mine.key
        OFFSET 0
    ) AS one GROUP BY 1 LIMIT %(most)s
"""

# What others were told of in which these took part: both sides of a merge, for one, or a profile while it had a pair
# that was moved or split off since. Their deliveries go with them. Letters of any case, since an address is shown as
# it was written.
EVENTS = """
    WITH inside AS MATERIALIZED (
        SELECT lower(text) AS text FROM unnest(%(inside)s::text[]) AS one (text)
    ), told AS (
        SELECT id FROM profiles_event AS event, LATERAL (SELECT lower(event.facts::text) AS facts OFFSET 0) AS lowered
        WHERE profile_id = ANY(%(others)s) AND (
            EXISTS (SELECT 1 FROM inside WHERE strpos(lowered.facts, inside.text) > 0)
            OR EXISTS (
                SELECT 1 FROM profiles_delivery AS delivery,
                    LATERAL (SELECT lower(body) AS body OFFSET 0) AS sent, inside
                WHERE delivery.event_id = event.id AND strpos(sent.body, inside.text) > 0
            )
        )
    ), gone AS (
        DELETE FROM profiles_delivery WHERE event_id IN (SELECT id FROM told) RETURNING target_id, profile_id, state
    ), done AS (
        DELETE FROM profiles_event WHERE id IN (SELECT id FROM told)
    )
    SELECT target_id, array_agg(DISTINCT profile_id) FROM gone WHERE state = 'waiting' GROUP BY 1 ORDER BY 1
"""


def _wipe_events(asked: dict[str, Any]) -> None:
    """Let those go on, too, which have waited for one that is gone: nobody else would give them a time."""
    for target_id, profile_ids in _run(EVENTS, asked):
        taking.let_next(target_id, profile_ids, timezone.now())


def _wipe_records(asked: dict[str, Any]) -> None:
    """Take out of others' rows what they were sent with, and the pair that brought them, where that is erased."""
    models_brought: dict[str, type[models.Model]] = {**RECORDS, "custom_attribute": CustomAttribute}
    for kind, model in models_brought.items():
        is_record = kind in RECORDS
        table, moved = model._meta.db_table, f"{Move._meta.db_table} AS move"
        came = f"""
            SELECT row.id FROM {moved} JOIN {table} AS row ON row.id = move.subject_key::bigint
            WHERE from_profile_id = ANY(%(ids)s) AND subject_type = '{kind}'
        """
        if is_record:
            in_doubt = f"SELECT id FROM {table} WHERE log_entry_id = ANY(%(entries)s)"
            _run(f"UPDATE {table} SET pairs = '[]' WHERE id IN ({came} UNION {in_doubt})", asked)
        _run(
            f"""
            UPDATE {table} SET brought_by_handle = '', brought_by_identifier = ''
                {f", decided_by = '{Record.DecidedBy.ERASED}', pairs = '[]'" if is_record else ""}
            WHERE id IN (
                SELECT row.id FROM {Identity._meta.db_table} AS identity
                JOIN {table} AS row ON row.brought_by_id = identity.id WHERE identity.profile_id = ANY(%(ids)s)
                UNION {came} AND (row.brought_by_handle, row.brought_by_identifier)
                    IN (SELECT * FROM unnest(%(handles)s::text[], %(identifiers)s::text[]))
            )
            """,
            asked,
        )


def _wipe_audit(asked: dict[str, Any]) -> None:
    """Empty what the audit says of these profiles and of their rows, and what it says of others that was theirs."""
    parts = [
        "SELECT id FROM profiles_audit WHERE profile_id = ANY(%(ids)s)",
        _about(Profile, "unnest(%(ids)s::uuid[]) AS gone (id)"),
        _about(apps.get_model("identities", "RoutingLogEntry"), "unnest(%(entries)s::bigint[]) AS gone (id)"),
        # Of identities that a merge had taken from them, and that were deleted before its undo.
        """
        SELECT audit.id FROM profiles_merge AS merge
        JOIN profiles_takenrows AS taken ON taken.merge_id = merge.id AND taken."table" = 'identities_identity'
        CROSS JOIN LATERAL unnest(taken.keys) AS gone (key)
        JOIN profiles_audit AS audit ON audit.auditable_type = 'identity' AND audit.auditable_key = gone.key
        WHERE merge.duplicate_id = ANY(%(ids)s)
        AND NOT EXISTS (SELECT FROM identities_identity WHERE id = gone.key::bigint)
        """,
        # Of identities that came for them, or by theirs, while they were part of others, and are deleted by now; but
        # for those that somebody has given to others.
        """
        WITH RECURSIVE came AS (
            SELECT gone.key FROM identities_deletedidentity AS gone WHERE gone.addressed = ANY(%(ids)s)
            UNION
            SELECT gone.key FROM identities_identity AS identity
            JOIN identities_deletedidentity AS gone ON gone.brought_by_key = identity.id
            WHERE identity.profile_id = ANY(%(ids)s)
            UNION
            SELECT gone.key FROM came JOIN identities_deletedidentity AS gone ON gone.brought_by_key = came.key
        )
        SELECT audit.id FROM came
        JOIN profiles_audit AS audit ON audit.auditable_type = 'identity' AND audit.auditable_key = came.key::text
        WHERE NOT EXISTS (
            SELECT FROM profiles_move AS move WHERE move.subject_type = 'identity' AND move.undone_at IS NULL
            AND move.subject_key = came.key::text AND NOT coalesce(move.to_profile_id = ANY(%(ids)s), false)
        )
        """,
        # And of what they had claimed, or made an attribute of, then, and is none by now.
        """
        SELECT id FROM profiles_audit
        WHERE auditable_type IN ('identity_claim', 'custom_attribute') AND profile_id = ANY(%(others)s)
        AND (old_values ->> 'named_id' = ANY(%(texts)s) OR new_values ->> 'named_id' = ANY(%(texts)s))
        """,
        # A survivor's own, of a merge with one of these that was undone: what it had taken over from them.
        """
        SELECT id FROM profiles_audit
        WHERE auditable_type = 'profile' AND auditable_key = ANY(%(others)s::uuid[]::text[])
        AND event IN ('merged', 'unmerged') AND EXISTS (
            SELECT 1 FROM unnest(%(texts)s::text[]) AS one (text)
            WHERE strpos(new_values::text, one.text) > 0
        )
        """,
        # And what went on from there, to whom that was merged into then.
        f"""
        {ABOVE} SELECT audit.id FROM above JOIN profiles_audit AS audit
        ON audit.auditable_type = 'profile' AND audit.auditable_key = above.survivor_id::text
        WHERE audit.event IN ('merged', 'unmerged') AND strpos(audit.new_values::text, above.duplicate_id::text) > 0
        """,
    ]
    for model, names in dying(Profile).items():
        where = " OR ".join(f"gone.{name}_id = ANY(%(ids)s)" for name in names)
        parts.append(_about(model, f"{model._meta.db_table} AS gone", f"WHERE {where}"))
    _run(
        f"""
        UPDATE profiles_audit
        SET old_values = '{{}}', new_values = '{{}}', url = '', ip_address = NULL, user_agent = ''
        WHERE id IN ({" UNION ".join(f"({part})" for part in parts)})
        """,
        asked,
    )


def _about(model: type[models.Model], rows: str, where: str = "") -> str:
    """The entries about these rows of a model, by the kind and key that the audit knows them by."""
    return f"""
        SELECT audit.id FROM {rows} JOIN profiles_audit AS audit
        ON audit.auditable_type = '{kind_of(model)}' AND audit.auditable_key = gone.id::text {where}
    """


def _run(statement: str, asked: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, asked)
        return list(cursor.fetchall()) if cursor.description else []
