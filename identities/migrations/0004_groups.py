"""Three groups of staff: who reads, who edits customers, and who also keeps the catalogue, extensions and tokens."""

from __future__ import annotations

from typing import Any

from django.apps import apps as live_apps
from django.contrib.auth.management import create_permissions
from django.db import migrations

VIEWED = {
    "profiles": ["profile", "audit", "move"],
    "identities": ["identity", "handle", "blockedidentifier", "extension", "apitoken", "routinglogentry"],
}
EDITED = {
    "profiles": {"profile": ["add", "change", "delete"]},
    "identities": {"identity": ["add", "change", "delete"], "routinglogentry": ["change"]},
}
KEPT = {
    "identities": {
        "handle": ["add", "change"],
        "blockedidentifier": ["add", "change", "delete"],
        "extension": ["add", "change"],
        "apitoken": ["add", "change"],
    },
}


def fill(apps: Any, schema_editor: Any) -> None:
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    # Permissions are made after all migrations have run, which is too late for this one.
    for label in VIEWED:
        create_permissions(live_apps.get_app_config(label), apps=apps, verbosity=0)

    def permissions(kinds: dict[str, dict[str, list[str]]]) -> list[Any]:
        return [
            Permission.objects.get(
                content_type__app_label=label, content_type__model=model, codename=f"{action}_{model}"
            )
            for label, models in kinds.items()
            for model, actions in models.items()
            for action in actions
        ]

    viewed = permissions({label: {model: ["view"] for model in models} for label, models in VIEWED.items()})
    edited = permissions(EDITED)
    Group.objects.create(name="Reader").permissions.set(viewed)
    Group.objects.create(name="Editor").permissions.set(viewed + edited)
    Group.objects.create(name="Admin").permissions.set(viewed + edited + permissions(KEPT))


class Migration(migrations.Migration):
    dependencies = [
        ("identities", "0003_blocked_identifiers"),
        ("profiles", "0001_initial"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
