"""What a profile may spend, and what it has spent: sums over its own rows, each bounded, exact as far as they go."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Count, Q, Sum
from django.utils import formats, timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from profiles.admin.amounts import exact, money
from profiles.admin.amounts import points as in_points
from profiles.admin.charts import Bars, bars
from profiles.admin.charts import Point as Bar
from profiles.models import Point, Profile, Reward
from profiles.models.balance import BalanceRecord

# Rows of one profile that are added up. No honest one has so many, and the page says when it stopped there.
MOST_ADDED = 100_000
SOON = datetime.timedelta(days=30)
MONTHS = 24


@dataclass(frozen=True, slots=True)
class Figure:
    label: str
    number: str
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Sums:
    total: Decimal
    expiring: Decimal
    is_cut: bool


def figures(profile: Profile, *, may_points: bool, may_rewards: bool) -> list[Figure]:
    """The balances for the page's header, of those kinds that may be seen. One query each."""
    points = _sums(Point, profile) if may_points else None
    rewards = _sums(Reward, profile) if may_rewards else None
    told = []
    if rewards is not None:
        told.append(Figure(_("Rewards"), money(rewards.total, profile.currency), _cut(rewards)))
    if points is not None:
        value = points.total * settings.POINT_VALUE
        told += [
            Figure(_("Points"), exact(points.total), _cut(points)),
            Figure(
                _("Points in money"),
                money(value, profile.currency),
                _("%(value)s for each point") % {"value": money(settings.POINT_VALUE, profile.currency)},
            ),
        ]
    if points is not None or rewards is not None:
        told.append(_expiring(rewards, points, profile.currency))
    return told


def _expiring(rewards: Sums | None, points: Sums | None, currency: str) -> Figure:
    """What is lost within 30 days unless it is spent."""
    label = _("Lost within %(days)s days") % {"days": SOON.days}
    day = formats.date_format(timezone.localtime() + SOON, "DATE_FORMAT")
    amount = rewards.expiring if rewards is not None else Decimal()
    number = points.expiring if points is not None else Decimal()
    if amount and number:
        meaning = _("and %(points)s, unless spent by %(day)s") % {"points": in_points(number), "day": day}
        return Figure(label, money(amount, currency), meaning)
    if amount or number:
        shown = money(amount, currency) if amount else in_points(number)
        return Figure(label, shown, _("unless spent by %(day)s") % {"day": day})
    return Figure(label, _("Nothing"), _("expires by %(day)s") % {"day": day})


def _sums(kind: type[BalanceRecord], profile: Profile) -> Sums:
    now = timezone.now()
    current = kind.objects.filter(profile=profile).current().order_by()
    found: dict[str, Any] = current.values("value_remaining", "expires_at")[:MOST_ADDED].aggregate(
        total=Sum("value_remaining"),
        expiring=Sum("value_remaining", filter=Q(expires_at__lte=now + SOON)),
        rows=Count("*"),
    )
    return Sums(found["total"] or Decimal(), found["expiring"] or Decimal(), found["rows"] >= MOST_ADDED)


def _cut(sums: Sums) -> str:
    most = exact(Decimal(MOST_ADDED))
    return _("only %(most)s rows were added up") % {"most": most} if sums.is_cut else ""


# What was spent


@dataclass(frozen=True, slots=True)
class Month:
    """One month of the reader's calendar: what was spent, in how many transactions, and where they are listed."""

    label: str
    spent: str
    number: int
    url: str


@dataclass(frozen=True, slots=True)
class Spending:
    chart: Bars
    months: list[Month]
    is_cut: bool


def spending(profile: Profile) -> Spending | None:
    """Spend per month over the last 24, void ones out; nothing where there were no sales. One query."""
    since = _months(MONTHS)
    rows = _spent(profile, since)
    if not any(number for _total, number in rows):
        return None
    months, drawn = [], []
    for begin, end, (total, number) in zip(since, since[1:], rows, strict=False):
        label = formats.date_format(begin, "YEAR_MONTH_FORMAT")
        month = Month(label, money(total, profile.currency), number, timeline_url(begin, end))
        months.append(month)
        text = ngettext(
            "%(month)s: %(amount)s in %(number)s transaction",
            "%(month)s: %(amount)s in %(number)s transactions",
            number,
        )
        drawn.append(Bar(label, total, text % {"month": label, "amount": month.spent, "number": number}, month.url))
    top = max(total for total, _number in rows)
    note = _("at most %(amount)s") % {"amount": money(top, profile.currency)}
    is_cut = sum(number for _total, number in rows) >= MOST_ADDED
    return Spending(bars(_("Spent per month"), drawn, note=note), months[::-1], is_cut)


def timeline_url(begin: datetime.datetime, end: datetime.datetime) -> str:
    """The timeline on the same page, of the sales that a bar is made of."""
    last = (end - datetime.timedelta(days=1)).date()
    asked = {"kind": "transaction", "void": "no", "since": begin.date().isoformat(), "until": last.isoformat()}
    return f"?{urlencode(asked)}#happened"


def _months(number: int) -> list[datetime.datetime]:
    """When each of the last months began in the reader's zone, this one last, and when this one ends."""
    zone, today = timezone.get_current_timezone(), timezone.localdate()
    this = today.year * 12 + today.month - 1
    firsts = [divmod(month, 12) for month in range(this - number + 1, this + 2)]
    return [datetime.datetime(year, month + 1, 1, tzinfo=zone) for year, month in firsts]


def _spent(profile: Profile, since: Sequence[datetime.datetime]) -> list[tuple[Decimal, int]]:
    """The sum and the number of sales between each of these moments and the next, the newest `MOST_ADDED` of all."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH newest AS MATERIALIZED (
                SELECT total, transacted_at FROM profiles_transaction
                WHERE profile_id = %s AND transacted_at >= %s AND transacted_at < %s AND NOT is_void
                ORDER BY transacted_at DESC, id DESC LIMIT %s
            )
            SELECT width_bucket(transacted_at, %s::timestamptz[]) AS month, sum(total), count(*)
            FROM newest GROUP BY month
            """,
            [profile.pk, since[0], since[-1], MOST_ADDED, list(since)],
        )
        found = {month: (total, number) for month, total, number in cursor.fetchall()}
    return [found.get(month, (Decimal(), 0)) for month in range(1, len(since))]
