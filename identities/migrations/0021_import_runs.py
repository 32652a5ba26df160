"""How far a file has been brought in, for going on after whatever cut it short."""

from __future__ import annotations

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("identities", "0020_what_brought_an_identity"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ImportRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("fingerprint", models.CharField(max_length=64, verbose_name="fingerprint of the file")),
                ("path", models.CharField(max_length=1024, verbose_name="file")),
                ("errors_path", models.CharField(max_length=1024, verbose_name="file of errors")),
                ("offset", models.BigIntegerField(default=0, verbose_name="bytes read")),
                ("line", models.BigIntegerField(default=0, verbose_name="lines read")),
                ("errors_offset", models.BigIntegerField(default=0, verbose_name="bytes of errors")),
                ("counts", models.JSONField(default=dict, verbose_name="what became of the rows")),
                ("started_at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="started")),
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
            ],
            options={
                "verbose_name": "import run",
                "verbose_name_plural": "import runs",
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("finished_at", None)),
                        fields=("fingerprint",),
                        name="one_run_of_a_file_at_a_time",
                    )
                ],
            },
        ),
    ]
