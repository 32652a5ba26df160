from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from identities.models import BlockedIdentifier
from profiles.models import Audit
from tests.staff import filled, member, read, rows, submit, user_of

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


def test_a_value_is_blocked_and_then_names_nobody(keeper, ada):
    submit(keeper, ADD, value=" 'WALK-IN' ", handle="pos", reason="Sold over the counter.")
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
