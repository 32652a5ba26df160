from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from identities import issuing
from identities.admin.filters import StateFilter
from identities.admin.token_page import issue_page, state
from identities.models import ApiToken
from profiles.admin.base import Question, ReadOnlyAdmin, by, change_url


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Tokens: issued, shown, revoked, never edited. Those of extensions are issued on the extension's page."""

    list_display = ["name", "key", "user", "extension", "state", "expires_at", "last_used_at"]
    list_filter = [StateFilter, "extension"]
    list_select_related = ["user", "extension"]
    search_fields = ["key__exact", "name__startswith"]
    fields = [
        "name",
        "key",
        "user",
        "extension",
        "state",
        "scopes",
        "rate_limit",
        "expires_at",
        "revoked_at",
        "last_used_at",
        "created_at",
    ]

    def get_urls(self) -> list[URLPattern]:
        return [self.object_path("revoke", self.revoke_view), *super().get_urls()]

    @admin.display(description=gettext_lazy("state"))
    def state(self, token: ApiToken) -> str:
        return state(token)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("identities.add_apitoken")

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.demand(request, "identities.add_apitoken")
        user = cast(User, request.user)
        return issue_page(self, request, title=_("Issue a token for yourself"), user=user, extension=None, obj=None)

    def get_object_tools(self, request: HttpRequest, obj: ApiToken) -> list[tuple[str, str]]:
        if obj.revoked_at is None and request.user.has_perm("identities.change_apitoken"):
            return [(self.object_url("revoke", obj), _("Revoke"))]
        return []

    def revoke_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "identities.change_apitoken")
        token: ApiToken = self.object_of(request, object_id)

        def act() -> str:
            issuing.revoke(token, by=by(request))
            self.log_change(request, token, _("Revoked."))
            return _("%(name)s was revoked.") % {"name": token.name}

        question = Question(
            title=_("Revoke %(name)s?") % {"name": token.name},
            sentences=[
                _("Whoever uses this token is refused from then on. It cannot be taken back; issue another instead.")
            ],
            button=_("Yes, revoke"),
            act=act,
            hindrance=_("This token was revoked already.") if token.revoked_at else "",
            danger=True,
        )
        return self.ask(request, question, obj=token, then=change_url(token))
