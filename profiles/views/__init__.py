from __future__ import annotations

from profiles.views.attribute import CustomAttributeViewSet, FindByAttributeViewSet
from profiles.views.audit import AuditViewSet
from profiles.views.batch import ProfileBatchViewSet
from profiles.views.definitions import RewardDefinitionViewSet
from profiles.views.duplicates import DuplicateViewSet
from profiles.views.erasing import ErasingViewSet
from profiles.views.listening import ActionViewSet, ReactionViewSet, WebhookViewSet
from profiles.views.merges import MergeViewSet
from profiles.views.merging import MergingViewSet
from profiles.views.own import (
    FoundTransactionViewSet,
    OwnAttributeViewSet,
    OwnInteractionViewSet,
    OwnProfileViewSet,
    OwnTransactionViewSet,
    quick_own,
)
from profiles.views.profile import ProfileViewSet
from profiles.views.profile_records import (
    ProfileInteractionViewSet,
    ProfileRewardViewSet,
    ProfileTransactionViewSet,
)
from profiles.views.records import InteractionViewSet, PointViewSet, RewardViewSet, TransactionViewSet
from profiles.views.splitting import SplittingViewSet

__all__ = [
    "ActionViewSet",
    "AuditViewSet",
    "CustomAttributeViewSet",
    "DuplicateViewSet",
    "ErasingViewSet",
    "FindByAttributeViewSet",
    "FoundTransactionViewSet",
    "InteractionViewSet",
    "MergeViewSet",
    "MergingViewSet",
    "OwnAttributeViewSet",
    "OwnInteractionViewSet",
    "OwnProfileViewSet",
    "OwnTransactionViewSet",
    "PointViewSet",
    "ProfileBatchViewSet",
    "ProfileInteractionViewSet",
    "ProfileRewardViewSet",
    "ProfileTransactionViewSet",
    "ProfileViewSet",
    "ReactionViewSet",
    "RewardDefinitionViewSet",
    "RewardViewSet",
    "SplittingViewSet",
    "TransactionViewSet",
    "WebhookViewSet",
    "quick_own",
]
