from __future__ import annotations

from typing import Any, ClassVar, cast

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from identities import issuing
from identities.admin import scopes
from identities.admin.changes import account_name
from identities.admin.figures import ago, ago_and_when, exactly
from identities.admin.filters import ExtensionFilter, StateFilter
from identities.admin.token_page import issue_page, state, successor_url
from identities.models import ApiToken
from profiles.admin.base import Question, ReadOnlyAdmin, by, change_url, link
from profiles.models import Audit

# Where a revoked token's page is come from: back to it, when that is an extension's.
FROM_EXTENSION = "extension"

TOLD = ["name", "speaks_for", "state", "scopes_shown", "rate", "expires", "used_and_when", "issued"]


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Tokens: issued, shown, revoked, never edited. Those of extensions are issued on the extension's page."""

    is_small = True
    list_display = ["name", "speaks_for", "state", "expires_on", "used", "may"]
    list_filter = [StateFilter, ExtensionFilter]
    search_fields = ["key__exact", "name__startswith"]
    search_help_text = gettext_lazy("The beginning of a name, or the whole key: the part of a token after “omneo_”.")
    sortable_by = ()
    fields: ClassVar[Any] = [*TOLD, "revoked_at", "key"]
    readonly_fields: ClassVar[Any] = fields

    def get_urls(self) -> list[URLPattern]:
        return [self.object_path("revoke", self.revoke_view), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        queryset: QuerySet[ApiToken] = super().get_queryset(request)
        return queryset.select_related("user__extension", "extension")

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> Any:
        return self.fields if obj and obj.revoked_at else [*TOLD, "key"]

    # What is shown

    @admin.display(description=gettext_lazy("speaks for"))
    def speaks_for(self, token: ApiToken) -> str:
        if token.extension is None:
            return format_html("{} <span class='quiet'>({})</span>", account_name(token.user), _("staff"))
        return link(token.extension, token.extension.name)

    @admin.display(description=gettext_lazy("state"))
    def state(self, token: ApiToken) -> SafeString:
        return state(token)

    @admin.display(description=gettext_lazy("may"))
    def may(self, token: ApiToken) -> str:
        return scopes.summed_up(token.scopes)

    @admin.display(description=gettext_lazy("may"))
    def scopes_shown(self, token: ApiToken) -> SafeString:
        return render_to_string("admin/identities/apitoken/scopes.html", {"groups": scopes.grouped(token.scopes)})

    @admin.display(description=gettext_lazy("rate limit"))
    def rate(self, token: ApiToken) -> str:
        if token.rate_limit is None:
            return _("none")
        return _("%(number)s requests per minute") % {"number": token.rate_limit}

    @admin.display(description=gettext_lazy("expires"))
    def expires(self, token: ApiToken) -> str:
        return exactly(token.expires_at) if token.expires_at else _("never")

    @admin.display(description=gettext_lazy("expires"))
    def expires_on(self, token: ApiToken) -> str:
        return (
            formats.date_format(timezone.localtime(token.expires_at), "DATE_FORMAT")
            if token.expires_at
            else _("never")
        )

    @admin.display(description=gettext_lazy("last used"))
    def used(self, token: ApiToken) -> SafeString:
        return ago(token.last_used_at)

    @admin.display(description=gettext_lazy("last used"))
    def used_and_when(self, token: ApiToken) -> SafeString:
        return ago_and_when(token.last_used_at)

    @admin.display(description=gettext_lazy("issued"))
    def issued(self, token: ApiToken) -> SafeString:
        """When, and by whom, as the audit knows."""
        about = {"auditable_type": "api_token", "auditable_key": str(token.pk), "event": "created"}
        audit = Audit.objects.filter(**about).select_related("by__extension").order_by("pk").first()
        if audit is None:
            return ago_and_when(token.created_at)
        return format_html(
            "{} {}", ago_and_when(token.created_at), _("by %(name)s") % {"name": account_name(audit.by)}
        )

    # Issuing

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("identities.add_apitoken")

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.demand(request, "identities.add_apitoken")
        user = cast(User, request.user)
        return issue_page(self, request, title=_("Issue a token for yourself"), user=user, extension=None, obj=None)

    def get_object_tools(self, request: HttpRequest, obj: ApiToken) -> list[tuple[str, str]]:
        tools = []
        if url := successor_url(request, obj):
            tools.append((url, _("Issue another like it")))
        if obj.revoked_at is None and request.user.has_perm("identities.change_apitoken"):
            tools.append((self.object_url("revoke", obj), _("Revoke")))
        return tools

    # Revoking

    def revoke_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "identities.change_apitoken")
        token: ApiToken = self.object_of(request, object_id)
        then = change_url(token)
        if token.extension is not None and request.GET.get("to") == FROM_EXTENSION:
            then = f"{change_url(token.extension)}#tokens"

        def act() -> str:
            issuing.revoke(token, by=by(request))
            self.log_change(request, token, _("Revoked."))
            done = _("%(name)s was revoked.") % {"name": token.name}
            url = successor_url(request, token)
            return format_html('{} <a href="{}">{}</a>', done, url, _("Issue another like it")) if url else done

        question = Question(
            title=_("Revoke %(name)s?") % {"name": token.name},
            sentences=[
                _("Whoever uses this token is refused within seconds. That cannot be taken back."),
                format_html("{} {}.", _("It was last used:"), ago_and_when(token.last_used_at)),
            ],
            button=_("Yes, revoke"),
            act=act,
            hindrance=_("This token was revoked already.") if token.revoked_at else "",
            danger=True,
        )
        return self.ask(request, question, obj=token, then=then)
