"""Incoming records over HTTP (API.md 4): transactions, interactions, points and rewards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from django.http import Http404
from drf_spectacular.drainage import isolate_view_method
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from identities import lookup, moving_records, recording
from identities.recording import Recorded
from identities.views import fragments
from omneo_identity.api.auth import Scopes, by, source
from omneo_identity.api.filters import LARGEST_INTEGER
from omneo_identity.api.schema import data_of
from omneo_identity.api.views import ApiViewSet, one
from profiles.filters import InteractionFilterSet, PointFilterSet, RewardFilterSet, TransactionFilterSet
from profiles.models import Interaction, Point, Record, Reward, Transaction
from profiles.models.record import of_kind
from profiles.serializers import (
    IncomingSerializer,
    InteractionChangeSerializer,
    InteractionSerializer,
    NewInteractionSerializer,
    NewPointSerializer,
    NewRewardSerializer,
    NewTransactionSerializer,
    PointSerializer,
    RecordMoveSerializer,
    RewardChangeSerializer,
    RewardSerializer,
    RoutingSerializer,
    TransactionChangeSerializer,
    TransactionSerializer,
    UpsertTransactionSerializer,
    told,
)

V = TypeVar("V", bound="type[RecordViewSet]")

PUT = (
    "Changes what it names. A record that has a profile keeps it: pairs that name another are logged as a conflict, "
    "unknown ones attach to its own; one of nobody is routed. What our answer shows may come back whole: its own "
    "profile, pairs and times, which it shows in UTC, then say nothing."
)
MOVE = "Gives the record to another profile, or to nobody. Audited; moving it back takes the move back."


def scopes_of(noun: str) -> Scopes:
    read, create, update, delete = (f"{verb}-{noun}" for verb in ("read", "create", "update", "delete"))
    return {
        "list": read,
        "retrieve": read,
        "external": read,
        "create": create,
        # It may do either, and whoever sends it does not know which.
        "upsert": frozenset({create, update}),
        "update": update,
        "move": update,
        "destroy": delete,
    }


class RecordViewSet(ApiViewSet):
    """What the kinds of records have in common."""

    kind: ClassVar[type[Record]]
    new_serializer: ClassVar[type[IncomingSerializer]]
    change_serializer: ClassVar[type[IncomingSerializer]]
    # The time of the record itself, by which its index has those of a profile, too, unless they stand by their key.
    time: ClassVar[str]
    stands_by: ClassVar[str] = "id"

    default_sort = "-id"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.default_sort = self._newest_first(request.query_params)

    def _newest_first(self, query: Mapping[str, str]) -> str:
        """The order in which an index has the rows that were asked for, the newest first.

        By the keys, the planner would walk every row that is newer than a span of time, or than a profile's last.
        """
        for name in (self.time, "created_at"):
            if any(parameter.startswith(f"filter[{name}]") for parameter in query):
                return f"-{name}"
        return f"-{self.stands_by}" if "filter[profile_id]" in query else "-id"

    def create(self, request: Request) -> Response:
        body = self.new_serializer.read(request.data)
        recorded = recording.record(self.kind, body.incoming(), by=by(request), source=source(request))
        return self.answer(recorded, 201)

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()).values_list("pk", flat=True))
        return self.get_paginated_response(fragments(lookup.records(self.kind.kind, page or [])))

    def retrieve(self, request: Request, record_id: int) -> Response:
        return one(self.document(record_id))

    def move(self, request: Request, record_id: int) -> Response:
        body = RecordMoveSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        where = body.validated_data
        to = where.get("profile_id")
        if "identities" in where:
            to = moving_records.named_by(where["identities"])
        reason = where.get("reason") or ""
        row = moving_records.move_record(self.kind, record_id, to=to, reason=reason, by=by(request))
        return one(self.document(row.pk))

    def answer(self, recorded: Recorded[Any], status: int = 200) -> Response:
        return one(self.document(recorded.record.pk), status, routing=told(recorded.routed))

    def document(self, pk: int) -> str:
        """A record as JSON text; 404 when it is not there, or no longer."""
        texts = lookup.records(self.kind.kind, [pk]) if pk <= LARGEST_INTEGER else []
        if not texts:
            raise Http404
        return texts[0]


class ChangeableViewSet(RecordViewSet):
    """Records that may be corrected and deleted; points are only given."""

    def update(self, request: Request, record_id: int) -> Response:
        row = of_kind(self.kind).get(pk=record_id)
        body = self.change_serializer.read(request.data)
        incoming = body.incoming(row, is_put=True)
        recorded = recording.change(self.kind, row.pk, incoming, by=by(request), source=source(request))
        return self.answer(recorded)

    def destroy(self, request: Request, record_id: int) -> Response:
        recording.delete(self.kind, record_id, by=by(request))
        return Response(status=204)


def described(noun: str) -> Callable[[V], V]:
    """Describe a view set's actions in the OpenAPI document. In: what it is about, `a transaction`."""
    plural = noun.split(" ", 1)[-1]
    plural = plural if plural.endswith("s") else f"{plural}s"

    def describe(viewset: V) -> V:
        document: Any = viewset.serializer_class  # type: ignore[misc]  # each view set has its own
        routed = data_of(document, routing=RoutingSerializer())
        actions = {
            "create": extend_schema(
                request=viewset.new_serializer,
                responses={201: routed},
                summary=f"Bring {noun} to the profile that it names",
            ),
            "list": extend_schema(responses=document(many=True), summary=f"List {plural}"),
            "retrieve": extend_schema(responses=data_of(document), summary=f"Read {noun}"),
            "move": extend_schema(
                request=RecordMoveSerializer, responses=data_of(document), summary=f"Move {noun}", description=MOVE
            ),
        }
        if issubclass(viewset, ChangeableViewSet):
            actions["update"] = extend_schema(
                request=viewset.change_serializer, responses=routed, summary=f"Change {noun}", description=PUT
            )
            actions["destroy"] = extend_schema(responses={204: None}, summary=f"Delete {noun}")
        for action, words in actions.items():
            words(isolate_view_method(viewset, action))  # type: ignore[no-untyped-call]
        return viewset

    return describe


