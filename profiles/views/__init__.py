from __future__ import annotations

from profiles.views.attribute import CustomAttributeViewSet, FindByAttributeViewSet
from profiles.views.audit import AuditViewSet
from profiles.views.profile import ProfileViewSet

__all__ = ["AuditViewSet", "CustomAttributeViewSet", "FindByAttributeViewSet", "ProfileViewSet"]
