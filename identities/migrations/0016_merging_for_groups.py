"""Who reads profiles sees what was merged and what may be; who edits profiles decides it, and takes it back."""

from __future__ import annotations

from typing import Any

from django.apps import apps as live_apps
from django.contrib.auth.management import create_permissions
from django.db import migrations

VIEWED = ["view_merge", "view_duplicatepair"]
DECIDED = ["merge_profile", "unmerge_merge", "change_duplicatepair"]


def grant(apps: Any, schema_editor: Any) -> None:
    # Permissions are made after all migrations have run, which is too late for this one.
    create_permissions(live_apps.get_app_config("profiles"), apps=apps, verbosity=0)
    permissions = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="profiles")
    viewed = permissions.filter(codename__in=VIEWED)
    decided = permissions.filter(codename__in=DECIDED)
    for group in apps.get_model("auth", "Group").objects.filter(name__in=["Reader", "Editor", "Admin"]):
        group.permissions.add(*viewed, *([] if group.name == "Reader" else decided))


class Migration(migrations.Migration):
    dependencies = [("identities", "0015_idempotency_records"), ("profiles", "0008_merging")]

    operations = [migrations.RunPython(grant, migrations.RunPython.noop)]
