"""Who reads profiles reads their records, too; who edits profiles moves records from one to another."""

from __future__ import annotations

from typing import Any

from django.apps import apps as live_apps
from django.contrib.auth.management import create_permissions
from django.db import migrations

RECORDS = ["transaction", "interaction", "point", "reward"]
VIEWED = [*RECORDS, "transactionitem", "pointdefinition", "rewarddefinition", "customattribute"]


def grant(apps: Any, schema_editor: Any) -> None:
    # Permissions are made after all migrations have run, which is too late for this one.
    create_permissions(live_apps.get_app_config("profiles"), apps=apps, verbosity=0)
    permissions = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="profiles")
    viewed = permissions.filter(codename__in=[f"view_{model}" for model in VIEWED])
    changed = permissions.filter(codename__in=[f"change_{model}" for model in RECORDS])
    for group in apps.get_model("auth", "Group").objects.filter(name__in=["Reader", "Editor", "Admin"]):
        group.permissions.add(*viewed, *([] if group.name == "Reader" else changed))


class Migration(migrations.Migration):
    dependencies = [("identities", "0013_primary_by_profile"), ("profiles", "0005_records")]

    operations = [migrations.RunPython(grant, migrations.RunPython.noop)]
