from __future__ import annotations

import django.contrib.postgres.indexes
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("identities", "0005_reveal_identity")]

    operations = [
        migrations.AddIndex(
            model_name="routinglogentry",
            index=django.contrib.postgres.indexes.GinIndex(fields=["candidates"], name="routing_log_by_candidate"),
        ),
    ]
