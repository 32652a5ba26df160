"""An import that dies anywhere goes on where it was: the end is as if nothing had happened, and no row is in twice."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from pytest import MonkeyPatch

from identities import importing
from identities.importing import running
from identities.models import Identity, ImportRun
from tests.cast import assert_sound
from tests.importing import bring_in, errors_of, state, taken_back
from tests.killing import killed_at, stopped_at, wait_until
from tests.racing import meanwhile, somebody_waits
from tests.working import environment

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("import kills")]

CHUNK = 5

SCRIPT = f"""
import sys
import django
django.setup()
from django.core.management import call_command
from identities import importing
from identities.importing import running
running.CHUNK = {CHUNK}
call_command("import_identities", *sys.argv[1:])
"""

# In the first chunk one row is refused; in the third, one goes without a pair and one names two profiles.
PEOPLE = [
    "first_name,email,loyalty-card,pos",
    *(f"No {number},no{number}@example.com,C{number},P{number}" for number in range(3)),
    "Wrong,this is no address,99,",
    *(f"No {number},no{number}@example.com,C{number},P{number}" for number in range(4, 12)),
    "Without,without@example.com,77,null",
    "Both,,C1,P2",
    *(f"No {number},no{number}@example.com,C{number},P{number}" for number in range(14, 23)),
]

STOPS = [
    ("identities_identity", "INSERT", 0),
    ("profiles_audit", "INSERT", 0),
    ("identities_importrun", "UPDATE", 0),
    ("identities_routinglogentry", "INSERT", 2),
    ("profiles_duplicatepair", "INSERT", 2),
]


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text("".join(f"{line}\n" for line in PEOPLE))
    return path


def uninterrupted(path: Path, monkeypatch: MonkeyPatch) -> tuple[dict[str, Any], str, dict[str, int]]:
    monkeypatch.setattr(running, "CHUNK", CHUNK)
    with taken_back():
        run = bring_in(path, "--by", "operator")
        return state(), errors_of(path), run.counts


@pytest.mark.parametrize(
    ("table", "event", "chunks"),
    [
        pytest.param(*stop, id=f"{stop[1]} {stop[0]}", marks=[] if number in (2, 3) else [pytest.mark.slow])
        for number, stop in enumerate(STOPS)
    ],
)
def test_killed_anywhere_it_goes_on_where_it_was(
    table: str, event: str, chunks: int, people: Path, operator: User, monkeypatch: MonkeyPatch
) -> None:
    expected, errors, counts = uninterrupted(people, monkeypatch)
    # What an earlier run has left there is none of this one's.
    people.with_name("people.csv.errors.csv").write_text("from another day\n")

    with killed_at(table, SCRIPT, str(people), "--by", "operator", event=event):
        pass

    run = ImportRun.objects.get()
    assert run.line == 1 + chunks * CHUNK
    assert Identity.objects.count() == (3 * (chunks * CHUNK - 1) if chunks else 0)

    resumed = bring_in(people, "--by", "operator")

    assert resumed == run
    assert resumed.finished_at is not None
    assert resumed.counts == counts
    assert errors_of(people) == errors
    assert state() == expected
    assert_sound()


def test_interrupted_it_says_so_and_goes_on(people: Path, operator: User, monkeypatch: MonkeyPatch) -> None:
    expected, errors, counts = uninterrupted(people, monkeypatch)
    command = [sys.executable, "-c", SCRIPT, str(people), "--by", "operator"]

    with stopped_at("identities_routinglogentry"):
        process = subprocess.Popen(
            command,
            cwd=settings.BASE_DIR,
            env={**environment(), "DJANGO_SETTINGS_MODULE": "tests.settings"},
            stderr=subprocess.PIPE,
        )
        wait_until(somebody_waits, process)
        process.send_signal(signal.SIGINT)
        _out, stopped = process.communicate(timeout=30)

    assert process.returncode == 130
    # Before that, that the file of the uninterrupted one was moved out of the way.
    assert stopped.decode().splitlines()[-1] == "Stopped behind line 11. The same command goes on from there."
    told = io.StringIO()
    with pytest.raises(SystemExit, match="1"):
        call_command("import_identities", str(people), "--by", "operator", stderr=told, stdout=io.StringIO())
    assert told.getvalue() == "This file was cut short behind line 11. It goes on from there; --restart begins anew.\n"
    assert (ImportRun.objects.get().counts, errors_of(people), state()) == (counts, errors, expected)


def test_restart_begins_anew(people: Path, operator: User, monkeypatch: MonkeyPatch) -> None:
    with killed_at("identities_routinglogentry", SCRIPT, str(people), "--by", "operator"):
        pass
    (cut_short,) = ImportRun.objects.all()

    anew = bring_in(people, "--by", "operator", "--restart")

    assert anew != cut_short
    assert anew.counts == {"matched": 9, "created": 12, "refused": 1, "conflict": 1, "set_aside": 1}
    cut_short.refresh_from_db()
    assert cut_short.finished_at is not None


def test_trying_out_what_was_cut_short_leaves_it_alone(people: Path, operator: User, monkeypatch: MonkeyPatch) -> None:
    expected, errors, counts = uninterrupted(people, monkeypatch)
    with killed_at("identities_routinglogentry", SCRIPT, str(people), "--by", "operator"):
        pass

    # First alone, then while the one that was cut short goes on.
    assert bring_in(people, "--by", "operator", "--dry-run").finished_at is None
    with meanwhile(partial(bring_in, people, "--by", "operator"), importing, "start"):
        bring_in(people, "--by", "operator", "--dry-run")

    (run,) = ImportRun.objects.all()
    assert run.finished_at is not None
    assert (run.counts, errors_of(people), state()) == (counts, errors, expected)


def test_two_imports_do_not_share_a_file_of_errors(people: Path, operator: User, tmp_path: Path) -> None:
    errors, others = tmp_path / "errors.csv", tmp_path / "others.csv"
    others.write_text("first_name,email\nWrong,neither is this\n")
    options = ["--by", "operator", "--errors", str(errors)]
    with killed_at("identities_identity", SCRIPT, str(people), *options):
        pass

    other = bring_in(others, *options)
    run = bring_in(people, *options)

    assert run.errors_path == str(errors)
    assert "this is no address" in errors.read_text()
    assert "neither is this" in Path(other.errors_path).read_text()
