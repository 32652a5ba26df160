from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from identities import adding, releasing
from identities.handles import Sent
from identities.models import Handle, Identity, RoutingLogEntry
from profiles.auditing import By
from profiles.models import Audit
from tests.cast import add, pairs_of, route, update
from tests.staff import holding, member, read, rows, signed_in, submit, user_of

LIST = "/admin/identities/identity/"
ADD = "/admin/identities/identity/add/"


def page(identity: Identity, name: str = "change") -> str:
    return reverse(f"admin:identities_identity_{name}", args=[identity.pk])


@pytest.fixture
def editor(by: By) -> Client:
    return signed_in(by.user)


@pytest.fixture
def card(ada, by) -> Identity:
    return add(ada, "loyalty-card:1804974", by=by)


@pytest.fixture
def reserved(ada, klaviyo, by) -> Identity:
    return add(ada, "klaviyo:01HXK3V7Q2M5Z8", by=By(klaviyo.service_account), source=klaviyo)


# Adding


def test_an_identity_is_added_from_the_profile_by_routing(editor, ada, bo):
    url = f"{ADD}?profile={ada.pk}"
    profile_page = reverse("admin:profiles_profile_change", args=[ada.pk])

    assert url in editor.get(profile_page).content.decode()
    response = submit(editor, url, handle="loyalty-card", identifier=" 1804974 ", is_primary="on")

    assert response["Location"] == profile_page
    identity = ada.identities.get()
    assert (str(identity.pair), identity.original, identity.source) == ("loyalty-card:1804974", "", None)
    assert (identity.is_primary, identity.is_active) == (True, True)
    assert Audit.objects.get(event="created", auditable_type="identity", profile=ada).by == user_of(editor)


def test_a_taken_identity_is_refused_with_a_link_to_its_owner_and_logged(editor, ada, bo):
    response = submit(editor, ADD, profile=str(ada.pk), handle="loyalty-card", identifier="bo")

    owner = reverse("admin:profiles_profile_change", args=[bo.pk])
    assert "Another profile has this identity." in read(response)
    assert f'<a href="{owner}">Bo Diddley</a>' in response.content.decode()
    assert pairs_of(ada) == []
    entry = RoutingLogEntry.objects.get()
    assert (entry.outcome, entry.handle, entry.identifier) == ("identity_taken", "loyalty-card", "bo")
    assert (entry.requested_profile, entry.source, entry.by) == (ada, None, user_of(editor))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"handle": "email", "identifier": "ada@example.com"}, "is set through the profile's own field"),
        ({"handle": "loyalty-card", "identifier": "guest"}, "names nobody and is blocked"),
        ({"handle": "loyalty-card", "identifier": "a\u200bb"}, "invisible character"),
        ({"handle": "loyalty-card", "identifier": "a\0b"}, "Null characters are not allowed."),
        ({"handle": "loyalty-card", "identifier": "x" * 10_000}, "at most 510 characters"),
        ({"handle": "loyalty-card", "identifier": "x" * 300}, "longer than 255 characters"),
        ({"handle": "loyalty-card", "identifier": ""}, "This field is required."),
        ({"handle": "no-such-handle", "identifier": "1"}, "Select a valid choice."),
        ({"handle": "\0", "identifier": "1"}, "Select a valid choice."),
        ({"handle": "'; DROP TABLE x --", "identifier": "1"}, "Select a valid choice."),
        ({"profile": "nonsense", "handle": "pos", "identifier": "1"}, "is not a valid"),
        ({"profile": "00000000-0000-0000-0000-000000000000", "handle": "pos"}, "That choice is not one of"),
    ],
)
def test_bad_input_is_told_and_adds_nothing(editor, ada, changed, sentence):
    response = submit(editor, ADD, **{"profile": str(ada.pk), **changed})

    assert sentence in read(response)
    assert not Identity.objects.exists()


def test_a_retired_handle_takes_no_new_identity(editor, ada):
    Handle.objects.filter(pk="pos").update(status="retired")

    response = submit(editor, ADD, profile=str(ada.pk), handle="pos", identifier="1")

    assert "The handle pos is retired." in read(response)


def test_a_deleted_profile_takes_no_identity(editor, ada, by):
    releasing.delete(ada.pk, by=by)

    response = submit(editor, ADD, profile=str(ada.pk), handle="pos", identifier="1")

    assert "This profile is deleted" in read(response)


def test_an_address_with_nonsense_in_it_gives_an_empty_form(editor):
    assert editor.get(f"{ADD}?profile=%00&handle=%00&identifier=%00&x=%00").status_code == 200
    assert editor.get(f"{ADD}?profile=nonsense&handle=nonsense").status_code == 200


# The reserved-handle rule


