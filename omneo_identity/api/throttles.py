"""How often a token may call, and a customer write."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.conf import settings
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from identities import limiting
from identities.limiting import Limit
from identities.models import ApiToken
from identities.tokens import CustomerToken
from omneo_identity.api.addresses import client_address, network

if TYPE_CHECKING:
    # At run time REST framework's views import this module, as one of their defaults.
    from rest_framework.views import APIView


class CountingThrottle(BaseThrottle):
    """Hold a caller to a limit of calls a minute, over all processes (`limiting`)."""

    seconds_left: float | None = None

    def allow_request(self, request: Request, view: APIView) -> bool:
        limit = self.limit_of(request)
        self.seconds_left = limiting.count(limit) if limit is not None else None
        return self.seconds_left is None

    def limit_of(self, request: Request) -> Limit | None:
        """What this request is counted by; None for what is not counted."""
        raise NotImplementedError

    def wait(self) -> float | None:
        return self.seconds_left


class TokenThrottle(CountingThrottle):
    """Hold a token to its `rate_limit` per minute. Without one it is free."""

    def limit_of(self, request: Request) -> Limit | None:
        token = cast("ApiToken | None", request.auth)
        if token is None or token.rate_limit is None:
            return None
        return Limit("token", (str(token.pk),), token.rate_limit)


class CustomerThrottle(CountingThrottle):
    """Hold a customer to CUSTOMER_WRITE_LIMIT writes a minute, by whichever of their tokens.

    Anonymous visitors are held to it by address, since each of them may have any number of tokens. Reading one's own
    profile is not counted: it is one statement, as counting it would be.
    """

    def limit_of(self, request: Request) -> Limit | None:
        return None if request.method in SAFE_METHODS else self.limit(_customer(request))

    def limit(self, caller: str) -> Limit:
        return Limit("customer write", (caller,), settings.CUSTOMER_WRITE_LIMIT)


def _customer(request: Request) -> str:
    return str(cast(CustomerToken, request.auth).profile_id or network(client_address(request)))


class SignUpThrottle(CustomerThrottle):
    """Hold anonymous visitors of one address to CUSTOMER_SIGN_UP_LIMIT profiles a minute, which they make themselves.

    Each of them may claim what is somebody else's, which costs whoever writes that, and staff, a look.
    """

    def limit(self, caller: str) -> Limit:
        return Limit("customer sign-up", (caller,), settings.CUSTOMER_SIGN_UP_LIMIT)
