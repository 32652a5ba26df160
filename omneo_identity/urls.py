from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.generic import RedirectView

from identities.urls_storefront import app_proxy
from identities.views import quick_issue, quick_search
from omneo_identity.api.errors import page_not_found
from omneo_identity.api.quick import Quick
from omneo_identity.api.views import Docs, Health, Ready, Schema
from profiles.views import quick_own

# The API's URLs have no trailing slash: SlashMiddleware takes it off.
urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v3/", include("profiles.urls")),
    path("api/v3/", include("identities.urls")),
    path("api/health", Health.as_view(), name="health"),
    path("api/health/ready", Ready.as_view(), name="ready"),
    path("api/schema", Schema.as_view(), name="schema"),
    path("api/docs", Docs.as_view(), name="docs"),
    path("id/api/v1/", include("identities.urls_id")),
    path("id/api/v1/", include("profiles.urls_id")),
    path("shopify/api/v1/", include("identities.urls_storefront")),
    path("", include(app_proxy)),
    # Whatever else is under the API's roots is answered in its words, also with DEBUG on.
    re_path(r"^(?:api|id/api/v1|shopify/api/v1|apps/cx)(?:/|\Z)", page_not_found),
    path("", RedirectView.as_view(pattern_name="admin:index")),
    # Django's "view on site", which has no site to lead to here, and takes no key that is not one.
    path("admin/r/<path:rest>", admin.site.admin_view(page_not_found)),
    path("admin/", admin.site.urls),
]

# What has a short way (`quickly`).
QUICK = {
    "/api/v3/identities/search": Quick("GET", quick_search),
    "/id/api/v1/auth/token": Quick("POST", quick_issue),
    "/id/api/v1/profiles/me": Quick("GET", quick_own),
}

handler400 = "omneo_identity.api.errors.bad_request"
handler403 = "omneo_identity.api.errors.permission_denied"
handler404 = "omneo_identity.api.errors.page_not_found"
handler500 = "omneo_identity.api.errors.server_error"
