"""All that happened to one profile, newest first: its records of every kind in one list, page by page.

A page costs the same however many records the profile has: of each kind, an index has the newest before the last line
of the page before, and what may be filtered by.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Q, QuerySet, Value
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from identities.models import Extension
from profiles.admin import record_words as words
from profiles.admin.base import change_url
from profiles.forms import HappenedForm
from profiles.models import RECORDS, Profile, Record, Transaction, TransactionItem
from profiles.models.record import of_kind

PAGE = 15
STAFF = "staff"
# A longer list of extensions is none that one chooses from.
MOST_LISTED = 100

# Of records of the same moment, those whose kind stands later here are shown first.
RANKS = list(reversed(RECORDS))
BEFORE = "before"

# What the page does not show of a transaction, and may be long.
UNREAD = ("meta", "payments", "pairs", "systems")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a record stands in the list: by when it happened; of those at once by kind, then by key."""

    at: datetime.datetime
    rank: int
    key: int

    def __str__(self) -> str:
        return f"{self.at.isoformat()}~{RANKS[self.rank]}~{self.key}"

    @classmethod
    def read(cls, text: str) -> Place | None:
        """The place that an address names, or none if it names no such thing."""
        try:
            at, kind, key = text.split("~")
            place = cls(datetime.datetime.fromisoformat(at), RANKS.index(kind), int(key))
        except ValueError:
            return None
        is_storable = timezone.is_aware(place.at) and 1000 <= place.at.year <= 9000 and 0 <= place.key < 2**63
        return place if is_storable else None


@dataclass(frozen=True, slots=True)
class Line:
    """One record, told."""

    record: Record
    kind: str
    name: str
    url: str
    when: str
    elsewhere: str
    detail: str
    amount: str
    where: str
    source: str
    brought_by: str
    brought_by_url: str
    is_void: bool = False


@dataclass(frozen=True, slots=True)
class Timeline:
    """One page of the list; `is_asked` when filters narrow it down. A URL that would lead nowhere is empty."""

    lines: list[Line]
    form: HappenedForm
    is_asked: bool
    older_url: str = ""
    newest_url: str = ""
    all_url: str = ""


def kinds_for(request: HttpRequest) -> list[str]:
    """The kinds of records that this person may see."""
    return [kind for kind in RECORDS if request.user.has_perm(f"profiles.view_{kind}")]


def timeline(request: HttpRequest, profile: Profile) -> Timeline:
    """The page that the address asks for. A fixed number of queries, at most one of which is not by key."""
    kinds = kinds_for(request)
    extensions = list(Extension.objects.order_by("name").values_list("pk", "name")[:MOST_LISTED])
    form = HappenedForm(
        request.GET,
        kinds=[(kind, words.KINDS[kind]) for kind in kinds],
        sources=[(STAFF, words.STAFF), *extensions],
        auto_id="happened_%s",
    )
    asked = form.cleaned_data if form.is_valid() else {**form.cleaned_data, **dict.fromkeys(form.errors, None)}
    before = Place.read(request.GET.get(BEFORE, ""))
    places = _places(profile, kinds, asked, before)
    shown = places[:PAGE]
    lines = _lines(request, profile, shown)
    filters = {name: request.GET[name] for name in form.fields if asked.get(name)}
    return Timeline(
        lines,
        form,
        is_asked=bool(filters),
        older_url=_url({**filters, BEFORE: str(shown[-1])}) if len(places) > PAGE else "",
        newest_url=_url(filters) if before is not None else "",
        all_url=_url({}) if filters else "",
    )


def _url(asked: Mapping[str, str]) -> str:
    return f"?{urlencode(asked)}#happened"


def _places(profile: Profile, kinds: Collection[str], asked: Mapping[str, Any], before: Place | None) -> list[Place]:
    """The places of a page, and one more if there is more."""
    chosen = [kind for kind in kinds if asked.get("kind") in (None, "", kind)]
    if asked.get("void") == "only":
        chosen = [kind for kind in chosen if kind == Transaction.kind]
    if not chosen:
        return []
    first, *others = (_of_kind(profile, kind, asked, before) for kind in chosen)
    found = first.union(*others, all=True) if others else first
    return sorted((Place(at, rank, key) for at, rank, key in found), reverse=True)[: PAGE + 1]


