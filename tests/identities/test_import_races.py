"""Imports that meet each other and other writers: nobody comes twice, and nothing is lost."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError
from pytest import MonkeyPatch

from identities import cataloguing, importing
from identities.importing import planning, running
from identities.models import Handle, Identity, ImportRun
from profiles.auditing import By
from profiles.models import Audit, Profile
from tests.cast import assert_sound, route
from tests.importing import bring_in
from tests.racing import at_once, before_each, meanwhile, meeting

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = 40


def file_of(path: Path, numbers: list[int]) -> Path:
    rows = [f"No {number},no{number}@example.com,{number},P{number}" for number in numbers]
    path.write_text("".join(f"{line}\n" for line in ["first_name,email,loyalty-card,pos", *rows]))
    return path


def assert_everybody_is_there_once() -> None:
    assert Profile.objects.count() == PEOPLE
    assert Identity.objects.count() == 3 * PEOPLE
    for profile in Profile.objects.all():
        number = profile.first_name.removeprefix("No ")
        assert profile.email == f"no{number}@example.com"
        assert {row.identifier.lstrip("noP").split("@")[0] for row in profile.identities.all()} == {number}
    created = Audit.objects.filter(event="created", auditable_type="profile")
    assert created.count() == PEOPLE
    assert_sound()


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 30))])
def test_two_files_of_the_same_people_make_each_once(
    seed: int, tmp_path: Path, operator: User, monkeypatch: MonkeyPatch
) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same each time
    monkeypatch.setattr(running, "CHUNK", 7)
    files = []
    for name in ("one.csv", "two.csv"):
        numbers = list(range(1, PEOPLE + 1))
        chance.shuffle(numbers)
        files.append(file_of(tmp_path / name, numbers))

    with meeting(2, planning, "look_up"):
        met = at_once(*(partial(bring_in, path, "--by", "operator") for path in files))

    created = [run.counts.get("created", 0) for run in met]
    assert sum(created) == PEOPLE
    assert_everybody_is_there_once()


def test_somebody_who_writes_the_same_people_one_by_one_is_no_obstacle(
    tmp_path: Path, operator: User, by: By, monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "CHUNK", 10)
    path = file_of(tmp_path / "people.csv", list(range(1, PEOPLE + 1)))

    def one_by_one() -> None:
        for number in range(PEOPLE, 0, -1):
            contact = {"email": f"no{number}@example.com"}
            route(f"pos:P{number}", f"loyalty-card:{number}", by=by, contact=contact, first_name=f"No {number}")

    at_once(partial(bring_in, path, "--by", "operator"), one_by_one)

    assert_everybody_is_there_once()


# When the first chunk has been looked up, and not yet written.
LOOK = (planning, "look_up")


def test_a_rule_that_changes_between_look_and_write_holds(tmp_path: Path, by: By) -> None:
    path = file_of(tmp_path / "people.csv", [1])

    def change_the_rule() -> None:
        cataloguing.change(Handle.objects.get(pk="pos"), {"pattern": "[0-9]+"}, by=by)

    with meanwhile(change_the_rule, *LOOK):
        run = bring_in(path, "--by", "operator")

    assert run.counts == {"created": 1, "set_aside": 1}
    assert not Identity.objects.filter(handle="pos").exists()


def test_somebody_who_is_known_between_look_and_write_is_no_second_profile(tmp_path: Path, by: By) -> None:
    path = file_of(tmp_path / "people.csv", [1, 2])

    with meanwhile(partial(route, "pos:P1", by=by, first_name="Ada"), *LOOK):
        run = bring_in(path, "--by", "operator")

    assert run.counts == {"attached": 1, "created": 1}
    assert sorted(Profile.objects.values_list("first_name", flat=True)) == ["Ada", "No 2"]
    assert_sound()


def test_two_processes_cannot_bring_one_file_in(tmp_path: Path, operator: User, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr(running, "CHUNK", 10)
    path = file_of(tmp_path / "people.csv", list(range(1, PEOPLE + 1)))

    def second() -> None:
        with pytest.raises(CommandError, match="Another process brings this file in"):
            bring_in(path, "--by", "operator")

    # The first one has begun a chunk, and with it the file of what does not come in is its own.
    with meanwhile(second, *LOOK):
        bring_in(path, "--by", "operator")

    assert_everybody_is_there_once()


def test_two_processes_cannot_begin_one_file_at_once(tmp_path: Path, operator: User) -> None:
    path = file_of(tmp_path / "people.csv", list(range(1, PEOPLE + 1)))
    second = partial(bring_in, path, "--by", "operator")

    def begin() -> None:
        importing.start(fingerprint, path="", errors_path="", offset=0, line=0, by=By(operator), source=None)

    fingerprint = second().fingerprint
    with (
        before_each(ImportRun.objects, "create", begin),
        pytest.raises(CommandError, match="Another process brings this file in"),
    ):
        bring_in(path, "--by", "operator")

    assert_everybody_is_there_once()
