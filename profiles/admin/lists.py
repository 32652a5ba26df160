"""Lists that cost the same at any size of their table: what they count, find, sort by and may be asked for."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import FieldDoesNotExist
from django.core.paginator import Paginator
from django.db.models import DateTimeField, Index, JSONField, Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

# Counting stops here.
MOST_COUNTED = 10_000

# What a list's URL may ask of a column, and the columns that it may ask nothing of: digests and masked identifiers
# could be read out letter by letter.
PLAIN = {"exact", "isnull", "gte", "lt", "gt", "lte", "id"}
GUESSED = {"digest", "identifier", "original", "fingerprint", "password"}

# How a list's URL asks for a span of time.
SPAN = ("__gte", "__gt", "__lt", "__lte")


class BoundedPaginator(Paginator):
    """Pages of the first 10,000 rows. Who is looking for one further down needs a search, not more pages."""

    most = MOST_COUNTED

    @cached_property
    def count(self) -> int:
        # In the order of the list, which an index has: in any order, the table itself may be read until there are
        # enough rows of a kind, all of which may stand at its end. The keys alone, since what a list tells besides of
        # each row may cost a query for each.
        return cast(QuerySet[Any], self.object_list).values("pk")[: self.most].count()

    @property
    def is_capped(self) -> bool:
        return self.count >= self.most or getattr(self.object_list, "is_cut", False)


class BoundedChangeList(ChangeList):
    """A list that counts, sorts and reads nothing but what its pages need, and says the number once, below."""

    def get_results(self, request: HttpRequest) -> None:
        """Find the keys of the page, and then its rows.

        Keys stand in the indexes of the filters, in the order of the list. To look for whole rows, with all that
        belongs to them, the planner may rather walk the table from its newest row, and for a system that was given
        up long ago that is all of it; and a far page would join every row before it.
        """
        super().get_results(request)
        self.full_result_count = self.result_count
        rows = self.root_queryset
        if not rows.query.select_related:
            rows = self.apply_select_related(rows)
        keys = self.result_list.values("pk")[: self.list_max_show_all]
        found = rows.filter(pk__in=keys) if self.result_count else rows.none()
        self.result_list = found.order_by(*self.queryset.query.order_by)

    def get_ordering_field(self, field_name: Any) -> Any:
        """Only columns that the page offers to sort by: the address could else ask for any, and sort the table."""
        return super().get_ordering_field(field_name) if field_name in (self.sortable_by or ()) else None

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Of a span of time, newest first along that time: its index has the page's rows side by side.

        By the keys, the planner would walk every row that is newer than the span.
        """
        ordering = list(super().get_ordering(request, queryset))
        spans = {lookup.removesuffix(end) for lookup in self.params for end in SPAN if lookup.endswith(end)}
        times = {field.name for field in self.lookup_opts.fields if isinstance(field, DateTimeField)}
        asked = sorted(spans & times)
        if len(asked) != 1 or (ORDER_VAR in self.params and ordering[0] not in ("pk", "-pk")):
            return ordering
        minus = "" if ordering[0] == "pk" else "-"
        return [f"{minus}{asked[0]}", f"{minus}pk"]


class BoundedAdmin(admin.ModelAdmin):
    """Pages whose list is bounded, also in what its address may ask for."""

    paginator = BoundedPaginator
    show_full_result_count = False
    # Facets count every row once for each choice of each filter.
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    # Whether people fill the table by hand, so that its list may be asked for anything.
    is_small = False
    # Columns that an index finds rows by when all of them are asked for, beside those by which it does alone.
    found_together: Collection[set[str]] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return BoundedChangeList

    def action_checkbox(self, obj: Model) -> SafeString:
        """The box by which a row is chosen, as Django draws it, without a form's widget and template for each row."""
        text = '<input type="checkbox" name="{}" value="{}" class="action-select" aria-label="{}">'
        label = format_html(_("Select this object for an action - {}"), str(obj))
        return format_html(text, ACTION_CHECKBOX_NAME, obj.pk, label)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Whether the address may ask this. No parts of texts, and nothing that would read the whole table."""
        column, *rest = lookup.split("__")
        if GUESSED.intersection([column, *rest]) or (rest and rest[-1] not in PLAIN):
            return False
        return self._is_found(column, request) and super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    def _is_found(self, column: str, request: HttpRequest | None) -> bool:
        if column in map(_column_of, self.list_filter):
            return True
        try:
            found = self.opts.get_field(column)
        except FieldDoesNotExist:
            # What is no column finds nothing, which Django says.
            return True
        if isinstance(found, (ArrayField, JSONField)):
            # PostgreSQL takes no part of an address for one.
            return False
        if self.is_small or getattr(found, "unique", False) or _is_in_order(self.model, column):
            return True
        asked = {name.split("__")[0] for name in request.GET} if request else set()
        return any(column in columns and columns <= asked for columns in self.found_together)


def _column_of(filter_: Any) -> str:
    """What one of `list_filter` asks for in the address, without the kind of comparison."""
    first = filter_[0] if isinstance(filter_, tuple) else filter_
    name: str = first if isinstance(first, str) else first.parameter_name
    return name.split("__")[0]


def _is_in_order(model: type[Model], name: str) -> bool:
    """Whether an index has the rows by this column, and those with the same value by their key."""
    indexes = [index.fields for index in model._meta.indexes if type(index) is Index]
    in_order = [[column.removeprefix("-") for column in columns] for columns in indexes]
    return [name, model._meta.pk.name] in in_order
