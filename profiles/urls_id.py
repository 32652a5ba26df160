"""Under `/id/api/v1`: what a customer token opens."""

from __future__ import annotations

from omneo_identity.api.routers import paths
from profiles.views import (
    FoundTransactionViewSet,
    OwnAttributeViewSet,
    OwnInteractionViewSet,
    OwnProfileViewSet,
    OwnTransactionViewSet,
)

urlpatterns = [
    *paths(
        OwnProfileViewSet,
        "own-profile",
        {
            "profiles": {"post": "create"},
            "profiles/me": {"get": "retrieve", "put": "update"},
            "profiles/me/update-type": {"put": "update_type"},
            "profiles/me/balances": {"get": "balances"},
        },
    ),
    *paths(
        OwnAttributeViewSet,
        "own-attribute",
        {
            "profiles/me/attributes/custom": {"get": "list"},
            "profiles/me/attributes/custom/<str:attribute>": {
                "get": "retrieve",
                "put": "update",
                "delete": "destroy",
            },
        },
    ),
    *paths(OwnTransactionViewSet, "own-transaction", {"profiles/me/transactions": {"get": "list"}}),
    # A profile has no group here but itself.
    *paths(OwnTransactionViewSet, "own-group-transaction", {"profiles/me/group_transactions": {"get": "list"}}),
    *paths(FoundTransactionViewSet, "own-transaction-find", {"profiles/me/find-transactions": {"get": "list"}}),
    *paths(OwnInteractionViewSet, "own-interaction", {"profiles/me/interactions": {"get": "list", "post": "create"}}),
]
