"""Merging: what becomes of the rows and the fields of duplicates."""

from __future__ import annotations

import base64
import itertools
import json
import uuid
import zlib
from typing import Any

import pytest
from django.contrib.auth.models import User

from identities import attributing, moving, routing
from identities.attributing import Named
from identities.models import Handle, Identity
from profiles import merging
from profiles.auditing import By
from profiles.merging import Choices
from profiles.models import Merge, Profile, Transaction
from profiles.refusing import Refused
from tests.cast import add, assert_sound, came, known, merge, pairs_of, records_of, update, value_of
from tests.lineages import four, result_of


def test_everything_of_the_duplicate_becomes_the_survivors(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    add(ada, "loyalty-card:1", by=by)
    add(ada_again, "loyalty-card:2", by=by)
    sale = came(Transaction, "loyalty-card:2", by=by)

    (one,) = merge(ada, ada_again, by=by, reason="same person")

    assert pairs_of(ada) == ["loyalty-card:1", "loyalty-card:2"]
    assert pairs_of(ada_again) == []
    assert records_of(ada) == [sale]
    assert Profile.objects.surviving(ada_again.pk) == ada
    assert Identity.objects.get(identifier="2").merged_from == ada_again
    assert (one.survivor, one.duplicate, one.by, one.reason) == (ada, ada_again, by.user, "same person")
    assert_sound()


def test_an_empty_field_takes_the_duplicates_value_and_the_duplicates_columns_stay(by: By, bo: Profile) -> None:
    ada = known("loyalty-card:1", by=by, first_name="Ada")
    again = known("loyalty-card:2", by=by, first_name="Augusta", gender="female", email="ada@example.com")
    before: dict[str, Any] = dict(Profile.objects.filter(pk=again.pk).values().get())

    merge(ada, again, by=by)

    assert value_of(ada, "first_name") == "Ada"
    assert value_of(ada, "gender") == "female"
    assert value_of(ada, "email") == "ada@example.com"
    after: dict[str, Any] = dict(Profile.objects.filter(pk=again.pk).values().get())
    assert {name for name in before if before[name] != after[name]} == {"merged_into_id", "updated_at"}
    assert_sound()


def test_a_birth_date_is_taken_whole_or_not_at_all(by: By) -> None:
    ada = known("loyalty-card:1", by=by, birth_day=10)
    again = known("loyalty-card:2", by=by, birth_year=1815, birth_month=12, birth_day=11)

    merge(ada, again, by=by)

    assert value_of(ada, "birth_year") is None


def test_the_caller_may_choose_any_side_also_an_empty_one(by: By) -> None:
    ada = known("loyalty-card:1", by=by, first_name="Ada", gender="f")
    again = known("loyalty-card:2", by=by, first_name="Augusta", company="Analytical")

    fields = {"first_name": again.pk, "gender": again.pk, "company": ada.pk}
    merge(ada, again, by=by, choices=Choices(fields=fields))

    assert [value_of(ada, name) for name in fields] == ["Augusta", "", ""]


def test_custom_attributes_that_the_survivor_has_not_are_taken(by: By) -> None:
    ada, again = known("loyalty-card:1", by=by), known("loyalty-card:2", by=by)
    attributing.put(ada.pk, Named("size", "shoe", 38), by=by, source=None)
    for name, value in (("shoe", 39), ("hat", 56)):
        attributing.put(again.pk, Named("size", name, value), by=by, source=None)

    merge(ada, again, by=by)

    assert dict(ada.custom_attributes.values_list("handle", "value")) == {"shoe": 38, "hat": 56}
    assert dict(again.custom_attributes.values_list("handle", "value")) == {"shoe": 39, "hat": 56}


SHAPES = [
    *(f"A{one} A{two} A{three}" for one, two, three in itertools.permutations("BCD")),
    *(f"A{''.join(order)}" for order in itertools.permutations("BCD")),
    "CD BC AB",
    "BD BC AB",
    "BD AC AB",
    "BD AB AC",
    "DC BD AB",
    "CB AC AD",
]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_order_of_merges_does_not_matter(shape: str, by: By) -> None:
    """ "CD BC AB": D into C, C into B, B into A. Everything ends in A, and A shows the same."""
    cast = four(by)

    for step in shape.split():
        merge(cast[step[0]], *(cast[one] for one in step[1:]), by=by)

    result = result_of(cast["A"])
    assert result == {
        "first_name": "A",
        "gender": "of B",
        "company": "of C",
        "email": "c@example.com",
        "mobile_phone": "+61404123125",
        "birth_year": 1902,
        "tags": ["d"],
        "attributes": {"comms": {"email": "B"}, "appearance": {"hair": "C"}},
        "pairs": result["pairs"],
        "from": [
            ("+61404123125", "D"),
            ("1", None),
            ("2", "B"),
            ("3", "C"),
            ("4", "D"),
            ("c@example.com", "C"),
        ],
        "primary": ["2"],
        "custom": [("hat", "B"), ("shoe", "C")],
        "records": 4,
    }
    assert len(result["pairs"]) == 6
    assert all(Profile.objects.surviving(cast[one].pk) == cast["A"] for one in "BCD")
    assert_sound()


def test_the_earlier_created_counts_and_not_the_smaller_id(by: By) -> None:
    ada = known("loyalty-card:1", by=by)
    younger, older = known("loyalty-card:2", by=by, gender="x"), known("loyalty-card:3", by=by, gender="y")
    Profile.objects.filter(pk=older.pk).update(created_at=younger.created_at.replace(year=2001))

    merge(ada, younger, older, by=by)

    assert value_of(ada, "gender") == "y"


def test_a_contact_point_that_has_left_the_lineage_is_not_taken_from_a_frozen_column(by: By, bo: Profile) -> None:
    first, second, third = (known(f"loyalty-card:{number}", by=by) for number in "123")
    again = known("loyalty-card:4", by=by, email="again@example.com")
    merge(second, again, by=by)
    moving.move(Identity.objects.get(handle="email", profile=second).pk, to=third.pk, reason="", by=by)

    merge(first, second, by=by)

    assert value_of(first, "email") == ""
    assert_sound()


def test_a_primary_mark_of_an_identity_that_is_gone_is_not_taken(by: By) -> None:
    ada, again, third = (known(f"loyalty-card:{number}", by=by) for number in "123")
    cards = {row.identifier: row for row in Identity.objects.filter(handle="loyalty-card")}
    for number in "23":
        routing.change(cards[number].pk, is_primary=True, by=by, source=None)
    merge(ada, again, by=by)
    routing.remove(cards["2"].pk, by=by, source=None)

    merge(ada, third, by=by)

    assert not ada.identities.filter(is_primary=True).exists(), "It was taken away since: nobody fills it by itself."
    first = known("loyalty-card:4", by=by)
    merge(first, ada, by=by)
    assert list(first.identities.filter(is_primary=True).values_list("identifier", flat=True)) == ["3"]
    assert_sound()


def test_a_field_written_since_is_not_worked_out_anew(by: By) -> None:
    ada = known("loyalty-card:1", by=by)
    old, older = known("loyalty-card:2", by=by, gender="x"), known("loyalty-card:3", by=by, gender="y")
    Profile.objects.filter(pk=older.pk).update(created_at=old.created_at.replace(year=2001))
    merge(ada, old, by=by)
    update(ada, gender="", by=by)

    merge(ada, older, by=by)

    assert value_of(ada, "gender") == ""


def test_a_chosen_field_is_not_worked_out_anew(by: By) -> None:
    ada = known("loyalty-card:1", by=by, gender="f")
    again, third = known("loyalty-card:2", by=by), known("loyalty-card:3", by=by, gender="third's")

    merge(ada, again, by=by, choices=Choices(fields={"gender": again.pk}))
    merge(ada, third, by=by)

    assert value_of(ada, "gender") == ""


def test_single_valued_handles_in_conflict_refuse_until_somebody_says_which_stays(by: By, bo: Profile) -> None:
    Handle.objects.filter(pk="loyalty-card").update(single_valued=True)
    ada, again = known("loyalty-card:1", by=by), known("loyalty-card:2", by=by)

    with pytest.raises(Refused, match="1, 2") as refusal:
        merge(ada, again, by=by)

    assert (refusal.value.code, refusal.value.details["handle"]) == ("handle_conflict", "loyalty-card")
    merge(ada, again, by=by, choices=Choices(handles={"loyalty-card": again.pk}))
    assert dict(ada.identities.values_list("identifier", "is_active")) == {"1": False, "2": True}
    assert_sound()


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ({"locked": True}, "profile_locked"),
        ({"profile_type": Profile.Type.DELETED}, "profile_deleted"),
    ],
)
def test_what_cannot_be_merged_is_refused_on_either_side(
    state: dict[str, Any], code: str, ada: Profile, ada_again: Profile, by: By
) -> None:
    Profile.objects.filter(pk=ada.pk).update(**state)

    for one, other in ((ada, ada_again), (ada_again, ada)):
        with pytest.raises(Refused) as refusal:
            merge(one, other, by=by)
        assert refusal.value.code == code
        assert merging.preview(one.pk, [other.pk]).blockers[0].code == code
    assert not Merge.objects.exists()


