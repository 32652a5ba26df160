from __future__ import annotations

from omneo_identity.api.routers import paths
from profiles.views import AuditViewSet, ProfileViewSet

urlpatterns = [
    *paths(
        ProfileViewSet,
        "profile",
        {
            "profiles": {"get": "list", "post": "create"},
            "profiles/search-id": {"post": "search_id"},
            "profiles/availability": {"post": "availability"},
            "profiles/<str:profile_id>": {"get": "retrieve", "put": "update", "delete": "destroy"},
            "profiles/<str:profile_id>/update-type": {"put": "update_type"},
        },
    ),
    *paths(AuditViewSet, "audit", {"audits": {"get": "list"}, "audits/<int:audit_id>": {"get": "retrieve"}}),
]
