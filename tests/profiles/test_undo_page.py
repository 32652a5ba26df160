"""Merges in the admin: the list, the page of one, and the page that takes one back."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from identities import attributing, moving, releasing, routing
from identities.attributing import Named
from identities.models import Handle, Identity
from profiles.auditing import By
from profiles.merging import Choices
from profiles.models import Interaction, Merge, Point, Profile, Transaction
from tests.cast import add, came, known, merge, pairs_of, records_of, undo, update, value_of
from tests.racing import at_once
from tests.staff import holding, links, member, read, rows, signed_in, submit, url_of

LIST = "/admin/profiles/merge/"


@pytest.fixture
def editor(by: By) -> Client:
    return signed_in(by.user)


@pytest.fixture
def ada(by: By) -> Profile:
    return known("loyalty-card:1", by=by, first_name="Ada", last_name="Lovelace")


@pytest.fixture
def again(by: By) -> Profile:
    return known("loyalty-card:2", "pos:2", by=by, first_name="Augusta", last_name="King", company="Engines")


def page(merge: Merge, name: str = "undo") -> str:
    return reverse(f"admin:profiles_merge_{name}", args=[merge.pk])


def profile_page(profile: Profile) -> str:
    return reverse("admin:profiles_profile_change", args=[profile.pk])


# Undo


def test_an_undo_is_previewed_and_done(editor, ada, again, by, bo):
    sale = came(Transaction, "loyalty-card:2", by=by)
    (one,) = merge(ada, again, by=by, reason="Same card")
    since = came(Transaction, "pos:2", by=by, receipt_ref="since")

    asked = read(editor.get(page(one)))

    assert f"Augusta King ( …{str(again.pk)[-8:]} ) becomes a profile of its own again; Ada Lovelace" in asked
    assert "Identities 2 0 0 0" in asked
    assert "Transactions 2 1 0 0" in asked
    assert "Company Engines empty" in asked
    assert records_of(again) == [], "A page that is looked at changes nothing."

    told = editor.post(page(one), {"reason": "Two sisters"}, follow=True)

    assert "is a profile of its own again, with 2 identities and 2 transactions; Ada Lovelace" in read(told)
    assert {url for _text, url in links(told)} >= {profile_page(ada), profile_page(again)}
    assert records_of(again) == [sale, since]
    assert value_of(ada, "company") == ""
    one.refresh_from_db()
    assert (one.undone_by, one.undo_reason) == (by.user, "Two sisters")


def test_fields_that_were_written_since_are_named_as_staying(editor, ada, again, by, bo):
    (one,) = merge(ada, again, by=by)
    update(ada, company="Other engines", by=by)

    asked = read(editor.get(page(one)))

    assert "Fields that stay, since they were written after the merge Field Stays Company Other engines" in asked
    assert "None: no field of the survivor rests on this merge any more." in asked
    editor.post(page(one), {"reason": ""})
    assert value_of(ada, "company") == "Other engines"
    assert "Stayed, since they were written after the merge Company" in read(editor.get(page(one, "change")))


def test_every_kind_of_field_is_told_in_words(editor, ada, by, bo):
    other = known(
        *("loyalty-card:2",),
        by=by,
        birth_month=2,
        birth_day=9,
        tags=["vip", "wholesale"],
        attributes={"comms": {"email": True}},
        email="again@example.com",
    )
    routing.change(other.identities.get(handle="loyalty-card").pk, is_primary=True, by=by, source=None)
    attributing.put(other.pk, Named("size", "hat", "M"), by=by, source=None)
    (one,) = merge(ada, other, by=by)

    asked = read(editor.get(page(one)))

    for told in (
        "Birth date February 9 empty",
        "Tags vip, wholesale empty",
        "Attributes: comms email: yes empty",
        "E-mail again@example.com empty",
        "Primary identity Loyalty card 2 empty",
        "size:hat M empty",
    ):
        assert told in asked


def test_what_was_moved_or_deleted_since_is_named_and_linked(editor, ada, again, by, bo):
    visit = came(Interaction, "loyalty-card:2", by=by, name="Fitting")
    (one,) = merge(ada, again, by=by)
    third = known("loyalty-card:3", by=by, first_name="Third")
    card = Identity.objects.get(handle="loyalty-card", identifier="2")
    moving.move(card.pk, to=third.pk, reason="", by=by)
    routing.remove(Identity.objects.get(handle="pos").pk, by=by, source=None)
    visit_url = reverse("admin:profiles_interaction_change", args=[visit.pk])

    response = editor.get(page(one))
    asked = read(response)

    assert "Identities 0 0 1 1" in asked
    assert f"Loyalty card 2 moved since it belongs to Third ( …{str(third.pk)[-8:]} )" in asked
    assert "Till 2 deleted since" in asked
    assert url_of(response, "Loyalty card 2") == reverse("admin:identities_identity_change", args=[card.pk])
    assert visit_url not in response.content.decode(), "What goes home is only counted."
    editor.post(page(one), {"reason": ""})
    done = editor.get(page(one, "change"))
    assert "Loyalty card 2 moved since it belongs to Third" in read(done)
    assert "Till 2 deleted since" in read(done)


def test_a_deleted_identity_of_a_sensitive_handle_is_named_masked(editor, ada, by, bo):
    other = known("apns:740f4707bebcf74f9b7c25d4", "loyalty-card:2", by=by)
    (one,) = merge(ada, other, by=by)
    routing.remove(Identity.objects.get(handle="apns").pk, by=by, source=None)

    asked = editor.get(page(one))

    assert "25d4 deleted since" in read(asked)
    assert b"740f4707" not in asked.content


def test_contact_points_that_change_are_said(editor, by, bo):
    ada = known("loyalty-card:1", by=by, first_name="Ada", email="old@example.com")
    again = known("loyalty-card:2", by=by, email="again@example.com")
    (one,) = merge(ada, again, by=by)
    update(ada, email="again@example.com", by=by)

    asked = read(editor.get(page(one)))

    text = "E-mail of Ada: it will show old@example.com instead of again@example.com, which goes to the other."
    assert text in asked
    editor.post(page(one), {"reason": ""})
    assert value_of(ada, "email") == "old@example.com"
    assert "Shows another contact point, or none E-mail" in read(editor.get(page(one, "change")))


def test_identities_that_become_active_again_are_said(editor, ada, by, bo):
    Handle.objects.filter(pk="loyalty-card").update(single_valued=True)
    again = known("loyalty-card:2", by=by)
    (one,) = merge(ada, again, by=by, choices=Choices(handles={"loyalty-card": ada.pk}))

    assert "Loyalty card 2 becomes active again" in read(editor.get(page(one)))
    assert "made these inactive: Loyalty card 2" in read(editor.get(page(one, "change")))

    add(ada, "pos-customer:9", by=by)
    submit(editor, page(one))
    assert Identity.objects.get(handle="loyalty-card", identifier="2").is_active


def test_an_inner_merge_of_a_chain_says_who_stands_above(editor, ada, again, by, bo):
    third = known("loyalty-card:3", by=by, first_name="Third")
    (inner,) = merge(again, third, by=by)
    (outer,) = merge(ada, again, by=by)

    asked = read(editor.get(page(inner)))

    assert "Third" in asked
    assert "becomes a profile of its own again; Ada Lovelace" in asked
    assert "It was merged into Augusta King" in asked
    assert "which has become part of Ada Lovelace" in asked
    assert "What was merged into it before stays part of it: Third" in read(editor.get(page(outer)))
    editor.post(page(inner), {"reason": ""})
    assert pairs_of(third) == ["loyalty-card:3"]


def test_who_comes_second_sees_the_finished_result(editor, ada, again, by, bo):
    (one,) = merge(ada, again, by=by)
    editor.post(page(one), {"reason": "First"})

    for response in (
        editor.get(page(one), follow=True),
        editor.post(page(one), {"reason": "Second"}, follow=True),
    ):
        text = read(response)
        assert "This merge was undone already, by operator. Nothing was done twice." in text
        assert response.redirect_chain[-1][0] == page(one, "change")
        assert "What the undo did" in text
    one.refresh_from_db()
    assert one.undo_reason == "First"


@pytest.mark.django_db(transaction=True)
def test_two_who_undo_at_once_both_see_the_finished_result(by: By) -> None:
    ada, again = known("loyalty-card:1", by=by), known("loyalty-card:2", by=by)
    (one,) = merge(ada, again, by=by)
    clients = [member("Editor"), member("Admin")]

    met = at_once(
        *(lambda client=client: client.post(page(one), {"reason": "At once"}, follow=True) for client in clients)
    )

    assert not met.unexpected()
    texts = sorted(("already" in read(response), "What the undo did" in read(response)) for response in met)
    assert texts == [(False, True), (True, True)]
    assert pairs_of(again) == ["loyalty-card:2"]


def test_an_undo_into_a_deleted_profile_is_refused_in_words(editor, ada, again, by, bo):
    (one,) = merge(ada, again, by=by)
    releasing.delete(ada.pk, by=by)

    asked = editor.get(page(one))

    assert "is deleted; undelete it before you undo the merge." in read(asked)
    assert b"Yes, undo this merge" not in asked.content
    assert editor.post(page(one), {"reason": ""}).status_code == 200
    one.refresh_from_db()
    assert one.undone_at is None


def test_only_who_may_undo_is_offered_it(ada, again, by, bo):
    (one,) = merge(ada, again, by=by)
    reader, undoer = member("Reader"), holding("profiles.unmerge_merge")

    assert page(one) not in reader.get(page(one, "change")).content.decode()
    assert page(one) not in reader.get(profile_page(again)).content.decode()
    assert reader.get(page(one)).status_code == reader.post(page(one)).status_code == 403
    asked = undoer.get(page(one))
    assert b"Engines" not in asked.content, "Who may not see profiles is shown no value of one."
    assert b"Loyalty card 2" not in asked.content
    undoer.post(page(one), {"reason": ""})
    assert pairs_of(again) == ["loyalty-card:2", "pos:2"]


def test_names_are_escaped(editor, by, bo):
    ada, again = known("pos:1", by=by, first_name="<i>A"), known("pos:2", by=by, first_name="<b>B", company="<u>C")
    (one,) = merge(ada, again, by=by, reason="<s>why")

    for url in (page(one), page(one, "change"), LIST, profile_page(ada), profile_page(again)):
        content = editor.get(url).content
        assert not any(tag in content for tag in (b"<i>A", b"<b>B", b"<u>C", b"<s>why")), url


@pytest.mark.parametrize("number", [1, 50])
def test_the_preview_costs_the_same_for_one_row_and_for_fifty(
    editor: Client, by: By, django_assert_num_queries: Any, number: int
) -> None:
    ada, again = known("loyalty-card:1", by=by), known("loyalty-card:2", by=by)
    for one in range(number):
        came(Point, "loyalty-card:2", f"pos:{one + 100}", by=by)
    (merged,) = merge(ada, again, by=by)
    third = known("loyalty-card:3", by=by)
    for row in Identity.objects.filter(handle="pos"):
        moving.move(row.pk, to=third.pk, reason="", by=by)

    # Session, user, permissions twice; the merge; the preview, with the rows of one kind that stay; what was merged
    # into it; the profiles, and of what stays the owners and the identities.
    with django_assert_num_queries(29):
        editor.get(page(merged))


# The list, and the page of one


def test_the_list_shows_the_newest_first_and_is_filtered(editor, ada, again, by, bo):
    third = known("loyalty-card:3", by=by, first_name="Third")
    (first,) = merge(ada, again, by=by, reason="Same card")
    (second,) = merge(ada, third, by=by, cause=Merge.Cause.AUTOMATIC)
    undo(first, by=by)

    newest, oldest = rows(editor.get(LIST))

    assert "Third" in newest and "by itself, as its handles say" in newest and "in force" in newest
    assert "Augusta King" in oldest and "Same card" in oldest and "undone" in oldest
    assert [row for row in rows(editor.get(LIST, {"undone": "yes"})) if "Augusta King" not in row] == []
    assert [row for row in rows(editor.get(LIST, {"undone": "no"})) if "Third" not in row] == []
    assert len(rows(editor.get(LIST, {"cause__exact": "automatic"}))) == 1
    assert second.pk > first.pk


def test_the_list_is_searched_by_the_id_of_either_side(editor, ada, again, by, bo):
    third = known("loyalty-card:3", by=by, first_name="Third")
    merge(again, third, by=by)
    merge(ada, again, by=by)

    found = {
        profile.first_name: len(rows(editor.get(LIST, {"q": str(profile.pk)}))) for profile in (ada, again, third)
    }

    assert found == {"Ada": 1, "Augusta": 2, "Third": 1}
    assert rows(editor.get(LIST, {"q": "Ada"})) == []


def test_the_page_of_a_merge_says_what_it_took_over_and_moved(editor, ada, again, by, bo):
    came(Transaction, "loyalty-card:2", by=by)
    (one,) = merge(ada, again, by=by, reason="Same card", choices=Choices(fields={"last_name": again.pk}))

    response = editor.get(page(one, "change"))
    text = read(response)

    assert "Augusta King ( …" in text and "became part of Ada King" in text
    assert "By operator" in text and "Reason Same card" in text
    assert "2 identities 1 transaction" in text
    assert "Last name Lovelace King Augusta King" in text and "chosen" in text
    assert "Company empty Engines Augusta King" in text and "by itself: it was empty" in text
    assert url_of(response, "Undo this merge") == page(one)
    assert b"_save" not in response.content


def test_the_page_of_a_merge_costs_the_same_for_one_field_and_for_many(editor, by, bo, django_assert_num_queries):
    costs = []
    for number in (1, 40):
        ada, again = known(f"pos:a{number}", by=by), known(f"pos:b{number}", by=by)
        for one in range(number):
            attributing.put(again.pk, Named("size", f"hat-{one}", "M"), by=by, source=None)
        (one_merge,) = merge(ada, again, by=by)
        with django_assert_num_queries(7) as captured:
            editor.get(page(one_merge, "change"))
        costs.append(len(captured))
    assert len(set(costs)) == 1


def test_an_odd_key_is_no_merge(editor):
    for key in ("x", "0", "99999999999999999999", "7"):
        assert editor.get(f"/admin/profiles/merge/{key}/undo/").status_code == 404
