from __future__ import annotations

from identities.views import (
    ApiTokenViewSet,
    HandleViewSet,
    IdentityViewSet,
    ProfileIdentityViewSet,
    RoutingLogViewSet,
)
from omneo_identity.api.routers import paths

urlpatterns = [
    *paths(
        IdentityViewSet,
        "identity",
        {
            "identities": {"get": "list"},
            "identities/search": {"get": "search"},
            "identities/search-profile": {"get": "search_profile_by_query"},
            "identities/search-profile/<identifier:identifier>": {"get": "search_profile"},
            "identities/resolve": {"post": "resolve"},
            "identities/batch": {"post": "batch"},
            "identities/<int:identity_id>/move": {"post": "move"},
        },
    ),
    *paths(
        ProfileIdentityViewSet,
        "profile-identity",
        {
            "profiles/<str:profile_id>/identities": {"get": "list", "post": "create"},
            "profiles/<str:profile_id>/identities/id/<int:identity_id>": {
                "get": "retrieve_by_id",
                "put": "update_by_id",
                "delete": "destroy_by_id",
            },
            "profiles/<str:profile_id>/identities/<str:handle>": {
                "get": "retrieve",
                "put": "update",
                "delete": "destroy",
            },
        },
    ),
    *paths(
        HandleViewSet,
        "handle",
        {"handles": {"get": "list"}, "handles/<str:name>": {"get": "retrieve", "put": "update"}},
    ),
    *paths(
        RoutingLogViewSet,
        "routing-log",
        {"routing-log": {"get": "list"}, "routing-log/<int:entry_id>": {"get": "retrieve"}},
    ),
    *paths(
        ApiTokenViewSet,
        "api-token",
        {
            "auth/api-tokens": {"post": "create"},
            "auth/api-tokens/<int:token_id>": {"delete": "destroy"},
            "auth/access-tokens": {"get": "list"},
            "auth/verify": {"get": "verify"},
        },
    ),
]
