"""Splitting a profile from the admin: choose, see what it does, do it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from identities import releasing
from identities.models import Handle, Identity
from profiles.auditing import By
from profiles.models import Audit, Interaction, Move, Profile, Transaction
from tests.cast import add, assert_sound, came, known, merge, pairs_of, records_of, update, value_of
from tests.staff import holding, links, member, read, signed_in, url_of


@pytest.fixture
def editor(by: By) -> Client:
    return signed_in(by.user)


@pytest.fixture
def ada(by: By) -> Profile:
    """Ada, with a card and a till number that are her brother's."""
    ada = known("loyalty-card:1", by=by, first_name="Ada", last_name="Lovelace", email="ada@example.com")
    for pair in ("loyalty-card:2", "pos:2"):
        add(ada, pair, by=by)
    return ada


def page(profile: Profile) -> str:
    return reverse("admin:profiles_profile_split", args=[profile.pk])


def profile_page(profile: Profile) -> str:
    return reverse("admin:profiles_profile_change", args=[profile.pk])


def chosen(*pairs: str, to: Profile | str = "") -> str:
    """What the form sends when these pairs are ticked."""
    keys = []
    for pair in pairs:
        handle, _colon, identifier = pair.partition(":")
        keys.append(f"identity={Identity.objects.get(handle=handle, identifier=identifier).pk}")
    target = to.pk if isinstance(to, Profile) else to
    return "?" + "&".join([*keys, *([f"to={target}"] if target else [])])


def test_identities_leave_for_a_new_profile(editor, ada, by, bo):
    his = came(Transaction, "loyalty-card:2", by=by, receipt_ref="his")
    hers = came(Transaction, "loyalty-card:1", by=by)
    url = page(ada) + chosen("loyalty-card:2", "pos:2", to="new")

    asked = read(editor.get(url))

    assert "2 identities leave Ada Lovelace" in asked and "for a new profile; Ada Lovelace" in asked
    assert "Loyalty card 2 Till 2 1 transaction" in asked
    assert records_of(ada) == [his, hers], "A page that is looked at changes nothing."

    told = editor.post(url, {"reason": "Her brother's"}, follow=True)

    new = Profile.objects.exclude(pk__in=[ada.pk, bo.pk]).get()
    assert "2 identities and 1 transaction left Ada Lovelace" in read(told)
    assert {target for _text, target in links(told)} >= {profile_page(ada), profile_page(new)}
    assert told.redirect_chain[-1][0] == profile_page(new)
    assert (pairs_of(new), records_of(new), records_of(ada)) == (["loyalty-card:2", "pos:2"], [his], [hers])
    assert {move.reason for move in Move.objects.all()} == {"Her brother's"}
    assert Audit.objects.get(event="split").by == by.user
    assert_sound()


def test_they_leave_for_a_profile_that_is_searched_for(editor, ada, by):
    brother = known("loyalty-card:9", by=by, first_name="Byron")
    start = page(ada) + chosen("loyalty-card:2")

    found = editor.get(f"{start}&q=byron")

    assert f'name="to" value="{brother.pk}"' in found.content.decode()
    assert re.search(r'value="\d+" checked> <span class="identifier">Loyalty card 2', found.content.decode())
    url = page(ada) + chosen("loyalty-card:2", to=brother)
    assert "for Byron" in read(editor.get(url))
    editor.post(url, {"reason": "His"})
    assert pairs_of(brother) == ["loyalty-card:2", "loyalty-card:9"]


def test_the_first_button_of_the_form_is_the_search(editor, ada):
    """Enter in the search box presses it, and must not split anything off."""
    content = editor.get(page(ada)).content.decode()

    buttons = re.findall(r"<button[^>]*>", content.split('id="what-heading"')[1])

    assert "name=" not in buttons[0] and 'value="new"' in buttons[1]


def test_it_says_how_many_records_each_has_brought(editor, ada, by, bo, monkeypatch):
    for _one in range(3):
        came(Transaction, "loyalty-card:2", by=by)
    came(Interaction, "loyalty-card:2", by=by)
    came(Interaction, "loyalty-card:1", by=by)

    text = read(editor.get(page(ada)))

    assert "Loyalty card 1 1 Loyalty card 2 4 Till 2 0 E-mail ada@example.com contact point 0" in text
    monkeypatch.setattr("profiles.admin.split_page.MOST_COUNTED", 2)
    assert "Loyalty card 2 2+" in read(editor.get(page(ada)))


def test_what_they_brought_and_leave_behind_is_named(editor, ada, by, bo):
    came(Transaction, "loyalty-card:2", "pos-customer:7", by=by)

    asked = read(editor.get(page(ada) + chosen("loyalty-card:2", to="new")))

    assert "What stays, though they brought it Till customer 7" in asked


