from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from identities import adding, lookup, moving, releasing, routing
from identities.handles import Sent
from identities.models import Extension, Handle, Identity, Pair, RoutingLogEntry
from profiles.auditing import By
from profiles.models import Audit, Profile
from profiles.refusing import Refused
from tests.cast import add, everything_of, pairs_of, route, sent, update

pytestmark = pytest.mark.django_db


def test_a_record_goes_to_the_profile_that_its_pairs_name_and_its_other_pairs_come_along(
    bo: Profile, shopify: Extension, by: By
) -> None:
    first = route("loyalty-card:1804974", by=by, first_name="Ada")
    assert (first.outcome, pairs_of(first.profile)) == ("created", ["loyalty-card:1804974"])

    second = route("shopify:6432187489345", "loyalty-card:1804974", by=by, source=shopify, last_name="Lovelace")
    assert (second.outcome, second.profile) == ("attached", first.profile)
    assert pairs_of(first.profile) == ["loyalty-card:1804974", "shopify:6432187489345"]

    third = route("shopify:6432187489345", by=by, source=shopify)
    assert (third.outcome, third.profile) == ("matched", first.profile)

    assert third.profile.full_name == "Ada Lovelace"
    card, shop = first.profile.identities.order_by("pk")
    assert (first.identity, second.identity, third.identity) == (card, card, shop)
    assert (card.source, card.brought_by) == (None, None)
    assert (shop.source, shop.brought_by) == (shopify, card)
    assert not RoutingLogEntry.objects.exists()
    created = Audit.objects.filter(event="created", auditable_type="identity", profile=first.profile)
    assert {audit.auditable_key for audit in created} == {str(card.pk), str(shop.pk)}
    assert {audit.by for audit in created} == {by.user}


def test_a_known_profile_has_only_its_empty_fields_filled(ada: Profile, bo: Profile, by: By) -> None:
    add(ada, "pos:7", by=by)
    update(ada, by=by, birth_month=12, tags=["vip"])

    routed = route(
        "pos:7", by=by, first_name="Augusta", last_name="Lovelace", title="Countess", company="", tags=["new"],
        birth_year=1815, birth_month=12, birth_day=10, attributes={"comms": {"sms": True}},
    )  # fmt: skip

    ada.refresh_from_db()
    assert routed.profile == ada
    assert sorted(routed.not_taken) == ["first_name", "tags"]
    assert (ada.first_name, ada.last_name, ada.title, ada.tags) == ("Ada", "Lovelace", "Countess", ["vip"])
    assert (ada.birth_year, ada.birth_month, ada.birth_day) == (1815, 12, 10)
    assert ada.attributes == {"comms": {"sms": True}}
    assert (
        Audit.objects.filter(auditable_type="profile", event="updated").latest("pk").new_values["title"] == "Countess"
    )


def test_half_of_another_birth_date_is_not_taken(ada: Profile, bo: Profile, by: By) -> None:
    add(ada, "pos:7", by=by)
    update(ada, by=by, birth_month=12)

    routed = route("pos:7", by=by, birth_year=1990, birth_month=1, birth_day=2)

    assert sorted(routed.not_taken) == ["birth_day", "birth_month", "birth_year"]
    assert (routed.profile.birth_year, routed.profile.birth_month, routed.profile.birth_day) == (None, 12, None)


def test_a_birth_date_that_no_calendar_has_refuses_the_write(ada: Profile, by: By) -> None:
    add(ada, "pos:7", by=by)
    update(ada, by=by, birth_month=2)

    for write in (
        lambda: route("pos:8", by=by, birth_year=2023, birth_month=2, birth_day=29),
        lambda: route("pos:7", by=by, birth_year=2023, birth_month=2, birth_day=29),
        lambda: update(ada, by=by, birth_day=30),
    ):
        with pytest.raises(Refused) as refusal:
            write()
        assert refusal.value.field == "birth_day"

    assert Profile.objects.count() == Identity.objects.count() == 1


