from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils.html import format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from identities import cataloguing
from identities.admin.token_page import issue_page, state
from identities.forms import ExtensionForm
from identities.models import Extension
from profiles.admin.base import OperationAdmin, link
from profiles.auditing import By

MOST_TOKENS = 100


@admin.register(Extension)
class ExtensionAdmin(OperationAdmin):
    """Integrations. None is deleted: its identities and log entries name it; a disabled one is refused."""

    form = ExtensionForm
    change_form_template = "admin/identities/extension/change_form.html"
    list_display = ["slug", "name", "enabled", "service_account"]
    list_filter = ["enabled"]
    list_select_related = ["service_account"]
    search_fields = ["slug__startswith", "name__istartswith"]
    actions = None

    def get_urls(self) -> list[URLPattern]:
        return [self.object_path("issue-token", self.issue_token_view), *super().get_urls()]

    def get_fields(self, request: HttpRequest, obj: Extension | None = None) -> Any:
        fields = ["slug", "name", "enabled", "secret_variables"]
        return [*fields, "service_account", "claimed", "created_at"] if obj else fields

    def get_readonly_fields(self, request: HttpRequest, obj: Extension | None = None) -> list[str]:
        return ["slug", "service_account", "claimed", "created_at"] if obj else []

    @admin.display(description=gettext_lazy("reserved handles"))
    def claimed(self, extension: Extension) -> str:
        return format_html_join(", ", "{}", ((link(handle),) for handle in extension.handles.order_by("pk"))) or "-"

    def has_delete_permission(self, request: HttpRequest, obj: Extension | None = None) -> bool:
        return False

    def create(self, typed: Mapping[str, Any], *, by: By) -> Extension:
        return cataloguing.create_extension(typed, by=by)

    def update(self, obj: Extension, typed: Mapping[str, Any], *, by: By) -> Extension:
        return cataloguing.change_extension(obj, typed, by=by)

    def get_object_tools(self, request: HttpRequest, obj: Extension) -> list[tuple[str, str]]:
        if request.user.has_perm("identities.add_apitoken"):
            return [(self.object_url("issue_token", obj), _("Issue a token"))]
        return []

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Extension | None = None,
    ) -> HttpResponse:
        if obj is not None and request.user.has_perm("identities.view_apitoken"):
            every = reverse("admin:identities_apitoken_changelist")
            context["tokens"] = [(token, state(token)) for token in obj.api_tokens.all()[:MOST_TOKENS]]
            context["tokens_url"] = f"{every}?extension__slug__exact={obj.pk}"
        return super().render_change_form(request, context, add, change, form_url, obj)

    def issue_token_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "identities.add_apitoken")
        extension: Extension = self.object_of(request, object_id)
        title = _("Issue a token for %(extension)s") % {"extension": extension.name}
        return issue_page(
            self, request, title=title, user=extension.service_account, extension=extension, obj=extension
        )
