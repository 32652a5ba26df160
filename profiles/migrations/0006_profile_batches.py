"""Profiles that come in batches: who sent them, and what became of each."""

from __future__ import annotations

import django.db.models.deletion
import django.utils.timezone
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        # For the extension that sends a batch.
        ("identities", "0001_initial"),
        ("profiles", "0005_records"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ProfileBatch",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("match_criteria", models.CharField(max_length=64, verbose_name="matched by")),
                ("token_name", models.CharField(blank=True, max_length=255, verbose_name="token")),
                ("url", models.CharField(blank=True, max_length=512, verbose_name="URL")),
                ("ip_address", models.GenericIPAddressField(null=True, verbose_name="IP address")),
                ("user_agent", models.CharField(blank=True, max_length=512, verbose_name="user agent")),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="at")),
                ("started_at", models.DateTimeField(null=True, verbose_name="started")),
                ("finished_at", models.DateTimeField(null=True, verbose_name="finished")),
                (
                    "by",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="by",
                    ),
                ),
                (
                    "source",
                    models.ForeignKey(
                        db_column="source",
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="identities.extension",
                        verbose_name="source",
                    ),
                ),
            ],
            options={
                "verbose_name": "profile batch",
                "verbose_name_plural": "profile batches",
                "ordering": ["-pk"],
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="ProfileBatchRow",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.PositiveSmallIntegerField(verbose_name="position")),
                ("payload", models.JSONField(null=True, verbose_name="payload")),
                (
                    "result",
                    models.CharField(
                        blank=True,
                        choices=[("created", "created"), ("updated", "updated"), ("error", "error")],
                        max_length=16,
                        verbose_name="result",
                    ),
                ),
                ("profile_id", models.UUIDField(null=True, verbose_name="profile id")),
                ("code", models.CharField(blank=True, max_length=64, verbose_name="code")),
                ("message", models.TextField(blank=True, verbose_name="message")),
                ("refused", models.JSONField(default=list, verbose_name="pairs set aside")),
                ("log_entry_id", models.BigIntegerField(null=True, verbose_name="routing log entry")),
                (
                    "batch",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="rows",
                        to="profiles.profilebatch",
                    ),
                ),
            ],
            options={
                "verbose_name": "row of a profile batch",
                "verbose_name_plural": "rows of profile batches",
                "ordering": ["batch", "position"],
                "default_permissions": (),
            },
        ),
        migrations.AddIndex(
            model_name="profilebatch",
            index=models.Index(fields=["created_at"], name="profile_batch_by_time"),
        ),
        migrations.AddConstraint(
            model_name="profilebatchrow",
            constraint=models.UniqueConstraint(fields=("batch", "position"), name="unique_together_batch_position"),
        ),
    ]
