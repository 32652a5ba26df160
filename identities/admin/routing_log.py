"""The routing log: its list here, the page of one entry in `log_entry`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.views.main import ChangeList
from django.contrib.admin.widgets import AdminTextareaWidget
from django.core.exceptions import SuspiciousOperation
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from identities import reviewing, telling
from identities.admin import decisions, log_entry, sending_page, told
from identities.admin.dates import DatedAdmin, DatedChangeList
from identities.admin.filters import HandleFilter, ReasonFilter, ReviewFilter, SeenFilter, SourceFilter
from identities.forms import ReviewAllForm, ReviewForm
from identities.models import RoutingLogEntry
from profiles.admin.base import MOST_AT_ONCE, OperationAdmin, Question, by, link
from profiles.auditing import By

Review = RoutingLogEntry.Review


class EntryChangeList(DatedChangeList):
    """The list, each of its entries told in a sentence."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        rows = telling.about(self.result_list)
        for entry in cast(list[Any], self.result_list):
            entry.told = telling.tell(entry, rows)

    @property
    def is_plain(self) -> bool:
        """Whether nothing was asked for but the open ones."""
        return self.params in ({}, {ReviewFilter.parameter_name: Review.OPEN})

    @property
    def url_of_all(self) -> str:
        return f"?{urlencode({ReviewFilter.parameter_name: ReviewFilter.ALL})}"


