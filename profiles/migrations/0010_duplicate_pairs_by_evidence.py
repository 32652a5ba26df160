"""The queue of duplicates by what speaks for a pair. Not concurrently: the table is as new as this."""

from __future__ import annotations

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("profiles", "0009_duplicate_pairs_are_two")]

    operations = [
        migrations.AddIndex(
            "duplicatepair",
            models.Index(
                condition=Q(evidence__has_key=word),
                fields=["status", "-score", "-id"],
                name=f"duplicate_pair_{word}",
            ),
        )
        for word in ("conflict", "details", "email", "phone")
    ]
