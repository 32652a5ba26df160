"""DATABASE_URL, and the embedded server: it starts when it is needed and is never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured

from omneo_identity import database, embedded

# Asks again and again instead of blocking in read(): a signal that arrives between Python's last look at its signals and
# a blocking read is seen only when that read ends.
WAIT = "while not select.select([sys.stdin], [], [], 0.5)[0]: pass"

# A process that uses the server until its standard input ends. Should it never end, it says where it stands.
GUEST = f"""
import faulthandler
import select
import sys
from pathlib import Path
from omneo_identity import database
faulthandler.dump_traceback_later(100)
try:
    with database.running(Path(sys.argv[1])):
        print("up", flush=True)
        {WAIT}
except KeyboardInterrupt:
    sys.exit(130)
"""

# A server that stops has the disk write what it must not lose, behind everything that other tests have just written.
PATIENCE = 120


@pytest.fixture
def cluster(tmp_path):
    cluster = tmp_path / "postgres"
    yield cluster
    assert not is_up(cluster), "A server was left behind."


@pytest.fixture
def guest(cluster):
    guests = []

    def guest() -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        process = subprocess.Popen([sys.executable, "-c", GUEST, str(cluster)], stdin=pipe, stdout=pipe, text=True)
        guests.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        return process

    yield guest
    for process in guests:
        process.communicate()


def is_up(cluster: Path) -> bool:
    return embedded._postmaster(cluster) is not None


def connect(host: str) -> psycopg.Connection:
    return psycopg.connect(database.url(host), autocommit=True)


def test_a_database_url_is_read_as_postgresql_reads_it():
    url = "postgresql://omneo:p%40ss@db.example.com:6432/crm?sslmode=require"

    configuration = database.configuration(url)

    assert configuration["NAME"] == "crm"
    assert configuration["USER"] == "omneo"
    assert configuration["PASSWORD"] == "p@ss"
    assert configuration["HOST"] == "db.example.com"
    assert configuration["PORT"] == "6432"
    assert configuration["OPTIONS"]["sslmode"] == "require"


def test_the_embedded_servers_own_url_is_read_back():
    configuration = database.configuration(database.url("/run/a b é"))

    assert configuration["HOST"] == "/run/a b é"
    assert configuration["NAME"] == "omneo"


@pytest.mark.parametrize(
    "url", ["sqlite:///secret.db", "postgresql://u:secret@host", "secret", "postgres://[secret/x"]
)
def test_a_wrong_url_is_refused_without_repeating_its_password(url):
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL does not name a PostgreSQL database") as refusal:
        database.configuration(url)

    assert "secret" not in str(refusal.value)


def test_the_server_runs_for_the_callers_time_and_keeps_the_data(cluster):
    with database.running(cluster) as host, connect(host) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS value")
    assert not is_up(cluster)

    with database.running(cluster) as host, connect(host) as connection:
        assert connection.execute("SELECT value FROM kept").fetchone() == (1,)


def test_the_last_to_leave_stops_the_server(cluster, guest):
    first, second = guest(), guest()

    first.communicate()
    assert is_up(cluster)

    second.communicate()
    assert not is_up(cluster)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_server_too(cluster, guest, number):
    process = guest()

    process.send_signal(number)

    assert process.wait(PATIENCE) == 130
    assert not is_up(cluster)


def test_a_server_left_behind_is_joined_and_stopped(cluster, guest):
    process = guest()
    process.kill()
    process.wait()
    assert is_up(cluster)

    with database.running(cluster) as host, connect(host) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)

    assert not is_up(cluster)


def test_a_killed_server_starts_again_though_its_process_id_is_somebody_elses(cluster, guest):
    guest()
    server = embedded._postmaster(cluster)
    assert server is not None
    server.kill()
    psutil.wait_procs([server], 10)
    for note in (cluster / "postmaster.pid", cluster / ".s.PGSQL.5432.lock"):
        note.write_text(note.read_text().replace(str(server.pid), str(os.getpid()), 1))

    with database.running(cluster) as host, connect(host) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_cluster_that_was_cut_short_is_made_anew(cluster):
    unfinished = cluster.with_suffix(".new")
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")

    with database.running(cluster) as host, connect(host) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("name", ["with space", "it's, é", "long" * 30])
def test_any_folder_will_do(tmp_path, name):
    cluster = tmp_path / name / "postgres"

    with database.running(cluster) as host, connect(host) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("omneo",)

    assert not is_up(cluster)
    assert Path(host) == cluster or not Path(host).exists()


def test_the_environments_locale_and_port_do_not_matter(cluster, monkeypatch):
    monkeypatch.setenv("LC_ALL", "xx_YY.UTF-8")
    monkeypatch.setenv("PGPORT", "5999")

    with database.running(cluster) as host, connect(host) as connection:
        assert connection.execute("SELECT lower('É'), 'a' < 'B'").fetchone() == ("é", False)

    assert os.environ["LC_ALL"] == "xx_YY.UTF-8"


def test_a_server_that_does_not_start_says_why(cluster):
    with (
        pytest.raises(ImproperlyConfigured, match=r"did not start(.|\n)*unrecognized configuration parameter"),
        database.running(cluster, "-c", "no_such_setting=1"),
    ):
        pass


def test_a_folder_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "file").touch()

    with (
        pytest.raises(ImproperlyConfigured, match=f"cannot use {tmp_path}/file: "),
        database.running(tmp_path / "file" / "postgres"),
    ):
        pass


def test_where_there_is_no_embedded_server_the_message_says_what_to_set(cluster, monkeypatch):
    monkeypatch.setitem(sys.modules, "omneo_identity.embedded", None)
    monkeypatch.delattr("omneo_identity.embedded")

    with pytest.raises(ImproperlyConfigured, match="set DATABASE_URL"), database.running(cluster):
        pass


@pytest.mark.slow
def test_any_number_may_come_and_go_at_once(cluster):
    """Twelve processes, started and ended in waves: each finds the server up, and at the end it is down."""
    deadline = time.monotonic() + 30
    script = GUEST.replace(WAIT, "import random, time; time.sleep(random.random())")
    while time.monotonic() < deadline:
        processes = [subprocess.Popen([sys.executable, "-c", script, str(cluster)]) for _ in range(12)]

        assert [process.wait(PATIENCE) for process in processes] == [0] * 12
        assert not is_up(cluster)
