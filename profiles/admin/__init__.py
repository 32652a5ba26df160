from __future__ import annotations

from profiles.admin.definitions import PointDefinitionAdmin, RewardDefinitionAdmin
from profiles.admin.deliveries import DeliveryAdmin
from profiles.admin.duplicate_pair import DuplicatePairAdmin
from profiles.admin.history import AuditAdmin, MoveAdmin
from profiles.admin.listening import ReactionAdmin, WebhookAdmin
from profiles.admin.merges import MergeAdmin
from profiles.admin.profile import ProfileAdmin
from profiles.admin.records import InteractionAdmin, PointAdmin, RewardAdmin, TransactionAdmin
from profiles.admin.staff import StaffAdmin, StaffGroupAdmin
from profiles.admin.targets import TargetAdmin

__all__ = [
    "AuditAdmin",
    "DeliveryAdmin",
    "DuplicatePairAdmin",
    "InteractionAdmin",
    "MergeAdmin",
    "MoveAdmin",
    "PointAdmin",
    "PointDefinitionAdmin",
    "ProfileAdmin",
    "ReactionAdmin",
    "RewardAdmin",
    "RewardDefinitionAdmin",
    "StaffAdmin",
    "StaffGroupAdmin",
    "TargetAdmin",
    "TransactionAdmin",
    "WebhookAdmin",
]
