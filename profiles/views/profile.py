from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from django.http import Http404, StreamingHttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from identities import explaining, lookup, matching, releasing, routing
from identities.serializers import ContactChangedSerializer
from identities.views import INCLUDE, PROFILE_INCLUDES, OfProfileViewSet, fragments, profile_key
from identities.wire import INCLUDES
from omneo_identity.api.auth import by, source, token_of
from omneo_identity.api.schema import data_of
from omneo_identity.api.views import one
from profiles import exporting, reading
from profiles.filters import ProfileFilterSet
from profiles.models import RECORDS, Profile
from profiles.models.record import of_kind
from profiles.serializers import (
    CONTACTS,
    AvailabilityAnswerSerializer,
    AvailabilitySerializer,
    BalancesSerializer,
    ExportSerializer,
    NewProfileSerializer,
    NotReturnedSerializer,
    ProfileChangeSerializer,
    ProfileSerializer,
    ProfileTypeSerializer,
    RoutingSerializer,
    SearchIdSerializer,
    WhySerializer,
    told,
)

READ = "read-profiles"
DELETE = "delete-profiles"

# What is in an export can be read otherwise, with all of these.
EXPORT = frozenset(f"read-{noun}" for noun in ("profiles", "identities", *INCLUDES, "audits", "webhooks", "triggers"))


