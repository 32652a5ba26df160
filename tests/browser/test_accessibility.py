"""Every page against WCAG 2.2 AA, by axe, as it is drawn in light and in dark."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from playwright.sync_api import Page

from profiles.auditing import By
from tests.browser.pages import every_page, fill, fill_merges, fill_records

pytestmark = pytest.mark.browser

RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    "resultTypes": ["violations"],
    # It would load style sheets a second time, and by wrong addresses.
    "preload": False,
}


def faults(page: Page) -> list[str]:
    """What axe finds on the page that is open: the rule, and the places."""
    found: dict[str, Any] = Axe().run(page, options=RULES).response
    return [
        f"{fault['id']}: {place['html'][:160]} {place.get('failureSummary', '').splitlines()[1:2]}"
        for fault in found["violations"]
        for place in fault["nodes"][:3]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_keeps_wcag_aa(page: Page, superuser: User, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    found = {}

    ada = fill(By(superuser))
    fill_records(ada, By(superuser))
    fill_merges(ada, By(superuser))
    for path in every_page(ada):
        page.goto(path)
        if here := faults(page):
            found[path] = here

    assert not found, "\n".join(f"{path}\n  " + "\n  ".join(here) for path, here in found.items())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_login_keeps_wcag_aa(page: Page, scheme: Any) -> None:
    page.context.clear_cookies()
    page.emulate_media(color_scheme=scheme)
    page.goto("/admin/login/")

    assert not faults(page)
