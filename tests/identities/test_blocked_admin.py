from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from identities import surveying
from identities.models import BlockedIdentifier
from profiles.models import Audit
from tests.cast import add
from tests.staff import answer, filled, holding, member, read, rows, submit, user_of

LIST = "/admin/identities/blockedidentifier/"
ADD = "/admin/identities/blockedidentifier/add/"


def page(blocked: BlockedIdentifier, name: str = "change") -> str:
    return reverse(f"admin:identities_blockedidentifier_{name}", args=[blocked.pk])


@pytest.fixture
def keeper(db: None) -> Client:
    return member("Admin")


@pytest.fixture
def shipped(db: None) -> BlockedIdentifier:
    return BlockedIdentifier.objects.get(value="guest")


def block(keeper: Client, url: str = ADD, **typed: Any) -> Any:
    """Fill in the form, and say yes to what it asks."""
    return answer(keeper, url, submit(keeper, url, **typed))


def test_a_value_is_blocked_and_then_names_nobody(keeper, ada):
    block(keeper, value=" 'WALK-IN' ", handle="pos", reason="Sold over the counter.")
    response = submit(
        keeper, "/admin/identities/identity/add/", profile=str(ada.pk), handle="pos", identifier="walk-in"
    )

    blocked = BlockedIdentifier.objects.get(value="walk-in")
    assert (blocked.handle_id, blocked.by, blocked.built_in) == ("pos", user_of(keeper), False)
    assert "names nobody and is blocked" in read(response)
    assert Audit.objects.get(event="created", auditable_type="blocked_identifier").by == user_of(keeper)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"value": "guest"}, "already exists"),
        ({"value": "(", "kind": "regex"}, "This is not a regular expression"),
        ({"value": ""}, "This field is required."),
        ({"value": "x" * 256}, "at most 255 characters"),
        ({"value": "x", "handle": "\0"}, "Select a valid choice."),
    ],
)
def test_bad_input_blocks_nothing(keeper, data, sentence):
    count = BlockedIdentifier.objects.count()

    assert sentence in read(submit(keeper, ADD, **data))
    assert BlockedIdentifier.objects.count() == count


def test_a_shipped_value_can_only_be_switched_off(keeper, shipped):
    assert "it can only be switched off and on" in read(keeper.get(page(shipped)))
    assert set(filled(keeper, page(shipped))) - {"csrfmiddlewaretoken", "initial-enabled"} == {"enabled"}

    submit(keeper, page(shipped), enabled=None, value="other")

    shipped.refresh_from_db()
    assert (shipped.value, shipped.enabled) == ("guest", False)
    assert Audit.objects.get().old_values == {"enabled": True}


def test_a_shipped_value_is_never_deleted(keeper, admin_client, shipped):
    own = BlockedIdentifier.objects.create(value="walk-in")
    data = {"action": "delete_selected", "_selected_action": [shipped.pk, own.pk], "post": "yes"}

    for client in (keeper, admin_client):
        assert "switch it off instead" in read(client.post(page(shipped, "delete")))
    told = read(keeper.post(LIST, data, follow=True))

    assert "switch it off instead" in told
    assert BlockedIdentifier.objects.filter(pk=shipped.pk).exists()
    assert not BlockedIdentifier.objects.filter(pk=own.pk).exists()
    assert Audit.objects.get(event="deleted").old_values["value"] == "walk-in"


def test_the_list_says_under_which_handles(keeper):
    BlockedIdentifier.objects.create(value="walk-in", handle_id="pos")

    assert "walk-in exactly pos" in rows(keeper.get(LIST, {"q": "walk"}))[0]
    assert "guest exactly all handles" in rows(keeper.get(LIST, {"q": "guest"}))[0]


def test_readers_only_look(shipped):
    reader = member("Reader")

    assert reader.get(page(shipped)).status_code == 200
    assert reader.post(page(shipped), {}).status_code == 403
    assert reader.post(page(shipped, "delete")).status_code == 403
    assert reader.get(ADD).status_code == 403


def test_what_a_new_value_would_touch_is_told_before_it_is_saved(keeper, ada, bo, by):
    for pair in ("pos:Walk-In", "pos:WALK-IN", "pos2:walk-in", "pos:walk-in-7"):
        add(ada, pair, by=by)

    asked = submit(keeper, ADD, value="walk-in")

    told = read(asked)
    assert "Block “walk-in”?" in told
    assert "3 identities of 1 profile have this value: pos (2), pos2 (1)." in told
    assert "Looked for under all handles, as written, in capitals and in quotes." in told
    assert "They stay, but no write matches their profile by them any more" in told
    for shown in ("WALK-IN", "Walk-In", "Ada Lovelace"):
        assert shown in told
    assert "walk-in-7" not in told
    assert not BlockedIdentifier.objects.filter(value="walk-in").exists()

    response = answer(keeper, ADD, asked)
    assert response.status_code == 302
    assert BlockedIdentifier.objects.get(value="walk-in").by == user_of(keeper)
    assert ada.identities.count() == 4


