"""A merge that was wrong: the sale that came in since is found at home after the undo, with the keyboard alone."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from profiles.auditing import By
from profiles.models import Merge, Profile, Transaction
from tests.browser.test_merging import tab_to
from tests.cast import came, known, merge, records_of, value_of

pytestmark = pytest.mark.browser


def find(page: Page, text: str) -> None:
    """The search box of every page."""
    page.keyboard.press("/")
    page.keyboard.type(text)
    page.keyboard.press("Enter")


def test_a_sale_since_the_merge_is_at_home_after_the_undo(page: Page, superuser: User) -> None:
    by = By(superuser)
    ada = known("loyalty-card:1111", by=by, first_name="Ada", last_name="Lovelace")
    again = known("loyalty-card:2222", by=by, first_name="Augusta", last_name="King", company="Engines")
    merge(ada, again, by=by, reason="The same telephone.")
    came(Transaction, "loyalty-card:2222", by=by, receipt_ref="R-2222")

    page.goto("/admin/")
    find(page, "2222")
    expect(page.get_by_role("heading", name="Ada Lovelace").first).to_be_visible()
    expect(page.get_by_text("R-2222").first).to_be_visible()
    expect(page.get_by_text("The same telephone.").first).to_be_visible()
    tab_to(page, "Undo")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Undo").first).to_be_visible()
    expect(page.get_by_text("becomes a profile of its own again").first).to_be_visible()
    page.get_by_label("Reason").focus()
    page.keyboard.type("Mother and daughter.")
    page.keyboard.press("Enter")

    expect(page.locator(".messagelist")).to_contain_text("Augusta King")
    page.wait_for_load_state()
    find(page, "2222")
    expect(page.get_by_role("heading", name="Augusta King").first).to_be_visible()
    expect(page.get_by_text("R-2222").first).to_be_visible()
    assert len(records_of(again)) == 1
    assert records_of(ada) == []
    assert value_of(ada, "company") == ""


def test_an_undo_that_is_done_already_shows_the_finished_result(page: Page, superuser: User) -> None:
    by = By(superuser)
    ada, again = known("loyalty-card:1111", by=by, first_name="Ada"), known("loyalty-card:2222", by=by)
    (one,) = merge(ada, again, by=by)
    page.goto(f"/admin/profiles/merge/{one.pk}/undo/")
    other = page.context.new_page()
    other.goto(page.url)
    for tab in (page, other):
        tab.get_by_label("Reason").fill("Somebody else.")
        tab.keyboard.press("Enter")
        tab.wait_for_load_state()

    expect(other.get_by_text("undone").first).to_be_visible()
    assert Merge.objects.get().undo_reason == "Somebody else."
    assert Profile.objects.get(pk=again.pk).merged_into is None
