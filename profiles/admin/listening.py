"""Webhooks and reactions: who listens, to what, and what is done then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib import admin
from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.contrib.auth.models import Permission, User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from identities.admin.changes import account_name
from profiles import listening
from profiles.admin import trying
from profiles.admin.action_forms import ADD
from profiles.admin.base import OperationAdmin
from profiles.admin.reaction_form import ReactionForm, WebhookForm
from profiles.admin.reaction_words import (
    MOST_CHARACTERS,
    logic,
    sentence,
    state,
    trigger_shown,
    what_waits,
)
from profiles.auditing import By
from profiles.events import KNOWN
from profiles.models import Action, Reaction, Webhook
from profiles.reacting.actions import SET_ATTRIBUTE
from profiles.refusing import Refused

# What each event shows, whatever it is of.
SEES = ("profiles.view_profile", "identities.view_identity")

# Of the actions of a reaction, in one row of the list.
MOST_SHOWN = 4


class TriggerFilter(SimpleListFilter):
    title = gettext_lazy("trigger")
    parameter_name = "trigger"

    UNKNOWN = "-"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, Any]]:
        return [*((trigger, trigger) for trigger in KNOWN), (self.UNKNOWN, _("unknown, never fires"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == self.UNKNOWN:
            return queryset.exclude(trigger__in=KNOWN)
        return queryset.filter(trigger=self.value()) if self.value() else queryset


class ListeningAdmin(OperationAdmin):
    """What webhooks and reactions have in common: they are switched, tried on a profile, and say what waits."""

    is_small = True
    actions = ["delete_selected"]
    sortable_by = ()

    def get_urls(self) -> list[URLPattern]:
        return [self.object_path("try", self.try_view), *super().get_urls()]

    def try_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return trying.page(self, request, self.object_of(request, object_id))

    @admin.display(description=gettext_lazy("state"))
    def state(self, row: Any) -> SafeString:
        return state(row.is_active)

    @admin.display(description=gettext_lazy("trigger"))
    def trigger_shown(self, row: Any) -> SafeString:
        return trigger_shown(row.trigger)

    def get_object_tools(self, request: HttpRequest, obj: Any) -> list[tuple[str, str]]:
        may = request.user.has_perms(trying.permissions(obj))
        return [(self.object_url("try", obj), _("Try on a profile"))] if may else []

    def get_notices(self, request: HttpRequest, obj: Any) -> list[str]:
        if obj.trigger not in KNOWN:
            return [
                _("Nothing that happens is called “%(trigger)s”, so that this never fires.") % {"trigger": obj.trigger}
            ]
        return []

    def deletion_means(self, obj: Any = None) -> list[str]:
        stops = _(
            "It is told of nothing that happens from then on. What was delivered stays in the list of deliveries."
        )
        if obj is None:
            return [stops, _("What of them is still waiting to be sent is given up.")]
        return [stops, what_waits(listening.waiting_for(obj))]


@admin.register(Webhook)
class WebhookAdmin(ListeningAdmin):
    form = WebhookForm
    list_display = ["url_shown", "state", "trigger_shown", "condition_shown"]
    list_filter = ["is_active", TriggerFilter]
    list_select_related = ["user__extension"]
    search_fields = ["url__startswith", "namespace__startswith"]
    search_help_text = gettext_lazy("The beginning of a URL or of a namespace.")

    @admin.display(description=gettext_lazy("URL"))
    def url_shown(self, webhook: Webhook) -> str:
        url = Truncator(webhook.url).chars(MOST_CHARACTERS)
        by = _("by %(name)s") % {"name": account_name(webhook.user)}
        told = f"{webhook.namespace}, {by}" if webhook.namespace else by
        return format_html('{} <span class="quiet">{}</span>', url, told)

    @admin.display(description=gettext_lazy("condition"))
    def condition_shown(self, webhook: Webhook) -> str:
        return _("each event") if webhook.condition is None else logic(webhook.condition)

    @admin.display(description=gettext_lazy("by"))
    def owner(self, webhook: Webhook) -> str:
        return account_name(webhook.user)

    def get_fields(self, request: HttpRequest, obj: Webhook | None = None) -> Any:
        fields = list(WebhookForm.Meta.fields)
        return [*fields, "owner", "created_at", "updated_at"] if obj else fields

    def get_readonly_fields(self, request: HttpRequest, obj: Webhook | None = None) -> list[str]:
        return ["owner", "created_at", "updated_at"] if obj else []

    def create(self, typed: Mapping[str, Any], *, by: By) -> Webhook:
        demand(by.user, [typed["trigger"]])
        return listening.add_webhook(typed, by=by)

    def update(self, obj: Webhook, typed: Mapping[str, Any], *, by: By) -> Webhook:
        demand(by.user, [obj.trigger, typed.get("trigger", obj.trigger)])
        return listening.change_webhook(obj.pk, typed, by=by)

    def remove(self, obj: Webhook, *, by: By) -> None:
        listening.delete_webhook(obj.pk, by=by)


@admin.register(Reaction)
class ReactionAdmin(ListeningAdmin):
    form = ReactionForm
    change_form_template = "admin/profiles/reaction/change_form.html"
    list_display = ["name", "state", "trigger_shown", "actions_shown"]
    list_filter = ["is_active", TriggerFilter]
    search_fields = ["name__startswith"]
    search_help_text = gettext_lazy("The beginning of a name.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reaction]:
        queryset: QuerySet[Reaction] = super().get_queryset(request)
        return queryset.prefetch_related("actions")

    @admin.display(description=gettext_lazy("does"))
    def actions_shown(self, reaction: Reaction) -> str:
        steps: list[Action] = list(reaction.actions.all())
        shown = format_html_join("", "<li>{}</li>", ((sentence(one),) for one in steps[:MOST_SHOWN]))
        if not steps:
            return format_html('<span class="quiet">{}</span>', _("nothing"))
        more = format_html("<li>{}</li>", _("and more")) if len(steps) > MOST_SHOWN else ""
        return format_html('<ol class="steps-of-row">{}{}</ol>', shown, more)

    def get_fields(self, request: HttpRequest, obj: Reaction | None = None) -> Any:
        fields = list(ReactionForm.Meta.fields)
        return [*fields, "created_at", "updated_at"] if obj else fields

    def get_readonly_fields(self, request: HttpRequest, obj: Reaction | None = None) -> list[str]:
        return ["created_at", "updated_at"] if obj else []

    def get_notices(self, request: HttpRequest, obj: Reaction) -> list[str]:
        idle = [] if obj.actions.all() else [_("It has no action yet, and does nothing.")]
        return [*super().get_notices(request, obj), *idle]

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Reaction | None = None,
    ) -> HttpResponse:
        may = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        context |= {
            "rows": context["adminform"].form.rows if may else None,
            "told": [] if may or obj is None else [sentence(one) for one in obj.actions.all()],
            "add_name": ADD,
        }
        return super().render_change_form(request, context, add, change, form_url, obj)

    def create(self, typed: Mapping[str, Any], *, by: By) -> Reaction:
        fields, (steps, _gone) = _parts(typed)
        demand(by.user, [fields["trigger"]], _names(steps))
        return listening.add_reaction(fields, steps, by=by)

    def update(self, obj: Reaction, typed: Mapping[str, Any], *, by: By) -> Reaction:
        fields, (steps, gone) = _parts(typed)
        names = [*_names(steps), *(one.name for one in obj.actions.all())]
        demand(by.user, [obj.trigger, fields.get("trigger", obj.trigger)], names)
        return listening.change_reaction(obj.pk, fields, steps, gone=gone, by=by)

    def remove(self, obj: Reaction, *, by: By) -> None:
        listening.delete_reaction(obj.pk, by=by)

    def deletion_lists(self, obj: Reaction) -> list[str]:
        return [sentence(one) for one in obj.actions.all()]


def demand(user: User, triggers: Iterable[str], names: Iterable[str] = ()) -> None:
    """Refuse whoever may not see what these triggers show, or not write what actions of these names do.

    Who listens is told of all of it, wherever they have it sent: as for a token of the API.
    """
    needed = {*SEES, *(one for trigger in triggers for one in trying.records_of(trigger))}
    lacking = sorted(one for one in needed if not user.has_perm(one))
    if lacking:
        message = _("What it is told of is more than you may see; it takes: %(permissions)s.")
        raise Refused("not_permitted", message % {"permissions": _labels(lacking)}, field="trigger")
    if SET_ATTRIBUTE in names and not user.has_perm("profiles.change_profile"):
        raise Refused("not_permitted", _("Setting an attribute takes the permission to change profiles."))


def _labels(permissions: Iterable[str]) -> str:
    """As whoever gives them finds them."""
    codenames = [one.partition(".")[2] for one in permissions]
    return ", ".join(Permission.objects.filter(codename__in=codenames).order_by("name").values_list("name", flat=True))


def _names(steps: Iterable[listening.Step]) -> list[str]:
    """Of the actions that are new."""
    return [step.fields["name"] for step in steps if step.pk is None]


def _parts(typed: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[list[listening.Step], list[int]]]:
    """The columns of the reaction, and what is asked of its actions."""
    return {name: value for name, value in typed.items() if name != "actions"}, typed.get("actions") or ([], [])