def test_only_its_extension_adds_identities_of_a_reserved_handle(editor, ada, klaviyo):
    response = submit(editor, ADD, profile=str(ada.pk), handle="klaviyo", identifier="01HXK3V7Q2M5Z8")

    assert "The handle klaviyo is reserved for the extension klaviyo." in read(response)
    assert pairs_of(ada) == []
    adding.add(ada.pk, Sent("klaviyo", "01HXK3V7Q2M5Z8"), by=By(klaviyo.service_account), source=klaviyo)
    assert pairs_of(ada) == ["klaviyo:01HXK3V7Q2M5Z8"]


def test_a_reserved_identity_is_shown_without_anything_to_change(editor, reserved):
    response = editor.get(page(reserved))

    text = read(response)
    assert "The handle klaviyo is reserved for the extension klaviyo." in text
    assert "Save" not in text
    assert page(reserved, "delete") not in response.content.decode()
    assert 'name="identifier"' not in response.content.decode()


@pytest.mark.parametrize("client_of", ["editor", "admin_client"])
@pytest.mark.parametrize(
    "data", [{"identifier": "stolen", "is_active": "on"}, {"identifier": "01HXK3V7Q2M5Z8"}, {"is_primary": "on"}]
)
def test_changing_and_deactivating_a_reserved_identity_is_refused(request, client_of, reserved, data):
    client = request.getfixturevalue(client_of)

    response = client.post(page(reserved), data)

    assert response.context["errors"] == [["The handle klaviyo is reserved for the extension klaviyo."]]
    before = Identity.objects.filter(pk=reserved.pk).values().get()
    assert (before["identifier"], before["is_active"], before["is_primary"]) == ("01HXK3V7Q2M5Z8", True, False)
    assert not Audit.objects.filter(event="updated").exists()


def test_deleting_a_reserved_identity_is_refused(editor, admin_client, reserved):
    for client in (editor, admin_client):
        for response in (client.get(page(reserved, "delete")), client.post(page(reserved, "delete"))):
            assert "The handle klaviyo is reserved for the extension klaviyo." in read(response)

    assert Identity.objects.filter(pk=reserved.pk).exists()


def test_of_several_identities_the_reserved_ones_stay(editor, ada, card, reserved):
    data = {"action": "delete_selected", "_selected_action": [card.pk, reserved.pk]}

    asked = read(editor.post(LIST, data))
    assert ada.identities.count() == 2
    told = read(editor.post(LIST, data | {"post": "yes"}, follow=True))

    assert "loyalty-card: 1804974" in asked
    assert "The handle klaviyo is reserved for the extension klaviyo." in told
    assert "1 was deleted." in told
    assert pairs_of(ada) == ["klaviyo:01HXK3V7Q2M5Z8"]


# Changing


def test_an_identity_is_changed_in_place_by_routing(editor, ada, card, bo):
    submit(editor, page(card), identifier="1804975", is_active=None)

    card.refresh_from_db()
    assert (card.identifier, card.is_active) == ("1804975", False)
    audit = Audit.objects.get(event="updated", auditable_key=str(card.pk))
    assert (audit.old_values["identifier"], audit.new_values["identifier"]) == ("1804974", "1804975")


def test_saving_without_a_change_writes_nothing(editor, card):
    before = Identity.objects.filter(pk=card.pk).values().get()

    submit(editor, page(card))

    assert Identity.objects.filter(pk=card.pk).values().get() == before
    assert not Audit.objects.filter(event="updated").exists()


def test_saving_confirms_an_identity_that_was_attached_by_contact_alone(editor, card):
    Identity.objects.filter(pk=card.pk).update(by_contact=True)

    assert "Saving it confirms that it belongs here." in read(editor.get(page(card)))
    submit(editor, page(card))

    card.refresh_from_db()
    assert card.by_contact is False


def test_a_change_to_somebody_elses_pair_is_refused_and_logged(editor, ada, card, bo):
    response = submit(editor, page(card), identifier="bo", is_active=None)

    assert "Another profile has this identity. ( Bo Diddley )" in read(response)
    card.refresh_from_db()
    assert (card.identifier, card.is_active) == ("1804974", True)
    assert RoutingLogEntry.objects.get().requested_profile == ada


def test_an_old_identity_that_its_handles_pattern_no_longer_admits_can_still_be_deactivated(editor, card):
    Handle.objects.filter(pk="loyalty-card").update(pattern="[A-Z]+")

    submit(editor, page(card), is_active=None)

    card.refresh_from_db()
    assert card.is_active is False


