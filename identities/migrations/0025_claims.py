"""What customers claim to be theirs, counted where no identity's id will ever be, and who decides on it."""

from __future__ import annotations

from typing import Any

import django.db.models.deletion
import django.utils.timezone
from django.apps import apps as live_apps
from django.conf import settings
from django.contrib.auth.management import create_permissions
from django.db import migrations, models

FIRST = """
    ALTER TABLE identities_identityclaim ALTER COLUMN id
    SET MINVALUE 4503599627370496 SET START WITH 4503599627370496 RESTART
"""


def grant(apps: Any, schema_editor: Any) -> None:
    # Permissions are made after all migrations have run, which is too late for this one.
    create_permissions(live_apps.get_app_config("identities"), apps=apps, verbosity=0)
    permissions = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="identities")
    viewed = permissions.filter(codename="view_identityclaim")
    decided = permissions.filter(codename="decide_identityclaim")
    for group in apps.get_model("auth", "Group").objects.filter(name__in=["Reader", "Editor", "Admin"]):
        group.permissions.add(*viewed, *([] if group.name == "Reader" else decided))


class Migration(migrations.Migration):
    dependencies = [
        ("identities", "0024_what_tokens_must_not_outlive"),
        ("profiles", "0013_what_is_left_of_a_balance"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="IdentityClaim",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("handle", models.CharField(max_length=64, verbose_name="handle")),
                ("identifier", models.CharField(max_length=255, verbose_name="identifier")),
                ("original", models.CharField(blank=True, editable=False, max_length=512, verbose_name="as received")),
                ("token_name", models.CharField(blank=True, max_length=255, verbose_name="token")),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="claimed"),
                ),
                (
                    "updated_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="updated"),
                ),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="by",
                    ),
                ),
                (
                    "named",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="profiles.profile",
                        verbose_name="claimed for",
                    ),
                ),
                (
                    "profile",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="claims",
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
                "verbose_name": "identity claim",
                "verbose_name_plural": "identity claims",
                "ordering": ["-pk"],
                "permissions": [("decide_identityclaim", "Can confirm and refuse identity claims")],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["handle", "identifier"], name="claim_by_pair"),
                    models.Index(fields=["handle", "-id"], include=("source",), name="claim_by_handle"),
                    models.Index(
                        condition=models.Q(("source__isnull", False)),
                        fields=["source", "-id"],
                        include=("handle",),
                        name="claim_by_source",
                    ),
                    models.Index(
                        condition=models.Q(("source__isnull", True)),
                        fields=["-id"],
                        include=("handle",),
                        name="claim_by_staff",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("profile", "handle", "identifier"), name="claimed_once_per_profile"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("handle__in", ["email", "mobile_phone"])),
                        fields=("profile", "handle"),
                        name="one_claimed_contact_per_profile",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("identifier", ""), _negated=True), name="claim_identifier_not_empty"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("id__gte", 4503599627370496)), name="claim_ids_are_no_identity_ids"
                    ),
                ],
            },
        ),
        # Going back drops the table, and the count with it.
        migrations.RunSQL(FIRST, migrations.RunSQL.noop),
        # Going back leaves the permissions where they are; nothing asks for them then.
        migrations.RunPython(grant, migrations.RunPython.noop),
    ]
