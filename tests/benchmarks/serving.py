"""The servers that are measured: the product as `make run` serves it, and the stock one, alike in all but the code."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from http import HTTPStatus

WORKERS = 2
THREADS = 4

# The product insists on HTTPS, and believes the proxy in front of it.
HEADERS = {"X-Forwarded-Proto": "https"}

PATIENCE = 60.0


@contextlib.contextmanager
def product(database_url: str, **more: str) -> Iterator[str]:
    """Serve the product with its production settings; gives its address. `more` are settings, as in the README."""
    settings = {
        "DATABASE_URL": database_url,
        "SECRET_KEY": secrets.token_urlsafe(50),
        "ALLOWED_HOSTS": "127.0.0.1",
        "PROXY_SSL_HEADER": "X-Forwarded-Proto",
        **more,
    }
    with _served([sys.executable, "-m", "omneo_identity.serve"], settings, "/api/health") as address:
        yield address


@contextlib.contextmanager
def stock(database_url: str) -> Iterator[str]:
    """Serve what people would use instead, and the empty view, on the same server with as many processes."""
    command = [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws", "--workers", str(WORKERS),
        "--blocking-threads", str(THREADS), "--log-level", "error", "tests.benchmarks.stock.project:application",
    ]  # fmt: skip
    with _served(command, {"DATABASE_URL": database_url, "GRANIAN_HOST": "127.0.0.1"}, "/empty") as address:
        yield address


@contextlib.contextmanager
def _served(command: list[str], settings: Mapping[str, str], ready: str) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = _environment() | {
        "HOST": "127.0.0.1", "PORT": str(port), "GRANIAN_PORT": str(port),
        "WORKERS": str(WORKERS), "THREADS": str(THREADS), **settings,
    }  # fmt: skip
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(server, address + ready)
        yield address
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def _environment() -> dict[str, str]:
    return {
        name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "TMPDIR")
    }


@contextlib.contextmanager
def workers(database_url: str, count: int, **more: str) -> Iterator[None]:
    """Keep so many workers of the product. `more` are settings, as in the README."""
    environment = {
        **_environment(),
        "DATABASE_URL": database_url,
        "SECRET_KEY": secrets.token_urlsafe(50),
        "LOG_LEVEL": "ERROR",
        **more,
    }
    command = [sys.executable, "-m", "omneo_identity.worker", str(os.getpid())]
    processes = [
        subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _worker in range(count)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def _wait(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=HEADERS)) as answer:
                if answer.status == HTTPStatus.OK:
                    return
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
        time.sleep(0.1)
