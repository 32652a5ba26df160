"""The list of the routing log, and reviewing several of its entries at once."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from identities import adding, reviewing
from identities.handles import Sent
from identities.models import RoutingLogEntry
from profiles.auditing import By
from profiles.models import Audit, Profile
from profiles.refusing import Refused
from tests.cast import add, route
from tests.staff import filled, holding, member, read, rows, signed_in, user_of

LIST = "/admin/identities/routinglogentry/"
TAKEN = "sent Loyalty card bo for Ada Lovelace; it belongs to Bo Diddley, so nothing was written."


@pytest.fixture
def editor(by: By) -> Client:
    return signed_in(by.user)


@pytest.fixture
def entry(ada, bo, by) -> RoutingLogEntry:
    """Ada was to have Bo's loyalty card."""
    with pytest.raises(Refused):
        adding.add(ada.pk, Sent("loyalty-card", "bo"), by=by, source=None)
    return RoutingLogEntry.objects.get()


def seen_on(entry: RoutingLogEntry, year: int, month: int, day: int) -> None:
    at = datetime.datetime(year, month, day, 12, tzinfo=datetime.UTC)
    RoutingLogEntry.objects.filter(pk=entry.pk).update(last_seen_at=at)


def choose(client: Client, action: str, *entries: RoutingLogEntry, status: str = "all", **more: Any) -> Any:
    """Choose entries in the list of a status, and an action."""
    data = {"action": action, "index": "0", "_selected_action": [entry.pk for entry in entries]}
    return client.post(f"{LIST}?review_status__exact={status}", data | more)


def answer(client: Client, action: str, *entries: RoutingLogEntry, note: str = "", **more: Any) -> Any:
    """Say yes to the question of an action, as its page asked it."""
    data = {
        "action": action,
        "_selected_action": [entry.pk for entry in entries],
        "seen": [f"{entry.pk}-{entry.review_status}" for entry in entries],
        "note": note,
    }
    return client.post(LIST, data | more, follow=True)


# The list


def test_each_row_tells_its_entry_in_a_sentence(editor, entry, klaviyo, ada):
    with pytest.raises(Refused):
        add(ada, "loyalty-card:bo", by=By(klaviyo.service_account), source=klaviyo)

    response = editor.get(LIST)

    by_klaviyo, by_staff = rows(response)
    assert f"identity taken Klaviyo {TAKEN} 1 open" in by_klaviyo
    assert f"identity taken Staff (operator) {TAKEN} 1 open" in by_staff
    assert f'href="{reverse("admin:identities_routinglogentry_change", args=[entry.pk])}' in response.content.decode()


def test_the_list_opens_with_what_is_open(editor, entry, by):
    route("loyalty-card:bo", "pos:guest", by=by)
    reviewing.review(entry, status="reviewed", note="", by=by)

    assert [row for row in rows(editor.get(LIST)) if "guest" in row] == rows(editor.get(LIST))
    assert len(rows(editor.get(LIST))) == 1
    assert len(rows(editor.get(LIST, {"review_status__exact": "open"}))) == 1
    assert "reviewed" in rows(editor.get(LIST, {"review_status__exact": "reviewed"}))[0]
    assert len(rows(editor.get(LIST, {"review_status__exact": "all"}))) == 2
    assert rows(editor.get(LIST, {"review_status__exact": "nonsense"})) == []


def test_an_empty_list_says_what_it_means(editor, entry, by):
    assert "No entry is like this. Show the whole log" in read(editor.get(LIST, {"handle": "sfcc"}))
    reviewing.review(entry, status="reviewed", note="", by=by)

    response = editor.get(LIST)

    assert "Nothing is open: whatever the log has was looked at by somebody." in read(response)
    assert 'href="?review_status__exact=all"' in response.content.decode()


