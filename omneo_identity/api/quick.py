"""The short way to an answer, for what a till waits for: past the middleware of pages, the routes and REST framework,
whose steps take longer in each request than the look-up itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django.core.exceptions import DisallowedHost
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string

from identities.models import ApiToken
from omneo_identity.api.auth import bearer
from omneo_identity.api.filters import CONTROL

# Answers a request with the JSON text of its data, or says by None that the view shall.
Quick = Callable[[HttpRequest, ApiToken], str | None]


class QuickMiddleware:
    """Answer GET requests for the paths of `omneo_identity.urls.quick` that anybody may see to be good.

    Whatever is odd about a request, and whatever goes wrong, is the view's: it alone knows the rules and their words.
    Stands behind what every answer needs, and before what is there for pages.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.quick: Mapping[str, Quick] | None = None

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if self.quick is None:
            # Late, since the routes know all views.
            self.quick = import_string("omneo_identity.urls.quick")
        quick = self.quick.get(request.path_info)
        token = _plain(request) if quick is not None else None
        if quick is not None and token is not None:
            try:
                data = quick(request, token)
            except OperationalError:
                data = None
            if data is not None:
                body = b'{"data":%b}' % data.encode()
                return HttpResponse(body, content_type="application/json", headers={"Content-Length": str(len(body))})
        return self.get_response(request)


def _plain(request: HttpRequest) -> ApiToken | None:
    """The token of a GET request that has nothing but printable parameters, each once, and no limit on its rate."""
    environ = request.META
    if request.method != "GET" or environ.get("CONTENT_LENGTH", "") not in ("", "0"):
        return None
    if "HTTP_TRANSFER_ENCODING" in environ or "HTTP_AUTHORIZATION" not in environ:
        return None
    for name, values in request.GET.lists():
        if len(values) != 1 or CONTROL.search(values[0]) or CONTROL.search(name):
            return None
    try:
        request.get_host()
    except DisallowedHost:
        return None
    token = bearer(environ["HTTP_AUTHORIZATION"])
    return token if token is not None and token.rate_limit is None else None
