from __future__ import annotations

from profiles.models.audit import Audit
from profiles.models.move import Move
from profiles.models.profile import Profile, ProfileQuerySet, fold_name

__all__ = ["Audit", "Move", "Profile", "ProfileQuerySet", "fold_name"]
