"""One try: a POST over HTTP to an address that has been checked, bounded in time and in size."""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from django.utils import timezone
from django.utils.translation import gettext as _
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, InvalidHeader, NewConnectionError, SSLError
from urllib3.response import BaseHTTPResponse

from profiles.reacting import guard, patience
from profiles.refusing import Refused

# Of an answer, what is kept.
MOST_BYTES = 64 * 1024

PIECE = 4096


@dataclass(frozen=True, slots=True)
class Answer:
    """What a target has said: a status with the text of the answer; or no status, and a sentence that says why."""

    status: int | None = None
    text: str = ""
    error: str = ""
    retry_after: float | None = None

    @property
    def is_yes(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Send this once, and give what is answered. Never raises for what the target does.

    The connection is to the address that was checked, whatever the name means a moment later; the certificate must be
    that of the name. Redirects are not followed, and proxies of the environment not asked: both would lead elsewhere.
    """
    deadline = time.monotonic() + patience.TIMEOUT
    try:
        place = guard.read(url)
        addresses = guard.resolve(place, timeout=deadline - time.monotonic())
    except Refused as refusal:
        return Answer(error=refusal.message)
    except (guard.Forbidden, guard.Unknown) as error:
        return Answer(error=str(error))
    try:
        with _connected(place, addresses, deadline) as connection:
            # Whoever answers before the end of the request has something to say all the same.
            with contextlib.suppress(BrokenPipeError):
                connection.request(
                    "POST",
                    place.path,
                    body,
                    {"Host": place.named, "Accept-Encoding": "identity", "Connection": "close", **headers},
                    preload_content=False,
                    decode_content=False,
                )
            response = connection.getresponse()
            with contextlib.closing(response):
                # What the deadline has cut off in the middle of its headers looks like an end of them.
                return _late() if time.monotonic() >= deadline else _read(response)
    except Exception as error:
        return _late() if time.monotonic() >= deadline else Answer(error=_fault(error))


def _late() -> Answer:
    return Answer(error=_("There was no answer within %(seconds)d seconds.") % {"seconds": patience.TIMEOUT})


def _read(response: BaseHTTPResponse) -> Answer:
    content = b""
    try:
        while len(content) < MOST_BYTES and (piece := response.read(PIECE, decode_content=False)):
            content += piece
    except (HTTPError, http.client.HTTPException, OSError):
        # The status has come. What is missing of the text changes nothing about it.
        pass
    text = content[:MOST_BYTES].decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    error = ""
    if 300 <= response.status < 400:
        error = _("It answers with a redirect, which is not followed.")
    elif not 200 <= response.status < 300:
        error = _("It answers with the status %(status)d.") % {"status": response.status}
    return Answer(response.status, text, error, _retry_after(response.headers.get("Retry-After")))


def _retry_after(value: str | None) -> float | None:
    """The seconds that a receiver asks for, in either form that HTTP has for it."""
    if not value:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value[:12])
    try:
        return (email.utils.parsedate_to_datetime(value) - timezone.now()).total_seconds()
    except (TypeError, ValueError):
        return None


def _fault(error: Exception) -> str:
    """Why there is no answer. Not in the words of the library, which may hold parts of what was sent or received."""
    if isinstance(error, SSLError | ssl.SSLError):
        return _("The TLS connection failed: the certificate must be valid for the name of the host.")
    if isinstance(error, NewConnectionError | ConnectTimeoutError):
        return _("No connection could be made.")
    if isinstance(error, http.client.RemoteDisconnected):
        return _("The connection ended before there was an answer.")
    if isinstance(error, http.client.HTTPException | InvalidHeader | ValueError):
        return _("What it answers is not HTTP, or has more or longer headers than are read.")
    return _("The connection ended before there was an answer.")


@contextlib.contextmanager
def _connected(place: guard.Place, addresses: list[guard.Address], deadline: float) -> Iterator[_Watched]:
    """A connection to the first address that takes one."""
    for position, address in enumerate(addresses, 1):
        # The last one gets what is left of the time; each before it a part, so that a dead one does not use it up.
        left = (deadline - time.monotonic()) / (len(addresses) - position + 1)
        connection = _watched(place, address)
        connection.timeout = max(left, 0.001)
        with contextlib.closing(_Watch(deadline)) as connection.watch, contextlib.closing(connection):
            try:
                connection.connect()
            except (NewConnectionError, ConnectTimeoutError):
                if position < len(addresses):
                    continue
                raise
            connection.timeout = patience.TIMEOUT
            yield connection
            return


class _Final(http.client.HTTPResponse):
    """The answer itself: what a receiver says on its way to it is passed over (RFC 9110, 15.2). By itself the library
    does so with `100 Continue` alone."""

    def begin(self) -> None:
        super().begin()
        while 101 < self.status < 200:
            # Without them, it has not begun.
            self.headers = None  # type: ignore[assignment]
            super().begin()


class _Watched(HTTPConnection):
    """A connection that is ended at the deadline, whatever it is doing then.

    A time-out of a socket is for each piece: whoever sends a byte every nine seconds never meets it. The watch
    outlives `close()`, which the library calls at the head of an answer that is the last one, before its text is read.
    """

    response_class = _Final
    watch: _Watch

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        self.watch.begin(sock)
        return sock


class _Secure(_Watched, HTTPSConnection):
    pass


class _Watch:
    """Shuts a connection down at a moment, also while another thread waits for it. It has a descriptor of its own,
    which stays that of the connection when TLS has taken the other."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.ending = contextlib.ExitStack()

    def begin(self, sock: socket.socket) -> None:
        own = self.ending.enter_context(sock.dup())
        timer = threading.Timer(max(self.deadline - time.monotonic(), 0), _shut, [own])
        timer.daemon = True
        self.ending.callback(timer.cancel)
        timer.start()

    def close(self) -> None:
        self.ending.close()


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _watched(place: guard.Place, address: guard.Address) -> _Watched:
    """Not connected yet. To an address and no name, so that nothing is looked up once more."""
    if place.scheme == "http":
        return _Watched(str(address), place.port)
    return _Secure(str(address), place.port, server_hostname=place.host, ssl_context=_tls())


@cache
def _tls() -> ssl.SSLContext:
    # With the machine's authorities, which take longer to read than a delivery.
    return ssl.create_default_context()
