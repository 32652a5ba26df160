"""What follows from a sale: what it costs to record it for somebody who listens, and when they are told of it.

Everything but the receiver is the product's. Sales are written in this process, so that no worker is at work while it
is measured what an event costs, and the moment of a commit and that of a receipt are of one clock.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import secrets
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from django.db import connection
from django.test import override_settings

from identities import recording
from omneo_identity.wsgi import application
from profiles import listening
from profiles.auditing import By
from profiles.models import Transaction, Webhook
from profiles.serializers import NewTransactionSerializer
from tests.benchmarks import serving
from tests.benchmarks.bench import Bench
from tests.benchmarks.measuring import Figures, Table, at_most, timed
from tests.benchmarks.writes import Cards, by_card, cards_of, sale
from tests.receiving import Received, answers, receiver

TRIGGER = "transaction.created"
WORKERS = 2

# Of a turn, in which somebody listens or not.
WRITES = 50
TURNS = 20

# How many wait when the workers begin, for how many addresses; and how many a second come in, none of which has to
# wait for another.
WAITING = 1_000
TARGETS = 4
STEADY = 20

PATIENCE = 120.0


def run(table: Table, bench: Bench) -> None:
    till = Till(bench)
    with _left_as_it_was():
        _recording(table, till)
        _sending(table, bench, till)


class Till:
    """Writes one sale after the other, each of another card than the one before."""

    def __init__(self, bench: Bench) -> None:
        self.token = bench.token
        self.by = By(bench.user)
        self.cards: Cards = cards_of(bench)
        self.numbers = itertools.count()
        self.run = secrets.token_hex(4)

    def post(self) -> None:
        """Send a sale to the application, as the server does."""
        body = json.dumps(self._sale()).encode()
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/api/v3/transactions",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": "127.0.0.1",
            "HTTP_AUTHORIZATION": f"Bearer {self.token}",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
        }
        answer: Any = application(environ, _must_be_created)
        b"".join(answer)
        answer.close()

    def sell(self) -> str:
        """Write a sale by the operation, up to its commit. Returns its external id."""
        incoming = NewTransactionSerializer.read(self._sale()).incoming()
        return str(recording.record(Transaction, incoming, by=self.by, source=None).record.external_id)

    def _sale(self) -> dict[str, Any]:
        return sale(self.cards, by_card, next(self.numbers), self.run)


def _must_be_created(status: str, *_headers: Any) -> Callable[[bytes], object]:
    if not status.startswith("201"):
        raise RuntimeError(status)
    return len


def _recording(table: Table, till: Till) -> None:
    table.part("A sale that somebody listens to, 1 client")
    webhook = listening.add_webhook({"trigger": TRIGGER, "url": "http://127.0.0.1:9/"}, by=till.by)
    spans: dict[bool, list[float]] = {False: [], True: []}
    with override_settings(TOKEN_CACHE_SECONDS=5):
        for _warm in range(WRITES):
            till.post()
        # In turns, so that both find the machine in the same moods.
        for _turn, is_active in itertools.product(range(TURNS), spans):
            listening.change_webhook(webhook.pk, {"is_active": is_active}, by=till.by)
            spans[is_active] += timed(till.post, times=WRITES)
    listening.delete_webhook(webhook.pk, by=till.by)
    unheard = table.add("POST /transactions, in one process", Figures.of(spans[False]))
    heard = table.add("the same with an active webhook", Figures.of(spans[True]))
    table.times_as_long("time with an event : time without", heard, unheard, at_most(1.15))
    # Nobody takes these up.
    _forget()


def _sending(table: Table, bench: Bench, till: Till) -> None:
    table.part(f"Deliveries, {WORKERS} workers")
    with _told(till, 1) as told:
        for _one in range(WAITING):
            till.sell()
        with _workers(bench):
            table.holds(f"{WAITING:,} that wait, to one address", told.rate(WAITING), "a second")
    with _told(till, TARGETS) as told:
        for _one in range(WAITING // TARGETS):
            till.sell()
        with _workers(bench):
            table.holds(f"{WAITING:,} that wait, to {TARGETS} addresses", told.rate(WAITING), "a second")
    with _told(till, 1) as told, _workers(bench):
        till.sell()
        told.wait(1)
        committed = {}
        for _one in range(STEADY * bench.seconds):
            started = time.perf_counter()
            committed[till.sell()] = time.perf_counter()
            time.sleep(max(0.0, 1 / STEADY - (time.perf_counter() - started)))
        told.wait(1 + len(committed))
    took = Figures.of([told.times[key] - moment for key, moment in committed.items()])
    table.add("from commit to receipt", replace(took, per_second=STEADY))


class Told:
    """When the receiver got what."""

    def __init__(self) -> None:
        self.moments: list[float] = []
        self.times: dict[str, float] = {}

    def note(self, sock: socket.socket, request: Received) -> None:
        now = time.perf_counter()
        self.times.setdefault(request.json["external_id"], now)
        self.moments.append(now)
        answers()(sock, request)

    def wait(self, count: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while len(self.moments) < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(self.moments):,} of {count:,} deliveries have come within {PATIENCE:g} s.")
            time.sleep(0.01)

    def rate(self, count: int) -> float:
        """How many a second have come, from the first to the last of so many."""
        self.wait(count)
        return (count - 1) / (self.moments[count - 1] - self.moments[0])


@contextlib.contextmanager
def _told(till: Till, targets: int) -> Iterator[Told]:
    """A receiver that so many webhooks tell of each sale, each at an address of its own."""
    told = Told()
    with receiver(told.note) as one:
        webhooks = [
            listening.add_webhook({"trigger": TRIGGER, "url": f"{one.url}&target={number}"}, by=till.by)
            for number in range(targets)
        ]
        try:
            yield told
        finally:
            for webhook in webhooks:
                listening.delete_webhook(webhook.pk, by=till.by)


def _workers(bench: Bench) -> contextlib.AbstractContextManager[None]:
    return serving.workers(bench.url, WORKERS, WEBHOOK_ALLOW="127.0.0.1", WEBHOOK_SECRETS=secrets.token_urlsafe(32))


@contextlib.contextmanager
def _left_as_it_was() -> Iterator[None]:
    """Leave nothing that the workers of the next part would find to do."""
    try:
        yield
    finally:
        Webhook.objects.filter(trigger=TRIGGER).delete()
        _forget()


def _forget() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM profiles_delivery")
        cursor.execute("DELETE FROM profiles_event")
        cursor.execute("DELETE FROM profiles_target")
        cursor.execute("DELETE FROM procrastinate_jobs WHERE queue_name IN ('reactions', 'deliveries')")
