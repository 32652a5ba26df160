"""What listeners an event failed at, beside the event."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("profiles", "0016_deliveries_under_way"),
    ]

    operations = [
        migrations.AddField(
            model_name="event",
            name="faults",
            field=models.JSONField(blank=True, default=list, verbose_name="faults"),
        ),
    ]