def _of_kind(profile: Profile, kind: str, asked: Mapping[str, Any], before: Place | None) -> QuerySet[Any, Any]:
    """When, what and which, of the newest records of one kind that are asked for."""
    rank, time = RANKS.index(kind), words.TIMES[kind]
    rows: QuerySet[Any] = of_kind(RECORDS[kind]).filter(profile=profile)
    if source := asked.get("source"):
        rows = rows.filter(source=None if source == STAFF else source)
    if kind == Transaction.kind and asked.get("void"):
        rows = rows.filter(is_void=asked["void"] == "only")
    if since := asked.get("since"):
        rows = rows.filter(**{f"{time}__gte": _midnight(since)})
    if until := asked.get("until"):
        rows = rows.filter(**{f"{time}__lt": _midnight(until + datetime.timedelta(days=1))})
    if before is not None:
        rows = rows.filter(_earlier(time, rank, before))
    order = rows.order_by(f"-{time}", "-pk")
    found: QuerySet[Any, Any] = order.annotate(at=F(time), rank=Value(rank)).values_list("at", "rank", "pk")
    return found[: PAGE + 1]


def _earlier(time: str, rank: int, before: Place) -> Q:
    """Further down in the list; of what happened at the same moment, by kind and then by key."""
    earlier, not_later = Q(**{f"{time}__lt": before.at}), Q(**{f"{time}__lte": before.at})
    if rank == before.rank:
        # The first part is what the index goes by.
        return not_later & (earlier | Q(pk__lt=before.key))
    return not_later if rank < before.rank else earlier


def _midnight(day: datetime.date) -> datetime.datetime:
    return datetime.datetime.combine(day, datetime.time.min, tzinfo=timezone.get_current_timezone())


def _lines(request: HttpRequest, profile: Profile, places: Sequence[Place]) -> list[Line]:
    """Load the records of these places, by key, and tell each."""
    records: dict[tuple[str, int], Record] = {}
    for kind, model in RECORDS.items():
        keys = [place.key for place in places if RANKS[place.rank] == kind]
        if not keys:
            continue
        rows: QuerySet[Any] = of_kind(model).filter(pk__in=keys).select_related("source")
        if kind in ("point", "reward"):
            rows = rows.select_related("source", "definition")
        records |= {(kind, row.pk): row for row in (rows.defer(*UNREAD) if model is Transaction else rows)}
    items = _items([key for kind, key in records if kind == Transaction.kind])
    masked = words.sensitive(records.values())
    may_see = request.user.has_perm("identities.view_identity")
    found = [(records.get((RANKS[place.rank], place.key))) for place in places]
    # One that has been deleted since the places were read is none.
    return [
        _line(record, profile, items.get(record.pk, []) if record.kind == Transaction.kind else [], masked, may_see)
        for record in found
        if record is not None
    ]


def _items(keys: Sequence[int]) -> dict[int, list[str]]:
    """The names of the first items of each transaction, one more than are shown."""
    found: dict[int, list[str]] = {}
    first = TransactionItem.objects.filter(transaction__in=keys, position__lte=words.MOST_ITEMS) if keys else []
    for item in first:
        found.setdefault(item.transaction_id, []).append(item.name)
    return found


def _line(
    record: Record, profile: Profile, items: Collection[str], masked: Collection[str], may_see_identities: bool
) -> Line:
    identity = record.brought_by_id if may_see_identities else None
    return Line(
        record,
        record.kind,
        words.name(record),
        change_url(record),
        words.instant(words.happened_at(record)),
        words.elsewhere(record),
        words.detail(record, items, profile.currency),
        words.amount(record, profile.currency),
        words.where(record),
        words.source(record),
        words.brought_by(record, masked),
        reverse("admin:identities_identity_change", args=[identity]) if identity else "",
        is_void=isinstance(record, Transaction) and record.is_void,
    )
