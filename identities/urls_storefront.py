"""What a shop's pages ask for, under `/shopify/api/v1`; and `/apps/cx`, where the shop platform's proxy asks."""

from __future__ import annotations

from identities.views import StorefrontViewSet
from omneo_identity.api.routers import paths

PROXY = {"apps/cx": {"get": "pass_on"}}

app_proxy = paths(StorefrontViewSet, "app-proxy", PROXY)

urlpatterns = paths(StorefrontViewSet, "storefront", {"auth/token": {"post": "create"}, **PROXY})
