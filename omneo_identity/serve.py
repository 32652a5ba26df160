"""Serve the application, with a worker beside it: `make run`, which refuses settings that are not for production."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections
from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

from omneo_identity import worker

# Seconds that a process of the server gets to finish its requests.
GRACE = 10


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "omneo_identity.settings")
    try:
        refuse_weak_settings()
        demand_port()
        django.setup()
        call_command("check", deploy=True, fail_level="WARNING")
        call_command("migrate", interactive=False)
        serve()
    except (ImproperlyConfigured, CommandError) as error:
        sys.exit(str(error))
    except OperationalError as error:
        sys.exit(f"The database that DATABASE_URL names does not answer: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def refuse_weak_settings() -> None:
    """What has a default for trying the product out, and must be chosen for real data."""
    if settings.EMBEDDED:
        raise ImproperlyConfigured(
            "Set DATABASE_URL to a PostgreSQL database: the embedded one is for trying things out (`make demo`)."
        )
    if settings.DEBUG:
        raise ImproperlyConfigured("DEBUG is on: it shows settings and customers to whoever meets an error. Unset it.")
    if not settings.ALLOWED_HOSTS:
        raise ImproperlyConfigured("Set ALLOWED_HOSTS to the host names that this is reached by: crm.example.com.")


def demand_port() -> None:
    """Fail early and in words when the port is taken."""
    family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
    # Processes whose parent was killed need a moment to notice, and let go of the port.
    deadline = time.monotonic() + 4 * worker.WATCH
    while True:
        try:
            socket.create_server((settings.HOST, settings.PORT), family=family).close()
        except (OSError, OverflowError) as error:
            if time.monotonic() > deadline:
                raise ImproperlyConfigured(
                    f"Cannot listen on {settings.HOST}, port {settings.PORT} ({error}). Choose another: PORT=8001."
                ) from None
            time.sleep(worker.WATCH / 2)
        else:
            return


def serve() -> None:
    """Serve until SIGINT or SIGTERM."""
    # Forked processes must not share a connection, nor a pool of them, whose threads stay behind.
    connections.close_all()
    for connection in connections.all(initialized_only=True):
        if settings.DATABASES[connection.alias]["OPTIONS"].get("pool"):
            connection.close_pool()  # type: ignore[attr-defined]
    with worker.running():
        Granian(
            "omneo_identity.wsgi:application",
            address=settings.HOST,
            port=settings.PORT,
            interface=Interfaces.WSGI,
            workers=settings.WORKERS,
            blocking_threads=settings.THREADS,
            websockets=False,
            log_level=LogLevels(settings.LOG_LEVEL.lower()),
            respawn_failed_workers=True,
            workers_kill_timeout=GRACE,
        ).serve(target_loader=_load)


def _load(target: str) -> Callable[..., Any]:
    """Load the application in a child, which must neither miss a signal meanwhile nor outlive its parent."""
    # The handler inherited from the parent only sets a flag that nobody reads here.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=worker.die_with, args=(os.getppid(),), daemon=True).start()
    from omneo_identity.wsgi import application

    # What is loaded stays: to look through it for garbage takes 90 ms, for which a till would wait now and then.
    gc.collect()
    gc.freeze()
    return application


if __name__ == "__main__":
    main()
