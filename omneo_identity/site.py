"""The admin's site: what stands on every page, and the pages that belong to no model."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, path
from django.utils.translation import gettext_lazy as _

# The menu by what people come for, not by which app a model lives in.
SECTIONS = [
    (_("Find"), ["Profile", "Identity"]),
    (_("What came in"), ["Transaction", "Interaction", "Point", "Reward"]),
    (_("Review"), ["DuplicatePair", "RoutingLogEntry", "IdentityClaim"]),
    (_("Data model"), ["Handle", "BlockedIdentifier", "PointDefinition", "RewardDefinition"]),
    (_("Integrations"), ["Extension", "ApiToken"]),
    (_("Reactions"), ["Reaction", "Webhook", "Delivery", "Target"]),
    (_("What was done"), ["Audit", "Move", "Merge", "ErasedPair"]),
    (_("Staff"), ["User", "Group"]),
]


class Site(AdminSite):
    site_header = site_title = "Omneo Identity"
    site_url = None
    index_title = _("Is anything wrong today?")
    index_template = "admin/start.html"

    def get_urls(self) -> list[URLPattern | URLResolver]:
        return [path("search/", self.admin_view(self.search), name="search"), *super().get_urls()]

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return super().each_context(request) | {"may_search": request.user.has_perm("profiles.view_profile")}

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        apps = super().get_app_list(request, app_label)
        if app_label is not None:
            return apps
        models = {model["object_name"]: model for app in apps for model in app["models"]}
        # What no section names stands at the end, under its app's own name.
        sections = [(str(title), [models.pop(name) for name in names if name in models]) for title, names in SECTIONS]
        sections += [
            (app["name"], [model for name, model in models.items() if model in app["models"]]) for app in apps
        ]
        return [
            {
                "name": title,
                "app_label": found[0]["model"]._meta.app_label,
                "app_url": found[0]["admin_url"] or "",
                "has_module_perms": True,
                "models": found,
            }
            for title, found in sections
            if found
        ]

    # The pages know profiles and identities, whose admins register here: too early for an import above.

    def search(self, request: HttpRequest) -> HttpResponse:
        from identities.admin import search

        return search.page(request, self)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        from identities.admin import start

        return super().index(request, {**start.context(request), **(extra_context or {})})
