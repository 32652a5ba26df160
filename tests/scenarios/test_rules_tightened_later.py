"""A handle becomes single-valued, or gets a limit, when profiles have more than that already (PEERS (c) 22).

Nothing changes by itself: old rows stay and are read, and what merges or comes from then on goes by the new rule.
"""

from __future__ import annotations

import pytest

from identities.models import Handle, Identity
from profiles.auditing import By
from profiles.merging import Choices
from profiles.models import Profile, Transaction
from profiles.refusing import Refused
from tests.cast import add, assert_sound, came, known, merge, pairs_of, undo
from tests.tables import differences, everything


def tighten(**rules: object) -> None:
    Handle.objects.filter(pk="loyalty-card").update(**rules)


def test_what_a_profile_has_too_many_of_stays_and_matches(by: By, bo: Profile) -> None:
    ada = known("loyalty-card:1", "loyalty-card:2", by=by)
    before = everything()

    tighten(single_valued=True, max_per_profile=1)

    assert differences(before, everything()) == [
        line for line in differences(before, everything()) if line.startswith("identities.Handle")
    ]
    assert came(Transaction, "loyalty-card:2", by=by).profile == ada
    with pytest.raises(Refused) as refusal:
        add(ada, "loyalty-card:3", by=by)
    assert refusal.value.code == "too_many_identities"
    assert_sound()


def test_a_merge_asks_which_side_stays_and_its_undo_gives_back_what_was(by: By, bo: Profile) -> None:
    ada, again = known("loyalty-card:1", "loyalty-card:2", by=by), known("loyalty-card:3", by=by)
    tighten(single_valued=True)
    before = everything()

    with pytest.raises(Refused) as refusal:
        merge(ada, again, by=by)
    assert refusal.value.code == "handle_conflict"
    (one,) = merge(ada, again, by=by, choices=Choices(handles={"loyalty-card": again.pk}))

    assert dict(Identity.objects.filter(profile=ada).values_list("identifier", "is_active")) == {
        "1": False,
        "2": False,
        "3": True,
    }
    undo(one, by=by)
    assert differences(before, everything()) == []


def test_a_rule_tightened_between_merge_and_undo_keeps_nobody_apart(by: By, bo: Profile) -> None:
    ada, again = known("loyalty-card:1", by=by), known("loyalty-card:2", by=by)
    (one,) = merge(ada, again, by=by)

    tighten(single_valued=True, max_per_profile=1)
    undo(one, by=by)

    assert [pairs_of(ada), pairs_of(again)] == [["loyalty-card:1"], ["loyalty-card:2"]]
    assert_sound()
