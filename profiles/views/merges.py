"""The history of merges, and the way back (API.md 5)."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from identities import lookup
from identities.contacts import Changed
from identities.views import fragments
from omneo_identity.api.auth import by
from omneo_identity.api.schema import data_of
from omneo_identity.api.views import ApiViewSet, one
from profiles import merging
from profiles.filters import MergeFilterSet
from profiles.merging import Undo
from profiles.merging.rows import tables
from profiles.models import Merge
from profiles.serializers import (
    MergeSerializer,
    MergeWithDetailsSerializer,
    UndoAnswerSerializer,
    UndoPreviewSerializer,
    UndoSerializer,
    Values,
)
from profiles.views.merging import counts, identities

READ = "read-profiles"
UNDO = "unmerge-profiles"


class MergeViewSet(ApiViewSet):
    """Merges, those that were undone too, the newest first."""

    queryset = Merge.objects.select_related("by", "undone_by")
    filterset_class = MergeFilterSet
    serializer_class = MergeSerializer
    sort_fields = {"id": "id"}
    default_sort = "-id"
    scopes = {"list": READ, "retrieve": READ, "undo": UNDO, "preview_undo": UNDO}

    @extend_schema(responses=MergeSerializer(many=True), summary="List merges")
    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset().defer("fields", "undo_report")))
        return self.get_paginated_response(MergeSerializer(page, many=True).data)

    @extend_schema(responses=data_of(MergeWithDetailsSerializer), summary="Read a merge")
    def retrieve(self, request: Request, merge_id: int) -> Response:
        merge = self.get_queryset().get(pk=merge_id)
        return one(
            {
                **MergeSerializer(merge).data,
                "fields": _taken_fields(merge),
                "moved": _moved(merge),
                "undo": merge.undo_report or None,
            }
        )

    @extend_schema(
        request=UndoSerializer,
        responses=data_of(UndoAnswerSerializer),
        summary="Undo a merge",
        description="The duplicate is a profile of its own again. What the merge moved goes home, and so does what "
        "came in since: identities first, then records, by what brought them, else by the id that was addressed. What "
        "was moved, split off or deleted since is left and reported. Fields go back where they still hold the value "
        "that was taken over. A merge beneath another can be undone while that stands. The two never merge by "
        "themselves again.",
    )
    def undo(self, request: Request, merge_id: int) -> Response:
        undone = merging.undo(merge_id, reason=_reason(request), by=by(request))
        survivor, duplicate = fragments(lookup.profiles([undone.survivor.pk, undone.duplicate.pk]))
        merge = MergeSerializer(self.get_queryset().get(pk=merge_id)).data
        return one({"merge": merge, "survivor": survivor, "duplicate": duplicate, "report": _report(undone)})

    @extend_schema(
        request=UndoSerializer,
        responses=data_of(UndoPreviewSerializer),
        summary="See what an undo would do",
        description="Writes nothing, and is refused for what the undo would be refused for.",
    )
    def preview_undo(self, request: Request, merge_id: int) -> Response:
        _reason(request)
        told = merging.preview_undo(merge_id)
        return one(
            {
                "merge": MergeSerializer(self.get_queryset().get(pk=merge_id)).data,
                "survivor_id": told.survivor.pk,
                "duplicate_id": told.duplicate.pk,
                "report": _report(told),
            }
        )


def changed(contacts: list[Changed]) -> list[dict[str, Any]]:
    return [{"profile_id": contact.profile.pk, "field": contact.field} for contact in contacts]


def _reason(request: Request) -> str:
    body = UndoSerializer(data=request.data)
    body.is_valid(raise_exception=True)
    return body.validated_data.get("reason") or ""


def _taken_fields(merge: Merge) -> list[dict[str, Any]]:
    values = Values((name, one[side]) for name, one in merge.fields.items() for side in ("former", "adopted"))
    return [
        {
            "field": name,
            "former": values(name, one["former"]),
            "former_profile_id": one["former_of"],
            "adopted": values(name, one["adopted"]),
            "adopted_profile_id": one["of"],
            "chosen": one["chosen"],
        }
        for name, one in merge.fields.items()
    ]


def _moved(merge: Merge) -> dict[str, int]:
    kinds = {table.name: table.kind for table in tables()}
    # Counted by the database: the keys of a hundred thousand rows need not come here.
    taken = merge.taken.filter(table__in=kinds).values_list("table", "keys__len")
    return counts({kinds[table]: number for table, number in taken})


def _report(told: Undo) -> dict[str, Any]:
    restored = [(one.name, value) for one in told.restored for value in (one.old, one.new)]
    values = Values([*restored, *((one.name, one.value) for one in told.kept)])
    reactivated, inactive = ([row.pk for row in rows] for rows in (told.reactivated, told.inactive))
    rows = identities([*reactivated, *inactive])
    return {
        "restored": [
            {
                "profile_id": one.profile_id,
                "field": one.name,
                "former": values(one.name, one.old),
                "value": values(one.name, one.new),
            }
            for one in told.restored
        ],
        "kept": [
            {"profile_id": one.profile_id, "field": one.name, "value": values(one.name, one.value)}
            for one in told.kept
        ],
        "rows": {
            kind: {"home": one.home, "since": one.since, "moved": one.moved, "deleted": one.deleted}
            for kind, one in told.tallies.items()
        },
        "left": told.left,
        "contacts_changed": changed(told.contacts_changed),
        "reactivated": rows[: len(reactivated)],
        "inactive": rows[len(reactivated) :],
    }
