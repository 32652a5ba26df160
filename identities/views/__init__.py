from __future__ import annotations

from identities.views.api_token import ApiTokenViewSet
from identities.views.base import INCLUDE, PROFILE_INCLUDES, OfProfileViewSet, fragments, profile_key
from identities.views.customer_token import CustomerTokenViewSet, quick_issue
from identities.views.handle import HandleViewSet
from identities.views.identity import IdentityViewSet, ProfileIdentityViewSet, quick_search
from identities.views.own import OwnIdentityViewSet, OwnViewSet, found, untold
from identities.views.routing_log import RoutingLogViewSet
from identities.views.storefront import StorefrontViewSet

__all__ = [
    "INCLUDE",
    "PROFILE_INCLUDES",
    "ApiTokenViewSet",
    "CustomerTokenViewSet",
    "HandleViewSet",
    "IdentityViewSet",
    "OfProfileViewSet",
    "OwnIdentityViewSet",
    "OwnViewSet",
    "ProfileIdentityViewSet",
    "RoutingLogViewSet",
    "StorefrontViewSet",
    "found",
    "fragments",
    "profile_key",
    "quick_issue",
    "quick_search",
    "untold",
]
