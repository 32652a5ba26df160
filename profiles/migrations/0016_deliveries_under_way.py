"""Which deliveries a worker is trying, what their time is counted from, and an index for what is due."""

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("profiles", "0014_events_and_deliveries"),
    ]

    operations = [
        migrations.AddField(
            model_name="delivery",
            name="taken_until",
            field=models.DateTimeField(blank=True, null=True, verbose_name="taken until"),
        ),
        migrations.AddField(
            model_name="delivery",
            name="waiting_since",
            field=models.DateTimeField(default=django.utils.timezone.now, verbose_name="waiting since"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("next_try_at__isnull", False), ("state", "waiting")),
                fields=["target", "priority", "next_try_at", "id"],
                name="delivery_due",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("taken_until__isnull", False)), fields=["target"], name="delivery_taken"
            ),
        ),
    ]