@described("a transaction")
class TransactionViewSet(ChangeableViewSet):
    """Sales and returns. One that names nobody is kept, and is nobody's until it is moved or names somebody."""

    kind = Transaction
    queryset = Transaction.objects.all()
    filterset_class = TransactionFilterSet
    serializer_class = TransactionSerializer
    new_serializer = NewTransactionSerializer
    change_serializer = TransactionChangeSerializer
    time = stands_by = "transacted_at"
    sort_fields = {"id": "id", "transacted_at": "transacted_at", "created_at": "created_at"}
    scopes = scopes_of("transactions")

    @extend_schema(
        request=UpsertTransactionSerializer,
        responses={
            201: data_of(TransactionSerializer, routing=RoutingSerializer()),
            200: data_of(TransactionSerializer, routing=RoutingSerializer()),
        },
        summary="Make a transaction, or change the one of this external id",
        description="By `external_id`, which is unique for each source: 201 for a new one, 200 for one that is "
        "changed, as by PUT. It needs the scopes of both.",
    )
    def upsert(self, request: Request) -> Response:
        body = UpsertTransactionSerializer.read(request.data)
        speaks_for, writer = source(request), by(request)
        of_this_id = Transaction.objects.filter(external_id=body.validated_data["external_id"], source=speaks_for)
        for row in of_this_id:
            try:
                changed = recording.change(Transaction, row.pk, body.incoming(row), by=writer, source=speaks_for)
            except Transaction.DoesNotExist:
                break  # Somebody has deleted it meanwhile, and this is a new one.
            return self.answer(changed)
        whole = NewTransactionSerializer.read(request.data)
        recorded = recording.record(Transaction, whole.incoming(), upsert=True, by=writer, source=speaks_for)
        return self.answer(recorded, 201 if recorded.created else 200)

    @extend_schema(
        parameters=[
            OpenApiParameter("external_id", location=OpenApiParameter.PATH, description="The rest of the path.")
        ],
        responses=data_of(TransactionSerializer),
        summary="Read a transaction by its external id",
        description="Of several sources' transactions of this id, the caller's own, else the newest.",
    )
    def external(self, request: Request, external_id: str) -> Response:
        # "abc/" may be an id, or "abc" from a client that ends its paths with a slash.
        for asked in dict.fromkeys((external_id, external_id.removesuffix("/"))):
            if not asked:
                continue
            found = Transaction.objects.filter(external_id=asked).order_by("-pk")
            own = found.filter(source=source(request)).first() or found.first()
            if own is not None:
                return one(self.document(own.pk))
        raise Http404


@described("an interaction")
class InteractionViewSet(ChangeableViewSet):
    """What happened between a profile and the retailer, and is no sale."""

    kind = Interaction
    queryset = Interaction.objects.all()
    filterset_class = InteractionFilterSet
    serializer_class = InteractionSerializer
    new_serializer = NewInteractionSerializer
    change_serializer = InteractionChangeSerializer
    time = stands_by = "interacted_at"
    sort_fields = {"id": "id", "interacted_at": "interacted_at", "created_at": "created_at"}
    scopes = scopes_of("interactions")


@described("points")
class PointViewSet(RecordViewSet):
    """Points that a profile was given. They are not changed; their times are UTC."""

    kind = Point
    queryset = Point.objects.all()
    filterset_class = PointFilterSet
    serializer_class = PointSerializer
    new_serializer = NewPointSerializer
    time = "issued_at"
    sort_fields = {"id": "id", "issued_at": "issued_at", "created_at": "created_at"}
    scopes = scopes_of("points")


@described("a reward")
class RewardViewSet(ChangeableViewSet):
    """Rewards in money that a profile was given. Their times are local to `timezone` on input, and UTC in answers."""

    kind = Reward
    queryset = Reward.objects.all()
    filterset_class = RewardFilterSet
    serializer_class = RewardSerializer
    new_serializer = NewRewardSerializer
    change_serializer = RewardChangeSerializer
    time = "issued_at"
    sort_fields = {"id": "id", "issued_at": "issued_at", "created_at": "created_at"}
    scopes = scopes_of("rewards")
