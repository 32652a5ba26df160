"""The short way to an answer, for what a till or a visitor waits for: past Django's request, middleware and routes and
past REST framework, all of which take several times as long as the look-up itself."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from django.conf import settings
from django.db import connection

from omneo_identity.api.filters import CONTROL
from omneo_identity.api.middleware import accepted_request_id, log_access

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is in order as far as its form goes: its query, its `Authorization` header, its body."""

    query: Mapping[str, str]
    authorization: str
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Quick:
    """What answers requests of this method with the JSON text of their data, or says by None that the view shall."""

    method: str
    answer: Callable[[Asked], str | None]


# Kinds of requests that are known to pass; there are more only if somebody plays with the Host header.
MOST_KINDS = 100

# Of a body that is looked at here.
MOST_BYTES = 4_096

# Headers that say something of one answer.
OF_ONE_ANSWER = {"content-length", "x-request-id", "set-cookie"}


def quickly(application: WSGIApplication, quick: Mapping[str, Quick]) -> WSGIApplication:
    """The application, with a short way for requests of these paths that anybody may see to be good.

    Whatever is odd about a request, and whatever goes wrong, is the application's: it alone knows the rules and their
    words. So are the first of each kind, by path, host, origin and scheme: one that it has let pass is what the next
    ones are like, and its headers are theirs.
    """
    proxy = (settings.SECURE_PROXY_SSL_HEADER or ("",))[0]
    known: dict[tuple[Any, ...], list[tuple[str, str]]] = {}

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        started = time.perf_counter()
        path = environ.get("PATH_INFO", "")
        way = quick.get(path)
        asked = _asked(environ, way.method) if way is not None else None
        if way is None or asked is None:
            return application(environ, start_response)
        scheme, prefix = environ["wsgi.url_scheme"], environ.get("SCRIPT_NAME")
        kind = (path, environ.get("HTTP_HOST"), environ.get("HTTP_ORIGIN"), scheme, environ.get(proxy), prefix)
        headers = known.get(kind)
        if headers is None:
            return application(environ, _learning(start_response, known, kind))
        data = _data(way, asked)
        if data is None:
            return application(environ, start_response)
        body = b'{"data":%b}' % data.encode()
        request_id = accepted_request_id(environ.get("HTTP_X_REQUEST_ID", ""))
        start_response("200 OK", [*headers, ("Content-Length", str(len(body))), ("X-Request-ID", request_id)])
        log_access(way.method, path, 200, started)
        return (body,)

    return call


def _asked(environ: WSGIEnvironment, method: str) -> Asked | None:
    """A request of this method that has a token; None when there is anything odd about it."""
    text = environ.get("QUERY_STRING", "")
    if environ["REQUEST_METHOD"] != method or not text.isascii():
        return None
    if "HTTP_TRANSFER_ENCODING" in environ or "HTTP_AUTHORIZATION" not in environ:
        return None
    if "HTTP_COOKIE" in environ:
        # A browser's: what Django answers to its session is nobody else's.
        return None
    query = _query(text)
    body = _body(environ) if query is not None else None
    if query is None or body is None or (body and method == "GET"):
        return None
    return Asked(query, environ["HTTP_AUTHORIZATION"], body)


def _query(text: str) -> dict[str, str] | None:
    if not text:
        return {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=10)
    except ValueError:
        return None
    query = dict(pairs)
    if len(query) < len(pairs) or any(CONTROL.search(name) or CONTROL.search(value) for name, value in pairs):
        return None
    return query


def _body(environ: WSGIEnvironment) -> bytes | None:
    """The body, if it is a small one. The application can read it again."""
    length = environ.get("CONTENT_LENGTH", "")
    if length in ("", "0"):
        return b""
    if not (length.isascii() and length.isdecimal() and len(length) < 6) or int(length) > MOST_BYTES:
        return None
    body: bytes = environ["wsgi.input"].read(int(length))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _data(way: Quick, asked: Asked) -> str | None:
    try:
        return way.answer(asked)
    except Exception:
        # The application meets it again, and answers for it and logs it as it does.
        return None
    finally:
        # What Django does when a request begins and ends.
        connection.close_if_unusable_or_obsolete()


def _learning(
    start_response: StartResponse, known: dict[tuple[Any, ...], list[tuple[str, str]]], kind: tuple[Any, ...]
) -> StartResponse:
    """Note the headers of an answer that is good."""

    def call(status: str, headers: list[tuple[str, str]], *more: Any) -> Callable[[bytes], object]:
        if status == "200 OK":
            if len(known) >= MOST_KINDS:
                known.pop(next(iter(list(known))), None)
            known[kind] = [(name, value) for name, value in headers if name.lower() not in OF_ONE_ANSWER]
        return start_response(status, headers, *more)

    return call
