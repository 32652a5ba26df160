"""When an entry happened, and what else happened to its pair: lines on one axis, which the page draws as SVG."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from identities import telling
from identities.admin import told
from identities.models import RoutingLogEntry
from profiles.admin.base import change_url

OPEN = RoutingLogEntry.Review.OPEN

MOST_LINES = 8
# In per cent of the width; what is drawn at an end must not be cut.
MARGIN = 3.0


@dataclass(frozen=True, slots=True)
class Line:
    """One entry: from where to where it was seen, where it was reviewed, and the same in words."""

    entry: RoutingLogEntry
    url: str
    sentence: str
    is_this: bool
    is_same_event: bool
    first: str
    last: str
    reviewed: str
    words: str
    badge: SafeString


@dataclass(frozen=True, slots=True)
class Timeline:
    lines: list[Line]
    first: str
    last: str
    has_more: bool = False

    @property
    def is_drawn(self) -> bool:
        """Whether there is more to see than one point."""
        return len(self.lines) > 1 or any(line.entry.occurrences > 1 or line.reviewed for line in self.lines)


def others_of(entry: RoutingLogEntry) -> list[RoutingLogEntry]:
    """Other entries to show beside this one: of the same event, then of the same pair, newest first.

    Of a pair that is masked, or a value that names nobody, other entries are about somebody else. No more than one
    beyond what is drawn. Of one that an erasure has emptied, nothing says any more what it was about.
    """
    if entry.is_emptied:
        return []
    every = RoutingLogEntry.objects.exclude(pk=entry.pk).select_related("source", "by").defer("payload")
    same_event = Q(fingerprint=entry.fingerprint)
    # Said apart, since an index has only those that are open, and another one only the others.
    event = every.filter(same_event & Q(review_status=OPEN) | same_event & ~Q(review_status=OPEN)).order_by("-pk")
    found = list(event[: MOST_LINES + 1])
    if telling.MASKED in entry.identifier or entry.code == "blocked_identifier" or not entry.identifier:
        return found
    pair = every.filter(handle=entry.handle, identifier=entry.identifier).order_by("-pk")[: MOST_LINES + 1]
    known = {one.pk for one in found}
    return [*found, *(one for one in pair if one.pk not in known)][: MOST_LINES + 1]


def timeline(entry: RoutingLogEntry, others: Sequence[RoutingLogEntry], rows: telling.Rows) -> Timeline:
    """Lay out the entry and `others` of its pair on one axis, newest first.

    An entry keeps when it was first and last seen and how often, not each time: a line says no more than that.
    """
    has_more = len(others) > MOST_LINES
    entries = sorted([entry, *others[:MOST_LINES]], key=lambda one: (one.last_seen_at, one.pk), reverse=True)
    instants = [at for one in entries for at in (one.created_at, one.last_seen_at, one.reviewed_at) if at]
    start, end = min(instants), max(instants)

    def place(at: datetime.datetime) -> str:
        share = (at - start) / (end - start) if end > start else 0.5
        return f"{MARGIN + share * (100 - 2 * MARGIN):.2f}%"

    lines = [
        Line(
            entry=one,
            url=change_url(one),
            sentence=str(telling.tell(one, rows)),
            is_this=one.pk == entry.pk,
            is_same_event=one.pk != entry.pk and one.fingerprint == entry.fingerprint,
            first=place(one.created_at),
            last=place(one.last_seen_at),
            reviewed=place(one.reviewed_at) if one.reviewed_at else "",
            words=_words(one),
            badge=told.review_badge(one),
        )
        for one in entries
    ]
    return Timeline(lines, _date(start), _date(end), has_more=has_more)


def _words(entry: RoutingLogEntry) -> str:
    """When and how often, in words. A date may end in a full stop of its own, so none is set here."""
    dates = {"first": _instant(entry.created_at), "last": _instant(entry.last_seen_at), "number": entry.occurrences}
    if entry.reviewed_at is not None:
        dates["reviewed"] = _instant(entry.reviewed_at)
    if entry.occurrences == 1:
        words = _("Once, %(last)s; reviewed %(reviewed)s") if "reviewed" in dates else _("Once, %(last)s")
    elif "reviewed" in dates:
        words = _("%(number)s times between %(first)s and %(last)s; reviewed %(reviewed)s")
    else:
        words = _("%(number)s times between %(first)s and %(last)s")
    return words % dates


def _instant(at: datetime.datetime) -> str:
    return date_format(timezone.localtime(at), "DATETIME_FORMAT")


def _date(at: datetime.datetime) -> str:
    return date_format(timezone.localtime(at), "DATE_FORMAT")
