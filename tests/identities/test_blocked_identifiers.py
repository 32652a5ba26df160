from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from identities import lookup, routing
from identities.handles import Sent
from identities.models import BlockedIdentifier, Handle, Identity, RoutingLogEntry
from profiles.auditing import By
from profiles.models import Profile
from profiles.refusing import Refused
from tests.cast import add, pairs_of, route, update

pytestmark = pytest.mark.django_db

# API.md 2 names these; the last lines are spellings that the shipped entries must catch too.
BLOCKED = [
    "null", "NULL", '"null"', "none", "nil", "undefined", "nan", "0", "00000", "-1", "-", "n/a", "unknown",
    "anonymous", "guest", "test", "test@test.com", "[object Object]",
    "NULL ", "NaN", "None", "N/A", "Unknown", "GUEST", "Test@Test.COM", "[OBJECT OBJECT]", "--", "-----", "0" * 255,
]  # fmt: skip

AROUND = ["{}", " {}\t", "'{}'", '"{}"', "`{}`", ' " {} " ', "\"'{}'\""]

# Short, odd or containing a blocked word, but names all the same.
FREE = [
    "1",
    "7",
    "a",
    "x",
    "?",
    "nullo",
    "testing",
    "guest-1",
    "0a0",
    "-2",
    "1-",
    "0-0",
    "null null",
    "nobody",
    "'",
    "no",
]


def test_a_value_that_names_nobody_is_refused_and_the_rest_of_the_record_kept(
    ada: Profile, bo: Profile, by: By
) -> None:
    add(ada, "loyalty-card:1804974", by=by)

    with pytest.raises(Refused) as refusal:
        add(ada, "pos-customer:guest", by=by)
    routed = route("loyalty-card:1804974", "pos-customer:Guest", "pos:7", by=by, title="Countess")

    assert (refusal.value.code, refusal.value.field) == ("blocked_identifier", "identifier")
    assert "guest" in refusal.value.message
    assert (routed.profile, routed.outcome) == (ada, "attached")
    assert routed.profile.title == "Countess"
    assert pairs_of(ada) == ["loyalty-card:1804974", "pos:7"]
    (told,) = routed.refused
    assert (told["handle"], told["identifier"], told["code"]) == ("pos-customer", "Guest", "blocked_identifier")
    entry = RoutingLogEntry.objects.get()
    assert (entry.pk, entry.outcome, entry.code) == (routed.log_entry_id, "refused", "blocked_identifier")
    assert (entry.handle, entry.identifier, entry.routed_profile) == ("pos-customer", "Guest", ada)
    assert entry.payload["identities"][1] == {"handle": "pos-customer", "identifier": "Guest"}


@pytest.mark.parametrize("value", BLOCKED)
def test_what_systems_write_for_nothing_is_blocked_in_any_case_space_and_quotes(
    value: str, ada: Profile, by: By
) -> None:
    spellings = [around.format(value) for around in AROUND if len(around.format(value).strip()) <= 255]

    for pair in [Sent("loyalty-card", one) for one in spellings] + [Sent("instagram", value), Sent("new", value)]:
        with pytest.raises(Refused) as refusal:
            add(ada, pair, by=by)
        assert refusal.value.code == "blocked_identifier"
    routed = route(*(Sent("loyalty-card", one) for one in spellings), by=by)

    assert {one["code"] for one in routed.refused} == {"blocked_identifier"}
    assert len(routed.refused) == len(spellings)
    assert not Identity.objects.exists()
    assert not Handle.objects.filter(name="new").exists()


@pytest.mark.parametrize("value", FREE)
def test_no_other_short_value_is_blocked(value: str, ada: Profile, by: By) -> None:
    assert add(ada, Sent("loyalty-card", value), by=by).identifier == value


@pytest.mark.parametrize("value", ["", " ", "\t", "''", '""', "` `", "\"''\""])
def test_an_empty_value_is_no_identity(value: str, ada: Profile, by: By) -> None:
    with pytest.raises(Refused) as refusal:
        add(ada, Sent("loyalty-card", value), by=by)

    assert refusal.value.code in ("invalid_identifier", "blocked_identifier")
    assert not ada.identities.exists()


def test_blocked_values_hold_for_contact_points_too(ada: Profile, by: By) -> None:
    for contact in ("test@test.com", " TEST@test.com", "'Test@Test.com'", "null", "N/A", "0", "-"):
        with pytest.raises(Refused) as refusal:
            update(ada, by=by, email=contact)
        assert (refusal.value.code, refusal.value.field) == ("blocked_identifier", "email")
    for contact in ("0000000000", "00000", "-", "unknown", '"null"'):
        with pytest.raises(Refused) as refusal:
            route("loyalty-card:1", by=by, contact={"mobile_phone": contact})
        assert (refusal.value.code, refusal.value.field) == ("blocked_identifier", "mobile_phone")

    assert not Identity.objects.exists()


def test_an_identity_cannot_be_changed_to_a_blocked_value(ada: Profile, by: By) -> None:
    identity = add(ada, "loyalty-card:1", by=by)

    with pytest.raises(Refused, match="names nobody") as refusal:
        routing.change(identity.pk, identifier=" 'GUEST' ", by=by, source=None)

    assert refusal.value.code == "blocked_identifier"
    assert pairs_of(ada) == ["loyalty-card:1"]


