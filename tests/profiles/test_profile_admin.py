from __future__ import annotations

import json

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from identities import moving, releasing, routing
from identities.models import Extension, Identity, RoutingLogEntry
from profiles.auditing import By
from profiles.models import Audit, Profile
from tests.cast import add, pairs_of, route, update
from tests.staff import filled, holding, read, rows, signed_in, submit, user_of

LIST = "/admin/profiles/profile/"
ADD = "/admin/profiles/profile/add/"


def page(profile: Profile) -> str:
    return reverse("admin:profiles_profile_change", args=[profile.pk])


@pytest.fixture
def editor(by: By) -> Client:
    return signed_in(by.user)


# Finding


@pytest.mark.parametrize(
    "text",
    ["Lovelace", "lovel", "ada love", "lovelace ada", "1804974", "ADA@example.com", "0404 123 123", "6432187489345"],
)
def test_a_profile_is_found_by_whatever_names_it(editor, ada, bo, by, shopify, text):
    add(ada, "loyalty-card:1804974", by=by)
    add(ada, "shopify:6432187489345", by=by, source=shopify)
    update(ada, email="ada@example.com", mobile_phone="+61404123123", by=by)

    found = rows(editor.get(LIST, {"q": text}))

    assert len(found) == 1
    assert "Ada Lovelace" in found[0]


def test_a_profile_is_found_by_its_id_also_when_it_is_deleted(editor, ada, by):
    releasing.delete(ada.pk, by=by)

    assert len(rows(editor.get(LIST, {"q": str(ada.pk)}))) == 1


@pytest.mark.parametrize("text", ["nobody", "%", "_", "' OR 1=1 --", "x" * 10_000, "\u202e", "<script>"])
def test_a_search_that_names_nobody_finds_nobody(editor, ada, bo, text):
    assert rows(editor.get(LIST, {"q": text})) == []


def test_a_search_goes_through_what_the_filters_leave_and_says_when_it_is_cut(editor, ada, by, monkeypatch):
    monkeypatch.setattr("identities.matching.MOST_FOUND", 2)
    for number in range(3):
        route(f"pos:{number}", by=by, first_name="Ada", last_name=f"No. {number}")
    Profile.objects.filter(pk=ada.pk).update(profile_type="temporary")

    cut = editor.get(LIST, {"q": "ada"})
    filtered = editor.get(LIST, {"q": "ada", "profile_type__exact": "temporary"})

    assert len(rows(cut)) == 2
    assert "2 profiles or more" in read(cut)
    assert ["Ada Lovelace" in row for row in rows(filtered)] == [True]
    assert "or more" not in read(filtered)


def test_the_list_filters_by_type_and_lock(editor, ada, bo):
    Profile.objects.filter(pk=ada.pk).update(profile_type="temporary", locked=True)

    assert len(rows(editor.get(LIST))) == 2
    assert len(rows(editor.get(LIST, {"profile_type__exact": "temporary"}))) == 1
    assert len(rows(editor.get(LIST, {"locked__exact": "0"}))) == 1


def test_the_list_sorts_by_what_it_offers_and_by_nothing_else(editor, ada, bo):
    newest_first = rows(editor.get(LIST))

    assert len(newest_first) == 2
    assert rows(editor.get(LIST, {"o": "5"})) == newest_first[::-1]
    for order in ("1", "-1", "2", "-2", "4", "-4"):
        assert rows(editor.get(LIST, {"o": order})) == newest_first


def test_the_address_of_the_list_asks_for_nothing_that_would_read_the_table(editor, ada):
    assert editor.get(LIST, {"company": "Analytical Engines"}).status_code == 400
    assert editor.get(LIST, {"first_name__exact": "Ada"}).status_code == 400
    assert len(rows(editor.get(LIST, {"created_at__gte": "2020-01-01T00:00Z"}))) == 1


def test_counting_stops_at_a_bound(editor, by, monkeypatch):
    monkeypatch.setattr("profiles.admin.lists.BoundedPaginator.most", 2)
    for number in range(3):
        route(f"pos:{number}", by=by)

    assert "2 profiles or more" in read(editor.get(LIST))


