"""E-mail and mobile that customers set are claims too, until a write that names that field with that value (API.md 6)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from identities import batching, claiming, lookup
from identities.handles import Sent
from identities.models import BUILT_IN, Identity, IdentityClaim, RoutingLogEntry
from profiles.auditing import By
from profiles.models import DuplicatePair, Profile, Transaction
from profiles.refusing import Refused
from profiles.tasks import read
from tests.cast import (
    add,
    assert_sound,
    claim_contact,
    claims_of,
    come,
    known,
    merge,
    pairs_of,
    route,
    update,
    value_of,
)
from tests.importing import bring_in

pytestmark = pytest.mark.django_db

OLD, NEW = (
    {"email": "ada@example.com", "mobile_phone": "+61404111111"},
    {
        "email": "new@example.com",
        "mobile_phone": "+61404222222",
    },
)

every_field = pytest.mark.parametrize("field", BUILT_IN)


@pytest.fixture
def ada(by: By) -> Profile:
    return known("pos-customer:1", by=by, first_name="Ada", **OLD)


def set_to(field: str) -> dict[str, Any]:
    return {field: NEW[field]}


def document(profile: Profile) -> dict[str, Any]:
    """The full profile as /api/v3 shows it."""
    text = lookup.profile(profile.pk)
    assert text is not None
    found: dict[str, Any] = orjson.loads(text)
    return found


def contact_pairs(profile: Profile, field: str) -> list[str]:
    return [pair for pair in pairs_of(profile) if pair.startswith(f"{field}:")]


@every_field
def test_what_a_customer_sets_is_a_claim_and_the_confirmed_value_stays(ada: Profile, field: str, by: By) -> None:
    claim_contact(ada, by=by, **set_to(field))

    assert claims_of(ada) == [f"{field}:{NEW[field]}"]
    assert value_of(ada, field) == OLD[field]
    assert contact_pairs(ada, field) == [f"{field}:{OLD[field]}"]


def test_api_v3_shows_the_confirmed_value_and_the_other_as_claimed(ada: Profile, by: By) -> None:
    assert "claimed" not in document(ada)

    claim_contact(ada, by=by, email="New@Example.com")
    told = document(ada)
    assert (told["email"], told["claimed"]) == (OLD["email"], {"email": "New@Example.com"})

    claim_contact(ada, by=by, mobile_phone="0404 222 222")
    assert document(ada)["claimed"] == {"email": "New@Example.com", "mobile_phone": NEW["mobile_phone"]}


def test_claimed_identities_are_not_shown_by_api_v3(ada: Profile, by: By) -> None:
    claiming.claim(ada.pk, Sent("loyalty-card", "777"), by=by, source=None)

    told = document(ada)

    assert "claimed" not in told
    assert "777" not in [one["identifier"] for one in told["identities"]]


@every_field
def test_a_write_that_names_that_field_with_that_value_confirms_it(ada: Profile, field: str, by: By) -> None:
    claim_contact(ada, by=by, **NEW)

    update(ada, by=by, **set_to(field))

    assert value_of(ada, field) == NEW[field]
    # As with any PUT, the value takes the place of the one shown.
    assert contact_pairs(ada, field) == [f"{field}:{NEW[field]}"]
    (other,) = {*BUILT_IN} - {field}
    assert claims_of(ada) == [f"{other}:{NEW[other]}"]
    assert_sound()


def test_a_client_that_sends_back_the_whole_object_confirms_nothing(ada: Profile, by: By) -> None:
    claim_contact(ada, by=by, **NEW)

    read_before = document(ada)
    update(ada, by=by, first_name="Augusta", **{name: read_before[name] for name in BUILT_IN})

    assert len(claims_of(ada)) == 2
    assert (value_of(ada, "email"), value_of(ada, "mobile_phone")) == (OLD["email"], OLD["mobile_phone"])


def test_a_write_of_another_value_confirms_nothing_either(ada: Profile, by: By) -> None:
    claim_contact(ada, by=by, email=NEW["email"])

    update(ada, by=by, email="third@example.com")

    assert claims_of(ada) == ["email:new@example.com"]
    assert value_of(ada, "email") == "third@example.com"


def test_a_write_before_the_claim_confirms_nothing(ada: Profile, by: By) -> None:
    update(ada, by=by, email=NEW["email"])
    update(ada, by=by, email=OLD["email"])

    claim_contact(ada, by=by, email=NEW["email"])

    assert claims_of(ada) == ["email:new@example.com"]


def test_a_profile_that_is_sent_with_that_value_confirms_it(ada: Profile, by: By) -> None:
    claim_contact(ada, by=by, email=NEW["email"])

    routed = route("pos-customer:1", by=by, contact={"email": NEW["email"]})

    assert (routed.profile, routed.not_taken) == (ada, [])
    assert value_of(ada, "email") == NEW["email"]
    assert claims_of(ada) == []
    assert_sound()


def test_a_profile_that_is_sent_with_another_value_does_not(ada: Profile, by: By) -> None:
    claim_contact(ada, by=by, email=NEW["email"])

    routed = route("pos-customer:1", by=by, contact={"email": "third@example.com"})

    assert routed.not_taken == ["email"]
    assert claims_of(ada) == ["email:new@example.com"]
    assert value_of(ada, "email") == OLD["email"]


def test_a_batch_of_profiles_and_an_import_confirm_it(ada: Profile, tmp_path: Path, by: By) -> None:
    claim_contact(ada, by=by, **NEW)
    payload = {"identities": [{"handle": "pos-customer", "identifier": "1"}], "email": NEW["email"]}

    batch = batching.queue("pos-customer", [payload], by=by, source=None)
    batching.bring_in(batch.pk, read=read, stop=lambda: False, give_up=True)
    assert claims_of(ada) == [f"mobile_phone:{NEW['mobile_phone']}"]

    (tmp_path / "people.csv").write_text(f"pos-customer,mobile_phone\n1,{NEW['mobile_phone']}\n")
    bring_in(tmp_path / "people.csv", "--by", by.user.get_username())
    assert claims_of(ada) == []
    assert (value_of(ada, "email"), value_of(ada, "mobile_phone")) == (NEW["email"], NEW["mobile_phone"])
    assert_sound()


def test_a_record_with_that_value_confirms_nothing_where_another_is_confirmed(ada: Profile, by: By) -> None:
    claim_contact(ada, by=by, email=NEW["email"])

    came = come(Transaction, "pos-customer:1", f"email:{NEW['email']}", by=by)

    assert came.record.profile == ada
    assert claims_of(ada) == ["email:new@example.com"]
    assert value_of(ada, "email") == OLD["email"]


def test_staff_confirm_it(ada: Profile, by: By) -> None:
    claim_contact(ada, by=by, email="New@Example.com", mobile_phone="0404 222 222")

    for row in IdentityClaim.objects.all():
        claiming.confirm(row.pk, by=by)

    assert (value_of(ada, "email"), value_of(ada, "mobile_phone")) == ("New@Example.com", NEW["mobile_phone"])
    assert claims_of(ada) == []
    assert_sound()


@every_field
def test_it_matches_nothing_and_blocks_nobody(ada: Profile, bo: Profile, field: str, by: By) -> None:
    claim_contact(bo, by=by, **NEW)

    update(ada, by=by, **set_to(field))

    assert value_of(ada, field) == NEW[field]
    assert f"{field}:{NEW[field]}" not in claims_of(bo)
    (entry,) = RoutingLogEntry.objects.all()
    assert (entry.outcome, entry.handle, entry.requested_profile, entry.routed_profile) == (
        "claim_overridden", field, bo, ada,
    )  # fmt: skip
    assert {DuplicatePair.objects.get().low, DuplicatePair.objects.get().high} == {ada, bo}


def test_a_record_that_names_it_alone_goes_to_a_new_profile(ada: Profile, by: By) -> None:
    claim_contact(ada, by=by, email=NEW["email"])

    came = come(Transaction, f"email:{NEW['email']}", by=by)

    assert came.routed.outcome == "created"
    assert claims_of(ada) == []
    assert RoutingLogEntry.objects.get().outcome == "claim_overridden"


# What the customer does with it


def test_one_of_a_kind_is_claimed_and_the_last_said_counts(ada: Profile, by: By) -> None:
    claim_contact(ada, by=by, email="first@example.com")
    row = IdentityClaim.objects.get()

    claim_contact(ada, by=by, email="second@example.com")

    assert claims_of(ada) == ["email:second@example.com"]
    assert IdentityClaim.objects.get().pk == row.pk


def test_the_same_value_again_changes_nothing(ada: Profile, by: By) -> None:
    claim_contact(ada, by=by, email=NEW["email"])
    before = IdentityClaim.objects.values().get()

    claim_contact(ada, by=by, email=NEW["email"].upper())

    assert IdentityClaim.objects.values().get() == before


@pytest.mark.parametrize("taken_back", [OLD["email"], "", None])
def test_the_confirmed_value_or_none_takes_the_claim_back(ada: Profile, taken_back: str | None, by: By) -> None:
    claim_contact(ada, by=by, **NEW)

    claim_contact(ada, by=by, email=taken_back)

    assert claims_of(ada) == [f"mobile_phone:{NEW['mobile_phone']}"]
    # What is confirmed a customer does not empty.
    assert value_of(ada, "email") == OLD["email"]


def test_a_contact_that_the_profile_holds_is_shown_from_now_on(ada: Profile, by: By) -> None:
    merge(ada, known(by=by, email="held@example.com"), by=by)
    claim_contact(ada, by=by, email=NEW["email"])

    claim_contact(ada, by=by, email="held@example.com")

    assert value_of(ada, "email") == "held@example.com"
    assert claims_of(ada) == []
    assert contact_pairs(ada, "email") == ["email:ada@example.com", "email:held@example.com"]


def test_a_contact_of_somebody_else_is_claimed_without_a_word(ada: Profile, bo: Profile, by: By) -> None:
    claim_contact(ada, by=by, email="bo@example.com", mobile_phone="+61404999999")

    assert claims_of(ada) == ["email:bo@example.com", "mobile_phone:+61404999999"]
    assert not RoutingLogEntry.objects.exists()


@pytest.mark.parametrize(
    ("contact", "code"),
    [
        ({"email": "no address"}, "invalid_identifier"),
        ({"email": "test@test.com"}, "blocked_identifier"),
        ({"mobile_phone": "12"}, "invalid_identifier"),
    ],
)
def test_what_no_contact_may_be_is_not_claimed(ada: Profile, contact: dict[str, str], code: str, by: By) -> None:
    with pytest.raises(Refused) as raised:
        claim_contact(ada, by=by, **contact)

    assert (raised.value.code, raised.value.field) == (code, next(iter(contact)))
    assert claims_of(ada) == []


def test_fields_and_claims_are_written_together_or_not_at_all(ada: Profile, by: By) -> None:
    with pytest.raises(Refused):
        claiming.update(
            ada.pk,
            fields={"birth_day": 30, "birth_month": 2, "birth_year": 2000},
            contact={"email": NEW["email"]},
            by=by,
            source=None,
        )
    assert claims_of(ada) == []

    claiming.update(ada.pk, fields={"first_name": "Augusta"}, contact={"email": NEW["email"]}, by=by, source=None)
    assert (value_of(ada, "first_name"), claims_of(ada)) == ("Augusta", ["email:new@example.com"])


def test_a_claimed_contact_that_comes_with_a_merge_is_confirmed(ada: Profile, by: By) -> None:
    claim_contact(ada, by=by, email="other@example.com")

    merge(ada, known(by=by, email="other@example.com"), by=by)

    assert claims_of(ada) == []
    assert "claimed" not in document(ada)
    assert Identity.objects.filter(profile=ada, handle="email").count() == 2


def test_the_owner_is_not_asked_for_when_a_contact_is_claimed(ada: Profile, bo: Profile, by: By) -> None:
    add(ada, "loyalty-card:1", by=by)
    claim_contact(ada, by=by, email="bo@example.com")

    # Bo's next write confirms nothing of Ada's, and Ada's next read still says that it is only claimed.
    assert document(ada)["claimed"] == {"email": "bo@example.com"}
