from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.http import Http404, QueryDict
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from identities import attributing, lookup
from identities.views import OfProfileViewSet, fragments, profile_key
from omneo_identity.api.auth import by, source
from omneo_identity.api.schema import data_of
from omneo_identity.api.views import ApiViewSet, one
from profiles.models import CustomAttribute, Profile
from profiles.serializers import CustomAttributeChangeSerializer, CustomAttributeSerializer, ProfileSerializer

READ = "read-profiles"
WRITE = "update-profiles"

PARAMETER = re.compile(r"attributes\[(\d{1,2})\]\[(namespace|handle|value)\](?:\[(in)\])?")
MOST_CONDITIONS = 10
MOST_VALUES = 100


class CustomAttributeViewSet(OfProfileViewSet):
    """Custom attributes of one profile, by `namespace:handle`."""

    queryset = CustomAttribute.objects.all()
    serializer_class = CustomAttributeSerializer
    pagination_class = None
    filter_backends = []
    scopes = {"list": READ, "retrieve": READ, "update": WRITE, "destroy": WRITE}

    @extend_schema(
        responses=data_of(CustomAttributeSerializer, many=True), summary="List a profile's custom attributes"
    )
    def list(self, request: Request, profile_id: str) -> Response:
        rows = self.profile(profile_id).custom_attributes.all()
        return one(CustomAttributeSerializer(rows, many=True).data)

    @extend_schema(responses=data_of(CustomAttributeSerializer), summary="Read a custom attribute")
    def retrieve(self, request: Request, profile_id: str, attribute: str) -> Response:
        namespace, handle = split(attribute)
        row = self.profile(profile_id).custom_attributes.get(namespace=namespace, handle=handle)
        return one(CustomAttributeSerializer(row).data)

    @extend_schema(
        request=CustomAttributeChangeSerializer,
        responses=data_of(CustomAttributeSerializer),
        summary="Make or change a custom attribute",
    )
    def update(self, request: Request, profile_id: str, attribute: str) -> Response:
        namespace, handle = split(attribute)
        body = CustomAttributeChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        named = body.named(namespace, handle)
        row = attributing.put(profile_key(profile_id), named, by=by(request), source=source(request))
        self.stands_for(row.profile_id)
        return one(CustomAttributeSerializer(row).data)

    @extend_schema(responses={204: None}, summary="Delete a custom attribute")
    def destroy(self, request: Request, profile_id: str, attribute: str) -> Response:
        namespace, handle = split(attribute)
        profile = attributing.remove(profile_key(profile_id), namespace, handle, by=by(request))
        self.stands_for(profile.pk)
        return Response(status=204)


class FindByAttributeViewSet(ApiViewSet):
    """Profiles by their custom attributes."""

    queryset = Profile.objects.all()
    serializer_class = ProfileSerializer
    sort_fields = {"created_at": "created_at", "updated_at": "updated_at"}
    scopes = {"list": READ}

    @extend_schema(
        parameters=[
            OpenApiParameter(
                f"attributes[0][{part}]",
                required=True,
                description=f"{what} Up to {MOST_CONDITIONS} conditions, `attributes[1]...`; all must hold.",
            )
            for part, what in (
                ("namespace", "The namespace of the first attribute."),
                ("handle", "Its handle."),
                ("value][in", "Values with commas between them, of which it has one; `[value]` takes a single one."),
            )
        ],
        responses=ProfileSerializer(many=True),
        summary="Find profiles by custom attributes",
    )
    def list(self, request: Request) -> Response:
        found = attributing.find(list(conditions(request.query_params)))
        page = self.paginate_queryset(self.filter_queryset(found).values_list("pk", flat=True))
        return self.get_paginated_response(fragments(lookup.profiles(page or [])))


def split(name: str) -> tuple[str, str]:
    namespace, colon, handle = name.partition(":")
    if not colon:
        raise Http404
    return namespace, handle


def conditions(query: QueryDict) -> Iterator[tuple[str, str, list[str]]]:
    """The attributes that a query asks for, as `attributing.find` takes them."""
    asked: dict[int, dict[str, Any]] = {}
    for name, value in query.items():
        if not name.startswith("attributes"):
            continue
        parameter = PARAMETER.fullmatch(name)
        if parameter is None or (parameter[3] and parameter[2] != "value"):
            sentence = _("Known are attributes[0][namespace], attributes[0][handle] and attributes[0][value][in].")
            raise ValidationError({name: [sentence]})
        values = str(value).split(",") if parameter[3] else str(value)
        asked.setdefault(int(parameter[1]), {})[parameter[2]] = values
    if not 1 <= len(asked) <= MOST_CONDITIONS:
        raise ValidationError({"attributes": [_("Name 1 to %(most)d attributes.") % {"most": MOST_CONDITIONS}]})
    for position, parts in sorted(asked.items()):
        for part in ("namespace", "handle", "value"):
            if not parts.get(part):
                raise ValidationError({f"attributes[{position}][{part}]": [_("This parameter is required.")]})
        values = parts["value"] if isinstance(parts["value"], list) else [parts["value"]]
        if len(values) > MOST_VALUES:
            sentence = _("Name at most %(most)d values.") % {"most": MOST_VALUES}
            raise ValidationError({f"attributes[{position}][value][in]": [sentence]})
        yield parts["namespace"], parts["handle"], values
