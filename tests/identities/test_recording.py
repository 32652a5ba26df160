"""Where a record of each kind goes, and what is told of it afterwards (API.md 4, *Routing rule*)."""

from __future__ import annotations

import uuid
from decimal import Decimal

import pytest

from identities import recording, routing
from identities.models import Extension, Identity, RoutingLogEntry
from profiles.auditing import By
from profiles.models import Audit, Point, Profile, Reward, Transaction
from profiles.refusing import Refused
from tests.cast import add, assert_sound, change, come, every_kind, pairs_of, records_of, route, update

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(ada: Profile, by: By) -> Profile:
    add(ada, "loyalty-card:1", by=by)
    return ada


@every_kind
def test_a_known_pair_decides(kind, ada: Profile, bo: Profile, by: By) -> None:
    recorded = come(kind, "loyalty-card:1", by=by)

    card = ada.identities.get(handle="loyalty-card")
    routed, row = recorded.routed, recorded.record
    assert (routed.outcome, routed.profile, routed.identity) == ("matched", ada, card)
    assert (routed.log_entry_id, routed.refused, routed.not_taken) == (None, [], [])
    row.refresh_from_db()
    assert (row.profile, row.decided_by, row.brought_by) == (ada, "identity", card)
    assert (row.brought_by_handle, row.brought_by_identifier) == ("loyalty-card", "1")
    assert (row.addressed, row.log_entry, row.source) == (None, None, None)
    assert row.pairs == [{"handle": "loyalty-card", "identifier": "1"}]
    assert not RoutingLogEntry.objects.exists()
    audit = Audit.objects.get(auditable_type=kind._meta.verbose_name, auditable_key=str(row.pk))
    assert (audit.event, audit.by, audit.profile) == ("created", by.user, ada)
    assert audit.new_values["profile_id"] == str(ada.pk)
    assert_sound()


@every_kind
def test_unknown_pairs_of_a_record_attach_to_the_profile_that_it_reaches(
    kind, ada: Profile, bo: Profile, shopify: Extension, by: By
) -> None:
    recorded = come(kind, "pos-customer:55", "loyalty-card:1", "shopify:9", by=by, source=shopify, named=ada.pk)

    card = ada.identities.get(handle="loyalty-card")
    assert (recorded.routed.outcome, recorded.routed.identity) == ("attached", card)
    assert pairs_of(ada) == ["loyalty-card:1", "pos-customer:55", "shopify:9"]
    for attached in ada.identities.exclude(pk=card.pk):
        assert (attached.brought_by, attached.addressed, attached.source) == (card, ada.pk, shopify)
        assert (attached.by_contact, attached.conflict, attached.is_primary) == (False, None, False)
        audit = Audit.objects.get(auditable_type="identity", auditable_key=str(attached.pk))
        assert (audit.event, audit.profile) == ("created", ada)
    assert recorded.record.source == shopify
    assert not RoutingLogEntry.objects.exists()
    assert_sound()


@every_kind
def test_of_nobody_known_a_profile_is_made(kind, bo: Profile, by: By) -> None:
    recorded = come(kind, "pos:7", "loyalty-card:2", by=by)

    routed, row = recorded.routed, recorded.record
    assert routed.outcome == "created"
    assert routed.profile not in (None, bo)
    assert pairs_of(routed.profile) == ["loyalty-card:2", "pos:7"]
    assert routed.identity == routed.profile.identities.get(handle="loyalty-card")
    assert (row.profile, row.decided_by, row.brought_by) == (routed.profile, "new", routed.identity)
    assert not routed.profile.identities.exclude(brought_by=None, by_contact=False).exists()
    assert Audit.objects.get(auditable_type="profile", event="created", profile=routed.profile).by == by.user
    assert_sound()


@every_kind
def test_a_profile_that_is_named_by_its_id_gets_what_names_nobody_else(
    kind, ada: Profile, bo: Profile, by: By
) -> None:
    alone = come(kind, named=ada.pk, by=by)
    with_a_pair = come(kind, "pos:7", named=ada.pk, by=by)

    assert (alone.routed.outcome, with_a_pair.routed.outcome) == ("matched", "attached")
    for recorded in (alone, with_a_pair):
        row = recorded.record
        assert (row.profile, row.decided_by, row.addressed) == (ada, "id", ada.pk)
        assert (row.brought_by, row.brought_by_handle) == (None, "")
        assert recorded.routed.identity is None
    till = ada.identities.get(handle="pos")
    assert (till.brought_by, till.addressed, till.by_contact) == (None, ada.pk, False)
    assert_sound()


