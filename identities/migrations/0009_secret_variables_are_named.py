"""Secret variables are names: a validator says of what form. No column changes."""

from __future__ import annotations

import django.contrib.postgres.fields
import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("identities", "0008_routing_log_open")]

    operations = [
        migrations.AlterField(
            model_name="extension",
            name="secret_variables",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    max_length=128,
                    validators=[
                        django.core.validators.RegexValidator(
                            r"^[A-Z_][A-Z0-9_]*\Z", "Use upper-case letters, digits and _."
                        )
                    ],
                ),
                blank=True,
                default=list,
                help_text="Names of the environment variables that hold its shared secrets. Never the secrets.",
                size=None,
                verbose_name="secret variables",
            ),
        ),
    ]
