"""What refers to a profile or an identity must say what merging does with it; what says so, moves and comes home."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.db import connection, models

from identities.models import Identity
from profiles import merging
from profiles.auditing import By
from profiles.models import CustomAttribute, Profile
from profiles.models.policy import MENTION, MOVES_UNLESS_HELD, OF_PROFILE, Policy, references_to
from profiles.models.policy import MOVES as MOVES_ALONG
from tests.cast import merge, undo

Referring = Callable[..., type[models.Model]]


@pytest.fixture
def referring() -> Iterator[Referring]:
    """Make a model of another app's, with a foreign key; it is forgotten after the test."""
    made: list[type[models.Model]] = []

    def make(to: str, references: dict[str, Policy] | None = None, on_delete: Any = models.CASCADE) -> Any:
        more = {} if references is None else {"references": references}
        attributes = {
            "__module__": "profiles.models",
            "owner": models.ForeignKey(to, on_delete, null=True, related_name="+"),
            **more,
        }
        model = type(f"Cohort{len(made)}", (models.Model,), attributes)
        made.append(model)
        return model

    yield make
    for model in made:
        del apps.all_models["profiles"][model._meta.model_name]  # type: ignore[arg-type]
    apps.clear_cache()


def ids() -> list[str]:
    return [message.id for message in run_checks() if message.id and message.id.startswith("profiles.E")]


def test_every_reference_of_today_has_its_policy() -> None:
    assert ids() == []
    assert all(policy for model in (Profile, Identity) for _model, _name, policy in references_to(model))


@pytest.mark.parametrize("to", ["profiles.Profile", "identities.Identity"])
def test_a_model_that_does_not_say_what_merging_does_fails_the_check(to: str, referring: Referring) -> None:
    referring(to)

    assert ids() == ["profiles.E001"]


@pytest.mark.parametrize(
    ("policy", "on_delete", "wrong"),
    [
        (OF_PROFILE, models.CASCADE, []),
        (MENTION, models.SET_NULL, []),
        (OF_PROFILE, models.SET_NULL, ["profiles.E003"]),
        (MENTION, models.CASCADE, ["profiles.E003"]),
        (
            Policy(MOVES_UNLESS_HELD, MOVES_ALONG, MOVES_ALONG, OF_PROFILE.erase),
            models.CASCADE,
            ["profiles.E002"],
        ),
    ],
)
def test_a_policy_must_be_one_that_is_kept(
    policy: Policy, on_delete: Any, wrong: list[str], referring: Referring
) -> None:
    referring("profiles.Profile", {"owner": policy}, on_delete)

    assert ids() == wrong


@pytest.mark.django_db
def test_rows_of_any_model_that_says_so_move_and_come_home(
    ada: Profile, ada_again: Profile, bo: Profile, by: By, referring: Referring
) -> None:
    cohort = referring("profiles.Profile", {"owner": OF_PROFILE})
    with connection.schema_editor() as editor:
        editor.create_model(cohort)
    rows = cohort._default_manager
    hers, survivors = rows.create(owner=ada_again), rows.create(owner=ada)

    told = merging.preview(ada.pk, [ada_again.pk])
    (one,) = merge(ada, ada_again, by=by)

    assert told.moves[cohort._meta.model_name or ""] == {ada_again.pk: 1}
    assert set(rows.filter(owner=ada)) == {hers, survivors}
    undo(one, by=by)
    assert list(rows.filter(owner=ada_again)) == [hers]
    assert list(rows.filter(owner=ada)) == [survivors]


def test_only_custom_attributes_move_unless_the_survivor_has_one() -> None:
    found = {
        model
        for model, _name, policy in references_to(Profile)
        if policy is not None and policy.merge is MOVES_UNLESS_HELD
    }

    assert found == {CustomAttribute}
