"""The values that ship as blocked. Compared trimmed, unquoted and in lower case, so each stands here once."""

from __future__ import annotations

from typing import Any

from django.db import migrations

EXACT = [
    "null",
    "none",
    "nil",
    "undefined",
    "nan",
    "-1",
    "n/a",
    "unknown",
    "anonymous",
    "guest",
    "test",
    "test@test.com",
    "[object object]",
]
REGEX = [("0+", "zeros"), ("-+", "dashes")]


def fill(apps: Any, schema_editor: Any) -> None:
    BlockedIdentifier = apps.get_model("identities", "BlockedIdentifier")
    reason = "What systems write when they know no identifier."
    rows = [BlockedIdentifier(kind="exact", value=value, reason=reason, built_in=True) for value in EXACT]
    rows += [
        BlockedIdentifier(kind="regex", value=value, reason=f"Only {what}.", built_in=True) for value, what in REGEX
    ]
    BlockedIdentifier.objects.bulk_create(rows)


class Migration(migrations.Migration):
    dependencies = [("identities", "0002_catalogue")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