def test_the_list_filters_by_outcome_reason_handle_and_source(editor, entry, ada, klaviyo, by):
    with pytest.raises(Refused):
        adding.add(ada.pk, Sent("loyalty-card", "bo"), by=By(klaviyo.service_account), source=klaviyo)
    route("pos:guest", by=by)

    assert len(rows(editor.get(LIST))) == 3
    assert len(rows(editor.get(LIST, {"outcome__exact": "identity_taken"}))) == 2
    assert len(rows(editor.get(LIST, {"outcome__exact": "identity_taken", "review_status__exact": "open"}))) == 2
    assert len(rows(editor.get(LIST, {"code__exact": "blocked_identifier"}))) == 1
    assert len(rows(editor.get(LIST, {"code__exact": "reserved_handle"}))) == 0
    assert len(rows(editor.get(LIST, {"handle": "pos"}))) == 1
    assert len(rows(editor.get(LIST, {"source": "klaviyo"}))) == 1
    assert len(rows(editor.get(LIST, {"source": "staff"}))) == 2


def test_the_list_filters_by_when_an_entry_was_last_seen(editor, entry):
    def found(seen: str) -> int:
        return len(rows(editor.get(LIST, {"seen": seen})))

    assert (found("today"), found("week"), found("month"), found("")) == (1, 1, 1, 1)
    for days, expected in ((2, (0, 1, 1)), (9, (0, 0, 1)), (40, (0, 0, 0))):
        RoutingLogEntry.objects.update(last_seen_at=timezone.now() - datetime.timedelta(days=days))
        assert (found("today"), found("week"), found("month")) == expected


def test_the_newest_happening_stands_first(editor, entry, by):
    route("loyalty-card:bo", "pos:guest", by=by)
    seen_on(entry, 2026, 3, 2)
    guest = RoutingLogEntry.objects.latest("pk")
    seen_on(guest, 2026, 3, 1)

    assert ["guest" in row for row in rows(editor.get(LIST))] == [False, True]
    assert ["guest" in row for row in rows(editor.get(LIST, {"o": "1"}))] == [True, False]


def test_names_and_identifiers_are_shown_as_text(editor, entry, ada):
    Profile.objects.filter(pk=ada.pk).update(first_name="<script>alert(1)</script>")
    RoutingLogEntry.objects.update(identifier="<img src=x>")

    content = editor.get(LIST).content.decode()

    assert "&lt;script&gt;alert" in content
    assert "<script>alert" not in content
    assert "<img src=x" not in content


# By date


def offered(client: Client, **chosen: int) -> list[str]:
    """What the list offers for narrowing it down by date, as it reads."""
    content = client.get(LIST, {f"last_seen_at__{part}": value for part, value in chosen.items()}).content.decode()
    nav = content[content.index('aria-label="By date"') :].split("</nav>")[0]
    return [line.split("</")[0] for line in nav.split(">") if "</" in line]


@pytest.fixture
def spread(entry, by) -> None:
    """Three entries: two in different months of one year, and one a year earlier."""
    for identifier in ("guest", "null"):
        route("loyalty-card:bo", f"pos:{identifier}", by=by)
    first, second, third = RoutingLogEntry.objects.order_by("pk")
    seen_on(first, 2025, 12, 30)
    seen_on(second, 2026, 2, 3)
    seen_on(third, 2026, 3, 4)


def test_the_list_narrows_down_by_year_month_and_day(editor, spread):
    def found(**chosen: int) -> int:
        return len(rows(editor.get(LIST, {f"last_seen_at__{part}": value for part, value in chosen.items()})))

    assert offered(editor) == ["2025", "2026"]
    assert offered(editor, year=2026) == ["&lsaquo; All dates", "January 2026", "February 2026", "March 2026"]
    days = offered(editor, year=2026, month=3)
    assert days == ["&lsaquo; 2026", "March 1", "March 2", "March 3", "March 4"]
    assert offered(editor, year=2026, month=3, day=4) == ["&lsaquo; March 2026", "March 4"]
    assert (found(), found(year=2026), found(year=2026, month=3), found(year=2026, month=3, day=4)) == (3, 2, 1, 1)
    assert found(year=2026, month=3, day=3) == 0


def test_a_date_is_kept_with_the_other_filters(editor, spread):
    content = editor.get(LIST, {"handle": "pos", "last_seen_at__year": 2026}).content.decode()

    assert 'href="?handle=pos&amp;last_seen_at__month=3&amp;last_seen_at__year=2026"' in content
    assert 'href="?handle=pos" class="date-back"' in content


def test_dates_within_one_month_are_offered_at_once(editor, entry):
    seen_on(entry, 2026, 3, 4)
    assert offered(editor) == ["March 4"]


def test_an_empty_log_offers_no_dates(editor):
    assert 'aria-label="By date"' not in editor.get(LIST).content.decode()


