"""The catalogue in a real browser: what is `pos2`, who should own it, and what would become of its identities."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from identities.models import Handle
from profiles.auditing import By
from profiles.models import Profile
from tests.browser.pages import fill
from tests.browser.test_accessibility import faults
from tests.cast import add, pairs_of

pytestmark = pytest.mark.browser


@pytest.fixture
def ada(superuser: User) -> Profile:
    return fill(By(superuser))


def test_an_undocumented_handle_is_looked_at_and_agreed_to(page: Page, ada: Profile) -> None:
    page.goto("/admin/identities/handle/")
    page.get_by_role("link", name="pos2", exact=True).click()
    expect(page.get_by_label("What this handle is")).to_contain_text("Everybody may write it.")
    expect(page.get_by_role("region", name="Who has been writing it")).to_contain_text("superuser")
    expect(page.get_by_role("region", name="What it may have been meant to be")).to_contain_text("Till")

    page.get_by_role("link", name="Agree", exact=True).click()
    page.get_by_label("Label").fill("Old till")
    page.get_by_label("Description").fill("The number of the tills before 2020.")
    page.get_by_label("Owner").select_option("shopify")
    page.get_by_role("button", name="Agree").click()

    expect(page.get_by_text("The handle pos2 is agreed.")).to_be_visible()
    expect(page.get_by_label("What this handle is")).to_contain_text("Only Shopify writes it.")


def test_an_identifier_is_tried(page: Page, ada: Profile) -> None:
    page.goto("/admin/identities/handle/instagram/change/")

    page.get_by_label("As a system may send it").fill(" Ada.LOVELACE ")
    page.keyboard.press("Enter")

    expect(page.locator("#tried")).to_have_text("“ Ada.LOVELACE ” becomes “ada.lovelace”.")


def test_a_conflict_is_cleared_up_and_the_handle_merged(page: Page, ada: Profile) -> None:
    page.goto("/admin/identities/handle/pos2/merge-into/")
    page.get_by_label("The handle that it was meant to be").select_option("pos")
    page.get_by_role("button", name="See what it would do").click()
    expect(page.get_by_text("1 identifier would name two profiles.")).to_be_visible()
    expect(page.get_by_role("button", name="Yes, merge it")).to_have_count(0)

    page.get_by_role("region", name=re.compile("Two profiles")).get_by_role("link", name="8", exact=True).first.click()
    page.get_by_role("link", name="Delete", exact=True).click()
    page.get_by_role("button", name="Yes, delete").click()
    page.goto("/admin/identities/handle/pos2/merge-into/?into=pos")
    page.get_by_label("Reason").fill("The same till.")
    page.get_by_role("button", name="Yes, merge it").click()

    expect(page.get_by_text("The handle pos2 is merged into pos: 1 identity came along.")).to_be_visible()
    assert "pos:9001" in pairs_of(ada)


def test_a_rename_is_taken_back_from_its_message(page: Page, ada: Profile) -> None:
    page.goto("/admin/identities/handle/pos2/rename/?to=till-2")
    page.get_by_role("button", name="Yes, rename it").click()
    expect(page.get_by_text("The handle pos2 is called till-2 now")).to_be_visible()

    page.get_by_role("link", name="Take it back").click()
    page.get_by_role("button", name="Yes, rename it").click()

    expect(page).to_have_title(re.compile("pos2"))
    assert Handle.objects.get(pk="till-2").renamed_to_id == "pos2"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_asked_before_a_rule_or_a_blocked_value_is_saved_keeps_wcag_aa(
    page: Page, ada: Profile, superuser: User, scheme: str
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    for pair in ("pos:Ab", "pos:aB"):
        add(ada, pair, by=By(superuser))

    page.goto("/admin/identities/handle/pos/change/")
    page.get_by_label("Normaliser").select_option("fold")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Nothing has been changed yet.")).to_be_visible()
    assert not faults(page)
    page.get_by_role("button", name="Change the normaliser").click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()

    page.goto("/admin/identities/blockedidentifier/add/")
    page.get_by_label("Value").fill("9001")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("1 identity of 1 profile has this value: pos2 (1).")).to_be_visible()
    assert not faults(page)
    page.get_by_role("button", name="Yes, block it").click()
    expect(page.get_by_text("was added successfully")).to_be_visible()
