"""Numbers and moments as people read them, and the addresses of the lists that they lead to."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.urls import reverse
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import gettext as _

from identities.admin.filters import ReasonFilter, ReviewFilter
from identities.counting import Count
from identities.models import RoutingLogEntry
from profiles.admin.charts import Bars, Point, bars
from profiles.admin.filters import OwnerFilter

MINUTE = datetime.timedelta(minutes=1)


def number(count: Count | int) -> str:
    """ "7", "1,234", or "10,000+" of a count that stopped there."""
    exact, is_capped = (count.value, count.is_capped) if isinstance(count, Count) else (count, False)
    return formats.number_format(exact, force_grouping=True) + ("+" if is_capped else "")


def number_link(count: Count, url: str) -> SafeString:
    """The number, leading to the list of just these. Nought leads nowhere."""
    return format_html('<a href="{}">{}</a>', url, number(count)) if url and count.value else SafeString(number(count))


def usage(handle: Any) -> SafeString:
    """How many identities a handle has, by `with_usage`, leading to them."""
    return number_link(Count(handle.usage_count, handle.usage_count_is_capped), identities_url(handle=handle.pk))


def ago(moment: datetime.datetime | None, never: str = "") -> SafeString:
    """How long ago, with the exact time for whoever points at it."""
    if moment is None:
        return format_html('<span class="quiet">{}</span>', never or _("never"))
    is_fresh = timezone.now() - moment < MINUTE
    words = _("just now") if is_fresh else _("%(time)s ago") % {"time": timesince(moment, depth=1)}
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exactly(moment), words)


def ago_and_when(moment: datetime.datetime | None, never: str = "") -> SafeString:
    """How long ago, and the exact time beside it."""
    if moment is None:
        return ago(moment, never)
    return format_html('{} <span class="quiet">{}</span>', ago(moment), exactly(moment))


def exactly(moment: datetime.datetime) -> str:
    return formats.date_format(timezone.localtime(moment), "DATETIME_FORMAT")


def until(moment: datetime.datetime) -> str:
    """ "5 days": how long there is left."""
    return timeuntil(moment, depth=1)


def midnights(days: int) -> list[datetime.datetime]:
    """When each of the last days began in the reader's zone, today last, and when today ends: `days` + 1 moments."""
    zone, today = timezone.get_current_timezone(), timezone.localdate()
    dates = [today - datetime.timedelta(days=back) for back in range(days - 1, -2, -1)]
    return [datetime.datetime.combine(date, datetime.time.min, tzinfo=zone) for date in dates]


def chart(
    title: str,
    since: Sequence[datetime.datetime],
    counts: Sequence[Count],
    told: Callable[[str, Count], str],
    url: Callable[[datetime.datetime, datetime.datetime], str] | None = None,
) -> Bars | None:
    """Bars, one a day; nothing when there is nothing to draw.

    `since` are the midnights; `told` says day and number in words; `url` leads to the list of that day.
    """
    points = []
    for begin, end, count in zip(since, since[1:], counts, strict=False):
        day = formats.date_format(begin, "MONTH_DAY_FORMAT")
        points.append(Point(day, count.value, told(day, count), url(begin, end) if url else ""))
    most = max(counts, key=lambda count: (count.value, count.is_capped))
    if not most.value:
        return None
    note = _("higher bars are cut at %(number)s") if most.is_capped else _("at most %(number)s")
    return bars(title, points, note=note % {"number": number(most.value)})


# Addresses. Every link into a filtered list is made here, since a list's parameters are a contract with its filters.


def log_url(
    *,
    outcome: str = "",
    code: str = "",
    source: str = "",
    status: str = "",
    since: datetime.datetime | None = None,
    before: datetime.datetime | None = None,
) -> str:
    """The routing log, filtered; without a status, all."""
    asked = {
        ReviewFilter.parameter_name: status or ReviewFilter.ALL,
        "outcome__exact": outcome or None,
        "source": source or None,
    }
    return _list(
        "identities_routinglogentry", {**asked, ReasonFilter.parameter_name: code or None, **_between(since, before)}
    )


def open_log_url(*, outcome: str = "", code: str = "", source: str = "") -> str:
    return log_url(outcome=outcome, code=code, source=source, status=RoutingLogEntry.Review.OPEN)


def identities_url(
    *,
    profile: uuid.UUID | None = None,
    handle: str = "",
    source: str = "",
    since: datetime.datetime | None = None,
    before: datetime.datetime | None = None,
) -> str:
    asked = {"profile__id__exact": profile, "handle": handle or None, "source": source or None}
    return _list("identities_identity", {**asked, **_between(since, before)})


def handles_url(*, status: str = "") -> str:
    return _list("identities_handle", {"status__exact": status or None})


def tokens_url(*, state: str = "", extension: str = "") -> str:
    return _list("identities_apitoken", {"state": state or None, "extension": extension or None})


def silent_targets_url() -> str:
    return _list("profiles_target", {"state": "down"})


def audits_url(*, account: int, since: datetime.datetime, before: datetime.datetime) -> str:
    return _list("profiles_audit", {"by__id__exact": account, **_between(since, before)})


def duplicates_url() -> str:
    return _list("profiles_duplicatepair", {})


def anonymous_transactions_url() -> str:
    return _list("profiles_transaction", {OwnerFilter.parameter_name: OwnerFilter.NOBODY})


def _between(since: datetime.datetime | None, before: datetime.datetime | None) -> dict[str, str | None]:
    return {
        "created_at__gte": since.isoformat() if since else None,
        "created_at__lt": before.isoformat() if before else None,
    }


def _list(model: str, asked: Mapping[str, object]) -> str:
    query = urlencode({name: str(value) for name, value in asked.items() if value is not None})
    return reverse(f"admin:{model}_changelist") + (f"?{query}" if query else "")
