from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("profiles", "0001_initial")]

    operations = [
        migrations.AddIndex(
            model_name="audit",
            index=models.Index(fields=["event", "-id"], name="audit_by_event"),
        ),
    ]
