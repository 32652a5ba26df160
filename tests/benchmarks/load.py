"""Load from this machine: `wrk` for what is asked over HTTP, threads of ours for what asks the database itself."""

from __future__ import annotations

import json
import multiprocessing
import random
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.benchmarks.measuring import Figures
from tests.benchmarks.serving import HEADERS

CLIENTS = 8
SECONDS = 5
WARM_UP = 2

SCRIPT = Path(__file__).with_name("requests.lua")


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: its path with the query, a body if it is a POST, and a token if each has its own."""

    path: str
    body: object = None
    token: str = ""


def over_http(
    address: str,
    asks: Iterable[Ask],
    *,
    token: str = "",
    clients: int = CLIENTS,
    seconds: int = SECONDS,
    warm_up: int = WARM_UP,
) -> Figures:
    """Send these requests, round and round, from so many clients at once, for whole seconds. Raises when one is not answered by 2xx.

    The times of 95 and 99 in a hundred are corrected by wrk: a request that waits counts once more for each that its
    client would have sent meanwhile, so that one stop of half a second is a tenth of the answers of five.

    Each thread of wrk takes the lines that are its own, so that a request that can be sent once only is sent once
    as long as there are enough of them.
    """
    headers = dict(HEADERS)
    if token:
        headers["Authorization"] = f"Bearer {token}"
    with tempfile.NamedTemporaryFile("w", suffix=".requests") as file:
        for ask in asks:
            body = "" if ask.body is None else json.dumps(ask.body)
            file.write(f"{ask.path}\t{body}\t{ask.token}\n")
        file.flush()
        threads = min(2, clients)
        command = ["wrk", "--script", str(SCRIPT), "--threads", str(threads), "--connections", str(clients)]
        for name, value in headers.items():
            command += ["--header", f"{name}: {value}"]
        answer: Mapping[str, float] = {}
        for duration in filter(None, (warm_up, seconds)):
            # After the warm-up the lines go on where it has stopped.
            start = int(answer.get("requests", 0)) + clients
            run = subprocess.run(
                [*command, "--duration", f"{duration}s", address, "--", file.name, str(threads), str(start)],
                check=True,
                capture_output=True,
                text=True,
            )
            answer = json.loads(run.stdout.splitlines()[-1])
            if answer["failed"]:
                raise RuntimeError(f"{answer['failed']:g} of {answer['requests']:g} requests failed: {run.stdout}")
    return Figures(answer["requests"] / answer["seconds"], answer["p50"], answer["p95"], answer["p99"])


def in_database(
    database_url: str,
    work: Callable[[psycopg.Connection, random.Random], object],
    *,
    clients: int = CLIENTS,
    seconds: int = SECONDS,
) -> Figures:
    """Call `work` again and again from so many clients at once, each on a connection of its own; in two processes."""
    # Forked, so that `work` may be any function.
    forked = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[list[float]] = forked.Queue()
    processes = [
        forked.Process(target=_clients, args=(database_url, work, share, seconds, number, results))
        for number, share in enumerate((clients - clients // 2, clients // 2))
        if share
    ]
    for process in processes:
        process.start()
    spans = [span for _process in processes for span in results.get()]
    for process in processes:
        process.join()
    figures = Figures.of(spans)
    return Figures(len(spans) / seconds, figures.p50, figures.p95, figures.p99)


def _clients(
    database_url: str,
    work: Callable[[psycopg.Connection, random.Random], object],
    count: int,
    seconds: float,
    number: int,
    results: multiprocessing.Queue[list[float]],
) -> None:
    spans: list[float] = []

    def client(seed: int) -> None:
        chance = random.Random(seed)
        with psycopg.connect(database_url, autocommit=True, prepare_threshold=1) as connection:
            for _warm in range(10):
                work(connection, chance)
            end = time.perf_counter() + seconds
            while (started := time.perf_counter()) < end:
                work(connection, chance)
                spans.append(time.perf_counter() - started)

    threads = [threading.Thread(target=client, args=(number * 1_000 + one,)) for one in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put(spans)
