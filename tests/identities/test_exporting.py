"""`manage.py export_identities`: a file that `import_identities` reads back to the same profiles."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from identities import attributing, exporting, releasing
from identities.attributing import Named
from identities.handles import Sent
from identities.models import Handle, Identity
from profiles.auditing import By
from profiles.models import Audit, Profile
from tests.cast import known, merge, route
from tests.identities.test_importing import bring_in
from tests.importing import state

pytestmark = pytest.mark.django_db


@pytest.fixture
def people(by: By) -> list[Profile]:
    """Profiles of every kind that there is anything to say of, and two that are not live."""
    ada = route(
        Sent("loyalty-card", " 1804974 ", is_primary=True),
        Sent("pos", "P1", is_active=False),
        Sent("pos", 'P "2"\\,;'),
        by=by,
        contact={"email": "Ada@Example.com", "mobile_phone": "+61404123123"},
        first_name="Ada",
        last_name='Lovelace\n"Countess"',
        birth_day=10,
        tags=["vip", 'a "b" \\c, {d}'],
        attributes={"comms": {"sms": None, "n": 2**70}, "dates": []},
        profile_type="pending",
    ).profile
    attributing.put(ada.pk, Named("size", "hat", 5), by=by, source=None)
    attributing.put(ada.pk, Named("size", "coat", {"a": [None, "\\"]}), by=by, source=None)
    bo = known("loyalty-card:77", by=by, first_name="Zoë")
    nobody = route(by=by, first_name="Nobody").profile
    known("pos:deleted", by=by, first_name="Deleted")
    releasing.delete(Profile.objects.get(first_name="Deleted").pk, by=by)
    merge(bo, known("pos:merged", by=by, first_name="Merged"), by=by)
    return [ada, bo, nobody]


def exported(path: Path, *options: str) -> Path:
    call_command("export_identities", str(path), *options, verbosity=0)
    return path


@pytest.mark.parametrize("name", ["people.ndjson", "people.csv"])
def test_what_goes_out_comes_in_again_as_the_same(name: str, people: list[Profile], by: By, tmp_path: Path) -> None:
    path = exported(tmp_path / name)
    before = _profiles()

    Identity.objects.all().delete()
    Profile.objects.update(merged_into=None)
    Profile.objects.all().delete()
    told = bring_in(path)

    assert "3 made a new profile" in told
    for found, expected in zip(_profiles(), before, strict=True):
        for one, other in zip(found, expected, strict=True):
            assert one == other


def _profiles() -> list[Any]:
    """The live profiles with all that an export says of them."""
    columns = [
        one.attname for one in Profile._meta.concrete_fields if one.attname not in {"id", "created_at", "updated_at"}
    ]
    live = Profile.objects.live().order_by("pk")
    return [
        (
            {name: getattr(profile, name) for name in columns},
            sorted(profile.identities.values_list("handle", "identifier", "original", "is_primary", "is_active")),
            sorted(profile.custom_attributes.values_list("namespace", "handle", "type", "value")),
        )
        for profile in live
    ]


def test_brought_in_where_they_are_nothing_changes(people: list[Profile], by: By, tmp_path: Path) -> None:
    people[2].delete()
    before = state()

    for name, options in (("a.ndjson", []), ("a.csv", []), ("b.ndjson", ["--with-id"]), ("b.csv", ["--with-id"])):
        told = bring_in(exported(tmp_path / name, *options), "--by", "operator")
        assert "2 are of a known profile" in told
    Audit.objects.filter(event="exported").delete()

    assert {name: rows for name, rows in state().items() if name not in {"Profile", "Audit"}} == {
        name: rows for name, rows in before.items() if name not in {"Profile", "Audit"}
    }


def test_of_some_handles_csv_has_columns_and_ndjson_has_them_all(people: list[Profile], tmp_path: Path) -> None:
    rows = list(
        csv.DictReader(
            io.StringIO(exported(tmp_path / "a.csv", "--handle", "pos", "--handle", "loyalty-card").read_text())
        )
    )
    documents = [
        json.loads(line) for line in exported(tmp_path / "a.ndjson", "--handle", "pos").read_text().splitlines()
    ]

    assert [(row["pos"], row["loyalty-card"]) for row in rows] == [
        ('P "2"\\,;', "1804974"),
        ("merged", "77"),
        ("", ""),
    ]
    assert [[pair["identifier"] for pair in one.get("identities", [])] for one in documents] == [
        ['P "2"\\,;', "P1"],
        ["merged"],
        [],
    ]


def test_sensitive_identifiers_are_in_clear_and_the_audit_says_who_has_asked(
    operator: User, by: By, tmp_path: Path
) -> None:
    Handle.objects.create(name="passport", sensitive=True)
    known("passport:N123456789", by=by)

    path = exported(tmp_path / "people.csv", "--by", "operator")

    assert "N123456789" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    audit = Audit.objects.get(event="exported")
    assert audit.by == operator
    assert audit.new_values == {"format": "csv", "handles": [], "to": str(path)}


def test_without_a_file_it_goes_to_standard_output(by: By, capfdbinary: Any) -> None:
    known("pos:1", by=by, first_name="Zoë")

    call_command("export_identities", verbosity=0)

    (line,) = capfdbinary.readouterr().out.splitlines()
    document = json.loads(line)
    assert document.pop("joined_at")
    assert document == {"first_name": "Zoë", "identities": [{"handle": "pos", "identifier": "1"}]}


def test_what_cannot_be_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There is no handle nothing."):
        exported(tmp_path / "people.csv", "--handle", "nothing")
    with pytest.raises(CommandError, match="cannot be written: No such file or directory."):
        exported(tmp_path / "nowhere" / "people.csv")

    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["company", "identifier", "email"])
def test_a_handle_that_is_called_like_a_field_takes_no_column_from_it(name: str, by: By, tmp_path: Path) -> None:
    Handle.objects.get_or_create(name=name)
    profile = known("pos:1", by=by, company="Acme", email="Ada@example.com")
    Identity.objects.create(profile=profile, handle_id=name, identifier="X9")

    with pytest.raises(CommandError, match=f"{name} is the name of another column of CSV too: write NDJSON."):
        exported(tmp_path / "people.csv", "--handle", name)

    document = json.loads(exported(tmp_path / "people.ndjson", "--handle", name).read_text())
    assert (document["company"], document["email"]) == ("Acme", "Ada@example.com")
    assert {"handle": name, "identifier": "X9"} in document["identities"]


def test_a_pipe_is_not_replaced_by_a_file(by: By, tmp_path: Path) -> None:
    known("pos:1", by=by)
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)

    for path in (pipe, link, tmp_path):
        with pytest.raises(CommandError, match="is no file. Without FILE it goes to standard output."):
            exported(path)

    assert pipe.is_fifo()
    assert link.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe"]


def test_two_exports_to_one_file_leave_one_of_them_whole(by: By, tmp_path: Path, monkeypatch: Any) -> None:
    known("pos:1", by=by)
    whole = exported(tmp_path / "alone.csv").read_bytes()
    export = exporting.export
    began: list[bool] = []

    def export_meanwhile(*args: Any, **kwargs: Any) -> Any:
        if not began:
            began.append(True)
            exported(tmp_path / "people.csv")
        yield from export(*args, **kwargs)

    monkeypatch.setattr(exporting, "export", export_meanwhile)
    path = exported(tmp_path / "people.csv")

    assert path.read_bytes() == whole
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path)) == ["alone.csv", "people.csv"]
