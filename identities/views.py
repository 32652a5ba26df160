from __future__ import annotations

import uuid
from typing import Any

import orjson
from django.http import Http404
from django.urls import reverse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from identities import cataloguing, issuing, lookup, matching, moving, routing
from identities.filters import HandleFilterSet, IdentityFilterSet, RoutingLogFilterSet
from identities.handles import Sent, refuse_built_in
from identities.models import ApiToken, Extension, Handle, Identity, RoutingLogEntry
from identities.models.api_token import ApiTokenQuerySet
from identities.serializers import (
    BatchAnswerSerializer,
    BatchRowSerializer,
    BatchSerializer,
    ContactChangedSerializer,
    HandleChangeSerializer,
    HandleSerializer,
    IdentityChangeSerializer,
    IdentitySerializer,
    IssuedTokenSerializer,
    MoveSerializer,
    NewIdentitySerializer,
    NewTokenSerializer,
    ResolvedSerializer,
    ResolveSerializer,
    RoutingLogSerializer,
    TokenSerializer,
)
from identities.wire import INCLUDES, NEWEST
from omneo_identity.api.auth import SCOPES, by, source, token_of
from omneo_identity.api.schema import data_of
from omneo_identity.api.views import ApiViewSet, one
from profiles.models import Profile
from profiles.refusing import Refused
from profiles.serializers import IdentityWithProfileSerializer, ListedIdentitySerializer, ProfileSerializer

READ = ("read-identities", "read-profiles")
ADD = ("create-identities", "update-profiles")
CHANGE = ("update-identities", "update-profiles")
REMOVE = ("delete-identities", "update-profiles")

HANDLE = OpenApiParameter("handle", required=True, description="The handle, such as `shopify`.")
IDENTIFIER = OpenApiParameter("identifier", required=True, description="In any spelling that the handle folds.")

# What a profile may be asked to bring along. Its identities come anyway.
PROFILE_INCLUDES = ("identities", *INCLUDES)
INCLUDE = OpenApiParameter(
    "include",
    {"type": "array", "items": {"type": "string", "enum": list(PROFILE_INCLUDES)}, "minItems": 1},
    explode=False,
    description=f"The newest {NEWEST} of each kind of record.",
)


def fragments(texts: list[str]) -> list[orjson.Fragment]:
    return [orjson.Fragment(text) for text in texts]


def document(identity_id: int) -> str:
    """An identity as JSON text; 404 when somebody has deleted it meanwhile."""
    texts = lookup.identities([identity_id])
    if not texts:
        raise Http404
    return texts[0]


def profile_key(text: str) -> uuid.UUID:
    """The profile id in a path. What is not a UUID is no profile's id, hence 404."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise Http404 from None


class IncludingViewSet(ApiViewSet):
    """What may bring records along. Each kind asks for the scope that reading it asks for anywhere."""

    def included(self) -> frozenset[str]:
        words = super().included()
        needed = {f"read-{word}" for word in INCLUDES.keys() & words}
        missing = sorted(needed.difference(token_of(self.request).scopes))
        if missing:
            raise PermissionDenied(_("The token lacks the scope %(scope)s.") % {"scope": missing[0]})
        return words


class OfProfileViewSet(IncludingViewSet):
    """What stands under `/profiles/{id}`. A merged profile's id means its survivor, whose URL the answer then names
    in `Content-Location` (API.md 3)."""

    def profile(self, profile_id: str) -> Profile:
        profile = Profile.objects.surviving(profile_key(profile_id))
        self.stands_for(profile.pk)
        return profile

    def stands_for(self, survivor_id: uuid.UUID, asked: uuid.UUID | None = None) -> None:
        """Note whose the answer is. In: the id that was asked for, the path's unless given."""
        text = str(asked) if asked else self.kwargs["profile_id"]
        if profile_key(text) == survivor_id:
            return
        path = self.request.path.replace(text, str(survivor_id), 1)
        if "profile_id" not in self.kwargs:
            path = reverse("profile-retrieve", args=[survivor_id])
        self.headers["Content-Location"] = self.request.build_absolute_uri(path)


