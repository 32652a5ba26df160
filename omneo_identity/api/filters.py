"""The query of a list: `filter[field]=`, `filter[field][gte]=`, `search=`, `sort=`, `include=` (API.md 1).

What is not known is refused with a list of what is, never ignored: a filter that does nothing looks like an answer.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import django_filters.rest_framework as django_filters
from django import forms
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from omneo_identity.api import cursors, pagination
from omneo_identity.api.instants import SECOND, instant

if TYPE_CHECKING:
    # At run time REST framework's views import this module, as one of their defaults.
    from rest_framework.views import APIView

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
OURS = re.compile(r"(filter|page|sort|include|search)(\[.*)?")

LARGEST_INTEGER = 2**63 - 1

# A view's sort words, each with its column or columns.
SortFields = Mapping[str, str | tuple[str, ...]]


class BooleanFormField(forms.Field):
    words = {"1": True, "true": True, "0": False, "false": False}

    def to_python(self, value: str | None) -> bool | None:
        if value in self.empty_values:
            return None
        if value not in self.words:
            raise forms.ValidationError(_("This must be 1, 0, true or false."), code="invalid")
        return self.words[value]


class InstantFormField(forms.Field):
    def to_python(self, value: str | None) -> datetime.datetime | None:
        if not value:
            return None
        try:
            return instant(value)
        except ValueError as error:
            message = _("This must be a time like 2021-01-27 00:00:00 or in ISO 8601.")
            raise forms.ValidationError(message, code="invalid") from error


class TextFilter(django_filters.CharFilter):
    """Text as it is. Asking for the empty text asks for rows that have it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, strip=False, **kwargs)

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        return self.get_method(qs)(**{f"{self.field_name}{LOOKUP_SEP}{self.lookup_expr}": value})


class BooleanFilter(django_filters.BooleanFilter):
    field_class = BooleanFormField  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, widget=forms.TextInput, **kwargs)


class IntegerFilter(django_filters.NumberFilter):
    field_class = forms.IntegerField  # type: ignore[assignment]

    def get_max_validator(self) -> MaxValueValidator:
        return MaxValueValidator(LARGEST_INTEGER)


class UUIDFilter(django_filters.UUIDFilter):
    pass


class InstantFilter(django_filters.IsoDateTimeFilter):
    """A time as the API shows it, whole seconds: `lte` the second shown on a row finds that row.

    `Meta.fields = {"created_at": InstantFilter.LOOKUPS}` declares all five.
    """

    LOOKUPS = ["exact", "gt", "gte", "lt", "lte"]

    # Which ends of the named second bound the stored times: its start (0) or the start of the next one (1).
    BOUNDS = {
        "exact": {"gte": 0, "lt": 1},
        "gt": {"gte": 1},
        "gte": {"gte": 0},
        "lt": {"lt": 0},
        "lte": {"lt": 1},
    }

    field_class = InstantFormField  # type: ignore[assignment]

    def filter(self, qs: QuerySet[Any], value: datetime.datetime | None) -> QuerySet[Any]:
        if value is None:
            return qs
        step = datetime.timedelta(microseconds=1) if value.microsecond else SECOND
        return qs.filter(
            **{
                f"{self.field_name}{LOOKUP_SEP}{lookup}": value + end * step
                for lookup, end in self.BOUNDS[self.lookup_expr].items()
            }
        )


class BracketFilterSet(django_filters.FilterSet):
    """A FilterSet that runs only the filters that were asked for, and of those refuses an empty one.

    A filter of the name `search` is the parameter `search=`.
    """

    FILTER_DEFAULTS = {
        **django_filters.FilterSet.FILTER_DEFAULTS,
        models.CharField: {"filter_class": TextFilter},
        models.TextField: {"filter_class": TextFilter},
        models.SlugField: {"filter_class": TextFilter},
        models.EmailField: {"filter_class": TextFilter},
        models.BooleanField: {"filter_class": BooleanFilter},
        models.UUIDField: {"filter_class": UUIDFilter},
        models.DateTimeField: {"filter_class": InstantFilter},
        models.AutoField: {"filter_class": IntegerFilter},
        models.BigAutoField: {"filter_class": IntegerFilter},
        models.IntegerField: {"filter_class": IntegerFilter},
        models.BigIntegerField: {"filter_class": IntegerFilter},
    }

    def get_form_class(self) -> type[forms.Form]:
        fields = {name: self.filters[name].field for name in self.data or ()}
        for name, field in fields.items():
            # A filter by method is skipped when empty, so an empty one is refused whatever its class.
            field.required = not isinstance(self.filters[name], TextFilter) or self.filters[name].method is not None
        return type(f"{type(self).__name__}Form", (self._meta.form,), fields)  # type: ignore[attr-defined]


