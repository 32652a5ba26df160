"""The finer print of the routing rule: which pair decides, what is set aside, and what a contact point may do."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from identities import adding, lookup, releasing, routing
from identities.models import BlockedIdentifier, Extension, Handle, Identity, RoutingLogEntry
from profiles.auditing import By
from profiles.models import Audit, Interaction, Profile, Record, Transaction
from tests.cast import add, assert_sound, come, every_kind, pairs_of, route, sent, update

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(ada: Profile, by: By) -> Profile:
    add(ada, "loyalty-card:1", by=by)
    return ada


def codes(recorded: Any) -> dict[str, str]:
    """Why each pair of a record was set aside."""
    return {f"{one['handle']}:{one['identifier']}": one["code"] for one in recorded.routed.refused}


def logged(*, outcome: str) -> list[tuple[str, str, Profile | None]]:
    entries = RoutingLogEntry.objects.filter(outcome=outcome).order_by("handle", "identifier")
    return [(f"{entry.handle}:{entry.identifier}", entry.code, entry.routed_profile) for entry in entries]


# Which of several known pairs decides.


@pytest.mark.parametrize("order", [1, -1])
def test_the_bigger_priority_decides_and_then_the_older_identity(
    order: int, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    add(ada_again, "pos:7", by=by)
    pairs = ["loyalty-card:1", "pos:7"][::order]

    assert come(Transaction, *pairs, by=by).record.profile == ada
    Handle.objects.filter(name="pos").update(priority=1)
    recorded = come(Transaction, *pairs, by=by)

    assert (recorded.record.profile, recorded.record.brought_by_handle) == (ada_again, "pos")
    assert {entry.routed_profile for entry in RoutingLogEntry.objects.all()} == {ada, ada_again}


def test_of_several_pairs_of_one_profile_the_highest_and_then_the_oldest_brought_the_record(
    ada: Profile, bo: Profile, by: By
) -> None:
    for pair in ("pos:7", "staff-number:3"):
        add(ada, pair, by=by)
    pairs = ["staff-number:3", "pos:7", "loyalty-card:1", "instagram:ada"]

    oldest = come(Transaction, *pairs, by=by)
    Handle.objects.filter(name="staff-number").update(priority=3)
    Handle.objects.filter(name="pos").update(priority=2)
    highest = come(Transaction, *pairs, by=by)

    assert oldest.record.brought_by == ada.identities.get(handle="loyalty-card")
    assert highest.record.brought_by == ada.identities.get(handle="staff-number")
    assert [one.routed.outcome for one in (oldest, highest)] == ["attached", "matched"]
    assert ada.identities.get(handle="instagram").brought_by == oldest.record.brought_by
    assert not RoutingLogEntry.objects.exists(), "Nothing is in doubt."


def test_three_profiles_are_one_conflict(ada: Profile, ada_again: Profile, bo: Profile, by: By) -> None:
    third = Profile.objects.create()
    add(ada_again, "pos:7", by=by)
    add(third, "staff-number:3", by=by)

    recorded = come(Transaction, "loyalty-card:1", "pos:7", named=third.pk, by=by)
    all_three = come(Transaction, "loyalty-card:1", "pos:7", "staff-number:3", by=by)

    first, second = RoutingLogEntry.objects.order_by("pk")
    assert (recorded.routed.outcome, first.outcome, first.requested_profile) == ("conflict", "conflict", third)
    assert set(first.candidates) == {ada.pk, ada_again.pk}
    assert set(second.candidates) == {ada.pk, ada_again.pk, third.pk}
    assert (second.routed_profile, second.requested_profile) == (all_three.record.profile, None)


def test_inactive_pairs_decide_and_pairs_of_a_deleted_profile_do_not(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    card, till = ada.identities.get(), add(ada_again, "pos:7", by=by)
    routing.change(card.pk, is_active=False, by=by, source=None)
    releasing.delete(ada_again.pk, by=by)

    recorded = come(Transaction, "pos:7", "loyalty-card:1", by=by)

    assert (recorded.routed.outcome, recorded.record.profile) == ("attached", ada)
    till.refresh_from_db()
    assert (till.profile, till.brought_by) == (ada, card), "Its row goes to whoever writes the pair."
    assert logged(outcome="released_from") == [("pos:7", "", ada)]


# What is set aside.


@every_kind
def test_pairs_that_cannot_be_written_are_set_aside_and_spoil_nothing(
    kind: type[Record], ada: Profile, bo: Profile, by: By
) -> None:
    Handle.objects.filter(name="staff-number").update(single_valued=True)
    add(ada, "staff-number:1", by=by)
    bad = {
        "pos:null": "blocked_identifier",
        "klaviyo:9": "reserved_handle",
        "Loyalty_Card:1": "unknown_handle",
        "staff-number:2": "too_many_identities",
        "pos:\x07": "invalid_identifier",
        "email:no-address": "invalid_identifier",
    }

    recorded = come(kind, *bad, "loyalty-card:1", "pos:7", by=by)

    assert (recorded.routed.outcome, recorded.record.profile) == ("attached", ada)
    assert codes(recorded) == bad
    assert all(one["message"] for one in recorded.routed.refused)
    assert logged(outcome="refused") == sorted((pair, code, ada) for pair, code in bad.items())
    entry = recorded.record.log_entry
    assert (entry.outcome, entry.pk) == ("refused", recorded.routed.log_entry_id)
    assert len(recorded.record.pairs) == len(bad) + 2, "Set aside or not, the record keeps what it named."
    assert pairs_of(ada) == ["loyalty-card:1", "pos:7", "staff-number:1"]
    assert_sound()


@every_kind
def test_a_record_of_nothing_but_unusable_pairs_is_nobodys(kind: type[Record], bo: Profile, by: By) -> None:
    recorded = come(kind, "pos:0000", "email:test@test.com", "klaviyo:9", by=by)

    assert (recorded.routed.outcome, recorded.record.profile) == ("anonymous", None)
    assert set(codes(recorded).values()) == {"blocked_identifier", "reserved_handle"}
    assert {profile for _pair, _code, profile in logged(outcome="refused")} == {None}
    assert list(Profile.objects.all()) == [bo]
    assert_sound()


def test_a_reserved_pair_decides_for_the_extension_that_claims_it_and_for_nobody_else(
    ada: Profile, klaviyo: Extension, shopify: Extension, bo: Profile, by: By
) -> None:
    adding.add(ada.pk, sent("klaviyo:9"), by=by, source=klaviyo)

    its_own = come(Interaction, "klaviyo:9", by=by, source=klaviyo)
    others = come(Interaction, "klaviyo:9", by=by, source=shopify)

    assert (its_own.record.profile, others.record.profile) == (ada, None)
    assert codes(others) == {"klaviyo:9": "reserved_handle"}


def test_a_new_profile_takes_no_more_of_a_handle_than_it_may(bo: Profile, by: By) -> None:
    Handle.objects.filter(name="pos").update(max_per_profile=2)

    recorded = come(Transaction, "pos:1", "pos:2", "pos:3", by=by)

    assert pairs_of(recorded.record.profile) == ["pos:1", "pos:2"]
    assert codes(recorded) == {"pos:3": "too_many_identities"}


@pytest.mark.parametrize("state", ["unknown", "deleted"])
def test_an_id_that_stands_for_nobody_is_set_aside_beside_something_usable(
    state: str, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    update(ada, email="ada@example.com", by=by)
    named = uuid.uuid4() if state == "unknown" else ada_again.pk
    if state == "deleted":
        releasing.delete(ada_again.pk, by=by)
    code = {"unknown": "unknown_profile", "deleted": "profile_deleted"}[state]

    for pairs, outcome, decided_by in (
        (["loyalty-card:1"], "matched", "identity"),
        (["email:ada@example.com"], "matched", "contact"),
        (["pos:7"], "created", "new"),
        (["email:eve@example.com"], "created", "new"),
    ):
        recorded = come(Transaction, *pairs, named=named, by=by)

        row = recorded.record
        assert (recorded.routed.outcome, row.decided_by, row.addressed) == (outcome, decided_by, named)
        assert codes(recorded) == {f"profile_id:{named}": code}
        assert (f"profile_id:{named}", code, row.profile) in logged(outcome="refused")
        assert row.profile != ada_again
    assert not ada_again.identities.exists()
    assert_sound()


@every_kind
def test_a_record_for_a_deleted_profile_is_kept_on_it(kind: type[Record], ada: Profile, bo: Profile, by: By) -> None:
    releasing.delete(ada.pk, by=by)

    alone = come(kind, named=ada.pk, by=by)
    with_a_bad_pair = come(kind, "pos:guest", named=ada.pk, by=by)

    for recorded in (alone, with_a_bad_pair):
        assert (recorded.routed.outcome, recorded.record.profile, recorded.record.decided_by) == ("matched", ada, "id")
    assert (codes(alone), codes(with_a_bad_pair)) == ({}, {"pos:guest": "blocked_identifier"})
    assert_sound()


# Contact points.


@every_kind
def test_a_contact_decides_when_nothing_else_does(kind: type[Record], ada: Profile, bo: Profile, by: By) -> None:
    update(ada, email="ada@example.com", mobile_phone="0404 123 123", by=by)

    for pair, identity in (
        ("email:ADA@example.com", ada.identities.get(handle="email")),
        ("mobile_phone:+61 404 123 123", ada.identities.get(handle="mobile_phone")),
    ):
        recorded = come(kind, pair, by=by)

        assert (recorded.routed.outcome, recorded.routed.identity) == ("matched", identity)
        row = recorded.record
        assert (row.profile, row.decided_by, row.brought_by) == (ada, "contact", identity)
    assert_sound()


@pytest.mark.parametrize("order", [1, -1])
def test_an_e_mail_address_decides_before_a_number(order: int, ada: Profile, bo: Profile, by: By) -> None:
    update(ada, email="ada@example.com", by=by)
    # However their handles rank, and whichever is older.
    Handle.objects.filter(name="mobile_phone").update(priority=9)

    recorded = come(Transaction, *["email:ada@example.com", "mobile_phone:0404 999 999"][::order], by=by)

    assert (recorded.routed.outcome, recorded.record.profile) == ("conflict", ada)
    entry = RoutingLogEntry.objects.get()
    assert (entry.handle, entry.identifier) == ("mobile_phone", "+61404999999")
    assert set(entry.candidates) == {ada.pk, bo.pk}


def test_a_contact_decides_nothing_beside_a_known_pair_or_a_named_id(ada: Profile, bo: Profile, by: By) -> None:
    for named, pairs in ((None, ["loyalty-card:1"]), (ada.pk, []), (ada.pk, ["pos:7"])):
        RoutingLogEntry.objects.all().delete()

        recorded = come(Transaction, "email:bo@example.com", *pairs, named=named, by=by)

        assert (recorded.routed.outcome, recorded.record.profile) == ("conflict", ada), "It never reroutes."
        entry = RoutingLogEntry.objects.get()
        assert (entry.outcome, entry.handle, entry.requested_profile) == ("conflict", "email", ada if named else None)
        assert set(entry.candidates) == {ada.pk, bo.pk}
    till = ada.identities.get(handle="pos")
    assert (till.conflict, till.by_contact) == (entry, False), "The id that was named ties it, too."


def test_an_unknown_contact_joins_a_profile_that_has_none_and_is_shown(ada: Profile, bo: Profile, by: By) -> None:
    card = ada.identities.get()

    recorded = come(
        Transaction, "mobile_phone:0404 123 123", "email:Ada@example.com", "loyalty-card:1", "pos:7", by=by
    )

    routed = recorded.routed
    assert (routed.outcome, routed.identity, routed.not_taken) == ("attached", card, [])
    ada.refresh_from_db()
    assert (ada.email, ada.mobile_phone, ada.mobile_phone_country) == ("Ada@example.com", "+61404123123", 61)
    for identity in ada.identities.exclude(pk=card.pk):
        assert (identity.brought_by, identity.is_primary) == (card, False)
    audit = Audit.objects.get(auditable_type="profile", event="updated")
    assert audit.new_values == {"email": "Ada@example.com", "mobile_phone": "+61404123123"}
    assert not RoutingLogEntry.objects.exists()
    assert_sound()


def test_an_unknown_contact_stays_in_the_record_where_the_profile_has_one(ada: Profile, bo: Profile, by: By) -> None:
    update(ada, email="ada@example.com", by=by)

    recorded = come(
        Transaction, "loyalty-card:1", "email:other@example.com", "email:ada@example.com", "mobile_phone:0404123123",
        "mobile_phone:0404123124", by=by,
    )  # fmt: skip

    assert (recorded.routed.outcome, sorted(recorded.routed.not_taken)) == ("attached", ["email", "mobile_phone"])
    assert pairs_of(ada) == ["email:ada@example.com", "loyalty-card:1", "mobile_phone:+61404123123"]
    assert {"handle": "email", "identifier": "other@example.com"} in recorded.record.pairs
    ada.refresh_from_db()
    assert ada.email == "ada@example.com"
    assert not RoutingLogEntry.objects.exists()


def test_a_profile_is_made_for_an_unknown_contact_and_shows_it(bo: Profile, by: By) -> None:
    recorded = come(Transaction, "email:eve@example.com", "pos:7", by=by)

    eve = recorded.record.profile
    assert (recorded.routed.outcome, recorded.record.decided_by, recorded.record.brought_by_handle) == (
        "created", "new", "pos",
    )  # fmt: skip
    assert pairs_of(eve) == ["email:eve@example.com", "pos:7"]
    assert Profile.objects.get(pk=eve.pk).email == "eve@example.com"
    assert not eve.identities.filter(by_contact=True).exists()
    assert come(Transaction, "email:eve@example.com", by=by).record.profile == eve


def test_a_pair_that_a_contact_alone_attached_routes_but_is_not_confirmed_by_any_record(
    ada: Profile, bo: Profile, by: By
) -> None:
    update(ada, email="ada@example.com", by=by)

    first = come(Transaction, "email:ada@example.com", "pos:7", by=by)
    till = ada.identities.get(handle="pos")
    assert (first.routed.outcome, first.record.decided_by) == ("attached", "contact")
    assert (till.by_contact, till.brought_by) == (True, ada.identities.get(handle="email"))

    for named, pairs in ((None, ["pos:7"]), (ada.pk, ["pos:7"]), (None, ["loyalty-card:1", "pos:7"])):
        assert come(Transaction, *pairs, named=named, by=by).record.profile == ada
    assert Identity.objects.get(pk=till.pk).by_contact

    adding.add(ada.pk, sent("pos:7"), by=by, source=None)
    assert not Identity.objects.get(pk=till.pk).by_contact

    Identity.objects.filter(pk=till.pk).update(by_contact=True)
    routing.change(till.pk, is_active=True, by=by, source=None)
    assert not Identity.objects.get(pk=till.pk).by_contact


def test_what_rests_on_a_contact_alone_confirms_nothing_that_comes_by_it(ada: Profile, bo: Profile, by: By) -> None:
    # Somebody who knows another's address must not get a token for them, by however many steps.
    update(ada, email="ada@example.com", by=by)
    come(Transaction, "email:ada@example.com", "pos:7", by=by, external_id="R1")

    come(Transaction, "pos:7", "pos-customer:1", by=by)
    come(Transaction, "staff-number:1", upsert=True, external_id="R1", by=by)
    route("pos:7", "web:1", by=by)
    solid = come(Transaction, "pos:7", "loyalty-card:1", "instagram:ada", by=by)
    by_id = come(Transaction, "pos:7", "member:1", named=ada.pk, by=by)

    assert (solid.record.profile, by_id.record.profile) == (ada, ada)
    by_contact = set(ada.identities.filter(by_contact=True).values_list("handle", flat=True))
    assert by_contact == {"pos", "pos-customer", "staff-number", "web"}


# An identifier without a handle.


def test_a_bare_identifier_decides_when_one_profile_has_it_and_never_makes_a_pair(
    ada: Profile, bo: Profile, by: By
) -> None:
    add(ada, "pos:1", by=by)
    card = ada.identities.get(handle="loyalty-card")

    known = come(Interaction, bare="1", by=by)
    unknown = come(Interaction, bare="nowhere", by=by)

    assert (known.routed.outcome, known.record.profile, known.routed.identity) == ("matched", ada, card)
    assert known.record.pairs == [{"handle": "", "identifier": "1"}]
    assert (unknown.routed.outcome, unknown.record.profile) == ("anonymous", None)
    assert codes(unknown) == {":nowhere": "unknown_identifier"}
    assert logged(outcome="refused") == [(":nowhere", "unknown_identifier", None)]
    assert pairs_of(ada) == ["loyalty-card:1", "pos:1"]
    assert not Handle.objects.filter(name="").exists()


def test_a_bare_identifier_of_two_profiles_decides_nothing(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    add(ada_again, "pos:1", by=by)

    ambiguous = come(Interaction, bare="1", by=by)
    releasing.delete(ada_again.pk, by=by)
    after = come(Interaction, bare="1", by=by)

    assert (ambiguous.record.profile, codes(ambiguous)) == (None, {":1": "unknown_identifier"})
    assert after.record.profile == ada, "Deleted profiles are known by nothing."


def test_reserved_handles_and_contacts_do_not_count_for_a_bare_identifier(
    ada: Profile, ada_again: Profile, klaviyo: Extension, bo: Profile, by: By
) -> None:
    adding.add(ada_again.pk, sent("klaviyo:1"), by=by, source=klaviyo)
    update(ada_again, email="ada@example.com", by=by)

    assert come(Interaction, bare="1", by=by, source=klaviyo).record.profile == ada
    assert come(Interaction, bare="ada@example.com", by=by).record.profile is None


def test_a_bare_identifier_is_one_pair_among_others(ada: Profile, ada_again: Profile, bo: Profile, by: By) -> None:
    add(ada_again, "pos:7", by=by)

    agreeing = come(Interaction, "pos:7", bare="7", by=by)
    disagreeing = come(Interaction, "pos:7", bare="1", by=by)

    assert (agreeing.routed.outcome, agreeing.record.profile) == ("matched", ada_again)
    assert (disagreeing.routed.outcome, disagreeing.record.profile) == ("conflict", ada)


def test_a_bare_identifier_that_is_blocked_by_now_is_set_aside(ada: Profile, bo: Profile, by: By) -> None:
    BlockedIdentifier.objects.create(value="1", reason="A test card", by=by.user)

    recorded = come(Interaction, bare="1", by=by)

    assert (recorded.routed.outcome, recorded.record.profile) == ("anonymous", None)
    assert set(codes(recorded).values()) == {"blocked_identifier"}


def test_a_bare_identifier_that_a_sensitive_handle_protects_is_masked_in_the_log(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    Handle.objects.create(name="passport", sensitive=True)
    for profile, number in ((ada, "X1234567890"), (ada_again, "Y1234567890")):
        add(profile, f"passport:{number}", by=by)
    add(ada_again, "staff-number:Y1234567890", by=by)
    add(ada, "web:Y1234567890", by=by)

    come(Interaction, "klaviyo:9", bare="X1234567890", by=by)
    come(Interaction, bare="Y1234567890", by=by)

    entries = RoutingLogEntry.objects.all()
    assert {entry.code for entry in entries} == {"reserved_handle", "unknown_identifier"}
    for entry in entries:
        assert "1234567890" not in f"{entry.identifier} {entry.payload}"


def test_records_meet_what_look_ups_find(ada: Profile, bo: Profile, by: By) -> None:
    Handle.objects.filter(name="pos").update(normaliser="digits")
    come(Transaction, "loyalty-card:1", "pos:No. 0042", "instagram:ADA", by=by)

    assert lookup.resolve([("pos", "0042"), ("instagram", "ada")]) == [ada.pk, ada.pk]
    assert come(Transaction, "pos:００４２", by=by).record.profile == ada
    assert come(Transaction, "instagram:Ada ", by=by).record.profile == ada
