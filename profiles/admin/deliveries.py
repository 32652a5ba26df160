"""Deliveries: what was sent, what was answered, what waits and why; and sending again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from identities.admin.figures import ago, ago_and_when, exactly
from identities.models import Handle
from profiles.admin.base import MOST_AT_ONCE, Question, ReadOnlyAdmin, by, change_url, link, pretty
from profiles.admin.trying import may_see
from profiles.events import KNOWN
from profiles.models import Action, Delivery, Reaction, Target, Webhook
from profiles.reacting import contexts, tending

State = Delivery.State

MARKS = {State.WAITING: "muted", State.DELIVERED: "ok", State.DEAD: "danger"}

# Targets that the list offers to filter by; any other is reached from its own page.
MOST_TARGETS = 20

# Of an address, in a list.
MOST_CHARACTERS = 60

MOST_IN_ROW = 24

# What a page shows of a body or an answer.
MOST_SHOWN = 20_000

# What it takes to see a body as it was sent, besides what the record of its event takes.
REVEAL = ("profiles.view_delivery", "profiles.view_profile", "identities.view_identity", "identities.reveal_identity")


class StateFilter(SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, Any]]:
        return list(State.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(state=self.value()) if self.value() else queryset


class TriggerFilter(SimpleListFilter):
    title = gettext_lazy("trigger")
    parameter_name = "trigger"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, Any]]:
        return [(trigger, trigger) for trigger in KNOWN]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(trigger=self.value()) if self.value() else queryset


class TargetFilter(SimpleListFilter):
    title = gettext_lazy("target")
    parameter_name = "target"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, Any]]:
        listed = Target.objects.order_by("url").values_list("pk", "url")[:MOST_TARGETS]
        return [(str(pk), Truncator(url).chars(MOST_CHARACTERS)) for pk, url in listed]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value:
            return queryset
        is_key = value.isascii() and value.isdigit() and len(value) < 19
        return queryset.filter(target=int(value)) if is_key else queryset.none()


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ["trigger_shown", "state_shown", "target_shown", "profile_shown", "last", "made"]
    list_display_links = ["trigger_shown"]
    list_filter = [StateFilter, TriggerFilter, TargetFilter]
    list_select_related = ["target", "profile"]
    search_fields = ["message_id__exact"]
    search_help_text = gettext_lazy("The whole message id, as a receiver got it in webhook-id.")
    sortable_by = ()
    actions = ["send_again"]  # type: ignore[assignment]
    fieldsets: ClassVar[Any] = [
        (None, {"fields": ["state_told", "target_link", "profile_shown", "sent_for", "made", "tried"]}),
        (gettext_lazy("Request"), {"fields": ["headers", "body_shown"]}),
        (gettext_lazy("Answer to the last try"), {"fields": ["status_shown", "answer_shown"]}),
    ]
    readonly_fields: ClassVar[Any] = [name for _title, part in fieldsets for name in part["fields"]]

    def get_urls(self) -> list[URLPattern]:
        return [
            self.object_path("again", self.again_view),
            self.object_path("reveal", self.reveal_view),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        queryset: QuerySet[Delivery] = super().get_queryset(request)
        # Bodies and answers of a whole page are megabytes that no list shows.
        return (
            queryset
            if request.resolver_match and "object_id" in request.resolver_match.kwargs
            else queryset.defer("body", "answer")
        )

    def get_fieldsets(self, request: HttpRequest, obj: Delivery | None = None) -> Any:
        """What was sent holds what the pages of the profile and of the record show, and so may the answer."""
        may = request.user.has_perms(["profiles.view_profile", "identities.view_identity"])
        may = may and (obj is None or may_see(request, obj.trigger))
        return self.fieldsets if may else self.fieldsets[:1]

    # What is shown

    @admin.display(description=gettext_lazy("event"))
    def trigger_shown(self, delivery: Delivery) -> str:
        return delivery.trigger

    @admin.display(description=gettext_lazy("state"))
    def state_shown(self, delivery: Delivery) -> SafeString:
        return badge(delivery)

    @admin.display(description=gettext_lazy("state"))
    def state_told(self, delivery: Delivery) -> SafeString:
        return format_html("{} {}", badge(delivery), sentence(delivery))

    @admin.display(description=gettext_lazy("target"))
    def target_shown(self, delivery: Delivery) -> SafeString:
        """What tells it from others, the rest for whoever points at it."""
        url = delivery.target.url
        text = Truncator(url.partition("://")[2].rstrip("/")).chars(MOST_IN_ROW)
        return format_html('<span title="{}">{}</span>', url, text)

    @admin.display(description=gettext_lazy("target"))
    def target_link(self, delivery: Delivery) -> SafeString:
        return link(delivery.target)

    @admin.display(description=gettext_lazy("profile"))
    def profile_shown(self, delivery: Delivery) -> SafeString:
        return link(delivery.profile, delivery.profile.full_name if delivery.profile else None)

    @admin.display(description=gettext_lazy("sent for"))
    def sent_for(self, delivery: Delivery) -> str:
        webhook = Webhook.objects.filter(deliveries=delivery).first()
        listens = webhook or Reaction.objects.filter(actions__deliveries=delivery).first()
        return link(listens) if listens else _("something that was deleted since")

    @admin.display(description=gettext_lazy("last answer"))
    def last(self, delivery: Delivery) -> SafeString:
        if delivery.status_code is not None:
            return format_html("{}", delivery.status_code)
        words = _("none") if delivery.error else _("not tried yet")
        return format_html('<span class="quiet" title="{}">{}</span>', delivery.error, words)

    @admin.display(description=gettext_lazy("made"))
    def made(self, delivery: Delivery) -> SafeString:
        return ago(delivery.created_at)

    @admin.display(description=gettext_lazy("tried"))
    def tried(self, delivery: Delivery) -> SafeString:
        number = ngettext("%(number)d time", "%(number)d times", delivery.tries) % {"number": delivery.tries}
        return format_html("{}, {} {}", number, _("last"), ago_and_when(delivery.tried_at))

    @admin.display(description=gettext_lazy("headers"))
    def headers(self, delivery: Delivery) -> SafeString:
        anew = _("made anew for each try")
        shown = [
            ("X-Omneo-Event", delivery.trigger),
            ("X-Omneo-Hmac-SHA256", anew),
            ("webhook-id", delivery.message_id),
            ("webhook-timestamp", anew),
            ("webhook-signature", anew),
        ]
        return format_html("<pre>{}</pre>", format_html_join("\n", "{}: {}", shown))

    @admin.display(description=gettext_lazy("body"))
    def body_shown(self, delivery: Delivery) -> SafeString:
        """Masked as everywhere, though the target was sent all of it."""
        if is_withheld(delivery):
            return format_html('<span class="quiet">{}</span>', withheld())
        shown = seen(delivery)["body"]
        if len(delivery.body) <= MOST_SHOWN:
            return pretty(shown)
        return format_html("<pre>{}…</pre>", json.dumps(shown, ensure_ascii=False, indent=2)[:MOST_SHOWN])

    @admin.display(description=gettext_lazy("status"))
    def status_shown(self, delivery: Delivery) -> str:
        return str(delivery.status_code or _("none"))

    @admin.display(description=gettext_lazy("text"))
    def answer_shown(self, delivery: Delivery) -> SafeString:
        if not delivery.answer:
            return format_html('<span class="quiet">{}</span>', _("none"))
        if is_withheld(delivery):
            return format_html('<span class="quiet">{}</span>', _("It may repeat what the body holds."))
        return format_html("<pre>{}</pre>", Truncator(seen(delivery)["answer"]).chars(MOST_SHOWN))

    def get_object_tools(self, request: HttpRequest, obj: Delivery) -> list[tuple[str, str]]:
        tools = []
        if _may_reveal(request, obj) and Handle.objects.sensitive().exists():
            tools.append((self.object_url("reveal", obj), _("Reveal")))
        if request.user.has_perm("profiles.change_delivery"):
            tools.append((self.object_url("again", obj), _("Send again")))
        return tools

    def reveal_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show a body and an answer without masks, on request only: a page that is merely opened reveals nothing."""
        self.demand(request, *REVEAL)
        delivery: Delivery = self.object_of(request, object_id)
        if not _may_reveal(request, delivery):
            raise PermissionDenied
        title, then = _("Reveal what was sent"), change_url(delivery)
        if request.method == "POST":
            delivery = tending.reveal(delivery.pk, by=by(request))
            return self.page(
                request,
                "admin/profiles/delivery/revealed.html",
                obj=delivery,
                title=title,
                body=json.dumps(json.loads(delivery.body), indent=2, ensure_ascii=False),
                answer=delivery.answer,
                then=then,
                question=None,
            )
        sentences = [_("Who looks at it, and when, is kept in the audit.")]
        question = Question(title=title, sentences=sentences, button=_("Reveal"), act=str)
        return self.ask(request, question, obj=delivery, then=then)

    # Sending again

    def has_send_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("profiles.change_delivery")

    def again_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "profiles.change_delivery")
        delivery: Delivery = self.object_of(request, object_id)
        return self.ask(request, question(request, [delivery]), obj=delivery, then=change_url(delivery))

    @admin.action(permissions=["send"], description=gettext_lazy("Send again"))
    def send_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> HttpResponse | None:
        selected = list(queryset.order_by("pk")[: MOST_AT_ONCE + 1])
        if len(selected) > MOST_AT_ONCE:
            messages.error(request, _("Select %(most)s at most.") % {"most": MOST_AT_ONCE})
            return None
        asked = question(request, selected)
        if request.POST.get("post"):
            messages.success(request, asked.act())
            return HttpResponseRedirect(request.get_full_path())
        return self.question_page(request, asked, obj=None)


