"""The lists and pages of records: transactions, interactions, points and rewards. They are read here, and moved."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar, cast

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from identities.admin.filters import SourceFilter
from identities.admin.move_page import RecordMove, move_page
from identities.models import Handle
from profiles.admin import record_page
from profiles.admin import record_words as words
from profiles.admin.amounts import exact, money
from profiles.admin.base import ReadOnlyAdmin, link, pretty
from profiles.admin.filters import OwnerFilter, PeriodFilter, VoidFilter
from profiles.admin.lists import BoundedChangeList
from profiles.admin.profile_words import addressed
from profiles.models import Interaction, Point, Record, Reward, Transaction

# Of one external id or receipt. Several sources may use the same, and hardly any number of them.
MOST_FOUND = 1_000


class RecordChangeList(BoundedChangeList):
    """Newest arrivals first; of a period, by when it happened: its index has the page's rows side by side."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        if self.params.get(PeriodFilter.parameter_name) in PeriodFilter.DAYS:
            return [f"-{words.TIMES[cast(type[Record], self.model).kind]}", "-pk"]
        return list(super().get_ordering(request, queryset))


class RecordAdmin(ReadOnlyAdmin):
    """Records are written by the systems that know of them; staff read them, and give them to whom they belong."""

    change_form_template = "admin/profiles/record/change_form.html"
    list_filter = [OwnerFilter, SourceFilter, PeriodFilter]
    list_select_related = ["profile", "source"]
    list_display_links = ["named"]
    sortable_by = ()
    # Columns of the kind, in the fieldset that shows what no other part of the page does.
    remaining: ClassVar[Collection[str]] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return RecordChangeList

    def get_urls(self) -> list[URLPattern]:
        return [self.object_path("move", self.move_view), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        sensitive = Handle.objects.sensitive().filter(pk=OuterRef("brought_by_handle"))
        queryset: QuerySet[Any] = super().get_queryset(request).annotate(is_sensitive=Exists(sensitive))
        return queryset

    # Columns

    @admin.display(description=gettext_lazy("what"))
    def named(self, record: Record) -> str:
        return words.name(record)

    @admin.display(description=gettext_lazy("when"))
    def happened(self, record: Record) -> SafeString:
        at = timezone.localtime(words.happened_at(record))
        return format_html("{}<br>{}", date_format(at, "DATE_FORMAT"), date_format(at, "TIME_FORMAT"))

    @admin.display(description=gettext_lazy("profile"))
    def held_by(self, record: Record) -> SafeString:
        if record.profile is None:
            return format_html('<span class="badge muted">{}</span>', _("anonymous"))
        return link(record.profile)

    @admin.display(description=gettext_lazy("amount"))
    def amount(self, record: Record) -> str:
        return words.amount(record, record.profile.currency if record.profile else "")

    @admin.display(description=gettext_lazy("source"))
    def source_name(self, record: Record) -> str:
        return words.source(record)

    @admin.display(description=gettext_lazy("source, and where"))
    def sent_from(self, record: Record) -> SafeString:
        return format_html('{}<br><span class="quiet">{}</span>', words.source(record), words.where(record))

    @admin.display(description=gettext_lazy("brought by"))
    def brought(self, record: Any) -> str:
        return words.brought_by(record, [record.brought_by_handle] if record.is_sensitive else [])

    # The page

    def get_fieldsets(self, request: HttpRequest, obj: Record | None = None) -> Any:
        sent = [name for name in (*self.remaining, "pairs_shown") if obj is None or self._is_told(obj, name)]
        return [
            (_("As it was sent"), {"fields": sent}),
            (_("Record"), {"fields": ["id", "source_name", "decided_by", "sent_for", "created_at", "updated_at"]}),
        ]

    def _is_told(self, record: Record, name: str) -> bool:
        """Whether there is anything to show in this field."""
        shown = getattr(self, name)(record) if hasattr(self, name) else getattr(record, name)
        return shown not in (None, "")

    def get_readonly_fields(self, request: HttpRequest, obj: Record | None = None) -> list[str]:
        return [name for _title, part in self.get_fieldsets(request, obj) for name in part["fields"]]

    @admin.display(description=gettext_lazy("identities"))
    def pairs_shown(self, record: Record) -> SafeString:
        pairs = (
            (pair["handle"] or _("without a handle"), pair["identifier"]) for pair in record_page.masked_pairs(record)
        )
        mark = '<span class="handle">{}</span> <span class="identifier">{}</span>'
        return format_html_join(SafeString("<br>"), mark, pairs)

    @admin.display(description=gettext_lazy("addressed"))
    def sent_for(self, record: Record) -> SafeString:
        return addressed(record.addressed)

    @admin.display(description=gettext_lazy("meta"))
    def meta_shown(self, record: Any) -> SafeString:
        return pretty(record.meta) if record.meta else SafeString("")

    @admin.display(description=gettext_lazy("tags"))
    def tags_shown(self, record: Any) -> str:
        return ", ".join(words.plain(tag) for tag in record.tags)

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Record | None = None,
    ) -> HttpResponse:
        if obj is not None:
            context |= record_page.context(request, obj) | {"title": words.name(obj), "subtitle": None}
        return super().render_change_form(request, context, add, change, form_url, obj)

    def get_object_tools(self, request: HttpRequest, obj: Record) -> list[tuple[str, str]]:
        if not request.user.has_perm(self._change):
            return []
        text = _("Give it to a profile") if obj.profile is None else _("Move to another profile")
        return [(self.object_url("move", obj), text)]

    def get_notices(self, request: HttpRequest, obj: Record) -> list[str]:
        if obj.profile is not None and not obj.profile.is_live:
            return [_("Its profile is deleted: the record is kept with it.")]
        return []

    @property
    def _change(self) -> str:
        return f"{self.opts.app_label}.change_{self.opts.model_name}"

    def move_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, self._change)
        return move_page(self, request, RecordMove(self.object_of(request, object_id), words.name))


