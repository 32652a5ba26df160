"""A PUT changes what it names and nothing else (API.md 3), also inside `attributes` and among the birth fields."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(api):
    body = {
        "first_name": "Ada",
        "birth_date": "1815-12-10",
        "attributes": {
            "comms": {"email_promo": True},
            "appearance": {"eyes": "brown"},
            "dates": [{"name": "wedding"}],
        },
    }
    return api.post("/profiles", body).json()["data"]


def test_a_put_of_one_part_of_the_attributes_keeps_the_others(api, ada):
    changed = api.put(f"/profiles/{ada['id']}", {"attributes": {"comms": {"email_promo": False}}}).json()["data"]

    assert changed["attributes"] == {**ada["attributes"], "comms": {"email_promo": False}}

    unchanged = api.put(f"/profiles/{ada['id']}", {"attributes": {}}).json()["data"]
    assert unchanged["attributes"] == changed["attributes"]

    emptied = api.put(f"/profiles/{ada['id']}", {"attributes": None}).json()["data"]
    assert emptied["attributes"] == {"comms": {}, "appearance": {}, "dates": []}


def test_a_whole_object_sent_back_with_one_birth_field_changed_changes_that_one(api, ada):
    by_part = api.put(f"/profiles/{ada['id']}", {**ada, "birth_day": 11}).json()["data"]
    assert by_part["birth_date"] == "1815-12-11"

    by_date = api.put(f"/profiles/{ada['id']}", {**by_part, "birth_date": "1816-01-02"}).json()["data"]
    assert (by_date["birth_year"], by_date["birth_month"], by_date["birth_day"]) == (1816, 1, 2)

    emptied = api.put(f"/profiles/{ada['id']}", {**by_date, "birth_date": None}).json()["data"]
    assert (emptied["birth_date"], emptied["birth_year"]) == (None, None)


def test_a_whole_object_sent_back_as_it_was_read_changes_nothing(api, ada):
    again = api.put(f"/profiles/{ada['id']}", ada).json()["data"]

    assert again == ada
