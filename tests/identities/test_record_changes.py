"""A record that is on file comes again: by PUT, or by upsert of its external id."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

import pytest

from identities import moving, moving_records, releasing, routing
from identities.models import Extension, Identity, RoutingLogEntry
from profiles.auditing import By
from profiles.models import Audit, Point, Profile, Record, Reward, RewardDefinition, Transaction
from profiles.refusing import Refused
from tests.cast import add, assert_sound, change, come, every_kind, pairs_of, records_of, update

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(ada: Profile, by: By) -> Profile:
    add(ada, "loyalty-card:1", by=by)
    return ada


def item(name: str, **more: Any) -> dict[str, Any]:
    price = Decimal("9.95")
    return {"name": name, "quantity": Decimal(1), "price_current": price, "price_sell": price, **more}


def audits_of(row: Record) -> list[Audit]:
    kind = row._meta.verbose_name_raw
    return list(Audit.objects.filter(auditable_type=kind, auditable_key=str(row.pk)).order_by("pk"))


def test_an_upsert_changes_the_record_of_its_source_and_external_id(
    ada: Profile, bo: Profile, shopify: Extension, klaviyo: Extension, by: By
) -> None:
    first = come(Transaction, "loyalty-card:1", upsert=True, external_id="R1", by=by, items=[item("Socks")])
    again = come(
        Transaction, "loyalty-card:1", upsert=True, external_id="R1", by=by, total=Decimal("25"), items=[item("Cap")]
    )
    others = [
        come(Transaction, "loyalty-card:1", upsert=True, external_id="R1", by=by, source=source).record
        for source in (shopify, klaviyo)
    ]

    assert (first.created, again.created) == (True, False)
    assert (again.record.pk, again.routed.outcome, again.routed.profile) == (first.record.pk, "matched", ada)
    assert again.routed.identity == ada.identities.get()
    row = Transaction.objects.get(pk=first.record.pk)
    assert (row.total, row.source) == (Decimal(25), None)
    assert [one.name for one in row.items.all()] == ["Cap"]
    assert records_of(ada) == [row, *others], "Each source has external ids of its own, and no source counts as one."
    created, updated = audits_of(row)
    assert (created.event, updated.event, updated.profile) == ("created", "updated", ada)
    assert updated.old_values == {"total": "19.990000"}
    assert updated.new_values == {"total": "25", "items": 1}
    assert_sound()


def test_an_upsert_that_says_nothing_new_is_not_audited(ada: Profile, by: By) -> None:
    for _time in range(2):
        row = come(Transaction, "loyalty-card:1", upsert=True, external_id="R1", items=[item("Socks")], by=by).record

    assert [audit.event for audit in audits_of(row)] == ["created"]
    assert row.pairs == [{"handle": "loyalty-card", "identifier": "1"}]
    assert row.items.count() == 1


def test_records_without_an_external_id_are_never_the_same(ada: Profile, by: By) -> None:
    come(Transaction, "loyalty-card:1", upsert=True, by=by)
    come(Transaction, "loyalty-card:1", upsert=True, external_id="", by=by)

    assert Transaction.objects.count() == 2


def test_an_external_id_that_is_on_file_is_refused_without_upsert(
    ada: Profile, bo: Profile, shopify: Extension, by: By
) -> None:
    first = come(Transaction, "loyalty-card:1", external_id="R1", by=by).record
    other = come(Transaction, "loyalty-card:1", external_id="R2", by=by).record
    its_own = come(Transaction, external_id="R1", source=shopify, by=by).record

    for write in (
        lambda: come(Transaction, "pos:7", external_id="R1", by=by),
        lambda: change(other, "pos:7", external_id="R1", by=by),
        # The record stays its source's, whoever changes it.
        lambda: change(other, "pos:7", external_id="R1", source=shopify, by=by),
    ):
        with pytest.raises(Refused) as refusal:
            write()
        assert (refusal.value.code, refusal.value.field) == ("record_exists", "external_id")
        assert refusal.value.details["id"] == first.pk
    assert change(its_own, external_id="R2", by=by).record.source == shopify
    assert pairs_of(ada) == ["loyalty-card:1"]


def test_items_stay_when_none_are_named(ada: Profile, by: By) -> None:
    row = come(Transaction, "loyalty-card:1", items=[item("Socks")], by=by).record

    change(row, total=Decimal(3), by=by)
    assert [one.name for one in row.items.all()] == ["Socks"]
    change(row, items=[], by=by)
    assert not row.items.exists()
    assert [audit.new_values for audit in audits_of(row)[1:]] == [{"total": "3"}, {"items": 0}]


@every_kind
def test_a_record_keeps_its_profile_when_it_names_another(
    kind: type[Record], ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    add(ada_again, "pos:7", by=by)
    row = come(kind, "loyalty-card:1", by=by).record

    recorded = change(row, "pos:7", "pos-customer:55", by=by)

    routed, changed = recorded.routed, recorded.record
    card = ada.identities.get(handle="loyalty-card")
    assert (routed.outcome, routed.profile, routed.identity) == ("conflict", ada, card)
    entry = RoutingLogEntry.objects.get()
    assert (entry.pk, entry.outcome, entry.kind) == (routed.log_entry_id, "conflict", kind.kind)
    assert (entry.routed_profile, set(entry.candidates)) == (ada, {ada.pk, ada_again.pk})
    changed.refresh_from_db()
    assert (changed.profile, changed.log_entry, changed.decided_by) == (ada, entry, "identity")
    assert (changed.brought_by, changed.brought_by_identifier) == (card, "1"), "What brought it is history."
    assert [one["identifier"] for one in changed.pairs] == ["1", "7", "55"]
    attached = Identity.objects.get(handle="pos-customer")
    assert (attached.profile, attached.conflict, attached.brought_by) == (ada, entry, card)
    assert_sound()


@every_kind
def test_a_record_keeps_its_profile_when_another_is_named_by_id(
    kind: type[Record], ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    row = come(kind, "loyalty-card:1", by=by).record

    recorded = change(row, named=ada_again.pk, by=by)
    unknown = change(row, named=uuid.UUID(int=7), by=by)

    assert (recorded.routed.outcome, recorded.record.profile) == ("rerouted", ada)
    assert recorded.record.addressed == ada_again.pk
    entry = RoutingLogEntry.objects.get(outcome="rerouted")
    assert (entry.requested_profile, entry.routed_profile) == (ada_again, ada)
    assert (unknown.routed.outcome, unknown.record.profile) == ("matched", ada)
    assert [one["code"] for one in unknown.routed.refused] == ["unknown_profile"]
    assert unknown.record.addressed == ada_again.pk
    assert unknown.record.log_entry == entry, "What is in doubt outweighs what was set aside."
    assert_sound()


def test_what_a_record_on_file_attaches_is_brought_by_what_it_names_of_its_profile(
    ada: Profile, bo: Profile, by: By
) -> None:
    row = come(Transaction, "loyalty-card:1", by=by).record
    till = add(ada, "pos:7", by=by)

    change(row, "pos:7", "pos-customer:55", by=by)
    change(row, "staff-number:3", by=by)

    assert Identity.objects.get(handle="pos-customer").brought_by == till
    assert Identity.objects.get(handle="staff-number").brought_by == row.brought_by


def test_what_has_left_the_profile_of_its_record_brings_nothing_there(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    row = come(Transaction, "loyalty-card:1", by=by).record
    moving.move(ada.identities.get().pk, to=ada_again.pk, reason="Hers", by=by)

    recorded = change(row, "pos:7", by=by)

    till = Identity.objects.get(handle="pos")
    assert (recorded.record.profile, till.profile, till.brought_by) == (ada, ada, None)
    assert till.by_contact, "Nothing on file ties the record to this profile any more."


@every_kind
def test_an_anonymous_record_gets_its_profile_when_it_is_sent_again_with_a_pair(
    kind: type[Record], ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    add(ada_again, "pos:7", by=by)

    for pairs, named, outcome, profile, decided_by in (
        (["loyalty-card:1"], None, "matched", ada, "identity"),
        (["loyalty-card:1", "pos-customer:55"], None, "attached", ada, "identity"),
        ([], ada.pk, "matched", ada, "id"),
        (["loyalty-card:1"], ada_again.pk, "rerouted", ada, "identity"),
        (["loyalty-card:1", "pos:7"], None, "conflict", ada, "identity"),
        ([], None, "anonymous", None, "nobody"),
        (["pos:null"], None, "anonymous", None, "nobody"),
        (["staff-number:3"], None, "created", ..., "new"),
    ):
        row = come(kind, "pos:guest", by=by).record
        recorded = change(row, *pairs, named=named, by=by)

        assert recorded.routed.outcome == outcome
        row.refresh_from_db()
        assert row.profile == (recorded.routed.profile if profile is ... else profile)
        assert (row.decided_by, row.addressed, row.brought_by) == (decided_by, named, recorded.routed.identity)
        updates = [audit for audit in audits_of(row) if audit.event == "updated"]
        assert [(one.old_values, one.new_values) for one in updates] == (
            [({"profile_id": None}, {"profile_id": str(row.profile_id)})] if row.profile else []
        )
    assert_sound()


def test_an_anonymous_sale_gets_its_card_by_upsert(ada: Profile, bo: Profile, by: By) -> None:
    sale = come(Transaction, upsert=True, external_id="R1", items=[item("Socks")], by=by)

    with_card = come(Transaction, "loyalty-card:1", upsert=True, external_id="R1", items=[item("Socks")], by=by)

    assert (sale.routed.outcome, with_card.routed.outcome, with_card.created) == ("anonymous", "matched", False)
    assert records_of(ada) == [sale.record]
    assert not records_of(None)


def test_an_anonymous_record_for_an_id_that_nobody_has_stays_as_it_was(by: By) -> None:
    row = come(Transaction, by=by).record

    with pytest.raises(Profile.DoesNotExist):
        change(row, named=uuid.UUID(int=7), total=Decimal(3), by=by)

    row.refresh_from_db()
    assert (row.profile, row.addressed, row.total) == (None, None, Decimal("19.99"))


def test_a_record_that_a_person_took_from_its_profile_stays_nobodys(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    row = come(Transaction, "loyalty-card:1", upsert=True, external_id="R1", by=by).record
    moving_records.move_record(Transaction, row.pk, to=None, reason="A cashier's own card.", by=by)

    again = come(Transaction, "loyalty-card:1", "pos:7", named=ada_again.pk, upsert=True, external_id="R1", by=by)

    row.refresh_from_db()
    assert (again.routed.outcome, row.profile, row.decided_by) == ("anonymous", None, "identity")
    assert pairs_of(ada) == ["loyalty-card:1"]
    assert [one["identifier"] for one in row.pairs] == ["1", "7"]
    moving_records.move_record(Transaction, row.pk, to=ada.pk, reason="Hers after all.", by=by)
    assert change(row, "pos:7", by=by).routed.outcome == "attached"
    assert_sound()


def test_an_anonymous_record_that_was_moved_and_moved_back_is_still_routed(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    row = come(Transaction, by=by).record
    for to in (ada_again.pk, None):
        moving_records.move_record(Transaction, row.pk, to=to, reason="", by=by)

    assert change(row, "loyalty-card:1", by=by).record.profile == ada


def test_a_late_copy_does_not_undo_a_move(ada: Profile, ada_again: Profile, bo: Profile, by: By) -> None:
    row = come(Transaction, "loyalty-card:1", upsert=True, external_id="R1", by=by).record
    moving_records.move_record(Transaction, row.pk, to=ada_again.pk, reason="Hers", by=by)

    again = come(Transaction, "loyalty-card:1", upsert=True, external_id="R1", by=by)

    assert (again.routed.outcome, again.record.profile) == ("conflict", ada_again)
    assert RoutingLogEntry.objects.get().routed_profile == ada_again


def test_a_record_of_a_deleted_profile_can_be_changed_and_attaches_nothing(ada: Profile, bo: Profile, by: By) -> None:
    row = come(Transaction, "loyalty-card:1", by=by).record
    releasing.delete(ada.pk, by=by)

    recorded = change(row, "loyalty-card:1", "pos:7", "email:ada@example.com", named=ada.pk, total=Decimal(3), by=by)

    assert (recorded.routed.outcome, recorded.record.profile, recorded.record.total) == ("matched", ada, 3)
    refused = {one["handle"]: one["code"] for one in recorded.routed.refused}
    assert refused == dict.fromkeys(["loyalty-card", "pos", "email"], "profile_deleted"), "But not the id itself."
    assert pairs_of(ada) == ["loyalty-card:1"]
    assert_sound()


def test_a_contact_of_another_profile_is_a_conflict_of_a_record_on_file(ada: Profile, bo: Profile, by: By) -> None:
    row = come(Transaction, "loyalty-card:1", by=by).record

    recorded = change(row, "email:bo@example.com", "mobile_phone:0404 123 123", by=by)

    entry = RoutingLogEntry.objects.get()
    assert (recorded.routed.outcome, entry.handle, set(entry.candidates)) == ("conflict", "email", {ada.pk, bo.pk})
    ada.refresh_from_db()
    assert ada.mobile_phone == "+61404123123"
    assert ada.identities.get(handle="mobile_phone").conflict == entry


def test_a_definition_is_asked_for_when_it_changes(ada: Profile, by: By) -> None:
    row = come(Reward, "loyalty-card:1", by=by).record
    known = RewardDefinition.objects.create(name="Welcome", handle="welcome")

    assert change(row, definition_id=known.pk, by=by).record.definition_id == known.pk
    with pytest.raises(Refused) as refusal:
        change(row, "pos:7", definition_id=known.pk + 1, by=by)

    assert (refusal.value.code, refusal.value.field) == ("invalid", "reward_definition_id")
    assert pairs_of(ada) == ["loyalty-card:1"]
    assert come(Point, "loyalty-card:1", by=by).record.definition_id == 1


def test_a_record_of_a_contact_that_is_gone_attaches_nothing_confirmed(ada: Profile, bo: Profile, by: By) -> None:
    update(ada, email="ada@example.com", by=by)
    row = come(Transaction, "email:ada@example.com", by=by).record
    routing.remove(ada.identities.get(handle="email").pk, by=by, source=None)

    change(row, "pos:7", by=by)

    assert ada.identities.get(handle="pos").by_contact