class IdentityViewSet(IncludingViewSet):
    """Identities of all profiles: look-ups, lists and writes of many."""

    queryset = Identity.objects.all()
    filterset_class = IdentityFilterSet
    serializer_class = IdentitySerializer
    sort_fields = {"created_at": "created_at", "updated_at": "updated_at", "id": "id"}
    default_sort = "id"
    scopes = {
        "list": READ,
        "search": READ,
        "search_profile": READ,
        "search_profile_by_query": READ,
        "resolve": READ,
        "batch": ADD,
        "move": CHANGE,
    }

    @property
    def includes(self) -> tuple[str, ...]:  # type: ignore[override]  # each look-up has its own
        return ("profile",) if self.action == "list" else PROFILE_INCLUDES

    @extend_schema(responses=ListedIdentitySerializer(many=True), summary="List identities")
    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()).values_list("pk", flat=True))
        texts = lookup.identities(page or [], with_profile="profile" in self.included())
        return self.get_paginated_response(fragments(texts))

    @extend_schema(
        parameters=[HANDLE, IDENTIFIER, INCLUDE],
        responses=data_of(IdentityWithProfileSerializer),
        summary="Look up one identity with its profile",
    )
    def search(self, request: Request) -> Response:
        handle, identifier = (self.required(name) for name in ("handle", "identifier"))
        text = lookup.search(handle, identifier, include=self.included())
        if text is None:
            raise Http404
        return one(text)

    @extend_schema(
        parameters=[
            OpenApiParameter("identifier", location=OpenApiParameter.PATH, description="The rest of the path."),
            INCLUDE,
        ],
        responses=data_of(ProfileSerializer, many=True),
        summary="Find profiles by an identifier of any handle",
    )
    def search_profile(self, request: Request, identifier: str) -> Response:
        # "abc/" may be an identifier, or "abc" from a client that ends its paths with a slash: both are asked for.
        found = lookup.search_profile({identifier, identifier.removesuffix("/")}, include=self.included())
        return one(fragments(found))

    @extend_schema(
        parameters=[IDENTIFIER, INCLUDE],
        responses=data_of(ProfileSerializer, many=True),
        summary="Find profiles by an identifier of any handle",
    )
    def search_profile_by_query(self, request: Request) -> Response:
        return one(fragments(lookup.search_profile({self.required("identifier")}, include=self.included())))

    @extend_schema(
        request=ResolveSerializer,
        responses=data_of(ResolvedSerializer, many=True),
        summary="Resolve up to 1,000 pairs to profile ids",
    )
    def resolve(self, request: Request) -> Response:
        body = ResolveSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        pairs = body.validated_data["identities"]
        found = lookup.resolve([(pair["handle"], pair["identifier"]) for pair in pairs])
        return one([{**pair, "profile_id": pk} for pair, pk in zip(pairs, found, strict=True)])

    @extend_schema(
        request=BatchSerializer,
        responses=data_of(BatchAnswerSerializer, many=True),
        summary="Add up to 1,000 identities, each with its own result",
    )
    def batch(self, request: Request) -> Response:
        body = BatchSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        default = body.validated_data.get("profile_id")
        return one([self._batch_row(row, default) for row in body.validated_data["identities"]])

    @extend_schema(
        request=MoveSerializer,
        responses=data_of(IdentitySerializer, contacts_changed=ContactChangedSerializer(many=True)),
        summary="Move an identity",
    )
    def move(self, request: Request, identity_id: int) -> Response:
        body = MoveSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        to, reason = body.validated_data["profile_id"], body.validated_data["reason"]
        moved = moving.move(identity_id, to=to, reason=reason, by=by(request))
        changed = [{"profile_id": one.profile.pk, "field": one.field} for one in moved.contacts_changed]
        return one(document(moved.identity.pk), contacts_changed=changed)

    def required(self, name: str) -> str:
        text = self.request.query_params.get(name, "")
        if not text:
            raise ValidationError({name: [_("This parameter is required.")]}, code="required")
        return text

    def _batch_row(self, data: Any, default: uuid.UUID | None) -> dict[str, Any]:
        row = BatchRowSerializer(data=data)
        if not row.is_valid():
            sentence = next(iter(_sentences(row.errors)), _("This row is not valid."))
            return {"result": "error", "code": "invalid", "message": sentence}
        pair = row.validated_data
        profile_id = pair.get("profile_id") or default
        try:
            if profile_id is None:
                raise Refused("profile_required", _("Neither the row nor the batch names a profile."))
            sent = Sent(pair["handle"], pair["identifier"])
            added = routing.add(profile_id, sent, by=by(self.request), source=source(self.request))
        except Refused as refusal:
            return {"result": "error", "code": refusal.code, "message": str(refusal.message), **refusal.details}
        except Profile.DoesNotExist:
            return {"result": "error", "code": "not_found", "message": _("There is no such profile.")}
        rows = fragments(lookup.identities([added.identity.pk]))
        if not rows:
            return {"result": "error", "code": "not_found", "message": _("Somebody has deleted this identity.")}
        return {"result": "created" if added.created else "exists", "identity": rows[0]}


