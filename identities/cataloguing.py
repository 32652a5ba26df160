"""Keep the catalogue: what a handle is, and which values are blocked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from identities.models import Handle
from profiles import auditing
from profiles.auditing import By


def change(handle: Handle, fields: Mapping[str, Any], *, by: By) -> Handle:
    """Change what the catalogue says of a handle; from `agreed` on, who agreed to it and when stands with it.

    In: columns of Handle. Raises ValidationError where `Handle.clean()` refuses.
    """
    with transaction.atomic():
        handle = Handle.objects.select_for_update().get(pk=handle.pk)
        old = {name: getattr(handle, name) for name in fields}
        for name, value in fields.items():
            setattr(handle, name, value)
        changed = [name for name, value in old.items() if getattr(handle, name) != value]
        if "status" in changed and handle.status == Handle.Status.AGREED:
            handle.agreed_by, handle.agreed_at = by.user, timezone.now()
        handle.full_clean()
        handle.save()
        if changed:
            new = {name: getattr(handle, name) for name in changed}
            auditing.entry("updated", handle, by=by, old=_plain(old, changed), new=_plain(new, changed)).save()
    return handle


def _plain(values: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """Values as the audit can keep them: a row by its key."""
    return {name: getattr(values[name], "pk", values[name]) for name in names}