@pytest.mark.parametrize(
    "query", ["q=%00", "p=1" + "0" * 21, "p=-1", "p=x", "o=999", "profile_type__exact=%00", "nonsense=1"]
)
def test_a_list_survives_a_bad_address(editor, ada, query):
    assert editor.get(f"{LIST}?{query}", follow=True).status_code == 200


# Reading


# Writing


def test_a_change_goes_through_routing_and_is_audited(editor, ada, bo):
    response = submit(editor, page(ada), first_name="Augusta", email="Ada@Example.com", mobile_phone="0404 123 123")

    assert response.status_code == 302
    ada.refresh_from_db()
    assert (ada.first_name, ada.email, ada.mobile_phone) == ("Augusta", "Ada@Example.com", "+61404123123")
    assert pairs_of(ada) == ["email:ada@example.com", "mobile_phone:+61404123123"]
    audit = Audit.objects.get(event="updated", auditable_type="profile")
    assert (audit.by, audit.url, audit.ip_address) == (user_of(editor), page(ada), "127.0.0.1")
    assert audit.new_values["first_name"] == "Augusta"


def test_only_what_was_changed_is_written(editor, ada, by):
    data = filled(editor, page(ada), first_name="Augusta")
    update(ada, last_name="King", by=by)

    editor.post(page(ada), data)

    ada.refresh_from_db()
    assert ada.full_name == "Augusta King"


def test_a_taken_contact_is_refused_with_a_link_to_its_owner_and_logged(editor, ada, bo):
    response = submit(editor, page(ada), first_name="Augusta", email="BO@example.com")

    assert "The email exists" in read(response)
    assert f'<a href="{page(bo)}">Bo Diddley</a>' in response.content.decode()
    ada.refresh_from_db()
    assert (ada.first_name, ada.email) == ("Ada", "")
    entry = RoutingLogEntry.objects.get()
    assert (entry.outcome, entry.requested_profile, entry.candidates) == ("identity_taken", ada, [bo.pk])
    assert entry.by == user_of(editor)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("email", "not an address", "This is not an e-mail address."),
        ("email", "x" * 10_000, "at most 512 characters"),
        ("mobile_phone", "12", "This is not a phone number."),
        ("mobile_phone", "null", "names nobody and is blocked"),
        ("first_name", "A\0da", "Null characters are not allowed."),
        ("birth_day", "32", "less than or equal to 31"),
        ("birth_day", "31", "There is no such birth date."),
        ("birth_year", "99999999999999999999999", "less than or equal to 9999"),
        ("profile_type", "deleted", "Select a valid choice."),
        ("tags", "x" * 256, "at most"),
        ("attributes", "[", "not valid JSON"),
        ("attributes", "[1]", "must be a JSON object"),
        ("attributes", "[" * 100_000, "not valid JSON"),
        ("attributes", '{"comms": {"x": "\\u0000"}}', "NUL"),
        ("attributes", '{"comms": {"x": "\\ud800"}}', "not valid JSON"),
        ("attributes", '{"comms": {"x": NaN}}', "not valid JSON"),
        ("attributes", '{"comms": []}', "has the wrong shape"),
    ],
)
def test_bad_input_is_told_at_its_field_and_changes_nothing(editor, ada, field, value, sentence):
    response = submit(editor, page(ada), last_name="King", **{"birth_month": "2", field: value})

    assert sentence in read(response)
    ada.refresh_from_db()
    assert ada.last_name == "Lovelace"


def test_tags_and_attributes_are_kept_as_they_were_typed(editor, ada):
    attributes = {"comms": {"email": True}, "dates": [{"name": "wedding"}]}

    submit(editor, page(ada), tags="vip\r\n\r\n a, b ", attributes=json.dumps(attributes))
    response = submit(editor, page(ada))

    assert response.status_code == 302
    ada.refresh_from_db()
    assert (ada.tags, ada.attributes) == (["vip", "a, b"], attributes)
    assert Audit.objects.filter(event="updated").count() == 1


