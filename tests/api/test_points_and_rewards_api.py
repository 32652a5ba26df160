"""Points, rewards and the definitions of rewards (API.md 4)."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from profiles.models import Audit, Point, Reward, RewardDefinition
from tests.api.conftest import CARD, conflict, not_found, points, refused, reward

pytestmark = pytest.mark.django_db

ADAS = f"{CARD}:1804974"

DEFINITION = {
    "name": "Birthday reward",
    "handle": "birthday",
    "value": 20,
    "period": 1,
    "period_type": "month",
    "type": "birthday",
    "is_assignable": False,
    "is_published": False,
}


@pytest.fixture
def definition(api) -> dict[str, Any]:
    response = api.post("/rewards/definitions", DEFINITION)
    assert response.status_code == 201, response.content
    data: dict[str, Any] = response.json()["data"]
    return data


# Points


def test_points_are_given(api, ada) -> None:
    body = points(ADAS, value_initial="12.5", expires_at="2027-11-25T12:00:00+11:00", meta={"campaign": "spring"})

    data = api.record("points", body)

    card = ada["identities"][0]["id"]
    assert data.pop("routing")["outcome"] == "matched"
    assert data.pop("id") == Point.objects.get().pk
    assert data.pop("created_at") == data.pop("updated_at")
    assert data == {
        "profile_id": ada["id"],
        "value_initial": 12.5,
        "value_remaining": 12.5,
        "issued_at": "2026-11-25 01:00:00",
        "expires_at": "2027-11-25 01:00:00",
        "definition": {"id": 1, "name": "Points", "handle": "points"},
        "meta": {"campaign": "spring"},
        "identities": [{"handle": CARD, "identifier": "1804974"}],
        "brought_by": {"id": card, "handle": CARD, "identifier": "1804974"},
        "addressed": None,
        "log_entry_id": None,
        "source": "staff",
    }
    assert api.data(f"/points/{Point.objects.get().pk}")["value_initial"] == 12.5


def test_what_is_left_out_of_points(api, ada) -> None:
    for body in ({}, dict.fromkeys(("value_remaining", "point_definition_id", "expires_at", "meta"))):
        data = api.record("points", points(ADAS, **body))

        assert (data["value_remaining"], data["definition"]["id"]) == (100, 1)
        assert (data["expires_at"], data["meta"]) == (None, {})
    assert api.record("points", points(ADAS, value_remaining=0))["value_remaining"] == 0


def test_points_are_neither_changed_nor_deleted(api, ada) -> None:
    made = api.record("points", points(ADAS))

    for method in ("PUT", "DELETE", "PATCH"):
        assert api.call(method, f"/points/{made['id']}", {}).status_code == 405


def test_points_are_listed_newest_first(api, ada) -> None:
    late, early = (
        api.record("points", points(ADAS, issued_at=f"2026-11-{day} 00:00:00"))["id"] for day in ("25", "15")
    )

    def found(query: dict[str, str]) -> list[int]:
        return [row["id"] for row in api.data("/points", query)]

    assert found({}) == found({"filter[profile_id]": ada["id"]}) == [early, late]
    assert found({"filter[issued_at][gte]": "2026-11-01 00:00:00"}) == [late, early]
    assert found({"filter[issued_at]": "2026-11-15 00:00:00"}) == [early]
    assert found({"sort": "issued_at"}) == [early, late]


@pytest.mark.parametrize("name", ["value_initial", "issued_at"])
def test_what_points_must_have(api, ada, unchanged, name) -> None:
    with unchanged():
        body = {key: value for key, value in points(ADAS).items() if key != name}
        refused(api.post("/points", body), "required", name)


@pytest.mark.parametrize("value", [0, -1, 2, 10**18, 10**30, 10**400, "x", 1.5, True, [], {}])
@pytest.mark.parametrize("kind", ["point", "reward"])
def test_a_definition_that_is_not_there_is_a_422(api, ada, unchanged, kind, value) -> None:
    body = (points if kind == "point" else reward)(ADAS, **{f"{kind}_definition_id": value})

    with unchanged():
        refused(api.post(f"/{kind}s", body), "invalid", f"{kind}_definition_id")


def test_a_profiles_balances_are_what_remains(api, ada, bo) -> None:
    given: list[tuple[Any, dict[str, str]]] = [
        (0.1, {}),
        (0.2, {}),
        ("99.7", {"value_remaining": "9.7"}),
        (50, {"expires_at": "2020-01-01 00:00:00"}),
    ]
    for value, more in given:
        api.record("points", points(ADAS, value_initial=value, **more))
        api.record("rewards", reward(ADAS, value_initial=value, **more))

    answer = json.loads(api.get(f"/profiles/{ada['id']}").content, parse_float=Decimal, parse_int=Decimal)["data"]

    assert answer["point_balance"] == answer["reward_balance"] == 10
    assert answer["point_balance_dollars"] == Decimal("0.1")
    assert answer["combined_balance_dollars"] == Decimal("10.1")
    assert api.data(f"/profiles/{bo['id']}")["combined_balance_dollars"] == 0


# Rewards


def test_a_reward_is_given(api, ada, definition) -> None:
    body = reward(ADAS, expires_at="2026-06-25 12:00:00", reward_definition_id=definition["id"])

    data = api.record("rewards", body)

    card = ada["identities"][0]["id"]
    assert data.pop("routing")["outcome"] == "matched"
    assert data.pop("id") == Reward.objects.get().pk
    assert data.pop("created_at") == data.pop("updated_at")
    assert data == {
        "profile_id": ada["id"],
        "value_initial": 20,
        "value_remaining": 20,
        "issued_at": "2026-11-25 01:00:00",
        "expires_at": "2026-06-25 02:00:00",
        "definition": {"id": definition["id"], "name": "Birthday reward", "handle": "birthday"},
        "timezone": "Australia/Melbourne",
        "identities": [{"handle": CARD, "identifier": "1804974"}],
        "brought_by": {"id": card, "handle": CARD, "identifier": "1804974"},
        "addressed": None,
        "log_entry_id": None,
        "source": "staff",
    }


def test_a_reward_needs_no_definition(api, ada) -> None:
    for body in ({}, {"reward_definition_id": None}):
        assert api.record("rewards", reward(ADAS, **body))["definition"] is None


def test_one_is_read_changed_and_deleted_by_its_id(api, ada, definition) -> None:
    made = api.record("rewards", reward(ADAS, expires_at="2027-01-01 00:00:00"))
    del made["routing"]
    path = f"/rewards/{made['id']}"
    assert api.data(path) == made

    changes: list[tuple[dict[str, Any], dict[str, Any] | None]] = [
        ({"value_remaining": 5}, {}),
        ({"value_initial": "30.5"}, {}),
        ({"reward_definition_id": definition["id"]}, None),
        ({"reward_definition_id": None}, None),
        ({"expires_at": "2027-01-02 00:00:00"}, {"expires_at": "2027-01-01 13:00:00"}),
        ({"expires_at": None}, {}),
        ({"value_remaining": None}, {"value_remaining": 5}),
    ]
    for body, changed in changes:
        before = api.data(path)
        data = api.put(path, body).json()["data"]
        if changed is None:
            changed = {"definition": data["definition"]}
            assert (data["definition"] is None) == (body["reward_definition_id"] is None)
        else:
            told = {name: float(one) if isinstance(one, str) and "-" not in one else one for name, one in body.items()}
            changed = told | changed
        assert data == before | changed | {"updated_at": data["updated_at"]}
    assert api.delete(path).status_code == 204
    not_found(api.get(path))


def test_a_whole_reward_with_its_definition_comes_back(api, ada, definition) -> None:
    made = api.record("rewards", reward(ADAS, expires_at="2027-01-01 00:00:00", reward_definition_id=definition["id"]))
    del made["routing"]

    data = api.put(f"/rewards/{made['id']}", made | {"value_remaining": 1}).json()["data"]

    assert data == made | {"value_remaining": 1, "updated_at": data["updated_at"]}


@pytest.mark.parametrize("name", ["value_initial", "issued_at", "timezone"])
def test_what_a_reward_must_have(api, ada, unchanged, name) -> None:
    with unchanged():
        body = {key: value for key, value in reward(ADAS).items() if key != name}
        refused(api.post("/rewards", body), "required", name)


def test_times_of_a_reward_are_local(api, ada, unchanged) -> None:
    data = api.record("rewards", reward(ADAS, issued_at="2026-10-04 02:30:00", expires_at="2026-04-05T02:30:00Z"))
    assert (data["issued_at"], data["expires_at"]) == ("2026-10-03 16:30:00", "2026-04-05 02:30:00")

    wrong: list[Any] = ["", "soon", 7, [], "0001-01-01"]
    with unchanged():
        for name in ("issued_at", "expires_at"):
            for value in wrong:
                refused(api.post("/rewards", reward(ADAS, **{name: value})), "invalid", name)
        # The last hour of the calendar, which is no time in UTC.
        body = reward(ADAS, timezone="America/New_York", expires_at="9999-12-31 23:00:00")
        refused(api.post("/rewards", body), "invalid", "expires_at")
        # Nor does a PUT know another zone than the reward's own.
        refused(api.put(f"/rewards/{data['id']}", {"issued_at": "0001-01-01 00:00:00"}), "invalid", "issued_at")


def test_rewards_are_listed_by_profile(api, ada, bo) -> None:
    made = [api.record("rewards", reward(pair))["id"] for pair in (ADAS, f"{CARD}:77", ADAS)]

    assert [row["id"] for row in api.data("/rewards", {"filter[profile_id]": ada["id"]})] == [made[2], made[0]]
    assert [row["id"] for row in api.data("/rewards", {"sort": "id"})] == made


# Definitions


def test_a_definition_is_made_read_listed_changed_and_deleted(api, definition) -> None:
    path = f"/rewards/definitions/{definition['id']}"
    assert definition == DEFINITION | {name: definition[name] for name in ("id", "created_at", "updated_at")}
    assert list(definition) == ["id", *DEFINITION, "created_at", "updated_at"]

    assert api.data(path) == definition
    assert api.data("/rewards/definitions") == [definition]
    assert api.data("/rewards/definitions", {"filter[handle]": "birthday"}) == [definition]
    assert api.data("/rewards/definitions", {"filter[handle]": "other"}) == []
    data = api.put(path, {"value": "22.50", "period": None, "type": None}).json()["data"]
    assert data == definition | {"value": 22.5, "period": None, "type": "", "updated_at": data["updated_at"]}
    assert api.put(path, data).json()["data"] == data
    assert (api.delete(path).status_code, RewardDefinition.objects.count()) == (204, 0)
    for method in ("GET", "PUT", "DELETE"):
        not_found(api.call(method, path, {}))
    events = Audit.objects.filter(auditable_type="reward_definition").order_by("pk").values_list("event", flat=True)
    assert list(events) == ["created", "updated", "deleted"]


def test_a_definition_of_little(api) -> None:
    data = api.post("/rewards/definitions", {"name": "Gift", "handle": "gift", "value": "5"}).json()["data"]

    assert (data["value"], data["period"], data["period_type"], data["type"]) == (5, None, "", "")
    assert (data["is_assignable"], data["is_published"]) == (True, True)


def test_a_definitions_handle_is_its_own(api, definition, unchanged) -> None:
    other = api.post("/rewards/definitions", DEFINITION | {"handle": "other"}).json()["data"]

    with unchanged():
        refused(api.post("/rewards/definitions", DEFINITION), "definition_exists", "handle")
        response = api.put(f"/rewards/definitions/{other['id']}", {"handle": "birthday"})
        refused(response, "definition_exists", "handle")


def test_a_definition_by_which_rewards_were_given_is_kept(api, ada, definition, unchanged) -> None:
    made = api.record("rewards", reward(ADAS, reward_definition_id=definition["id"]))

    with unchanged():
        conflict(api.delete(f"/rewards/definitions/{definition['id']}"), "definition_in_use")

    api.delete(f"/rewards/{made['id']}")
    assert api.delete(f"/rewards/definitions/{definition['id']}").status_code == 204


@pytest.mark.parametrize("name", ["name", "handle", "value"])
def test_what_a_definition_must_have(api, unchanged, name) -> None:
    with unchanged():
        body = {key: value for key, value in DEFINITION.items() if key != name}
        refused(api.post("/rewards/definitions", body), "required", name)


WRONG: list[Any] = [None, True, 7, -1.5, 10**400, "", "x" * 70_000, [], {}, "9" * 400, "NaN"]


@pytest.mark.parametrize("field", DEFINITION)
def test_a_wrong_type_in_any_field_of_a_definition_is_no_500(api, definition, field) -> None:
    for number, value in enumerate(WRONG):
        body = DEFINITION | {"handle": f"new-{number}", field: value}
        for response in (
            api.post("/rewards/definitions", body),
            api.put(f"/rewards/definitions/{definition['id']}", {field: value}),
        ):
            assert response.status_code in (200, 201, 422), (field, value, response.content)


@pytest.mark.parametrize("pk", ["0", "9" * 30, "x", "-1"])
def test_a_definition_that_is_not_there_is_a_404(api, pk) -> None:
    for method in ("GET", "PUT", "DELETE"):
        not_found(api.call(method, f"/rewards/definitions/{pk}", {}))
