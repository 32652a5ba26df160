"""Who reads profiles sees who listens to them; who keeps extensions and tokens keeps webhooks and reactions, too."""

from __future__ import annotations

from typing import Any

from django.apps import apps as live_apps
from django.contrib.auth.management import create_permissions
from django.db import migrations

MODELS = ["webhook", "reaction", "action"]


def grant(apps: Any, schema_editor: Any) -> None:
    # Permissions are made after all migrations have run, which is too late for this one.
    create_permissions(live_apps.get_app_config("profiles"), apps=apps, verbosity=0)
    permissions = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="profiles")
    viewed = permissions.filter(codename__in=[f"view_{model}" for model in MODELS])
    kept = permissions.filter(
        codename__in=[f"{verb}_{model}" for verb in ("add", "change", "delete") for model in MODELS]
    )
    for group in apps.get_model("auth", "Group").objects.filter(name__in=["Reader", "Editor", "Admin"]):
        group.permissions.add(*viewed, *(kept if group.name == "Admin" else []))


class Migration(migrations.Migration):
    dependencies = [("profiles", "0017_what_an_event_failed_at"), ("identities", "0016_merging_for_groups")]

    operations = [migrations.RunPython(grant, migrations.RunPython.noop)]
