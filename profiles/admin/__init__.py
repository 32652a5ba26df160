from __future__ import annotations

from profiles.admin.history import AuditAdmin, MoveAdmin
from profiles.admin.profile import ProfileAdmin
from profiles.admin.staff import StaffAdmin, StaffGroupAdmin

__all__ = ["AuditAdmin", "MoveAdmin", "ProfileAdmin", "StaffAdmin", "StaffGroupAdmin"]
