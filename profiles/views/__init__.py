from __future__ import annotations

from profiles.views.audit import AuditViewSet
from profiles.views.profile import ProfileViewSet

__all__ = ["AuditViewSet", "ProfileViewSet"]
