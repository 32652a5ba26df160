"""An index of the open log entries alone: they are counted on every start page, and most entries are not open."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("identities", "0007_routing_log_page_indexes")]

    operations = [
        migrations.AddIndex(
            model_name="routinglogentry",
            index=models.Index(
                condition=models.Q(("review_status", "open")),
                fields=["outcome", "source", "code"],
                name="routing_log_open",
            ),
        ),
    ]
