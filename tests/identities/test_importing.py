"""`manage.py import_identities`: what it takes, what it says before it writes, and what it says afterwards."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from identities import importing
from identities.models import Handle, Identity, ImportRun, RoutingLogEntry
from profiles import events
from profiles.models import Audit, CustomAttribute, Event, Profile, Webhook
from tests.cast import known, pairs_of
from tests.importing import errors_of
from tests.tables import differences, everything

pytestmark = pytest.mark.django_db


@pytest.fixture
def file(tmp_path: Path) -> Any:
    """A file of these lines; its name says what it is."""

    def make(*lines: str | bytes | dict[str, Any], name: str = "people.csv") -> Path:
        path = tmp_path / name
        with path.open("wb") as out:
            for line in lines:
                text = json.dumps(line) if isinstance(line, dict) else line
                out.write((text.encode() if isinstance(text, str) else text) + b"\n")
        return path

    return make


def bring_in(path: Path, *options: str, refused: bool = False) -> str:
    """Bring it in as a user does, and return what is said."""
    out = io.StringIO()
    if refused:
        with pytest.raises(SystemExit, match="1"):
            call_command("import_identities", str(path), *options, stdout=out)
    else:
        call_command("import_identities", str(path), *options, stdout=out)
    return out.getvalue()


def errors(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(errors_of(path))))


def test_a_csv_has_fields_and_handles_as_columns(file, by):
    path = file(
        "First_Name".lower() + ",last_name,email,mobile_phone,birth_date,tags,attributes,loyalty-card,pos",
        'Ada,Lovelace,Ada@Example.com,0404 123 123,1990-12-10,"vip, new","{""comms"": {""sms"": true}}",1804974,P1',
        "Bo,,,,,,,77,",
    )

    told = bring_in(path)

    ada = Profile.objects.get(first_name="Ada")
    assert (ada.last_name, ada.email, ada.mobile_phone) == ("Lovelace", "Ada@Example.com", "+61404123123")
    assert (ada.birth_year, ada.birth_month, ada.birth_day) == (1990, 12, 10)
    assert (ada.tags, ada.attributes) == (["vip", "new"], {"comms": {"sms": True}})
    assert pairs_of(ada) == [
        "email:ada@example.com",
        "loyalty-card:1804974",
        "mobile_phone:+61404123123",
        "pos:P1",
    ]
    assert pairs_of(Profile.objects.get(first_name="Bo")) == ["loyalty-card:77"]
    assert "2 rows" in told
    assert "2 made a new profile" in told
    assert not errors_of(path)


def test_a_csv_may_have_the_columns_handle_and_identifier(file):
    path = file("handle,identifier,first_name", "loyalty-card,1,Ada", "pos,2,Bo", ",3,Cleo", "pos,,Dan")

    bring_in(path, refused=False)

    assert [str(row.pair) for row in Identity.objects.order_by("pk")] == ["loyalty-card:1", "pos:2"]
    # A row whose identifier has no handle comes in without it, as it would from a request.
    assert [one["error_code"] for one in errors(path)] == ["invalid_handle"]


def test_ndjson_has_bodies_of_requests_or_handles_as_keys(file):
    path = file(
        {"first_name": "Ada", "identities": [{"handle": "loyalty-card", "identifier": "1", "is_primary": True}]},
        {"first_name": "Bo", "pos": 2, "loyalty-card": ["3", "4"], "zendesk": None},
        {"id": "what it was elsewhere", "full_name": "Cleo", "custom_attributes": {"size": {"hat": 5}}, "pos": "5"},
        name="people.ndjson",
    )

    bring_in(path)

    assert Identity.objects.get(is_primary=True).identifier == "1"
    assert pairs_of(Profile.objects.get(first_name="Bo")) == ["loyalty-card:3", "loyalty-card:4", "pos:2"]
    assert CustomAttribute.objects.get().profile.identities.get().identifier == "5"


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("loyalty_card", "loyalty_card: There is no handle loyalty_card; did you mean loyalty-card?"),
        ("First Name", "First Name: there is no such field; did you mean first_name?"),
        ("firstname", "firstname: there is no such field or handle; did you mean first_name?"),
        ("age", "age: there is no such field or handle. For a new handle, say --new-handle age."),
        ("id", "id: id means the profile itself and cannot be a handle."),
        ("klaviyo", "klaviyo: this handle is reserved; bring it in with --source klaviyo."),
        ("gone", "gone: this handle is retired, and takes nothing new."),
        ("handle", "The columns handle and identifier go together."),
        ("email", "email: there are two columns of this name."),
    ],
)
def test_a_column_that_is_nothing_is_named_before_anything_is_written(header, sentence, file):
    Handle.objects.create(name="gone", status="retired")
    path = file(f"email,pos,{header}", "ada@example.com,1,33")
    before = everything()

    with pytest.raises(CommandError) as error:
        bring_in(path)

    assert str(error.value) == f"{path} was not read, and nothing was written.\n{sentence}"
    assert differences(before, everything()) == []


def test_a_column_may_be_left_out_or_be_a_new_handle(file):
    path = file("age,crm,pos", "33,C1,P1")

    bring_in(path, "--without", "age", "--new-handle", "crm")

    assert [str(row.pair) for row in Identity.objects.order_by("handle")] == ["crm:C1", "pos:P1"]
    assert Handle.objects.get(pk="crm").status == Handle.Status.UNDOCUMENTED
    assert not Handle.objects.filter(pk="age").exists()


def test_an_unknown_key_of_ndjson_is_an_error_of_its_row(file):
    path = file({"pos": "1", "loyalty_card": "2"}, {"pos": "3"}, name="people.ndjson")

    told = bring_in(path, refused=True)

    assert "1 were refused" in told
    (error,) = map(json.loads, errors_of(path).splitlines())
    assert error == {
        "error_line": 1,
        "error_code": "unknown_handle",
        "error_message": "loyalty_card: there is no such field or handle. Did you mean loyalty-card?",
        "pos": "1",
        "loyalty_card": "2",
    }
    assert Identity.objects.get().identifier == "3"


def test_what_does_not_come_in_can_be_mended_and_brought_in(file):
    path = file(
        "first_name,email,pos,loyalty-card",
        "Ada,no address,1,",
        "Bo,bo@example.com,2,null",
        'Cleo,"cleo@example.com\n",3,,5',
    )

    told = bring_in(path, refused=True)

    assert "1 identities were set aside" in told
    assert [(one["error_line"], one["error_code"], one["first_name"]) for one in errors(path)] == [
        ("2", "invalid_identifier", "Ada"),
        ("3", "blocked_identifier", "Bo"),
        ("4", "invalid", "Cleo"),
    ]
    mended = Path(f"{path}.errors.csv")
    mended.write_text(mended.read_text().replace("no address", "ada@example.com").replace("null", "22"))
    bring_in(mended, refused=True)
    assert pairs_of(Profile.objects.get(first_name="Ada")) == ["email:ada@example.com", "pos:1"]
    assert pairs_of(Profile.objects.get(first_name="Bo")) == ["email:bo@example.com", "loyalty-card:22", "pos:2"]


def test_a_line_that_is_no_json_stands_among_the_errors_and_makes_no_profile(file):
    path = file(b'{"pos": "1"', b"[1]", b"", b'{"pos": "\xff"}', {"pos": "2"}, name="people.ndjson")

    bring_in(path, refused=True)
    again = Path(f"{path}.errors.ndjson")
    bring_in(again, refused=True)

    assert [json.loads(line)["error_line"] for line in errors_of(path).splitlines()] == [1, 2, 4]
    assert Profile.objects.count() == 1


def test_a_row_with_a_profile_id_goes_to_that_profile(file, by):
    ada = known("loyalty-card:1", by=by, first_name="Ada", email="ada@example.com")
    known("pos:9", by=by)
    path = file(
        "profile_id,first_name,email,pos",
        f"{ada.pk},Augusta,augusta@example.com,8",
        f"{ada.pk},,,9",
        "b1d6f3ec-38cd-4747-b7f3-6649c9c05c5d,Eve,,7",
    )

    bring_in(path, refused=True)

    ada.refresh_from_db()
    assert (ada.first_name, ada.email) == ("Augusta", "augusta@example.com")
    assert pairs_of(ada) == ["email:augusta@example.com", "loyalty-card:1", "pos:8"]
    assert [(one["error_line"], one["error_code"]) for one in errors(path)] == [
        ("3", "identity_taken"),
        ("4", "not_found"),
    ]
    assert RoutingLogEntry.objects.get().outcome == "identity_taken"


def test_the_same_file_again_changes_nothing(file, by):
    path = file("first_name,email,pos", "Ada,ada@example.com,1", "Bo,,2")
    bring_in(path)
    before = everything()

    told = bring_in(path)

    assert "2 are of a known profile" in told
    changes = [one for one in differences(before, everything()) if not one.startswith("identities.ImportRun")]
    assert changes == []


def test_a_dry_run_says_what_would_happen_and_writes_nothing(file, by):
    known("pos:1", by=by)
    path = file("first_name,email,pos,new", "Ada,,1,1", "Bo,,2,2", "Bo,,2,2", "Cleo,no address,3,3")
    before = everything()

    told = bring_in(path, "--new-handle", "new", "--dry-run", refused=True)
    meant = {line.strip() for line in told.splitlines() if line.startswith(" ")}

    assert differences(before, everything()) == []
    assert not Audit.objects.filter(event="imported").exists()
    assert not User.objects.filter(username="import").exists()
    assert [one["error_line"] for one in errors(path)] == ["5"]
    said = bring_in(path, "--new-handle", "new", refused=True)
    assert {line.strip() for line in said.splitlines() if line.startswith(" ")} == meant
    assert len(meant) == 4


def test_the_audit_says_who_brought_a_file_in(file, operator):
    path = file("first_name,pos", "Ada,1")

    bring_in(path, "--by", "operator")

    audit = Audit.objects.get(event="imported")
    assert audit.by == operator
    assert audit.new_values == {"file": str(path), "source": None, "created": 1}
    assert Audit.objects.get(event="created", auditable_type="profile").by == operator


def test_without_a_name_it_is_an_account_with_which_nobody_signs_in(file):
    bring_in(file("pos", "1"))

    account = Audit.objects.filter(event="imported").get().by
    assert account.username == "import"
    assert not account.has_usable_password()


def test_an_extension_brings_in_what_only_it_may_write(file, shopify):
    bring_in(file("shopify", "1"), "--source", "shopify")

    identity = Identity.objects.get()
    assert identity.source == shopify
    assert Audit.objects.get(event="imported").by == shopify.service_account


def test_who_and_what_is_not_there_is_named(file, tmp_path):
    path = file("pos", "1")
    for options, sentence in (
        (["--by", "nobody"], "There is no account nobody."),
        (["--source", "nothing"], "There is no extension nothing. Known are: "),
        (["--without", "age"], "--without age: there is no such column."),
    ):
        with pytest.raises(CommandError, match=sentence):
            bring_in(path, *options)
    with pytest.raises(CommandError, match="cannot be read: No such file or directory."):
        bring_in(tmp_path / "nothing.csv")
    assert not ImportRun.objects.exists()


def test_errors_that_cannot_be_written_down_stop_it_before_their_chunk_is_in(file, tmp_path):
    path = file("first_name,pos,email", "Ada,1,", "Bo,2,no address")

    with pytest.raises(
        CommandError, match="No such file or directory. Stopped behind line 1. The same command goes on"
    ):
        bring_in(path, "--errors", str(tmp_path / "nowhere" / "errors.csv"))

    assert not Profile.objects.exists()


@pytest.mark.parametrize(
    "lines",
    [
        ["\ufefffirst_name;pos", "Zoë;1"],
        ["first_name\tpos", "Zoë\t1"],
        ["first_name,pos\r", "Zoë,1\r", "\r"],
        ['"first_name","pos"', '"Zoë","1"', ""],
    ],
    ids=["as Excel writes it", "tabs", "lines of Windows", "quotes"],
)
def test_csv_of_many_programs_is_read(lines, file):
    bring_in(file(*lines))

    assert Profile.objects.get().first_name == "Zoë"
    assert Identity.objects.get().identifier == "1"


def test_a_quote_that_is_never_closed_costs_no_memory_and_names_its_line(file):
    path = file("first_name,pos", 'Ada,"1', *(f"No {number},{number}" for number in range(20_000)))

    bring_in(path, "--verbosity", "0", refused=True)

    (error,) = (one for one in errors(path) if one["error_line"] == "2")
    assert re.fullmatch(
        r"Lines 2 to \d+ are not CSV: field larger than field limit \(131072\)\.", error["error_message"]
    )


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (['"Ada,1', "Bo,2"], "Lines 3 to 4 are not CSV: unexpected end of data."),
        (['Ada,"1', "Bo,2"], "Lines 3 to 4 are not CSV: unexpected end of data."),
        (['"Ada,1', '"Bo",2'], "Lines 3 to 4 are not CSV: ',' expected after '\"'."),
        (['"Ada \\"the first\\"",1'], "This is not CSV: ',' expected after '\"'."),
    ],
    ids=["never closed", "never closed in the last cell", "closed by another row", "not doubled"],
)
def test_a_quote_that_is_not_where_a_cell_ends_makes_no_profile_of_rows(lines, sentence, file):
    path = file("first_name,pos", '"Zoë ""Z"" Zola",9', *lines)

    bring_in(path, refused=True)

    assert list(Profile.objects.values_list("first_name", flat=True)) == ['Zoë "Z" Zola']
    assert [(one["error_line"], one["error_message"]) for one in errors(path)] == [("3", sentence)]


@pytest.mark.parametrize("name", ["tags", "attributes", "custom_attributes", "identities"])
def test_a_cell_that_is_no_json_is_an_error_of_its_row(name, file):
    path = file(f"first_name,pos,{name}", "Ada,1,[broken", "Bo,2,", 'Cleo,3,"[""\\ud800""]"')

    bring_in(path, refused=True)

    assert list(Profile.objects.values_list("first_name", flat=True)) == ["Bo"]
    assert [(one["error_line"], one["error_message"]) for one in errors(path)] == [
        (line, f"{name}: this is not JSON.") for line in ("2", "4")
    ]


@pytest.mark.parametrize(
    ("content", "options", "sentence"),
    [
        (b"first_name,pos\rAda,1\r", [], "Its header is not CSV: new-line character seen in unquoted field"),
        (b'"first_name,pos\nAda,1\n', [], "Its header is not CSV: unexpected end of data"),
        (b"x" * 200_000, [], "Its header is not CSV: field larger than field limit"),
        (b"first_name,pos\nAda,1\n", ["--delimiter", ";;"], "--delimiter is one character"),
        (b"first_name,pos\nAda,1\n", ["--delimiter", "\\t"], "--delimiter is one character"),
        (b"first_name,pos\nAda,1\n", ["--delimiter", '"'], "--delimiter is one character"),
    ],
    ids=["lines of an old Mac", "a quote", "no lines", "two characters", "a word for one", "the quote"],
)
def test_a_header_that_is_none_is_said_to_be_none(content, options, sentence, file) -> None:
    with pytest.raises(CommandError, match=sentence):
        bring_in(file(content), *options)

    assert not ImportRun.objects.exists()


def test_empty_files_are_refused_and_files_of_a_header_bring_nothing(file):
    with pytest.raises(CommandError, match="The file has no header."):
        bring_in(file())
    assert "0 rows" in bring_in(file("first_name,pos"))
    assert "0 rows" in bring_in(file(name="people.ndjson"))


def test_a_file_that_somebody_is_mending_is_moved_out_of_the_way(file) -> None:
    path = file("first_name,pos", "Ada,null\u200b", "Bo,1")
    bring_in(path)
    (left,) = path.parent.glob("*.errors.csv")
    left.write_text("mended by hand\n")

    bring_in(path, "--dry-run")

    (kept,) = path.parent.glob("*.errors.1.csv")
    assert kept.read_text() == "mended by hand\n"


@pytest.mark.parametrize("name", ["people.csv", "people.ndjson", "people"])
def test_a_pipe_is_refused_before_it_is_read(name, tmp_path) -> None:
    path = tmp_path / name
    os.mkfifo(path)
    # Somebody has it open, so that nobody waits for that.
    with open(os.open(path, os.O_RDWR), "wb") as pipe:
        pipe.write(b"first_name,pos\nAda,1\n")
        pipe.flush()

        with pytest.raises(CommandError, match="It can be read only once"):
            bring_in(path)

    assert not ImportRun.objects.exists()


@pytest.mark.parametrize(
    ("change", "name"),
    [(b"12", "people.csv"), (b'{"pos": "12"}', "people.ndjson")],
)
@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_a_file_that_grows_while_it_is_read_is_not_believed(change, name, options, file, monkeypatch) -> None:
    path = file(*(["first_name,pos", "Ada,1"] if name.endswith("csv") else ['{"pos": "1"}']), name=name)
    start = importing.start

    def grow(*args: Any, **kwargs: Any) -> ImportRun:
        with path.open("ab") as other:
            other.write(change)
        return start(*args, **kwargs)

    monkeypatch.setattr(importing, "start", grow)
    with pytest.raises(CommandError, match="was changed while it was read"):
        bring_in(path, *options)

    assert not Profile.objects.exists()
    assert not ImportRun.objects.filter(finished_at=None).exists()
    monkeypatch.undo()
    assert "2 rows" in bring_in(path)


def test_the_file_itself_cannot_be_the_one_for_its_errors(file) -> None:
    path = file("first_name,pos", "Ada,1")

    with pytest.raises(CommandError, match="is the file itself"):
        bring_in(path, "--errors", str(path))

    assert path.exists() and not Profile.objects.exists()


def test_whoever_listens_is_told_of_nothing_that_an_import_does(file, by):
    for trigger in events.KNOWN:
        Webhook.objects.create(trigger=trigger, url="https://example.com/", user=by.user)
    known("pos:1", by=by)
    before = Event.objects.count()

    # One that is new, and one of somebody known, which goes by the write path.
    bring_in(file("first_name,pos,loyalty-card", "Bo,2,2", "Ada,1,1"))

    assert Profile.objects.count() == 2
    assert Profile.objects.get(first_name="Ada").identities.count() == 2
    assert Event.objects.count() == before > 0