def test_ids_are_literal(ada: Profile, ada_again: Profile, bo: Profile, by: By) -> None:
    merge(ada, ada_again, by=by)

    for one, other in ((ada, ada_again), (ada_again, ada)):
        with pytest.raises(Refused) as refusal:
            merge(one, other, by=by)
        assert (refusal.value.code, refusal.value.details["survivor_id"]) == ("already_merged", str(ada.pk))
    with pytest.raises(Refused) as refusal:
        merge(ada, ada, by=by)
    assert refusal.value.code == "same_profile"
    with pytest.raises(Profile.DoesNotExist):
        merging.merge(ada.pk, [uuid.uuid4()], by=by)
    with pytest.raises(Refused) as refusal:
        merging.merge(ada.pk, [uuid.uuid4() for _ in range(101)], by=by)
    assert refusal.value.code == "too_many_profiles"


def test_a_plan_is_done_exactly_or_refused_with_what_differs(ada: Profile, ada_again: Profile, by: By) -> None:
    plan = merging.preview(ada.pk, [ada_again.pk]).plan
    add(ada_again, "loyalty-card:2", by=by)
    came(Transaction, "loyalty-card:2", by=by)
    update(ada_again, gender="f", by=by)

    with pytest.raises(Refused) as refusal:
        merge(ada, ada_again, by=by, plan=plan)

    assert refusal.value.code == "plan_changed"
    assert refusal.value.details["changed"] == ["fields.gender", "identities", "moves.identity", "moves.transaction"]
    merge(ada, ada_again, by=by, plan=refusal.value.details["plan"])
    assert records_of(ada)