def test_a_value_that_nobody_has_is_asked_about_too(keeper):
    told = read(submit(keeper, ADD, value="walk-in"))

    assert "No identity has this value." in told


def test_a_value_under_one_handle_touches_that_one_alone(keeper, ada, by):
    for pair in ("pos:walk-in", "pos2:walk-in"):
        add(ada, pair, by=by)

    told = read(submit(keeper, ADD, value="walk-in", handle="pos2"))

    assert "1 identity of 1 profile has this value: pos2 (1)." in told
    assert "Looked for under pos2" in told


def test_an_expression_is_tried_on_the_newest_identities_and_the_page_says_how_many(keeper, ada, by, monkeypatch):
    monkeypatch.setattr(surveying, "CHUNK", 2)
    for number in range(1, 6):
        add(ada, f"pos:T-{number}", by=by)

    whole = read(submit(keeper, ADD, value="t-[1245]", kind="regex"))
    assert "4 identities of 1 profile have this value: pos (4)." in whole
    assert "Looked at all identities (5)." in whole

    monkeypatch.setattr(surveying, "MOST_READ", 3)
    part = read(submit(keeper, ADD, value="t-[1245]", kind="regex", handle="pos"))
    assert "2 identities of 1 profile have this value: pos (2)." in part
    assert "Looked at the newest 3 identities of pos; there are more, which may be touched, too." in part


def test_a_sensitive_identifier_stays_masked_there(keeper, ada, by):
    add(ada, "apns:740f4707bebcf74f", by=by)

    told = read(submit(keeper, ADD, value="740f4707bebcf74f"))

    assert "1 identity of 1 profile has this value: apns (1)." in told
    assert "•••f74f" in told
    assert "740f4707bebcf74f </a>" not in told.replace("Block “740f4707bebcf74f”?", "")


def test_who_may_not_see_identities_is_told_the_number_alone(ada, by):
    add(ada, "pos:walk-in", by=by)
    keeper = holding("identities.add_blockedidentifier")

    told = read(submit(keeper, ADD, value="walk-in"))

    assert "1 identity of 1 profile has this value: pos (1)." in told
    assert "Ada Lovelace" not in told
    assert "/admin/identities/identity/" not in submit(keeper, ADD, value="walk-in").content.decode()


def test_a_changed_value_asks_again_and_a_changed_reason_does_not(keeper, ada, by):
    add(ada, "pos:counter", by=by)
    block(keeper, value="walk-in")
    blocked = BlockedIdentifier.objects.get(value="walk-in")

    submit(keeper, page(blocked), reason="Sold over the counter.")
    blocked.refresh_from_db()
    assert blocked.reason == "Sold over the counter."

    assert "1 identity of 1 profile has this value" in read(submit(keeper, page(blocked), value="counter"))
    blocked.refresh_from_db()
    assert blocked.value == "walk-in"
    block(keeper, page(blocked), value="counter")
    blocked.refresh_from_db()
    assert blocked.value == "counter"


def test_switching_off_is_done_at_once_and_switching_on_asks(keeper, shipped):
    submit(keeper, page(shipped), enabled=None)
    shipped.refresh_from_db()
    assert not shipped.enabled

    asked = submit(keeper, page(shipped), enabled="on")
    assert "Block “guest”?" in read(asked)
    shipped.refresh_from_db()
    assert not shipped.enabled
    answer(keeper, page(shipped), asked)
    shipped.refresh_from_db()
    assert shipped.enabled


def test_a_value_that_is_blocked_meanwhile_is_told_on_the_form(keeper):
    asked = submit(keeper, ADD, value="walk-in")
    BlockedIdentifier.objects.create(value="walk-in")

    told = read(answer(keeper, ADD, asked))

    assert "already exists" in told
    assert BlockedIdentifier.objects.filter(value="walk-in").count() == 1


@pytest.mark.parametrize("value", ["<script>alert(1)</script>", "'; DROP TABLE x; --", "ſ", "ﬁ", "%s %(x)s {x}"])
def test_hostile_values_are_text(keeper, value):
    asked = submit(keeper, ADD, value=value)

    assert "<script>alert" not in asked.content.decode()
    assert answer(keeper, ADD, asked).status_code == 302


def test_a_hand_made_answer_needs_the_permission(ada):
    for client in (member("Reader"), member("Editor")):
        response = client.post(ADD, {"value": "walk-in", "kind": "exact", "enabled": "on", "_sure": "yes"})
        assert response.status_code == 403
    assert not BlockedIdentifier.objects.filter(value="walk-in").exists()
