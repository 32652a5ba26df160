"""Records that meet: writers of one customer, of one external id, and whoever moves things under them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg.errors
import pytest
from django.db import transaction

from identities import cataloguing, moving, moving_records, recording, releasing, routing, sending
from identities.models import Extension, Handle, Identity, RoutingLogEntry
from profiles.auditing import By
from profiles.models import Interaction, Move, Profile, ProfileQuerySet, Record, Reward, RewardDefinition, Transaction
from profiles.models.record import of_kind
from profiles.refusing import Refused
from tests.cast import add, assert_sound, change, come, pairs_of, records_of, route
from tests.racing import alternate, at_once, meanwhile, meeting, slow_inserts, two_writers, waiting, while_it_is_locked

pytestmark = pytest.mark.django_db(transaction=True)

eight_writers = pytest.mark.parametrize(
    ("records", "rounds"), [(200, 1), pytest.param(2_000, 5, marks=pytest.mark.slow)], ids=["short", "long"]
)


def item(name: str) -> dict[str, Any]:
    return {"name": name, "quantity": Decimal(1), "price_current": Decimal(1), "price_sell": Decimal(1)}


@eight_writers
def test_eight_writers_of_one_customers_records_put_all_on_one_profile(
    records: int, rounds: int, bo: Profile, by: By
) -> None:
    for round_ in range(rounds):
        pairs = [f"loyalty-card:1-{round_}", f"pos:7-{round_}", f"email:ada{round_}@example.com"]

        def write(writer: int, pairs: list[str] = pairs) -> list[Any]:
            # Each writer's first record names all that the customer is known by, in an order of its own.
            first = [list(itertools.permutations(pairs))[writer % 6]]
            rest = [[pairs[(writer + number) % 2]] for number in range(records // 8 - 1)]
            return [come(Transaction, *names, by=by) for names in (*first, *rest)]

        with meeting(8):
            met = at_once(*[lambda writer=writer: write(writer) for writer in range(8)])

        recorded = [one for answers in met for one in answers]
        (profile,) = {one.record.profile for one in recorded}
        assert Counter(one.routed.outcome for one in recorded) == {"created": 1, "matched": records - 1}
        assert len(records_of(profile)) == records
        assert pairs_of(profile) == sorted(pairs)
        assert set(met.errors) <= {psycopg.errors.UniqueViolation}
    assert not RoutingLogEntry.objects.exists()
    assert not Profile.objects.filter(identities=None).exists()
    assert Profile.objects.count() == 1 + rounds
    assert_sound()


@pytest.mark.parametrize("of_an_extension", [True, False])
@two_writers
def test_eight_upserts_of_one_external_id_make_one_record_and_one_writers_items(
    rounds: int, of_an_extension: bool, bo: Profile, shopify: Extension, by: By
) -> None:
    source = shopify if of_an_extension else None

    for round_ in range(rounds):

        def upsert(writer: int, round_: int = round_) -> Any:
            items = [item(f"{writer}-{position}") for position in range(writer + 1)]
            pair = f"pos:{round_}-{writer % 2}"
            more = {"external_id": f"R{round_}", "total": Decimal(writer), "items": items}
            return come(Transaction, pair, upsert=True, by=by, source=source, **more)

        with alternate(round_, 8):
            met = at_once(*[lambda writer=writer: upsert(writer) for writer in range(8)])

        row = Transaction.objects.get(external_id=f"R{round_}")
        assert Counter(one.created for one in met) == {True: 1, False: 7}
        assert {one.record.pk for one in met} == {row.pk}
        writer = int(row.total)
        assert [one.name for one in row.items.all()] == [f"{writer}-{position}" for position in range(writer + 1)]
        assert set(met.errors) <= {psycopg.errors.UniqueViolation}
    assert not Profile.objects.filter(identities=None).exists()
    assert_sound()


@two_writers
def test_one_external_id_without_upsert_is_on_file_once(rounds: int, bo: Profile, by: By) -> None:
    for round_ in range(rounds):
        with alternate(round_, 4):
            met = at_once(*[lambda at=round_: come(Transaction, f"pos:{at}", external_id=f"R{at}", by=by)] * 4)

        assert met.codes == {"": 1, "record_exists": 3}
        assert Transaction.objects.filter(external_id=f"R{round_}").count() == 1


@two_writers
def test_records_of_the_same_new_pairs_in_opposite_order_do_not_deadlock(rounds: int, bo: Profile, by: By) -> None:
    for round_ in range(rounds):
        pairs = [
            f"pos:{round_}-1",
            f"email:ada{round_}@example.com",
            f"pos:{round_}-2",
            f"mobile_phone:0404 1231{round_:02}",
        ]

        with slow_inserts("identities_identity", seconds=0.03), alternate(round_, 2):
            met = at_once(
                lambda there=pairs: come(Transaction, *there, by=by),
                lambda back=pairs[::-1]: come(Transaction, *back, by=by),
            )

        (profile,) = {one.record.profile for one in met}
        assert len(pairs_of(profile)) == 4
        assert psycopg.errors.DeadlockDetected not in met.errors
    assert Profile.objects.count() == 1 + rounds
    assert_sound()


@two_writers
def test_a_record_and_a_profile_of_the_same_new_pairs_do_not_deadlock(rounds: int, bo: Profile, by: By) -> None:
    for round_ in range(rounds):
        pair, email = f"apple:{round_}", f"ada{round_}@example.com"

        with slow_inserts("identities_identity", seconds=0.05), alternate(round_, 2):
            met = at_once(
                lambda pair=pair, email=email: come(Transaction, pair, f"email:{email}", by=by),
                lambda pair=pair, email=email: route(pair, contact={"email": email}, by=by),
            )

        assert psycopg.errors.DeadlockDetected not in met.errors
        assert set(met.codes) <= {"", "identity_taken"}
    assert_sound()


@two_writers
def test_records_of_two_profiles_in_opposite_order_do_not_deadlock(
    rounds: int, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    add(ada, "pos:1", by=by)
    add(ada_again, "pos:2", by=by)

    for round_ in range(rounds):
        with alternate(round_, 2):
            met = at_once(
                lambda: come(Transaction, "pos:1", "pos:2", by=by), lambda: come(Interaction, "pos:2", "pos:1", by=by)
            )

        assert met.errors == []
    assert len(records_of(ada)) == 2 * rounds
    assert sum(entry.occurrences for entry in RoutingLogEntry.objects.all()) == 2 * rounds


def test_a_record_follows_its_pair_to_where_that_goes_before_the_lock(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    card = add(ada, "loyalty-card:1", by=by)

    with meanwhile(lambda: moving.move(card.pk, to=ada_again.pk, reason="Hers", by=by)):
        moved = come(Transaction, "loyalty-card:1", "pos:7", by=by)
    with meanwhile(lambda: releasing.delete(ada_again.pk, by=by)):
        deleted = come(Transaction, "loyalty-card:1", named=ada.pk, by=by)
    with meanwhile(lambda: routing.remove(card.pk, by=by, source=None)):
        removed = come(Transaction, "loyalty-card:1", by=by)

    assert (moved.record.profile, moved.routed.outcome) == (ada_again, "attached")
    assert (deleted.record.profile, deleted.routed.outcome) == (ada, "attached")
    assert (removed.routed.outcome, removed.record.profile in (ada, ada_again, bo)) == ("created", False)
    assert Transaction.objects.count() == 3
    assert_sound()


@pytest.mark.parametrize("to", ["another", "nobody"])
def test_a_bare_identifier_whose_pair_goes_before_the_lock_makes_no_pair(
    to: str, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    card = add(ada, "loyalty-card:1", by=by)

    def go() -> Any:
        if to == "another":
            return moving.move(card.pk, to=ada_again.pk, reason="Hers", by=by)
        return routing.remove(card.pk, by=by, source=None)

    with meanwhile(go):
        recorded = come(Interaction, bare="1", by=by)

    assert recorded.record.profile == (ada_again if to == "another" else None)
    assert Identity.objects.filter(identifier="1").count() == (1 if to == "another" else 0)


def test_a_record_on_file_is_changed_where_it_is_after_the_move(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    add(ada, "loyalty-card:1", by=by)
    row = come(Transaction, "loyalty-card:1", by=by).record

    with meanwhile(lambda: moving_records.move_record(Transaction, row.pk, to=ada_again.pk, reason="", by=by)):
        changed = change(row, "pos:7", total=Decimal(3), by=by)
    with (
        meanwhile(lambda: recording.delete(Transaction, row.pk, by=by)),
        pytest.raises(Transaction.DoesNotExist),
    ):
        change(row, total=Decimal(4), by=by)

    assert (changed.record.profile, changed.record.total) == (ada_again, 3)
    assert pairs_of(ada_again) == ["pos:7"]


def test_a_change_that_waits_keeps_what_the_other_wrote(ada: Profile, bo: Profile, by: By) -> None:
    row = come(Transaction, by=by).record

    # Nobody's, so that no profile's lock keeps the two apart.
    with while_it_is_locked(lambda: change(row, total=Decimal(3), by=by), recording, "_hold") as changed:
        change(row, receipt_ref="A-1", named=ada.pk, by=by)

    row.refresh_from_db()
    assert (row.total, row.receipt_ref, row.profile) == (3, "A-1", ada)
    assert changed.codes == {"": 1}


@two_writers
def test_records_lose_nothing_while_their_profile_comes_and_goes_and_all_is_moved(
    rounds: int, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    card = add(ada, "loyalty-card:1", by=by)
    add(ada_again, "pos:1", by=by)
    row = come(Transaction, "loyalty-card:1", upsert=True, external_id="R", by=by).record
    turns = itertools.cycle([ada_again.pk, ada.pk])

    def sale() -> Any:
        return [come(Transaction, "loyalty-card:1", by=by) for _number in range(3)]

    def upsert() -> Any:
        return [come(Transaction, "loyalty-card:1", upsert=True, external_id="R", by=by) for _number in range(3)]

    def move_card(to: Any) -> Callable[[], Any]:
        return lambda: moving.move(card.pk, to=to, reason="", by=by)

    def move_record(to: Any) -> Callable[[], Any]:
        return lambda: moving_records.move_record(Transaction, row.pk, to=to, reason="", by=by)

    def delete_and_undelete() -> Any:
        releasing.delete(ada.pk, by=by)
        return releasing.change_type(ada.pk, "active", by=by, source=None)

    for round_ in range(rounds):
        to = next(turns)
        met = at_once(sale, sale, upsert, move_card(to), move_record(to), delete_and_undelete)

        assert set(met.codes) <= {"", "profile_deleted"}
        assert set(met.errors) <= {psycopg.errors.UniqueViolation}
        assert Transaction.objects.count() == 1 + 6 * (round_ + 1)
        assert not Transaction.objects.filter(profile=None).exists()
        assert_sound()
    assert (
        not Profile.objects.exclude(pk__in=[ada.pk, ada_again.pk]).filter(identities=None, transactions=None).exists()
    )


def test_a_record_is_held_to_the_rules_that_staff_set_before_its_lock(
    ada: Profile, bo: Profile, shopify: Extension, by: By
) -> None:
    pos = Handle.objects.get(name="pos")
    add(ada, "loyalty-card:1", by=by)

    for rule, code in (({"reserved_for": shopify}, "reserved_handle"), ({"status": "retired"}, "retired_handle"),
                       ({"pattern": "x+"}, "invalid_identifier")):  # fmt: skip
        before = {name: getattr(pos, name) for name in rule}
        with meanwhile(lambda rule=rule: cataloguing.change(pos, rule, by=by)):
            recorded = come(Transaction, "loyalty-card:1", "pos:7", by=by)
        cataloguing.change(pos, before, by=by)

        assert [one["code"] for one in recorded.routed.refused] == [code]
        assert recorded.record.profile == ada
    assert pairs_of(ada) == ["loyalty-card:1"]
    with meanwhile(lambda: cataloguing.change(pos, {"single_valued": True}, by=by)):
        come(Transaction, "loyalty-card:1", "pos:7", "pos:8", by=by)
    assert pairs_of(ada) == ["loyalty-card:1", "pos:7"]


def test_a_record_waits_for_its_definition_to_be_deleted_and_is_refused(ada: Profile, bo: Profile, by: By) -> None:
    add(ada, "loyalty-card:1", by=by)
    welcome = RewardDefinition.objects.create(name="Welcome", handle="welcome")

    with waiting(lambda: come(Reward, "loyalty-card:1", definition_id=welcome.pk, by=by)) as met, transaction.atomic():
        RewardDefinition.objects.filter(pk=welcome.pk).delete()
        met.start()

    assert [answer.code for answer in met] == ["invalid"]
    assert met.errors == [], "It has asked before it wrote."
    assert not Reward.objects.exists()


@two_writers
def test_two_people_who_send_one_entry_at_once_both_see_it_done(
    rounds: int, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    third = Profile.objects.create()
    for profile, pair in ((ada, "pos:1"), (ada_again, "pos:2"), (third, "pos:3")):
        add(profile, pair, by=by)
    come(Transaction, "pos:1", "pos:2", "pos:3", "staff-number:3", by=by)
    # One entry brought a pair along, the other nothing but the record itself.
    come(Interaction, "pos:1", "pos:2", "pos:3", by=by)
    entries = RoutingLogEntry.objects.order_by("pk")
    kinds: list[type[Record]] = [Transaction, Interaction]

    for round_ in range(rounds):
        for entry, kind in zip(entries, kinds, strict=True):
            with meeting(2, sending, "_carried", patience=0.2) if round_ % 2 == 0 else meeting(2, patience=0.2):
                met = at_once(
                    *[
                        lambda to=to, entry=entry: sending.send(entry.pk, to=to.pk, note=str(to.pk), by=by)
                        for to in ((ada_again, third), (ada, third))[round_ % 2]
                    ]
                )

            assert met.codes == {"": 2}
            assert met.errors == []
            entry.refresh_from_db()
            row = of_kind(kind).get()
            assert str(row.profile_id) == entry.review_note, "Whoever comes last decides."
            if kind is Transaction:
                assert Identity.objects.get(handle="staff-number").profile_id == row.profile_id
        assert_sound()


@two_writers
def test_records_of_a_tagged_pair_lose_nothing_while_it_is_sent(
    rounds: int, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    add(ada, "pos:1", by=by)
    add(ada_again, "pos:2", by=by)
    come(Transaction, "pos:1", "pos:2", "staff-number:3", by=by)
    entry = RoutingLogEntry.objects.get()

    for round_ in range(rounds):
        to = (ada_again, ada)[round_ % 2]
        with alternate(round_, 3):
            met = at_once(
                lambda to=to: sending.send(entry.pk, to=to.pk, note="", by=by),
                lambda: come(Transaction, "staff-number:3", by=by),
                lambda at=round_: come(Transaction, "staff-number:3", f"pos-customer:c{at}", by=by),
            )

        assert met.codes == {"": 3}
        assert psycopg.errors.DeadlockDetected not in met.errors
        assert {row.profile for row in Transaction.objects.all()} == {to}
        assert len(pairs_of(to)) == 2 + round_ + 1
    assert not Move.objects.filter(cause="asked").exists()
    assert_sound()


def test_a_record_whose_pair_is_taken_by_an_undelete_follows_it(ada: Profile, bo: Profile, by: By) -> None:
    add(ada, "loyalty-card:1", by=by)
    releasing.delete(ada.pk, by=by)

    with meanwhile(lambda: releasing.change_type(ada.pk, "active", by=by, source=None)):
        recorded = come(Transaction, "loyalty-card:1", by=by)

    assert (recorded.routed.outcome, recorded.record.profile) == ("matched", ada)
    assert Profile.objects.count() == 2


def test_a_move_waits_for_a_record_that_is_being_written(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    card = add(ada, "loyalty-card:1", by=by)

    with while_it_is_locked(
        lambda: moving.move(card.pk, to=ada_again.pk, reason="Hers", by=by), ProfileQuerySet, "lock"
    ) as moved:
        recorded = come(Transaction, "loyalty-card:1", "pos:7", by=by)

    assert (recorded.record.profile, moved.codes) == (ada, {"": 1})
    assert (pairs_of(ada), pairs_of(ada_again)) == (["pos:7"], ["loyalty-card:1"])
    assert not any(isinstance(answer, Refused) for answer in moved)
