"""System checks: what cannot be right in any installation is said at start, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, register
from django.db import models

from profiles.models import CustomAttribute, Profile
from profiles.models.policy import DIES, MOVES_UNLESS_HELD, Policy, references_to


@register()
def references_have_policies(**kwargs: Any) -> list[CheckMessage]:
    """E001: a foreign key to Profile or Identity without a policy, whose rows a merge would leave behind (DESIGN 5).
    E002: a policy that only custom attributes can have. E003: one that the database does not keep.
    """
    return [
        message
        for target in (Profile, apps.get_model("identities", "Identity"))
        for model, name, policy in references_to(target)
        for message in _faults(target, model, name, policy)
    ]


def _faults(
    target: type[models.Model], model: type[models.Model], name: str, policy: Policy | None
) -> Iterator[CheckMessage]:
    label = f"{model._meta.label}.{name}"
    if policy is None:
        yield Error(
            f"{label} refers to {target.__name__}, and nothing says what merging does with it.",
            hint=f"Declare a Policy (profiles/models/policy.py) for '{name}' in {model.__name__}.references.",
            obj=model,
            id="profiles.E001",
        )
        return
    if policy.merge is MOVES_UNLESS_HELD and model is not CustomAttribute:
        yield Error(
            f"{label} is to move unless the survivor has one, which only custom attributes can.",
            hint="Let it move or stay: by which name one row is the same as another is not known.",
            obj=model,
            id="profiles.E002",
        )
    field = model._meta.get_field(name)
    on_delete = field.remote_field.on_delete if isinstance(field, models.ForeignKey) else None
    dies = policy.erase is DIES
    if on_delete is (models.SET_NULL if dies else models.CASCADE):
        yield Error(
            f"{label}: its on_delete does not do what its policy for erasure says.",
            hint="DIES goes with CASCADE or PROTECT, STAYS with SET_NULL.",
            obj=model,
            id="profiles.E003",
        )
