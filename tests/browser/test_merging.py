"""Duplicates as somebody decides on them, with the keyboard alone: find, compare, choose, merge, go on to the next."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from identities.models import Handle
from profiles import duplicates
from profiles.auditing import By
from profiles.duplicates import Found
from profiles.models import DuplicatePair, Merge, Profile
from tests.cast import known, pairs_of, value_of

pytestmark = pytest.mark.browser


@pytest.fixture
def cast(superuser: User) -> dict[str, Profile]:
    """Ada twice, which is the likeliest pair, and three who may be Bo."""
    by = By(superuser)
    people = {
        "ada": known("loyalty-card:1", by=by, first_name="Ada", last_name="Lovelace", birth_year=1815),
        "again": known("loyalty-card:2", by=by, first_name="Augusta", last_name="Lovelace", company="Engines"),
        "bo": known("loyalty-card:3", by=by, first_name="Bo"),
        "bob": known("loyalty-card:4", by=by, first_name="Bob"),
        "rob": known("loyalty-card:5", by=by, first_name="Rob"),
    }
    for one, other, score in (("ada", "again", 0.95), ("bo", "bob", 0.8), ("bob", "rob", 0.7)):
        first, second = sorted([people[one].pk, people[other].pk])
        duplicates.note([Found(first, second, {"conflict": []})])
        DuplicatePair.objects.filter(first=first, second=second).update(score=score)
    return people


def tab_to(page: Page, text: str) -> None:
    """Press Tab until the link or button with this text has the focus."""
    for _ in range(200):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.textContent.trim() || document.activeElement.value || ''")
        if text in focused:
            return
    pytest.fail(f"Tab never reaches {text}.")


def test_the_likeliest_duplicate_is_found_compared_and_merged_with_the_keyboard(
    page: Page, cast: dict[str, Profile]
) -> None:
    page.goto("/admin/")
    tab_to(page, "Begin with the likeliest: Ada Lovelace, Augusta Lovelace")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Number 1 of 3 in the queue.")).to_be_visible()
    expect(page.locator("#merge-sentence")).to_be_focused()
    expect(page.locator("#merge-sentence")).to_contain_text("will become part of A Ada Lovelace")
    expect(page.get_by_role("row", name="First name")).to_contain_text("differs")

    # The other one's first name: to its row by Tab, to the other side by an arrow.
    for _ in range(50):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "field-first_name":
            break
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="First name of B: Augusta")).to_be_checked()
    expect(page.get_by_role("cell", name="Augusta").get_by_text("stands")).to_be_visible()
    page.keyboard.press("m")

    expect(page.get_by_role("heading", name="Merge 2 profiles?")).to_be_visible()
    expect(page.get_by_role("row", name="First name")).to_contain_text("Augusta of B")
    expect(page.get_by_label("Reason")).to_be_focused()
    page.keyboard.type("Met her.")
    page.keyboard.press("Enter")

    # The next one comes up, and says what was done.
    expect(page.get_by_text("became part of")).to_be_visible()
    expect(page.get_by_text("Are these 3 profiles one person?").first).to_be_visible()
    assert Merge.objects.get().reason == "Met her."
    assert value_of(cast["ada"], "first_name") == "Augusta"
    assert pairs_of(cast["ada"]) == ["loyalty-card:1", "loyalty-card:2"]
    page.go_back()
    expect(page.get_by_text("is part of")).to_be_visible()
    expect(page).to_have_url(f"{page.url.split('/admin')[0]}/admin/profiles/profile/{cast['ada'].pk}/change/")


def test_another_one_stays_and_the_focus_with_it(page: Page, cast: dict[str, Profile]) -> None:
    page.goto(f"/admin/profiles/duplicatepair/{duplicates.offered()[0].pk}/change/")

    page.get_by_role("radio", name="A stays").focus()
    page.keyboard.press("ArrowRight")

    expect(page.locator("#merge-sentence")).to_contain_text("will become part of B Augusta Lovelace")
    expect(page.get_by_role("radio", name="B stays")).to_be_focused()
    expect(page.get_by_role("radio", name="First name of B: Augusta")).to_be_checked()


def test_of_three_one_is_left_out_and_two_are_said_to_be_others(page: Page, cast: dict[str, Profile]) -> None:
    page.goto(f"/admin/profiles/duplicatepair/{duplicates.offered()[0].pk}/change/")
    page.keyboard.press("s")
    expect(page.get_by_text("Are these 3 profiles one person?").first).to_be_visible()

    page.get_by_role("checkbox", name="A is the same person").focus()
    page.keyboard.press("Space")
    expect(page.get_by_role("group", name="Left out: these stay as they are")).to_contain_text("A Bo")
    expect(page.get_by_role("checkbox", name="A Bo")).to_be_focused()
    page.keyboard.press("n")

    expect(page.get_by_role("heading", name="Not the same person?")).to_be_visible()
    expect(page.get_by_text("B Bob")).to_be_visible()
    expect(page.get_by_label("Note")).to_be_focused()
    page.keyboard.type("Brothers, n and m and s.")
    page.keyboard.press("Enter")

    expect(page.get_by_text("Noted: they are not the same person")).to_be_visible()
    expect(page.get_by_text("Are these 2 profiles one person?").first).to_be_visible()
    assert DuplicatePair.objects.get(status="dismissed").note == "Brothers, n and m and s."
    assert not Merge.objects.exists()


def test_letters_are_no_keys_once_they_are_switched_off(page: Page, cast: dict[str, Profile]) -> None:
    url = f"/admin/profiles/duplicatepair/{duplicates.offered()[0].pk}/change/"
    page.goto(url)
    page.get_by_label("Letters work as keys").uncheck()
    page.goto(url)

    page.keyboard.press("s")
    page.keyboard.press("m")

    expect(page.get_by_label("Letters work as keys")).not_to_be_checked()
    expect(page.get_by_text("Number 1 of 3 in the queue.")).to_be_visible()
    page.get_by_label("Letters work as keys").check()
    page.keyboard.press("s")
    expect(page.get_by_text("Are these 3 profiles one person?").first).to_be_visible()


def test_a_handle_that_is_undecided_is_asked_for_before_anything_else(page: Page, cast: dict[str, Profile]) -> None:
    Handle.objects.filter(pk="loyalty-card").update(single_valued=True)
    page.goto(f"/admin/profiles/duplicatepair/{duplicates.offered()[0].pk}/change/")

    page.keyboard.press("m")
    expect(page.get_by_role("radio", name="Active Loyalty card of A: 1")).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("m")

    expect(page.get_by_role("heading", name="Merge 2 profiles?")).to_be_visible()
    expect(page.get_by_role("row", name="Active Loyalty card")).to_contain_text("becomes inactive")