def test_an_immutable_identifier_is_no_field(editor, card):
    Handle.objects.filter(pk="loyalty-card").update(immutable=True)

    assert 'name="identifier"' not in editor.get(page(card)).content.decode()
    submit(editor, page(card), identifier="other", is_primary="on")

    card.refresh_from_db()
    assert (card.identifier, card.is_primary) == ("1804974", True)


def test_a_contact_point_can_be_deleted_and_moved_but_not_changed(editor, ada, bo, by):
    update(ada, email="ada@example.com", by=by)
    contact = ada.identities.get()

    shown = read(editor.get(page(contact)))
    refused = editor.post(page(contact), {"identifier": "x@example.com"}).context["errors"]
    editor.post(page(contact, "delete"))

    assert "here it can be moved or deleted" in shown
    assert refused == [["email is set through the profile's own field."]]
    ada.refresh_from_db()
    assert (ada.email, pairs_of(ada)) == ("", [])


# Deleting


def test_an_identity_is_deleted_after_a_question(editor, ada, card):
    asked = read(editor.get(page(card, "delete")))
    response = editor.post(page(card, "delete"))

    assert "Delete loyalty-card: 1804974?" in asked
    assert "It no longer names the profile Ada Lovelace" in asked
    assert response["Location"] == reverse("admin:profiles_profile_change", args=[ada.pk])
    assert pairs_of(ada) == []
    assert Audit.objects.get(event="deleted").by == user_of(editor)


# Lists


@pytest.mark.parametrize("text", ["1804974", "18049", " 1804974 ", "LOYALTY"])
def test_the_list_finds_an_identifier_whole_or_by_its_beginning(editor, ada, bo, by, card, text):
    add(ada, "instagram:loyalty", by=by)

    found = rows(editor.get(LIST, {"q": text}))

    assert len(found) == 1


@pytest.mark.parametrize("text", ["804974", "%", "_", "' OR 1=1 --"])
def test_the_list_finds_no_part_of_an_identifier(editor, card, text):
    assert rows(editor.get(LIST, {"q": text})) == []


def test_the_list_filters_by_handle_source_and_activity(editor, ada, by, card, reserved):
    add(ada, Sent("pos", "7", is_active=False), by=by)

    assert len(rows(editor.get(LIST))) == 3
    assert len(rows(editor.get(LIST, {"handle": "loyalty-card"}))) == 1
    assert len(rows(editor.get(LIST, {"handle": "nonsense"}))) == 0
    assert len(rows(editor.get(LIST, {"source": "klaviyo"}))) == 1
    assert len(rows(editor.get(LIST, {"source": "staff"}))) == 2
    assert len(rows(editor.get(LIST, {"is_active__exact": "0"}))) == 1


def test_of_a_common_beginning_the_first_are_found_and_then_filtered(editor, by, monkeypatch):
    monkeypatch.setattr("identities.admin.identity.MOST_FOUND", 2)
    for pair in ("pos:T07-3", "pos:T07-1", "pos-customer:T07-2", "pos:T08"):
        route(pair, by=by)

    found = rows(editor.get(LIST, {"q": "T0"}))

    assert ["T07-1" in "".join(found), "T07-2" in "".join(found), len(found)] == [True, True, 2]
    assert len(rows(editor.get(LIST, {"q": "T0", "handle": "pos"}))) == 1
    assert len(rows(editor.get(LIST, {"q": "T08", "handle": "pos"}))) == 1


def test_a_sensitive_identifier_is_masked_on_every_page(editor, ada, by):
    device = add(ada, "apns:740f4707bebcf74f9b7c25d4", by=by)
    Identity.objects.filter(pk=device.pk).update(original="740F4707BEBCF74F9B7C25D4")

    for client in (editor, member("Reader")):
        for url in (LIST, page(device), reverse("admin:profiles_profile_change", args=[ada.pk])):
            response = client.get(url)
            assert "740f4707" not in response.content.decode().lower(), url
            assert "•••" in read(response)
    for name in ("delete", "move", "reveal", "mark"):
        assert "740f4707" not in editor.get(page(device, name)).content.decode().lower(), name


def test_a_sensitive_identity_can_be_deactivated_without_being_shown(editor, ada, by):
    device = add(ada, "apns:740f4707bebcf74f9b7c25d4", by=by)

    submit(editor, page(device), is_active=None)

    device.refresh_from_db()
    assert (device.is_active, device.identifier) == (False, "740f4707bebcf74f9b7c25d4")


def test_each_page_demands_its_permission(ada, card):
    viewer = holding("identities.view_identity")

    assert viewer.get(page(card)).status_code == 200
    assert viewer.get(ADD).status_code == 403
    for name in ("delete", "move"):
        assert viewer.get(page(card, name)).status_code == 403
        assert viewer.post(page(card, name)).status_code == 403
    assert viewer.post(page(card), {"identifier": "x"}).status_code == 403
