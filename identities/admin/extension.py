from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from identities import cataloguing, counting
from identities.admin import figures, health
from identities.admin.figures import ago, number
from identities.admin.token_page import issue_page
from identities.forms import ExtensionForm
from identities.models import Extension
from profiles.admin.base import OperationAdmin, Question, by, change_url, link
from profiles.auditing import By
from profiles.models import Webhook

# On the page that asks before it disables an extension.
MOST_LISTED = 20

# Its webhooks are counted no further.
MOST_COUNTED = 1_000

# In one row of the list.
MOST_SHOWN = 5


@admin.register(Extension)
class ExtensionAdmin(OperationAdmin):
    """Integrations. None is deleted: its identities and log entries name it; a disabled one is refused."""

    form = ExtensionForm
    change_form_template = "admin/identities/extension/change_form.html"
    is_small = True
    list_display = ["named", "state", "claimed", "last_seen", "writes_today", "refused", "taken"]
    list_select_related = ["service_account"]
    search_fields = ["slug__startswith", "name__istartswith"]
    search_help_text = gettext_lazy("The beginning of a name or slug.")
    sortable_by = ["named", "state"]
    actions = None

    def get_urls(self) -> list[URLPattern]:
        return [
            self.object_path("issue-token", self.issue_token_view),
            self.object_path("disable", self.disable_view),
            self.object_path("enable", self.enable_view),
            *super().get_urls(),
        ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[health.HealthChangeList]:
        return health.HealthChangeList

    # What is shown

    @admin.display(description=gettext_lazy("extension"), ordering="name")
    def named(self, extension: Extension) -> SafeString:
        return format_html('{} <span class="handle">{}</span>', extension.name, extension.slug)

    @admin.display(description=gettext_lazy("state"), ordering="enabled")
    def state(self, extension: Extension) -> SafeString:
        kind, text = ("ok", _("enabled")) if extension.enabled else ("muted", _("disabled"))
        return format_html('<span class="badge {}">{}</span>', kind, text)

    @admin.display(description=gettext_lazy("reserved handles"))
    def claimed(self, extension: Any) -> str:
        names = extension.health.claims
        shown = format_html_join(" ", '<span class="handle">{}</span>', ((name,) for name in names[:MOST_SHOWN]))
        rest = len(names) - MOST_SHOWN
        return format_html("{} {}", shown, _("and %(rest)s more") % {"rest": rest}) if rest > 0 else shown or "-"

    @admin.display(description=gettext_lazy("last seen"))
    def last_seen(self, extension: Any) -> SafeString:
        return ago(extension.health.last_used_at)

    @admin.display(description=gettext_lazy("writes today"))
    def writes_today(self, extension: Any) -> SafeString:
        return cast(SafeString, extension.numbers["writes"])

    @admin.display(description=gettext_lazy("open: refused"))
    def refused(self, extension: Any) -> SafeString:
        return cast(SafeString, extension.numbers["refused"])

    @admin.display(description=gettext_lazy("open: taken"))
    def taken(self, extension: Any) -> SafeString:
        return cast(SafeString, extension.numbers["taken"])

    def get_fields(self, request: HttpRequest, obj: Extension | None = None) -> Any:
        fields = ["slug", "name", "secret_variables"]
        return [*fields, "service_account", "created_at"] if obj else fields

    def get_readonly_fields(self, request: HttpRequest, obj: Extension | None = None) -> list[str]:
        return ["slug", "service_account", "created_at"] if obj else []

    def get_object_tools(self, request: HttpRequest, obj: Extension) -> list[tuple[str, str]]:
        tools = []
        if request.user.has_perm("identities.add_apitoken"):
            tools.append((self.object_url("issue_token", obj), _("Issue a token")))
        if request.user.has_perm("identities.change_extension"):
            turned = ("disable", _("Disable")) if obj.enabled else ("enable", _("Enable"))
            tools.append((self.object_url(turned[0], obj), turned[1]))
        return tools

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Extension | None = None,
    ) -> HttpResponse:
        if obj is not None:
            context |= health.context(request, obj) | {"title": obj.name, "subtitle": None}
            if request.user.has_perm("identities.add_apitoken"):
                context["issue_url"] = self.object_url("issue_token", obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    # Writing

    def has_delete_permission(self, request: HttpRequest, obj: Extension | None = None) -> bool:
        return False

    def create(self, typed: Mapping[str, Any], *, by: By) -> Extension:
        return cataloguing.create_extension(typed, by=by)

    def update(self, obj: Extension, typed: Mapping[str, Any], *, by: By) -> Extension:
        return cataloguing.change_extension(obj, typed, by=by)

    def issue_token_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "identities.add_apitoken")
        extension: Extension = self.object_of(request, object_id)
        title = _("Issue a token for %(extension)s") % {"extension": extension.name}
        return issue_page(
            self, request, title=title, user=extension.service_account, extension=extension, obj=extension
        )

    def disable_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "identities.change_extension")
        extension: Extension = self.object_of(request, object_id)
        question = Question(
            title=_("Disable %(extension)s?") % {"extension": extension.name},
            sentences=_what_stops(extension),
            listed=_good_tokens(extension),
            button=_("Yes, disable"),
            act=lambda: self._turn(request, extension, on=False),
            hindrance="" if extension.enabled else _("This extension is disabled already."),
            danger=True,
        )
        return self.ask(request, question, obj=extension, then=change_url(extension))

    def enable_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "identities.change_extension")
        extension: Extension = self.object_of(request, object_id)
        question = Question(
            title=_("Enable %(extension)s?") % {"extension": extension.name},
            sentences=[_("These tokens of it are accepted again; others have expired or were revoked.")]
            if extension.api_tokens.current().exists()
            else [_("It has no token that is good, so nothing can call on its behalf until one is issued.")],
            listed=_good_tokens(extension),
            button=_("Yes, enable"),
            act=lambda: self._turn(request, extension, on=True),
            hindrance=_("This extension is enabled already.") if extension.enabled else "",
        )
        return self.ask(request, question, obj=extension, then=change_url(extension))

    def _turn(self, request: HttpRequest, extension: Extension, *, on: bool) -> SafeString:
        """Switch it, and say so with the way back."""
        cataloguing.switch_extension(extension, enabled=on, by=by(request))
        self.log_change(request, extension, _("Enabled.") if on else _("Disabled."))
        done = _("%(extension)s is enabled.") if on else _("%(extension)s is disabled.")
        back = ("disable", _("Disable it again")) if on else ("enable", _("Enable it again"))
        url = self.object_url(back[0], extension)
        return format_html('{} <a href="{}">{}</a>', done % {"extension": extension.name}, url, back[1])