def test_contact_points_and_the_primary_identity_are_told(editor, ada, by, bo):
    update(ada, email="new@example.com", by=by)
    add(ada, "pos-customer:8", by=by)
    Identity.objects.filter(handle="loyalty-card", identifier="2").update(is_primary=True)
    url = page(ada) + chosen("loyalty-card:2", "email:new@example.com", to="new")

    asked = read(editor.get(url))

    assert "E-mail of Ada Lovelace: it will show none." in asked
    assert "E-mail of the new profile: it will show new@example.com." in asked
    assert "Loyalty card 2 is the primary identity now, and will be primary nowhere." in asked
    told = read(editor.post(url, {"reason": "His"}, follow=True))
    assert "shows no e-mail now" in told and "shows new@example.com now" in told
    new = Profile.objects.exclude(pk__in=[ada.pk, bo.pk]).get()
    assert (value_of(ada, "email"), value_of(new, "email")) == ("", "new@example.com")


def test_refusals_are_told_in_words(editor, ada, by, bo):
    every = chosen("loyalty-card:1", "loyalty-card:2", "pos:2", "email:ada@example.com", to="new")
    Handle.objects.filter(pk="pos").update(single_valued=True)
    busy, gone = known("pos:7", by=by), known("pos:8", by=by)
    merged, survivor = known("pos:9", by=by, first_name="Past"), known("pos-customer:9", by=by, first_name="Today")
    releasing.delete(gone.pk, by=by)
    merge(survivor, merged, by=by)

    told = {
        "?to=new": "Choose the identities that are to leave.",
        every: "Nothing would be left by which this profile is known",
        chosen("pos:2", to=ada): "They are on this profile already",
        chosen("pos:2", to=busy): "cannot have more identities of the handle pos",
        chosen("pos:2", to=gone): "This profile is deleted",
        chosen("pos:2", to=merged): "This profile was merged into",
        chosen("pos:2", to="nonsense"): "There is no profile with this id.",
        chosen("pos:2", "loyalty-card:bo", to="new"): "One of them is not on this profile any more; choose once more.",
    }
    for query, sentence in told.items():
        assert sentence in read(editor.get(page(ada) + query)), query
        assert sentence in read(editor.post(page(ada) + query, {"reason": "x"})), query
    merged_hit = read(editor.get(f"{page(ada)}?q={merged.pk}"))
    assert "merged into Today To Today" in merged_hit
    assert pairs_of(ada) == ["email:ada@example.com", "loyalty-card:1", "loyalty-card:2", "pos:2"]


def test_a_dead_profile_and_one_with_a_single_identity_are_not_split(editor, ada, by, bo):
    single = known("pos:7", by=by)
    survivor = known("pos-customer:9", by=by, first_name="Today")
    merge(survivor, ada, by=by)

    assert "known by fewer than two identities" in read(editor.get(page(single)))
    response = editor.get(page(ada))
    assert "This profile was merged into Today Lovelace" in read(response)
    assert b'name="identity"' not in response.content
    assert profile_page(survivor) in {url for _text, url in links(response)}


def test_who_sends_it_twice_sees_the_finished_result(editor, ada, by, bo):
    url = page(ada) + chosen("loyalty-card:2", to="new")
    editor.post(url, {"reason": "First"})

    second = editor.post(url, {"reason": "Second"}, follow=True)

    assert "These identities are not here any more" in read(second)
    assert Profile.objects.exclude(pk__in=[ada.pk, bo.pk]).count() == 1


def test_only_who_may_merge_may_split(ada, by, bo):
    reader = member("Reader")

    assert reader.get(page(ada)).status_code == reader.post(page(ada)).status_code == 403
    assert page(ada) not in reader.get(profile_page(ada)).content.decode()
    assert page(ada) in member("Editor").get(profile_page(ada)).content.decode()
    blind = holding("profiles.merge_profile").get(page(ada)).content
    assert b"ada@example.com" not in blind and b"Loyalty card" in blind


def test_the_page_of_an_identity_leads_here(editor, ada, by, bo):
    card = Identity.objects.get(handle="loyalty-card", identifier="2")

    response = editor.get(reverse("admin:identities_identity_change", args=[card.pk]))

    assert url_of(response, "Split off with its records") == page(ada) + chosen("loyalty-card:2")


@pytest.mark.parametrize("number", [1, 50])
def test_choosing_costs_the_same_for_few_identities_and_for_many(
    editor: Client, ada: Profile, by: By, django_assert_num_queries: Any, number: int
) -> None:
    for one in range(number):
        add(ada, f"pos-customer:{one + 100}", by=by)
        came(Transaction, f"pos-customer:{one + 100}", by=by)

    with django_assert_num_queries(7):
        editor.get(page(ada))