@admin.register(RoutingLogEntry)
class RoutingLogEntryAdmin(DatedAdmin, OperationAdmin):
    """The routing log: written by routing, reviewed here, never deleted."""

    form = ReviewForm
    change_list_template = "admin/identities/routinglogentry/change_list.html"
    change_form_template = "admin/identities/routinglogentry/change_form.html"
    list_display = ["seen", "sentence", "times", "review_shown"]
    list_display_links = ["sentence"]
    list_filter = [ReviewFilter, "outcome", ReasonFilter, HandleFilter, SourceFilter, SeenFilter]
    list_select_related = ["source", "by"]
    date_hierarchy = "last_seen_at"
    ordering = ["-last_seen_at", "-pk"]
    sortable_by = ["seen"]
    actions = ["mark_reviewed", "dismiss", "open_again"]
    radio_fields = {"review_status": admin.VERTICAL}
    readonly_fields = ["reviewed_by", "reviewed_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: RoutingLogEntry | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: RoutingLogEntry | None = None) -> bool:
        """Of one that an erasure has emptied, nothing is left to be reviewed."""
        return super().has_change_permission(request, obj) and not (obj and obj.is_emptied)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return EntryChangeList

    # Columns

    @admin.display(description=gettext_lazy("last seen"), ordering="last_seen_at")
    def seen(self, entry: RoutingLogEntry) -> SafeString:
        at = timezone.localtime(entry.last_seen_at)
        day, hour = date_format(at, "DATE_FORMAT"), date_format(at, "TIME_FORMAT")
        return format_html("{}<br>{}<br>{}", day, hour, told.outcome_badge(entry))

    @admin.display(description=gettext_lazy("what happened"))
    def sentence(self, entry: Any) -> str:
        return str(entry.told)

    @admin.display(description=gettext_lazy("times"))
    def times(self, entry: RoutingLogEntry) -> int:
        return entry.occurrences

    @admin.display(description=gettext_lazy("review"))
    def review_shown(self, entry: RoutingLogEntry) -> SafeString:
        return told.review_badge(entry)

    # Deciding one

    def get_urls(self) -> list[URLPattern]:
        return [
            self.object_path("send", self.send_view),
            self.object_path("part", self.part_view),
            *super().get_urls(),
        ]

    def part_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, *decisions.PART)
        return decisions.part_page(self, request, self.object_of(request, object_id))

    def send_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "identities.change_routinglogentry")
        return sending_page.send_page(self, request, self.object_of(request, object_id))

    # Reviewing several

    @admin.action(permissions=["change"], description=gettext_lazy("Mark as reviewed"))
    def mark_reviewed(self, request: HttpRequest, queryset: QuerySet[RoutingLogEntry]) -> HttpResponse | None:
        return self._review_several(request, queryset, Review.REVIEWED)

    @admin.action(permissions=["change"], description=gettext_lazy("Dismiss"))
    def dismiss(self, request: HttpRequest, queryset: QuerySet[RoutingLogEntry]) -> HttpResponse | None:
        return self._review_several(request, queryset, Review.DISMISSED)

    @admin.action(permissions=["change"], description=gettext_lazy("Open again"))
    def open_again(self, request: HttpRequest, queryset: QuerySet[RoutingLogEntry]) -> HttpResponse | None:
        return self._review_several(request, queryset, Review.OPEN)

    def _review_several(
        self, request: HttpRequest, queryset: QuerySet[RoutingLogEntry], status: Review
    ) -> HttpResponse | None:
        """List what would change and ask for a note; the answer brings back which entries, and how they were seen."""
        is_sure = "seen" in request.POST
        form = ReviewAllForm(request.POST if is_sure else None)
        if is_sure:
            seen = _seen(request)
            queryset = self.get_queryset(request).filter(pk__in=seen).select_related("source", "by")
        selected = list(queryset[: MOST_AT_ONCE + 1])
        if len(selected) > MOST_AT_ONCE:
            message = _("Review %(most)s entries at once at most: filter the list, or select fewer.")
            messages.error(request, message % {"most": MOST_AT_ONCE})
            return None
        if is_sure and form.is_valid():
            reviewed = reviewing.review_all(seen, status=status, note=form.cleaned_data["note"], by=by(request))
            _say(request, status, reviewed)
            return None
        changing = [entry for entry in selected if not entry.is_emptied and (is_sure or entry.review_status != status)]
        chosen = {*request.POST.getlist(ACTION_CHECKBOX_NAME), *(str(entry.pk) for entry in selected)}
        if not changing:
            messages.warning(
                request,
                _("Nothing to do: all of them were reviewed meanwhile, have this status, or are emptied."),
            )
            return None
        left = len(chosen) - len(changing)
        question = _question(changing, status, form, action=request.POST["action"], left=left)
        return self.page(request, "admin/question.html", obj=None, title=question.title, question=question)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": _("Routing log"), **(extra_context or {})})

    # The page of one entry

    def get_fieldsets(self, request: HttpRequest, obj: RoutingLogEntry | None = None) -> Any:
        by_whom = ["reviewed_by", "reviewed_at"] if obj and obj.reviewed_at else []
        return [(_("Review"), {"fields": ["review_status", "review_note", *by_whom]})]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "review_note":
            kwargs["widget"] = AdminTextareaWidget({"rows": 5})
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        return super().change_view(request, object_id, form_url, {"subtitle": None, **(extra_context or {})})

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: RoutingLogEntry | None = None,
    ) -> HttpResponse:
        if obj is not None:
            context |= log_entry.context(obj, reader=request.user)
            naming = [] if context["is_settled"] else context["payload"].naming
            context["deeds"] = decisions.deeds(self, obj, naming, reader=request.user)
            context["came"] = sending_page.came_by(self, obj, reader=request.user)
            context["title"] = capfirst(obj.get_outcome_display())
            context["show_save_and_continue"] = False
        return super().render_change_form(request, context, add, change, form_url, obj)

    def get_object_tools(self, request: HttpRequest, obj: RoutingLogEntry) -> list[tuple[str, str]]:
        before, after = log_entry.neighbours(obj)
        tools = [(before, _("Newer open entry")), (after, _("Older open entry"))]
        return [(self._within(request, entry), str(label)) for entry, label in tools if entry is not None]

    def _within(self, request: HttpRequest, entry: RoutingLogEntry) -> str:
        """The entry's page, from which one comes back to the same part of the list."""
        url = reverse("admin:identities_routinglogentry_change", args=[entry.pk])
        filters = self.get_preserved_filters(request)
        return add_preserved_filters({"preserved_filters": filters, "opts": self.opts}, url)

    def update(self, obj: RoutingLogEntry, typed: Mapping[str, Any], *, by: By) -> RoutingLogEntry:
        status = typed.get("review_status", obj.review_status)
        return reviewing.review(obj, status=status, note=typed.get("review_note", obj.review_note), by=by)

    def response_change(self, request: HttpRequest, obj: RoutingLogEntry) -> HttpResponse:
        """Say what was done, with the way back; then go on to the next entry, or to the list."""
        said = _("Saved: the entry is now %(status)s.") % {"status": obj.get_review_status_display()}
        messages.success(request, format_html("{} {}", said, link(obj, _("Back to it"))))
        if "_next" in request.POST:
            _before, after = log_entry.neighbours(obj)
            if after is not None:
                return HttpResponseRedirect(self._within(request, after))
            messages.info(request, _("There is no older open entry."))
        return self.response_post_save_change(request, obj)


