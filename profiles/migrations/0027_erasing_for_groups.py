"""Only who keeps everything else may erase profiles and let identities in again; who reads sees what is kept out."""

from __future__ import annotations

from typing import Any

from django.apps import apps as live_apps
from django.contrib.auth.management import create_permissions
from django.db import migrations

VIEWED = ["view_erasedpair"]
ERASED = ["erase_profile", "delete_erasedpair"]


def grant(apps: Any, schema_editor: Any) -> None:
    # Permissions are made after all migrations have run, which is too late for this one.
    for label in ("profiles", "identities"):
        create_permissions(live_apps.get_app_config(label), apps=apps, verbosity=0)
    permissions = apps.get_model("auth", "Permission").objects.filter(
        content_type__app_label__in=["profiles", "identities"]
    )
    viewed, erased = permissions.filter(codename__in=VIEWED), permissions.filter(codename__in=ERASED)
    for group in apps.get_model("auth", "Group").objects.filter(name__in=["Reader", "Editor", "Admin"]):
        group.permissions.add(*viewed, *(erased if group.name == "Admin" else []))


class Migration(migrations.Migration):
    dependencies = [("profiles", "0026_erased_identities"), ("identities", "0028_erased_pairs")]

    operations = [migrations.RunPython(grant, migrations.RunPython.noop)]