def _sentences(errors: Any) -> list[str]:
    if isinstance(errors, dict):
        return [sentence for inner in errors.values() for sentence in _sentences(inner)]
    return [str(sentence) for sentence in errors]


class ProfileIdentityViewSet(OfProfileViewSet):
    """The identities of one profile. By handle, the newest active one is meant, else the newest."""

    queryset = Identity.objects.all()
    serializer_class = IdentitySerializer
    pagination_class = None
    filter_backends = []
    scopes = {
        "list": READ,
        "create": ADD,
        "retrieve": READ,
        "update": CHANGE,
        "destroy": REMOVE,
        "retrieve_by_id": READ,
        "update_by_id": CHANGE,
        "destroy_by_id": REMOVE,
    }

    @extend_schema(responses=data_of(IdentitySerializer, many=True), summary="List a profile's identities")
    def list(self, request: Request, profile_id: str) -> Response:
        return one(fragments(lookup.identities_of(self.profile(profile_id).pk)))

    @extend_schema(
        request=NewIdentitySerializer,
        responses={201: data_of(IdentitySerializer), 200: data_of(IdentitySerializer)},
        summary="Add an identity to a profile",
    )
    def create(self, request: Request, profile_id: str) -> Response:
        body = NewIdentitySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        added = routing.add(profile_key(profile_id), body.validated_data, by=by(request), source=source(request))
        self.stands_for(added.identity.profile_id)
        return one(document(added.identity.pk), 201 if added.created else 200)

    @extend_schema(responses=data_of(IdentitySerializer), summary="Read a profile's identity by handle")
    def retrieve(self, request: Request, profile_id: str, handle: str) -> Response:
        return one(document(self.by_handle(profile_id, handle)))

    @extend_schema(
        request=IdentityChangeSerializer,
        responses=data_of(IdentitySerializer),
        summary="Change a profile's identity by handle",
    )
    def update(self, request: Request, profile_id: str, handle: str) -> Response:
        refuse_built_in(handle)
        return self.change(profile_id, self.by_handle(profile_id, handle))

    @extend_schema(responses={204: None}, summary="Delete a profile's identity by handle")
    def destroy(self, request: Request, profile_id: str, handle: str) -> Response:
        return self.remove(profile_id, self.by_handle(profile_id, handle))

    @extend_schema(responses=data_of(IdentitySerializer), summary="Read a profile's identity by id")
    def retrieve_by_id(self, request: Request, profile_id: str, identity_id: int) -> Response:
        return one(document(self.by_id(profile_id, identity_id)))

    @extend_schema(
        request=IdentityChangeSerializer,
        responses=data_of(IdentitySerializer),
        summary="Change a profile's identity by id",
    )
    def update_by_id(self, request: Request, profile_id: str, identity_id: int) -> Response:
        return self.change(profile_id, self.by_id(profile_id, identity_id))

    @extend_schema(responses={204: None}, summary="Delete a profile's identity by id")
    def destroy_by_id(self, request: Request, profile_id: str, identity_id: int) -> Response:
        return self.remove(profile_id, self.by_id(profile_id, identity_id))

    def by_handle(self, profile_id: str, handle: str) -> int:
        held = self.profile(profile_id).identities.visible().filter(handle=matching.current_name(handle))
        newest: int | None = held.order_by("-is_active", "-pk").values_list("pk", flat=True).first()
        if newest is None:
            raise Http404
        return newest

    def by_id(self, profile_id: str, identity_id: int) -> int:
        return self.profile(profile_id).identities.get(pk=identity_id).pk

    def change(self, profile_id: str, identity_id: int) -> Response:
        body = IdentityChangeSerializer(data=self.request.data)
        body.is_valid(raise_exception=True)
        row = routing.change(
            identity_id,
            of=self.profile(profile_id).pk,
            **body.validated_data,
            by=by(self.request),
            source=source(self.request),
        )
        return one(document(row.pk))

    def remove(self, profile_id: str, identity_id: int) -> Response:
        routing.remove(identity_id, of=self.profile(profile_id).pk, by=by(self.request), source=source(self.request))
        return Response(status=204)


