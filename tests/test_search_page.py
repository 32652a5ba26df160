from __future__ import annotations

import pytest
from django.urls import reverse

from profiles.models import Profile
from tests.cast import add, update
from tests.staff import holding, member, read

SEARCH = "/admin/search/"


def page(profile: Profile) -> str:
    return reverse("admin:profiles_profile_change", args=[profile.pk])


def test_the_box_stands_on_every_page_for_those_who_may_see_profiles(ada):
    reader = member("Reader")

    for url in ("/admin/", SEARCH, page(ada), "/admin/identities/handle/", "/admin/password_change/"):
        assert 'id="search-box"' in reader.get(url).content.decode()
    assert 'id="search-box"' not in holding("identities.view_handle").get("/admin/").content.decode()


def test_one_hit_opens_the_profile(ada, bo, by):
    add(ada, "loyalty-card:1804974", by=by)

    response = member("Reader").get(SEARCH, {"q": "1804974"})

    assert response["Location"] == page(ada)


def test_a_single_hit_by_the_beginning_of_a_name_is_opened_with_a_question(ada, bo):
    reader = member("Reader")

    begun = read(reader.get(SEARCH, {"q": "lovel"}, follow=True))
    whole = read(reader.get(SEARCH, {"q": str(ada.pk)}, follow=True))

    assert "The only one found for “lovel”. Is it who you meant?" in begun
    assert "The only one found" not in whole


def test_several_hits_say_why_each_was_found(ada, ada_again, by):
    add(ada, "pos:77", by=by)
    add(ada_again, "pos-customer:77", by=by)

    text = read(response := member("Reader").get(SEARCH, {"q": "77"}))

    assert "Found for “77”" in text
    assert "Ada Lovelace pos 77" in text
    assert "Augusta Ada King pos-customer 77" in text
    assert page(ada) in response.content.decode()


def test_who_may_not_see_identities_is_told_the_system_only(ada, ada_again, by):
    add(ada, "pos:7788", by=by)
    add(ada_again, "pos:7799", by=by)

    text = read(holding("profiles.view_profile").get(SEARCH, {"q": "77"}))

    assert "Ada Lovelace pos" in text
    assert "7788" not in text


def test_no_hit_says_what_can_be_typed_and_offers_to_add_to_those_who_may(ada):
    for_reader = read(member("Reader").get(SEARCH, {"q": "zzz"}))
    for_editor = read(member("Editor").get(SEARCH, {"q": "zzz"}))

    assert "Nobody is known by this." in for_reader
    assert "Add a profile" not in for_reader
    assert "Add a profile" in for_editor


@pytest.mark.parametrize("text", ["", "\0", "x" * 100_000, "<script>alert(1)</script>", "' OR 1=1 --", "\ud800"])
def test_hostile_text_is_only_text(ada, text):
    response = member("Reader").get(SEARCH, {"q": text.encode("utf-8", "surrogatepass").decode("latin-1")})

    assert response.status_code == 200
    assert "<script>alert" not in response.content.decode()


def test_names_are_shown_as_text(ada, ada_again, by):
    for profile in (ada, ada_again):
        update(profile, first_name="<script>alert(1)</script>", by=by)

    assert "<script>alert" not in member("Reader").get(SEARCH, {"q": "<script>"}).content.decode()
