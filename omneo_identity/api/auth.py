"""Who calls, and what their token allows (API.md 6)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, cast

from django.contrib.auth.models import User
from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from identities import authenticating, tokens
from identities.models import ApiToken, Extension
from identities.tokens import CustomerToken
from omneo_identity.api.addresses import client_address
from profiles.auditing import By

if TYPE_CHECKING:
    # At run time REST framework's views import this module, as one of their defaults.
    from rest_framework.views import APIView

NOUNS = (
    "profiles",
    "identities",
    "transactions",
    "interactions",
    "points",
    "rewards",
    "webhooks",
    "triggers",
    "handles",
)
SCOPES = (
    *(f"{verb}-{noun}" for noun in NOUNS for verb in ("read", "create", "update", "delete")),
    "read-audits",
    "merge-profiles",
    "unmerge-profiles",
    "issue-id-tokens",
)

# A view's scopes by action: one, any of several (a tuple), all of several (a set), or "" for whoever has a token.
Scopes = Mapping[str, str | tuple[str, ...] | frozenset[str]]

MAX_USER_AGENT = 500


def bearer(header: str) -> ApiToken | None:
    """The token of an `Authorization` header, if it is one and may be used now."""
    plain = plain_token(header)
    return authenticating.authenticate(plain) if plain else None


def plain_token(header: str) -> str:
    """The text of the token that an `Authorization` header holds, or "" for any other."""
    scheme, _space, plain = header.strip().partition(" ")
    plain = plain.strip()
    return plain if scheme.lower() == "bearer" and plain.isascii() and plain.isprintable() else ""


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>`; the user is the token's owner, `request.auth` the token."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        header = request.headers.get("Authorization")
        if header is None:
            return None
        token = bearer(header)
        if token is None:
            raise AuthenticationFailed
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class CustomerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <customer token>`; `request.auth` is the CustomerToken, the user whoever issued it.

    In: whether the profile itself is asked for, which is then read by the same statement.
    """

    def __init__(self, *, with_document: bool = False) -> None:
        self.with_document = with_document

    def authenticate(self, request: Request) -> tuple[User, CustomerToken] | None:
        header = request.headers.get("Authorization")
        if header is None:
            return None
        plain = plain_token(header)
        token = tokens.authenticate(plain, with_document=self.with_document) if plain else None
        if token is None:
            raise AuthenticationFailed
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class IsCustomer(BasePermission):
    """Whoever has a customer token may do with their own profile what its routes do; there are no scopes."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return isinstance(request.auth, CustomerToken)


class HasScope(BasePermission):
    """Hold the token to the scopes that the view names for its action in `scopes`.

    An action that is not in the mapping is refused to everybody, so that forgetting it is safe.
    """

    message = ""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if request.auth is None:
            return False
        if request.method not in view.allowed_methods:
            return True  # There is no such action; the view is about to answer 405.
        scopes: Scopes = getattr(view, "scopes", {})
        needed = scopes.get(getattr(view, "action", None) or "")
        if needed is None:
            self.message = _("No scope allows this.")
            return False
        if isinstance(needed, frozenset):
            missing = sorted(needed.difference(token_of(request).scopes))
            self.message = _("The token lacks the scope %(scopes)s.") % {"scopes": _(" and ").join(missing)}
            return not missing
        any_of = (needed,) if isinstance(needed, str) else needed
        if "" in any_of or may(token_of(request), any_of):
            return True
        self.message = _("The token lacks the scope %(scopes)s.") % {"scopes": _(" or ").join(any_of)}
        return False


class ScopeLacking(PermissionDenied):
    """What is asked for needs a scope besides those of its route."""


def demand(request: Request, scopes: Collection[str]) -> None:
    """Refuse a request whose token has not all of these scopes. Raises ScopeLacking, in the words of HasScope."""
    missing = sorted(set(scopes).difference(token_of(request).scopes))
    if missing:
        raise ScopeLacking(_("The token lacks the scope %(scopes)s.") % {"scopes": _(" and ").join(missing)})


def may(token: ApiToken, any_of: Collection[str]) -> bool:
    """Whether the token has one of these scopes."""
    return not set(any_of).isdisjoint(token.scopes)


def unlimited(header: str, any_of: Collection[str]) -> ApiToken | None:
    """The token of an `Authorization` header, if it may be used now, has one of these scopes and no rate limit."""
    token = bearer(header)
    return token if token is not None and token.rate_limit is None and may(token, any_of) else None


def token_of(request: Request) -> ApiToken:
    """The token of a request that HasScope has let pass."""
    return cast(ApiToken, request.auth)


def caller_of(request: Request) -> ApiToken | CustomerToken:
    """The token of a request that has been let pass, whichever kind it is of."""
    return cast("ApiToken | CustomerToken", request.auth)


def by(request: Request) -> By:
    """Who does it, for the `by=` of an operation."""
    token = caller_of(request)
    return By(
        user=token.user,
        token_name=token.name,
        url=request.path,
        ip_address=client_address(request),
        user_agent=request.headers.get("User-Agent", "").replace("\0", "")[:MAX_USER_AGENT],
    )


def source(request: Request) -> Extension | None:
    """The extension that the token speaks for, for the `source=` of an operation; None is staff."""
    return caller_of(request).extension
