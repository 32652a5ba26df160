"""What somebody does with their own profile, by a customer token (API.md 6)."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.http import Http404
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.response import Response

from identities import claiming, lookup
from identities.handles import refuse_built_in
from identities.models import Identity
from identities.serializers import IdentityChangeSerializer, NewIdentitySerializer, OwnIdentitySerializer
from identities.tokens import CustomerToken
from identities.views.base import fragments
from omneo_identity.api.auth import CustomerAuthentication, IsCustomer, by, caller_of, source
from omneo_identity.api.filters import LARGEST_INTEGER
from omneo_identity.api.schema import data_of
from omneo_identity.api.throttles import CustomerThrottle
from omneo_identity.api.views import ApiViewSet, one
from profiles.refusing import Refused

# What a refusal says that would else name another profile, or a handle or extension that is nobody's business.
WORDS = {
    "identity_taken": _("This identity cannot be used here."),
    "reserved_handle": _("This handle cannot be used here."),
    "retired_handle": _("This handle cannot be used here."),
    "unknown_handle": _("This handle cannot be used here."),
}

# The profile has become part of another, or was deleted, since the token was looked at: as if it had been before.
OVER = {"already_merged", "profile_deleted"}


class OwnViewSet(ApiViewSet):
    """What every view under `/id/api/v1/profiles` starts from.

    Its answers name no other profile, whatever becomes of a request: what an operation refuses is told without what
    else it knows. An anonymous visitor has no profile, hence 404, but for the actions in `for_anybody`.
    """

    authentication_classes = [CustomerAuthentication]
    permission_classes = [IsCustomer]
    throttle_classes = [CustomerThrottle]

    for_anybody: frozenset[str] = frozenset()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if self.token.profile_id is None and self.action not in self.for_anybody:
            raise Http404

    def handle_exception(self, exc: Exception) -> Response:
        return super().handle_exception(untold(exc) if isinstance(exc, Refused) else exc)

    @property
    def token(self) -> CustomerToken:
        token = caller_of(self.request)
        assert isinstance(token, CustomerToken)  # noqa: S101 - IsCustomer lets no other pass
        return token

    @property
    def own_id(self) -> uuid.UUID:
        """The id of the profile that the token opens today: what is read is read by it."""
        if self.token.profile_id is None:
            raise Http404
        return self.token.profile_id

    @property
    def named_id(self) -> uuid.UUID:
        """The id by which everything is written, a merged one too: whoever undoes that merge finds it theirs."""
        if self.token.named_id is None:
            raise Http404
        return self.token.named_id


def untold(refused: Refused) -> Exception:
    """A refusal without whatever it tells of others."""
    if refused.code in OVER:
        return AuthenticationFailed()
    return Refused(refused.code, str(WORDS.get(refused.code, refused.message)), field=refused.field)


class OwnIdentityViewSet(OwnViewSet):
    """The identities by which the owner of a profile is known. Those of reserved handles are not shown."""

    queryset = Identity.objects.all()
    serializer_class = OwnIdentitySerializer
    pagination_class = None
    filter_backends = []

    @extend_schema(responses=data_of(OwnIdentitySerializer, many=True), summary="List one's own identities")
    def list(self, request: Request) -> Response:
        return one(fragments(lookup.own_identities(self.own_id)))

    @extend_schema(
        request=NewIdentitySerializer,
        responses={201: data_of(OwnIdentitySerializer), 200: data_of(OwnIdentitySerializer)},
        summary="Claim an identity for oneself",
        description="It is only claimed: nothing is known by it until an integration or staff writes the same pair. "
        "The answer is the same whether somebody else has it or not. `is_active` and `is_primary` are ignored.",
    )
    def create(self, request: Request) -> Response:
        body = NewIdentitySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        claimed = claiming.claim(self.named_id, body.validated_data, by=by(request), source=source(request))
        document = found(lookup.own_identity_by_id(claimed.row.profile_id, claimed.row.pk))
        return one(document, 201 if claimed.created else 200)

    @extend_schema(responses=data_of(OwnIdentitySerializer), summary="Read one's own identity by handle")
    def retrieve(self, request: Request, handle: str) -> Response:
        return one(self.by_handle(handle))

    @extend_schema(responses=data_of(OwnIdentitySerializer), summary="Read one's own identity by id")
    def retrieve_by_id(self, request: Request, identity_id: int) -> Response:
        return one(self.by_id(identity_id))

    @extend_schema(
        request=IdentityChangeSerializer,
        responses=data_of(OwnIdentitySerializer),
        summary="Change what one claims, by handle",
        description="Of several the newest one is meant. What is confirmed answers 409 `identity_confirmed`.",
    )
    def update(self, request: Request, handle: str) -> Response:
        refuse_built_in(handle)
        return self.change(self.by_handle(handle))

    @extend_schema(responses={204: None}, summary="Take back what one claims, by handle")
    def destroy(self, request: Request, handle: str) -> Response:
        return self.take_back(self.by_handle(handle))

    @extend_schema(
        request=IdentityChangeSerializer,
        responses=data_of(OwnIdentitySerializer),
        summary="Change what one claims, by id",
        description="What is confirmed answers 409 `identity_confirmed`.",
    )
    def update_by_id(self, request: Request, identity_id: int) -> Response:
        return self.change(self.by_id(identity_id))

    @extend_schema(responses={204: None}, summary="Take back what one claims, by id")
    def destroy_by_id(self, request: Request, identity_id: int) -> Response:
        return self.take_back(self.by_id(identity_id))

    def by_handle(self, handle: str) -> str:
        return found(lookup.own_identity(self.own_id, handle))

    def by_id(self, identity_id: int) -> str:
        return found(lookup.own_identity_by_id(self.own_id, identity_id) if identity_id <= LARGEST_INTEGER else None)

    def change(self, document: str) -> Response:
        """Let a claim say what the body says. An identity stays as it is, which a body that says so too is told."""
        body = IdentityChangeSerializer(data=self.request.data)
        body.is_valid(raise_exception=True)
        said: dict[str, Any] = body.validated_data
        shown = json.loads(document)
        if "is_claimed" not in shown:
            if any(shown[name] != value for name, value in said.items()):
                raise confirmed()
        elif "identifier" in said:
            identifier = said["identifier"]
            row = claiming.change(shown["id"], of=self.named_id, identifier=identifier, by=by(self.request))
            document = found(lookup.own_identity_by_id(row.profile_id, row.pk))
        return one(document)

    def take_back(self, document: str) -> Response:
        shown = json.loads(document)
        if "is_claimed" not in shown:
            raise confirmed()
        claiming.withdraw(shown["id"], of=self.named_id, by=by(self.request))
        return Response(status=204)


def found(document: str | None) -> str:
    """What was asked for, if it is there for its owner. Raises Http404."""
    if document is None:
        raise Http404
    return document


def confirmed() -> Refused:
    message = _("This identity is confirmed. It is not yours alone to change: ask the shop to do it.")
    return Refused("identity_confirmed", str(message))
