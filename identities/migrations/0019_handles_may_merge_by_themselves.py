"""Staff may let a handle merge by itself. Nothing changes in the database; the field was not to be edited before."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("identities", "0018_one_primary_again")]

    operations = [
        migrations.AlterField(
            model_name="handle",
            name="auto_merge",
            field=models.BooleanField(
                default=False,
                help_text="When one write names several profiles, and by handles only that merge by themselves, these become one without anybody being asked. For numbers that two people never share.",
                verbose_name="merges by itself",
            ),
        ),
    ]
