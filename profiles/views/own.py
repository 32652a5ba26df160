"""The profile whose customer token it is, and what is on it (API.md 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle

from identities import attributing, claiming, lookup, recording, releasing, tokens
from identities.views import OwnViewSet, found, fragments, untold
from omneo_identity.api.auth import CustomerAuthentication, by, plain_token, source
from omneo_identity.api.quick import Asked
from omneo_identity.api.schema import data_of
from omneo_identity.api.throttles import SignUpThrottle
from omneo_identity.api.views import one
from profiles.filters import FoundTransactionFilterSet, OwnInteractionFilterSet, OwnTransactionFilterSet
from profiles.models import CustomAttribute, Interaction, Profile, Record, Transaction
from profiles.models.record import of_kind
from profiles.refusing import Refused
from profiles.serializers import (
    BalancesSerializer,
    CustomAttributeChangeSerializer,
    CustomAttributeSerializer,
    NewOwnInteractionSerializer,
    NewOwnProfileSerializer,
    OwnInteractionSerializer,
    OwnProfileChangeSerializer,
    OwnProfileSerializer,
    OwnProfileTypeSerializer,
    OwnTransactionSerializer,
    RefusedPairSerializer,
)
from profiles.views.attribute import split


def quick_own(asked: Asked) -> str | None:
    """The short way of `OwnProfileViewSet.retrieve`."""
    plain = plain_token(asked.authorization)
    return tokens.own_document(plain) if plain and not asked.query else None


class OwnProfileViewSet(OwnViewSet):
    queryset = Profile.objects.all()
    serializer_class = OwnProfileSerializer
    pagination_class = None
    filter_backends = []

    def get_authenticators(self) -> list[CustomerAuthentication]:  # type: ignore[override]
        # Asked for before the action is known, but for what its method means.
        method = (self.request.method or "").lower() if self.request else ""
        return [CustomerAuthentication(with_document=self.action_map.get(method) == "retrieve")]

    def get_throttles(self) -> list[BaseThrottle]:
        return [*super().get_throttles(), *([SignUpThrottle()] if self.action == "create" else [])]

    for_anybody = frozenset({"create"})

    @extend_schema(
        request=NewOwnProfileSerializer,
        responses={201: data_of(OwnProfileSerializer, refused=RefusedPairSerializer(many=True))},
        summary="Make a profile for oneself, as an anonymous visitor",
        description="Always a new one: nobody is looked for, so that the answer tells of nobody. E-mail, mobile and "
        "identities are only claimed; pairs that cannot be are in `refused`.",
    )
    def create(self, request: Request) -> Response:
        if self.token.profile_id is not None:
            raise Refused("profile_exists", _("You have a profile already; change that one."))
        body = NewOwnProfileSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        made = claiming.introduce(
            body.validated_data.pop("identities", None) or [],
            fields=body.fields_of(),
            contact=body.contact(),
            attributes=body.custom(),
            by=by(request),
            source=source(request),
        )
        refused = [
            {"handle": sent.handle, "identifier": sent.identifier, "code": why.code, "message": str(untold(why))}
            for sent, why in made.refused
        ]
        return one(found(lookup.own_profile(made.profile.pk)), 201, refused=refused)

    @extend_schema(responses=data_of(OwnProfileSerializer), summary="Read one's own profile")
    def retrieve(self, request: Request) -> Response:
        return one(found(self.token.document))

    @extend_schema(
        request=OwnProfileChangeSerializer,
        responses=data_of(OwnProfileSerializer),
        summary="Change fields of one's own profile",
    )
    def update(self, request: Request) -> Response:
        """What the retailer says of a profile is not the owner's to change: `tags` and `joined_at` are ignored, like
        `identities`, which have routes of their own. An e-mail or mobile is only claimed: it is shown here from then
        on, and everywhere else once it is confirmed; an empty one takes the claim back."""
        body = OwnProfileChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        fields = body.fields_of(Profile.objects.get(pk=self.own_id))
        updated = claiming.update(
            self.named_id,
            fields=fields,
            contact=body.contact(),
            attributes=body.custom(),
            identity_id=self.token.identity_id,
            by=by(request),
            source=source(request),
        )
        return one(found(lookup.own_profile(updated.pk)))

    @extend_schema(
        request=OwnProfileTypeSerializer,
        responses=data_of(OwnProfileSerializer),
        summary="Change the type of one's own profile",
    )
    def update_type(self, request: Request) -> Response:
        body = OwnProfileTypeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data["profile_type"]
        retyped = releasing.change_type(
            self.named_id, wanted, literal=False, undelete=False, by=by(request), source=source(request)
        )
        return one(found(lookup.own_profile(retyped.profile.pk)))

    @extend_schema(responses=data_of(BalancesSerializer), summary="What the owner of the token may spend")
    def balances(self, request: Request) -> Response:
        return one(lookup.balances(self.own_id))


class OwnAttributeViewSet(OwnViewSet):
    """Custom attributes of one's own profile, by `namespace:handle`."""

    queryset = CustomAttribute.objects.all()
    serializer_class = CustomAttributeSerializer
    pagination_class = None
    filter_backends = []

    @extend_schema(responses=data_of(CustomAttributeSerializer, many=True), summary="List one's own custom attributes")
    def list(self, request: Request) -> Response:
        rows = CustomAttribute.objects.filter(profile=self.own_id)
        return one(CustomAttributeSerializer(rows, many=True).data)

    @extend_schema(responses=data_of(CustomAttributeSerializer), summary="Read one's own custom attribute")
    def retrieve(self, request: Request, attribute: str) -> Response:
        namespace, handle = split(attribute)
        row = CustomAttribute.objects.get(profile=self.own_id, namespace=namespace, handle=handle)
        return one(CustomAttributeSerializer(row).data)

    @extend_schema(
        request=CustomAttributeChangeSerializer,
        responses=data_of(CustomAttributeSerializer),
        summary="Make or change one's own custom attribute",
    )
    def update(self, request: Request, attribute: str) -> Response:
        body = CustomAttributeChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        named = body.named(*split(attribute))
        row = attributing.put(
            self.named_id,
            named,
            identity_id=self.token.identity_id,
            most=attributing.BY_CUSTOMERS,
            by=by(request),
            source=source(request),
        )
        return one(CustomAttributeSerializer(row).data)

    @extend_schema(responses={204: None}, summary="Delete one's own custom attribute")
    def destroy(self, request: Request, attribute: str) -> Response:
        attributing.remove(self.named_id, *split(attribute), by=by(request))
        return Response(status=204)


