"""What customers say of themselves is kept and shown to them, and nothing else in the product knows of it (API.md 6)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from identities import adding, cataloguing, claiming, exporting, lookup, matching, renaming, renormalising
from identities.adding import Row
from identities.handles import Sent
from identities.models import (
    FIRST_CLAIM,
    BlockedIdentifier,
    DeletedIdentity,
    Extension,
    Handle,
    Identity,
    IdentityClaim,
    RoutingLogEntry,
)
from profiles import merging, scanning
from profiles.auditing import By
from profiles.models import Audit, DuplicatePair, Profile, Transaction
from profiles.refusing import Refused
from profiles.tasks import FORGOTTEN
from tests.cast import (
    add,
    assert_sound,
    claim,
    claim_contact,
    claims_of,
    come,
    known,
    pairs_of,
    route,
    sent,
    update,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(by: By) -> Profile:
    return known("pos-customer:1", by=by, first_name="Ada", email="ada@example.com")


def refusal(profile: Profile, pair: str, by: By) -> Refused:
    with pytest.raises(Refused) as raised:
        claiming.claim(profile.pk, sent(pair), by=by, source=None)
    return raised.value


# What a claim is


def test_what_a_customer_adds_is_a_claim_and_no_identity(ada: Profile, shopify: Extension, by: By) -> None:
    customers = By(by.user, "customer 17")

    told = claiming.claim(ada.pk, sent(" loyalty-card:1804974 "), by=customers, source=shopify)

    assert told.created
    row = IdentityClaim.objects.get()
    assert told.row == row
    assert (row.handle, row.identifier, row.profile, row.named) == ("loyalty-card", "1804974", ada, ada)
    assert (row.source, row.by, row.token_name) == (shopify, by.user, "customer 17")
    assert pairs_of(ada) == ["email:ada@example.com", "pos-customer:1"]
    (entry,) = Audit.objects.filter(auditable_type="identity_claim")
    assert (entry.event, entry.profile, entry.token_name) == ("created", ada, "customer 17")
    assert entry.new_values == {"handle": "loyalty-card", "identifier": "1804974", "profile_id": str(ada.pk)}


def test_ids_of_claims_never_collide_with_those_of_identities(ada: Profile, by: By) -> None:
    rows = [claim(ada, f"loyalty-card:{number}", by=by) for number in (7, 8, 9)]

    assert [row.pk for row in rows] == sorted(row.pk for row in rows)
    # JSON keeps integers exact up to 2^53, and no table will ever count up to where claims begin.
    assert all(FIRST_CLAIM <= row.pk < 2**53 for row in rows)
    assert Identity.objects.order_by("-pk")[0].pk < FIRST_CLAIM


def test_a_pair_is_claimed_once_per_profile(ada: Profile, by: By) -> None:
    first = claim(ada, "loyalty-card:1", by=by)

    again = claiming.claim(ada.pk, sent("loyalty-card:1 "), by=by, source=None)

    assert (again.row, again.created) == (first, False)
    assert claims_of(ada) == ["loyalty-card:1"]


def test_several_profiles_may_claim_the_same_pair(ada: Profile, bo: Profile, by: By) -> None:
    claim(ada, "loyalty-card:77", by=by)
    claim(bo, "loyalty-card:77", by=by)

    assert claims_of(ada) == claims_of(bo) == ["loyalty-card:77"]


def test_a_pair_that_the_profile_has_anyway_is_not_claimed(ada: Profile, by: By) -> None:
    told = claiming.claim(ada.pk, sent("pos-customer:1"), by=by, source=None)

    assert told == claiming.Claimed(ada.identities.get(handle="pos-customer"))
    assert claims_of(ada) == []


def test_a_claim_may_name_any_open_handle_known_or_not_and_makes_no_catalogue_row(ada: Profile, by: By) -> None:
    handles = set(Handle.objects.values_list("pk", flat=True))

    claim(ada, "loyalty-card:1", by=by)
    claim(ada, "never-seen:1", by=by)

    assert claims_of(ada) == ["loyalty-card:1", "never-seen:1"]
    assert set(Handle.objects.values_list("pk", flat=True)) == handles


def test_where_handles_must_be_agreed_a_claim_names_no_other(ada: Profile, by: By, settings: Any) -> None:
    settings.HANDLE_POLICY = "agreed"

    assert refusal(ada, "never-seen:1", by).code == "unknown_handle"


def test_a_claim_never_names_a_reserved_handle_whoever_issued_the_token(
    ada: Profile, klaviyo: Extension, by: By
) -> None:
    Handle.objects.filter(pk="klaviyo").update(reserved_for=klaviyo)

    with pytest.raises(Refused) as raised:
        claiming.claim(ada.pk, sent("klaviyo:1"), by=by, source=klaviyo)

    assert (raised.value.code, raised.value.field, raised.value.details) == ("reserved_handle", "handle", {})
    # Customers are not told who works behind the shop.
    assert raised.value.message == "Customers add nothing under the handle klaviyo."


@pytest.mark.parametrize(
    ("pair", "code"),
    [
        ("loyalty-card:null", "blocked_identifier"),
        ("loyalty-card:0", "blocked_identifier"),
        ("loyalty-card:  ", "invalid_identifier"),
        ("loyalty-card:a\x00b", "invalid_identifier"),
        (f"loyalty-card:{'9' * 256}", "invalid_identifier"),
        ("Loyalty_Card:1", "unknown_handle"),
        ("email:ada@example.com", "builtin_handle"),
        ("mobile_phone:+61404123123", "builtin_handle"),
        ("profile_id:1", "invalid_handle"),
        ("no handle:1", "invalid_handle"),
    ],
)
def test_what_no_identity_may_be_is_not_claimed_either(ada: Profile, pair: str, code: str, by: By) -> None:
    assert refusal(ada, pair, by).code == code
    assert claims_of(ada) == []


def test_a_claim_is_normalised_as_an_identity_is(ada: Profile, by: By) -> None:
    row = claim(ada, "instagram: ＡＤＡ ", by=by)

    assert (row.identifier, row.original, row.sent) == ("ada", "ＡＤＡ", "ＡＤＡ")


def test_a_claim_under_a_former_name_is_one_under_the_new_one(ada: Profile, by: By) -> None:
    renaming.rename(Handle.objects.get(pk="loyalty-card"), to="club-card", reason="", by=by)

    assert claim(ada, "loyalty-card:1", by=by).handle == "club-card"


def test_a_profile_claims_no_more_than_a_bounded_number(ada: Profile, by: By) -> None:
    for number in range(1, claiming.MOST_CLAIMS + 1):
        claim(ada, f"pos:{number}", by=by)
    claim_contact(ada, by=by, email="new@example.com", mobile_phone="+61404123123")

    assert refusal(ada, "pos:one-more", by).code == "too_many_claims"
    assert not claiming.claim(ada.pk, sent("pos:1"), by=by, source=None).created


@pytest.mark.parametrize("status", ["retired", "pattern"])
def test_a_claim_never_tells_whether_somebody_has_the_pair(ada: Profile, bo: Profile, status: str, by: By) -> None:
    # What has its pair stays known by it though the handle takes nothing new; to a customer, both are the same.
    how = {"status": Handle.Status.RETIRED} if status == "retired" else {"pattern": "[0-9]{20}"}
    Handle.objects.filter(pk="loyalty-card").update(**how)

    held, free = refusal(ada, "loyalty-card:bo", by), refusal(ada, "loyalty-card:ob", by)

    assert (held.code, held.message, held.details) == (free.code, free.message, free.details)


def test_a_claim_costs_the_same_statements_whether_somebody_has_the_pair_or_not(
    ada: Profile, bo: Profile, by: By
) -> None:
    def statements(pair: str) -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            claim(ada, pair, by=by)
        return [one["sql"].split("'")[0] for one in captured if "SAVEPOINT" not in one["sql"]]

    statements("loyalty-card:warm")

    assert statements("loyalty-card:bo") == statements("loyalty-card:ob")


# Its owner edits it


def test_its_owner_changes_a_claim_and_it_keeps_its_id(ada: Profile, by: By) -> None:
    row = claim(ada, "loyalty-card:1", by=by)

    changed = claiming.change(row.pk, of=ada.pk, identifier=" 2 ", by=by)

    assert changed.pk == row.pk
    assert claims_of(ada) == ["loyalty-card:2"]
    entry = Audit.objects.filter(auditable_type="identity_claim").latest("pk")
    assert (entry.event, entry.old_values["identifier"], entry.new_values["identifier"]) == ("updated", "1", "2")


@pytest.mark.parametrize("there", ["loyalty-card:2", "loyalty-card:9"])
def test_a_claim_is_not_changed_to_what_is_there(ada: Profile, there: str, by: By) -> None:
    add(ada, "loyalty-card:2", by=by)
    claim(ada, "loyalty-card:9", by=by)
    row = claim(ada, "loyalty-card:1", by=by)

    with pytest.raises(Refused) as raised:
        claiming.change(row.pk, of=ada.pk, identifier=sent(there).identifier, by=by)

    assert raised.value.code == "identity_exists"
    assert claiming.change(row.pk, of=ada.pk, identifier="1", by=by) == row


def test_its_owner_takes_a_claim_back(ada: Profile, by: By) -> None:
    row = claim(ada, "loyalty-card:1", by=by)

    claiming.withdraw(row.pk, of=ada.pk, by=by)

    assert claims_of(ada) == []
    entry = Audit.objects.filter(auditable_type="identity_claim").latest("pk")
    assert (entry.event, entry.old_values["identifier"]) == ("deleted", "1")
    # Only identities leave that behind, which undos ask for.
    assert not DeletedIdentity.objects.exists()


@pytest.mark.parametrize(
    "act",
    [
        lambda row, other, by: claiming.change(row.pk, of=other.pk, identifier="2", by=by),
        lambda row, other, by: claiming.withdraw(row.pk, of=other.pk, by=by),
    ],
    ids=["change", "withdraw"],
)
def test_nobody_else_edits_a_claim(ada: Profile, bo: Profile, act: Callable[..., Any], by: By) -> None:
    row = claim(ada, "loyalty-card:1", by=by)

    with pytest.raises(IdentityClaim.DoesNotExist):
        act(row, bo, by)

    assert claims_of(ada) == ["loyalty-card:1"]


def test_a_deleted_profile_claims_nothing(ada: Profile, by: By) -> None:
    row = claim(ada, "loyalty-card:1", by=by)
    Profile.objects.filter(pk=ada.pk).update(profile_type="deleted")

    assert refusal(ada, "loyalty-card:2", by).code == "profile_deleted"
    with pytest.raises(Refused):
        claiming.withdraw(row.pk, of=ada.pk, by=by)
    with pytest.raises(Profile.DoesNotExist):
        claiming.claim(uuid.uuid4(), sent("loyalty-card:1"), by=by, source=None)


def test_a_sensitive_claim_is_masked_in_the_audit(ada: Profile, by: By) -> None:
    Handle.objects.filter(pk="loyalty-card").update(sensitive=True)
    row = claim(ada, "loyalty-card:18049741804974", by=by)
    claiming.change(row.pk, of=ada.pk, identifier="28049741804974", by=by)
    add(ada, "loyalty-card:28049741804974", by=by)

    told = str(list(Audit.objects.values_list("old_values", "new_values")))

    assert "8049741804974" not in told
    assert "•••4974" in told


# Nothing meets it


def everything() -> dict[str, Any]:
    """What the product tells of everybody, except for when it was told."""
    return {
        "profiles": list(Profile.objects.order_by("pk").values()),
        "identities": list(Identity.objects.order_by("pk").values()),
        "log": RoutingLogEntry.objects.count(),
        "queue": DuplicatePair.objects.count(),
    }


@pytest.fixture
def claimed(ada: Profile, bo: Profile, by: By) -> Profile:
    """Bo has said that a card, an address and a number are theirs which nobody is known by."""
    claim(bo, "loyalty-card:777", by=by)
    claim_contact(bo, by=by, email="new@example.com", mobile_phone="+61404777777")
    return bo


PAIRS = [("loyalty-card", "777"), ("email", "new@example.com"), ("mobile_phone", "+61404777777")]


@pytest.mark.parametrize("pair", PAIRS, ids=[handle for handle, _identifier in PAIRS])
def test_nothing_is_found_by_a_claim(claimed: Profile, pair: tuple[str, str]) -> None:
    handle, identifier = pair

    assert lookup.search(handle, identifier) is None
    assert lookup.search_id(handle, identifier) is None
    assert lookup.search_profile([identifier]) == []
    assert lookup.resolve([pair]) == [None]
    assert matching.search(identifier).count() == 0
    assert matching.under_any_open_handle(identifier) is None
    assert not matching.holding_contact(handle, identifier).exists() if handle != "loyalty-card" else True


def test_nothing_is_counted_by_a_claim(claimed: Profile) -> None:
    assert Handle.objects.with_usage().get(pk="loyalty-card").usage_count == 1
    assert merging.preview(claimed.pk, [Profile.objects.create().pk]).moves == {}
    assert "777" not in [json.loads(text)["identifier"] for text in lookup.identities_of(claimed.pk)]


@pytest.mark.parametrize("pair", [f"{handle}:{identifier}" for handle, identifier in PAIRS])
def test_nothing_is_routed_by_a_claim(claimed: Profile, pair: str, by: By) -> None:
    came = come(Transaction, pair, by=by)

    assert came.routed.outcome == "created"
    assert came.record.profile not in (None, claimed)


def test_a_profile_that_is_sent_is_not_routed_by_a_claim(claimed: Profile, by: By) -> None:
    routed = route("loyalty-card:777", by=by, contact={"email": "NEW@example.com"})

    assert routed.outcome == "created"
    assert routed.profile != claimed


def test_a_claim_makes_nothing_unavailable(ada: Profile, claimed: Profile, by: By) -> None:
    update(ada, by=by, email="new@example.com", mobile_phone="+61404777777")
    add(ada, "loyalty-card:777", by=by)

    assert pairs_of(ada) == [
        "email:new@example.com", "loyalty-card:777", "mobile_phone:+61404777777", "pos-customer:1",
    ]  # fmt: skip


def test_nothing_is_merged_or_queued_by_a_claim(claimed: Profile, ada: Profile, by: By) -> None:
    Handle.objects.filter(pk="loyalty-card").update(auto_merge=True)
    # The same words at both, but as claims only.
    claim(ada, "loyalty-card:777", by=by)
    claim_contact(ada, by=by, email="n.ew@example.com", mobile_phone="+61404777777")

    scanning.scan()

    assert not DuplicatePair.objects.exists()
    assert not RoutingLogEntry.objects.exists()


def test_a_claim_is_no_limit_and_takes_no_place(ada: Profile, by: By) -> None:
    Handle.objects.filter(pk="loyalty-card").update(max_per_profile=1)
    claim(ada, "loyalty-card:1", by=by)

    assert add(ada, "loyalty-card:2", by=by)
    assert claims_of(ada) == ["loyalty-card:1"]


def test_an_export_has_no_claims(claimed: Profile, by: By) -> None:
    told = b"".join(exporting.export("ndjson", with_id=True, to="Ada's computer", by=by))

    assert b"bo@example.com" in told
    assert b'"777"' not in told
    assert b"404777777" not in told
    assert b"new@example.com" not in told


def test_a_claim_changes_nothing_that_is_told_of_its_profile_or_any_other(ada: Profile, bo: Profile, by: By) -> None:
    before = everything()

    row = claim(bo, "loyalty-card:777", by=by)
    claim(bo, "pos-customer:1", by=by)
    claim_contact(bo, by=by, email="ada@example.com", mobile_phone="+61404777777")
    claiming.change(row.pk, of=bo.pk, identifier="778", by=by)
    claiming.withdraw(row.pk, of=bo.pk, by=by)

    assert everything() == before
    assert_sound()


# What is done with the catalogue


def test_a_claim_follows_its_handle_to_another_name(ada: Profile, by: By) -> None:
    claim(ada, "loyalty-card:1", by=by)
    claim(ada, "club-card:1", by=by)
    claim(ada, "club-card:2", by=by)

    renaming.rename(Handle.objects.get(pk="loyalty-card"), to="club-card", reason="", by=by)

    assert claims_of(ada) == ["club-card:1", "club-card:2"]
    add(ada, "loyalty-card:1", by=by)
    assert claims_of(ada) == ["club-card:2"]


def test_claims_follow_a_handle_that_is_merged_into_another_and_to_its_form(ada: Profile, bo: Profile, by: By) -> None:
    for pair in ("ig:Ada", "ig:ADA", "ig:other"):
        claim(ada, pair, by=by)
    claim(bo, "ig:Ada", by=by)
    add(ada, "instagram:other", by=by)
    Handle.objects.create(name="ig")

    renaming.merge(Handle.objects.get(pk="ig"), into=Handle.objects.get(pk="instagram"), reason="", by=by)

    assert claims_of(ada) == claims_of(bo) == ["instagram:ada"]
    assert_sound()


def test_claims_follow_another_normaliser(ada: Profile, by: By) -> None:
    handle = cataloguing.create({"name": "club-card", "status": "agreed"}, by=by)
    for pair in ("club-card:A-1", "club-card:B1", "club-card:letters", "pos:A-1"):
        claim(ada, pair, by=by)

    renormalising.change(handle, {"normaliser": "digits"}, by=by)

    # The first that said it stays; one that has no digits could never be confirmed.
    assert claims_of(ada) == ["club-card:1", "pos:A-1"]
    assert IdentityClaim.objects.get(handle="club-card").original == "A-1"


@pytest.mark.parametrize("how", ["created", "changed", "agreed"])
def test_claims_follow_the_rules_that_staff_give_a_handle_without_identities(ada: Profile, how: str, by: By) -> None:
    rules = {"label": "Club", "normaliser": "fold"}
    handle = Handle.objects.create(name="club-card", fold="clubcard") if how != "created" else None
    for pair in ("club-card:A-1", "pos:A-1"):
        claim(ada, pair, by=by)

    if handle is None:
        cataloguing.create({"name": "club-card", **rules}, by=by)
    elif how == "changed":
        cataloguing.change(handle, rules, by=by)
    else:
        cataloguing.agree(handle, rules, by=by)

    assert claims_of(ada) == ["club-card:a-1", "pos:A-1"]
    add(ada, "club-card:A-1", by=by)
    assert claims_of(ada) == ["pos:A-1"]


def test_a_value_that_is_blocked_later_leaves_a_claim_that_cannot_be_confirmed(ada: Profile, by: By) -> None:
    row = claim(ada, "loyalty-card:777", by=by)
    BlockedIdentifier.objects.create(value="777")

    with pytest.raises(Refused) as raised:
        claiming.confirm(row.pk, by=by)

    assert raised.value.code == "blocked_identifier"
    assert claims_of(ada) == ["loyalty-card:777"]


# A profile that a stranger makes


def test_a_stranger_makes_a_profile_whose_pairs_and_contacts_are_claims(
    bo: Profile, shopify: Extension, by: By
) -> None:
    told = claiming.introduce(
        [sent("loyalty-card:bo"), sent("never-seen:1"), sent("loyalty-card:null")],
        fields={"first_name": "Bo"},
        contact={"email": "bo@example.com", "mobile_phone": "+61404999999"},
        by=by,
        source=shopify,
    )

    assert told.profile != bo
    assert pairs_of(told.profile) == []
    assert (told.profile.email, told.profile.mobile_phone) == ("", "")
    assert claims_of(told.profile) == [
        "email:bo@example.com", "loyalty-card:bo", "mobile_phone:+61404999999", "never-seen:1",
    ]  # fmt: skip
    assert [(one.identifier, why.code) for one, why in told.refused] == [("null", "blocked_identifier")]
    assert not RoutingLogEntry.objects.exists()
    assert not DuplicatePair.objects.exists()


def test_a_stranger_claims_no_more_than_a_customer(by: By) -> None:
    pairs = [Sent("pos", str(number)) for number in range(1, claiming.MOST_CLAIMS + 3)]

    told = claiming.introduce(pairs, fields={}, contact={}, by=by, source=None)

    assert told.profile.claims.count() == claiming.MOST_CLAIMS
    assert [why.code for _one, why in told.refused] == ["too_many_claims"] * 2


def test_a_stranger_who_sends_very_many_pairs_costs_no_more_than_one_who_claims_what_they_may(by: By) -> None:
    costs = []
    for count in (claiming.MOST_CLAIMS, 200):
        pairs = [Sent("pos", str(number)) for number in range(1, count + 1)]
        with CaptureQueriesContext(connection) as asked:
            told = claiming.introduce([*pairs, pairs[0]], fields={}, contact={}, by=by, source=None)
        costs.append(len(asked))
        assert len(told.refused) == count - claiming.MOST_CLAIMS

    assert costs[0] == costs[1]


def test_nothing_is_left_of_a_stranger_whose_contact_is_none(by: By) -> None:
    with pytest.raises(Refused):
        claiming.introduce([sent("pos:1")], fields={}, contact={"email": "no address"}, by=by, source=None)

    assert not Profile.objects.exists()
    assert not IdentityClaim.objects.exists()


def test_a_batch_of_pairs_meets_no_claim(claimed: Profile, ada: Profile, by: By) -> None:
    rows = [Row(ada.pk, Sent("loyalty-card", "778")), Row(ada.pk, Sent("loyalty-card", "779"))]

    assert [type(one) for one in adding.add_all(rows, by=by, source=None)] == [adding.Added, adding.Added]
    assert claims_of(claimed) == ["email:new@example.com", "loyalty-card:777", "mobile_phone:+61404777777"]


def test_what_nobody_has_confirmed_for_long_is_forgotten_by_the_clock(
    ada: Profile, by: By, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "FORGOTTEN_AT_ONCE", 2)
    settings.CLAIM_DAYS = 30
    for number in range(5):
        claim(ada, f"pos:7{number}", by=by)
    IdentityClaim.objects.update(updated_at=F("updated_at") - timedelta(days=31))
    young = claim(ada, "pos:9", by=by)
    IdentityClaim.objects.filter(pk=young.pk).update(updated_at=F("updated_at") - timedelta(days=29))

    assert claiming.forget_old in FORGOTTEN
    claiming.forget_old()

    assert list(IdentityClaim.objects.all()) == [young]
