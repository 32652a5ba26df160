"""What a profile has done and may spend: records, and custom attributes. A record may move from and to nobody."""

from __future__ import annotations

from typing import Any

import django.core.serializers.json
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import profiles.models.record


def first_point_definition(apps: Any, schema_editor: Any) -> None:
    """The one of API.md 4, with the id 1."""
    apps.get_model("profiles", "PointDefinition").objects.create(name="Points", handle="points")


class Migration(migrations.Migration):
    dependencies = [
        ("identities", "0013_primary_by_profile"),
        ("profiles", "0004_newest_first"),
    ]

    operations = [
        migrations.CreateModel(
            name="PointDefinition",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=255, verbose_name="name")),
                ("handle", models.CharField(max_length=255, unique=True, verbose_name="handle")),
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
                "verbose_name": "point definition",
                "verbose_name_plural": "point definitions",
                "ordering": ["pk"],
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="RewardDefinition",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=255, verbose_name="name")),
                ("handle", models.CharField(max_length=255, unique=True, verbose_name="handle")),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="created"),
                ),
                (
                    "updated_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="updated"),
                ),
                (
                    "value",
                    profiles.models.record.Amount(decimal_places=6, default=0, max_digits=19, verbose_name="value"),
                ),
                ("period", models.JSONField(blank=True, null=True, verbose_name="period")),
                ("period_type", models.CharField(blank=True, max_length=64, verbose_name="period type")),
                ("type", models.CharField(blank=True, max_length=64, verbose_name="type")),
                ("is_assignable", models.BooleanField(default=True, verbose_name="assignable")),
                ("is_published", models.BooleanField(default=True, verbose_name="published")),
            ],
            options={
                "verbose_name": "reward definition",
                "verbose_name_plural": "reward definitions",
                "ordering": ["pk"],
                "abstract": False,
            },
        ),
        migrations.AlterField(
            model_name="move",
            name="cause",
            field=models.CharField(
                choices=[
                    ("asked", "asked for"),
                    ("released", "taken over from a deleted profile"),
                    ("decided", "decided in the routing log"),
                ],
                default="asked",
                max_length=16,
                verbose_name="cause",
            ),
        ),
        migrations.AlterField(
            model_name="move",
            name="from_profile",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="moves_from",
                to="profiles.profile",
                verbose_name="from",
            ),
        ),
        migrations.AlterField(
            model_name="move",
            name="to_profile",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="moves_to",
                to="profiles.profile",
                verbose_name="to",
            ),
        ),
        migrations.CreateModel(
            name="Transaction",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("brought_by_handle", models.CharField(blank=True, editable=False, max_length=64)),
                ("brought_by_identifier", models.CharField(blank=True, editable=False, max_length=255)),
                (
                    "decided_by",
                    models.CharField(
                        choices=[
                            ("identity", "an identity that was known"),
                            ("id", "the profile id that was named"),
                            ("contact", "an e-mail address or phone number"),
                            ("new", "nothing known: a profile was made for it"),
                            ("nobody", "nothing that names anybody"),
                        ],
                        editable=False,
                        max_length=16,
                        verbose_name="decided by",
                    ),
                ),
                (
                    "addressed",
                    models.UUIDField(
                        blank=True,
                        editable=False,
                        help_text="The profile id that the caller named.",
                        null=True,
                        verbose_name="addressed",
                    ),
                ),
                (
                    "pairs",
                    models.JSONField(
                        blank=True,
                        default=list,
                        editable=False,
                        help_text="The identities as they were sent.",
                        verbose_name="pairs",
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="created"),
                ),
                (
                    "updated_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="updated"),
                ),
                ("tags", models.JSONField(blank=True, default=list, verbose_name="tags")),
                (
                    "meta",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        encoder=django.core.serializers.json.DjangoJSONEncoder,
                        verbose_name="meta",
                    ),
                ),
                ("external_id", models.CharField(blank=True, max_length=255, verbose_name="external id")),
                ("receipt_ref", models.CharField(blank=True, max_length=255, verbose_name="receipt")),
                ("total", profiles.models.record.Amount(decimal_places=6, max_digits=19, verbose_name="total")),
                (
                    "total_original",
                    profiles.models.record.Amount(
                        blank=True, decimal_places=6, max_digits=19, null=True, verbose_name="original total"
                    ),
                ),
                ("is_void", models.BooleanField(default=False, verbose_name="void")),
                ("transacted_at", models.DateTimeField(verbose_name="transacted")),
                ("timezone", models.CharField(max_length=64, verbose_name="time zone")),
                ("location_id", models.JSONField(blank=True, null=True, verbose_name="location")),
                ("staff_id", models.JSONField(blank=True, null=True, verbose_name="member of staff")),
                (
                    "systems",
                    models.JSONField(
                        blank=True,
                        default=list,
                        encoder=django.core.serializers.json.DjangoJSONEncoder,
                        verbose_name="systems",
                    ),
                ),
                (
                    "payments",
                    models.JSONField(
                        blank=True,
                        default=list,
                        encoder=django.core.serializers.json.DjangoJSONEncoder,
                        verbose_name="payments",
                    ),
                ),
                (
                    "brought_by",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="identities.identity",
                        verbose_name="brought by",
                    ),
                ),
                (
                    "log_entry",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="identities.routinglogentry",
                        verbose_name="routing log entry",
                    ),
                ),
                (
                    "profile",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="%(class)ss",
                        to="profiles.profile",
                        verbose_name="profile",
                    ),
                ),
                (
                    "source",
                    models.ForeignKey(
                        blank=True,
                        db_column="source",
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="identities.extension",
                        verbose_name="source",
                    ),
                ),
            ],
            options={
                "verbose_name": "transaction",
                "verbose_name_plural": "transactions",
                "ordering": ["-pk"],
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="TransactionItem",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.PositiveIntegerField(verbose_name="position")),
                ("name", models.CharField(max_length=255, verbose_name="name")),
                ("quantity", profiles.models.record.Amount(decimal_places=6, max_digits=19, verbose_name="quantity")),
                (
                    "price_current",
                    profiles.models.record.Amount(decimal_places=6, max_digits=19, verbose_name="current price"),
                ),
                (
                    "price_sell",
                    profiles.models.record.Amount(decimal_places=6, max_digits=19, verbose_name="selling price"),
                ),
                (
                    "extra",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        encoder=django.core.serializers.json.DjangoJSONEncoder,
                        verbose_name="extra",
                    ),
                ),
                (
                    "transaction",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="items",
                        to="profiles.transaction",
                        verbose_name="transaction",
                    ),
                ),
            ],
            options={
                "verbose_name": "transaction item",
                "verbose_name_plural": "transaction items",
                "ordering": ["transaction", "position"],
            },
        ),
        migrations.CreateModel(
            name="CustomAttribute",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("namespace", models.CharField(max_length=128, verbose_name="namespace")),
                ("handle", models.CharField(max_length=128, verbose_name="handle")),
                (
                    "type",
                    models.CharField(
                        choices=[
                            ("string", "text"),
                            ("integer", "whole number"),
                            ("decimal", "number"),
                            ("boolean", "yes or no"),
                            ("date", "date"),
                            ("datetime", "time"),
                            ("json", "JSON"),
                        ],
                        max_length=16,
                        verbose_name="type",
                    ),
                ),
                ("value", models.JSONField(verbose_name="value")),
                ("text", models.CharField(blank=True, editable=False, max_length=255)),
                ("brought_by_handle", models.CharField(blank=True, editable=False, max_length=64)),
                ("brought_by_identifier", models.CharField(blank=True, editable=False, max_length=255)),
                ("addressed", models.UUIDField(blank=True, editable=False, null=True, verbose_name="addressed")),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="created"),
                ),
                (
                    "updated_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="updated"),
                ),
                (
                    "brought_by",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="identities.identity",
                        verbose_name="brought by",
                    ),
                ),
                (
                    "profile",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="custom_attributes",
                        to="profiles.profile",
                        verbose_name="profile",
                    ),
                ),
                (
                    "source",
                    models.ForeignKey(
                        blank=True,
                        db_column="source",
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="identities.extension",
                        verbose_name="source",
                    ),
                ),
            ],
            options={
                "verbose_name": "custom attribute",
                "verbose_name_plural": "custom attributes",
                "ordering": ["namespace", "handle"],
                "indexes": [
                    models.Index(fields=["namespace", "handle", "text", "profile"], name="custom_attribute_by_value"),
                    models.Index(
                        condition=models.Q(("brought_by__isnull", False)),
                        fields=["brought_by"],
                        name="custom_attribute_by_brought_by",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("profile", "namespace", "handle"), name="unique_custom_attribute_of_profile"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Interaction",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("brought_by_handle", models.CharField(blank=True, editable=False, max_length=64)),
                ("brought_by_identifier", models.CharField(blank=True, editable=False, max_length=255)),
                (
                    "decided_by",
                    models.CharField(
                        choices=[
                            ("identity", "an identity that was known"),
                            ("id", "the profile id that was named"),
                            ("contact", "an e-mail address or phone number"),
                            ("new", "nothing known: a profile was made for it"),
                            ("nobody", "nothing that names anybody"),
                        ],
                        editable=False,
                        max_length=16,
                        verbose_name="decided by",
                    ),
                ),
                (
                    "addressed",
                    models.UUIDField(
                        blank=True,
                        editable=False,
                        help_text="The profile id that the caller named.",
                        null=True,
                        verbose_name="addressed",
                    ),
                ),
                (
                    "pairs",
                    models.JSONField(
                        blank=True,
                        default=list,
                        editable=False,
                        help_text="The identities as they were sent.",
                        verbose_name="pairs",
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="created"),
                ),
                (
                    "updated_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="updated"),
                ),
                ("tags", models.JSONField(blank=True, default=list, verbose_name="tags")),
                (
                    "meta",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        encoder=django.core.serializers.json.DjangoJSONEncoder,
                        verbose_name="meta",
                    ),
                ),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("broadcast", "broadcast"),
                            ("disclose", "disclose"),
                            ("feedback", "feedback"),
                            ("product", "product"),
                            ("reach", "reach"),
                            ("refer", "refer"),
                            ("service", "service"),
                            ("visit", "visit"),
                            ("view", "view"),
                        ],
                        max_length=16,
                        verbose_name="action",
                    ),
                ),
                (
                    "channel",
                    models.CharField(
                        choices=[
                            ("app", "app"),
                            ("email", "e-mail"),
                            ("location", "location"),
                            ("push", "push message"),
                            ("sms", "text message"),
                            ("social", "social"),
                            ("support", "support"),
                            ("website", "website"),
                        ],
                        max_length=16,
                        verbose_name="channel",
                    ),
                ),
                (
                    "signal",
                    models.SmallIntegerField(
                        choices=[(-1, "negative"), (0, "neutral"), (1, "positive")], verbose_name="signal"
                    ),
                ),
                ("name", models.CharField(max_length=255, verbose_name="name")),
                ("namespace", models.CharField(max_length=255, verbose_name="namespace")),
                ("interacted_at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="interacted")),
                ("url", models.CharField(blank=True, max_length=2048, verbose_name="URL")),
                ("description", models.TextField(blank=True, verbose_name="description")),
                (
                    "brought_by",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="identities.identity",
                        verbose_name="brought by",
                    ),
                ),
                (
                    "log_entry",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="identities.routinglogentry",
                        verbose_name="routing log entry",
                    ),
                ),
                (
                    "profile",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="%(class)ss",
                        to="profiles.profile",
                        verbose_name="profile",
                    ),
                ),
                (
                    "source",
                    models.ForeignKey(
                        blank=True,
                        db_column="source",
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="identities.extension",
                        verbose_name="source",
                    ),
                ),
            ],
            options={
                "verbose_name": "interaction",
                "verbose_name_plural": "interactions",
                "ordering": ["-pk"],
                "abstract": False,
                "indexes": [
                    models.Index(
                        condition=models.Q(("brought_by__isnull", False)),
                        fields=["brought_by"],
                        name="interaction_by_brought_by",
                    ),
                    models.Index(
                        condition=models.Q(("log_entry__isnull", False)),
                        fields=["log_entry"],
                        name="interaction_by_log_entry",
                    ),
                    models.Index(
                        condition=models.Q(("source__isnull", False)),
                        fields=["source", "-id"],
                        include=("profile",),
                        name="interaction_by_source",
                    ),
                    models.Index(
                        condition=models.Q(("source__isnull", True)),
                        fields=["-id"],
                        include=("profile",),
                        name="interaction_by_staff",
                    ),
                    models.Index(
                        fields=["created_at", "id"], include=("profile", "source"), name="interaction_by_created"
                    ),
                    models.Index(fields=["profile", "-interacted_at", "-id"], name="interaction_of_profile"),
                    models.Index(
                        fields=["interacted_at", "id"], include=("profile", "source"), name="interaction_by_time"
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("signal__in", (-1, 0, 1))), name="interaction_signal_minus_1_to_1"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Point",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("brought_by_handle", models.CharField(blank=True, editable=False, max_length=64)),
                ("brought_by_identifier", models.CharField(blank=True, editable=False, max_length=255)),
                (
                    "decided_by",
                    models.CharField(
                        choices=[
                            ("identity", "an identity that was known"),
                            ("id", "the profile id that was named"),
                            ("contact", "an e-mail address or phone number"),
                            ("new", "nothing known: a profile was made for it"),
                            ("nobody", "nothing that names anybody"),
                        ],
                        editable=False,
                        max_length=16,
                        verbose_name="decided by",
                    ),
                ),
                (
                    "addressed",
                    models.UUIDField(
                        blank=True,
                        editable=False,
                        help_text="The profile id that the caller named.",
                        null=True,
                        verbose_name="addressed",
                    ),
                ),
                (
                    "pairs",
                    models.JSONField(
                        blank=True,
                        default=list,
                        editable=False,
                        help_text="The identities as they were sent.",
                        verbose_name="pairs",
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="created"),
                ),
                (
                    "updated_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="updated"),
                ),
                (
                    "value_initial",
                    profiles.models.record.Amount(decimal_places=6, max_digits=19, verbose_name="initial value"),
                ),
                (
                    "value_remaining",
                    profiles.models.record.Amount(decimal_places=6, max_digits=19, verbose_name="remaining value"),
                ),
                ("issued_at", models.DateTimeField(verbose_name="issued")),
                ("expires_at", models.DateTimeField(blank=True, null=True, verbose_name="expires")),
                ("meta", models.JSONField(blank=True, default=dict, verbose_name="meta")),
                (
                    "brought_by",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="identities.identity",
                        verbose_name="brought by",
                    ),
                ),
                (
                    "log_entry",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="identities.routinglogentry",
                        verbose_name="routing log entry",
                    ),
                ),
                (
                    "profile",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="%(class)ss",
                        to="profiles.profile",
                        verbose_name="profile",
                    ),
                ),
                (
                    "source",
                    models.ForeignKey(
                        blank=True,
                        db_column="source",
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="identities.extension",
                        verbose_name="source",
                    ),
                ),
                (
                    "definition",
                    models.ForeignKey(
                        default=1,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="points",
                        to="profiles.pointdefinition",
                        verbose_name="definition",
                    ),
                ),
            ],
            options={
                "verbose_name": "points",
                "verbose_name_plural": "points",
                "ordering": ["-pk"],
                "abstract": False,
                "indexes": [
                    models.Index(
                        condition=models.Q(("brought_by__isnull", False)),
                        fields=["brought_by"],
                        name="point_by_brought_by",
                    ),
                    models.Index(
                        condition=models.Q(("log_entry__isnull", False)),
                        fields=["log_entry"],
                        name="point_by_log_entry",
                    ),
                    models.Index(
                        condition=models.Q(("source__isnull", False)),
                        fields=["source", "-id"],
                        include=("profile",),
                        name="point_by_source",
                    ),
                    models.Index(
                        condition=models.Q(("source__isnull", True)),
                        fields=["-id"],
                        include=("profile",),
                        name="point_by_staff",
                    ),
                    models.Index(fields=["created_at", "id"], include=("profile", "source"), name="point_by_created"),
                    models.Index(
                        fields=["profile", "expires_at"], include=("value_remaining",), name="point_balance_of_profile"
                    ),
                    models.Index(fields=["profile", "-id"], name="point_of_profile"),
                    models.Index(fields=["issued_at", "id"], include=("profile", "source"), name="point_by_issued"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Reward",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("brought_by_handle", models.CharField(blank=True, editable=False, max_length=64)),
                ("brought_by_identifier", models.CharField(blank=True, editable=False, max_length=255)),
                (
                    "decided_by",
                    models.CharField(
                        choices=[
                            ("identity", "an identity that was known"),
                            ("id", "the profile id that was named"),
                            ("contact", "an e-mail address or phone number"),
                            ("new", "nothing known: a profile was made for it"),
                            ("nobody", "nothing that names anybody"),
                        ],
                        editable=False,
                        max_length=16,
                        verbose_name="decided by",
                    ),
                ),
                (
                    "addressed",
                    models.UUIDField(
                        blank=True,
                        editable=False,
                        help_text="The profile id that the caller named.",
                        null=True,
                        verbose_name="addressed",
                    ),
                ),
                (
                    "pairs",
                    models.JSONField(
                        blank=True,
                        default=list,
                        editable=False,
                        help_text="The identities as they were sent.",
                        verbose_name="pairs",
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="created"),
                ),
                (
                    "updated_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="updated"),
                ),
                (
                    "value_initial",
                    profiles.models.record.Amount(decimal_places=6, max_digits=19, verbose_name="initial value"),
                ),
                (
                    "value_remaining",
                    profiles.models.record.Amount(decimal_places=6, max_digits=19, verbose_name="remaining value"),
                ),
                ("issued_at", models.DateTimeField(verbose_name="issued")),
                ("expires_at", models.DateTimeField(blank=True, null=True, verbose_name="expires")),
                ("timezone", models.CharField(max_length=64, verbose_name="time zone")),
                (
                    "brought_by",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="identities.identity",
                        verbose_name="brought by",
                    ),
                ),
                (
                    "log_entry",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="identities.routinglogentry",
                        verbose_name="routing log entry",
                    ),
                ),
                (
                    "profile",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="%(class)ss",
                        to="profiles.profile",
                        verbose_name="profile",
                    ),
                ),
                (
                    "source",
                    models.ForeignKey(
                        blank=True,
                        db_column="source",
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="identities.extension",
                        verbose_name="source",
                    ),
                ),
                (
                    "definition",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rewards",
                        to="profiles.rewarddefinition",
                        verbose_name="definition",
                    ),
                ),
            ],
            options={
                "verbose_name": "reward",
                "verbose_name_plural": "rewards",
                "ordering": ["-pk"],
                "abstract": False,
                "indexes": [
                    models.Index(
                        condition=models.Q(("brought_by__isnull", False)),
                        fields=["brought_by"],
                        name="reward_by_brought_by",
                    ),
                    models.Index(
                        condition=models.Q(("log_entry__isnull", False)),
                        fields=["log_entry"],
                        name="reward_by_log_entry",
                    ),
                    models.Index(
                        condition=models.Q(("source__isnull", False)),
                        fields=["source", "-id"],
                        include=("profile",),
                        name="reward_by_source",
                    ),
                    models.Index(
                        condition=models.Q(("source__isnull", True)),
                        fields=["-id"],
                        include=("profile",),
                        name="reward_by_staff",
                    ),
                    models.Index(fields=["created_at", "id"], include=("profile", "source"), name="reward_by_created"),
                    models.Index(
                        fields=["profile", "expires_at"],
                        include=("value_remaining",),
                        name="reward_balance_of_profile",
                    ),
                    models.Index(fields=["profile", "-id"], name="reward_of_profile"),
                    models.Index(fields=["issued_at", "id"], include=("profile", "source"), name="reward_by_issued"),
                ],
            },
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(
                condition=models.Q(("brought_by__isnull", False)),
                fields=["brought_by"],
                name="transaction_by_brought_by",
            ),
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(
                condition=models.Q(("log_entry__isnull", False)), fields=["log_entry"], name="transaction_by_log_entry"
            ),
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(
                condition=models.Q(("source__isnull", False)),
                fields=["source", "-id"],
                include=("profile",),
                name="transaction_by_source",
            ),
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(
                condition=models.Q(("source__isnull", True)),
                fields=["-id"],
                include=("profile",),
                name="transaction_by_staff",
            ),
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(
                fields=["created_at", "id"], include=("profile", "source"), name="transaction_by_created"
            ),
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(
                fields=["profile", "-transacted_at", "-id"],
                include=("total", "is_void"),
                name="transaction_of_profile",
            ),
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(
                fields=["transacted_at", "id"], include=("profile", "source"), name="transaction_by_time"
            ),
        ),
        migrations.AddConstraint(
            model_name="transaction",
            constraint=models.UniqueConstraint(
                condition=models.Q(("external_id", ""), _negated=True),
                fields=("external_id", "source"),
                name="unique_transaction_per_source",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="transactionitem",
            constraint=models.UniqueConstraint(fields=("transaction", "position"), name="unique_item_position"),
        ),
        migrations.RunPython(first_point_definition, migrations.RunPython.noop),
    ]
