"""Log entries in the order of every list that a filter leads to. Built without holding up whoever writes them."""

from __future__ import annotations

import django.db.models.deletion
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("identities", "0011_identity_lists"), ("profiles", "0004_newest_first")]

    operations = [
        RemoveIndexConcurrently(
            model_name="routinglogentry",
            name="routing_log_by_last_seen",
        ),
        RemoveIndexConcurrently(
            model_name="routinglogentry",
            name="routing_log_open_by_last_seen",
        ),
        AddIndexConcurrently(
            model_name="routinglogentry",
            index=models.Index(
                fields=["last_seen_at", "id"],
                include=("review_status", "outcome", "code", "handle", "source"),
                name="routing_log_by_last_seen",
            ),
        ),
        AddIndexConcurrently(
            model_name="routinglogentry",
            index=models.Index(
                fields=["review_status", "last_seen_at", "id"],
                include=("outcome", "code", "handle", "source"),
                name="routing_log_review_seen",
            ),
        ),
        AddIndexConcurrently(
            model_name="routinglogentry",
            index=models.Index(
                fields=["outcome", "last_seen_at", "id"],
                include=("review_status", "code", "handle", "source"),
                name="routing_log_outcome_seen",
            ),
        ),
        AddIndexConcurrently(
            model_name="routinglogentry",
            index=models.Index(
                condition=models.Q(("code", ""), _negated=True),
                fields=["code", "last_seen_at", "id"],
                include=("review_status", "outcome", "handle", "source"),
                name="routing_log_reason_seen",
            ),
        ),
        AddIndexConcurrently(
            model_name="routinglogentry",
            index=models.Index(
                fields=["handle", "last_seen_at", "id"],
                include=("review_status", "outcome", "code", "source"),
                name="routing_log_handle_seen",
            ),
        ),
        AddIndexConcurrently(
            model_name="routinglogentry",
            index=models.Index(
                condition=models.Q(("source__isnull", False)),
                fields=["source", "last_seen_at", "id"],
                include=("review_status", "outcome", "code", "handle"),
                name="routing_log_source_seen",
            ),
        ),
        AddIndexConcurrently(
            model_name="routinglogentry",
            index=models.Index(
                condition=models.Q(("source__isnull", True)),
                fields=["last_seen_at", "id"],
                include=("review_status", "outcome", "code", "handle"),
                name="routing_log_staff_seen",
            ),
        ),
        AddIndexConcurrently(
            model_name="routinglogentry",
            index=models.Index(fields=["requested_profile", "-id"], name="routing_log_by_requested"),
        ),
        AddIndexConcurrently(
            model_name="routinglogentry",
            index=models.Index(fields=["routed_profile", "-id"], name="routing_log_by_routed"),
        ),
        migrations.AlterField(
            model_name="routinglogentry",
            name="requested_profile",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="profiles.profile",
                verbose_name="requested profile",
            ),
        ),
        migrations.AlterField(
            model_name="routinglogentry",
            name="routed_profile",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="profiles.profile",
                verbose_name="routed profile",
            ),
        ),
        migrations.AlterField(
            model_name="routinglogentry",
            name="source",
            field=models.ForeignKey(
                blank=True,
                db_column="source",
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="identities.extension",
                verbose_name="source",
            ),
        ),
    ]
