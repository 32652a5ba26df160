from __future__ import annotations

from identities.admin.api_token import ApiTokenAdmin
from identities.admin.blocked import BlockedIdentifierAdmin
from identities.admin.claim import IdentityClaimAdmin
from identities.admin.erased import ErasedPairAdmin
from identities.admin.extension import ExtensionAdmin
from identities.admin.handle import HandleAdmin
from identities.admin.identity import IdentityAdmin
from identities.admin.routing_log import RoutingLogEntryAdmin

__all__ = [
    "ApiTokenAdmin",
    "BlockedIdentifierAdmin",
    "ErasedPairAdmin",
    "ExtensionAdmin",
    "HandleAdmin",
    "IdentityAdmin",
    "IdentityClaimAdmin",
    "RoutingLogEntryAdmin",
]
