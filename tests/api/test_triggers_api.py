"""Reactions with their actions over HTTP, where they are called triggers (API.md 7)."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from profiles.listening import MOST_ACTIONS
from profiles.models import Action, Audit, Delivery, Event, Reaction, Target
from profiles.reacting import taking
from tests.api.conftest import not_found, refused

pytestmark = pytest.mark.django_db

URL = "https://hooks.example.com/omneo"


def argument(name: str, value: Any, is_dynamic: bool = False) -> dict[str, Any]:
    return {"name": name, "value": value, "is_dynamic": is_dynamic}


FILTER: dict[str, Any] = {
    "name": "filter",
    "arguments": [argument("condition", {"!!": {"var": "identity.shopify"}})],
}
SEND: dict[str, Any] = {
    "name": "target.send",
    "description": "Tell Klaviyo.",
    "arguments": [argument("url", URL), argument("body", {"var": "id"}, is_dynamic=True)],
}
SET: dict[str, Any] = {
    "name": "attribute.set",
    "arguments": [
        argument("namespace", "loyalty"),
        argument("handle", "tier"),
        argument("value", "gold"),
        argument("type", "string"),
    ],
}
BODY: dict[str, Any] = {
    "name": "Shopify customers to Klaviyo",
    "trigger": "identity.created",
    "description": "Whoever buys online.",
    "notes": "Ask Bo.",
    "is_active": True,
    "actions": [FILTER, SEND],
}
FIELDS = ["id", "name", "trigger", "description", "notes", "is_active", "actions", "created_at", "updated_at"]
OF_AN_ACTION = [
    *("id", "uuid", "name", "sort_order", "description", "notes", "arguments", "created_at", "updated_at"),
]


@pytest.fixture
def trigger(api: Any) -> Any:
    response = api.post("/triggers", BODY)
    assert response.status_code == 201, response.content
    return response.json()["data"]


def told(actions: list[Any]) -> list[tuple[str, int]]:
    return [(one["name"], one["sort_order"]) for one in actions]


def test_a_trigger_is_made_read_listed_changed_and_deleted(api, trigger) -> None:
    path = f"/triggers/{trigger['id']}"
    assert list(trigger) == FIELDS
    assert [list(one) for one in trigger["actions"]] == [OF_AN_ACTION] * 2
    assert told(trigger["actions"]) == [("filter", 0), ("target.send", 1)]
    assert [one["arguments"] for one in trigger["actions"]] == [FILTER["arguments"], SEND["arguments"]]
    assert [one["description"] for one in trigger["actions"]] == [None, "Tell Klaviyo."]
    assert {name: trigger[name] for name in BODY if name != "actions"} == {
        name: BODY[name] for name in BODY if name != "actions"
    }

    assert api.data(path) == trigger
    assert api.data("/triggers") == [trigger]
    assert api.data(f"{path}/actions") == trigger["actions"]
    data = api.put(path, {"is_active": "0", "notes": None}).json()["data"]
    assert data == trigger | {"is_active": False, "notes": None, "updated_at": data["updated_at"]}
    assert (api.delete(path).status_code, Reaction.objects.count(), Action.objects.count()) == (204, 0, 0)
    for method, end in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("GET", "/actions")):
        not_found(api.call(method, path + end, {}))
    not_found(api.post(f"{path}/actions", SEND))


def test_a_trigger_of_little(api) -> None:
    data = api.post("/triggers", {"name": "Nothing yet", "trigger": "profile.updated"}).json()["data"]

    assert (data["description"], data["notes"], data["is_active"], data["actions"]) == (None, None, True, [])


def test_what_was_read_can_be_sent_back_whole(api, trigger, unchanged) -> None:
    with unchanged():
        assert api.put(f"/triggers/{trigger['id']}", trigger).json()["data"] == trigger


def test_what_was_read_of_one_trigger_can_be_sent_as_another(api, trigger) -> None:
    copy = api.post("/triggers", trigger).json()["data"]

    assert copy["id"] != trigger["id"]
    assert told(copy["actions"]) == told(trigger["actions"])
    assert not {one["id"] for one in copy["actions"]} & {one["id"] for one in trigger["actions"]}
    assert not {one["uuid"] for one in copy["actions"]} & {one["uuid"] for one in trigger["actions"]}


def test_triggers_are_filtered_by_name_and_trigger(api, trigger) -> None:
    other = api.post("/triggers", {"name": "Other", "trigger": "profile.merged"}).json()["data"]

    assert api.data("/triggers") == [other, trigger]
    assert api.data("/triggers", {"sort": "created_at"}) == [trigger, other]
    assert api.data("/triggers", {"filter[name]": "Other"}) == [other]
    assert api.data("/triggers", {"filter[trigger]": "identity.created"}) == [trigger]
    refused(api.get("/triggers", {"filter[is_active]": "1"}), "invalid", "filter[is_active]")


# Its actions as a part of it


def test_of_the_actions_named_one_is_changed_one_is_made_and_one_left_out_is_deleted(api, trigger) -> None:
    first, second = trigger["actions"]

    sent = [{"id": second["id"], "notes": "Twice."}, {"id": None, **SET}]
    data = api.put(f"/triggers/{trigger['id']}", {"actions": sent}).json()["data"]

    changed, made = data["actions"]
    assert changed == second | {"notes": "Twice.", "updated_at": changed["updated_at"]}
    assert (made["name"], made["sort_order"], made["arguments"]) == ("attribute.set", 2, SET["arguments"])
    assert not Action.objects.filter(pk=first["id"]).exists()


@pytest.mark.parametrize("sent", [{}, {"actions": None}])
def test_actions_that_are_not_named_stay(api, trigger, sent) -> None:
    data = api.put(f"/triggers/{trigger['id']}", {"name": "Else", **sent}).json()["data"]

    assert data["actions"] == trigger["actions"]


def test_an_empty_list_deletes_all_actions(api, trigger) -> None:
    assert api.put(f"/triggers/{trigger['id']}", {"actions": []}).json()["data"]["actions"] == []


def test_actions_stand_by_their_order(api, trigger) -> None:
    first, second = (one["id"] for one in trigger["actions"])

    sent = [{"id": first, "sort_order": 5}, {"id": second, "sort_order": -1}, SET]
    data = api.put(f"/triggers/{trigger['id']}", {"actions": sent}).json()["data"]

    assert told(data["actions"]) == [("target.send", -1), ("filter", 5), ("attribute.set", 6)]
    assert api.data(f"/triggers/{trigger['id']}/actions") == data["actions"]


def test_an_action_of_another_trigger_is_not_changed(api, trigger, unchanged) -> None:
    other = api.post("/triggers", {**BODY, "name": "Other"}).json()["data"]

    with unchanged():
        for pk in (other["actions"][0]["id"], 10**15):
            sent = {"actions": [*({"id": one["id"]} for one in trigger["actions"]), {"id": pk, "notes": "Mine."}]}
            refused(api.put(f"/triggers/{trigger['id']}", sent), "unknown_action", "actions.2.id")


def test_who_has_attributes_set_may_change_profiles(caller, trigger, unchanged) -> None:
    path = f"/triggers/{trigger['id']}"
    writes = ["create-triggers", "update-triggers", "read-profiles"]
    lacks, may = caller(*writes), caller(*writes, "update-profiles")
    assert lacks.put(path, {"notes": "Mine."}).status_code == 200
    with unchanged():
        for response in (
            lacks.post("/triggers", {**BODY, "actions": [SEND, SET]}),
            lacks.put(path, {"actions": [SET]}),
            lacks.put(path, {"actions": [{"id": trigger["actions"][0]["id"], **SET}]}),
            lacks.post(f"{path}/actions", SET),
        ):
            assert response.status_code == 403
            assert response.json()["message"] == "The token lacks the scope update-profiles."
    assert may.post(f"{path}/actions", SET).status_code == 201
    # Whatever is changed of one that has it.
    assert lacks.put(path, {"trigger": "profile.updated"}).status_code == 403
    assert may.put(path, {"actions": [SET]}).status_code == 200


def test_a_trigger_is_made_and_changed_only_by_who_may_read_what_it_shows(caller, trigger, unchanged) -> None:
    writes = ["create-triggers", "update-triggers", "read-profiles"]
    sale = {"trigger": "transaction.created"}
    lacks = caller(*writes)
    with unchanged():
        for response in (lacks.post("/triggers", BODY | sale), lacks.put(f"/triggers/{trigger['id']}", sale)):
            assert response.status_code == 403
            assert response.json()["message"] == "The token lacks the scope read-transactions."
    may = caller(*writes, "read-transactions")
    assert may.put(f"/triggers/{trigger['id']}", sale).status_code == 200
    assert lacks.post(f"/triggers/{trigger['id']}/actions", SEND).status_code == 403


def test_a_lacking_scope_is_not_kept_as_the_answer_to_a_key(caller, operator) -> None:
    body = BODY | {"trigger": "transaction.created"}
    writes = ["create-triggers", "read-profiles"]

    answers = [
        caller(*scopes).call("POST", "/triggers", body, **{"Idempotency-Key": "one"}).status_code
        for scopes in (writes, [*writes, "read-transactions"])
    ]

    assert answers == [403, 201]


def test_a_trigger_has_fifty_actions_at_most(api, unchanged) -> None:
    full = api.post("/triggers", {**BODY, "actions": [SEND] * MOST_ACTIONS}).json()["data"]

    with unchanged():
        refused(api.post("/triggers", {**BODY, "actions": [SEND] * (MOST_ACTIONS + 1)}), "invalid", "actions")
        refused(api.post(f"/triggers/{full['id']}/actions", SEND), "too_many_actions", "actions")
    # One in place of another is not one more.
    kept = [{"id": one["id"]} for one in full["actions"][1:]]
    assert api.put(f"/triggers/{full['id']}", {"actions": [*kept, SEND]}).status_code == 200


def test_an_action_is_added_at_the_end(api, trigger) -> None:
    response = api.post(f"/triggers/{trigger['id']}/actions", SET)

    assert response.status_code == 201
    data = response.json()["data"]
    assert list(data) == OF_AN_ACTION
    assert (data["name"], data["sort_order"], data["arguments"]) == ("attribute.set", 2, SET["arguments"])
    assert api.data(f"/triggers/{trigger['id']}")["actions"] == [*trigger["actions"], data]
    first = api.post(f"/triggers/{trigger['id']}/actions", {**SET, "sort_order": -1}).json()["data"]
    assert api.data(f"/triggers/{trigger['id']}/actions")[0] == first


def test_the_actions_of_a_trigger_are_paged(api, trigger) -> None:
    page = api.get(f"/triggers/{trigger['id']}/actions", {"page[size]": 1, "page[number]": 2}).json()

    assert page["data"] == trigger["actions"][1:]
    assert page["meta"]["total"] == 2


def test_an_argument_is_kept_with_all_of_its_parts(api, trigger) -> None:
    sent = {**SEND, "arguments": [{"name": "url", "value": URL}, {"name": "retry_daily", "value": True, "x": 1}]}

    data = api.post(f"/triggers/{trigger['id']}/actions", sent).json()["data"]

    assert data["arguments"] == [argument("url", URL), argument("retry_daily", True)]


# What is refused


@pytest.mark.parametrize("field", ["name", "trigger"])
def test_what_a_trigger_must_have(api, unchanged, field) -> None:
    with unchanged():
        body = {name: value for name, value in BODY.items() if name != field}
        refused(api.post("/triggers", body), "required", field)


WRONG: dict[str, list[Any]] = {
    "name": [None, "", 7, [], "x" * 256],
    "trigger": [None, "", 7, {}, "x" * 65],
    **dict.fromkeys(("description", "notes"), [7, [], "x" * 65_537]),
    "is_active": ["yes", 2, []],
    "actions": ["x", 7, {}, True],
}


@pytest.mark.parametrize("field", WRONG)
def test_a_wrong_value_is_refused_and_writes_nothing(api, trigger, unchanged, field) -> None:
    with unchanged():
        for value in WRONG[field]:
            for response in (
                api.post("/triggers", BODY | {field: value}),
                api.put(f"/triggers/{trigger['id']}", {field: value}),
            ):
                refused(response, "invalid", field)


WRONG_ACTIONS: list[tuple[Any, str]] = [
    ("x", ""),
    ({}, "name"),
    ({"name": "mail.send"}, "name"),
    ({"name": None}, "name"),
    ({**SEND, "sort_order": "first"}, "sort_order"),
    ({**SEND, "sort_order": 2**31}, "sort_order"),
    ({**SEND, "id": 0}, "id"),
    ({**SEND, "id": "x"}, "id"),
    ({**SEND, "arguments": {}}, "arguments"),
    ({**SEND, "arguments": [argument("x", 1)] * 21}, "arguments"),
    ({**SEND, "arguments": ["url"]}, "arguments.0"),
    ({**SEND, "arguments": [{"value": URL}]}, "arguments.0.name"),
    ({**SEND, "arguments": [argument("url", URL, "yes")]}, "arguments.0.is_dynamic"),  # type: ignore[arg-type]
    ({**SEND, "arguments": [argument("url", ["x" * 70_000])]}, "arguments.0.value"),
]


@pytest.mark.parametrize(("action", "place"), WRONG_ACTIONS)
def test_a_wrong_action_is_refused_with_its_place(api, trigger, unchanged, action, place) -> None:
    with unchanged():
        for response in (
            api.post("/triggers", BODY | {"actions": [SEND, action]}),
            api.put(f"/triggers/{trigger['id']}", {"actions": [SEND, action]}),
        ):
            assert response.status_code == 422
            assert next(iter(response.json()["errors"])) == f"actions.1.{place}".rstrip(".")
        if isinstance(action, dict) and "id" not in action:
            assert next(iter(api.post(f"/triggers/{trigger['id']}/actions", action).json()["errors"])) == place


@pytest.mark.parametrize("url", ["ftp://example.com/", "https://user:x@example.com/", "https://example.com/#x"])
def test_a_target_is_an_address_that_something_can_be_sent_to(api, trigger, unchanged, url) -> None:
    action = {"name": "target.send", "arguments": [argument("url", url)]}

    with unchanged():
        response = api.put(f"/triggers/{trigger['id']}", {"actions": [SEND, action]})
        refused(response, "invalid", "actions.1.arguments.0.value")
        response = api.post(f"/triggers/{trigger['id']}/actions", action)
        refused(response, "invalid", "arguments.0.value")


def test_each_change_is_audited_by_the_row_that_it_changed(api, operator, trigger) -> None:
    first, second = trigger["actions"]
    sent = [{"id": second["id"], "notes": "Twice."}, SET]
    api.put(f"/triggers/{trigger['id']}", {"name": "Else", "actions": sent})
    api.delete(f"/triggers/{trigger['id']}")

    entries = Audit.objects.filter(auditable_type__in=["reaction", "action"]).order_by("pk")
    assert [(entry.auditable_type, entry.event) for entry in entries] == [
        ("reaction", "created"),
        ("action", "created"),
        ("action", "created"),
        ("reaction", "updated"),
        ("action", "deleted"),
        ("action", "updated"),
        ("action", "created"),
        ("reaction", "deleted"),
    ]
    assert {entry.by for entry in entries} == {operator}
    updated = entries[5]
    assert (updated.auditable_key, updated.new_values) == (
        str(second["id"]),
        {"notes": "Twice.", "reaction": trigger["id"]},
    )
    assert entries[4].auditable_key == str(first["id"])
    assert entries[4].old_values["arguments"] == FILTER["arguments"]


def test_a_wrong_argument_is_refused_with_its_place(api, trigger, unchanged) -> None:
    wrong = {"and": [{"var": "id"}, {"fires": 1}]}
    table: list[tuple[dict[str, Any], str, str]] = [
        ({"name": "filter", "arguments": []}, "arguments", ""),
        ({"name": "filter", "arguments": [argument("condition", wrong)]}, "arguments.0.value", "/and/1"),
        ({"name": "filter", "arguments": [argument("when", wrong)]}, "arguments.0.name", ""),
        ({"name": "target.send"}, "arguments", ""),
        ({"name": "target.send", "arguments": [argument("url", URL, is_dynamic=True)]}, "arguments.0.is_dynamic", ""),
        (
            {"name": "target.send", "arguments": [argument("url", URL), argument("body", wrong, is_dynamic=True)]},
            "arguments.1.value",
            "/and/1",
        ),
        ({"name": "attribute.set", "arguments": SET["arguments"][:2]}, "arguments", ""),
    ]
    with unchanged():
        for action, field, place in table:
            response = api.put(f"/triggers/{trigger['id']}", {"actions": [SEND, action]})
            assert refused(response, "invalid_argument", f"actions.1.{field}")["place"] == place
            response = api.post(f"/triggers/{trigger['id']}/actions", action)
            assert refused(response, "invalid_argument", field)["place"] == place
        # What stays of an action must fit to what is changed of it.
        sent = {"actions": [{"id": trigger["actions"][0]["id"], "name": "target.send"}]}
        refused(api.put(f"/triggers/{trigger['id']}", sent), "invalid_argument", "actions.0.arguments.0.name")


def test_what_a_deleted_action_has_on_its_way_is_no_longer_wanted(api, trigger) -> None:
    event = Event.objects.create(trigger="identity.created", subject_type="identity", subject_key="1")
    target = Target.objects.create(url=URL)
    waiting = [
        Delivery.objects.create(
            event=event,
            action_id=one["id"],
            target=target,
            message_id=f"msg_{one['id']}",
            trigger=event.trigger,
            next_try_at=timezone.now(),
        )
        for one in trigger["actions"]
    ]

    def are_wanted() -> list[bool]:
        Delivery.objects.update(taken_until=None, next_try_at=timezone.now())
        taken = [taking.take(target.pk) for _one in waiting]
        return [one.is_wanted for one in sorted(filter(None, taken), key=lambda one: one.id)]

    assert are_wanted() == [True, True]
    api.put(f"/triggers/{trigger['id']}", {"actions": [{"id": trigger["actions"][1]["id"]}]})
    assert are_wanted() == [False, True]
    api.delete(f"/triggers/{trigger['id']}")
    assert are_wanted() == [False, False]


def test_behind_an_action_of_the_last_order_there_is_room(api) -> None:
    last = 2**31 - 1
    made = api.post(
        "/triggers", {"name": "Last", "trigger": "profile.updated", "actions": [{**FILTER, "sort_order": last}, SET]}
    ).json()["data"]

    added = api.post(f"/triggers/{made['id']}/actions", SEND)

    assert added.status_code == 201
    actions = api.data(f"/triggers/{made['id']}")["actions"]
    assert told(actions) == [("filter", last), ("attribute.set", last), ("target.send", last)]


def test_one_and_true_are_different_values_of_an_action(api) -> None:
    names = {"namespace": "loyalty", "handle": "tier", "type": "json"}

    def setting(value: Any) -> dict[str, Any]:
        arguments = [argument("value", value), *(argument(name, text) for name, text in names.items())]
        return {"name": "attribute.set", "arguments": arguments}

    made = api.post("/triggers", {"name": "Tier", "trigger": "profile.updated", "actions": [setting(0)]}).json()[
        "data"
    ]
    for value in (1, True, [1], [True], {"a": 0}, {"a": False}):
        sent = {"id": made["actions"][0]["id"], **setting(value)}

        assert api.put(f"/triggers/{made['id']}", {"actions": [sent]}).status_code == 200

        (stored,) = api.data(f"/triggers/{made['id']}")["actions"]
        (found,) = [one["value"] for one in stored["arguments"] if one["name"] == "value"]
        assert repr(found) == repr(value)
