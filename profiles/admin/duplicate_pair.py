"""The queue of duplicates: its list, the page of one pair, on which its whole group is reviewed, and the decisions."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from identities import counting
from profiles import duplicates, evidence
from profiles.admin import duplicate_queue, merge_page, merge_words
from profiles.admin.base import Question, ReadOnlyAdmin, by, change_url, explain
from profiles.admin.filters import EvidenceFilter, PairStatusFilter
from profiles.admin.lists import BoundedChangeList, BoundedPaginator
from profiles.admin.merge_asked import Asked, read_ids
from profiles.forms import DismissForm
from profiles.models import DuplicatePair
from profiles.refusing import Refused


class PairPaginator(BoundedPaginator):
    """Pages of the first thousand pairs: of each it is asked whether it is offered. Nobody decides more in a day."""

    most = counting.MOST_PAIRS


class PairChangeList(BoundedChangeList):
    """The list, with what speaks for each pair, and how many belong together."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        pairs = cast(list[Any], self.result_list)
        told = evidence.tell(pairs) if pairs else {}
        sizes = duplicate_queue.sizes(pairs)
        for pair in pairs:
            pair.told, pair.size = told[pair.pk], sizes[pair.pk]

    @property
    def is_plain(self) -> bool:
        """Whether nothing was asked for but the open ones."""
        return self.params in ({}, {PairStatusFilter.parameter_name: DuplicatePair.Status.OPEN})


@admin.register(DuplicatePair)
class DuplicatePairAdmin(ReadOnlyAdmin):
    change_list_template = "admin/profiles/duplicatepair/change_list.html"
    list_display = ["two", "score_shown", "speaks_for_it", "group", "became"]
    list_display_links = ["two"]
    list_filter = [PairStatusFilter, EvidenceFilter]
    list_select_related = ["first", "second", "low", "high", "by"]
    ordering = ["-score", "-pk"]
    paginator = PairPaginator
    sortable_by = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return PairChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        first = duplicates.offered().first() if self.has_view_permission(request) else None
        more = {"title": _("Possible duplicates"), "first_url": change_url(first) if first is not None else ""}
        return super().changelist_view(request, more | (extra_context or {}))

    # Columns

    @admin.display(description=gettext_lazy("profiles"))
    def two(self, pair: DuplicatePair) -> SafeString:
        """Those that it stands for today; of what has become one, those that it was about."""
        is_one = pair.low_id == pair.high_id
        both = (pair.first, pair.second) if is_one else (pair.low, pair.high)
        names = ((one.full_name, merge_words.short_id(one)) for one in both)
        return format_html_join(SafeString("<br>"), '<bdi>{}</bdi> <span class="identifier">{}</span>', names)

    @admin.display(description=gettext_lazy("score"))
    def score_shown(self, pair: DuplicatePair) -> str:
        return duplicate_queue.percent(pair)

    @admin.display(description=gettext_lazy("what speaks for it"))
    def speaks_for_it(self, pair: Any) -> SafeString:
        return format_html_join("", "<p>{}</p>", ((one,) for one in pair.told))

    @admin.display(description=gettext_lazy("group"))
    def group(self, pair: Any) -> str:
        return group_words(*pair.size) if pair.status == DuplicatePair.Status.OPEN else ""

    @admin.display(description=gettext_lazy("status"))
    def became(self, pair: DuplicatePair) -> SafeString:
        return status_badge(pair)

    # Pages

    def get_urls(self) -> list[URLPattern]:
        return [
            self.object_path("dismiss", self.dismiss_view),
            self.object_path("reopen", self.reopen_view),
            self.object_path("skip", self.skip_view),
            *super().get_urls(),
        ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The review of the whole group, since three are reviewed as one. What is decided has pages of its own.

        It shows everything of the profiles, and so takes the permission to see them, too.
        """
        if not self.has_view_permission(request) or request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        self.demand(request, "profiles.view_profile")
        pair: DuplicatePair = self.object_of(request, object_id)
        group = duplicates.group_of(pair)
        today = merge_page.stand_for(group.profile_ids)
        if pair.low_id == pair.high_id or any(pk != one.pk for pk, one in today.items()):
            both = [pair.first_id, pair.second_id]
            return merge_page.lead_on(request, both, merge_page.stand_for(both), lambda _left: change_url(pair))
        if group.is_cut:
            text = _("More than these %(number)s hang together. Decide on these first; the others follow.")
            messages.info(request, text % {"number": len(group.profile_ids)})
        return merge_page.review(self, request, Asked.read(request.GET, today.values(), pair))

    def skip_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "profiles.view_duplicatepair")
        return duplicate_queue.skip(request, self.object_of(request, object_id))

    def dismiss_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask of which pairs of the profiles one means that they are not the same person, and for a note."""
        self.demand(request, "profiles.change_duplicatepair")
        pair: DuplicatePair = self.object_of(request, object_id)
        ids = in_order(pair, read_ids(request.GET))
        letters = {pk: merge_words.letter(place) for place, pk in enumerate(ids)}
        choices = to_be_decided(pair, ids, [pk for pk in ids if letters[pk] in request.GET.getlist("with")])
        if pair.low_id == pair.high_id or not choices:
            if choices or pair.status == DuplicatePair.Status.DISMISSED:
                messages.info(request, _("Somebody has decided on these meanwhile."))
            return duplicate_queue.go_on(request, pair)
        form = DismissForm(request.POST or None, pairs=[(str(one.pk), pair_label(one, letters)) for one in choices])
        if request.method == "POST" and form.is_valid():
            self._dismiss(request, pair, [int(key) for key in form.cleaned_data["pairs"]], form.cleaned_data["note"])
            return duplicate_queue.go_on(request, pair)
        question = Question(
            title=_("Not the same person?"),
            sentences=[
                *([pair_label(choices[0], letters)] if len(choices) == 1 else []),
                _("They stay profiles of their own, and are never offered as duplicates again, whatever comes in."),
            ],
            button=_("Not the same person"),
            act=str,
            form=form,
            template="admin/profiles/duplicatepair/dismiss.html",
            context={"back_url": change_url(pair), "has_choice": len(choices) > 1},
        )
        return self.question_page(request, question, obj=None)

    def _dismiss(self, request: HttpRequest, pair: DuplicatePair, keys: Sequence[int], note: str) -> None:
        for key in keys:
            try:
                duplicates.dismiss(key, note=note, by=by(request))
            except Refused as refusal:
                messages.error(request, explain(refusal, request))
            except DuplicatePair.DoesNotExist:
                messages.warning(request, _("One of the profiles is gone for good."))
        text = ngettext(
            "Noted: they are not the same person, and are not offered again.",
            "Noted for %(number)s pairs: they are not the same person, and are not offered again.",
            len(keys),
        )
        back = format_html('<a href="{}">{}</a>', change_url(pair), _("See it, or take it back"))
        messages.success(request, format_html("{} {}", text % {"number": len(keys)}, back))

    def reopen_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "profiles.change_duplicatepair")
        pair: DuplicatePair = self.object_of(request, object_id)

        def act() -> str:
            duplicates.reopen(pair.pk, by=by(request))
            return _("The pair is in the queue again.")

        is_dismissed = pair.status == DuplicatePair.Status.DISMISSED
        question = Question(
            title=_("Offer them as possible duplicates again?"),
            sentences=[pair_label(pair), _("The pair goes back into the queue, for somebody to decide.")],
            button=_("Offer it again"),
            act=act,
            hindrance="" if is_dismissed else _("Nobody says of them now that they are not the same person."),
        )
        return self.ask(request, question, obj=None, then=change_url(pair))


