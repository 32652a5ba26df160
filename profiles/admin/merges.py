"""Merges: the list of them, the page of one, and the page that takes one back."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.contrib.admin.utils import quote
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator, capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from identities.admin.changes import account_name
from profiles import merging
from profiles.admin import merge_told, merge_words, undo_page
from profiles.admin.base import Question, ReadOnlyAdmin, by, change_url, explain
from profiles.admin.profile_words import short_name
from profiles.forms import UndoMergeForm
from profiles.models import Merge
from profiles.refusing import Refused

UNDO = "profiles.unmerge_merge"

# Merges of one profile that a search looks for, of either side.
MOST_FOUND = 1_000


class UndoneFilter(SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "undone"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, Any]]:
        return [("no", _("in force")), ("yes", _("undone"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(undone_at__isnull=self.value() == "no")


@admin.register(Merge)
class MergeAdmin(ReadOnlyAdmin):
    """What was merged, read only: a merge comes into being on other pages, and is taken back on one of its own."""

    change_form_template = "admin/profiles/merge/change_form.html"
    list_display = ["merged_at", "became", "part_of", "who_and_why", "state"]
    list_select_related = ["survivor", "duplicate", "by__extension"]
    list_filter = [UndoneFilter, "cause"]
    sortable_by = ()
    fields = ()
    # Turns the search box on; what it searches is `get_search_results`.
    search_fields = ["id"]
    search_help_text = gettext_lazy("A profile id, whole: merges of which it is either side.")

    def get_urls(self) -> list[URLPattern]:
        return [self.object_path("undo", self.undo_view), *super().get_urls()]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Merge], search_term: str
    ) -> tuple[QuerySet[Merge], bool]:
        """By the id of the survivor or of the duplicate, on the index of each."""
        text = search_term.strip()
        if not text:
            return queryset, False
        try:
            profile_id = uuid.UUID(text)
        except ValueError:
            return queryset.none(), False
        sides = (Q(survivor=profile_id), Q(duplicate=profile_id))
        newest = (Merge.objects.filter(side).order_by("-pk").values_list("pk", flat=True) for side in sides)
        return queryset.filter(pk__in={pk for found in newest for pk in found[:MOST_FOUND]}), False

    # Columns

    @admin.display(description=gettext_lazy("at"))
    def merged_at(self, merge: Merge) -> SafeString:
        at = timezone.localtime(merge.at)
        return format_html("{}<br>{}", date_format(at, "DATE_FORMAT"), date_format(at, "TIME_FORMAT"))

    @admin.display(description=gettext_lazy("profile"))
    def became(self, merge: Merge) -> SafeString:
        return merge_words.linked(merge.duplicate)

    @admin.display(description=gettext_lazy("became part of"))
    def part_of(self, merge: Merge) -> SafeString:
        return merge_words.linked(merge.survivor)

    @admin.display(description=gettext_lazy("by, and why"))
    def who_and_why(self, merge: Merge) -> SafeString:
        why = Truncator(merge.reason).chars(80) or merge.get_cause_display()
        return format_html('{}<br><span class="quiet">{}</span>', account_name(merge.by), why)

    @admin.display(description=gettext_lazy("state"))
    def state(self, merge: Merge) -> SafeString:
        if merge.undone_at is None:
            return format_html('<span class="badge ok">{}</span>', _("in force"))
        return format_html('<span class="badge muted">{}</span>', _("undone"))

    # The page of one

    def get_queryset(self, request: HttpRequest) -> QuerySet[Merge]:
        queryset: QuerySet[Merge] = super().get_queryset(request)
        return queryset.defer("fields", "undo_report", "deactivated", "closed", "shown", "marks")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        try:
            number = int(object_id)
        except ValueError:
            return None
        if not 0 < number < 2**63:
            return None
        # All of it, which the list does without.
        names = ("survivor", "duplicate", "by__extension", "undone_by__extension")
        return Merge.objects.select_related(*names).filter(pk=number).first()

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Merge | None = None,
    ) -> HttpResponse:
        if obj is not None:
            context |= merge_told.context(request, obj) | {"title": capfirst(str(obj)), "subtitle": None}
        return super().render_change_form(request, context, add, change, form_url, obj)

    def get_object_tools(self, request: HttpRequest, obj: Merge) -> list[tuple[str, str]]:
        if obj.undone_at is not None or not request.user.has_perm(UNDO):
            return []
        return [(self.object_url("undo", obj), _("Undo this merge"))]

    # Undo

    def undo_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say what taking it back would do, and do it. Whoever comes second sees what the first one did."""
        self.demand(request, UNDO)
        merge: Merge = self.object_of(request, object_id)
        then = self._url_after(request, merge)
        if merge.undone_at is not None:
            messages.info(request, undone_already(merge))
            return HttpResponseRedirect(then)
        hindrance, context = "", {}
        try:
            told = merging.preview_undo(merge.pk)
        except Refused as refusal:
            hindrance = explain(refusal, request)
            sentences: Sequence[str] = [title(merge)]
        else:
            context = undo_page.context(request, told)
            sentences = undo_page.sentences(request, told)
        form = UndoMergeForm(request.POST or None)

        def act() -> str:
            try:
                done = merging.undo(merge.pk, reason=form.cleaned_data["reason"], by=by(request))
            except Refused as refusal:
                if refusal.code != "already_undone":
                    raise
                return undone_already(Merge.objects.select_related("undone_by__extension").get(pk=merge.pk))
            self.log_change(request, merge, _("Undone."))
            return undo_page.message(request, done)

        question = Question(
            title=_("Undo: %(title)s") % {"title": title(merge)},
            sentences=sentences,
            button=_("Yes, undo this merge"),
            act=act,
            hindrance=hindrance,
            form=form,
            template="admin/profiles/merge/undo.html",
            context=context,
        )
        return self.ask(request, question, obj=merge, then=then)

    def _url_after(self, request: HttpRequest, merge: Merge) -> str:
        """Where the finished result is shown: the merge, which says what its undo did, as far as they may see it."""
        if self.has_view_permission(request):
            return change_url(merge)
        if request.user.has_perm("profiles.view_profile"):
            return change_url(merge.duplicate)
        return reverse("admin:index")


def title(merge: Merge) -> str:
    """The merge in a sentence without its full stop; of one that was undone, what was."""
    sides = (merge.duplicate, merge.survivor)
    duplicate, survivor = (short_name(one) for one in sides)
    if duplicate == survivor:
        duplicate, survivor = (f"{short_name(one)} {merge_words.short_id(one)}" for one in sides)
    words = {"duplicate": duplicate, "survivor": survivor}
    if merge.undone_at is not None:
        return _("%(duplicate)s was part of %(survivor)s") % words
    return _("%(duplicate)s became part of %(survivor)s") % words


def undone_already(merge: Merge) -> str:
    who = account_name(merge.undone_by) if merge.undone_by is not None else ""
    return _("This merge was undone already, by %(who)s. Nothing was done twice.") % {"who": who}


def undo_url(merge: Merge) -> str:
    return reverse("admin:profiles_merge_undo", args=[quote(merge.pk)])
