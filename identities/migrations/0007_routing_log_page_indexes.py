"""Indexes of the routing log's pages. Built without holding up whoever writes the log meanwhile."""

from __future__ import annotations

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("identities", "0006_routing_log_by_candidate")]

    operations = [
        AddIndexConcurrently(
            "routinglogentry",
            models.Index(
                fields=["last_seen_at", "id"],
                condition=models.Q(review_status="open"),
                name="routing_log_open_by_last_seen",
            ),
        ),
        AddIndexConcurrently(
            "routinglogentry",
            models.Index(
                fields=["reviewed_at", "id"],
                condition=models.Q(reviewed_at__isnull=False),
                name="routing_log_by_reviewed",
            ),
        ),
        AddIndexConcurrently(
            "routinglogentry",
            models.Index(
                fields=["fingerprint"],
                condition=~models.Q(review_status="open"),
                name="routing_log_past_by_event",
            ),
        ),
        AddIndexConcurrently(
            "routinglogentry",
            models.Index(fields=["handle", "identifier", "-id"], name="routing_log_by_pair"),
        ),
    ]
