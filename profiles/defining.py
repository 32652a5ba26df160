"""Definitions of rewards: make, change and delete them, each change audited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from profiles import auditing
from profiles.auditing import By
from profiles.models import Reward, RewardDefinition
from profiles.refusing import Refused


def define(fields: Mapping[str, Any], *, by: By) -> RewardDefinition:
    """Make a definition of rewards. In: its columns. Raises Refused `definition_exists`."""
    with transaction.atomic():
        row = RewardDefinition(**fields)
        _save(row)
        auditing.write([auditing.entry("created", row, by=by, new=fields)])
        return row


def redefine(pk: int, fields: Mapping[str, Any], *, by: By) -> RewardDefinition:
    """Change the columns that are named; rewards that were given by the definition stay as they are.

    Raises RewardDefinition.DoesNotExist and Refused `definition_exists`.
    """
    with transaction.atomic():
        row = RewardDefinition.objects.select_for_update(no_key=True).get(pk=pk)
        old = {name: getattr(row, name) for name, value in fields.items() if getattr(row, name) != value}
        if old:
            new = {name: fields[name] for name in old}
            for name, value in new.items():
                setattr(row, name, value)
            row.updated_at = timezone.now()
            _save(row)
            auditing.write([auditing.entry("updated", row, by=by, old=old, new=new)])
        return row


def undefine(pk: int, *, by: By) -> None:
    """Delete a definition by which no reward was given. Raises DoesNotExist, and Refused `definition_in_use`."""
    with transaction.atomic():
        # Whoever gives a reward by it keeps it from this lock up to their commit, so that the answer stays true.
        row = RewardDefinition.objects.select_for_update().get(pk=pk)
        if Reward.objects.filter(definition=row).exists():
            message = _("Rewards were given by this definition; say is_assignable false to give no more.")
            raise Refused("definition_in_use", message)
        auditing.write([auditing.entry("deleted", row, by=by, old={"name": row.name, "handle": row.handle})])
        row.delete()


def _save(row: RewardDefinition) -> None:
    try:
        with transaction.atomic():
            row.save(force_insert=row._state.adding, force_update=not row._state.adding)
    except IntegrityError as error:
        # Nothing else of it is unique.
        raise Refused("definition_exists", _("Another definition has this handle."), field="handle") from error