class OwnRecordViewSet(OwnViewSet):
    """Records of one's own profile, the newest first."""

    kind: ClassVar[type[Record]]

    def page(self) -> Response:
        rows = of_kind(self.kind).filter(profile=self.own_id)
        page = self.paginate_queryset(self.filter_queryset(rows).values_list("pk", flat=True))
        documents = lookup.own_records(self.kind.kind, page or [], of=self.own_id)
        return self.get_paginated_response(fragments(documents))


class OwnTransactionViewSet(OwnRecordViewSet):
    kind = Transaction
    queryset = Transaction.objects.all()
    filterset_class = OwnTransactionFilterSet
    serializer_class = OwnTransactionSerializer
    sort_fields = {"transacted_at": "transacted_at", "id": "id"}
    default_sort = "-transacted_at"

    @extend_schema(responses=OwnTransactionSerializer(many=True), summary="List one's own transactions")
    def list(self, request: Request) -> Response:
        return self.page()


class FoundTransactionViewSet(OwnViewSet):
    queryset = Transaction.objects.all()
    filterset_class = FoundTransactionFilterSet
    serializer_class = OwnTransactionSerializer
    pagination_class = None
    sort_fields = {"id": "id"}
    default_sort = "-id"

    @extend_schema(
        responses=data_of(OwnTransactionSerializer),
        summary="Find one's own transaction by its external id",
        description="`data` is the one found, of several sources' the newest.",
    )
    def list(self, request: Request) -> Response:
        if not request.query_params.get("filter[external_id]"):
            raise ValidationError({"filter[external_id]": [_("This parameter is required.")]}, code="required")
        rows = of_kind(Transaction).filter(profile=self.own_id)
        newest = self.filter_queryset(rows).values_list("pk", flat=True)[:1]
        return one(first(lookup.own_records(Transaction.kind, list(newest), of=self.own_id)))


class OwnInteractionViewSet(OwnRecordViewSet):
    kind = Interaction
    queryset = Interaction.objects.all()
    filterset_class = OwnInteractionFilterSet
    serializer_class = OwnInteractionSerializer
    sort_fields = {"interacted_at": "interacted_at", "id": "id"}
    default_sort = "-interacted_at"

    @extend_schema(responses=OwnInteractionSerializer(many=True), summary="List one's own interactions")
    def list(self, request: Request) -> Response:
        return self.page()

    @extend_schema(
        request=NewOwnInteractionSerializer,
        responses={201: data_of(OwnInteractionSerializer)},
        summary="Record one's own interaction",
        description="It goes to the owner's profile and nowhere else: whom the body names is ignored.",
    )
    def create(self, request: Request) -> Response:
        body = NewOwnInteractionSerializer.read(request.data)
        recorded = recording.record(
            Interaction, body.of(self.named_id, self.token.identity_id), by=by(request), source=source(request)
        )
        made = recorded.record
        return one(first(lookup.own_records(Interaction.kind, [made.pk], of=made.profile_id)), 201)


def first(documents: Sequence[str]) -> str:
    return found(documents[0] if documents else None)
