from __future__ import annotations

from omneo_identity.api.routers import paths
from profiles.views import (
    ActionViewSet,
    AuditViewSet,
    CustomAttributeViewSet,
    DuplicateViewSet,
    ErasingViewSet,
    FindByAttributeViewSet,
    InteractionViewSet,
    MergeViewSet,
    MergingViewSet,
    PointViewSet,
    ProfileBatchViewSet,
    ProfileInteractionViewSet,
    ProfileRewardViewSet,
    ProfileTransactionViewSet,
    ProfileViewSet,
    ReactionViewSet,
    RewardDefinitionViewSet,
    RewardViewSet,
    SplittingViewSet,
    TransactionViewSet,
    WebhookViewSet,
)

ONE = {"get": "retrieve", "put": "update", "delete": "destroy"}

# Routes are tried one after the other: first those of what tills and shops send all day.
urlpatterns = [
    *paths(
        TransactionViewSet,
        "transaction",
        {
            "transactions": {"get": "list", "post": "create"},
            "transactions/update-create": {"post": "upsert"},
            "transactions/external/<identifier:external_id>": {"get": "external"},
            "transactions/<int:record_id>": ONE,
            "transactions/<int:record_id>/move": {"post": "move"},
        },
    ),
    *paths(
        InteractionViewSet,
        "interaction",
        {
            "interactions": {"get": "list", "post": "create"},
            "interactions/<int:record_id>": ONE,
            "interactions/<int:record_id>/move": {"post": "move"},
        },
    ),
    *paths(
        PointViewSet,
        "point",
        {
            "points": {"get": "list", "post": "create"},
            "points/<int:record_id>": {"get": "retrieve"},
            "points/<int:record_id>/move": {"post": "move"},
        },
    ),
    *paths(
        RewardDefinitionViewSet,
        "reward-definition",
        {
            "rewards/definitions": {"get": "list", "post": "create"},
            "rewards/definitions/<int:definition_id>": ONE,
        },
    ),
    *paths(
        RewardViewSet,
        "reward",
        {
            "rewards": {"get": "list", "post": "create"},
            "rewards/<int:record_id>": ONE,
            "rewards/<int:record_id>/move": {"post": "move"},
        },
    ),
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
        ProfileBatchViewSet,
        "profile-batch",
        {
            "profiles/batch": {"post": "create"},
            "profiles/batch/<str:batch_id>": {"get": "retrieve"},
            "profiles/sync": {"post": "sync"},
        },
    ),
    *paths(
        MergingViewSet,
        "profile-merging",
        {
            "profiles/merge": {"post": "merge"},
            "profiles/merge/preview": {"post": "preview"},
        },
    ),
    *paths(
        MergeViewSet,
        "merge",
        {
            "merges": {"get": "list"},
            "merges/<int:merge_id>": {"get": "retrieve"},
            "merges/<int:merge_id>/undo": {"post": "undo"},
            "merges/<int:merge_id>/undo/preview": {"post": "preview_undo"},
        },
    ),
    *paths(
        SplittingViewSet,
        "profile-splitting",
        {
            "profiles/<str:profile_id>/split": {"post": "split"},
            "profiles/<str:profile_id>/split/preview": {"post": "preview"},
        },
    ),
    *paths(
        ErasingViewSet,
        "profile-erasing",
        {"profiles/<str:profile_id>/purge": {"get": "preview", "delete": "purge"}},
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
            "profiles/<str:profile_id>/export": {"get": "export"},
        },
    ),
    *paths(
        ProfileTransactionViewSet,
        "profile-transaction",
        {"profiles/<str:profile_id>/transactions": {"get": "list"}},
    ),
    *paths(
        ProfileInteractionViewSet,
        "profile-interaction",
        {"profiles/<str:profile_id>/interactions": {"get": "list"}},
    ),
    *paths(ProfileRewardViewSet, "profile-reward", {"profiles/<str:profile_id>/rewards": {"get": "list"}}),
    *paths(
        DuplicateViewSet,
        "duplicate",
        {
            "duplicates": {"get": "list"},
            "duplicates/<int:pair_id>": {"get": "retrieve"},
            "duplicates/<int:pair_id>/dismiss": {"post": "dismiss"},
            "duplicates/<int:pair_id>/merge": {"post": "merge"},
        },
    ),
    *paths(
        WebhookViewSet,
        "webhook",
        {"webhooks": {"get": "list", "post": "create"}, "webhooks/<int:webhook_id>": ONE},
    ),
    *paths(
        ReactionViewSet,
        "trigger",
        {"triggers": {"get": "list", "post": "create"}, "triggers/<int:trigger_id>": ONE},
    ),
    *paths(ActionViewSet, "trigger-action", {"triggers/<int:trigger_id>/actions": {"get": "list", "post": "create"}}),
    *paths(AuditViewSet, "audit", {"audits": {"get": "list"}, "audits/<int:audit_id>": {"get": "retrieve"}}),
]
