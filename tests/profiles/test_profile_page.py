"""What stands above the form: who this is, which systems know them, what happened."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from identities import adding, moving, releasing, routing
from identities.handles import Sent
from identities.models import Identity
from profiles.auditing import By
from profiles.models import Profile
from profiles.refusing import Refused
from tests.cast import add, route, update
from tests.staff import filled, holding, member, read, signed_in


@pytest.fixture
def editor(by: By) -> Client:
    return signed_in(by.user)


def page(profile: Profile) -> str:
    return reverse("admin:profiles_profile_change", args=[profile.pk])


def test_the_header_can_be_read_aloud(editor, ada, by):
    update(ada, title="Ms", company="Analytical Engines", birth_year=1815, birth_month=12, birth_day=10, by=by)
    update(ada, email="ada@example.com", mobile_phone="0404 123 123", by=by)
    card = add(ada, "loyalty-card:1804974", by=by)
    routing.change(card.pk, is_primary=True, by=by, source=None)

    text = read(editor.get(page(ada)))

    spoken = "Ms Ada Lovelace, born on Dec. 10, 1815, Analytical Engines, ada@example.com, +61 404 123 123."
    assert spoken in text
    assert "Known by 1 system. Primary identity: Loyalty card 1804974." in text


@pytest.mark.parametrize(
    ("birth", "spoken"),
    [
        ({"birth_month": 2, "birth_day": 29}, "Ada Lovelace, born on 29 February."),
        ({"birth_year": 1815}, "Ada Lovelace, born in 1815."),
        ({"birth_month": 2}, "Ada Lovelace."),
        ({}, "Ada Lovelace."),
    ],
)
def test_the_header_says_what_is_known_of_a_birth_date(editor, ada, by, birth, spoken):
    Profile.objects.filter(pk=ada.pk).update(**birth)

    assert spoken in read(editor.get(page(ada)))


def test_of_many_identities_the_newest_are_shown(editor, ada, by, monkeypatch):
    monkeypatch.setattr("profiles.admin.profile_page.MOST_AT_ONCE", 2)
    tills = [add(ada, f"{handle}:T07", by=by) for handle in ("loyalty-card", "pos-customer", "pos")]

    content = editor.get(page(ada)).content.decode()

    assert [f"/identity/{till.pk}/move/" in content for till in tills] == [False, True, True]


def test_a_profile_without_a_name_or_identity_says_so_and_what_to_do(editor, db):
    nobody = Profile.objects.create()

    text = read(editor.get(page(nobody)))

    assert "Unknown." in text
    assert "No system knows this profile yet. Add the identity by which one does" in text


def test_identities_stand_by_system_with_source_state_and_who_may_write_them(editor, ada, by, klaviyo):
    add(ada, "klaviyo:01HXK3V7Q2M5Z8", by=by, source=klaviyo)
    add(ada, "apns:740f4707bebcf74f9b7c25d4", by=by)
    add(ada, "pos2:9", by=by)
    update(ada, email="ada@example.com", by=by)

    response = editor.get(page(ada))

    text = read(response)
    assert "Klaviyo profile klaviyo reserved for klaviyo 01HXK3V7Q2M5Z8 active Klaviyo" in text
    assert "pos2 pos2 undocumented 9 active staff" in text
    assert "E-mail email contact point ada@example.com active staff" in text
    assert "Apple device apns •••25d4" in text
    assert "740f4707" not in response.content.decode()


def test_several_identities_of_one_system_stand_together(editor, ada, by):
    for number in ("1", "2"):
        add(ada, f"pos:{number}", by=by)
    routing.change(ada.identities.get(identifier="2").pk, is_active=False, by=by, source=None)

    text = read(editor.get(page(ada)))

    assert text.count("Till pos") == 1
    assert "2 inactive" in text


def test_each_identity_offers_only_what_may_be_done_with_it(editor, ada, by, klaviyo):
    reserved = add(ada, "klaviyo:01HXK3V7Q2M5Z8", by=by, source=klaviyo)
    own = add(ada, "loyalty-card:1804974", by=by)

    content = editor.get(page(ada)).content.decode()

    for name, rows in (("move", (own, reserved)), ("mark", (own,)), ("delete", (own,))):
        offered = {row for row in (own, reserved) if _url(name, row) in content}
        assert offered == set(rows), name


def _url(name: str, row: Identity) -> str:
    return reverse(f"admin:identities_identity_{name}", args=[row.pk])


def test_an_identity_is_added_in_place(editor, ada, bo):
    add_url = f"{reverse('admin:identities_identity_add')}?profile={ada.pk}"
    typed = {"profile": str(ada.pk), "is_active": "on", "handle": "loyalty-card"}
    assert f'action="{add_url}"' in editor.get(page(ada)).content.decode()

    refused = editor.post(add_url, typed | {"identifier": "bo"})
    response = editor.post(add_url, typed | {"identifier": "1804974"})

    assert "Another profile has this identity." in read(refused)
    assert response["Location"] == page(ada)
    assert ada.identities.get().identifier == "1804974"


def test_the_form_below_keeps_working_beside_the_forms_in_place(editor, ada, by):
    add(ada, "loyalty-card:1804974", by=by)

    editor.post(page(ada), filled(editor, page(ada), first_name="Augusta"))

    ada.refresh_from_db()
    assert ada.first_name == "Augusta"


def test_the_picture_has_a_line_for_each_system_and_tells_it_in_words(editor, ada, by):
    add(ada, "pos:1", by=by)
    add(ada, "loyalty-card:1804974", by=by)
    routing.change(ada.identities.get(handle="pos").pk, is_active=False, by=by, source=None)

    content = editor.get(page(ada)).content.decode()

    assert "2 systems point at Ada Lovelace" in content
    assert content.count('<g class="spoke') == 2
    assert content.count('<g class="spoke inactive') == 1


def test_the_log_entries_that_concern_it_are_listed(editor, ada, bo, ada_again, by):
    with pytest.raises(Refused):
        adding.add(ada.pk, Sent("loyalty-card", "bo"), by=by, source=None)
    add(ada_again, "pos:1", by=by)

    told = "Staff (operator) sent Loyalty card bo for Ada Lovelace; it belongs to Bo Diddley, so nothing was written."
    for profile, expected in ((ada, 1), (bo, 1), (ada_again, 0)):
        assert read(editor.get(page(profile))).count(told) == expected
        content = editor.get(page(profile)).content.decode()
        assert (
            content.count("/admin/identities/routinglogentry/")
            - content.count('href="/admin/identities/routinglogentry/"')
            == expected
        )


def test_moves_are_told_on_both_sides(editor, ada, ada_again, by):
    card = add(ada, "loyalty-card:1804974", by=by)
    moving.move(card.pk, to=ada_again.pk, reason="Same person.", by=by)

    assert "1804974 went to Augusta Ada King" in read(editor.get(page(ada)))
    assert "1804974 came from Ada Lovelace" in read(editor.get(page(ada_again)))


def test_a_deleted_profile_is_shown_without_anything_to_do(editor, ada, by):
    card = add(ada, "loyalty-card:1804974", by=by)
    releasing.delete(ada.pk, by=by)

    content = editor.get(page(ada)).content.decode()

    assert "1804974" in content
    for name in ("move", "mark", "delete"):
        assert _url(name, card) not in content
    assert "Add this identity" not in content


def test_parts_are_shown_only_to_those_who_may_see_them(ada, bo, by):
    add(ada, "loyalty-card:1804974", by=by)
    with pytest.raises(Refused):
        adding.add(ada.pk, Sent("loyalty-card", "bo"), by=by, source=None)

    text = read(holding("profiles.view_profile").get(page(ada)))

    assert "Ada Lovelace" in text
    for word in ("1804974", "Routing log", "Newest changes", "Who points here"):
        assert word not in text


def test_a_reader_is_offered_nothing_to_write(ada, by):
    card = add(ada, "loyalty-card:1804974", by=by)

    response = member("Reader").get(page(ada))

    assert "1804974" in read(response)
    for word in ("Save", "Add this identity", "Deactivate", "Reveal"):
        assert word not in read(response)
    for name in ("move", "mark", "delete"):
        assert _url(name, card) not in response.content.decode()


def test_the_page_costs_the_same_for_one_identity_and_for_fifty(editor, ada, by, django_assert_num_queries):
    for number in (1, 49):
        for one in range(number):
            add(ada, f"pos:{number}-{one}", by=by)
            route(f"pos:{number}-{one}", "pos:null", by=by)
        # Session, user, permissions twice, the profile, identities, handles to add, moves to and from, log entries
        # (ids, rows, their profiles and handles), audits. Of records: both balances, the sources to filter by, what
        # happened, what was spent, and custom attributes.
        with django_assert_num_queries(22):
            editor.get(page(ada))
