"""What every view of the API starts from."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson
from csp.decorators import csp_update
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.exceptions import APIException, ParseError, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from omneo_identity.api import filters, idempotency
from omneo_identity.api.auth import HasScope, Scopes, TokenAuthentication
from omneo_identity.api.filters import BracketFilterBackend, SortFields
from omneo_identity.api.pagination import PageEnvelope
from omneo_identity.api.parsers import StrictJSONParser
from omneo_identity.api.renderers import AlwaysJSON, ORJSONRenderer, dumps
from omneo_identity.api.schema import AutoSchema, example
from omneo_identity.api.throttles import TokenThrottle
from omneo_identity.readiness import worker_lag


class LengthRequired(APIException):
    status_code = 411
    default_code = "length_required"


class Wire(APIView):
    """The wire's rules, whatever the settings' defaults are."""

    authentication_classes = [TokenAuthentication]
    permission_classes = [HasScope]
    throttle_classes = [TokenThrottle]
    parser_classes = [StrictJSONParser]
    renderer_classes = [ORJSONRenderer]
    content_negotiation_class = AlwaysJSON
    schema = AutoSchema()

    # Without "options": this API describes itself in its schema.
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        # Every body is read as JSON; of a form's media type, curl's default, REST framework would make a QueryDict.
        request.META["CONTENT_TYPE"] = "application/json"
        return super().initialize_request(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        refuse_unmeasured(request)
        filters.refuse_control_characters(request.query_params)
        for name, value in kwargs.items():
            if filters.CONTROL.search(str(value)):
                raise ValidationError({name: [_("Control characters are not allowed.")]})


class ApiViewSet(Wire, GenericViewSet[Any]):
    """A view set that speaks the wire. `scopes` says for each action who may call it; what is not in it is refused."""

    pagination_class: type[PageEnvelope] | None = PageEnvelope
    filter_backends = [BracketFilterBackend]

    scopes: Scopes = {}
    sort_fields: SortFields = {}
    default_sort = ""
    includes: tuple[str, ...] = ()
    # Whether writes may be sent with an Idempotency-Key, under which their answers are stored.
    takes_key = True

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if self.action != "list" or not self.filter_backends:
            filters.refuse_list_words(request, self)
        # Last, so that the transaction begins when the token's own rows have been written.
        idempotency.take_key(self, request)

    def included(self) -> frozenset[str]:
        """What `include=` asks for, of the view's `includes`."""
        return filters.included(self.request, self)


class Open(Wire):
    """What needs no token."""

    authentication_classes = []
    permission_classes = []
    throttle_classes = []


class Health(Open):
    """Whether this process answers. It asks nothing of the database."""

    @extend_schema(
        operation_id="health",
        tags=["health"],
        responses=example({"status": "ok"})(inline_serializer("Health", {"status": serializers.ChoiceField(["ok"])})),
    )
    def get(self, request: Request) -> Response:
        return Response({"status": "ok"})


class ReadySerializer(serializers.Serializer[Any]):
    max_lag = serializers.IntegerField(
        min_value=0,
        max_value=86_400,
        required=False,
        help_text="Seconds. Answer 503 where jobs wait for longer, or no worker lives.",
    )


class Ready(Open):
    """Whether the database answers, and for how many seconds the next job has waited for a worker (API.md 8).

    `worker_lag` is 0 if no job waits, and null if no worker lives. Without `max_lag` the status depends on the
    database only, so that a balancer takes no server out of service because a worker is behind.
    """

    @extend_schema(
        operation_id="ready",
        tags=["health"],
        parameters=[ReadySerializer],
        responses={
            (200, "application/json"): example({"status": "ok", "worker_lag": 0.02})(
                inline_serializer(
                    "Ready",
                    {
                        "status": serializers.ChoiceField(["ok", "behind"]),
                        "worker_lag": serializers.FloatField(allow_null=True, help_text="Seconds."),
                    },
                )
            ),
            503: OpenApiResponse(description="The database does not answer, or `max_lag` is exceeded."),
        },
    )
    def get(self, request: Request) -> Response:
        asked = ReadySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        most: int | None = asked.validated_data.get("max_lag")
        lag = worker_lag()
        is_behind = most is not None and (lag is None or lag > most)
        body = {"status": "behind" if is_behind else "ok", "worker_lag": None if lag is None else round(lag, 3)}
        return Response(body, 503 if is_behind else 200)


class Schema(Open):
    """This description, as OpenAPI 3.1."""

    schema = None  # type: ignore[assignment]

    def get(self, request: Request) -> Response:
        return Response(document())


class Docs(Open):
    """The schema for people: Swagger UI, served whole by this host."""

    schema = None  # type: ignore[assignment]

    # Its stylesheet draws the arrows.
    @method_decorator(csp_update({"img-src": ["data:"]}))
    def get(self, request: Request) -> HttpResponse:
        return render(request, "docs.html")


@cache
def document() -> orjson.Fragment:
    """Made once per process: it takes most of a second, and anybody may ask for it."""
    generator = SchemaGenerator()  # type: ignore[no-untyped-call]
    return orjson.Fragment(dumps(generator.get_schema(request=None, public=True)))  # type: ignore[no-untyped-call]


def one(data: Any, status: int = 200, **extra: Any) -> Response:
    """The envelope of one object: its dict, or its JSON text as the database made it; `extra` goes beside `data`."""
    return Response({"data": orjson.Fragment(data) if isinstance(data, str | bytes) else data, **extra}, status)


def refuse_unmeasured(request: Request) -> None:
    """Refuse a body without a usable length, which the server's interface would pass on as an empty one."""
    length = request.META.get("CONTENT_LENGTH") or ""
    if not length and request.headers.get("Transfer-Encoding"):
        raise LengthRequired(_("Send the body with its Content-Length."))
    if length and not (length.isascii() and length.isdigit()):
        raise ParseError(_("The Content-Length is not a number."))