def test_markup_in_a_name_is_shown_as_text(editor, ada, by):
    update(ada, first_name="<script>alert(1)</script>", by=by)
    identity = add(ada, "pos:<img src=x onerror=alert(1)>", by=by)

    for url in (
        page(ada),
        LIST,
        f"{page(ada).removesuffix('change/')}delete/",
        reverse("admin:identities_identity_change", args=[identity.pk]),
        reverse("admin:identities_identity_move", args=[identity.pk]),
        reverse("admin:identities_identity_delete", args=[identity.pk]),
        "/admin/identities/identity/",
        "/admin/profiles/audit/",
    ):
        content = editor.get(url).content.decode()
        assert "<script>alert" not in content
        assert "<img src=x" not in content


def test_a_profile_is_added_by_routing(editor, bo):
    response = submit(editor, ADD, first_name="Ada", email="ada@example.com")

    ada = Profile.objects.get(first_name="Ada")
    assert response.status_code == 302
    assert pairs_of(ada) == ["email:ada@example.com"]
    assert Audit.objects.get(event="created", auditable_type="profile", profile=ada).by == user_of(editor)
    assert Identity.objects.get(profile=ada).source is None


def test_a_profile_with_a_taken_contact_is_not_added(editor, bo):
    response = submit(editor, ADD, first_name="Ada", mobile_phone="0404 999 999")

    assert "The phone number exists" in read(response)
    assert f'href="{page(bo)}"' in response.content.decode()
    assert not Profile.objects.filter(first_name="Ada").exists()
    assert RoutingLogEntry.objects.get().outcome == "identity_taken"


def test_whoever_may_not_see_profiles_is_not_told_whose_it_is(bo):
    response = submit(holding("profiles.add_profile"), ADD, first_name="Ada", email="bo@example.com")

    assert "The email exists" in read(response)
    assert "Diddley" not in read(response)


# Deleting and undeleting


def test_a_profile_is_deleted_softly_after_a_page_that_says_what_it_means(editor, ada, bo, by):
    add(ada, "loyalty-card:1804974", by=by)
    url = reverse("admin:profiles_profile_delete", args=[ada.pk])

    text = read(editor.get(url))
    response = editor.post(url)

    assert "It can be undeleted" in text
    assert "loyalty-card: 1804974" in text
    assert response["Location"] == page(ada)
    ada.refresh_from_db()
    assert ada.profile_type == "deleted"
    assert pairs_of(ada) == ["loyalty-card:1804974"]
    assert Audit.objects.get(event="deleted").by == user_of(editor)


def test_several_profiles_are_deleted_softly_too(editor, ada, ada_again, bo):
    data = {"action": "delete_selected", "_selected_action": [str(ada.pk), str(ada_again.pk)]}

    asked = read(editor.post(LIST, data))
    assert Profile.objects.live().count() == 3
    told = read(editor.post(LIST, data | {"post": "yes"}, follow=True))

    assert "Delete several profiles?" in asked
    assert "2 were deleted." in told
    assert Profile.objects.live().get() == bo
    assert Profile.objects.count() == 3


def test_of_several_profiles_those_that_are_refused_stay(editor, ada, ada_again, by):
    releasing.delete(ada.pk, by=by)
    data = {"action": "delete_selected", "_selected_action": [str(ada.pk), str(ada_again.pk)], "post": "yes"}

    told = read(editor.post(LIST, data, follow=True))

    assert "This profile is deleted already." in told
    assert "1 was deleted." in told


def test_a_page_full_of_profiles_at_most_is_deleted_at_once(editor, ada, ada_again, monkeypatch):
    monkeypatch.setattr("profiles.admin.base.MOST_AT_ONCE", 1)
    data = {"action": "delete_selected", "_selected_action": [str(ada.pk)], "select_across": "1", "post": "yes"}

    told = read(editor.post(LIST, data, follow=True))

    assert "Select 1 at most." in told
    assert Profile.objects.live().count() == 2


