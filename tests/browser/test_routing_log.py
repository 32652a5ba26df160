"""The routing log as somebody works through it: read an entry, review it, go on to the next, take it back."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from identities.models import RoutingLogEntry
from profiles.auditing import By
from tests.browser.conftest import sign_in
from tests.browser.pages import fill

pytestmark = pytest.mark.browser

LIST = "/admin/identities/routinglogentry/"


@pytest.fixture
def entries(superuser: User) -> list[RoutingLogEntry]:
    """Newest first: a value that names nobody, a conflict, and a card that is taken."""
    fill(By(superuser))
    RoutingLogEntry.objects.filter(review_status="reviewed").delete()  # Of a profile that was erased.
    entries = list(RoutingLogEntry.objects.order_by("-last_seen_at", "-pk"))
    assert [entry.outcome for entry in entries] == ["refused", "conflict", "identity_taken"]
    return entries


def test_an_entry_is_read_and_reviewed_and_the_next_one_follows(page: Page, entries: list[RoutingLogEntry]) -> None:
    page.goto(LIST)
    page.get_by_role("link", name="sent data that names two profiles").click()

    expect(page.get_by_role("heading", name="The profiles side by side")).to_be_visible()
    compared = page.get_by_role("row", name=re.compile("^Name"))
    expect(compared).to_contain_text("differs")
    page.get_by_text("All of it, as the log keeps it").click()
    expect(page.get_by_text('"identities": [')).to_be_visible()

    page.get_by_role("radio", name="reviewed").check()
    page.get_by_label("Note").fill("Two people.")
    page.get_by_role("button", name="Save and go to the next").click()

    expect(page.get_by_text("Saved: the entry is now reviewed.")).to_be_visible()
    expect(page.get_by_text("it belongs to Bo Diddley, so nothing was written.").first).to_be_visible()
    conflict = RoutingLogEntry.objects.get(outcome="conflict")
    assert (conflict.review_status, conflict.review_note) == ("reviewed", "Two people.")


def test_the_queue_is_walked_with_the_keyboard(page: Page, entries: list[RoutingLogEntry]) -> None:
    newest, middle, oldest = entries
    page.goto(f"{LIST}{newest.pk}/change/")

    for entry in (middle, oldest):
        page.get_by_role("link", name="Older open entry").focus()
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/{entry.pk}/change/")

    expect(page.get_by_role("link", name="Older open entry")).to_have_count(0)


def test_several_are_reviewed_with_a_note_and_opened_again(page: Page, entries: list[RoutingLogEntry]) -> None:
    page.goto(LIST)
    page.get_by_label("Select all objects on this page for an action").check()
    page.get_by_label("Action:").select_option(label="Mark as reviewed")
    page.get_by_role("button", name="Go", exact=True).click()
    expect(page.get_by_role("listitem").filter(has_text="nothing was written")).to_be_visible()
    page.get_by_label("Note").fill("All well.")
    page.get_by_role("button", name="Yes, mark as reviewed").click()

    expect(page.get_by_text("3 entries were marked as reviewed.")).to_be_visible()
    expect(page.get_by_text("Nothing is open")).to_be_visible()
    assert set(RoutingLogEntry.objects.values_list("review_note", flat=True)) == {"All well."}

    page.get_by_role("link", name="See them, or open them again").click()
    page.get_by_label("Select all objects on this page for an action").check()
    page.get_by_label("Action:").select_option(label="Open again")
    page.get_by_role("button", name="Go", exact=True).click()
    page.get_by_role("button", name="Yes, open again").click()

    expect(page.get_by_text("3 entries are open again.")).to_be_visible()
    assert set(RoutingLogEntry.objects.values_list("review_status", flat=True)) == {"open"}


def test_a_reader_reads_and_reviews_nothing(
    page: Page, live_server: LiveServer, reader: User, entries: list[RoutingLogEntry]
) -> None:
    sign_in(page, reader, live_server)
    entry = entries[0]
    page.goto(f"{LIST}{entry.pk}/change/")
    expect(page.get_by_text("names nobody, so it alone was left out.")).to_be_visible()
    expect(page.get_by_role("radio")).to_have_count(0)
    token = page.locator("#logout-form [name=csrfmiddlewaretoken]").get_attribute("value") or ""
    referer = {"Referer": page.url}

    by_hand: dict[str, str | float | bool] = {"review_status": "dismissed", "csrfmiddlewaretoken": token}
    assert page.request.post(f"{LIST}{entry.pk}/change/", form=by_hand, headers=referer).status == 403
    by_hand = {"action": "dismiss", "_selected_action": f"{entry.pk}", "seen": f"{entry.pk}-open"}
    page.request.post(LIST, form=by_hand | {"csrfmiddlewaretoken": token}, headers=referer)

    assert set(RoutingLogEntry.objects.values_list("review_status", flat=True)) == {"open"}