def test_look_ups_refuse_no_blocked_value_and_find_nobody(ada: Profile, by: By) -> None:
    add(ada, "loyalty-card:1", by=by)

    assert lookup.search("loyalty-card", "null") is None
    assert lookup.resolve([("loyalty-card", "0"), ("loyalty-card", "1")]) == [None, ada.pk]


@pytest.mark.parametrize(
    ("entry", "values"),
    [
        *((word, [word, word.upper(), f"'{word}'"]) for word in
          ["null", "none", "nil", "undefined", "nan", "-1", "n/a", "unknown", "anonymous", "guest", "test",
           "test@test.com", "[object object]"]),
        ("0+", ["0", "00000", '"0"']),
        ("-+", ["-", "--"]),
    ],
)  # fmt: skip
def test_each_shipped_entry_can_be_switched_off_alone(entry: str, values: list[str], ada: Profile, by: By) -> None:
    others = BlockedIdentifier.objects.exclude(value=entry).count()

    BlockedIdentifier.objects.filter(value=entry, built_in=True).update(enabled=False)

    for value in values:
        assert add(ada, Sent("loyalty-card", value), by=by).identifier == value
    for value in set(BLOCKED[:18]) - {one for one in BLOCKED if one in values or one.strip("\"'").lower() in values}:
        with pytest.raises(Refused, match="names nobody"):
            add(ada, Sent("loyalty-card", value), by=by)
    assert BlockedIdentifier.objects.filter(enabled=True).count() == others == 14


def test_staff_block_a_value_under_one_handle_or_under_all(ada: Profile, by: By) -> None:
    everywhere = BlockedIdentifier(value=" 'House Account' ", by=by.user)
    here = BlockedIdentifier(handle_id="pos-customer", value="WALK-IN", by=by.user)
    for entry in (everywhere, here):
        entry.full_clean()
        entry.save()

    assert (everywhere.value, here.value) == ("house account", "walk-in")
    for pair in ("pos-customer:walk-in", "pos-customer:'Walk-In'", "pos:HOUSE ACCOUNT", "pos-customer:house account"):
        with pytest.raises(Refused, match="names nobody"):
            add(ada, pair, by=by)
    add(ada, "pos:walk-in", by=by)
    here.delete()
    add(ada, "pos-customer:walk-in", by=by)


def test_staff_block_by_a_regular_expression_that_must_match_the_whole_value(ada: Profile, by: By) -> None:
    everywhere = BlockedIdentifier(kind="regex", value=r"x+\d?", by=by.user)
    here = BlockedIdentifier(handle_id="pos-customer", kind="regex", value="T07-.*|till", by=by.user)
    for entry in (everywhere, here):
        entry.full_clean()
        entry.save()

    for pair in ("pos:x", "pos:XXX7", "loyalty-card:'xx'", "pos-customer:t07-000381", "pos-customer:TILL"):
        with pytest.raises(Refused, match="names nobody"):
            add(ada, pair, by=by)
    for pair in ("pos:x77", "pos:ax", "pos:T07-000381", "pos-customer:AT07-1", "pos-customer:tills"):
        add(ada, pair, by=by)


def test_an_entry_under_a_handle_holds_for_its_normal_form(ada: Profile, by: By) -> None:
    Handle.objects.create(name="member", normaliser="digits")
    BlockedIdentifier.objects.create(handle_id="member", value="999")

    for spelled in ("999", "9-9-9", "No. 999", "\uff19\uff19\uff19"):
        with pytest.raises(Refused, match="names nobody"):
            add(ada, Sent("member", spelled), by=by)
    for spelled in ("00-00", "0.0"):
        with pytest.raises(Refused, match="names nobody"):
            add(ada, Sent("member", spelled), by=by)


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|a)*b", r"(.*a){25}", r"(\w+\s?)*x", r"([a-z]+)*\d"])
def test_a_regular_expression_of_staff_cannot_hang_a_write(pattern: str, ada: Profile, by: By) -> None:
    entry = BlockedIdentifier(kind="regex", value=pattern, by=by.user)
    entry.full_clean()
    entry.save()
    handle = Handle(name="member", pattern=pattern)
    handle.full_clean()
    handle.save()

    # A backtracking engine needs longer for either of these than the test suite will wait.
    add(ada, Sent("loyalty-card", "a" * 240 + "!"), by=by)
    with pytest.raises(Refused) as refusal:
        add(ada, Sent("member", "a" * 240 + "!"), by=by)

    assert refusal.value.code == "invalid_identifier"


@pytest.mark.parametrize(
    "pattern", ["(", "[a", "*", "a{2,1}", "(?<=a)b", r"(a)\1", "((a{1000}){1000}){1000}", "(?P<a"]
)
def test_what_is_no_regular_expression_is_refused_when_it_is_written(pattern: str) -> None:
    for row in (BlockedIdentifier(kind="regex", value=pattern), Handle(name="member", pattern=pattern)):
        with pytest.raises(ValidationError) as refusal:
            row.clean()
        assert list(refusal.value.error_dict) in (["value"], ["pattern"])


def test_the_same_entry_stands_once_in_the_list(by: By) -> None:
    BlockedIdentifier.objects.create(handle_id="pos", value="walk-in")

    for handle, value in (("pos", "walk-in"), (None, "null")):
        with pytest.raises(IntegrityError), transaction.atomic():
            BlockedIdentifier.objects.create(handle_id=handle, value=value)
        with pytest.raises(ValidationError):
            BlockedIdentifier(handle_id=handle, value=value).full_clean()
