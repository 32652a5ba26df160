"""The queue of duplicates as people walk through it: where a pair stands, what speaks for it, and what comes next."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.formats import date_format, number_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from identities import counting
from profiles import duplicates, evidence
from profiles.admin.base import change_url
from profiles.admin.merge_asked import Asked
from profiles.models import DuplicatePair

# Pairs of the profiles on a page of which is told what speaks for them.
MOST_PAIRS = 50

# Where a pair stands is told up to here.
MOST_BEFORE = 1_000

# Pairs that lead away from those of one page of the list.
MOST_EDGES = 1_000


@dataclass(frozen=True, slots=True)
class Spoken:
    """What is known of profiles of a page: which pairs of them, by their letters, each sentence, what was decided."""

    pairs: str
    sentences: Sequence[str]
    score: str
    dismissed: str = ""


@dataclass(frozen=True, slots=True)
class Queue:
    """The queue around one pair, as far as this person may decide. An empty URL offers nothing."""

    pair: DuplicatePair
    number: str
    total: str
    is_offered: bool
    skip_url: str
    list_url: str
    dismiss_url: str = ""
    reopen_url: str = ""


def percent(pair: DuplicatePair) -> str:
    return _("%(score)s%%") % {"score": round(pair.score * 100)}


def spoken(asked: Asked) -> list[Spoken]:
    """What speaks for the profiles of a page being one person, by pairs, the likeliest first."""
    ids = [profile.pk for profile in asked.profiles]
    rows = DuplicatePair.objects.filter(low__in=ids, high__in=ids).exclude(status=DuplicatePair.Status.MERGED)
    of_two: dict[tuple[uuid.UUID, uuid.UUID], list[DuplicatePair]] = defaultdict(list)
    for row in rows.select_related("by").order_by("-score", "-pk")[:MOST_PAIRS]:
        of_two[row.low_id, row.high_id].append(row)
    told = evidence.tell([known[0] for known in of_two.values()]) if of_two else {}
    # One event may name many, and is told once.
    same: dict[tuple[tuple[str, ...], str, str], list[str]] = defaultdict(list)
    for two, known in of_two.items():
        dismissed = next((_dismissed(row) for row in known if row.status == DuplicatePair.Status.DISMISSED), "")
        one, other = sorted((asked.letters[pk] for pk in two), key=_order)
        pair = _("%(one)s and %(other)s") % {"one": one, "other": other}
        same[tuple(told[known[0].pk]), percent(known[0]), dismissed].append(pair)
    return [
        Spoken(", ".join(sorted(pairs)), sentences, score, dismissed)
        for (sentences, score, dismissed), pairs in same.items()
    ]


def _order(letter: str) -> tuple[int, str]:
    return len(letter), letter


def _dismissed(row: DuplicatePair) -> str:
    words = {
        "by": row.by.get_username() if row.by is not None else _("somebody"),
        "at": date_format(localtime(row.at), "DATETIME_FORMAT") if row.at is not None else "",
        "note": row.note,
    }
    if row.note:
        return _("%(by)s said that they are not the same person, %(at)s: “%(note)s”") % words
    return _("%(by)s said that they are not the same person, %(at)s.") % words


def queue(request: HttpRequest, asked: Asked) -> Queue | None:
    """Where the pair from which somebody comes stands, and where they may go from there."""
    pair = asked.pair
    if pair is None or not request.user.has_perm("profiles.view_duplicatepair"):
        return None
    is_offered = duplicates.offered().filter(pk=pair.pk).exists()
    before = _before(pair)
    is_dismissed = pair.status == DuplicatePair.Status.DISMISSED
    may_decide = request.user.has_perm("profiles.change_duplicatepair")
    return Queue(
        pair,
        _("after the first %(most)s") % {"most": number_format(MOST_BEFORE, force_grouping=True)}
        if before > MOST_BEFORE
        else number_format(before + 1, force_grouping=True),
        how_many(),
        is_offered,
        skip_url=reverse("admin:profiles_duplicatepair_skip", args=[pair.pk]),
        list_url=reverse("admin:profiles_duplicatepair_changelist"),
        dismiss_url=reverse("admin:profiles_duplicatepair_dismiss", args=[pair.pk])
        if may_decide and not is_dismissed
        else "",
        reopen_url=reverse("admin:profiles_duplicatepair_reopen", args=[pair.pk])
        if may_decide and is_dismissed
        else "",
    )


def how_many() -> str:
    """How many pairs are offered, counted up to a limit."""
    found = counting.open_duplicates()
    return number_format(found.value, force_grouping=True) + ("+" if found.is_capped else "")


def _before(pair: DuplicatePair) -> int:
    """How many stand before it, counted up to a limit: of the same score, and of a better one.

    Open rows are taken from the queue's index first, and then it is asked which of them are offered. The other way
    round, the planner may look at all of them.
    """
    every = DuplicatePair.objects.filter(status=DuplicatePair.Status.OPEN).order_by("-score", "-pk")
    ranges = every.filter(score=pair.score, pk__gt=pair.pk), every.filter(score__gt=pair.score)
    keys = [pk for found in ranges for pk in found.values_list("pk", flat=True)[: MOST_BEFORE + 1]]
    return MOST_BEFORE + 1 if len(keys) > MOST_BEFORE else duplicates.offered().filter(pk__in=keys).count()


def after(pair: DuplicatePair, *, besides: Collection[uuid.UUID] = ()) -> DuplicatePair | None:
    """The next pair of the queue; of those among `besides`, which are reviewed together with it, none."""
    every = duplicates.offered()
    if besides:
        every = every.exclude(low__in=besides, high__in=besides)
    return every.filter(score=pair.score, pk__lt=pair.pk).first() or every.filter(score__lt=pair.score).first()


def go_on(request: HttpRequest, pair: DuplicatePair) -> HttpResponse:
    """After a decision: to the pair itself, if it is still to be decided, else to the next one."""
    current = duplicates.offered().filter(pk=pair.pk).first() or after(pair)
    return _to(request, current)


def skip(request: HttpRequest, pair: DuplicatePair) -> HttpResponse:
    """To the next pair of other profiles, without a decision."""
    group = duplicates.group_of(pair)
    return _to(request, after(pair, besides=group.profile_ids))


def _to(request: HttpRequest, pair: DuplicatePair | None) -> HttpResponse:
    if pair is not None and request.user.has_perm("profiles.view_profile"):
        return HttpResponseRedirect(change_url(pair))
    if pair is None:
        messages.info(request, _("That was the last pair of the queue."))
    return HttpResponseRedirect(reverse("admin:profiles_duplicatepair_changelist"))


def sizes(pairs: Sequence[DuplicatePair]) -> dict[int, tuple[int, bool]]:
    """How many profiles hang together with each of these pairs, and whether there may be more of them.

    Two steps away from the pairs are looked at, by two statements for all of them.
    """
    edges = {(pair.low_id, pair.high_id) for pair in pairs}
    near = _ends(edges)
    first = _edges(near)
    far = _ends(first) - near
    second = _edges(far)
    beyond = _ends(second) - near - far
    groups = _together(edges | first)
    is_cut = max(len(first), len(second)) > MOST_EDGES
    leading_on = {one for two in second for one, other in (two, two[::-1]) if other in beyond}
    return {pair.pk: (len(groups[pair.low_id]), is_cut or bool(groups[pair.low_id] & leading_on)) for pair in pairs}


def _ends(edges: Iterable[tuple[uuid.UUID, uuid.UUID]]) -> set[uuid.UUID]:
    return {pk for two in edges for pk in two}


def _edges(ids: Collection[uuid.UUID]) -> set[tuple[uuid.UUID, uuid.UUID]]:
    """The offered pairs of these profiles, not all of very many."""
    found = duplicates.offered().filter(Q(low__in=ids) | Q(high__in=ids)).order_by()
    return set(found.values_list("low", "high")[: MOST_EDGES + 1])


def _together(edges: Iterable[tuple[uuid.UUID, uuid.UUID]]) -> dict[uuid.UUID, set[uuid.UUID]]:
    """By profile, all that hang together with it by these pairs."""
    groups: dict[uuid.UUID, set[uuid.UUID]] = {}
    for low, high in edges:
        joined = groups.get(low, {low}) | groups.get(high, {high})
        for one in joined:
            groups[one] = joined
    return groups