@pytest.mark.parametrize(
    "query",
    [
        "last_seen_at__month=3",
        "last_seen_at__year=2026&last_seen_at__day=3",
        "last_seen_at__year=9999",
        "last_seen_at__year=9999&last_seen_at__month=12",
        "last_seen_at__year=1",
        "last_seen_at__year=2026&last_seen_at__month=13",
        "last_seen_at__year=2026&last_seen_at__month=2&last_seen_at__day=30",
        "last_seen_at__year=x",
        "last_seen_at__year=99999999999999999999",
        "reviewed_at__exact=x",
    ],
)
def test_dates_that_are_none_lead_back_to_the_list(query, editor, entry):
    assert editor.get(f"{LIST}?{query}").headers["Location"] == f"{LIST}?e=1"


@pytest.mark.parametrize(
    "query", ["created_at__year=2026", "last_seen_at__second=3", "fingerprint=x", "identifier=bo"]
)
def test_nothing_else_can_be_asked_of_a_column(query, editor, entry):
    assert editor.get(f"{LIST}?{query}").status_code == 400


def test_the_dates_cost_two_looks_at_an_index(editor, spread, django_assert_num_queries):
    with django_assert_num_queries(12) as captured:
        editor.get(LIST, {"handle": "pos", "last_seen_at__year": 2026})

    statements = [query["sql"] for query in captured.captured_queries if 'MIN("' in query["sql"]]
    (about_dates,) = statements
    assert "WHERE" not in about_dates
    assert not any("DISTINCT" in query["sql"] for query in captured.captured_queries)


# Several at once


def test_several_are_reviewed_with_a_note_after_a_question(editor, entry, by):
    route("loyalty-card:bo", "pos:guest", by=by)
    guest = RoutingLogEntry.objects.latest("pk")

    asked = choose(editor, "mark_reviewed", entry, guest)

    text = read(asked)
    assert "Mark 2 entries as reviewed?" in text
    assert f"Staff (operator) {TAKEN}" in text
    assert "with Till “guest”; this value names nobody" in text
    assert f'name="seen" value="{entry.pk}-open"' in asked.content.decode()
    assert set(RoutingLogEntry.objects.values_list("review_status", flat=True)) == {"open"}

    done = answer(editor, "mark_reviewed", entry, guest, note="Called her.")

    assert "2 entries were marked as reviewed. See them, or open them again" in read(done)
    for one in RoutingLogEntry.objects.all():
        assert (one.review_status, one.review_note, one.reviewed_by) == ("reviewed", "Called her.", user_of(editor))
    assert Audit.objects.filter(event="reviewed", by=user_of(editor), url=LIST).count() == 2


def test_the_way_back_leads_to_exactly_those_and_opens_them_again(editor, entry, by):
    route("loyalty-card:bo", "pos:guest", by=by)
    reviewing.review(RoutingLogEntry.objects.latest("pk"), status="reviewed", note="", by=by)
    done = answer(editor, "dismiss", entry)
    assert "1 entry was dismissed." in read(done)

    way_back = done.content.decode().split(f'<a href="{LIST}?review_status__exact=dismissed&amp;')[1].split('"')[0]
    listed = editor.get(f"{LIST}?review_status__exact=dismissed&{way_back.replace('&amp;', '&')}")

    assert [TAKEN in row for row in rows(listed)] == [True]
    entry.refresh_from_db()
    assert "Open 1 entry again?" in read(choose(editor, "open_again", entry))
    assert "1 entry is open again." in read(answer(editor, "open_again", entry))
    entry.refresh_from_db()
    assert (entry.review_status, entry.reviewed_by) == ("open", None)


def test_an_answer_that_comes_twice_does_nothing_twice(editor, entry):
    answer(editor, "mark_reviewed", entry)

    again = read(answer(editor, "mark_reviewed", entry))

    assert "1 entry was reviewed meanwhile and stays as it is." in again
    assert "marked as reviewed" not in again
    assert Audit.objects.filter(event="reviewed").count() == 1


