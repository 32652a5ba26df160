from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from omneo_identity.api.auth import by
from omneo_identity.api.schema import data_of
from omneo_identity.api.views import ApiViewSet, one
from profiles import defining
from profiles.filters import RewardDefinitionFilterSet
from profiles.models import RewardDefinition
from profiles.serializers import (
    NewRewardDefinitionSerializer,
    RewardDefinitionChangeSerializer,
    RewardDefinitionSerializer,
)
from profiles.views.records import scopes_of


class RewardDefinitionViewSet(ApiViewSet):
    """Kinds of rewards: what each is worth, and for how long."""

    queryset = RewardDefinition.objects.all()
    filterset_class = RewardDefinitionFilterSet
    serializer_class = RewardDefinitionSerializer
    sort_fields = {"id": "id", "created_at": "created_at"}
    default_sort = "id"
    scopes = scopes_of("rewards")

    @extend_schema(responses=RewardDefinitionSerializer(many=True), summary="List reward definitions")
    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(RewardDefinitionSerializer(page, many=True).data)

    @extend_schema(
        request=NewRewardDefinitionSerializer,
        responses={201: data_of(RewardDefinitionSerializer)},
        summary="Make a reward definition",
    )
    def create(self, request: Request) -> Response:
        body = NewRewardDefinitionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        return self.shown(defining.define(body.fields_of(), by=by(request)), 201)

    @extend_schema(responses=data_of(RewardDefinitionSerializer), summary="Read a reward definition")
    def retrieve(self, request: Request, definition_id: int) -> Response:
        return self.shown(RewardDefinition.objects.get(pk=definition_id))

    @extend_schema(
        request=RewardDefinitionChangeSerializer,
        responses=data_of(RewardDefinitionSerializer),
        summary="Change a reward definition",
    )
    def update(self, request: Request, definition_id: int) -> Response:
        body = RewardDefinitionChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        return self.shown(defining.redefine(definition_id, body.fields_of(), by=by(request)))

    @extend_schema(
        responses={204: None},
        summary="Delete a reward definition",
        description="One by which rewards were given is kept: 409 `definition_in_use`.",
    )
    def destroy(self, request: Request, definition_id: int) -> Response:
        defining.undefine(definition_id, by=by(request))
        return Response(status=204)

    def shown(self, row: RewardDefinition, status: int = 200) -> Response:
        return one(RewardDefinitionSerializer(row).data, status)
