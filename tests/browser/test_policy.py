"""The Content-Security-Policy as a browser sees it: no page does what its policy forbids, and all of them work.

That is what `page` asserts of every test here: nothing on the console.
"""

from __future__ import annotations

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from playwright.sync_api import Page, expect

from tests.test_permissions import ADMIN, address, one_of_each

pytestmark = pytest.mark.browser

# Each sends an answer that is no page.
NO_PAGE = {"", "admin:jsi18n", "admin:autocomplete", "admin:view_on_site"}


def test_every_page_of_the_admin_keeps_to_the_policy(page: Page) -> None:
    rows = one_of_each()
    names = [name for name, method in ADMIN if method == "GET" and name not in NO_PAGE]

    for name in names:
        response = page.goto(address(name, rows))
        assert response
        assert "script-src 'self';" in f"{response.headers['content-security-policy']};", name


def test_the_login_page_keeps_to_the_policy(page: Page) -> None:
    page.context.clear_cookies()

    page.goto("/admin/")
    page.get_by_label("Username").fill("superuser")
    page.get_by_label("Password").fill("correct horse battery staple")
    page.get_by_role("button", name="Log in").click()

    expect(page.get_by_role("button", name="Log out")).to_be_visible()


def test_the_page_that_refuses_a_login_keeps_to_the_policy(page: Page) -> None:
    page.context.clear_cookies()

    for _ in range(settings.AXES_FAILURE_LIMIT):
        page.goto("/admin/login/")
        page.get_by_label("Username").fill("superuser")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Log in").click()

    expect(page.get_by_text("You can try again in 15 minutes.")).to_be_visible()


def test_the_widgets_of_the_forms_work(page: Page) -> None:
    page.goto("/admin/identities/identity/add/")
    page.locator(".select2-selection").first.click()
    page.locator(".select2-search__field").fill("loyal")
    page.get_by_role("option", name="loyalty-card").click()
    expect(page.locator(".select2-selection").first).to_contain_text("loyalty-card")

    page.goto(f"/admin/auth/group/{Group.objects.latest('pk').pk}/change/")
    held = page.locator("#id_permissions_to option")
    before = held.count()
    page.locator("#id_permissions_from option").first.click()
    page.locator("#id_permissions_add").click()
    expect(held).to_have_count(before + 1)

    page.goto("/admin/profiles/profile/add/")
    page.locator("summary", has_text="More").click()
    page.locator(".date-icon").first.click()
    page.locator("#calendarbox0").get_by_role("link", name="Today").click()
    page.locator(".clock-icon").first.click()
    page.locator("#clockbox0").get_by_role("link", name="Noon").click()
    expect(page.locator("#id_joined_at_1")).to_have_value("12:00:00")


def test_the_documentation_of_the_api_keeps_to_the_policy(page: Page) -> None:
    page.goto("/api/docs/")
    page.get_by_role("button", name="Authorize").click()
    # One for each kind of token, all of which close the same dialogue.
    page.get_by_role("button", name="Close", exact=True).first.click()
    for operation in page.locator(".opblock-summary-control").all()[:4]:
        operation.click()
    health = page.locator("#operations-health-health")
    health.get_by_role("button", name="Try it out").click()
    health.get_by_role("button", name="Execute").click()

    expect(health.locator(".live-responses-table")).to_contain_text('"ok"')
