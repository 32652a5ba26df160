"""Under `/id/api/v1`: what issues customer tokens, and what they open."""

from __future__ import annotations

from identities.views import CustomerTokenViewSet, OwnIdentityViewSet
from omneo_identity.api.routers import paths

urlpatterns = [
    *paths(CustomerTokenViewSet, "customer-token", {"auth/token": {"post": "create"}}),
    *paths(
        OwnIdentityViewSet,
        "own-identity",
        {
            "profiles/me/identities": {"get": "list", "post": "create"},
            "profiles/me/identities/id/<int:identity_id>": {
                "get": "retrieve_by_id",
                "put": "update_by_id",
                "delete": "destroy_by_id",
            },
            "profiles/me/identities/<str:handle>": {"get": "retrieve", "put": "update", "delete": "destroy"},
        },
    ),
]
