"""Indexes for the lists of records in the admin, and for all that happened to a profile, on its page."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("identities", "0014_records_for_groups"),
        ("profiles", "0006_profile_batches"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="interaction",
            name="interaction_of_profile",
        ),
        migrations.RemoveIndex(
            model_name="transaction",
            name="transaction_by_source",
        ),
        migrations.RemoveIndex(
            model_name="transaction",
            name="transaction_by_staff",
        ),
        migrations.RemoveIndex(
            model_name="transaction",
            name="transaction_of_profile",
        ),
        migrations.RemoveIndex(
            model_name="transaction",
            name="transaction_by_time",
        ),
        migrations.AddIndex(
            model_name="interaction",
            index=models.Index(
                condition=models.Q(("profile__isnull", True)),
                fields=["-id"],
                include=("source",),
                name="interaction_anonymous",
            ),
        ),
        migrations.AddIndex(
            model_name="interaction",
            index=models.Index(
                fields=["profile", "-interacted_at", "-id"], include=("source",), name="interaction_of_profile"
            ),
        ),
        migrations.AddIndex(
            model_name="point",
            index=models.Index(
                condition=models.Q(("profile__isnull", True)),
                fields=["-id"],
                include=("source",),
                name="point_anonymous",
            ),
        ),
        migrations.AddIndex(
            model_name="point",
            index=models.Index(
                fields=["profile", "-issued_at", "-id"], include=("source",), name="point_of_profile_by_time"
            ),
        ),
        migrations.AddIndex(
            model_name="reward",
            index=models.Index(
                condition=models.Q(("profile__isnull", True)),
                fields=["-id"],
                include=("source",),
                name="reward_anonymous",
            ),
        ),
        migrations.AddIndex(
            model_name="reward",
            index=models.Index(
                fields=["profile", "-issued_at", "-id"], include=("source",), name="reward_of_profile_by_time"
            ),
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(
                condition=models.Q(("source__isnull", False)),
                fields=["source", "-id"],
                include=("profile", "is_void"),
                name="transaction_by_source",
            ),
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(
                condition=models.Q(("source__isnull", True)),
                fields=["-id"],
                include=("profile", "is_void"),
                name="transaction_by_staff",
            ),
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(
                condition=models.Q(("profile__isnull", True)),
                fields=["-id"],
                include=("source", "is_void"),
                name="transaction_anonymous",
            ),
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(
                fields=["profile", "-transacted_at", "-id"],
                include=("total", "is_void", "source"),
                name="transaction_of_profile",
            ),
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(
                fields=["transacted_at", "id"], include=("profile", "source", "is_void"), name="transaction_by_time"
            ),
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(
                condition=models.Q(("is_void", True)),
                fields=["-id"],
                include=("source", "profile"),
                name="transaction_void",
            ),
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(
                condition=models.Q(("receipt_ref", ""), _negated=True),
                fields=["receipt_ref"],
                name="transaction_by_receipt",
            ),
        ),
    ]
