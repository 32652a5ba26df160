"""A former name of a handle is retired and leads to another: the database holds it, whoever writes."""

from __future__ import annotations

from django.db import migrations, models
from django.db.models import F, Q


class Migration(migrations.Migration):
    dependencies = [("identities", "0009_secret_variables_are_named")]

    operations = [
        migrations.AddConstraint(
            model_name="handle",
            constraint=models.CheckConstraint(
                condition=Q(renamed_to=None) | Q(status="retired") & ~Q(renamed_to=F("name")),
                name="former_names_of_handles_are_retired",
            ),
        ),
    ]
