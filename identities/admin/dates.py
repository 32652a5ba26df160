"""Lists by year, month and day, at the same cost for any size of table."""

from __future__ import annotations

import calendar
import datetime
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import Max, Min
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from profiles.admin.base import PlainAdmin
from profiles.admin.lists import BoundedChangeList

PARTS = ("year", "month", "day")

# More years are not offered; they can still be written into the address.
MOST_YEARS = 30


@dataclass(frozen=True, slots=True)
class Choice:
    title: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Dates:
    choices: list[Choice]
    back: Choice | None = None


class DatedChangeList(BoundedChangeList):
    """A list with `date_hierarchy`, by the same parameters as Django's.

    Django asks the filtered rows which dates they have, and so reads them all. Here the first and the last date of
    the whole table, which stand at the ends of an index, say what is offered: a date may turn out to have no rows.
    """

    def get_filters(self, request: HttpRequest) -> Any:
        self.chosen = self._chosen()
        return super().get_filters(request)

    def _chosen(self) -> list[int]:
        """Year, month and day as far as they are in the address. Raises IncorrectLookupParameters.

        A month of all years would be looked for in every row, and Django stumbles over the last year there is.
        """
        given = [self.params.get(f"{self.date_hierarchy}__{part}") for part in PARTS]
        chosen = [part for part in given if part is not None]
        if chosen != given[: len(chosen)]:
            raise IncorrectLookupParameters
        try:
            numbers = [int(part) for part in chosen]
            year, month, day = (numbers + [2000, 1, 1][len(numbers) :])[:3]
            datetime.date(year, month, day)
        except (ValueError, OverflowError) as error:
            raise IncorrectLookupParameters from error
        if not 1000 <= year <= 9000:
            raise IncorrectLookupParameters
        return numbers

    @cached_property
    def dates(self) -> Dates | None:
        """What to offer for narrowing the list down, or nothing where the table has no rows."""
        ends = self.model._default_manager.aggregate(first=Min(self.date_hierarchy), last=Max(self.date_hierarchy))
        if ends["first"] is None:
            return None
        first, last = timezone.localtime(ends["first"]).date(), timezone.localtime(ends["last"]).date()
        level = list(self.chosen)
        if not level and first.year == last.year:
            level = [first.year] if first.month != last.month else [first.year, first.month]
        if len(level) == 3:
            return Dates([Choice(_title(*level))], self._back())
        if len(level) == 2:
            year, month = level
            days = range(1, calendar.monthrange(year, month)[1] + 1)
            offered = [[*level, day] for day in days if first <= datetime.date(year, month, day) <= last]
        elif len(level) == 1:
            months = [[*level, month] for month in range(1, 13)]
            offered = [month for month in months if [first.year, first.month] <= month <= [last.year, last.month]]
        else:
            offered = [[year] for year in range(first.year, last.year + 1)][-MOST_YEARS:]
        return Dates([Choice(_title(*parts), self._url(parts)) for parts in offered], self._back())

    def _back(self) -> Choice | None:
        if not self.chosen:
            return None
        level = self.chosen[:-1]
        return Choice(_title(*level) if level else _("All dates"), self._url(level))

    def _url(self, parts: list[int]) -> str:
        names = (f"{self.date_hierarchy}__{part}" for part in PARTS)
        return self.get_query_string(dict(zip(names, parts, strict=False)), [f"{self.date_hierarchy}__"])


class DatedAdmin(PlainAdmin):
    """Pages with a list by date; `date_hierarchy` names a column that an index begins with."""

    change_list_template = "admin/dated_list.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return DatedChangeList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        if lookup in {f"{self.date_hierarchy}__{part}" for part in PARTS}:
            return True
        return super().lookup_allowed(lookup, value, request)


def _title(year: int, month: int | None = None, day: int | None = None) -> str:
    if month is None:
        return str(year)
    date = datetime.date(year, month, day or 1)
    return capfirst(date_format(date, "MONTH_DAY_FORMAT" if day else "YEAR_MONTH_FORMAT"))
