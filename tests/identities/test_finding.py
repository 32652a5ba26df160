from __future__ import annotations

import pytest

from identities import finding, releasing
from profiles.models import Profile
from tests.cast import add, route, update


def names(text: str) -> list[str]:
    return [hit.profile.full_name for hit in finding.find(text).hits]


def reasons(text: str) -> list[tuple[str, str, bool]]:
    return [
        (reason.handle or reason.field, reason.text, reason.is_whole)
        for hit in finding.find(text).hits
        for reason in hit.reasons
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1804974", [("loyalty-card", "1804974", True)]),
        (" 1804974 ", [("loyalty-card", "1804974", True)]),
        ("ADA@EXAMPLE.COM", [("email", "Ada@example.com", True)]),
        ("0404 123 123", [("mobile_phone", "+61404123123", True)]),
        ("6432187489345", [("shopify", "6432187489345", True)]),
        ("Ada.L", [("instagram", "ada.l", True)]),
        ("18049", [("loyalty-card", "1804974", False)]),
        ("ada@ex", [("email", "ada@example.com", False)]),
        ("Lovel", [("name", "", False)]),
        ("ada lovelace", [("name", "", False)]),
        ("Lovelace  ADA", [("name", "", False)]),
    ],
)
def test_a_profile_is_found_by_whatever_names_it_and_says_why(ada, bo, by, shopify, text, why):
    add(ada, "loyalty-card:1804974", by=by)
    add(ada, "shopify:6432187489345", by=by, source=shopify)
    add(ada, "instagram:ada.l", by=by)
    update(ada, email="Ada@example.com", mobile_phone="+61404123123", by=by)

    assert names(text) == ["Ada Lovelace"]
    assert reasons(text) == why


def test_a_profile_is_found_by_its_id_in_every_state(ada, by):
    releasing.delete(ada.pk, by=by)

    assert reasons(str(ada.pk)) == [("id", str(ada.pk), True)]


@pytest.mark.parametrize("text", ["", " ", "\0", "\ud800", "nobody", "%", "_", "\\", "l%e", "' OR 1=1 --", "\u202e"])
def test_what_names_nobody_finds_nobody(ada, bo, text):
    assert names(text) == []


def test_the_signs_of_a_pattern_mean_themselves(ada, by):
    add(ada, "pos:50%_a\\b", by=by)

    assert names("50%_a\\") == ["Ada Lovelace"]
    assert names("50_") == []


def test_a_sensitive_identifier_is_found_whole_only_and_shown_masked(ada, by):
    add(ada, "apns:740f4707bebcf74f9b7c25d4", by=by)

    assert names("740f4707bebcf74f9b7c25d") == []
    assert reasons("740f4707bebcf74f9b7c25d4") == [("apns", "•••25d4", True)]


def test_a_text_under_another_normaliser_is_not_the_identifier(ada, by):
    add(ada, "pos:123", by=by)

    assert names("abc-123") == []


def test_beginnings_are_looked_for_only_when_nothing_is_called_so(ada, bo, by):
    add(ada, "pos:100", by=by)
    add(bo_again := route("pos:1001", by=by, first_name="Cy").profile, "pos:1002", by=by)

    assert names("100") == ["Ada Lovelace"]
    assert names("1001") == [bo_again.full_name]
    assert set(names("10")) == {"Ada Lovelace", "Cy"}


def test_one_profile_stands_once_with_all_its_reasons(ada, by):
    add(ada, "pos:7", by=by)
    add(ada, "pos-customer:7", by=by)

    assert len(finding.find("7").hits) == 1
    assert {reason[0] for reason in reasons("7")} == {"pos", "pos-customer"}


def test_deleted_profiles_come_last(ada, ada_again, by):
    for profile in (ada, ada_again):
        update(profile, last_name="King", by=by)
    releasing.delete(ada.pk, by=by)

    assert names("king") == ["Augusta Ada King", "Ada King"]


def test_names_come_in_their_order(by, db):
    for first, last in (("Cy", "Green"), ("Ann", "Greene"), ("Bo", "Green")):
        Profile.objects.create(first_name=first, last_name=last)

    assert names("green") == ["Bo Green", "Cy Green", "Ann Greene"]


def test_more_hits_than_are_shown_are_cut_and_said_to_be(by, db):
    for number in range(4):
        Profile.objects.create(first_name="Ada", last_name=f"No{number}")

    found = finding.find("ada", most=3)

    assert (len(found.hits), found.is_cut) == (3, True)
    assert not finding.find("ada", most=4).is_cut


def test_the_search_costs_the_same_for_one_hit_and_for_fifty(by, db, django_assert_num_queries):
    for number in (1, 49):
        for one in range(number):
            Profile.objects.create(first_name="Ada", last_name=f"Number{'x' * one}{number}")
        # Identifiers, names, the profiles.
        with django_assert_num_queries(3):
            finding.find("ada")