def test_the_same_record_again_changes_nothing(bo: Profile, by: By) -> None:
    pairs, contact = ["loyalty-card:1", "pos:7"], {"email": "Ada@example.com"}
    profile = route(*pairs, by=by, contact=contact, first_name="Ada").profile
    before, audits = everything_of(profile), Audit.objects.count()

    again = route(*reversed(pairs), by=by, contact=contact, first_name="Ada")

    assert (again.outcome, again.refused, again.not_taken, again.log_entry_id) == ("matched", [], [], None)
    assert everything_of(profile) == before
    assert Audit.objects.count() == audits
    assert not RoutingLogEntry.objects.exists()


def test_pairs_that_name_several_profiles_are_a_conflict_that_priority_decides(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    till, card = add(ada, "pos:7", by=by), add(ada_again, "loyalty-card:1804974", by=by)

    routed = route("pos:7", "loyalty-card:1804974", "pos-customer:new", by=by, title="Countess")

    # Priorities are equal: the older identity decides.
    assert (routed.outcome, routed.profile, routed.identity) == ("conflict", ada, till)
    assert pairs_of(ada) == ["pos-customer:new", "pos:7"]
    assert pairs_of(ada_again) == ["loyalty-card:1804974"]
    entry = RoutingLogEntry.objects.get()
    assert (entry.pk, entry.outcome) == (routed.log_entry_id, "conflict")
    assert (entry.handle, entry.identifier) == ("loyalty-card", "1804974")
    assert (entry.routed_profile, entry.candidates) == (ada, sorted([ada.pk, ada_again.pk]))
    assert entry.payload["title"] == "Countess"
    assert Identity.objects.get(identifier="new").conflict == entry

    Handle.objects.filter(name="loyalty-card").update(priority=1)
    routed = route("pos:7", "loyalty-card:1804974", by=by)

    assert (routed.outcome, routed.profile, routed.identity) == ("conflict", ada_again, card)
    assert RoutingLogEntry.objects.filter(outcome="conflict").count() == 2


def test_of_several_known_pairs_of_one_profile_the_one_of_highest_priority_decides(
    ada: Profile, bo: Profile, by: By
) -> None:
    till, card = add(ada, "pos:7", by=by), add(ada, "loyalty-card:1", by=by)
    assert route("loyalty-card:1", "pos:7", "pos:8", by=by).identity == till

    Handle.objects.filter(name="loyalty-card").update(priority=1)
    routed = route("pos:7", "loyalty-card:1", "pos:9", by=by)

    assert (routed.outcome, routed.identity) == ("attached", card)
    assert Identity.objects.get(identifier="8").brought_by == till
    assert Identity.objects.get(identifier="9").brought_by == card


def test_an_inactive_pair_still_owns_and_matches(ada: Profile, bo: Profile, by: By) -> None:
    card = add(ada, "loyalty-card:1", by=by)
    routing.change(card.pk, is_active=False, by=by, source=None)

    assert route("loyalty-card:1", "pos:7", by=by).profile == ada
    assert lookup.resolve([("loyalty-card", "1")]) == [ada.pk]
    with pytest.raises(Refused, match="Another profile"):
        add(bo, "loyalty-card:1", by=by)


def test_bad_pairs_are_set_aside_and_spoil_nothing(ada: Profile, bo: Profile, by: By) -> None:
    add(ada, "pos:7", by=by)
    Handle.objects.filter(name="pos-customer").update(max_per_profile=1)
    bad = {
        "loyalty-card:null": "blocked_identifier",
        "loyalty-card:": "invalid_identifier",
        "shopify:1": "reserved_handle",
        "Loyalty_Card:1": "unknown_handle",
        "profile_id:1": "invalid_handle",
        "a handle:1": "invalid_handle",
        "email:ada@example.com": "builtin_handle",
        "pos-customer:2": "too_many_identities",
    }

    routed = route("pos-customer:1", *bad, "pos:7", "pos:8", by=by, title="Countess")

    assert (routed.profile, routed.outcome, routed.profile.title) == (ada, "attached", "Countess")
    assert {f"{one['handle']}:{one['identifier']}": one["code"] for one in routed.refused} == bad
    assert all(one["message"].endswith((".", "?")) for one in routed.refused)
    assert pairs_of(ada) == ["pos-customer:1", "pos:7", "pos:8"]
    entries = RoutingLogEntry.objects.filter(outcome="refused", routed_profile=ada)
    assert {f"{entry.handle}:{entry.identifier}": entry.code for entry in entries} == bad


def test_a_pair_sent_twice_in_two_spellings_is_one_pair(bo: Profile, by: By) -> None:
    routed = route("instagram:Ada.Lovelace", "instagram: ada.lovelace", "pos:7", "pos:7", by=by)

    assert pairs_of(routed.profile) == ["instagram:ada.lovelace", "pos:7"]
    assert routed.profile.identities.get(handle="instagram").original == "Ada.Lovelace"


def test_adding_what_the_profile_has_returns_it_as_it_is(ada: Profile, bo: Profile, by: By) -> None:
    first = adding.add(ada.pk, sent("loyalty-card:1804974"), by=by, source=None)
    before, audits = everything_of(ada), Audit.objects.count()

    again = adding.add(ada.pk, Sent("loyalty-card", " 1804974 ", is_active=False), by=by, source=None)

    assert (first.created, again.created, again.identity) == (True, False, first.identity)
    assert first.identity.addressed == ada.pk
    assert everything_of(ada) == before
    assert Audit.objects.count() == audits


def test_adding_what_another_profile_has_is_refused_and_logged(
    ada: Profile, bo: Profile, shopify: Extension, by: By
) -> None:
    before, audits = everything_of(ada), Audit.objects.count()

    for _time in range(2):
        with pytest.raises(Refused) as refusal:
            add(ada, "loyalty-card: bo ", by=by, source=shopify)

    assert (refusal.value.code, refusal.value.field) == ("identity_taken", "identifier")
    entry = RoutingLogEntry.objects.get()
    assert refusal.value.details == {"profile_id": str(bo.pk), "log_entry_id": entry.pk}
    assert (entry.outcome, entry.requested_profile, entry.candidates) == ("identity_taken", ada, [bo.pk])
    assert (entry.handle, entry.identifier, entry.source, entry.by) == ("loyalty-card", "bo", shopify, by.user)
    assert entry.occurrences == 2
    assert everything_of(ada) == before
    assert Audit.objects.count() == audits


def test_a_merged_profiles_id_means_its_survivor(ada: Profile, ada_again: Profile, bo: Profile, by: By) -> None:
    third = Profile.objects.create(merged_into=ada_again)
    Profile.objects.filter(pk=ada_again.pk).update(merged_into=ada)

    identity = add(third, "loyalty-card:1", by=by)
    changed = update(third, by=by, title="Countess")

    assert (identity.profile, identity.addressed) == (ada, third.pk)
    assert (changed, changed.title) == (ada, "Countess")


def test_unknown_ids_are_not_there(by: By) -> None:
    with pytest.raises(Profile.DoesNotExist):
        adding.add(uuid.uuid4(), sent("pos:7"), by=by, source=None)
    with pytest.raises(Profile.DoesNotExist):
        routing.update(uuid.uuid4(), fields={}, contact={}, by=by, source=None)
    with pytest.raises(Identity.DoesNotExist):
        routing.change(7_000_000, is_active=False, by=by, source=None)
    with pytest.raises(Identity.DoesNotExist):
        routing.remove(7_000_000, by=by, source=None)
    assert not Handle.objects.filter(status="undocumented").exists()


def test_nothing_is_primary_unless_asked_and_asking_demotes_the_former(ada: Profile, bo: Profile, by: By) -> None:
    card = add(ada, "loyalty-card:1", by=by)
    assert not card.is_primary

    till = add(ada, Sent("pos", "7", is_primary=True), by=by)
    assert list(ada.identities.filter(is_primary=True)) == [till]
    routing.change(card.pk, is_primary=True, by=by, source=None)
    assert list(ada.identities.filter(is_primary=True)) == [card]
    route("loyalty-card:1", Sent("pos", "8", is_primary=True), by=by)

    assert ada.identities.get(is_primary=True).identifier == "8"
    demoted = Audit.objects.filter(old_values={"is_primary": True})
    assert [audit.auditable_key for audit in demoted.order_by("pk")] == [str(till.pk), str(card.pk)]
    routing.change(ada.identities.get(identifier="8").pk, is_primary=False, by=by, source=None)
    assert not ada.identities.filter(is_primary=True).exists()


def test_a_change_keeps_the_id_and_what_it_does_not_name(ada: Profile, bo: Profile, by: By) -> None:
    identity = add(ada, Sent("instagram", "Ada.Lovelace", is_primary=True), by=by)
    assert (identity.identifier, identity.original) == ("ada.lovelace", "Ada.Lovelace")

    changed = routing.change(identity.pk, identifier="Ada.King", by=by, source=None)

    assert changed.pk == identity.pk
    assert (changed.identifier, changed.original) == ("ada.king", "Ada.King")
    assert (changed.is_primary, changed.is_active, changed.source) == (True, True, None)
    assert lookup.resolve([("instagram", "ada.lovelace"), ("instagram", "ADA.KING")]) == [None, ada.pk]
    audit = Audit.objects.latest("pk")
    assert (audit.event, audit.auditable_key, audit.profile) == ("updated", str(identity.pk), ada)
    assert (audit.old_values["identifier"], audit.new_values["identifier"]) == ("ada.lovelace", "ada.king")


def test_a_change_to_a_pair_that_somebody_has_is_refused(ada: Profile, bo: Profile, by: By) -> None:
    card, other = add(ada, "loyalty-card:1", by=by), add(ada, "loyalty-card:2", by=by)

    with pytest.raises(Refused) as refusal:
        routing.change(card.pk, identifier=" 2 ", by=by, source=None)
    assert (refusal.value.code, refusal.value.field) == ("identity_exists", "identifier")
    assert not RoutingLogEntry.objects.exists()
    with pytest.raises(Refused) as refusal:
        routing.change(card.pk, identifier="bo", is_active=False, by=by, source=None)
    assert (refusal.value.code, refusal.value.details["profile_id"]) == ("identity_taken", str(bo.pk))

    assert RoutingLogEntry.objects.get().outcome == "identity_taken"
    card.refresh_from_db()
    assert (card.identifier, card.is_active) == ("1", True)
    assert add(ada, "loyalty-card:2", by=by) == other


def test_sending_back_the_identifier_that_it_has_changes_nothing_else(ada: Profile, bo: Profile, by: By) -> None:
    identity = add(ada, "instagram:Ada", by=by)

    for spelling in ("ada", "Ada", " ADA "):
        routing.change(identity.pk, identifier=spelling, is_active=True, is_primary=False, by=by, source=None)

    stored = Identity.objects.get(pk=identity.pk)
    assert (stored.identifier, stored.original, stored.is_active) == ("ada", "Ada", True)


def test_removing_an_identity_frees_its_pair(ada: Profile, ada_again: Profile, bo: Profile, by: By) -> None:
    card = add(ada, Sent("loyalty-card", "1", is_primary=True), by=by)

    routing.remove(card.pk, by=by, source=None)

    assert pairs_of(ada) == []
    assert lookup.search("loyalty-card", "1") is None
    audit = Audit.objects.get(event="deleted")
    assert (audit.auditable_key, audit.old_values["identifier"], audit.profile) == (str(card.pk), "1", ada)
    assert add(ada_again, "loyalty-card:1", by=by).pk != card.pk


def test_an_identity_that_came_by_contact_alone_is_confirmed_by_naming_it_for_this_profile(
    ada: Profile, bo: Profile, by: By
) -> None:
    card, till = add(ada, "loyalty-card:1", by=by), add(ada, "pos:7", by=by)
    Identity.objects.update(by_contact=True)

    route("loyalty-card:1", by=by)
    assert Identity.objects.get(pk=card.pk).by_contact, "A record confirms nothing."
    add(ada, "loyalty-card:1", by=by)
    routing.change(till.pk, is_active=True, by=by, source=None)

    assert not ada.identities.filter(by_contact=True).exists()
    confirmed = Audit.objects.filter(event="updated", old_values__by_contact=True).order_by("pk")
    assert [audit.auditable_key for audit in confirmed] == [str(card.pk), str(till.pk)]
    assert not any("by_contact" in audit.new_values for audit in confirmed)
    Identity.objects.filter(profile=bo).update(by_contact=False)


def test_no_pair_and_no_contact_still_makes_the_profile_that_was_asked_for(bo: Profile, by: By) -> None:
    routed = route(by=by, first_name="Ada")

    assert (routed.outcome, routed.identity, pairs_of(routed.profile)) == ("created", None, [])


def test_who_writes_reaches_a_column_and_the_audit(ada: Profile, shopify: Extension, by: By) -> None:
    full = By(by.user, token_name="Shop", url="https://crm/api", ip_address="192.0.2.7", user_agent="x" * 1_000)

    identity = add(ada, "shopify:1", by=full, source=shopify)

    assert identity.source == shopify
    audit = Audit.objects.get(auditable_type="identity")
    assert (audit.by, audit.token_name, audit.url, audit.ip_address) == (
        by.user,
        "Shop",
        "https://crm/api",
        "192.0.2.7",
    )
    assert audit.user_agent == "x" * 512


def test_a_deleted_profile_holds_no_pair_against_a_live_one(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    add(ada, "loyalty-card:1", by=by)
    add(ada_again, "pos:7", by=by)
    releasing.delete(ada.pk, by=by)

    routed = route("loyalty-card:1", "pos:7", by=by)

    assert (routed.outcome, routed.profile) == ("attached", ada_again)
    assert not RoutingLogEntry.objects.filter(outcome="conflict").exists()


def test_profiles_are_matched_and_locked_in_key_order_in_one_query_before_the_pairs_are_read_again(
    ada: Profile, ada_again: Profile, by: By
) -> None:
    add(ada_again, "loyalty-card:1", by=by)
    add(ada, "loyalty-card:2", by=by)

    with CaptureQueriesContext(connection) as queries:
        route("loyalty-card:1", "loyalty-card:2", by=by)

    statements = [query["sql"] for query in queries]
    locks = [position for position, sql in enumerate(statements) if "FOR NO KEY UPDATE" in sql]
    matches = [position for position, sql in enumerate(statements) if "AS asked (handle, identifier)" in sql]
    assert len(locks) == 1
    assert "ORDER BY id FOR NO KEY UPDATE" in statements[locks[0]]
    # The statement that locks has matched them to know whom to lock.
    assert len(matches) == 2
    assert matches[0] == locks[0] < matches[1]


def test_the_cost_of_a_write_does_not_grow_with_its_pairs(bo: Profile, by: By) -> None:
    def cost(*pairs: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            route(*pairs, by=by)
        return len(queries)

    few, many = [
        [f"{handle}:{number}" for number in range(1, count)] for handle, count in (("pos", 3), ("pos-customer", 100))
    ]

    assert cost(*few) == cost(*many), "new"
    assert cost(*few) == cost(*many), "known"
    assert cost(*few, "loyalty-card:1") == cost(*many, "loyalty-card:2"), "attached"


def test_the_rules_are_read_again_once_by_a_write_that_writes_pairs_and_by_no_other(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    card, till = add(ada, "loyalty-card:1", by=by), add(ada, "pos:7", by=by)
    ada = update(ada, by=by, email="ada@example.com")

    def read_again(write: Callable[[], Any]) -> int:
        with CaptureQueriesContext(connection) as queries:
            write()
        return sum("FOR KEY SHARE" in query["sql"] for query in queries)

    def change(**values: Any) -> Callable[[], Any]:
        return lambda: routing.change(till.pk, **values, by=by, source=None)

    def move(to: Profile) -> Callable[[], Any]:
        return lambda: moving.move(till.pk, to=to.pk, reason="Theirs", by=by)

    for write in (
        lambda: route("loyalty-card:1", "pos:7", by=by, title="Countess"),
        lambda: route("loyalty-card:1", "pos:null", by=by),
        lambda: route(by=by, contact={"email": "new@example.com"}, first_name="New"),
        lambda: add(ada, "pos:7", by=by),
        lambda: update(ada, by=by, email="other@example.com"),
        move(ada),
    ):
        assert read_again(write) == 0
    for write in (
        lambda: route("instagram:ada", "pos:1", "my-new-handle:1", by=by, contact={"email": "x@example.com"}),
        lambda: route("loyalty-card:1", "zendesk:1", "pos:2", by=by),
        lambda: add(ada, Sent("pos", "8", is_primary=True), by=by),
        change(identifier="9"),
        change(is_active=False),
        move(ada_again),
        lambda: routing.remove(card.pk, by=by, source=None),
    ):
        assert read_again(write) == 1


def test_a_pair_prints_as_handle_and_identifier() -> None:
    assert str(Pair("loyalty-card", "1804974")) == "loyalty-card:1804974"
