"""The commands as a user runs them, in a copy of the checkout: real processes, real signals, nothing left running."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from identities import authenticating
from identities.models import ApiToken
from omneo_identity import database, demo, settings
from omneo_identity.api.auth import SCOPES
from profiles.models import Audit

# All in one process: they share a checkout, whose first demo loads the whole sample.
pytestmark = pytest.mark.xdist_group("demo")

ROOT = Path(settings.__file__).parent.parent
MACHINE = {name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH") if name in os.environ}


class Checkout:
    """A copy of the project with the same virtual environment, and the processes that were started in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        left_out = shutil.ignore_patterns(".*", "__pycache__", "tests")
        shutil.copytree(ROOT, folder, ignore=left_out)
        (folder / ".venv").symlink_to(sys.prefix)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.site = f"http://127.0.0.1:{self.port}"
        self.make: subprocess.Popen[bytes] | None = None
        self.output = folder.parent / "output"

    def start(self, target: str, **variables: str) -> None:
        # What make would install is there already: these tests fetch nothing.
        command = ["make", "--assume-old=.venv/installed", target, f"PORT={self.port}"]
        with self.output.open("w") as output:
            self.make = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**MACHINE, **variables},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def printed(self) -> str:
        return self.output.read_text()

    def wait_for(self, condition, seconds: float = 180) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.make is not None
            assert self.make.poll() is None, self.printed
            assert time.monotonic() < deadline, self.printed
            time.sleep(0.05)

    def is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.site}/api/health", timeout=5) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    def signal(self, number: int, *, to_all: bool = False) -> int:
        """Send a signal to make, or as a terminal does to everything in front; wait for the end."""
        assert self.make is not None
        if to_all:
            os.killpg(self.make.pid, number)
        else:
            self.make.send_signal(number)
        return self.make.wait(60)

    def processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.cwd().startswith(str(self.folder)) or str(self.folder) in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def workers(self) -> list[psutil.Process]:
        modules = {process: process.cmdline() for process in self.processes()}
        return [process for process, line in modules.items() if line[1:3] == ["-m", "omneo_identity.worker"]]

    def demo(self) -> psutil.Process:
        modules = {process: process.cmdline() for process in self.processes()}
        return min(
            (process for process, line in modules.items() if line[-1:] == ["omneo_identity.demo"]),
            key=lambda process: process.create_time(),
        )

    def value(self, label: str) -> str:
        found = re.search(rf"^{label}: (.*)$", self.printed, re.MULTILINE)
        assert found, self.printed
        return found[1]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """One for the module, since its first demo loads the whole sample. The folder's name is a hard one."""
    return Checkout(tmp_path_factory.mktemp("demo") / "Zoë's copy")


@pytest.fixture(autouse=True)
def nothing_left_running(checkout):
    yield
    left = checkout.processes()
    for process in left:
        process.kill()
    assert not left


def test_every_target_is_in_the_help(checkout):
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert re.findall(r"^make ([a-z]+)", listed, re.MULTILINE) == targets


@pytest.mark.django_db
def test_the_demos_new_token_ends_the_last_one_and_the_audit_says_so(operator):
    first, second = (demo._token(operator) for _start in range(2))

    assert authenticating.authenticate(first) is None
    token = authenticating.authenticate(second)
    assert token is not None
    assert (token.name, token.extension, list(token.scopes)) == ("Demo", None, list(SCOPES))
    former = ApiToken.objects.exclude(pk=token.pk).get()
    audit = Audit.objects.get(event="revoked")
    assert (audit.by, audit.auditable_key, audit.old_values) == (
        operator,
        str(former.pk),
        {"name": "Demo", "key": former.key},
    )


