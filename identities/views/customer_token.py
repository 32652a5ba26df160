from __future__ import annotations

import uuid
from typing import Any

import orjson
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from identities import tokens
from identities.models import ApiToken
from identities.serializers import CustomerTokenSerializer, NewCustomerTokenSerializer
from identities.tokens import Issued
from omneo_identity.api.auth import token_of, unlimited
from omneo_identity.api.quick import Asked
from omneo_identity.api.schema import data_of
from omneo_identity.api.views import ApiViewSet, one

# Of a text that is read without a serializer, which knows what else there may be.
MOST_PLAIN = 255

ISSUE = "issue-id-tokens"


def quick_issue(asked: Asked) -> str | None:
    """The short way of `CustomerTokenViewSet.create`, by an identity or by a profile's id as plain text."""
    token = unlimited(asked.authorization, (ISSUE,))
    body = orjson.loads(asked.body)
    identifier, handle = body.pop("id"), body.pop("id_handle", "")
    if token is None or asked.query or body or not identifier or not _is_plain(identifier) or not _is_plain(handle):
        return None
    issued = _issued(identifier, handle, token)
    return f'{{"token":"{issued.token}","exp":{issued.exp}}}' if issued else None


def _is_plain(text: Any) -> bool:
    return isinstance(text, str) and len(text) <= MOST_PLAIN and text.isprintable()


class CustomerTokenViewSet(ApiViewSet):
    """Customer tokens, for servers that sign their own visitors in (API.md 6)."""

    queryset = ApiToken.objects.none()
    serializer_class = CustomerTokenSerializer
    pagination_class = None
    filter_backends = []
    # A key would keep the answer, and the token in it.
    takes_key = False
    scopes = {"create": ISSUE}

    @extend_schema(
        request=NewCustomerTokenSerializer,
        responses={200: data_of(CustomerTokenSerializer)},
        summary="Issue a customer token",
    )
    def create(self, request: Request) -> Response:
        """It is signed (HS256), and opens the routes under `/id/api/v1/profiles` for one profile: until `exp`, or
        until the API token that issued it ends, is revoked, or may no longer be used.

        By a profile's `id` it is that profile's, or its survivor's once it is merged. By an identity it goes where
        merges and their undo take the identity, and ends for good when that is moved, deactivated or deleted, or gets
        another identifier. Neither works while the profile is locked or deleted. That of an anonymous visitor is
        nobody's: there is no profile to read.

        Claims: `pid` (the profile's id, or the text `null`), `exp`, `iat`, `jti`, `iss`; by a merged profile's id,
        also `named` (that id, whose the token is again when the merge is undone); by an identity, also `identity`
        (`handle:identifier`), `iid` and `gen`.

        404 when there is nobody: an id that is unknown; a pair that nobody has, that is not active, or that a contact
        point alone brought and nobody confirmed; a profile that is locked or deleted.
        """
        body = NewCustomerTokenSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        issued = _issued(body.validated_data.get("id"), body.validated_data.get("id_handle"), token_of(request))
        if issued is None:
            raise Http404
        return one({"token": issued.token, "exp": issued.exp})


def _issued(identifier: str | None, handle: str | None, by: ApiToken) -> Issued | None:
    identifier, handle = (identifier or "").strip(), (handle or "").strip()
    if not identifier:
        return tokens.issue_anonymous(by=by)
    if handle:
        return tokens.issue_by_identity(handle, identifier, by=by)
    try:
        profile_id = uuid.UUID(identifier)
    except ValueError:
        return None
    return tokens.issue_by_id(profile_id, by=by)
