from __future__ import annotations

from profiles.admin.definitions import PointDefinitionAdmin, RewardDefinitionAdmin
from profiles.admin.duplicate_pair import DuplicatePairAdmin
from profiles.admin.history import AuditAdmin, MoveAdmin
from profiles.admin.merges import MergeAdmin
from profiles.admin.profile import ProfileAdmin
from profiles.admin.records import InteractionAdmin, PointAdmin, RewardAdmin, TransactionAdmin
from profiles.admin.staff import StaffAdmin, StaffGroupAdmin

__all__ = [
    "AuditAdmin",
    "DuplicatePairAdmin",
    "InteractionAdmin",
    "MergeAdmin",
    "MoveAdmin",
    "PointAdmin",
    "PointDefinitionAdmin",
    "ProfileAdmin",
    "RewardAdmin",
    "RewardDefinitionAdmin",
    "StaffAdmin",
    "StaffGroupAdmin",
    "TransactionAdmin",
]