class BracketFilterBackend(django_filters.DjangoFilterBackend):
    """Filter and sort a list by the view's `filterset_class`, `sort_fields` and `default_sort`."""

    def filter_queryset(  # type: ignore[override]
        self, request: Request, queryset: QuerySet[Any], view: APIView
    ) -> QuerySet[Any]:
        filterset_class = self.get_filterset_class(view, queryset)
        filters = filterset_class.base_filters if filterset_class else {}
        names = {parameter(name): name for name in filters}
        refuse_unknown(request.query_params, names)
        included(request, view)
        # Before the filters, of which a search finds the first in the order of the list, from the cursor on.
        queryset = cursors.start(queryset.order_by(*ordering(request, view)), request)
        if filterset_class:
            asked = {
                name: request.query_params[public] for public, name in names.items() if public in request.query_params
            }
            filterset = filterset_class(asked, queryset=queryset, request=request)
            if not filterset.is_valid():
                raise ValidationError({parameter(name): faults for name, faults in filterset.errors.items()})
            queryset = filterset.qs
        return queryset


def parameter(name: str) -> str:
    """The query parameter of a filter: `created_at__gte` is `filter[created_at][gte]`."""
    if name == "search":
        return name
    field, _separator, lookup = name.partition(LOOKUP_SEP)
    return f"filter[{field}][{lookup}]" if lookup else f"filter[{field}]"


def refuse_control_characters(query: QueryDict) -> None:
    for name, values in query.lists():
        if CONTROL.search(name) or any(map(CONTROL.search, values)):
            raise ValidationError({CONTROL.sub("?", name): [_("Control characters are not allowed.")]})


def refuse_unknown(query: QueryDict, filters: Collection[str]) -> None:
    """Refuse a parameter of the list query that this list does not have, and one that is given twice."""
    known = [*filters, "sort", "include", pagination.NUMBER, pagination.SIZE, cursors.CURSOR]
    for name in query:
        if not OURS.fullmatch(name):
            continue
        if name not in known:
            raise ValidationError({name: [_unknown(name, known)]})
        if len(query.getlist(name)) > 1:
            raise ValidationError({name: [_("%(name)s is given more than once.") % {"name": name}]})


def refuse_list_words(request: Request, view: APIView) -> None:
    """Refuse filters and sorts where there is nothing to filter or sort. A page may be asked for: all is on it."""
    included(request, view)
    for name in request.query_params:
        if OURS.fullmatch(name) and not name.startswith(("include", "page")):
            raise ValidationError({name: [_unknown(name, ())]})


def ordering(request: Request, view: APIView) -> list[str]:
    """The columns to sort by. The key comes last and in the same direction, so that pages never overlap."""
    fields: SortFields = getattr(view, "sort_fields", {})
    asked = request.query_params.get("sort")
    columns: list[str] = []
    sign = ""
    for word in (getattr(view, "default_sort", "") if asked is None else asked).split(","):
        if asked is None and not word:
            break
        sign, name = ("-", word[1:]) if word.startswith("-") else ("", word)
        if name not in fields:
            raise ValidationError({"sort": [_unknown(word, fields)]})
        named = fields[name]
        columns += [f"{sign}{column}" for column in ((named,) if isinstance(named, str) else named)]
    return [*columns, f"{sign}pk"]


def included(request: Request, view: APIView) -> frozenset[str]:
    """What the answer is to hold besides, of the view's `includes`."""
    text = request.query_params.get("include", "")
    words = frozenset(text.split(",")) if text else frozenset[str]()
    known: Sequence[str] = getattr(view, "includes", ())
    for word in sorted(words.difference(known)):
        raise ValidationError({"include": [_unknown(word, known)]})
    return words


def _unknown(word: str, known: Collection[str]) -> str:
    names = ", ".join(known) or gettext_lazy("none")
    return _("%(word)s is not known here. Known are: %(names)s.") % {"word": word, "names": names}
