"""The browser says in which zone its reader is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def test_times_are_shown_in_the_zone_of_the_browser(page: Page, superuser: User) -> None:
    User.objects.update(date_joined=datetime(2026, 1, 15, 12, 30, tzinfo=UTC))
    devtools = page.context.new_cdp_session(page)
    devtools.send("Emulation.setTimezoneOverride", {"timezoneId": "Australia/Melbourne"})

    page.goto("/admin/")
    page.goto(f"/admin/auth/user/{superuser.pk}/change/")

    expect(page.locator(".field-date_joined")).to_contain_text("Jan. 15, 2026, 11:30 p.m.")
    expect(page.locator("#footer")).to_contain_text("Australia/Melbourne")
    (cookie,) = [cookie for cookie in page.context.cookies() if cookie["name"] == "zone"]
    assert (cookie["value"], cookie["path"], cookie["sameSite"]) == ("Australia/Melbourne", "/", "Lax")
