"""What happened while somebody listened, who listens, and what is on its way to whom."""

import uuid

import django.core.serializers.json
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("profiles", "0013_what_is_left_of_a_balance"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Event",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("trigger", models.CharField(max_length=64, verbose_name="trigger")),
                ("subject_type", models.CharField(max_length=32, verbose_name="kind of row")),
                ("subject_key", models.CharField(max_length=64, verbose_name="key of the row")),
                (
                    "facts",
                    models.JSONField(
                        default=dict, encoder=django.core.serializers.json.DjangoJSONEncoder, verbose_name="facts"
                    ),
                ),
                ("depth", models.PositiveSmallIntegerField(default=0, verbose_name="caused by reactions")),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="at")),
                ("taken_up_at", models.DateTimeField(blank=True, null=True, verbose_name="taken up")),
                (
                    "profile",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="events",
                        to="profiles.profile",
                        verbose_name="profile",
                    ),
                ),
            ],
            options={
                "verbose_name": "event",
                "verbose_name_plural": "events",
                "ordering": ["-pk"],
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Reaction",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=255, verbose_name="name")),
                ("trigger", models.CharField(max_length=64, verbose_name="trigger")),
                ("description", models.TextField(blank=True, verbose_name="description")),
                ("notes", models.TextField(blank=True, verbose_name="notes")),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="created"),
                ),
                (
                    "updated_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="updated"),
                ),
            ],
            options={
                "verbose_name": "reaction",
                "verbose_name_plural": "reactions",
                "ordering": ["-pk"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("is_active", True)), fields=["trigger"], name="reaction_listening"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Action",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                (
                    "name",
                    models.CharField(
                        choices=[
                            ("filter", "go on only if"),
                            ("target.send", "send to a target"),
                            ("attribute.set", "set a custom attribute"),
                        ],
                        max_length=32,
                        verbose_name="action",
                    ),
                ),
                ("sort_order", models.IntegerField(default=0, verbose_name="order")),
                ("description", models.TextField(blank=True, verbose_name="description")),
                ("notes", models.TextField(blank=True, verbose_name="notes")),
                ("arguments", models.JSONField(blank=True, default=list, verbose_name="arguments")),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="created"),
                ),
                (
                    "updated_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="updated"),
                ),
                (
                    "reaction",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="actions",
                        to="profiles.reaction",
                        verbose_name="reaction",
                    ),
                ),
            ],
            options={
                "verbose_name": "action",
                "verbose_name_plural": "actions",
                "ordering": ["sort_order", "pk"],
            },
        ),
        migrations.CreateModel(
            name="Target",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("url", models.URLField(max_length=2048, unique=True, verbose_name="URL")),
                ("muted_at", models.DateTimeField(blank=True, null=True, verbose_name="muted")),
                ("failures", models.PositiveIntegerField(default=0, verbose_name="failures")),
                ("opened_at", models.DateTimeField(blank=True, null=True, verbose_name="circuit open since")),
                ("next_look_at", models.DateTimeField(blank=True, null=True, verbose_name="next look")),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="created"),
                ),
                (
                    "muted_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="muted by",
                    ),
                ),
            ],
            options={
                "verbose_name": "target",
                "verbose_name_plural": "targets",
                "ordering": ["url"],
                "default_permissions": ("view", "change"),
            },
        ),
        migrations.CreateModel(
            name="Webhook",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("trigger", models.CharField(max_length=64, verbose_name="trigger")),
                ("url", models.URLField(max_length=2048, verbose_name="URL")),
                ("namespace", models.CharField(blank=True, max_length=128, verbose_name="namespace")),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                ("retry_hourly", models.BooleanField(default=False, verbose_name="retry each hour")),
                ("retry_daily", models.BooleanField(default=False, verbose_name="retry each day")),
                (
                    "queue",
                    models.CharField(
                        blank=True,
                        choices=[("low", "low"), ("default", "default"), ("high", "high")],
                        max_length=16,
                        verbose_name="queue",
                    ),
                ),
                ("condition", models.JSONField(blank=True, null=True, verbose_name="condition")),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="created"),
                ),
                (
                    "updated_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="updated"),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="by",
                    ),
                ),
            ],
            options={
                "verbose_name": "webhook",
                "verbose_name_plural": "webhooks",
                "ordering": ["-pk"],
            },
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("message_id", models.CharField(max_length=64, unique=True, verbose_name="message id")),
                ("trigger", models.CharField(max_length=64, verbose_name="trigger")),
                ("body", models.TextField(verbose_name="body")),
                ("retry_hourly", models.BooleanField(default=False)),
                ("retry_daily", models.BooleanField(default=False)),
                ("priority", models.SmallIntegerField(default=0)),
                (
                    "state",
                    models.CharField(
                        choices=[("waiting", "waiting"), ("delivered", "delivered"), ("dead", "given up")],
                        default="waiting",
                        max_length=16,
                        verbose_name="state",
                    ),
                ),
                ("tries", models.PositiveIntegerField(default=0, verbose_name="tries")),
                ("next_try_at", models.DateTimeField(blank=True, null=True, verbose_name="next try")),
                ("status_code", models.PositiveSmallIntegerField(blank=True, null=True, verbose_name="status")),
                ("answer", models.TextField(blank=True, verbose_name="answer")),
                ("error", models.CharField(blank=True, max_length=255, verbose_name="error")),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="made")),
                ("tried_at", models.DateTimeField(blank=True, null=True, verbose_name="last try")),
                ("finished_at", models.DateTimeField(blank=True, null=True, verbose_name="finished")),
                (
                    "action",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="deliveries",
                        to="profiles.action",
                        verbose_name="action",
                    ),
                ),
                (
                    "profile",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="profiles.profile",
                        verbose_name="profile",
                    ),
                ),
                (
                    "event",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deliveries",
                        to="profiles.event",
                        verbose_name="event",
                    ),
                ),
                (
                    "target",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="deliveries",
                        to="profiles.target",
                        verbose_name="target",
                    ),
                ),
                (
                    "webhook",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="deliveries",
                        to="profiles.webhook",
                        verbose_name="webhook",
                    ),
                ),
            ],
            options={
                "verbose_name": "delivery",
                "verbose_name_plural": "deliveries",
                "ordering": ["-pk"],
                "default_permissions": ("view", "change"),
            },
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["profile", "-id"], name="event_by_profile"),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["created_at"], name="event_by_time"),
        ),
        migrations.AddIndex(
            model_name="action",
            index=models.Index(fields=["reaction", "sort_order", "id"], name="action_by_reaction"),
        ),
        migrations.AddIndex(
            model_name="webhook",
            index=models.Index(condition=models.Q(("is_active", True)), fields=["trigger"], name="webhook_listening"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["state", "-id"], name="delivery_by_state"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["target", "state", "id"], name="delivery_by_target"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["profile", "-id"], name="delivery_by_profile"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("state", "waiting")), fields=["target", "profile", "id"], name="delivery_waiting"
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["created_at"], name="delivery_by_time"),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.UniqueConstraint(fields=("event", "webhook"), name="unique_together_event_webhook"),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.UniqueConstraint(fields=("event", "action"), name="unique_together_event_action"),
        ),
    ]
