"""Writers that meet staff who change the rules of a handle, or give it another name, while the write is under way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction

from identities import cataloguing, lookup, moving, routing
from identities.models import Extension, Handle, Identity
from identities.models.handle import HandleQuerySet
from profiles.auditing import By
from profiles.models import Profile
from profiles.refusing import Refused
from tests.cast import add, pairs_of, route
from tests.racing import at_once, meanwhile, meeting, waiting, while_it_is_locked

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def till(db: None) -> Handle:
    """A handle under which nothing is written yet, so that staff may still change all of its rules."""
    return Handle.objects.create(name="till", status="agreed")


def staff_set(handle: Handle, *, by: By, **fields: Any) -> Callable[[], Any]:
    return lambda: cataloguing.change(handle, fields, by=by)


def rename(handle: Handle, to: str) -> None:
    """What giving a handle another name comes down to: its rows and its name, under the lock of the handle."""
    with transaction.atomic():
        Handle.objects.select_for_update().get(pk=handle.pk)
        Handle.objects.get_or_create(name=to)
        Identity.objects.filter(handle=handle).update(handle=to)
        Handle.objects.filter(pk=handle.pk).update(status="retired", renamed_to=to)


def test_a_first_write_is_stored_by_the_normaliser_that_staff_set_before_its_lock(
    till: Handle, ada: Profile, bo: Profile, by: By
) -> None:
    for write, normaliser in (
        (lambda: route("till:Ab-07", by=by), "digits"),
        (lambda: add(ada, "till:Ab-07", by=by), "fold"),
    ):
        with meanwhile(staff_set(till, by=by, normaliser=normaliser)):
            write()

        (identity,) = Identity.objects.filter(handle=till)
        assert identity.identifier == {"digits": "07", "fold": "ab-07"}[normaliser]
        assert lookup.resolve([("till", "AB-07")]) == [identity.profile_id]
        identity.delete()


def test_nothing_is_written_under_a_handle_that_is_reserved_before_the_lock(
    ada: Profile, ada_again: Profile, bo: Profile, shopify: Extension, by: By
) -> None:
    pos, till = Handle.objects.get(name="pos"), add(ada, "pos:7", by=by)
    before = pairs_of(ada)

    for write in (
        lambda: add(ada, "pos:8", by=by),
        lambda: routing.change(till.pk, identifier="9", by=by, source=None),
        lambda: routing.change(till.pk, is_active=False, by=by, source=None),
        lambda: routing.remove(till.pk, by=by, source=None),
    ):
        with meanwhile(staff_set(pos, by=by, reserved_for=shopify)), pytest.raises(Refused) as refusal:
            write()
        assert refusal.value.code == "reserved_handle"
        cataloguing.change(pos, {"reserved_for": None}, by=by)
    with meanwhile(staff_set(pos, by=by, reserved_for=shopify)):
        routed = route("pos:10", "loyalty-card:1", by=by)

    assert pairs_of(ada) == before
    assert Identity.objects.get(pk=till.pk).is_active
    assert [one["code"] for one in routed.refused] == ["reserved_handle"]
    assert pairs_of(routed.profile) == ["loyalty-card:1"]


def test_nothing_new_is_written_under_a_handle_that_is_retired_before_the_lock(
    ada: Profile, bo: Profile, by: By
) -> None:
    pos = Handle.objects.get(name="pos")

    with meanwhile(staff_set(pos, by=by, status="retired")), pytest.raises(Refused) as refusal:
        add(ada, "pos:7", by=by)
    cataloguing.change(pos, {"status": "agreed"}, by=by)
    with meanwhile(staff_set(pos, by=by, status="retired")):
        routed = route("pos:8", "loyalty-card:1", by=by)

    assert refusal.value.code == "retired_handle"
    assert [one["code"] for one in routed.refused] == ["retired_handle"]
    assert not Identity.objects.filter(handle="pos").exists()


@pytest.mark.parametrize(
    ("rule", "code"),
    [({"pattern": "x+"}, "invalid_identifier"), ({"single_valued": True}, "too_many_identities"),
     ({"max_per_profile": 1}, "too_many_identities")],
)  # fmt: skip
def test_a_pair_is_held_to_a_pattern_and_to_limits_that_staff_set_before_its_lock(
    rule: dict[str, Any], code: str, ada: Profile, bo: Profile, by: By
) -> None:
    pos = Handle.objects.get(name="pos")
    add(ada, "pos:7", by=by)

    with meanwhile(staff_set(pos, by=by, **rule)), pytest.raises(Refused) as refusal:
        add(ada, "pos:8", by=by)

    assert refusal.value.code == code
    assert pairs_of(ada) == ["pos:7"]


def test_a_move_and_a_new_identifier_are_held_to_rules_that_staff_set_before_their_lock(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    pos = Handle.objects.get(name="pos")
    till, _other = add(ada, "pos:7", by=by), add(ada_again, "pos:8", by=by)

    with meanwhile(staff_set(pos, by=by, single_valued=True)), pytest.raises(Refused) as too_many:
        moving.move(till.pk, to=ada_again.pk, reason="Hers", by=by)
    with meanwhile(staff_set(pos, by=by, immutable=True)), pytest.raises(Refused) as immutable:
        routing.change(till.pk, identifier="9", by=by, source=None)

    assert (too_many.value.code, immutable.value.code) == ("too_many_identities", "immutable_handle")
    assert (pairs_of(ada), pairs_of(ada_again)) == (["pos:7"], ["pos:8"])


def test_staff_wait_for_a_first_write_that_has_read_the_rules(till: Handle, ada: Profile, bo: Profile, by: By) -> None:
    def change() -> list[str]:
        with pytest.raises(ValidationError) as refusal:
            cataloguing.change(till, {"normaliser": "digits"}, by=by)
        return list(refusal.value.error_dict)

    with while_it_is_locked(change, HandleQuerySet, "keep") as met:
        add(ada, "till:Ab-07", by=by)

    assert met == [["normaliser"]], "By then there is an identity that is stored by the former one."
    assert lookup.resolve([("till", "Ab-07")]) == [ada.pk]


def test_writers_under_one_handle_do_not_wait_for_each_other(
    till: Handle, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    with meeting(2, HandleQuerySet, "keep"):
        met = at_once(lambda: add(ada, "till:1", by=by), lambda: add(ada_again, "till:2", by=by))

    assert met.errors == []


def test_a_write_goes_to_the_name_that_its_handle_is_given_before_the_lock(
    till: Handle, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    for write in (
        lambda: route("till:7", by=by),
        lambda: add(ada, "till:8", by=by),
        lambda: moving.move(Identity.objects.get(identifier="8").pk, to=ada_again.pk, reason="Hers", by=by),
    ):
        Handle.objects.filter(name="till").update(renamed_to=None, status="agreed")
        Identity.objects.filter(handle="pos-till").update(handle="till")

        with meanwhile(lambda: rename(till, "pos-till")):
            write()

        assert not Identity.objects.filter(handle="till").exists()
    assert lookup.resolve([("till", "7"), ("pos-till", "7")]) == [Identity.objects.get(identifier="7").profile_id] * 2
    assert pairs_of(ada_again) == ["pos-till:8"]


def test_a_writer_waits_while_its_handle_is_given_another_name_and_follows(
    till: Handle, ada: Profile, bo: Profile, by: By
) -> None:
    with waiting(lambda: add(ada, "till:7", by=by)) as writer, transaction.atomic():
        Handle.objects.select_for_update().get(pk=till.pk)
        writer.start()
        rename(till, "pos-till")

    assert str(writer[0].pair) == "pos-till:7"
    assert pairs_of(ada) == ["pos-till:7"]