def packed(text: str) -> str:
    return base64.urlsafe_b64encode(zlib.compress(text.encode("utf-8", "surrogatepass"))).decode()


@pytest.mark.parametrize(
    "plan",
    [
        *("", "nonsense", "eJw=", "é", "A" * 10_000),
        *map(packed, ("[" * 100_000, '{"a":' * 40_000, '{"\\ud800": 1}', "[1]", '{"fields.x": [1]}', "1" * 300_000)),
    ],
    ids=range(11),
)
def test_a_plan_that_is_none_is_refused(plan: str, ada: Profile, ada_again: Profile, by: By) -> None:
    with pytest.raises(Refused) as refusal:
        merge(ada, ada_again, by=by, plan=plan)

    assert refusal.value.code == "plan_changed"
    assert len(json.dumps(refusal.value.details["changed"])) < 1_000


def test_the_preview_writes_nothing_and_tells_what_the_merge_does(by: By, operator: User) -> None:
    cast = four(by)

    told = merging.preview(cast["A"].pk, [cast[one].pk for one in "BCD"])

    assert not Merge.objects.exists()
    merge(cast["A"], *(cast[one] for one in "BCD"), by=by, plan=told.plan)
    outcomes = {one.name: one for one in told.fields}
    assert outcomes["gender"].status == "adopted"
    assert outcomes["gender"].of == cast["B"].pk
    assert outcomes["first_name"].status == "conflicting"
    assert sum(told.moves["identity"].values()) == 5
    assert sum(told.moves["transaction"].values()) == 3


def test_a_chain_is_followed_in_one_statement_however_long_it_is(
    by: By, ada: Profile, django_assert_num_queries: Any
) -> None:
    first = former = ada
    for _number in range(5):
        survivor = Profile.objects.create()
        merge(survivor, former, by=by)
        former = survivor

    with django_assert_num_queries(1):
        assert Profile.objects.surviving(first.pk) == former
    with pytest.raises(Profile.DoesNotExist):
        Profile.objects.surviving(uuid.uuid4())
