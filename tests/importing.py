"""Files that are brought in, and all that is stored afterwards, whatever keys it got."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import models, transaction

from identities.models import DeletedIdentity, Handle, Identity, ImportRun, RoutingLogEntry
from profiles.models import Audit, CustomAttribute, DuplicatePair, Merge, Move, Profile, TakenRows

TABLES: list[type[models.Model]] = [
    Profile, Identity, RoutingLogEntry, CustomAttribute, DuplicatePair, Merge, TakenRows, Move, DeletedIdentity, Audit,
]  # fmt: skip

# Times, what tells of the request, and what is worked out from keys.
LEFT_OUT = re.compile(r"(.*_)?at|url|ip_address|token_name|user_agent|fingerprint|marks|evidence|keys|plan|fields")
# Where the key of an identity stands in a column that is none of its own.
KEYS = {"key", "brought_by_key", "auditable_key", "subject_key"}


@contextmanager
def taken_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def state() -> dict[str, list[Any]]:
    """Every row of the tables, where keys say only who is who: the first profile, the second identity."""
    words: dict[str, str] = {}
    numbers: dict[type[models.Model], dict[int, str]] = {}
    for model in TABLES:
        for number, key in enumerate(model._base_manager.order_by("pk").values_list("pk", flat=True), start=1):
            if model is Profile:
                words[str(key)] = f"P{number}"
            else:
                numbers.setdefault(model, {})[key] = f"{model.__name__}{number}"

    def told(row: models.Model) -> dict[str, Any]:
        values = {}
        for field in row._meta.concrete_fields:
            value = getattr(row, field.attname)
            if LEFT_OUT.fullmatch(field.attname) or (field.primary_key and type(row) is not Profile):
                continue
            if field.related_model in numbers:
                value = numbers[field.related_model].get(value)
            elif field.attname in KEYS and str(value).isdigit():
                of = CustomAttribute if getattr(row, "auditable_type", "") == "custom_attribute" else Identity
                value = numbers.get(of, {}).get(int(value), "gone")
            values[field.attname] = value
        text = json.dumps(values, default=str, sort_keys=True)
        told: dict[str, Any] = json.loads(
            re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", lambda id: words.get(id[0], id[0]), text)
        )
        return told

    audits = Audit.objects.exclude(event="imported").order_by("pk")
    return {
        **{model.__name__: [told(row) for row in model._base_manager.order_by("pk")] for model in TABLES},
        "Audit": [told(row) for row in audits],
        "Handle": list(Handle.objects.order_by("pk").values_list("pk", "status")),
    }


def brought_in(path: Path, rows: list[dict[str, Any]], *options: str) -> ImportRun:
    """Write the rows to a file, and bring that in."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return bring_in(path, *options)


def bring_in(path: Path, *options: str) -> ImportRun:
    """Bring a file in. Returns its last run."""
    try:
        call_command("import_identities", str(path), *options, verbosity=0)
    except SystemExit as end:
        assert end.code == 1
    return ImportRun.objects.filter(path=str(path)).latest("pk")


def errors_of(path: Path) -> str:
    """What did not come in of a file."""
    errors = path.with_name(f"{path.name}.errors{path.suffix}")
    return errors.read_text() if errors.exists() else ""
