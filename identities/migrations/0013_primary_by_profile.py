"""Which identity of a profile is primary, in the index of its identities. Built without holding up writers."""

from __future__ import annotations

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("identities", "0012_routing_log_lists")]

    operations = [
        AddIndexConcurrently(
            model_name="identity",
            index=models.Index(fields=["profile", "-id"], include=["is_primary"], name="identity_of_profile"),
        ),
        RemoveIndexConcurrently(model_name="identity", name="identity_by_profile"),
    ]
