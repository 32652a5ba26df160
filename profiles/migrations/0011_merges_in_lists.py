"""The filters of the admin's list of merges. Not concurrently: the table is as new as this."""

from __future__ import annotations

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("profiles", "0010_duplicate_pairs_by_evidence"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name="merge",
            index=models.Index(fields=["cause", "-id"], include=("undone_at",), name="merge_by_cause"),
        ),
        migrations.AddIndex(
            model_name="merge",
            index=models.Index(
                condition=models.Q(("undone_at", None), _negated=True),
                fields=["-id"],
                include=("cause",),
                name="merge_undone",
            ),
        ),
    ]