def test_a_deleted_profile_is_only_shown_and_can_be_undeleted(editor, ada, bo, by):
    add(ada, "loyalty-card:1804974", by=by)
    add(ada, "pos:7", by=by)
    releasing.delete(ada.pk, by=by)
    new = route("pos:7", by=by, first_name="New").profile
    undelete = reverse("admin:profiles_profile_undelete", args=[ada.pk])

    shown = read(editor.get(page(ada)))
    refused = editor.post(page(ada), {"first_name": "Augusta"})
    told = read(editor.post(undelete, {"profile_type": "temporary"}, follow=True))

    assert "This profile is deleted" in shown
    assert "Undelete" in shown
    assert "Save" not in shown
    assert refused.status_code == 403
    assert "Ada Lovelace was undeleted." in told
    assert "did not come back: pos: 7 ( New )" in told
    ada.refresh_from_db()
    assert (ada.profile_type, ada.deleted_at) == ("temporary", None)
    assert pairs_of(new) == ["pos:7"]


def test_an_undeletion_tells_who_has_what_did_not_come_back(editor, ada, ada_again, bo, by):
    third = Profile.objects.create(first_name="Third")
    for pair in ("pos:7", "apns:740f4707bebcf74f9b7c25d4", "loyalty-card:1"):
        add(ada, pair, by=by)
    releasing.delete(ada.pk, by=by)
    add(ada_again, "pos:7", by=by)
    card, device = add(ada_again, "loyalty-card:1", by=by), add(ada_again, "apns:740f4707bebcf74f9b7c25d4", by=by)
    moving.move(card.pk, to=third.pk, reason="Theirs", by=by)
    routing.remove(device.pk, by=by, source=None)
    undelete = reverse("admin:profiles_profile_undelete", args=[ada.pk])

    asked = read(editor.get(undelete))
    told = read(editor.post(undelete, {"profile_type": "active"}, follow=True))

    assert "that no other profile has by now" in asked
    assert "did not come back: pos: 7 ( Augusta Ada King ), loyalty-card: 1 ( Third )" in told
    assert "Nobody has it now: apns: •••25d4" in told


def test_an_undeletion_to_no_known_type_is_asked_again(editor, ada, by):
    releasing.delete(ada.pk, by=by)
    undelete = reverse("admin:profiles_profile_undelete", args=[ada.pk])

    assert "Select a valid choice" in read(editor.post(undelete, {"profile_type": "deleted"}))
    ada.refresh_from_db()
    assert not ada.is_live


def test_nobody_can_delete_a_row_for_good(admin_client, ada, by):
    identity = add(ada, "loyalty-card:1804974", by=by)

    admin_client.post(reverse("admin:profiles_profile_delete", args=[ada.pk]))

    assert Profile.objects.filter(pk=ada.pk).exists()
    assert Identity.objects.filter(pk=identity.pk).exists()
    for url in (
        reverse("admin:identities_handle_delete", args=["pos"]),
        reverse("admin:identities_extension_delete", args=["klaviyo"]),
        reverse("admin:profiles_audit_delete", args=[Audit.objects.latest("pk").pk]),
    ):
        assert admin_client.post(url, {"post": "yes"}).status_code == 403
    assert Extension.objects.filter(pk="klaviyo").exists()


def test_history_is_the_audit_of_the_row(admin_client, ada, bo, by):
    update(ada, last_name="King", by=by)

    response = admin_client.get(reverse("admin:profiles_profile_history", args=[ada.pk]), follow=True)

    assert len(rows(response)) == 1
    assert "updated profile" in rows(response)[0]


def test_the_box_that_chooses_a_row_is_the_one_that_django_draws(db: None) -> None:
    its_admin = admin.site._registry[Profile]
    profile = Profile(first_name='<b>"Ada" & Co</b>')

    assert its_admin.action_checkbox(profile) == admin.ModelAdmin.action_checkbox(its_admin, profile)
