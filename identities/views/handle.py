from __future__ import annotations

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from identities import cataloguing
from identities.filters import HandleFilterSet
from identities.models import Extension, Handle
from identities.serializers import (
    HandleChangeSerializer,
    HandleSerializer,
)
from omneo_identity.api.auth import by, source
from omneo_identity.api.schema import data_of
from omneo_identity.api.views import ApiViewSet, one


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
