from __future__ import annotations

from omneo_identity.api.routers import paths
from profiles.views import AuditViewSet, CustomAttributeViewSet, FindByAttributeViewSet, ProfileViewSet

urlpatterns = [
    *paths(FindByAttributeViewSet, "custom-attribute-find", {"profiles/attributes/custom": {"get": "list"}}),
    *paths(
        CustomAttributeViewSet,
        "custom-attribute",
        {
            "profiles/<str:profile_id>/attributes/custom": {"get": "list"},
            "profiles/<str:profile_id>/attributes/custom/<str:attribute>": {
                "get": "retrieve",
                "put": "update",
                "delete": "destroy",
            },
        },
    ),
    *paths(
        ProfileViewSet,
        "profile",
        {
            "profiles": {"get": "list", "post": "create"},
            "profiles/search-id": {"post": "search_id"},
            "profiles/availability": {"post": "availability"},
            "profiles/<str:profile_id>": {"get": "retrieve", "put": "update", "delete": "destroy"},
            "profiles/<str:profile_id>/update-type": {"put": "update_type"},
            "profiles/<str:profile_id>/balances": {"get": "balances"},
            "profiles/<str:profile_id>/why": {"get": "why"},
        },
    ),
    *paths(AuditViewSet, "audit", {"audits": {"get": "list"}, "audits/<int:audit_id>": {"get": "retrieve"}}),
]
