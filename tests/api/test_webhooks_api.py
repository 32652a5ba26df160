"""Webhooks over HTTP (API.md 7)."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from profiles.models import Audit, Delivery, Event, Target, Webhook
from profiles.reacting import taking
from tests.api.conftest import not_found, refused

pytestmark = pytest.mark.django_db

URL = "https://hooks.example.com/omneo?tenant=1"
SHOPIFY = {"!!": {"var": "identity.shopify"}}
HOOK: dict[str, Any] = {
    "trigger": "profile.updated",
    "url": URL,
    "namespace": "klaviyo-sync",
    "is_active": True,
    "retry_daily": True,
    "retry_hourly": False,
    "queue": "low",
    "condition": SHOPIFY,
}
FIELDS = [
    *("id", "trigger", "url", "namespace", "user_id", "is_active", "retry_daily", "retry_hourly", "queue"),
    *("condition", "created_at", "updated_at"),
]


@pytest.fixture
def hook(api: Any) -> Any:
    response = api.post("/webhooks", HOOK)
    assert response.status_code == 201, response.content
    return response.json()["data"]


def waiting(hook: Any) -> Delivery:
    """An event that is on its way to the webhook."""
    event = Event.objects.create(trigger="profile.updated", subject_type="profile", subject_key="1")
    target = Target.objects.get_or_create(url=URL)[0]
    return Delivery.objects.create(
        event=event,
        webhook_id=hook["id"],
        target=target,
        message_id=f"msg_{event.pk}",
        trigger=event.trigger,
        next_try_at=timezone.now(),
    )


def test_a_webhook_is_made_read_listed_changed_and_deleted(api, operator, hook) -> None:
    path = f"/webhooks/{hook['id']}"
    assert list(hook) == FIELDS
    told = {name: hook[name] for name in ("id", "created_at", "updated_at")}
    assert hook == HOOK | told | {"user_id": operator.pk}

    assert api.data(path) == hook
    assert api.data("/webhooks") == [hook]
    changed = api.put(path, {"queue": None, "namespace": None, "condition": None, "retry_hourly": "1"}).json()["data"]
    now = {"queue": None, "namespace": None, "condition": None, "retry_hourly": True}
    assert changed == hook | now | {"updated_at": changed["updated_at"]}
    assert (api.delete(path).status_code, Webhook.objects.count()) == (204, 0)
    for method in ("GET", "PUT", "DELETE"):
        not_found(api.call(method, path, {}))


def test_a_webhook_of_little(api) -> None:
    data = api.post("/webhooks", {"trigger": "profile.updated", "url": URL}).json()["data"]

    assert (data["is_active"], data["retry_daily"], data["retry_hourly"]) == (True, False, False)
    assert (data["namespace"], data["queue"], data["condition"]) == (None, None, None)


def test_what_was_read_can_be_sent_back_whole(api, hook, unchanged) -> None:
    with unchanged():
        assert api.put(f"/webhooks/{hook['id']}", hook).json()["data"] == hook


def test_a_webhook_stays_of_the_account_that_made_it(api, shopify, hook) -> None:
    data = shopify.put(f"/webhooks/{hook['id']}", {"user_id": 1, "is_active": False}).json()["data"]

    assert (data["user_id"], data["is_active"]) == (hook["user_id"], False)
    made = shopify.post("/webhooks", {**HOOK, "user_id": hook["user_id"]}).json()["data"]
    assert made["user_id"] == shopify.token.user_id != hook["user_id"]


def test_a_webhook_with_another_address_is_of_whoever_gave_it_that(api, shopify, hook) -> None:
    same = shopify.put(f"/webhooks/{hook['id']}", {"url": URL}).json()["data"]
    assert same["user_id"] == hook["user_id"]

    changed = shopify.put(f"/webhooks/{hook['id']}", {"url": f"{URL}&shop=2"}).json()["data"]

    assert changed["user_id"] == shopify.token.user_id != hook["user_id"]
    assert Audit.objects.filter(event="updated").get().new_values["user_id"] == shopify.token.user_id


@pytest.mark.parametrize(
    ("trigger", "needed"),
    [
        ("profile.updated", []),
        ("identity.created", []),
        ("balance.updated", []),
        ("duplicate.detected", []),
        ("unheard-of", []),
        (" transaction.created ", ["read-transactions"]),
        ("interaction.created", ["read-interactions"]),
    ],
)
def test_a_webhook_is_made_and_changed_only_by_who_may_read_what_it_sends(
    caller, hook, unchanged, trigger, needed
) -> None:
    writes = ["create-webhooks", "update-webhooks"]
    path, body = f"/webhooks/{hook['id']}", {**HOOK, "trigger": trigger}
    for lacking in ("read-profiles", *needed):
        lacks = caller(*({*writes, "read-profiles", *needed} - {lacking}))
        with unchanged():
            for response in (lacks.post("/webhooks", body), lacks.put(path, {"trigger": trigger})):
                assert response.status_code == 403
                assert response.json()["message"] == f"The token lacks the scope {lacking}."
    may = caller(*writes, "read-profiles", *needed)
    assert may.put(path, {"trigger": trigger}).status_code == 200
    assert may.post("/webhooks", body).status_code == 201
    # As it is by now, whatever is changed of it.
    response = caller(*writes, "read-profiles").put(path, {"url": f"{URL}&other"})
    assert response.status_code == (403 if needed else 200)


def test_webhooks_are_filtered_and_sorted(api) -> None:
    def add(**more: Any) -> Any:
        return api.post("/webhooks", HOOK | more).json()["data"]["id"]

    one, off, other = add(), add(is_active=False), add(trigger="profile.merged", namespace="")

    def listed(**query: Any) -> list[int]:
        asked = {name if name == "sort" else f"filter[{name}]": value for name, value in query.items()}
        return [row["id"] for row in api.data("/webhooks", asked)]

    assert listed() == [other, off, one]
    assert listed(is_active=1) == [other, one]
    assert listed(is_active=0) == [off]
    assert listed(trigger="profile.merged") == [other]
    assert listed(namespace="klaviyo-sync", sort="id") == [one, off]
    assert listed(namespace="") == [other]
    refused(api.get("/webhooks", {"filter[url]": URL}), "invalid", "filter[url]")
    refused(api.get("/webhooks", {"filter[is_active]": "yes"}), "invalid", "filter[is_active]")


@pytest.mark.parametrize("trigger", ["tier.changed", "Ärger", "a b", "x" * 64])
def test_any_trigger_can_be_stored(api, trigger) -> None:
    assert api.post("/webhooks", HOOK | {"trigger": trigger}).json()["data"]["trigger"] == trigger


@pytest.mark.parametrize("field", ["trigger", "url"])
def test_what_a_webhook_must_have(api, unchanged, field) -> None:
    with unchanged():
        refused(
            api.post("/webhooks", {name: value for name, value in HOOK.items() if name != field}), "required", field
        )


WRONG: dict[str, list[Any]] = {
    "trigger": [None, "", " ", 7, [], "x" * 65],
    "url": [None, "", 7, {}, "https://example.com/" + "x" * 2_048],
    "namespace": [7, [], "x" * 129],
    **dict.fromkeys(("is_active", "retry_daily", "retry_hourly"), ["yes", 2, [], 1.0]),
    "queue": ["urgent", 1, []],
    "condition": ["{}", 7, [], True, {"and": ["x" * 70_000]}],
}


@pytest.mark.parametrize("field", WRONG)
def test_a_wrong_value_is_refused_and_writes_nothing(api, hook, unchanged, field) -> None:
    with unchanged():
        for value in WRONG[field]:
            for response in (
                api.post("/webhooks", HOOK | {field: value}),
                api.put(f"/webhooks/{hook['id']}", {field: value}),
            ):
                refused(response, response.json()["code"], field)


@pytest.mark.parametrize(
    "url",
    [
        "hooks.example.com",
        "/omneo",
        "//example.com/",
        "ftp://example.com/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:port/",
        "https://user:secret@example.com/",
        "https://user@example.com/",
        "https://example.com/#part",
        "https://example.com#",
        "https://exa mple.com/",
        " https://example.com/",
        "https://example.com/\n",
        "https://example.com\\@127.0.0.1/",
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "https://10.0.0.7/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://[::ffff:192.168.0.1]/",
        "https://[fe80::1]/",
        "https://%31%32%37.0.0.1/",
        "https://[::1",
        "https://[example.com]/",
    ],
)
def test_what_is_no_address_to_send_to_is_refused(api, hook, unchanged, settings, url) -> None:
    settings.WEBHOOK_ALLOW = []
    with unchanged():
        for response in (api.post("/webhooks", HOOK | {"url": url}), api.put(f"/webhooks/{hook['id']}", {"url": url})):
            refused(response, "invalid", "url")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "https://example.com:8443/a/b?c=d&e=%20",
        "https://receiver/",
        "https://xn--exmple-cua.com/",
        "HTTPS://Example.COM./",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]:443/",
    ],
)
def test_an_address_is_kept_as_it_was_sent(api, url) -> None:
    assert api.post("/webhooks", HOOK | {"url": url}).json()["data"]["url"] == url


@pytest.mark.parametrize(
    ("condition", "place"),
    [
        ({}, ""),
        ({"!!": 1, "!": 2}, ""),
        ({"fires": 1}, ""),
        ({"and": [{"!!": {"var": "id"}}, {"fires": 1}]}, "/and/1"),
        ({"==": [1]}, "/=="),
    ],
)
def test_a_wrong_condition_is_refused_with_its_place(api, hook, unchanged, condition, place) -> None:
    with unchanged():
        for response in (
            api.post("/webhooks", HOOK | {"condition": condition}),
            api.put(f"/webhooks/{hook['id']}", {"condition": condition}),
        ):
            assert refused(response, "invalid_condition", "condition")["place"] == place


def test_each_change_is_audited_with_what_it_changed(api, operator, hook) -> None:
    api.put(f"/webhooks/{hook['id']}", {"queue": "high", "trigger": "profile.updated"})
    api.delete(f"/webhooks/{hook['id']}")

    entries = list(Audit.objects.filter(auditable_type="webhook").order_by("pk"))
    assert [entry.event for entry in entries] == ["created", "updated", "deleted"]
    assert {(entry.by, entry.auditable_key) for entry in entries} == {(operator, str(hook["id"]))}
    assert (entries[1].old_values, entries[1].new_values) == ({"queue": "low"}, {"queue": "high"})


def test_the_same_key_makes_one_webhook(api) -> None:
    answers = [api.call("POST", "/webhooks", HOOK, **{"Idempotency-Key": "one"}) for _time in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert Webhook.objects.count() == 1


def test_what_is_on_its_way_to_a_deleted_webhook_is_no_longer_wanted(api, hook) -> None:
    one = waiting(hook)
    other = waiting(api.post("/webhooks", HOOK).json()["data"])

    api.delete(f"/webhooks/{hook['id']}")

    wanted = taking.take(one.target_id), taking.take(one.target_id)
    assert [(taken.id, taken.is_wanted) for taken in wanted if taken] == [(one.pk, False), (other.pk, True)]


def test_one_and_true_are_different_values_in_a_condition(api, hook) -> None:
    for value in (1, True, 0, False):
        condition = {"===": [{"var": "x"}, value]}

        changed = api.put(f"/webhooks/{hook['id']}", {"condition": condition}).json()["data"]

        assert repr(changed["condition"]) == repr(condition)
        assert repr(api.data(f"/webhooks/{hook['id']}")["condition"]) == repr(condition)
