"""How often customers and addresses have called, for the limits of the storefront.

Going back forgets the counts, which are of one minute.
"""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("identities", "0021_import_runs")]

    operations = [
        migrations.CreateModel(
            name="CallCount",
            fields=[
                (
                    "key",
                    models.CharField(
                        max_length=64, primary_key=True, serialize=False, verbose_name="digest of what is counted"
                    ),
                ),
                ("window_started_at", models.DateTimeField(verbose_name="window started")),
                ("count", models.PositiveIntegerField(verbose_name="calls in the window")),
            ],
            options={
                "verbose_name": "count of calls",
                "verbose_name_plural": "counts of calls",
                "default_permissions": (),
                "indexes": [models.Index(fields=["window_started_at"], name="call_count_by_age")],
            },
        ),
        # What is worth a minute need not be written twice, nor sent to replicas.
        migrations.RunSQL(
            "ALTER TABLE identities_callcount SET UNLOGGED", "ALTER TABLE identities_callcount SET LOGGED"
        ),
    ]