def is_withheld(delivery: Delivery) -> bool:
    """Whether nothing tells where in it a sensitive identifier may be: a reaction has worked it out, not the event.

    What an event shows says itself of which handle each identifier is. An action that is gone, or was changed since
    the event, cannot be asked what it sent.
    """
    if delivery.action_id is None or not Handle.objects.sensitive().exists():
        return False
    unchanged = Action.objects.filter(pk=delivery.action_id, updated_at__lt=delivery.event.created_at)
    action = unchanged.first()
    return action is None or action.argument("body") is not None


def withheld() -> str:
    return _(
        "What a reaction worked out may hold a sensitive identifier in any form, so that it is not shown. "
        "Whoever may reveal identifiers can ask for it."
    )


def _may_reveal(request: HttpRequest, delivery: Delivery) -> bool:
    return request.user.has_perms(REVEAL) and may_see(request, delivery.trigger)


def seen(delivery: Delivery) -> dict[str, Any]:
    """The body and the answer, masked together: the answer may repeat what only the body says to be an identifier."""
    both = {"body": json.loads(delivery.body), "answer": delivery.answer}
    return contexts.masked(both, of=delivery.profile_id)


def badge(delivery: Delivery) -> SafeString:
    state = State(delivery.state)
    return format_html('<span class="badge {}">{}</span>', MARKS[state], state.label)


