"""Rows of a profile in the order in which they are listed. Built without holding up whoever writes them."""

from __future__ import annotations

import django.db.models.deletion
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("profiles", "0003_audit_by_account")]

    operations = [
        RemoveIndexConcurrently(
            model_name="profile",
            name="profile_by_rare_type",
        ),
        RemoveIndexConcurrently(
            model_name="profile",
            name="profile_locked",
        ),
        AddIndexConcurrently(
            model_name="audit",
            index=models.Index(fields=["profile", "-id"], name="audit_by_profile"),
        ),
        AddIndexConcurrently(
            model_name="move",
            index=models.Index(fields=["from_profile", "-id"], name="move_by_former_profile"),
        ),
        AddIndexConcurrently(
            model_name="move",
            index=models.Index(fields=["to_profile", "-id"], name="move_by_profile"),
        ),
        AddIndexConcurrently(
            model_name="profile",
            index=models.Index(
                condition=models.Q(("profile_type", "active"), _negated=True),
                fields=["profile_type", "id"],
                include=("locked",),
                name="profile_by_rare_type",
            ),
        ),
        AddIndexConcurrently(
            model_name="profile",
            index=models.Index(
                condition=models.Q(("locked", True)), fields=["id"], include=("profile_type",), name="profile_locked"
            ),
        ),
        migrations.AlterField(
            model_name="audit",
            name="profile",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="audits",
                to="profiles.profile",
                verbose_name="profile",
            ),
        ),
        migrations.AlterField(
            model_name="move",
            name="from_profile",
            field=models.ForeignKey(
                db_index=False,
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
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="moves_to",
                to="profiles.profile",
                verbose_name="to",
            ),
        ),
    ]
