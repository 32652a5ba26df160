"""Calls of a token are counted where those of customers and of the storefront are."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("identities", "0026_claims_by_age"),
    ]

    operations = [
        migrations.RemoveField(
            model_name="apitoken",
            name="window_count",
        ),
        migrations.RemoveField(
            model_name="apitoken",
            name="window_started_at",
        ),
    ]
