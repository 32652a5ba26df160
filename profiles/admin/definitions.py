"""Kinds of points and rewards, as the systems that give them have defined them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy

from profiles.admin.amounts import money
from profiles.admin.base import ReadOnlyAdmin
from profiles.admin.record_words import plain
from profiles.models import PointDefinition, RewardDefinition


class DefinitionAdmin(ReadOnlyAdmin):
    is_small = True
    list_display = ["name", "handle", "created_at"]
    sortable_by = ()
    fields = ["id", "name", "handle", "created_at", "updated_at"]


@admin.register(PointDefinition)
class PointDefinitionAdmin(DefinitionAdmin):
    pass


@admin.register(RewardDefinition)
class RewardDefinitionAdmin(DefinitionAdmin):
    list_display = ["name", "handle", "worth", "period_shown", "is_assignable", "is_published", "created_at"]
    fields = [
        "id",
        "name",
        "handle",
        "worth",
        "period_shown",
        "type",
        "is_assignable",
        "is_published",
        "created_at",
        "updated_at",
    ]
    readonly_fields = ["worth", "period_shown"]

    @admin.display(description=gettext_lazy("value"))
    def worth(self, definition: Any) -> str:
        return money(definition.value)

    @admin.display(description=gettext_lazy("period"))
    def period_shown(self, definition: Any) -> str:
        return f"{plain(definition.period)} {definition.period_type}".strip()
