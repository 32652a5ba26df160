"""A small receiver of webhooks for `make demo`: it shows what has arrived, and whether both signatures are right.

It is what a system of the retailer's would be, so it knows nothing of this product but the shared secret in
WEBHOOK_SECRETS, and checks as a receiver does: the HMAC by hand, Standard Webhooks by their library.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import hmac
import html
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

HOST = "127.0.0.1"

# The newest of what has arrived. The rest is forgotten, and all of it when the demo ends.
MOST_KEPT = 50
LONGEST_BODY = 10 * 1024 * 1024

STYLE = (Path(__file__).parent / "static" / "omneo" / "receiver.css").read_bytes()


@dataclass(frozen=True, slots=True)
class Received:
    """One delivery as it has arrived."""

    at: str
    event: str
    message_id: str
    is_hmac_right: bool
    is_standard_right: bool
    body: Any


class Receiver(ThreadingHTTPServer):
    """Takes every POST, shows the newest at `/`, and says the same for programs at `/received.json`."""

    daemon_threads = True

    def __init__(self, port: int, secret: str) -> None:
        super().__init__((HOST, port), Handler)
        self.secret = secret
        self.received: deque[Received] = deque(maxlen=MOST_KEPT)

    def take(self, headers: dict[str, str], body: bytes) -> Received:
        expected = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        try:
            Webhook(self.secret.encode()).verify(body, headers)
        except (WebhookVerificationError, ValueError):
            # Also of what does not look like a signature at all, which the library does not expect.
            is_standard_right = False
        else:
            is_standard_right = True
        try:
            shown = json.loads(body)
        except (ValueError, RecursionError):
            shown = body.decode(errors="replace")
        one = Received(
            at=datetime.datetime.now(datetime.UTC).strftime("%H:%M:%S"),
            event=headers.get("x-omneo-event", ""),
            message_id=headers.get("webhook-id", ""),
            is_hmac_right=hmac.compare_digest(headers.get("x-omneo-hmac-sha256", "").encode(), expected.encode()),
            is_standard_right=is_standard_right,
            body=shown,
        )
        self.received.appendleft(one)
        return one


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    # Of a client that says nothing any more.
    timeout = 10

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LONGEST_BODY:
            self._answer(413, "text/plain", b"Too long, or of no length.\n")
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        one = self.server.take(headers, self.rfile.read(int(length)))
        if one.is_hmac_right and one.is_standard_right:
            self._answer(200, "text/plain", b"Thank you.\n")
        else:
            self._answer(401, "text/plain", b"A signature is wrong.\n")

    def do_GET(self) -> None:
        if self.path == "/received.json":
            shown = [asdict(one) for one in self.server.received]
            self._answer(200, "application/json", json.dumps(shown).encode())
        elif self.path == "/receiver.css":
            self._answer(200, "text/css", STYLE)
        elif self.path == "/":
            self._answer(200, "text/html; charset=utf-8", page(list(self.server.received)).encode(errors="replace"))
        else:
            self._answer(404, "text/plain", b"There is only one page here: /\n")

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'self'")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the demo's terminal is for the demo."""


def page(received: list[Received]) -> str:
    """What has arrived, the newest first, as a page that loads itself anew."""
    shown = "".join(map(_shown, received)) or "<p>Nothing has arrived yet. Change a profile, or play a visitor:</p>"
    if not received:
        shown += "<pre>.venv/bin/python manage.py play_storefront</pre>"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="3">
<title>What has arrived ({len(received)})</title>
<link rel="stylesheet" href="/receiver.css">
</head>
<body>
<h1>What has arrived</h1>
<p>A system that receives webhooks of Omneo Identity. It has the shared secret, and checks each delivery by it.</p>
{shown}
</body>
</html>
"""


def _shown(one: Received) -> str:
    body = one.body if isinstance(one.body, str) else json.dumps(one.body, indent=2, ensure_ascii=False)
    return f"""<article>
<h2>{html.escape(one.event)} <small>at {one.at} UTC</small></h2>
<p>{_sign(one.is_hmac_right, "X-Omneo-Hmac-SHA256")} {_sign(one.is_standard_right, "Standard Webhooks")}
<code>{html.escape(one.message_id)}</code></p>
<pre>{html.escape(body)}</pre>
</article>
"""


def _sign(is_right: bool, name: str) -> str:
    return f'<span class="{"right" if is_right else "wrong"}">{name}: {"right" if is_right else "WRONG"}</span>'


def free_port(first: int) -> int:
    """The first port from this one on that nobody listens at."""
    for port in range(first, min(first + 20, 65536)):
        with contextlib.suppress(OSError), socket.create_server((HOST, port)):
            return port
    raise OSError(f"No port between {first} and {first + 19} is free for the receiver.")


@contextlib.contextmanager
def running(port: int) -> Iterator[None]:
    """Keep a receiver at this port as a child for the caller's time."""
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "omneo_identity.receiver", str(port), str(os.getpid())],
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    from omneo_identity.worker import die_with

    port, parent = int(sys.argv[1]), int(sys.argv[2])
    threading.Thread(target=die_with, args=(parent,), daemon=True).start()
    server = Receiver(port, os.environ["WEBHOOK_SECRETS"].partition(",")[0])
    signal.signal(signal.SIGTERM, lambda *_received: os._exit(0))
    server.serve_forever()


if __name__ == "__main__":
    main()
