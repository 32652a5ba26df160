"""When a target was let hear again, from which the time is counted of what waited for that."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("profiles", "0022_events_notify_nobody")]

    operations = [
        migrations.AddField(
            model_name="target",
            name="unmuted_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="unmuted"),
        ),
    ]
