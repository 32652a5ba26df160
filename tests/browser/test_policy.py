"""The admin in a real browser: no page tells its console of an error."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from profiles.models import Profile

pytestmark = pytest.mark.browser


def test_a_list_leads_to_a_change_page(page: Page) -> None:
    Profile.objects.create(first_name="Ada", last_name="Lovelace")

    page.goto("/admin/profiles/profile/")
    page.get_by_role("link", name="Lovelace").first.click()

    expect(page.locator("#id_first_name")).to_have_value("Ada")
