from __future__ import annotations

from profiles.serializers.attribute import CustomAttributeChangeSerializer, CustomAttributeSerializer
from profiles.serializers.audit import AuditSerializer
from profiles.serializers.profile import (
    CONTACTS,
    NEW_PROFILE_TYPES,
    AttributesField,
    AvailabilityAnswerSerializer,
    AvailabilitySerializer,
    AvailableSerializer,
    BalancesSerializer,
    CustomAttributesField,
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
from profiles.serializers.why import WhySerializer

__all__ = [
    "BalancesSerializer",
    "CustomAttributeChangeSerializer",
    "CustomAttributeSerializer",
    "CustomAttributesField",
    "WhySerializer",
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
