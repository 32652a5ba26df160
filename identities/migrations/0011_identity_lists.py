"""Identities in the order of every list that a filter leads to. Built without holding up whoever writes them."""

from __future__ import annotations

import django.db.models.deletion
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("identities", "0010_former_names"), ("profiles", "0004_newest_first")]

    operations = [
        RemoveIndexConcurrently(
            model_name="identity",
            name="identity_by_handle",
        ),
        RemoveIndexConcurrently(
            model_name="identity",
            name="identity_inactive",
        ),
        AddIndexConcurrently(
            model_name="identity",
            index=models.Index(fields=["profile", "-id"], name="identity_by_profile"),
        ),
        AddIndexConcurrently(
            model_name="identity",
            index=models.Index(fields=["handle", "-id"], include=("source", "is_active"), name="identity_by_handle"),
        ),
        AddIndexConcurrently(
            model_name="identity",
            index=models.Index(
                condition=models.Q(("source__isnull", False)),
                fields=["source", "-id"],
                include=("handle", "is_active"),
                name="identity_by_source",
            ),
        ),
        AddIndexConcurrently(
            model_name="identity",
            index=models.Index(
                condition=models.Q(("source__isnull", True)),
                fields=["-id"],
                include=("handle", "is_active"),
                name="identity_by_staff",
            ),
        ),
        AddIndexConcurrently(
            model_name="identity",
            index=models.Index(
                condition=models.Q(("is_active", False)),
                fields=["id"],
                include=("handle", "source"),
                name="identity_inactive",
            ),
        ),
        migrations.AlterField(
            model_name="identity",
            name="profile",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="identities",
                to="profiles.profile",
                verbose_name="profile",
            ),
        ),
        migrations.AlterField(
            model_name="identity",
            name="source",
            field=models.ForeignKey(
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
    ]
