"""Looking at a masked identifier is a permission of its own, which the groups that edit customers get."""

from __future__ import annotations

from typing import Any

from django.apps import apps as live_apps
from django.contrib.auth.management import create_permissions
from django.db import migrations


def grant(apps: Any, schema_editor: Any) -> None:
    # Permissions are made after all migrations have run, which is too late for this one.
    create_permissions(live_apps.get_app_config("identities"), apps=apps, verbosity=0)
    reveal = apps.get_model("auth", "Permission").objects.get(
        content_type__app_label="identities", codename="reveal_identity"
    )
    for group in apps.get_model("auth", "Group").objects.filter(name__in=["Editor", "Admin"]):
        group.permissions.add(reveal)


class Migration(migrations.Migration):
    dependencies = [("identities", "0004_groups")]

    operations = [
        migrations.AlterModelOptions(
            name="identity",
            options={
                "ordering": ["-pk"],
                "permissions": [("reveal_identity", "Can reveal sensitive identifiers")],
                "verbose_name": "identity",
                "verbose_name_plural": "identities",
            },
        ),
        # Going back leaves the permission where it is; nothing asks for it then.
        migrations.RunPython(grant, migrations.RunPython.noop),
    ]
