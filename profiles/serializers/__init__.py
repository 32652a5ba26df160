from __future__ import annotations

from profiles.serializers.audit import AuditSerializer
from profiles.serializers.profile import (
    CONTACTS,
    NEW_PROFILE_TYPES,
    AttributesField,
    AvailabilityAnswerSerializer,
    AvailabilitySerializer,
    AvailableSerializer,
    IdentityWithProfileSerializer,
    ListedIdentitySerializer,
    NewProfileSerializer,
    NotReturnedSerializer,
    OwnerSerializer,
    ProfileChangeSerializer,
    ProfileSerializer,
    ProfileTypeSerializer,
    RefusedPairSerializer,
    RoutingSerializer,
    SearchIdSerializer,
)

__all__ = [
    "AttributesField",
    "AuditSerializer",
    "AvailabilityAnswerSerializer",
    "AvailabilitySerializer",
    "AvailableSerializer",
    "CONTACTS",
    "IdentityWithProfileSerializer",
    "ListedIdentitySerializer",
    "NEW_PROFILE_TYPES",
    "NewProfileSerializer",
    "NotReturnedSerializer",
    "OwnerSerializer",
    "ProfileChangeSerializer",
    "ProfileSerializer",
    "ProfileTypeSerializer",
    "RefusedPairSerializer",
    "RoutingSerializer",
    "SearchIdSerializer",
]