@admin.register(Transaction)
class TransactionAdmin(RecordAdmin):
    list_display = ["happened", "named", "held_by", "amount", "sent_from", "brought"]
    list_filter = [OwnerFilter, SourceFilter, VoidFilter, PeriodFilter]
    # Turns the search box on; what it searches is `get_search_results`.
    search_fields = ["external_id"]
    search_help_text = gettext_lazy("An external id or the number on a receipt, whole.")
    remaining = (
        "external_id",
        "receipt_ref",
        "transacted_at",
        "timezone",
        "total_shown",
        "total_original_shown",
        "location",
        "staff",
        "tags_shown",
        "systems_shown",
        "meta_shown",
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Transaction], search_term: str
    ) -> tuple[QuerySet[Transaction], bool]:
        """By equality, on the index of each: somebody holds the receipt, or has the number from another system."""
        text = search_term.strip()[:255]
        if "\0" in text:
            return queryset.none(), False
        if text:
            # What the conditions of the indexes ask for is said, too.
            asked = (
                Q(external_id=text) & ~Q(external_id=""),
                Q(receipt_ref=text) & ~Q(receipt_ref=""),
            )
            found = {
                pk
                for one in asked
                for pk in Transaction.objects.filter(one).order_by().values_list("pk", flat=True)[:MOST_FOUND]
            }
            queryset = queryset.filter(pk__in=found)
        return queryset, False

    @admin.display(description=gettext_lazy("what"))
    def named(self, record: Record) -> str:
        if isinstance(record, Transaction) and record.is_void:
            return format_html('{} <span class="badge danger">{}</span>', words.name(record), _("void"))
        return super().named(record)

    @admin.display(description=gettext_lazy("total"))
    def total_shown(self, record: Transaction) -> str:
        return words.amount(record, record.profile.currency if record.profile else "")

    @admin.display(description=gettext_lazy("original total"))
    def total_original_shown(self, record: Transaction) -> str:
        return "" if record.total_original is None else money(record.total_original)

    @admin.display(description=gettext_lazy("location"))
    def location(self, record: Transaction) -> str:
        return words.plain(record.location_id)

    @admin.display(description=gettext_lazy("member of staff"))
    def staff(self, record: Transaction) -> str:
        return words.plain(record.staff_id)

    @admin.display(description=gettext_lazy("systems"))
    def systems_shown(self, record: Transaction) -> str:
        return ", ".join(words.plain(one) for one in record.systems)


@admin.register(Interaction)
class InteractionAdmin(RecordAdmin):
    list_display = ["happened", "named", "held_by", "told", "sent_from", "brought"]
    remaining = (
        "name",
        "namespace",
        "action",
        "channel",
        "signal",
        "interacted_at",
        "url",
        "description",
        "tags_shown",
        "meta_shown",
    )

    @admin.display(description=gettext_lazy("how"))
    def told(self, record: Interaction) -> str:
        return words.detail(record)


class BalanceRecordAdmin(RecordAdmin):
    """Points and rewards: what was given, and what is left of it."""

    list_display = ["happened", "named", "held_by", "amount", "left", "source_name", "brought"]
    list_select_related = ["profile", "source", "definition"]

    @admin.display(description=gettext_lazy("left"))
    def left(self, record: Any) -> str:
        return words.left(record, record.profile.currency if record.profile else "")

    @admin.display(description=gettext_lazy("initial value"))
    def initial(self, record: Any) -> str:
        return exact(record.value_initial)

    @admin.display(description=gettext_lazy("remaining value"))
    def remains(self, record: Any) -> str:
        return exact(record.value_remaining)


@admin.register(Point)
class PointAdmin(BalanceRecordAdmin):
    remaining = ("definition", "initial", "remains", "issued_at", "expires_at", "meta_shown")


@admin.register(Reward)
class RewardAdmin(BalanceRecordAdmin):
    remaining = ("definition", "initial", "remains", "issued_at", "expires_at", "timezone")
