"""Webhooks and reactions over HTTP (API.md 7)."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from omneo_identity.api import auth
from omneo_identity.api.auth import Scopes, by
from omneo_identity.api.schema import data_of
from omneo_identity.api.views import ApiViewSet, one
from profiles import listening
from profiles.filters import ReactionFilterSet, WebhookFilterSet
from profiles.models import Action, Reaction, Webhook
from profiles.serializers.listening import (
    ActionSerializer,
    NewActionSerializer,
    NewReactionSerializer,
    NewWebhookSerializer,
    ReactionChangeSerializer,
    ReactionSerializer,
    WebhookChangeSerializer,
    WebhookSerializer,
)
from profiles.views.records import scopes_of

DELETED = "What is still waiting to be sent because of it is given up."
ACTIONS = (
    "`actions`, if named, is the whole list: an action with an `id` of this trigger is changed in the fields that it "
    "names, one without is made, and one that the list leaves out is deleted. They run by `sort_order`."
)


SCOPES = (
    "What is sent is more than what the token writes, so that it must be able to read it: `read-profiles`, and "
    "`read-transactions` or `read-interactions` for events of those."
)
WRITES = "Where an action is `attribute.set`, the token also needs `update-profiles`."

# What a token must have besides, by the beginning of the trigger.
READS = {"transaction.": "read-transactions", "interaction.": "read-interactions"}


def scopes_to_keep(noun: str) -> Scopes:
    """Those of `scopes_of`, and to read what is shown to whoever listens."""
    both = {verb: frozenset({f"{verb}-{noun}", "read-profiles"}) for verb in ("create", "update")}
    return {**scopes_of(noun), **both}


def demand_of(request: Request, triggers: Iterable[str], actions: Iterable[str] = ()) -> None:
    """Refuse a token that may not read what these triggers show, or not write what these actions do."""
    needed = {"read-profiles"} | {scope for begin, scope in READS.items() for one in triggers if one.startswith(begin)}
    auth.demand(request, needed | {"update-profiles" for one in actions if one == Action.Name.SET_ATTRIBUTE})


class WebhookViewSet(ApiViewSet):
    """Webhooks: each event of one trigger goes to one address."""

    queryset = Webhook.objects.all()
    filterset_class = WebhookFilterSet
    serializer_class = WebhookSerializer
    sort_fields = {"id": "id", "created_at": "created_at", "updated_at": "updated_at"}
    default_sort = "-id"
    scopes = scopes_to_keep("webhooks")

    @extend_schema(responses=WebhookSerializer(many=True), summary="List webhooks")
    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(WebhookSerializer(page, many=True).data)

    @extend_schema(
        request=NewWebhookSerializer,
        responses={201: data_of(WebhookSerializer)},
        summary="Add a webhook",
        description="It sends on behalf of the account of the token, whose extension's secrets, if any, sign what is "
        f"sent. {SCOPES}",
    )
    def create(self, request: Request) -> Response:
        body = NewWebhookSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        demand_of(request, [body.validated_data["trigger"]])
        return self.shown(listening.add_webhook(body.fields_of(), by=by(request)), 201)

    @extend_schema(responses=data_of(WebhookSerializer), summary="Read a webhook")
    def retrieve(self, request: Request, webhook_id: int) -> Response:
        return self.shown(Webhook.objects.get(pk=webhook_id))

    @extend_schema(
        request=WebhookChangeSerializer,
        responses=data_of(WebhookSerializer),
        summary="Change a webhook",
        description="Changes what it names. What is waiting to be sent already goes where it was to go. With another "
        f"`url` it sends on behalf of the account of the token that changed it. {SCOPES}",
    )
    def update(self, request: Request, webhook_id: int) -> Response:
        body = WebhookChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        with transaction.atomic():
            # What it listens to must not become something else between being asked and being changed.
            row = Webhook.objects.select_for_update(no_key=True).get(pk=webhook_id)
            demand_of(request, [row.trigger, body.validated_data.get("trigger") or ""])
            row = listening.change_webhook(webhook_id, body.fields_of(), by=by(request))
        return self.shown(row)

    @extend_schema(responses={204: None}, summary="Delete a webhook", description=DELETED)
    def destroy(self, request: Request, webhook_id: int) -> Response:
        listening.delete_webhook(webhook_id, by=by(request))
        return Response(status=204)

    def shown(self, row: Webhook, status: int = 200) -> Response:
        return one(WebhookSerializer(row).data, status)


class ReactionViewSet(ApiViewSet):
    """Triggers: on each event of one kind, their actions are done one after the other."""

    queryset = Reaction.objects.prefetch_related("actions")
    filterset_class = ReactionFilterSet
    serializer_class = ReactionSerializer
    sort_fields = {"id": "id", "created_at": "created_at", "updated_at": "updated_at"}
    default_sort = "-id"
    scopes = scopes_to_keep("triggers")

    @extend_schema(responses=ReactionSerializer(many=True), summary="List triggers")
    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(ReactionSerializer(page, many=True).data)

    @extend_schema(
        request=NewReactionSerializer,
        responses={201: data_of(ReactionSerializer)},
        summary="Add a trigger",
        description="With its `actions`, whose ids say nothing here, so that what was read of another trigger can be "
        f"sent whole. {SCOPES} {WRITES}",
    )
    def create(self, request: Request) -> Response:
        body = NewReactionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        demand_of(request, [body.validated_data["trigger"]], body.names())
        return self.shown(listening.add_reaction(body.fields_of(), body.steps() or (), by=by(request)), 201)

    @extend_schema(responses=data_of(ReactionSerializer), summary="Read a trigger")
    def retrieve(self, request: Request, trigger_id: int) -> Response:
        return self.shown(Reaction.objects.get(pk=trigger_id))

    @extend_schema(
        request=ReactionChangeSerializer,
        responses=data_of(ReactionSerializer),
        summary="Change a trigger",
        description=f"Changes what it names. {ACTIONS} {SCOPES} {WRITES}",
    )
    def update(self, request: Request, trigger_id: int) -> Response:
        body = ReactionChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        with transaction.atomic():
            row = Reaction.objects.select_for_update(no_key=True).get(pk=trigger_id)
            names = [*row.actions.values_list("name", flat=True), *body.names()]
            demand_of(request, [row.trigger, body.validated_data.get("trigger") or ""], names)
            row = listening.change_reaction(trigger_id, body.fields_of(), body.steps(), by=by(request))
        return self.shown(row)

    @extend_schema(responses={204: None}, summary="Delete a trigger", description=DELETED)
    def destroy(self, request: Request, trigger_id: int) -> Response:
        listening.delete_reaction(trigger_id, by=by(request))
        return Response(status=204)

    def shown(self, row: Reaction, status: int = 200) -> Response:
        return one(ReactionSerializer(row).data, status)


class ActionViewSet(ApiViewSet):
    """The actions of one trigger, in the order in which they are done. They are changed as a part of it."""

    queryset = Action.objects.all()
    serializer_class = ActionSerializer
    sort_fields = {"sort_order": "sort_order", "id": "id"}
    default_sort = "sort_order"
    scopes: Scopes = {"list": "read-triggers", "create": ("create-triggers", "update-triggers")}

    @extend_schema(responses=ActionSerializer(many=True), summary="List a trigger's actions")
    def list(self, request: Request, trigger_id: int) -> Response:
        actions = self.get_queryset().filter(reaction=Reaction.objects.get(pk=trigger_id))
        page = self.paginate_queryset(self.filter_queryset(actions))
        return self.get_paginated_response(ActionSerializer(page, many=True).data)

    @extend_schema(
        request=NewActionSerializer,
        responses={201: data_of(ActionSerializer)},
        summary="Add an action to a trigger",
        description=f"The last one, unless its `sort_order` says otherwise. {SCOPES} {WRITES}",
    )
    def create(self, request: Request, trigger_id: int) -> Response:
        body = NewActionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        with transaction.atomic():
            reaction = Reaction.objects.select_for_update(no_key=True).get(pk=trigger_id)
            names = [*reaction.actions.values_list("name", flat=True), body.validated_data["name"]]
            demand_of(request, [reaction.trigger], names)
            row = listening.add_action(trigger_id, body.fields_of(), by=by(request))
        return one(ActionSerializer(row).data, 201)
