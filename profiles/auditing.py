from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from django.db import models

from profiles.inserting import insert, unsaved
from profiles.models import Audit, Profile

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@dataclass(frozen=True, slots=True)
class By:
    """Who does it, and through what: the `by=` of every operation.

    The user decides nothing here (permissions are the interfaces' affair); the rest is what the audit keeps of the
    request, and stays empty for a command.
    """

    user: User
    token_name: str = ""
    url: str = ""
    ip_address: str | None = None
    user_agent: str = ""


def entry(
    event: str,
    row: models.Model,
    *,
    by: By,
    profile: Profile | None = None,
    old: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
) -> Audit:
    """Prepare the audit entry of one change; `write` stores it in the transaction of the change."""
    return unsaved(
        Audit,
        by_id=by.user.pk,
        event=event,
        auditable_type=_kind(type(row)),
        auditable_key=str(row.pk),
        profile_id=profile.pk if profile is not None else None,
        old_values=dict(old or {}),
        new_values=dict(new or {}),
        url=by.url[:512],
        ip_address=by.ip_address,
        token_name=by.token_name,
        user_agent=by.user_agent[:512],
    )


@cache
def _kind(model: type[models.Model]) -> str:
    return model._meta.verbose_name_raw.lower().replace(" ", "_")


def write(entries: Iterable[Audit]) -> None:
    insert(list(entries))