def in_order(pair: DuplicatePair, ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """Those that stood side by side, in the order of their letters; without any, the two of the pair."""
    asked = ids[: merge_page.MOST_PROFILES] if len(ids) > 1 else [pair.low_id, pair.high_id]
    today = {one.pk: one for one in merge_page.stand_for(asked).values()}
    return [one.pk for one in sorted(today.values(), key=lambda one: (one.created_at, one.pk))]


def to_be_decided(pair: DuplicatePair, ids: Sequence[uuid.UUID], chosen: Sequence[uuid.UUID]) -> list[DuplicatePair]:
    """The pairs of which it may be said that they are two people: those among the chosen of these profiles."""
    among = chosen if len(chosen) > 1 else ids
    found = duplicates.offered().filter(low__in=among, high__in=among).select_related("low", "high")
    rows = list(found[: duplicate_queue.MOST_PAIRS])
    # Of a pair that is not offered, since one of them is deleted, it can be said, too.
    if not rows and {pair.low_id, pair.high_id} <= set(among) and pair.status == DuplicatePair.Status.OPEN:
        return [pair]
    return rows


def pair_label(pair: DuplicatePair, letters: Mapping[uuid.UUID, str] | None = None) -> SafeString:
    called = letters or {}
    one, other = sorted((pair.low, pair.high), key=lambda profile: (profile.created_at, profile.pk))
    return format_html(
        _("{one} and {other}"),
        one=merge_words.named(one, called.get(one.pk, "")),
        other=merge_words.named(other, called.get(other.pk, "")),
    )


def group_words(number: int, may_be_more: bool) -> str:
    """ "group of three": how many are reviewed together; of two, nothing."""
    if number <= 2 and not may_be_more:
        return ""
    if may_be_more:
        return _("group of %(number)s or more") % {"number": number}
    words = {3: _("group of three"), 4: _("group of four"), 5: _("group of five")}
    return words.get(number) or _("group of %(number)s") % {"number": number}


def status_badge(pair: DuplicatePair) -> SafeString:
    marks = {"open": "warn", "dismissed": "muted", "merged": "ok"}
    badge = format_html('<span class="badge {}">{}</span>', marks[pair.status], pair.get_status_display())
    if pair.by is None or pair.at is None:
        return badge
    at = date_format(localtime(pair.at), "DATE_FORMAT")
    told = format_html('{} <span class="quiet">{}, {}</span>', badge, pair.by.get_username(), at)
    return format_html('{} <span class="quiet">“{}”</span>', told, pair.note) if pair.note else told
