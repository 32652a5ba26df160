from __future__ import annotations

from identities.models.api_token import ApiToken
from identities.models.call_count import CallCount
from identities.models.claim import FIRST_CLAIM, IdentityClaim
from identities.models.deleted_identity import DeletedIdentity
from identities.models.erased_pair import ErasedPair
from identities.models.extension import Extension
from identities.models.handle import BUILT_IN, EMAIL, MOBILE_PHONE, BlockedIdentifier, Handle, bare, fold_handle
from identities.models.idempotency_record import IdempotencyRecord
from identities.models.identity import UNSET, Identity, IdentityQuerySet, Pair, brought
from identities.models.import_run import ImportRun
from identities.models.routing_log import RoutingLogEntry

__all__ = [
    "BUILT_IN",
    "EMAIL",
    "FIRST_CLAIM",
    "MOBILE_PHONE",
    "UNSET",
    "ApiToken",
    "BlockedIdentifier",
    "CallCount",
    "DeletedIdentity",
    "ErasedPair",
    "Extension",
    "Handle",
    "IdempotencyRecord",
    "Identity",
    "IdentityClaim",
    "IdentityQuerySet",
    "ImportRun",
    "Pair",
    "RoutingLogEntry",
    "bare",
    "brought",
    "fold_handle",
]