class HandleViewSet(ApiViewSet):
    """The catalogue of handles."""

    queryset = Handle.objects.all()
    filterset_class = HandleFilterSet
    serializer_class = HandleSerializer
    sort_fields = {"name": "name", "priority": "priority", "created_at": "created_at"}
    default_sort = "name"
    scopes = {"list": "read-handles", "retrieve": "read-handles", "update": "update-handles"}

    @extend_schema(responses=HandleSerializer(many=True), summary="List handles")
    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(Handle.objects.with_usage()))
        return self.get_paginated_response(HandleSerializer(page, many=True).data)

    @extend_schema(responses=data_of(HandleSerializer), summary="Read a handle")
    def retrieve(self, request: Request, name: str) -> Response:
        return one(HandleSerializer(Handle.objects.with_usage().get(pk=name)).data)

    @extend_schema(request=HandleChangeSerializer, responses=data_of(HandleSerializer), summary="Change a handle")
    def update(self, request: Request, name: str) -> Response:
        if source(request) is not None:
            # An extension could else take a handle from the one that claims it.
            raise PermissionDenied(_("The catalogue is kept by staff: an extension's token cannot change it."))
        handle = Handle.objects.get(pk=name)
        body = HandleChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        fields = dict(body.validated_data)
        if fields.get("reserved_for") is not None:
            fields["reserved_for"] = self._extension(fields["reserved_for"])
        cataloguing.change(handle, fields, by=by(request))
        return self.retrieve(request, name)

    def _extension(self, slug: str) -> Extension:
        extension = Extension.objects.filter(pk=slug).first()
        if extension is None:
            raise ValidationError({"reserved_for": [_("There is no such extension.")]})
        return extension


class RoutingLogViewSet(ApiViewSet):
    """The routing log: writes that met somebody else's identity, or part of which was set aside."""

    queryset = RoutingLogEntry.objects.all()
    filterset_class = RoutingLogFilterSet
    serializer_class = RoutingLogSerializer
    sort_fields = {"created_at": "created_at", "last_seen_at": "last_seen_at", "id": "id"}
    default_sort = "-id"
    scopes = {"list": ("read-identities", "read-audits"), "retrieve": ("read-identities", "read-audits")}

    @extend_schema(responses=RoutingLogSerializer(many=True), summary="List the routing log")
    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(RoutingLogSerializer(page, many=True).data)

    @extend_schema(responses=data_of(RoutingLogSerializer), summary="Read a routing log entry")
    def retrieve(self, request: Request, entry_id: int) -> Response:
        return one(RoutingLogSerializer(RoutingLogEntry.objects.get(pk=entry_id)).data)


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
