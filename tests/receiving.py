"""A receiver of webhooks on this machine: well-behaved, or as bad as they come; and the check of what it was sent."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Behaviour = Callable[[socket.socket, "Received"], None]

PATIENCE = 30


@dataclass(frozen=True)
class Received:
    """One request, as its bytes were."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """Each request is kept, and answered by the `behaviour` of its moment."""

    port: int
    scheme: str = "http"
    behaviour: Behaviour = field(default=lambda _sock, _request: None)
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hook?shop=1"

    @property
    def ids(self) -> list[str]:
        return [one.id for one in list(self.requests)]

    @property
    def first_times(self) -> list[str]:
        """The ids in the order in which each was received for the first time."""
        return list(dict.fromkeys(self.ids))


def answers(status: int = 200, body: bytes = b"Thank you.", *headers: str) -> Behaviour:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", "Connection: close", *headers]
    whole = "\r\n".join([*lines, "", ""]).encode() + body
    return lambda sock, _request: sock.sendall(whole)


def raw(*pieces: bytes, forever: bytes = b"", pause: float = 0.0) -> Behaviour:
    """Send these bytes, and then some others again and again, until the other side has had enough."""

    def behave(sock: socket.socket, _request: Received) -> None:
        for piece in pieces:
            sock.sendall(piece)
        deadline = time.monotonic() + PATIENCE
        while forever and time.monotonic() < deadline:
            sock.sendall(forever)
            time.sleep(pause)

    return behave


def hangs(sock: socket.socket, _request: Received) -> None:
    sock.settimeout(PATIENCE)
    with contextlib.suppress(OSError):
        sock.recv(1)


def resets(sock: socket.socket, _request: Received) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@contextlib.contextmanager
def receiver(behaviour: Behaviour | None = None, context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with kept.lock:
                kept.connections += 1
            with contextlib.suppress(OSError, ValueError):
                sock = context.wrap_socket(self.request, server_side=True) if context else self.request
                request = _request(sock)
                with kept.lock:
                    kept.requests.append(request)
                kept.behaviour(sock, request)
                sock.close()

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True
        request_queue_size = 128
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        kept = Receiver(server.server_address[1], "https" if context else "http", behaviour or answers())
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield kept
        finally:
            server.shutdown()


def _request(sock: socket.socket) -> Received:
    """What has come. Raises ValueError where whoever sent it has died in the middle: that is no request."""
    with sock.makefile("rb") as stream:
        _method, path, _version = stream.readline().decode().split()
        headers = {}
        while line := stream.readline().decode().strip():
            name, _colon, value = line.partition(": ")
            headers[name.lower()] = value
        length = int(headers["content-length"])
        body = stream.read(length)
        if len(body) < length:
            raise ValueError("The body has not come whole.")
        return Received(path, headers, body)


def is_signed(request: Received, *secrets: str) -> bool:
    """Whether both signatures are right: written from the specifications, with nothing of the product."""
    first, *_others = secrets
    one = hmac.new(first.encode(), request.body, hashlib.sha256).hexdigest()
    signed = b".".join([request.id.encode(), request.headers["webhook-timestamp"].encode(), request.body])
    both = [
        "v1," + base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode()
        for secret in secrets
    ]
    return request.headers["x-omneo-hmac-sha256"] == one and request.headers["webhook-signature"].split(" ") == both


def _key(secret: str) -> bytes:
    return base64.b64decode(secret[6:] + "==") if secret.startswith("whsec_") else secret.encode()
