from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import NotAuthenticated, Throttled
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from identities import admitting
from identities.admitting import TooOften, Unsigned
from identities.models import Extension
from identities.serializers import PassedOnTokenSerializer, SignedCustomerSerializer, StorefrontTokenSerializer
from omneo_identity.api.addresses import client_address, network
from omneo_identity.api.schema import Error
from omneo_identity.api.views import Wire, one

T = TypeVar("T")

TENANT, IS_ANONYMOUS = "x-omneo-tenant", "x-omneo-is-anon"

UNSIGNED = OpenApiResponse(Error, "The signature is wrong, or not of these minutes.")
TOO_OFTEN = OpenApiResponse(Error, "A limit is reached.")
UNKNOWN = OpenApiResponse(Error, "No identity `shopify` with this id may sign anybody in.")

PARAMETERS = [
    OpenApiParameter("shop", str, description="The shop's domain."),
    OpenApiParameter(
        "logged_in_customer_id", str, required=True, description="Empty for a visitor who is not logged in."
    ),
    OpenApiParameter("path_prefix", str, description="The path that the shop platform has passed on."),
    OpenApiParameter("timestamp", str, required=True, description="Unix seconds, at most five minutes from now."),
    OpenApiParameter(
        "signature",
        str,
        required=True,
        description="Hexadecimal HMAC-SHA256, by a shared secret, of all other parameters: decoded, `name=value`, "
        "several values of a name with commas between them, sorted, put together with nothing in between.",
    ),
    *(
        OpenApiParameter(name, {"type": "string"}, OpenApiParameter.HEADER, response=[200], description=told)
        for name, told in ((TENANT, "The setting `TENANT`."), (IS_ANONYMOUS, "`true` or `false`."))
    ),
]


class StorefrontViewSet(Wire, GenericViewSet[Any]):
    """Customer tokens for what a shop's pages run in the browser, which holds no secret: the shop signs (API.md 6).

    Whoever asks without the secret learns nothing of who is known here: 404 is for what was rightly signed.
    """

    queryset = Extension.objects.none()
    authentication_classes = []
    permission_classes = []
    throttle_classes = []
    pagination_class = None
    filter_backends = []

    @extend_schema(
        request=SignedCustomerSerializer,
        responses={200: StorefrontTokenSerializer, 401: UNSIGNED, 404: UNKNOWN, 429: TOO_OFTEN},
        tags=["storefront"],
        summary="Sign a customer of the shop in",
    )
    def create(self, request: Request) -> Response:
        """For a page of the shop that was rendered with its customer's id and the signature of that id.

        The secret is that of the extension `shopify`. Calls are limited for each customer, failures for each address.
        """
        body = SignedCustomerSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        customer, signature = body.validated_data["id"], body.validated_data["signature"]
        address = network(client_address(request))
        issued = admitted(lambda: admitting.by_id(customer, signature, address=address))
        if issued is None:
            raise Http404
        return unstored(one({"token": issued.token}, token=issued.token))

    @extend_schema(
        parameters=PARAMETERS,
        responses={200: PassedOnTokenSerializer, 401: UNSIGNED, 404: UNKNOWN, 429: TOO_OFTEN},
        tags=["storefront"],
        summary="Sign in whoever is logged in to the shop",
    )
    def pass_on(self, request: Request) -> Response:
        """For the shop platform's app proxy, which passes the requests of its visitors on, and signs them.

        Further parameters are the visitor's own, and are signed with the rest; one in which a name of the platform's
        is followed by `=` makes the request 401, since what is signed would have two meanings. A visitor who is not
        logged in gets the token of an anonymous one.

        Calls are limited for each customer; failures, and those of visitors who are not logged in, for each address.
        """
        address = network(client_address(request))
        # The platform's proxy is one more, and has the visitor's address from the connection.
        visitor = network(client_address(request, more_proxies=1))
        raw = request.META.get("QUERY_STRING", "").encode("latin-1").decode(errors="surrogateescape")
        found = admitted(lambda: admitting.by_query(raw, address=address, visitor=visitor))
        if found.issued is None:
            raise Http404
        response = unstored(Response({"token": found.issued.token, "expiry": found.issued.exp}))
        response[TENANT] = settings.TENANT
        response[IS_ANONYMOUS] = "true" if found.is_anonymous else "false"
        return response


def admitted(ask: Callable[[], T]) -> T:
    """What is answered to somebody who is let in."""
    try:
        return ask()
    except Unsigned:
        raise NotAuthenticated from None
    except TooOften as often:
        raise Throttled(often.seconds) from None


def unstored(response: Response) -> Response:
    """The answer, which no cache on its way may keep for the next visitor."""
    response["Cache-Control"] = "no-store"
    return response
