"""Merge profiles, and see before what that would do (API.md 5)."""

from __future__ import annotations

from typing import Any

import orjson
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from identities import lookup
from identities.views import fragments
from omneo_identity.api.auth import by
from omneo_identity.api.schema import data_of
from omneo_identity.api.views import ApiViewSet, one
from profiles import merging
from profiles.merging import FieldOutcome, HandleConflict, Preview
from profiles.merging.rows import tables
from profiles.models import Profile
from profiles.serializers import MergingSerializer, PreviewSerializer, ProfileSerializer, Values

MERGE = "merge-profiles"

MERGED = serializers.ListField(
    child=serializers.IntegerField(), help_text="The merge of each source, in the order in which they were named."
)


class MergingViewSet(ApiViewSet):
    """Profiles of one person become one. Ids are literal: that of a merged profile is a 409 `already_merged`."""

    queryset = Profile.objects.all()
    serializer_class = MergingSerializer
    filter_backends = []
    scopes = {"merge": MERGE, "preview": MERGE}

    @extend_schema(
        request=MergingSerializer,
        responses=data_of(ProfileSerializer, merges=MERGED),
        summary="Merge profiles",
        description="The destination stays, and has all identities and records of the sources. A field that it has "
        "not takes the value of the earliest-created profile that has one. The sources' own columns are kept, their "
        "ids stand for the destination from now on, and each merge can be undone.",
    )
    def merge(self, request: Request) -> Response:
        asked = _asked(request)
        merged = merging.merge(
            asked["destination_profile_id"],
            asked["sources"],
            choices=asked["choices"],
            plan=asked.get("plan"),
            reason=asked.get("reason") or "",
            by=by(request),
        )
        by_source = {merge.duplicate_id: merge.pk for merge in merged.merges}
        return one(lookup.profile(merged.survivor.pk), merges=[by_source[pk] for pk in asked["sources"]])

    @extend_schema(
        request=MergingSerializer,
        responses=data_of(PreviewSerializer),
        summary="See what a merge would do",
        description="Writes nothing. What a merge would be refused for is in `blockers`. Send its `plan` with the "
        "same body to `/profiles/merge` to have exactly this done, or nothing.",
    )
    def preview(self, request: Request) -> Response:
        asked = _asked(request)
        told = merging.preview(asked["destination_profile_id"], asked["sources"], asked["choices"])
        return one(
            {
                "destination_profile_id": asked["destination_profile_id"],
                "source_profile_ids": asked["sources"],
                "fields": _fields(told),
                "moves": counts({kind: sum(by_profile.values()) for kind, by_profile in told.moves.items()}),
                "handle_conflicts": _conflicts(told.conflicts),
                "blockers": [{"code": one.code, "message": str(one.message), **one.details} for one in told.blockers],
                "plan": None if told.blockers else told.plan,
            }
        )


def counts(found: dict[str, int]) -> dict[str, int]:
    """Rows by kind, those of which there are none too."""
    return {table.kind: found.get(table.kind, 0) for table in tables()}


def identities(keys: list[int]) -> list[orjson.Fragment]:
    """Identities by their keys, contact points too, as everywhere on the wire."""
    return fragments(lookup.identities(keys)) if keys else []


def _asked(request: Request) -> dict[str, Any]:
    body = MergingSerializer(data=request.data)
    body.is_valid(raise_exception=True)
    asked: dict[str, Any] = body.validated_data
    return {**asked, "choices": body.choices(asked["sources"], asked["destination_profile_id"])}


def _fields(told: Preview) -> list[dict[str, Any]]:
    values = Values((one.name, value) for one in told.fields for value in (one.value, *one.sides.values()))
    sides = [told.survivor.pk, *(profile.pk for profile in told.duplicates)]

    def shown(outcome: FieldOutcome) -> dict[str, Any]:
        return {
            "field": outcome.name,
            "outcome": outcome.status,
            "value": values(outcome.name, outcome.value),
            "profile_id": outcome.of,
            "chosen": outcome.chosen,
            "values": [{"profile_id": pk, "value": values(outcome.name, outcome.sides[pk])} for pk in sides],
        }

    return [shown(outcome) for outcome in told.fields]


def _conflicts(conflicts: list[HandleConflict]) -> list[dict[str, Any]]:
    keys = [[row.pk for rows in one.identities.values() for row in rows] for one in conflicts]
    found = iter(identities([key for of_one in keys for key in of_one]))
    return [
        {"handle": conflict.handle, "identities": [next(found) for _key in of_one], "stays": conflict.stays}
        for conflict, of_one in zip(conflicts, keys, strict=True)
    ]
