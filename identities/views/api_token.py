from __future__ import annotations

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from identities import issuing
from identities.models import ApiToken
from identities.models.api_token import ApiTokenQuerySet
from identities.serializers import (
    IssuedTokenSerializer,
    NewTokenSerializer,
    TokenSerializer,
)
from omneo_identity.api.auth import SCOPES, by, token_of
from omneo_identity.api.views import ApiViewSet


class ApiTokenViewSet(ApiViewSet):
    """API tokens: each caller sees, makes and revokes those of its own account (API.md 6)."""

    queryset = ApiToken.objects.all()
    serializer_class = TokenSerializer
    pagination_class = None
    filter_backends = []
    # A key would keep the answer, and the secret in it.
    takes_key = False
    # Any token may be told what it is, and hand on what it may do itself; never more.
    scopes = {"create": "", "list": "", "destroy": "", "verify": ""}

    @extend_schema(request=NewTokenSerializer, responses={201: IssuedTokenSerializer}, summary="Make an API token")
    def create(self, request: Request) -> Response:
        body = NewTokenSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        name, scopes = body.validated_data["name"], body.validated_data["scopes"]
        caller = token_of(request)
        more = sorted(set(scopes).intersection(SCOPES).difference(caller.scopes))
        if more:
            raise PermissionDenied(
                _("This token cannot grant the scope %(scope)s, which it lacks.") % {"scope": more[0]}
            )
        if caller.rate_limit:
            raise PermissionDenied(_("A token with a rate limit cannot make others: each would have its own."))
        # Never for longer than the caller's own token lasts.
        token, plain = issuing.issue(
            user=caller.user,
            name=name,
            scopes=scopes,
            extension=caller.extension,
            by=by(request),
            expires_at=caller.expires_at,
        )
        return Response({"accessToken": plain, "token": TokenSerializer(token).data}, 201)

    @extend_schema(
        parameters=[OpenApiParameter("type", enum=["current", "expired"], description="`current` unless given.")],
        responses=TokenSerializer(many=True),
        summary="List API tokens",
    )
    def list(self, request: Request) -> Response:
        kind = request.query_params.get("type", "current")
        if kind not in ("current", "expired"):
            raise ValidationError({"type": [_("This must be current or expired.")]})
        own = self.own()
        return Response(TokenSerializer(own.current() if kind == "current" else own.expired(), many=True).data)

    @extend_schema(responses={204: None}, summary="Revoke an API token")
    def destroy(self, request: Request, token_id: int) -> Response:
        token = self.own().filter(revoked_at=None).get(pk=token_id)
        issuing.revoke(token, by=by(request))
        return Response(status=204)

    @extend_schema(
        responses={200: OpenApiResponse(description="The token is good. The body is empty.")}, summary="Check a token"
    )
    def verify(self, request: Request) -> Response:
        return Response()

    def own(self) -> ApiTokenQuerySet:
        """The account's tokens that may do no more than the caller's: a till's token must not end the office's."""
        caller = token_of(self.request)
        mine = ApiToken.objects.filter(user=caller.user, extension=caller.extension)
        return mine.exclude(scopes__overlap=sorted(set(SCOPES).difference(caller.scopes)))
