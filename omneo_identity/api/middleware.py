"""What happens to a request before any view is chosen, and to its answer after."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse
from django.utils.encoding import escape_uri_path

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

GetResponse = Callable[[HttpRequest], HttpResponse]

ROOTS = ("/api", "/id/api/v1", "/shopify/api/v1", "/apps/cx")
UNDER = tuple(f"{root}/" for root in ROOTS)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
CHARSET = re.compile(r";\s*charset\b[^;]*", re.IGNORECASE)
SLASHES = re.compile(r"/{2,}")
# The rest of such a path is an identifier, in which slashes mean what they say.
BEFORE_IDENTIFIER = re.compile(r"/+api/+v3/+(?:identities/+search-profile|transactions/+external)/")

access_log = logging.getLogger("omneo_identity.access")
current_request_id: ContextVar[str] = ContextVar("request_id", default="-")


def is_api(path: str) -> bool:
    """Whether a path, already folded, is under one of the API's roots."""
    return path in ROOTS or path.startswith(UNDER)


def fold(path: str) -> str:
    """Take the repeated slashes and the last one out of a path, up to an identifier inside it."""
    start = BEFORE_IDENTIFIER.match(path)
    if start and start.end() < len(path):
        return SLASHES.sub("/", start.group()) + path[start.end() :]
    return SLASHES.sub("/", path).rstrip("/") or "/"


class RequestIdMiddleware:
    """Give the request an id, or keep the caller's; answer with it and write the access log's line.

    Stands first, so that every other line of the request carries the id too. The line holds no query, body or
    identifier: those are a customer's data.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = accepted_request_id(request.headers.get("X-Request-ID", ""))
        started = time.perf_counter()
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        log_access(request.method, request.path_info, response.status_code, started)
        return response


def accepted_request_id(sent: str) -> str:
    """The id of a request, which is on every line of the log from now on: the caller's if it is a plain one."""
    request_id = sent if REQUEST_ID.fullmatch(sent) else str(uuid.uuid4())
    # Not taken back at the end: Django logs a refused request after the last middleware has returned.
    current_request_id.set(request_id)
    return request_id


def log_access(method: str | None, path: str, status: int, started: float) -> None:
    """Write the access log's line. In: when the request began, by `time.perf_counter`."""
    milliseconds = (time.perf_counter() - started) * 1000
    access_log.info("%s %s %d %.1f ms", method, without_identifier(path), status, milliseconds)


class RequestIdFilter(logging.Filter):
    """Put `request_id` on each log record; "-" outside of a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = current_request_id.get()
        return True


class SlashMiddleware:
    """Read the API's paths as careless clients write them: `/id/api/v1//profiles/me/` is `/id/api/v1/profiles/me`.

    No redirect, since a redirected POST loses its body. So the API's URLs are declared without a trailing slash.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        path = fold(request.path_info)
        if is_api(path):
            request.path_info = path
            request.path = request.META.get("SCRIPT_NAME", "").rstrip("/") + path
        return self.get_response(request)


class PastPagesMiddleware:
    """Let the API's requests past all middleware that comes after this: sessions, logins, forms, messages and time
    zones are for pages.

    What Django itself asks of a middleware when it calls a view, such as whether a form is ours, it asks for these
    requests, too.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.pages = get_response
        self.views = _innermost(get_response)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.views(request) if is_api(request.path_info) else self.pages(request)


def _innermost(get_response: GetResponse) -> GetResponse:
    """What the last middleware calls. Django wraps each one to answer for its exceptions."""
    while (following := getattr(getattr(get_response, "__wrapped__", None), "get_response", None)) is not None:
        get_response = following
    return get_response


def without_charset(application: WSGIApplication) -> WSGIApplication:
    """Hide the charset of a Content-Type from Django: everything here is UTF-8.

    Django decodes the query by it while it makes the request object, before any middleware could answer for the
    failure, and "rot13" is a codec that fails.
    """

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        content_type = environ.get("CONTENT_TYPE") or ""
        if CHARSET.search(content_type):
            environ["CONTENT_TYPE"] = CHARSET.sub("", content_type)
        return application(environ, start_response)

    return call


def without_identifier(path: str) -> str:
    """A path for the log: escaped, so that it stays one line, and cut before an identifier."""
    start = BEFORE_IDENTIFIER.match(path)
    return escape_uri_path(start.group() + "..." if start and start.end() < len(path) else path)
