from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from identities.filters import RoutingLogFilterSet
from identities.models import RoutingLogEntry
from identities.serializers import (
    RoutingLogSerializer,
)
from omneo_identity.api.schema import data_of
from omneo_identity.api.views import ApiViewSet, one


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