def test_what_has_that_status_already_is_not_asked_about(editor, entry, by):
    route("loyalty-card:bo", "pos:guest", by=by)
    guest = RoutingLogEntry.objects.latest("pk")
    reviewing.review(guest, status="reviewed", note="", by=by)

    for status in ("all", "open"):
        text = read(choose(editor, "mark_reviewed", entry, guest, status=status))
        assert "Mark 1 entry as reviewed?" in text
        assert "1 more was reviewed meanwhile, or has this status already, and stays as it is." in text
        assert "guest" not in text
        nothing = choose(editor, "mark_reviewed", guest, status=status)
        assert "Nothing to do: all of them were reviewed meanwhile" in read(editor.get(nothing.headers["Location"]))


def test_an_entry_with_a_newer_one_of_its_event_stays_closed(editor, entry, ada, by):
    reviewing.review(entry, status="reviewed", note="", by=by)
    with pytest.raises(Refused):
        add(ada, "loyalty-card:bo", by=by)
    entry.refresh_from_db()

    text = read(answer(editor, "open_again", entry))

    assert "1 entry cannot be opened again: the same has happened since" in text
    entry.refresh_from_db()
    assert entry.review_status == "reviewed"


def test_more_than_one_reads_are_not_reviewed_at_once(editor, entry):
    RoutingLogEntry.objects.bulk_create(
        RoutingLogEntry(outcome="refused", kind="profile", by=user_of(editor), fingerprint=f"{number}")
        for number in range(200)
    )

    response = choose(editor, "mark_reviewed", entry, select_across="1")

    assert "Review 200 entries at once at most" in read(editor.get(response.headers["Location"]))
    seen = [f"{pk}-open" for pk in RoutingLogEntry.objects.values_list("pk", flat=True)]
    assert "Review 200 entries at once at most" in read(answer(editor, "mark_reviewed", entry, seen=seen))
    assert not RoutingLogEntry.objects.exclude(review_status="open").exists()


def test_a_note_that_is_too_long_is_asked_for_again(editor, entry):
    text = read(answer(editor, "mark_reviewed", entry, note="x" * 2001))

    assert "Ensure this value has at most 2000 characters" in text
    assert "Mark 1 entry as reviewed?" in text
    assert RoutingLogEntry.objects.get().review_status == "open"


@pytest.mark.parametrize("seen", ["x-open", "1", "-open", "1-eaten", f"{'9' * 40}-open", "١-open"])
def test_an_answer_about_what_is_no_entry_is_no_answer(seen, editor, entry):
    assert answer(editor, "mark_reviewed", entry, seen=[seen]).status_code == 400
    assert RoutingLogEntry.objects.get().review_status == "open"


def test_the_question_costs_the_same_for_one_entry_and_for_many(editor, by, bo, django_assert_num_queries):
    for one in range(20):
        with pytest.raises(Refused):
            add(Profile.objects.create(first_name=f"{one}"), "loyalty-card:bo", by=by)
    entries = list(RoutingLogEntry.objects.all())

    for number in (1, 20):
        # The list's own, then the entries with their profiles and handles.
        with django_assert_num_queries(15):
            assert choose(editor, "mark_reviewed", *entries[:number]).status_code == 200


@pytest.mark.parametrize("action", ["mark_reviewed", "dismiss", "open_again"])
def test_a_reader_reviews_nothing_even_by_hand(action, entry, by):
    if action == "open_again":
        reviewing.review(entry, status="reviewed", note="", by=by)
        entry.refresh_from_db()
    before = RoutingLogEntry.objects.values().get()
    reader = member("Reader")

    assert 'name="action"' not in reader.get(LIST).content.decode()
    choose(reader, action, entry)
    answer(reader, action, entry)

    assert RoutingLogEntry.objects.values().get() == before


def test_whoever_may_change_entries_may_review_several(entry):
    answer(holding("identities.change_routinglogentry"), "mark_reviewed", entry)

    assert RoutingLogEntry.objects.get().review_status == "reviewed"


def test_no_entry_is_added_or_deleted(admin_client, entry):
    assert admin_client.get(f"{LIST}add/").status_code == 403
    url = reverse("admin:identities_routinglogentry_delete", args=[entry.pk])
    assert admin_client.post(url, {"post": "yes"}).status_code == 403
    admin_client.post(LIST, {"action": "delete_selected", "_selected_action": [entry.pk], "post": "yes"})
    assert RoutingLogEntry.objects.exists()
    assert "delete_selected" not in str(filled(admin_client, LIST))
