"""A real browser at the real pages: Debian's Chromium, driven by Playwright, against pytest-django's live server.

A test asks for `page`, which is signed in as a superuser, and goes to paths: `page.goto("/admin/")`. Whatever the page
tells its console as an error fails the test: a script that broke, a file that is not there, a breach of the
Content-Security-Policy.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from tests.browser.chromium import EXECUTABLE, FLAGS

MOST_MILLISECONDS = 10_000

# Chromium does not report every breach on the console, but it does to the document.
REPORT_BREACHES = """
document.addEventListener("securitypolicyviolation", (breach) => console.error(
    `${breach.effectiveDirective} forbids ${breach.blockedURI} ${breach.sourceFile}:${breach.lineNumber} ${breach.sample}`
));
"""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if EXECUTABLE is None:
        pytest.fail("There is no chromium on the PATH. On Debian: apt-get install chromium")
    # Playwright's event loop runs in this thread all the while, and Django takes that for asynchronous code.
    with pytest.MonkeyPatch.context() as patched, sync_playwright() as playwright:
        patched.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=EXECUTABLE, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def superuser(transactional_db: None) -> User:
    return User.objects.create_superuser("superuser", password="correct horse battery staple")


@pytest.fixture
def page(chromium: Browser, live_server: LiveServer, superuser: User) -> Iterator[Page]:
    context = chromium.new_context(base_url=live_server.url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(MOST_MILLISECONDS)
    context.add_init_script(REPORT_BREACHES)
    page, errors = context.new_page(), list[str]()

    def note(message: ConsoleMessage) -> None:
        url = message.location["url"]
        # That the page itself is a refusal, such as a 403, is what its test is about; the icon every browser asks for.
        is_status = message.text.startswith("Failed to load") and url in (page.url, f"{live_server.url}/favicon.ico")
        if message.type == "error" and not is_status:
            errors.append(f"{message.text} ({url})")

    page.on("console", note)
    page.on("pageerror", lambda error: errors.append(str(error)))
    sign_in(page, superuser, live_server)
    yield page
    context.close()
    assert not errors, "\n".join(errors)


def sign_in(page: Page, user: User, live_server: LiveServer) -> None:
    """Make this browser the user's, by the cookie of a session, in place of whoever was signed in."""
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    page.context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": live_server.url}])
