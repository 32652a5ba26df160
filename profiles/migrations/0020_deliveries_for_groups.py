"""Who reads profiles sees what is told of them and to whom; who keeps webhooks mutes targets and sends again."""

from __future__ import annotations

from typing import Any

from django.apps import apps as live_apps
from django.contrib.auth.management import create_permissions
from django.db import migrations


def grant(apps: Any, schema_editor: Any) -> None:
    # Permissions are made after all migrations have run, which is too late for this one.
    create_permissions(live_apps.get_app_config("profiles"), apps=apps, verbosity=0)
    permissions = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="profiles")
    viewed = permissions.filter(codename__in=["view_delivery", "view_target"])
    kept = permissions.filter(codename__in=["change_delivery", "change_target"])
    for group in apps.get_model("auth", "Group").objects.filter(name__in=["Reader", "Editor", "Admin"]):
        group.permissions.add(*viewed, *(kept if group.name == "Admin" else []))


class Migration(migrations.Migration):
    dependencies = [("profiles", "0019_reactions_for_groups"), ("identities", "0016_merging_for_groups")]

    operations = [migrations.RunPython(grant, migrations.RunPython.noop)]
