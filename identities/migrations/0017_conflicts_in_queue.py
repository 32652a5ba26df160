"""The conflicts that the routing log has already enter the queue of duplicates, dismissed ones as dismissed.

As `outcomes.note_conflict` does it from now on: each two of the profiles that an entry names, and of more than twenty
each with the one that the data went to; the newest five entries of a pair, and the score of a conflict. Nothing could
be merged before, so that every profile stands for itself. Two whose entry somebody has dismissed are two people also
where a later entry is open. Reviewed entries enter as open: to say that both are one person, a note was all there was.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations

QUEUE = """
    WITH entry AS MATERIALIZED (
        SELECT id, candidates, coalesce(routed_profile_id, candidates[1]) AS routed, review_status, review_note,
            reviewed_by_id, reviewed_at, created_at, last_seen_at
        FROM identities_routinglogentry
        WHERE outcome = 'conflict' AND cardinality(candidates) > 1
    ), named AS (
        SELECT entry.id, least(one, other) AS first, greatest(one, other) AS second
        FROM entry, unnest(candidates) AS one, unnest(candidates) AS other
        WHERE cardinality(candidates) <= 20 AND one < other
        UNION
        SELECT entry.id, least(routed, other), greatest(routed, other)
        FROM entry, unnest(candidates) AS other
        WHERE cardinality(candidates) > 20 AND other <> routed
    ), pair AS (
        SELECT first, second,
            to_jsonb((array_agg(entry.id ORDER BY entry.id DESC))[:5]) AS entries,
            min(entry.created_at) AS created_at,
            max(entry.last_seen_at) AS updated_at,
            max(entry.id) FILTER (WHERE review_status = 'dismissed') AS dismissed
        FROM named
        JOIN entry USING (id)
        JOIN profiles_profile AS one ON one.id = first
        JOIN profiles_profile AS other ON other.id = second
        GROUP BY first, second
    )
    INSERT INTO profiles_duplicatepair (
        first_id, second_id, low_id, high_id, evidence, score, status, by_id, at, note, created_at, updated_at
    )
    SELECT first, second, first, second, jsonb_build_object('conflict', entries), 0.9,
        CASE WHEN dismissed IS NULL THEN 'open' ELSE 'dismissed' END,
        entry.reviewed_by_id, entry.reviewed_at, coalesce(entry.review_note, ''), pair.created_at, pair.updated_at
    FROM pair
    LEFT JOIN entry ON entry.id = dismissed
    ORDER BY first, second
    ON CONFLICT (first_id, second_id) DO NOTHING
"""


def queue(apps: Any, schema_editor: Any) -> None:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(QUEUE)


class Migration(migrations.Migration):
    dependencies = [
        ("identities", "0016_merging_for_groups"),
        ("profiles", "0009_duplicate_pairs_are_two"),
    ]

    # Going back leaves the rows: those that people have decided since are not to be told from the others.
    operations = [migrations.RunPython(queue, migrations.RunPython.noop)]
