"""Contact points that the duplicate's id sets or empties: an undo gives each side its own back."""

from __future__ import annotations

from typing import Any

import pytest

from profiles.auditing import By
from tests.cast import assert_sound, known, merge, pairs_of, undo, update, value_of

CONTACTS: dict[str, Any] = {"email": "ada@example.com", "mobile_phone": "+61404123123"}
OTHERS: dict[str, Any] = {"email": "again@example.com", "mobile_phone": "+61404123124"}
NEW: dict[str, Any] = {"email": "new@example.com", "mobile_phone": "+61404123125"}


def pairs(contacts: dict[str, Any]) -> list[str]:
    return [f"{handle}:{identifier}" for handle, identifier in contacts.items()]


@pytest.mark.parametrize("had", [{}, OTHERS], ids=["none", "its own"])
def test_contact_points_set_by_the_duplicates_id_leave_the_survivor_its_own(had: dict[str, Any], by: By) -> None:
    ada = known("loyalty-card:1", by=by, **CONTACTS)
    again = known("loyalty-card:2", by=by, **had)
    (one,) = merge(ada, again, by=by)

    shown = update(again, by=by, **NEW)

    assert (shown, {name: value_of(ada, name) for name in NEW}) == (ada, NEW)
    assert set(pairs(CONTACTS) + pairs(had) + pairs(NEW)) < set(pairs_of(ada))
    undo(one, by=by)
    assert {name: value_of(ada, name) for name in CONTACTS} == CONTACTS
    assert pairs_of(ada) == sorted(["loyalty-card:1", *pairs(CONTACTS)])
    assert pairs_of(again) == sorted(["loyalty-card:2", *pairs(had), *pairs(NEW)])
    assert_sound()


@pytest.mark.parametrize("nothing", ["", None])
def test_contact_points_emptied_by_the_duplicates_id_stay_held_by_the_survivor(nothing: str | None, by: By) -> None:
    ada, again = known("loyalty-card:1", by=by, **CONTACTS), known("loyalty-card:2", by=by)
    (one,) = merge(ada, again, by=by)

    update(again, by=by, email=nothing, mobile_phone=nothing)

    assert [value_of(ada, name) for name in CONTACTS] == ["", ""]
    undo(one, by=by)
    assert pairs_of(ada) == sorted(["loyalty-card:1", *pairs(CONTACTS)])
    assert pairs_of(again) == ["loyalty-card:2"]
    assert_sound()


def test_what_came_from_the_duplicate_gives_way_to_what_its_id_sets(by: By) -> None:
    ada, again = known("loyalty-card:1", by=by), known("loyalty-card:2", by=by, **OTHERS)
    merge(ada, again, by=by)

    update(again, by=by, **CONTACTS)
    assert pairs_of(ada) == sorted(["loyalty-card:1", "loyalty-card:2", *pairs(CONTACTS)])
    update(again, by=by, **NEW)

    assert pairs_of(ada) == sorted(["loyalty-card:1", "loyalty-card:2", *pairs(NEW)])


def test_by_the_survivors_own_id_the_contact_points_shown_are_replaced_as_ever(by: By) -> None:
    ada, again = known("loyalty-card:1", by=by, **CONTACTS), known("loyalty-card:2", by=by)
    (one,) = merge(ada, again, by=by)

    update(ada, by=by, **NEW)

    assert pairs_of(ada) == sorted(["loyalty-card:1", "loyalty-card:2", *pairs(NEW)])
    undo(one, by=by)
    assert pairs_of(ada) == sorted(["loyalty-card:1", *pairs(NEW)])
    assert {name: value_of(ada, name) for name in NEW} == NEW
    assert_sound()
