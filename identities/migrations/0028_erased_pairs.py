"""Pairs that were erased with their profile, as digests, so that no late copy brings the person back."""

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("identities", "0027_calls_of_tokens_counted_with_others"),
    ]

    operations = [
        migrations.CreateModel(
            name="ErasedPair",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("handle", models.CharField(max_length=64, verbose_name="handle")),
                ("digest", models.CharField(max_length=64, verbose_name="digest of the identifier")),
                ("erased_at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="erased")),
            ],
            options={
                "verbose_name": "erased identity",
                "verbose_name_plural": "erased identities",
                "ordering": ["-pk"],
                "default_permissions": ("view", "delete"),
                "indexes": [models.Index(fields=["handle", "-id"], name="erased_pair_by_handle")],
                "constraints": [
                    models.UniqueConstraint(fields=("handle", "digest"), name="unique_together_handle_digest")
                ],
            },
        ),
    ]