def sentence(delivery: Delivery) -> str:
    """Why it is as it is, and what comes next."""
    if delivery.state == State.DELIVERED:
        return ""
    if delivery.state == State.DEAD:
        return delivery.error
    if delivery.target.muted_at is not None:
        return _("The target is muted; it goes on when somebody unmutes it.")
    if delivery.next_try_at is None:
        return _("An earlier one of the same profile is still to go to this target.")
    if delivery.target.opened_at is not None:
        return _("The target does not answer; one delivery is tried now and then, and all go on when it does.")
    told = _("Next try: %(time)s") % {"time": exactly(delivery.next_try_at)}
    return f"{delivery.error} {told}".strip()


def question(request: HttpRequest, deliveries: Sequence[Delivery]) -> Question:
    """Whether to send these again."""
    names = [f"{one.trigger} → {one.target.url} ({State(one.state).label})" for one in deliveries]
    count = len(deliveries)

    def act() -> str:
        sent = tending.send_again([one.pk for one in deliveries], by=by(request))
        told = ngettext("%(count)d delivery goes out again.", "%(count)d deliveries go out again.", sent)
        return told % {"count": sent}

    return Question(
        title=ngettext("Send this delivery again?", "Send these deliveries again?", count),
        sentences=[
            _("The same body is sent under the same message id: a receiver that has it already can tell by that."),
            _("Each keeps its place before what came later for the same profile and still waits."),
        ],
        button=_("Yes, send again"),
        act=act,
        listed=names,
        hidden={
            "action": ["send_again"],
            "post": ["yes"],
            ACTION_CHECKBOX_NAME: [str(one.pk) for one in deliveries],
        },
    )
