"""One click on the profile's page: primary, active, revealed."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from identities import releasing
from identities.models import Identity
from profiles.auditing import By
from profiles.models import Audit
from tests.cast import add, update
from tests.staff import holding, member, read, signed_in, user_of


@pytest.fixture
def editor(by: By) -> Client:
    return signed_in(by.user)


@pytest.fixture
def card(ada, by) -> Identity:
    return add(ada, "loyalty-card:1804974", by=by)


@pytest.fixture
def device(ada, by) -> Identity:
    return add(ada, "apns:740f4707bebcf74f9b7c25d4", by=by)


def page(identity: Identity, name: str) -> str:
    return reverse(f"admin:identities_identity_{name}", args=[identity.pk])


def mark(client: Client, identity: Identity, word: str) -> str:
    return client.post(page(identity, "mark"), {"mark": word}, follow=True).content.decode()


def test_an_identity_is_made_primary_and_the_former_one_is_not(editor, ada, card, by):
    other = add(ada, "pos:7", by=by)
    mark(editor, card, "primary")

    told = mark(editor, other, "primary")

    assert "Till 7 is the primary identity now." in told
    assert list(ada.identities.filter(is_primary=True)) == [other]


@pytest.mark.parametrize(("word", "column"), [("primary", "is_primary"), ("inactive", "is_active")])
def test_each_mark_offers_the_way_back(editor, card, word, column):
    before = getattr(card, column)
    told = mark(editor, card, word)
    card.refresh_from_db()
    assert getattr(card, column) is not before

    back = re.search(r'<a href="([^"]+)">Take it back</a>', told)
    assert back
    asked = editor.get(back.group(1))
    hidden = re.search(r'name="mark" value="(\w+)"', asked.content.decode())
    assert hidden
    mark(editor, card, hidden.group(1))

    card.refresh_from_db()
    assert getattr(card, column) is before
    assert Audit.objects.filter(event="updated", auditable_type="identity", by=user_of(editor)).count() == 2


def test_opening_the_page_changes_nothing(editor, card):
    editor.get(page(card, "mark"), {"mark": "inactive"})

    card.refresh_from_db()
    assert card.is_active


@pytest.mark.parametrize("word", ["", "nonsense", "\0", "<script>"])
def test_an_unknown_mark_changes_nothing(editor, card, word):
    response = editor.post(page(card, "mark"), {"mark": word})

    assert "Nothing was chosen." in read(response)
    assert "<script>" not in response.content.decode().split("<main")[1]
    assert not Audit.objects.filter(event="updated").exists()


def test_what_staff_cannot_change_is_not_marked(editor, ada, card, klaviyo, by):
    reserved = add(ada, "klaviyo:01HXK3V7Q2M5Z8", by=by, source=klaviyo)
    update(ada, email="ada@example.com", by=by)
    contact = ada.identities.get(handle="email")

    assert "reserved for the extension klaviyo" in mark(editor, reserved, "inactive")
    assert "A contact point is changed through" in mark(editor, contact, "primary")
    releasing.delete(ada.pk, by=by)
    assert "Its profile is deleted" in mark(editor, card, "inactive")
    assert not ada.identities.filter(is_active=False).exists()


def test_a_reader_marks_nothing_by_a_hand_made_post(card):
    assert member("Reader").post(page(card, "mark"), {"mark": "inactive"}).status_code == 403
    card.refresh_from_db()
    assert card.is_active


def test_a_masked_identifier_is_revealed_on_request_and_the_audit_keeps_who_looked(editor, device, ada):
    asked = editor.get(page(device, "reveal"))
    assert "740f4707" not in asked.content.decode()
    assert not Audit.objects.filter(event="revealed").exists()

    shown = editor.post(page(device, "reveal"))

    assert "740f4707bebcf74f9b7c25d4" in read(shown)
    assert "no-store" in shown["Cache-Control"]
    audit = Audit.objects.get(event="revealed")
    assert (audit.by, audit.profile, audit.auditable_key) == (user_of(editor), ada, str(device.pk))
    assert "740f4707" not in str(audit.new_values)


def test_revealing_is_a_permission_of_its_own(device):
    for client in (member("Reader"), holding("identities.view_identity", "identities.change_identity")):
        assert client.post(page(device, "reveal")).status_code == 403
    assert not Audit.objects.filter(event="revealed").exists()
    assert member("Admin").post(page(device, "reveal")).status_code == 200
