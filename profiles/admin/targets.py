"""Targets: how each of them does, muting, and sending again what one did not take."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.db.models import IntegerField, QuerySet
from django.db.models.expressions import RawSQL
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from identities.admin.changes import account_name
from identities.admin.figures import exactly, number_link
from identities.counting import Count
from profiles.admin.base import Question, ReadOnlyAdmin, by, change_url
from profiles.admin.deliveries import MOST_CHARACTERS
from profiles.models import Target
from profiles.reacting import tending

# Counting the deliveries of a target stops here.
MOST_COUNTED = 1_000

COUNTED = f"""
    (SELECT count(*) FROM (
        SELECT FROM profiles_delivery WHERE target_id = profiles_target.id AND state = %s LIMIT {MOST_COUNTED}
    ) AS counted)
"""  # noqa: S608 - a number of our own


class StateFilter(SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, Any]]:
        return [("well", _("well")), ("down", _("does not answer")), ("muted", _("muted"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "muted":
            return queryset.exclude(muted_at=None)
        if self.value() == "down":
            return queryset.exclude(opened_at=None).filter(muted_at=None)
        return queryset.filter(muted_at=None, opened_at=None) if self.value() == "well" else queryset


@admin.register(Target)
class TargetAdmin(ReadOnlyAdmin):
    is_small = True
    list_display = ["url_shown", "state_shown", "waiting", "dead"]
    list_filter = [StateFilter]
    search_fields = ["url__startswith"]
    search_help_text = gettext_lazy("The beginning of a URL.")
    sortable_by = ()
    fields: ClassVar[Any] = ["url", "state_told", "waiting", "dead", "created_at"]
    readonly_fields: ClassVar[Any] = fields

    def get_urls(self) -> list[URLPattern]:
        return [
            self.object_path("mute", self.mute_view),
            self.object_path("unmute", self.unmute_view),
            self.object_path("again", self.again_view),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Target]:
        queryset: QuerySet[Target] = super().get_queryset(request)
        counted = {f"{state}_count": RawSQL(COUNTED, [state], IntegerField()) for state in ("waiting", "dead")}  # noqa: S611
        return queryset.annotate(**counted)

    # What is shown

    @admin.display(description=gettext_lazy("URL"))
    def url_shown(self, target: Target) -> str:
        return Truncator(target.url).chars(MOST_CHARACTERS)

    @admin.display(description=gettext_lazy("state"))
    def state_shown(self, target: Target) -> SafeString:
        mark, text = state(target)
        return format_html('<span class="badge {}">{}</span>', mark, text)

    @admin.display(description=gettext_lazy("state"))
    def state_told(self, target: Target) -> SafeString:
        return format_html("{} {}", self.state_shown(target), sentence(target))

    @admin.display(description=gettext_lazy("waiting"))
    def waiting(self, target: Any) -> SafeString:
        return counted(target, "waiting", target.waiting_count)

    @admin.display(description=gettext_lazy("given up"))
    def dead(self, target: Any) -> SafeString:
        return counted(target, "dead", target.dead_count)

    # What can be done

    def get_object_tools(self, request: HttpRequest, obj: Any) -> list[tuple[str, str]]:
        tools = []
        if obj.dead_count and request.user.has_perm("profiles.change_delivery"):
            tools.append((self.object_url("again", obj), _("Send again what was given up")))
        if request.user.has_perm("profiles.change_target"):
            name, text = ("mute", _("Mute")) if obj.muted_at is None else ("unmute", _("Unmute"))
            tools.append((self.object_url(name, obj), text))
        return tools

    def mute_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "profiles.change_target")
        target: Target = self.object_of(request, object_id)

        def act() -> str:
            tending.mute(target.pk, by=by(request))
            back = self.object_url("unmute", target)
            return format_html('{} <a href="{}">{}</a>', _("The target is muted."), back, _("Unmute it"))

        question = Question(
            title=_("Mute this target?"),
            sentences=[
                _("Nothing more is sent to it. What is to go there waits, however long, and keeps its order."),
                _("Other targets are told of everything as before."),
            ],
            listed=[target.url],
            button=_("Yes, mute"),
            act=act,
            hindrance=_("This target is muted already.") if target.muted_at else "",
        )
        return self.ask(request, question, obj=target, then=change_url(target))

    def unmute_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "profiles.change_target")
        target: Any = self.object_of(request, object_id)

        def act() -> str:
            tending.unmute(target.pk, by=by(request))
            back = self.object_url("mute", target)
            return format_html('{} <a href="{}">{}</a>', _("The target is unmuted."), back, _("Mute it again"))

        question = Question(
            title=_("Unmute this target?"),
            sentences=[_("What waits for it is sent at once, in its order."), waits(target)],
            listed=[target.url],
            button=_("Yes, unmute"),
            act=act,
            hindrance="" if target.muted_at else _("This target is not muted."),
        )
        return self.ask(request, question, obj=target, then=change_url(target))

    def again_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "profiles.change_delivery")
        target: Any = self.object_of(request, object_id)
        count = target.dead_count

        def act() -> str:
            sent = tending.send_again(tending.dead_of(target.pk), by=by(request))
            told = ngettext("%(count)d delivery goes out again.", "%(count)d deliveries go out again.", sent)
            return told % {"count": sent}

        about = ngettext(
            "%(count)d delivery that was given up is sent again, the same body under the same message id.",
            "%(count)d deliveries that were given up are sent again, oldest first, the same bodies under the same "
            "message ids. At most so many go at once; come back here for the rest.",
            count,
        )
        question = Question(
            title=_("Send again what this target was not given?"),
            sentences=[about % {"count": count}],
            listed=[target.url],
            button=_("Yes, send again"),
            act=act,
            hindrance="" if count else _("Nothing that was to go to it was given up."),
        )
        return self.ask(request, question, obj=target, then=change_url(target))


def state(target: Target) -> tuple[str, str]:
    if target.muted_at is not None:
        return "muted", _("muted")
    if target.opened_at is not None:
        return "danger", _("does not answer")
    return ("warn", _("has failed lately")) if target.failures else ("ok", _("well"))


def sentence(target: Target) -> str:
    """What its state means."""
    if target.muted_at is not None and target.muted_by is not None:
        by_whom = {"name": account_name(target.muted_by), "time": exactly(target.muted_at)}
        return _("Nothing is sent to it: muted by %(name)s, %(time)s") % by_whom
    failed = ngettext("It has failed %(count)d time.", "It has failed %(count)d times in a row.", target.failures)
    failed %= {"count": target.failures}
    if target.opened_at is not None and target.next_look_at is not None:
        looks = _("One delivery is tried now and then, since %(since)s; next: %(next)s")
        return f"{failed} {looks % {'since': exactly(target.opened_at), 'next': exactly(target.next_look_at)}}"
    return failed if target.failures else ""


def waits(target: Any) -> str:
    if target.waiting_count >= MOST_COUNTED:
        return _("More than %(count)d deliveries wait.") % {"count": MOST_COUNTED - 1}
    told = ngettext("%(count)d delivery waits.", "%(count)d deliveries wait.", target.waiting_count)
    return told % {"count": target.waiting_count}


def counted(target: Target, state: str, count: int) -> SafeString:
    about = urlencode({"target": str(target.pk), "state": state})
    url = f"{reverse('admin:profiles_delivery_changelist')}?{about}"
    return number_link(Count(count, count >= MOST_COUNTED), url)
