"""All that the product stores, for asking what an operation has changed of it."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import models

# What only ever grows, or tells of merges: a merge that was undone leaves its traces there.
HISTORY = {"audit", "merge", "takenrows", "duplicatepair"}

# When it was last touched differs; a reviewed entry stays reviewed.
EXEMPT = {"updated_at", "review_status", "review_note", "reviewed_by_id", "reviewed_at"}

Tables = dict[str, dict[Any, dict[str, Any]]]


def everything() -> Tables:
    """Every row of every table of ours by its key, but for those that only tell what happened."""
    tables = {}
    for model in apps.get_models():
        if model._meta.app_label in {"profiles", "identities"} and model._meta.model_name not in HISTORY:
            tables[model._meta.label] = _rows(model)
    return tables


def _rows(model: type[models.Model]) -> dict[Any, dict[str, Any]]:
    return {row[model._meta.pk.attname]: row for row in model._base_manager.values()}


def differences(before: Tables, after: Tables) -> list[str]:
    """What differs between two states, a line for each column, row by row."""
    found = []
    for label, rows in before.items():
        others = after[label]
        for key in rows.keys() | others.keys():
            one, other = rows.get(key), others.get(key)
            if one is None or other is None:
                found.append(f"{label} {key} is {'new' if one is None else 'gone'}")
                continue
            found += [
                f"{label} {key}.{name}: {one[name]!r} became {other[name]!r}"
                for name in one
                if name not in EXEMPT and one[name] != other[name]
            ]
    return sorted(found)
