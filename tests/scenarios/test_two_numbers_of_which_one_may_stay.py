"""The shop platform's customer number, of which a profile has one, and which only the platform writes."""

from __future__ import annotations

from typing import Any

import pytest

from identities.models import Handle, Identity
from profiles import merging
from profiles.auditing import By
from profiles.merging import Choices
from profiles.models import Merge, Profile
from profiles.refusing import Refused
from tests.api.conftest import Caller, sale
from tests.tables import differences, everything

pytestmark = pytest.mark.django_db


@pytest.fixture
def two(shopify: Caller, ada: dict[str, Any]) -> tuple[Profile, Profile]:
    """Ada has opened a second account in the shop, under a number of its own."""
    Handle.objects.filter(name="shopify").update(single_valued=True)
    again = shopify.profile(first_name="Augusta", identities=[{"handle": "loyalty-card", "identifier": "9"}])
    for profile, number in ((ada, "6432187489345"), (again, "6432187489346")):
        shopify.identity(profile, "shopify", number)
    return Profile.objects.get(pk=ada["id"]), Profile.objects.get(pk=again["id"])


def number(identifier: str) -> Identity:
    return Identity.objects.get(handle="shopify", identifier=identifier)


def test_a_merge_is_refused_and_names_the_handle_and_both_numbers(two: tuple[Profile, Profile], by: By) -> None:
    ada, again = two
    before = everything()

    with pytest.raises(Refused) as refusal:
        merging.merge(ada.pk, [again.pk], by=by)

    assert (refusal.value.code, refusal.value.details["handle"]) == ("handle_conflict", "shopify")
    assert "6432187489345" in refusal.value.message
    assert "6432187489346" in refusal.value.message
    assert differences(before, everything()) == []


def test_the_number_that_is_chosen_stays_active_and_undo_gives_both_back(
    two: tuple[Profile, Profile], api: Caller, shopify: Caller, bo: dict[str, Any], by: By
) -> None:
    ada, again = two
    before = everything()

    (merge,) = merging.merge(ada.pk, [again.pk], choices=Choices(handles={"shopify": again.pk}), by=by).merges

    first, second = number("6432187489345"), number("6432187489346")
    assert (first.profile, first.is_active) == (second.profile, not second.is_active) == (ada, False)
    # The one that is not active still names her: nothing of the old account is lost.
    for identifier in ("6432187489345", "6432187489346"):
        assert shopify.record("transactions", sale(f"shopify:{identifier}"))["profile_id"] == str(ada.pk)
    third = shopify.post(f"/profiles/{ada.pk}/identities", {"handle": "shopify", "identifier": "6432187489347"})
    assert third.json()["code"] == "too_many_identities"

    merging.undo(merge.pk, by=by)

    changed = [line for line in differences(before, everything()) if "transaction" not in line.lower()]
    assert changed == [], "Each number is active again, and where it was."
    sold = {one["profile_id"] for one in api.data("/transactions")}
    assert sold == {str(ada.pk), str(again.pk)}, "Each sale has gone home with the number that brought it."


def test_no_trust_in_its_numbers_makes_two_accounts_one_by_themselves(
    two: tuple[Profile, Profile], shopify: Caller, bo: dict[str, Any]
) -> None:
    Handle.objects.update(auto_merge=False)
    Handle.objects.filter(name__in=["shopify", "loyalty-card"]).update(auto_merge=True)

    both = shopify.record("transactions", sale("shopify:6432187489345", "loyalty-card:9"))

    assert both["routing"]["outcome"] == "conflict"
    assert not Merge.objects.exists()