def _what_stops(extension: Extension) -> list[str]:
    """What disabling touches, in sentences."""
    tokens = extension.api_tokens.current().order_by()[: MOST_LISTED + 1].count()
    refused = ngettext(
        "The token below is refused within seconds: every call with it is answered by 401, and nothing is stored.",
        "The tokens below are refused within seconds: every call with them is answered by 401, and nothing is stored.",
        tokens,
    )
    known = counting.health([extension], since=figures.midnights(1)[0])[extension.pk]
    wrote = ngettext("%(number)s write today", "%(number)s writes today", known.writes.value)
    sentences: list[str] = [
        refused if tokens else _("It has no token that is good, so nothing calls on its behalf today."),
        format_html("{} {}; {}.", _("Last seen:"), ago(known.last_used_at), wrote % {"number": number(known.writes)}),
    ]
    if known.claims:
        handles = format_html_join(
            ", ", '<span class="handle">{}</span>', ((name,) for name in known.claims[:MOST_LISTED])
        )
        sentences.append(
            format_html("{} {}", _("Nobody else may write its handles meanwhile; they stay reserved:"), handles)
        )
    if (
        webhooks := Webhook.objects.listening()
        .filter(user=extension.service_account)
        .order_by()[:MOST_COUNTED]
        .count()
    ):
        sentences.append(
            ngettext(
                "%(count)s webhook of it sends nothing meanwhile, and what happens meanwhile is not told later. What "
                "waits to be sent for it is given up.",
                "%(count)s webhooks of it send nothing meanwhile, and what happens meanwhile is not told later. What "
                "waits to be sent for them is given up.",
                webhooks,
            )
            % {"count": webhooks}
        )
    sentences.append(_("Its identities stay and still name their profiles. You can enable it again at any time."))
    return sentences


def _good_tokens(extension: Extension) -> list[str]:
    tokens = list(extension.api_tokens.current().order_by("-pk")[: MOST_LISTED + 1])
    listed: list[str] = [
        format_html("{}, {} {}", link(token, token.name), _("last used:"), ago(token.last_used_at))
        for token in tokens[:MOST_LISTED]
    ]
    return [*listed, _("and more")] if len(tokens) > MOST_LISTED else listed
