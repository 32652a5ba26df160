"""What back-office staff do all day, with the keyboard where that is quicker."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from identities.models import Identity
from profiles.auditing import By
from profiles.models import Move, Profile
from tests.browser.conftest import sign_in
from tests.browser.pages import fill
from tests.cast import pairs_of

pytestmark = pytest.mark.browser


@pytest.fixture
def ada(superuser: User) -> Profile:
    return fill(By(superuser))


def test_a_customer_is_found_by_the_card_number_without_the_mouse(page: Page, ada: Profile) -> None:
    page.goto("/admin/")

    page.keyboard.press("/")
    page.keyboard.type("1804974")
    page.keyboard.press("Enter")

    expect(page).to_have_title(re.compile("Ada Lovelace"))
    expect(page.get_by_label("Who this is")).to_contain_text("Ada Lovelace, born in 1815, ada@example.com")


def test_whoever_matches_a_name_is_listed_and_opened(page: Page, ada: Profile) -> None:
    page.goto("/admin/")
    page.get_by_label("Find a profile").fill("0404 123 123")
    page.get_by_role("button", name="Find", exact=True).click()

    expect(page).to_have_title(re.compile("Ada Lovelace"))


def test_an_identity_is_added_moved_and_moved_back(page: Page, ada: Profile) -> None:
    bo = Profile.objects.get(first_name="Bo")
    page.goto(f"/admin/profiles/profile/{ada.pk}/change/")

    form = page.get_by_role("form", name="Add an identity")
    form.get_by_label("System").select_option("loyalty-card")
    form.get_by_label("Identifier").fill("5550001")
    form.get_by_role("button", name="Add this identity").click()
    page.get_by_role("link", name="Move 5550001 to another profile").click()
    page.get_by_label("To which profile?").fill("diddley")
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_role("link", name="Move it to Bo Diddley.").click()
    expect(page.get_by_text("Only this identity moves.")).to_be_visible()
    page.get_by_label("Reason").fill("Bo brought this card to the till.")
    page.get_by_role("button", name="Yes, move it").click()
    expect(page.get_by_text("Moved Loyalty card 5550001 to Bo Diddley.")).to_be_visible()
    assert "loyalty-card:5550001" in pairs_of(bo)

    page.get_by_role("link", name="Take it back").click()
    page.get_by_label("Reason").fill("It was Ada's after all.")
    page.get_by_role("button", name="Yes, move it").click()

    expect(page).to_have_title(re.compile("Ada Lovelace"))
    assert "loyalty-card:5550001" in pairs_of(ada)
    assert Move.objects.filter(undone_at=None).count() == 0


def test_a_mark_is_set_and_taken_back_from_its_message(page: Page, ada: Profile) -> None:
    page.goto(f"/admin/profiles/profile/{ada.pk}/change/")

    page.get_by_role("button", name="Deactivate 9001").click()
    expect(page.get_by_text("is inactive")).to_be_visible()
    page.get_by_role("link", name="Take it back").click()
    page.get_by_role("button", name="Yes", exact=True).click()

    assert Identity.objects.get(handle="pos2", identifier="9001").is_active


def test_a_taken_identity_is_refused_and_leads_to_its_owner(page: Page, ada: Profile) -> None:
    page.goto(f"/admin/profiles/profile/{ada.pk}/change/")

    form = page.get_by_role("form", name="Add an identity")
    form.get_by_label("System").select_option("loyalty-card")
    form.get_by_label("Identifier").fill("7046671")
    form.get_by_role("button", name="Add this identity").click()

    expect(page.get_by_text("Another profile has this identity.")).to_be_visible()
    page.get_by_role("link", name="Bo Diddley").click()
    expect(page).to_have_title(re.compile("Bo Diddley"))


def test_the_keyboard_reaches_the_content_first_and_shows_where_it_is(page: Page, ada: Profile) -> None:
    page.goto(f"/admin/profiles/profile/{ada.pk}/change/")

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to main content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")

    focused = page.evaluate("document.activeElement.closest('main') !== null")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert (focused, outline) == (True, "solid")


def test_what_a_reader_may_not_do_a_hand_made_post_does_not_do_either(
    page: Page, live_server: LiveServer, reader: User, ada: Profile
) -> None:
    card = Identity.objects.get(handle="loyalty-card", profile=ada)
    bo = Profile.objects.get(first_name="Bo")
    device = Identity.objects.get(handle="apns")
    before = pairs_of(ada), ada.first_name
    sign_in(page, reader, live_server)
    page.goto("/admin/password_change/")
    token = page.locator("#logout-form [name=csrfmiddlewaretoken]").get_attribute("value") or ""

    for path, data in (
        (f"/admin/identities/identity/{card.pk}/move/?to={bo.pk}", {"reason": "x"}),
        (f"/admin/identities/identity/{card.pk}/delete/", {"post": "yes"}),
        (f"/admin/identities/identity/{card.pk}/mark/", {"mark": "inactive"}),
        (f"/admin/identities/identity/{device.pk}/reveal/", {}),
        (f"/admin/profiles/profile/{ada.pk}/change/", {"first_name": "X"}),
        (f"/admin/profiles/profile/{ada.pk}/delete/", {"post": "yes"}),
        ("/admin/identities/handle/pos2/change/", {"status": "agreed"}),
    ):
        form: dict[str, str | float | bool] = {**data, "csrfmiddlewaretoken": token}
        status = page.request.post(path, form=form, headers={"Referer": page.url}).status
        assert status == 403, path

    ada.refresh_from_db()
    assert (pairs_of(ada), ada.first_name) == before