class ProfileViewSet(OfProfileViewSet):
    """Profiles, and the look-up by any of their ids."""

    queryset = Profile.objects.all()
    filterset_class = ProfileFilterSet
    serializer_class = ProfileSerializer
    sort_fields = {"created_at": "created_at", "updated_at": "updated_at"}
    default_sort = ""
    includes = PROFILE_INCLUDES
    scopes = {
        "list": READ,
        "create": "create-profiles",
        "retrieve": READ,
        "update": "update-profiles",
        "destroy": DELETE,
        "update_type": "update-profiles",
        "search_id": (READ, "read-identities"),
        "availability": READ,
        "balances": READ,
        "why": READ,
        "export": EXPORT,
    }

    @extend_schema(responses=ProfileSerializer(many=True), summary="List profiles")
    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()).values_list("pk", flat=True))
        return self.get_paginated_response(fragments(lookup.profiles(page or [], include=self.included())))

    @extend_schema(
        request=NewProfileSerializer,
        responses={
            201: data_of(ProfileSerializer, routing=RoutingSerializer()),
            200: data_of(ProfileSerializer, routing=RoutingSerializer()),
        },
        summary="Bring a profile to the one that its identities name, or make it",
    )
    def create(self, request: Request) -> Response:
        body = NewProfileSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        routed = routing.route(
            body.validated_data.get("identities") or [],
            fields=body.fields_of(),
            contact=body.contact(),
            attributes=body.custom(),
            by=by(request),
            source=source(request),
        )
        return one(
            lookup.profile(routed.profile.pk), 201 if routed.outcome == "created" else 200, routing=told(routed)
        )

    @extend_schema(parameters=[INCLUDE], responses=data_of(ProfileSerializer), summary="Read a profile")
    def retrieve(self, request: Request, profile_id: str) -> Response:
        return self.shown(profile_key(profile_id))

    @extend_schema(
        request=ProfileChangeSerializer, responses=data_of(ProfileSerializer), summary="Change fields of a profile"
    )
    def update(self, request: Request, profile_id: str) -> Response:
        pk = profile_key(profile_id)
        body = ProfileChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        named = Profile.objects.get(pk=pk)
        sent = body.sent(named)
        routing.update(pk, **sent, by=by(request), source=source(request))
        return self.shown(pk)

    @extend_schema(responses={204: None}, summary="Delete a profile softly")
    def destroy(self, request: Request, profile_id: str) -> Response:
        releasing.delete(profile_key(profile_id), by=by(request))
        return Response(status=204)

    @extend_schema(
        request=ProfileTypeSerializer,
        responses=data_of(
            ProfileSerializer,
            not_returned=NotReturnedSerializer(many=True),
            contacts_changed=ContactChangedSerializer(many=True),
        ),
        summary="Change a profile's type; undelete it",
    )
    def update_type(self, request: Request, profile_id: str) -> Response:
        body = ProfileTypeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        pk = profile_key(profile_id)
        if body.validated_data["profile_type"] == Profile.Type.DELETED and DELETE not in token_of(request).scopes:
            raise PermissionDenied(_("The token lacks the scope %(scope)s.") % {"scope": DELETE})
        profile_type = body.validated_data["profile_type"]
        retyped = releasing.change_type(pk, profile_type, by=by(request), source=source(request))
        gone = [
            {**one.pair._asdict(), "profile_id": one.owner.pk if one.owner else None} for one in retyped.not_returned
        ]
        changed = [{"profile_id": pk, "field": name} for name in retyped.contacts_changed]
        return one(lookup.profile(pk), not_returned=gone, contacts_changed=changed)

    @extend_schema(
        request=SearchIdSerializer,
        parameters=[INCLUDE],
        responses=data_of(ProfileSerializer),
        summary="Find a profile by one of its ids",
    )
    def search_id(self, request: Request) -> Response:
        body = SearchIdSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        handle, identifier = body.validated_data["type"], body.validated_data["id"]
        if handle == "profile_id":
            return self.shown(profile_key(identifier))
        text = lookup.search_id(handle, identifier, include=self.included())
        if text is None:
            raise Http404
        return one(text)

    @extend_schema(
        request=AvailabilitySerializer,
        responses=data_of(AvailabilityAnswerSerializer),
        summary="Ask whether an e-mail or a mobile number is free",
    )
    def availability(self, request: Request) -> Response:
        body = AvailabilitySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = {name: body.validated_data[name] for name in CONTACTS if body.validated_data.get(name)}
        return one({name: self._availability(name, text) for name, text in asked.items()})

    def _availability(self, handle: str, text: str) -> dict[str, Any]:
        holder = matching.holding_contact(handle, text).live().select_related("profile").first()
        if holder is None:
            return {"available": True, "profile": None}
        return {"available": False, "profile": {"id": holder.profile_id, "full_name": holder.profile.full_name}}

    def shown(self, pk: uuid.UUID) -> Response:
        """The profile that this id means, with `merged_from` when it is another's by now."""
        text = lookup.profile(pk, include=self.included())
        if text is None:
            raise Http404
        if str(pk) in text[:64]:  # its first key is the id
            return one(text)
        survivor = reading.from_json(text)
        self.stands_for(uuid.UUID(survivor["id"]), pk)
        return one({**survivor, "merged_from": str(pk)})

    @extend_schema(
        parameters=[
            OpenApiParameter("record", required=True, description="A kind and an id, such as `transaction:43`."),
        ],
        responses=data_of(WhySerializer),
        summary="Why a record is on this profile",
    )
    def why(self, request: Request, profile_id: str) -> Response:
        kind, _colon, key = self.request.query_params.get("record", "").partition(":")
        if kind not in RECORDS or not (key.isascii() and key.isdecimal() and len(key) < 19):
            known = ", ".join(RECORDS)
            raise ValidationError({"record": [_("This must be one of %(kinds)s, and an id.") % {"kinds": known}]})
        profile = self.profile(profile_id)
        record = of_kind(RECORDS[kind]).select_related("log_entry").get(pk=int(key), profile=profile)
        return one(WhySerializer(explaining.why(record)).data)

    @extend_schema(
        responses=data_of(ExportSerializer),
        summary="Export everything that is held about the person",
        description="One JSON document of one moment, streamed at any size: the profile with all that was merged "
        "into it, also a deleted one; its identities and contact points, records, and what is told of them in the "
        "routing log, the audit, events and deliveries. Identifiers of sensitive handles are in clear, and each "
        "export is kept in the audit. Of other people it holds nothing but the ids of their profiles: what a row "
        "holds of somebody else as well is null, and its name in `withheld`; a pair that another profile has shows "
        "that profile's id in place of its identifier. Nothing gets out that the token could not read elsewhere: it "
        "needs " + ", ".join(f"`{scope}`" for scope in sorted(EXPORT)) + ".",
    )
    def export(self, request: Request, profile_id: str) -> StreamingHttpResponse:
        told = exporting.export(profile_key(profile_id), by=by(request))
        self.stands_for(told.profile.pk)
        return StreamingHttpResponse(
            _as_data(told.pieces), content_type="application/json", headers={"Cache-Control": "no-store"}
        )

    @extend_schema(responses=data_of(BalancesSerializer), summary="What a profile may spend")
    def balances(self, request: Request, profile_id: str) -> Response:
        profile = self.profile(profile_id)
        text = lookup.balances(profile.pk)
        if profile.pk == profile_key(profile_id):
            return one(text)
        return one({**reading.from_json(text), "merged_from": str(profile_key(profile_id))})


def _as_data(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The envelope around them. A generator, so that whoever closes the answer early closes them, and the transaction
    that they are read in: on its own thread, whose next request has the same connection."""
    yield b'{"data": '
    yield from pieces
    yield b"}"
