"""What the migrations leave behind is what the models say."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import connection, models

OURS = [model for model in apps.get_models() if model._meta.app_label in {"profiles", "identities"}]


@pytest.mark.django_db
@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)
def test_every_constraint_and_index_that_a_model_declares_is_in_the_database(model: type[models.Model]) -> None:
    """Altering a column can drop the index of a constraint on it, and no other check of Django's would tell."""
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, model._meta.db_table)

    declared = {one.name for one in (*model._meta.constraints, *model._meta.indexes)}
    assert declared <= set(found)
