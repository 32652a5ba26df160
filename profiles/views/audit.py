from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from omneo_identity.api.schema import data_of
from omneo_identity.api.views import ApiViewSet, one
from profiles.filters import AuditFilterSet
from profiles.models import Audit
from profiles.serializers import AuditSerializer


class AuditViewSet(ApiViewSet):
    """Who changed what."""

    queryset = Audit.objects.all()
    filterset_class = AuditFilterSet
    serializer_class = AuditSerializer
    sort_fields = {"created_at": "created_at", "id": "id"}
    default_sort = "-id"
    scopes = {"list": "read-audits", "retrieve": "read-audits"}

    @extend_schema(responses=AuditSerializer(many=True), summary="List audits")
    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(AuditSerializer(page, many=True).data)

    @extend_schema(responses=data_of(AuditSerializer), summary="Read an audit")
    def retrieve(self, request: Request, audit_id: int) -> Response:
        return one(AuditSerializer(Audit.objects.get(pk=audit_id)).data)