@every_kind
def test_an_identity_wins_over_another_profile_that_is_named_by_its_id(
    kind, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    recorded = come(kind, "loyalty-card:1", "pos:7", named=ada_again.pk, by=by)

    routed, row = recorded.routed, recorded.record
    assert (routed.outcome, routed.profile) == ("rerouted", ada)
    assert (row.profile, row.decided_by, row.addressed) == (ada, "identity", ada_again.pk)
    assert (pairs_of(ada), pairs_of(ada_again)) == (["loyalty-card:1", "pos:7"], [])
    entry = RoutingLogEntry.objects.get()
    assert (entry.pk, row.log_entry) == (routed.log_entry_id, entry)
    assert (entry.outcome, entry.kind, entry.code) == ("rerouted", kind.kind, "")
    assert (entry.handle, entry.identifier) == ("loyalty-card", "1")
    assert (entry.requested_profile, entry.routed_profile) == (ada_again, ada)
    assert set(entry.candidates) == {ada.pk, ada_again.pk}
    assert ada.identities.get(handle="pos").conflict is None, "Nobody else's identity was met."
    assert_sound()


@every_kind
def test_a_record_of_several_profiles_is_kept_on_one_and_logged(
    kind, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    add(ada_again, "pos-customer:55", by=by)

    recorded = come(kind, "pos:7", "pos-customer:55", "loyalty-card:1", by=by)

    routed, row = recorded.routed, recorded.record
    card = ada.identities.get(handle="loyalty-card")
    assert (routed.outcome, routed.profile, routed.identity) == ("conflict", ada, card), "It is the older identity."
    assert (row.profile, row.decided_by, row.brought_by) == (ada, "identity", card)
    entry = RoutingLogEntry.objects.get()
    assert (entry.pk, row.log_entry) == (routed.log_entry_id, entry)
    assert (entry.outcome, entry.kind) == ("conflict", kind.kind)
    assert (entry.handle, entry.identifier) == ("pos-customer", "55"), "It tells of the pair that did not decide."
    assert (entry.requested_profile, entry.routed_profile) == (None, ada)
    assert set(entry.candidates) == {ada.pk, ada_again.pk}
    assert [one["handle"] for one in entry.payload["identities"]] == ["pos", "pos-customer", "loyalty-card"]
    assert entry.payload.keys() > {"identities"}
    till = Identity.objects.get(handle="pos")
    assert (till.profile, till.conflict, till.brought_by) == (ada, entry, card)
    assert pairs_of(ada_again) == ["pos-customer:55"]
    assert_sound()


@every_kind
def test_a_record_of_nobody_is_kept_without_a_profile(kind, bo: Profile, by: By) -> None:
    recorded = come(kind, by=by)

    routed, row = recorded.routed, recorded.record
    assert (routed.outcome, routed.profile, routed.identity, routed.log_entry_id) == ("anonymous", None, None, None)
    assert (row.profile, row.decided_by, row.brought_by_handle, row.pairs) == (None, "nobody", "", [])
    assert list(Profile.objects.all()) == [bo]
    assert Audit.objects.get(auditable_key=str(row.pk), auditable_type=kind._meta.verbose_name).profile is None
    assert_sound()


def test_the_same_conflict_again_counts_up_while_its_entry_is_open(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    add(ada_again, "pos-customer:55", by=by)

    first = come(Transaction, "loyalty-card:1", "pos-customer:55", by=by)
    second = come(Transaction, "pos-customer:55", "loyalty-card:1", by=by)

    entry = RoutingLogEntry.objects.get()
    assert entry.occurrences == 2
    assert first.record.log_entry_id == second.record.log_entry_id == entry.pk


@every_kind
def test_an_id_that_nobody_has_is_not_found_when_nothing_else_is_named(
    kind, ada: Profile, bo: Profile, by: By
) -> None:
    nobody = uuid.uuid4()

    for pairs in ((), ("pos:null",), ("klaviyo:1",)):
        with pytest.raises(Profile.DoesNotExist):
            come(kind, *pairs, named=nobody, by=by)

    assert not kind.objects.exists()
    assert not RoutingLogEntry.objects.exists()


def test_a_merged_profile_means_its_survivor(ada: Profile, ada_again: Profile, bo: Profile, by: By) -> None:
    Profile.objects.filter(pk=ada_again.pk).update(merged_into=ada)

    alone = come(Transaction, named=ada_again.pk, by=by)
    with_a_pair = come(Transaction, "loyalty-card:1", named=ada_again.pk, by=by)

    assert [one.routed.outcome for one in (alone, with_a_pair)] == ["matched", "matched"]
    assert [one.record.profile for one in (alone, with_a_pair)] == [ada, ada]
    assert {one.record.addressed for one in (alone, with_a_pair)} == {ada_again.pk}, "As the caller named it."


def test_items_are_kept_in_the_order_in_which_they_were_sent(ada: Profile, by: By) -> None:
    items = [
        {"name": name, "quantity": Decimal(1), "price_current": Decimal("9.95"), "price_sell": Decimal("9.95")}
        for name in ("Socks", "Cap")
    ]

    row = come(Transaction, "loyalty-card:1", items=[*items, {**items[0], "extra": {"sku": "S1"}}], by=by).record

    assert [(item.position, item.name) for item in row.items.all()] == [(0, "Socks"), (1, "Cap"), (2, "Socks")]
    assert row.items.last().extra == {"sku": "S1"}


@every_kind
def test_a_deleted_record_is_gone_and_the_audit_knows_it(kind, ada: Profile, bo: Profile, by: By) -> None:
    row, other = come(kind, "loyalty-card:1", by=by).record, come(kind, "loyalty-card:1", by=by).record

    recording.delete(kind, row.pk, by=by)

    assert records_of(ada) == [other]
    audit = Audit.objects.get(event="deleted")
    assert (audit.auditable_key, audit.profile, audit.by) == (str(row.pk), ada, by.user)
    assert audit.old_values["profile_id"] == str(ada.pk)
    with pytest.raises(kind.DoesNotExist):
        recording.delete(kind, row.pk, by=by)
    with pytest.raises(kind.DoesNotExist):
        change(row, by=by)


def test_a_record_keeps_what_brought_it_as_text_when_that_is_deleted(ada: Profile, bo: Profile, by: By) -> None:
    row = come(Transaction, "loyalty-card:1", by=by).record

    routing.remove(ada.identities.get().pk, by=by, source=None)

    row.refresh_from_db()
    assert (row.profile, row.brought_by, row.decided_by) == (ada, None, "identity")
    assert (row.brought_by_handle, row.brought_by_identifier) == ("loyalty-card", "1")
    assert_sound()


def test_what_nothing_is_written_of_is_refused_whole(ada: Profile, bo: Profile, by: By) -> None:
    for kind in (Point, Reward):
        with pytest.raises(Refused) as refusal:
            come(kind, "pos:7", "new-handle:1", definition_id=999, by=by)
        assert (refusal.value.code, refusal.value.field) == ("invalid", f"{kind.kind}_definition_id")
        assert not kind.objects.exists()
    assert not Identity.objects.filter(handle__in=["pos", "new-handle"]).exists()
    assert set(Profile.objects.all()) == {ada, bo}


def test_a_contact_that_a_profile_has_is_nothing_to_attach(ada: Profile, bo: Profile, by: By) -> None:
    update(ada, email="ada@example.com", by=by)

    recorded = come(Transaction, "loyalty-card:1", "email:Ada@Example.com", by=by)

    assert (recorded.routed.outcome, recorded.routed.not_taken) == ("matched", [])
    assert route("loyalty-card:1", by=by).profile == ada


def test_the_log_keeps_amounts_as_people_write_them(by: By) -> None:
    item = {"name": "Cap", "quantity": Decimal("1.000000"), "price_current": Decimal("24.950000")}
    item |= {"price_sell": Decimal("100.000000"), "extra": {}}

    come(Transaction, "loyalty-card:null", total=Decimal("24.950000"), items=[item], by=by)

    payload = RoutingLogEntry.objects.get().payload
    assert payload["total"] == "24.95"
    assert [payload["items"][0][name] for name in ("quantity", "price_current", "price_sell")] == ["1", "24.95", "100"]