def manage(checkout: Checkout, *arguments: str) -> str:
    command = [sys.executable, "-W", "error", "manage.py", *arguments]
    finished = subprocess.run(
        command, cwd=checkout.folder, env=MACHINE, capture_output=True, text=True, check=False, timeout=120
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.mark.slow
def test_a_command_starts_the_database_only_when_it_needs_it(tmp_path):
    fresh = Checkout(tmp_path / "fresh")

    for command in ("check", "makemigrations --check --dry-run", "migrate --help", "help"):
        manage(fresh, *command.split())
    assert not (fresh.folder / ".data").exists()

    manage(fresh, "migrate", "--verbosity=0")
    assert "[X] 0001_initial" in manage(fresh, "showmigrations", "profiles")
    assert not fresh.processes()


def test_a_taken_port_is_told_in_a_sentence(checkout):
    with socket.create_server(("127.0.0.1", checkout.port)):
        checkout.start("demo")
        assert checkout.make.wait(60) != 0

    assert f"Cannot listen on 127.0.0.1, port {checkout.port}" in checkout.printed
    assert "Traceback" not in checkout.printed


def test_the_demo_keeps_off_a_database_that_could_be_real(checkout):
    checkout.start("demo", DATABASE_URL="postgresql://omneo:secret@db.example.com/omneo")

    assert checkout.make.wait(60) != 0
    assert "must have `demo` in it" in checkout.printed
    assert "secret" not in checkout.printed


@pytest.mark.slow
def test_ctrl_c_while_the_sample_loads_stops_everything(checkout):
    checkout.start("demo")
    checkout.wait_for(lambda: "load" in checkout.printed.lower() or (checkout.folder / ".data/postgres").exists())
    time.sleep(2)

    checkout.signal(signal.SIGINT, to_all=True)

    assert "Traceback" not in checkout.printed
    assert not checkout.processes()


@pytest.mark.slow
def test_the_demo_prints_a_login_a_token_and_commands_that_work(checkout):
    checkout.start("demo")
    checkout.wait_for(checkout.is_healthy)
    login, token = checkout.value("Login"), checkout.value("API token")
    curls = [line.strip() for line in checkout.printed.splitlines() if line.strip().startswith("curl ")]

    found, added, routed = (json.loads(subprocess.check_output(["sh", "-c", f"{curl} -sS"])) for curl in curls)

    assert found["data"]["profile"]["id"] == added["data"]["profile_id"]
    assert added["data"]["handle"] == "instagram"
    assert routed["routing"]["outcome"] == "conflict"
    assert routed["routing"]["log_entry_id"]
    assert token in shlex.split(curls[0])[2]
    assert checkout.value("Admin") == f"{checkout.site}/admin/"
    assert login.startswith("admin / ")

    # A second run loads nothing, keeps the data and the login, and takes another token.
    checkout.signal(signal.SIGTERM)
    assert not checkout.processes()
    checkout.start("demo")
    checkout.wait_for(checkout.is_healthy)

    assert "The sample data is loaded already." in checkout.printed
    assert checkout.value("Login") == login
    with pytest.raises(urllib.error.HTTPError, match="401"):
        lookup(checkout, token)
    assert lookup(checkout, checkout.value("API token"))["data"]["id"] == found["data"]["id"]
    checkout.signal(signal.SIGINT, to_all=True)
    assert not checkout.processes()


@pytest.mark.slow
def test_a_visitor_of_the_storefront_is_played_against_the_demo_up_to_the_receivers_page(checkout):
    checkout.start("demo")
    checkout.wait_for(lambda: "API token" in checkout.printed and checkout.is_healthy())

    told = manage(checkout, "play_storefront", "--url", checkout.site)

    assert "by that card -> 404" in told
    assert "by that card -> 200" in told
    assert "both signatures right" in told
    receiver = told.partition("See it: ")[2].split()[0]
    with urllib.request.urlopen(receiver, timeout=10) as page:  # noqa: S310
        shown = page.read().decode()
    assert "identity.created" in shown
    assert "WRONG" not in shown
    checkout.signal(signal.SIGINT, to_all=True)
    assert not checkout.processes()
    assert "Traceback" not in checkout.printed


@pytest.mark.slow
def test_a_killed_demo_is_cleared_up_by_the_next_one(checkout):
    checkout.start("demo")
    checkout.wait_for(checkout.is_healthy)
    checkout.demo().kill()
    checkout.make.wait(60)

    checkout.start("demo")
    checkout.wait_for(lambda: "API token" in checkout.printed and checkout.is_healthy())
    checkout.signal(signal.SIGTERM)

    assert not checkout.processes()


@pytest.mark.slow
def test_make_run_serves_a_real_database(checkout, tmp_path):
    with database.running(tmp_path / "postgres") as host:
        variables = {"SECRET_KEY": "0123456789abcdef" * 4, "ALLOWED_HOSTS": "127.0.0.1", "HTTPS": "false"}
        checkout.start("run", DATABASE_URL=database.url(host), **variables)
        checkout.wait_for(checkout.is_healthy)
        checkout.signal(signal.SIGTERM)

    assert "Traceback" not in checkout.printed


@pytest.mark.slow
def test_the_demo_has_a_worker_and_another_one_when_that_dies(checkout):
    checkout.start("demo")
    checkout.wait_for(lambda: "API token" in checkout.printed and checkout.is_healthy() and checkout.workers())
    (killed,) = checkout.workers()
    killed.kill()
    rows = [{"email": f"{name}@example.com", "first_name": name} for name in ("eve", "fay")]

    queued = call(checkout, "/profiles/batch", {"match_criteria": "email", "profiles": rows})
    state = f"/profiles/batch/{queued['data']['batch_id']}"
    checkout.wait_for(lambda: call(checkout, state)["data"]["status"] == "finished")

    assert [row["result"] for row in call(checkout, state)["data"]["profiles"]] == ["created", "created"]
    (successor,) = checkout.workers()
    assert successor.pid != killed.pid
    checkout.signal(signal.SIGINT, to_all=True)
    assert not checkout.processes()
    assert "Traceback" not in checkout.printed


@pytest.mark.slow
def test_what_is_changed_arrives_at_the_demos_receiver_with_both_signatures_right(checkout):
    checkout.start("demo")
    checkout.wait_for(lambda: "API token" in checkout.printed and checkout.is_healthy())
    found = re.search(r"^  (http://127\.0\.0\.1:\d+/)$", checkout.printed, re.MULTILINE)
    assert found, checkout.printed

    def arrived() -> str:
        with urllib.request.urlopen(found[1], timeout=10) as page:  # noqa: S310
            return str(page.read().decode())

    assert "Nothing has arrived yet" in arrived()
    card = {"handle": "loyalty-card", "identifier": "9000001"}
    ada = call(checkout, "/profiles", {"first_name": "Ada", "identities": [card]})["data"]["id"]
    call(checkout, f"/profiles/{ada}", {"first_name": "Augusta"}, method="PUT")
    checkout.wait_for(lambda: "Augusta" in arrived())

    text = arrived()
    assert "X-Omneo-Hmac-SHA256: right" in text
    assert "Standard Webhooks: right" in text
    assert "WRONG" not in text
    checkout.signal(signal.SIGINT, to_all=True)
    assert not checkout.processes()
    assert "Traceback" not in checkout.printed


def call(checkout: Checkout, path: str, body: object = None, method: str | None = None):
    """Ask the demo's API, with the token that it has printed."""
    request = urllib.request.Request(  # noqa: S310
        f"{checkout.site}/api/v3{path}",
        headers={"Authorization": f"Bearer {checkout.value('API token')}"},
        data=json.dumps(body).encode() if body else None,
        method=method,
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.load(answer)


def lookup(checkout: Checkout, token: str):
    request = urllib.request.Request(  # noqa: S310
        f"{checkout.site}/api/v3/identities/search?handle=loyalty-card&identifier=4954196",
        headers={"Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.load(answer)
