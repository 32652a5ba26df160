"""A pair is merged as long as its two are one profile, and only then; and pairs in the order in which they came.

Nothing has written a pair yet, so that neither has anything to look through.
"""

from __future__ import annotations

from django.db import migrations, models
from django.db.models import F, Q


class Migration(migrations.Migration):
    dependencies = [("profiles", "0008_merging")]

    operations = [
        migrations.AddConstraint(
            model_name="duplicatepair",
            constraint=models.CheckConstraint(
                condition=Q(status="merged", low=F("high")) | (~Q(status="merged") & Q(low__lt=F("high"))),
                name="duplicate_pair_merged_while_one",
            ),
        ),
        migrations.AddIndex(
            model_name="duplicatepair",
            index=models.Index(fields=["status", "created_at", "id"], name="duplicate_pair_by_created"),
        ),
    ]
