from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import orjson
from django.http import Http404
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from identities import adding, lookup, matching, moving, routing
from identities.filters import IdentityFilterSet
from identities.handles import Sent, refuse_built_in
from identities.models import Identity
from identities.serializers import (
    BatchAnswerSerializer,
    BatchRowSerializer,
    BatchSerializer,
    ContactChangedSerializer,
    IdentityChangeSerializer,
    IdentitySerializer,
    MoveSerializer,
    NewIdentitySerializer,
    ResolvedSerializer,
    ResolveSerializer,
)
from identities.views.base import INCLUDE, PROFILE_INCLUDES, IncludingViewSet, OfProfileViewSet, fragments, profile_key
from omneo_identity.api.auth import by, source, unlimited
from omneo_identity.api.quick import Asked
from omneo_identity.api.schema import data_of
from omneo_identity.api.views import one
from profiles.models import Profile
from profiles.refusing import Refused
from profiles.serializers import IdentityWithProfileSerializer, ListedIdentitySerializer, ProfileSerializer

READ = ("read-identities", "read-profiles")
ADD = ("create-identities", "update-profiles")
CHANGE = ("update-identities", "update-profiles")
REMOVE = ("delete-identities", "update-profiles")

HANDLE = OpenApiParameter("handle", required=True, description="The handle, such as `shopify`.")
IDENTIFIER = OpenApiParameter("identifier", required=True, description="In any spelling that the handle folds.")


def document(identity_id: int) -> str:
    """An identity as JSON text; 404 when somebody has deleted it meanwhile."""
    texts = lookup.identities([identity_id])
    if not texts:
        raise Http404
    return texts[0]


def quick_search(asked: Asked) -> str | None:
    """The short way of `IdentityViewSet.search`, for one identity with its profile and nothing included."""
    handle, identifier = asked.query.get("handle"), asked.query.get("identifier")
    token = unlimited(asked.authorization, READ)
    if len(asked.query) != 2 or not handle or not identifier or token is None:
        return None
    return lookup.search(handle, identifier)


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
        for pair, pk in zip(pairs, found, strict=True):
            pair["profile_id"] = pk
        return one(pairs)

    @extend_schema(
        request=BatchSerializer,
        responses=data_of(BatchAnswerSerializer, many=True),
        summary="Add up to 1,000 identities, each with its own result",
    )
    def batch(self, request: Request) -> Response:
        body = BatchSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        default = body.validated_data.get("profile_id")
        form = BatchRowSerializer()
        read = [_batch_row(row, default, form) for row in body.validated_data["identities"]]
        rows = [row for row in read if isinstance(row, adding.Row)]
        answers = adding.add_all(rows, by=by(request), source=source(request))
        documents = lookup.identities_by_id([one.identity.pk for one in answers if isinstance(one, adding.Added)])
        results = (_batch_result(answer, documents) for answer in answers)
        return one([next(results) if isinstance(row, adding.Row) else _batch_error(row) for row in read])

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


def _batch_row(data: Any, default: uuid.UUID | None, form: BatchRowSerializer) -> adding.Row | Refused:
    """A row of a batch as it was sent, or what is wrong with its form. `default` is the batch's own profile id."""
    try:
        pair = form.run_validation(data)
    except ValidationError as error:
        return Refused("invalid", next(iter(_sentences(error.detail)), _("This row is not valid.")))
    profile_id = pair.get("profile_id") or default
    if profile_id is None:
        return Refused("profile_required", _("Neither the row nor the batch names a profile."))
    return adding.Row(profile_id, Sent(pair["handle"], pair["identifier"]))


def _batch_result(answer: adding.Answer, documents: Mapping[int, str]) -> dict[str, Any]:
    if isinstance(answer, Refused):
        return _batch_error(answer)
    if isinstance(answer, Profile.DoesNotExist):
        return _batch_error(Refused("not_found", _("There is no such profile.")))
    document = documents.get(answer.identity.pk)
    if document is None:
        return _batch_error(Refused("not_found", _("Somebody has deleted this identity.")))
    return {"result": "created" if answer.created else "exists", "identity": orjson.Fragment(document)}


def _batch_error(refusal: Refused) -> dict[str, Any]:
    return {"result": "error", "code": refusal.code, "message": str(refusal.message), **refusal.details}


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
        added = adding.add(profile_key(profile_id), body.validated_data, by=by(request), source=source(request))
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