def _seen(request: HttpRequest) -> dict[int, str]:
    """The entries that the question listed, each with the status that it had then."""
    seen = {}
    for one in request.POST.getlist("seen"):
        key, _dash, status = one.partition("-")
        if not (key.isascii() and key.isdecimal() and len(key) < 19 and status in Review.values):
            raise SuspiciousOperation("A review was sent with something that is no entry.")
        seen[int(key)] = status
    return seen


def _question(
    entries: Sequence[RoutingLogEntry], status: Review, form: ReviewAllForm, *, action: str, left: int
) -> Question:
    rows = telling.about(entries)
    number = len(entries)
    titles = {
        Review.REVIEWED: ngettext(
            "Mark %(number)s entry as reviewed?", "Mark %(number)s entries as reviewed?", number
        ),
        Review.DISMISSED: ngettext("Dismiss %(number)s entry?", "Dismiss %(number)s entries?", number),
        Review.OPEN: ngettext("Open %(number)s entry again?", "Open %(number)s entries again?", number),
    }
    means = {
        Review.REVIEWED: _("Reviewed: somebody has looked at it, and what was to be done is done."),
        Review.DISMISSED: _("Dismissed: it is of no interest."),
        Review.OPEN: _("Open entries wait for somebody to look at them. Who reviewed them before stays in the audit."),
    }
    sentences = [means[status]]
    if status != Review.OPEN:
        sentences.append(_("When the same happens again, a new entry opens. No profile and no identity changes."))
    if left:
        stay = ngettext(
            "%(number)s more was reviewed meanwhile, or has this status already, and stays as it is.",
            "%(number)s more were reviewed meanwhile, or have this status already, and stay as they are.",
            left,
        )
        sentences.append(stay % {"number": left})
    buttons = {
        Review.REVIEWED: _("Yes, mark as reviewed"),
        Review.DISMISSED: _("Yes, dismiss"),
        Review.OPEN: _("Yes, open again"),
    }
    return Question(
        title=titles[status] % {"number": number},
        sentences=sentences,
        button=buttons[status],
        act=str,
        listed=[str(telling.tell(entry, rows)) for entry in entries],
        form=form,
        hidden={
            "action": [action],
            ACTION_CHECKBOX_NAME: [str(entry.pk) for entry in entries],
            "seen": [f"{entry.pk}-{entry.review_status}" for entry in entries],
        },
    )


def _say(request: HttpRequest, status: Review, reviewed: reviewing.Reviewed) -> None:
    """What was done, with the way back, and what was not."""
    number = len(reviewed.done)
    if number:
        done = {
            Review.REVIEWED: ngettext(
                "%(number)s entry was marked as reviewed.", "%(number)s entries were marked as reviewed.", number
            ),
            Review.DISMISSED: ngettext(
                "%(number)s entry was dismissed.", "%(number)s entries were dismissed.", number
            ),
            Review.OPEN: ngettext("%(number)s entry is open again.", "%(number)s entries are open again.", number),
        }[status] % {"number": number}
        if status != Review.OPEN:
            every = reverse("admin:identities_routinglogentry_changelist")
            about = urlencode({ReviewFilter.parameter_name: status, "reviewed_at__exact": reviewed.at.isoformat()})
            back = _("See them, or open them again")
            done = format_html('{} <a href="{}?{}">{}</a>', done, every, about, back)
        messages.success(request, done)
    if reviewed.changed:
        number = len(reviewed.changed)
        changed = ngettext(
            "%(number)s entry was reviewed meanwhile and stays as it is.",
            "%(number)s entries were reviewed meanwhile and stay as they are.",
            number,
        )
        messages.warning(request, changed % {"number": number})
    if reviewed.reopened:
        number = len(reviewed.reopened)
        newer = ngettext(
            "%(number)s entry cannot be opened again: the same has happened since, and has an open entry of its own.",
            "%(number)s entries cannot be opened again: the same has happened since, and has open entries of its own.",
            number,
        )
        messages.warning(request, newer % {"number": number})
