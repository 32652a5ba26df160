from __future__ import annotations

from identities.views.api_token import ApiTokenViewSet
from identities.views.base import INCLUDE, PROFILE_INCLUDES, OfProfileViewSet, fragments, profile_key
from identities.views.handle import HandleViewSet
from identities.views.identity import IdentityViewSet, ProfileIdentityViewSet, quick_search
from identities.views.routing_log import RoutingLogViewSet

__all__ = [
    "INCLUDE",
    "PROFILE_INCLUDES",
    "ApiTokenViewSet",
    "HandleViewSet",
    "IdentityViewSet",
    "OfProfileViewSet",
    "ProfileIdentityViewSet",
    "RoutingLogViewSet",
    "fragments",
    "profile_key",
    "quick_search",
]
