"""The start page answers whether anything is wrong today, and each figure leads to its list."""

from __future__ import annotations

import datetime
import html
import re
import zoneinfo
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from identities import (
    adding,
    cataloguing,
    counting,
    issuing,
    moving,
    moving_records,
    recording,
    releasing,
    reviewing,
    routing,
)
from identities.admin import figures
from identities.handles import Sent
from identities.models import ApiToken, Handle, Identity, RoutingLogEntry
from profiles.auditing import By
from profiles.models import Audit, Point, Profile, Target, Transaction
from profiles.refusing import Refused
from tests.cast import add, came, route
from tests.staff import holding, links, member, read, rows, url_of

START = "/admin/"

pytestmark = pytest.mark.django_db


def log(by: By, number: int = 1, outcome: str = "conflict", **fields: Any) -> list[RoutingLogEntry]:
    """Entries of the routing log, as many as asked for."""
    first = RoutingLogEntry.objects.count()
    return RoutingLogEntry.objects.bulk_create(
        RoutingLogEntry(outcome=outcome, kind="profile", by=by.user, fingerprint=f"{first + n}", **fields)
        for n in range(number)
    )


# The answer


def test_a_day_without_trouble_is_said_to_be_one(by):
    route("loyalty-card:1", by=by)

    text = read(member("Reader").get(START))

    assert "All well Nothing needs a person today." in text


def test_open_entries_are_told_by_outcome_and_lead_to_their_lists(by):
    log(by, 3, "conflict")
    log(by, 2, "identity_taken")
    log(by, 1, "refused", code="blocked_identifier")
    log(by, 4, "conflict", review_status="reviewed")
    reader = member("Reader")

    page = reader.get(START)

    sentence = "To do 6 open entries need a person: 3 conflicts , 2 taken identities , 1 refused identity ."
    assert sentence in read(page)
    for text, number in (("3 conflicts", 3), ("2 taken identities", 2), ("1 refused identity", 1)):
        assert len(rows(reader.get(url_of(page, text)))) == number
    for text, number in (("3 Conflicts", 3), ("2 Taken identities", 2), ("1 Refused identities", 1)):
        assert len(rows(reader.get(url_of(page, text)))) == number


def test_what_the_product_put_right_by_itself_needs_nobody(by):
    gone = route("loyalty-card:1", by=by).profile
    releasing.delete(gone.pk, by=by)
    route("loyalty-card:1", by=by)
    log(by, 2, "rerouted")

    page = member("Reader").get(START)

    assert RoutingLogEntry.objects.filter(outcome="released_from").count() == 1
    assert "Nothing needs a person today." in read(page)
    assert "2 Rerouted writes" in [text for text, _url in links(page)]
    assert "1 Released identities" in [text for text, _url in links(page)]


def test_a_reviewed_entry_is_off_the_page(by):
    (entry,) = log(by)
    reader = member("Reader")
    assert "1 open entry needs a person: 1 conflict ." in read(reader.get(START))

    reviewing.review(entry, status="reviewed", note="", by=by)

    assert "Nothing needs a person today." in read(reader.get(START))


def test_an_undocumented_handle_waits_until_it_is_agreed(by):
    profile = route("pos2:1", "pos2:2", by=by).profile
    add(profile, "loyalty-card:1", by=by)
    reader = member("Reader")

    page = reader.get(START)

    assert (
        "To do No entry of the routing log needs a person today. 1 handle is in use that nobody has documented."
        in (read(page))
    )
    assert "pos2 2 just now" in read(page)
    assert len(rows(reader.get(url_of(page, "2")))) == 2
    assert len(rows(reader.get(url_of(page, "1 handle is in use that nobody has documented.")))) == 1
    cataloguing.change(Handle.objects.get(pk="pos2"), {"status": "agreed"}, by=by)
    text = read(reader.get(START))
    assert "Nothing needs a person today." in text
    assert "Every handle in use is documented." in text


def test_a_token_that_ends_soon_is_told_in_time(by, klaviyo):
    soon = timezone.now() + datetime.timedelta(days=5)
    for expires_at in (soon, soon + datetime.timedelta(days=30), None):
        issuing.issue(
            user=klaviyo.service_account, name="T", scopes=[], extension=klaviyo, by=by, expires_at=expires_at
        )
    reader = member("Reader")

    page = reader.get(START)

    text = "1 API token expires within 14 days."
    assert len(rows(reader.get(url_of(page, text)))) == 1


def test_counting_stops_at_ten_thousand(by):
    entries = log(by, counting.MOST_COUNTED)
    reader = member("Reader")
    assert "10,000 Conflicts" in read(reader.get(START))

    log(by)

    page = read(reader.get(START))
    assert "10,000+ Conflicts" in page
    assert "10,000+ open entries need a person: 10,000+ conflicts ." in page
    assert len(entries) == 10_000


# A fresh installation


def test_a_fresh_installation_says_what_to_do_first():
    keeper = member("Admin")

    page = keeper.get(START)

    assert "Nothing is here yet. What to do first" in read(page)
    assert not [word for word in ("Conflicts", "Newest changes", "arrived", "Undocumented") if word in read(page)]
    for text in (
        "Read the catalogue of handles",
        "Choose or add an extension, and issue a token",
        "Write the first profile",
        "Read the description of the API",
    ):
        assert keeper.get(url_of(page, text), follow=True).status_code == 200
    assert "Write the first profile" not in read(member("Reader").get(START))


def test_the_first_steps_hide_no_trouble(by):
    log(by, outcome="refused")

    text = read(member("Reader").get(START))

    assert "What to do first" in text
    assert "1 open entry needs a person: 1 refused identity ." in text
    assert "1 Refused identities" in text


def test_the_first_identity_ends_the_first_steps(by):
    route("loyalty-card:1", by=by)

    assert "What to do first" not in read(member("Admin").get(START))


# The charts


def told(response: Any) -> list[str]:
    """What the bars of the page's charts say."""
    return [
        html.unescape(text) for text in re.findall(r"<title>([^<]*\d[^<]*)</title></rect>", response.content.decode())
    ]


def test_bars_tell_how_many_came_each_day_and_lead_to_them(by):
    profile = route(*[f"loyalty-card:c{number}" for number in range(5)], by=by).profile
    today = timezone.localdate()
    three_days_ago = timezone.now() - datetime.timedelta(days=3)
    long_ago = timezone.now() - datetime.timedelta(days=40)
    for number, moment in ((0, three_days_ago), (1, three_days_ago), (2, long_ago)):
        profile.identities.filter(identifier=f"c{number}").update(created_at=moment)
    log(by, 4, created_at=three_days_ago)
    reader = member("Reader")

    page = reader.get(START)

    day = f"{today - datetime.timedelta(days=3):%B} {(today - datetime.timedelta(days=3)).day}"
    assert told(page) == [f"{day}: 2 identities", f"{today:%B} {today.day}: 2 identities", f"{day}: 4 entries"]
    addresses = dict(re.findall(r'<a href="([^"]+)" aria-label="([^"]+)"', page.content.decode()))
    for url, text in addresses.items():
        number = int(text.split(":")[1].split()[0])
        assert len(rows(reader.get(html.unescape(url)))) == number


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_today_is_what_the_reader_calls_so(by, zone):
    route("loyalty-card:1", by=by)
    reader = member("Reader")
    reader.cookies["zone"] = zone

    page = reader.get(START)

    today = timezone.localdate(timezone=zoneinfo.ZoneInfo(zone))
    assert told(page) == [f"{today:%B} {today.day}: 1 identity"]
    ((url, _label),) = re.findall(r'<a href="([^"]+)" aria-label="([^"]+)"><rect', page.content.decode())
    assert len(rows(reader.get(html.unescape(url)))) == 1


def test_a_list_of_one_day_stands_in_the_order_of_time(by):
    profile = route("loyalty-card:a", "loyalty-card:b", by=by).profile
    since, before = figures.midnights(1)
    for identifier, hours in (("a", 3), ("b", 2)):
        moment = since + datetime.timedelta(hours=hours)
        profile.identities.filter(identifier=identifier).update(created_at=moment)
    reader = member("Reader")
    day = figures.identities_url(since=since, before=before)

    def order(url: str) -> list[str]:
        return re.findall(r"loyalty-card ([ab]) ", " ".join(rows(reader.get(url))))

    assert order(day) == ["a", "b"]
    assert order(figures.identities_url()) == ["b", "a"]
    assert order(f"{day}&o=-5") == ["a", "b"]
    assert order(f"{day}&o=5") == ["b", "a"]


def test_a_day_begins_at_midnight_where_the_reader_is():
    zone = zoneinfo.ZoneInfo("Australia/Melbourne")
    with timezone.override(zone):
        days = figures.midnights(365)

    assert {(day.hour, day.minute) for day in days} == {(0, 0)}
    assert len({day.date() for day in days}) == 366
    # Two days of the year have 23 and 25 hours.
    lengths = {
        end.astimezone(datetime.UTC) - begin.astimezone(datetime.UTC)
        for begin, end in zip(days, days[1:], strict=False)
    }
    assert lengths == {datetime.timedelta(hours=hours) for hours in (23, 24, 25)}


def test_a_day_of_an_import_is_cut(by):
    counts = [counting.Count(3), counting.Count(5000, is_capped=True)]

    chart = figures.chart("Per day", figures.midnights(2), counts, lambda day, count: figures.number(count))

    assert chart
    assert chart.note == "higher bars are cut at 5,000"
    assert [bar.point.told for bar in chart.bars] == ["3", "5,000+"]


# The biggest profiles


def test_the_profile_with_most_identities_comes_first(by):
    big = route(*[f"loyalty-card:c{number}" for number in range(7)], by=by, first_name="Big").profile
    small = route("pos:1", "pos:2", by=by, first_name="Small").profile
    reader = member("Reader")

    page = reader.get(START)

    assert re.search(r"Big 7 Small 2 Looked for among", read(page))
    assert len(rows(reader.get(url_of(page, "7")))) == 7
    assert ("Big", f"/admin/profiles/profile/{big.pk}/change/") in links(page)
    releasing.delete(small.pk, by=by)
    assert re.search(r"Small deleted 2", read(reader.get(START)))


def test_a_big_profile_is_found_long_after_it_grew(by, monkeypatch):
    monkeypatch.setattr(counting, "NEWEST", 10)
    big = route("loyalty-card:big", by=by, first_name="Big").profile
    loyalty_card = Handle.objects.get(pk="loyalty-card")
    held = [Identity(profile=big, handle=loyalty_card, identifier=f"b{number}") for number in range(60)]
    Identity.objects.bulk_create(held)
    others = Profile.objects.bulk_create(Profile(first_name=f"Other {number}") for number in range(500))
    Identity.objects.bulk_create(
        Identity(profile=other, handle=loyalty_card, identifier=f"o{number}") for number, other in enumerate(others)
    )
    assert big not in dict(counting.biggest_profiles(5))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE identities_identity")

    assert counting.biggest_profiles(5)[0] == (big, counting.Count(61))


def test_past_a_thousand_identities_are_not_counted(by, ada):
    loyalty_card = Handle.objects.get(pk="loyalty-card")
    Identity.objects.bulk_create(
        Identity(profile=ada, handle=loyalty_card, identifier=f"{number}") for number in range(1001)
    )

    assert "Ada Lovelace 1,000+" in read(member("Reader").get(START))


# Records


def test_anonymous_transactions_are_counted_and_lead_to_their_list(by, ada):
    add(ada, "loyalty-card:1", by=by)
    came(Transaction, named=ada.pk, by=by, receipt_ref="hers")
    without = member("Reader").get(START)
    came(Transaction, by=by, receipt_ref="nobody's")

    page = member("Editor").get(START)

    assert "Anonymous transactions" not in read(without)
    assert len(rows(member("Admin").get(url_of(page, "1 Anonymous transactions")))) == 1
    assert "Anonymous" not in read(holding("identities.view_routinglogentry").get(START))


# The newest changes


def test_the_newest_changes_are_told_in_words(by, klaviyo, ada):
    klaviyo_by = By(klaviyo.service_account)
    keeper = member("Admin")
    identity = adding.add(ada.pk, Sent("klaviyo", "01HX"), by=klaviyo_by, source=klaviyo).identity
    bo = route(by=by, first_name="Bo").profile
    moving.move(identity.pk, to=bo.pk, reason="x", by=by)
    routing.update(ada.pk, fields={"first_name": "Augusta"}, contact={}, by=by, source=None)
    cataloguing.create({"name": "till", "label": "Till"}, by=by)
    cataloguing.switch_extension(klaviyo, enabled=False, by=by)
    token, _plain = issuing.issue(user=by.user, name="Mine", scopes=[], extension=None, by=by)
    issuing.revoke(token, by=by)

    page = keeper.get(START)

    text = read(page)
    assert re.search(
        "operator revoked the API token Mine just now operator issued the API token Mine just now"
        " operator disabled the extension klaviyo just now operator put the handle till into the catalogue just now"
        " operator changed the profile Augusta Lovelace just now operator moved the klaviyo identity to Bo just now"
        " operator added the profile Bo just now Klaviyo gave Augusta Lovelace an identity of klaviyo just now",
        text,
    )
    for name, url in (
        ("till", "/admin/identities/handle/till/change/"),
        ("klaviyo", "/admin/identities/extension/klaviyo/change/"),
    ):
        assert (name, url) in links(page)
    newest = Audit.objects.latest("pk")
    assert ("just now", f"/admin/profiles/audit/{newest.pk}/change/") in links(page)


def test_changes_link_only_to_what_this_person_may_see(by, ada):
    adding.add(ada.pk, Sent("loyalty-card", "1"), by=by, source=None)

    page = holding("profiles.view_audit").get(START)

    assert "operator gave Ada Lovelace an identity of loyalty-card" in read(page)
    assert not [url for _text, url in links(page) if "/profiles/profile/" in url]


def test_what_somebody_typed_is_text_on_the_page(by):
    attack = '"><script>alert(1)</script>'
    profile = route("loyalty-card:1", by=by, first_name=attack).profile
    issuing.issue(user=by.user, name=attack, scopes=[], extension=None, by=by)
    cataloguing.block({"value": attack, "kind": "exact", "handle": None}, by=by)
    Audit.objects.create(by=by.user, event=attack, auditable_type="profile", auditable_key="1", profile=profile)
    Audit.objects.create(by=by.user, event="updated", auditable_type=attack[:32], auditable_key="1")

    page = member("Admin").get(START)

    assert "<script>alert" not in page.content.decode()
    assert attack in read(page)


def test_a_purged_row_and_an_unknown_event_are_still_told(by):
    Audit.objects.create(by=by.user, event="updated", auditable_type="profile", auditable_key="1")
    Audit.objects.create(by=by.user, event="sneezed", auditable_type="identity", auditable_key="7")

    text = read(member("Reader").get(START))

    assert "operator changed the profile a profile that is gone" in text
    assert "operator sneezed: identity 7" in text


def test_changes_of_records_are_told_by_whose_they_are(by, ada):
    sale = came(Transaction, by=by)
    moving_records.move_record(Transaction, sale.pk, to=ada.pk, reason="x", by=by)
    moving_records.move_record(Transaction, sale.pk, to=None, reason="x", by=by)
    came(Point, named=ada.pk, by=by)
    recording.delete(Transaction, sale.pk, by=by)

    assert (
        "operator deleted a transaction of nobody just now operator gave points to Ada Lovelace just now"
        " operator took a record from Ada Lovelace , and left it to nobody just now"
        " operator moved a transaction to Ada Lovelace just now operator recorded a transaction of nobody just now"
    ) in read(member("Admin").get(START))


# Who sees what


BLOCKS = {
    "identities.view_routinglogentry": ["Nothing needs a person", "Conflicts", "Writes that met somebody"],
    "identities.view_handle": ["Undocumented handles"],
    "identities.view_identity": ["Identities that arrived"],
    "profiles.view_audit": ["Newest changes"],
    "identities.view_identity&profiles.view_profile": ["Profiles with most identities"],
}


@pytest.mark.parametrize("needed", BLOCKS)
def test_a_block_is_only_for_those_who_may_see_its_list(needed, by):
    route("loyalty-card:1", by=by)
    everything = {permission for one in BLOCKS for permission in one.split("&")}

    text = read(holding(*needed.split("&")).get(START))

    for sentence in BLOCKS[needed]:
        assert sentence in text
    for permission in needed.split("&"):
        without = read(holding(*sorted(everything - {permission})).get(START))
        assert not [sentence for sentence in BLOCKS[needed] if sentence in without]


def test_who_may_see_nothing_gets_the_menu_alone(by):
    route("loyalty-card:1", by=by, first_name="Ada")
    log(by)

    text = read(holding().get(START))

    assert "You don’t have permission to view or edit anything." in text
    assert not [word for word in ("Ada", "conflict", "person:", "Newest", "arrived") if word in text]


def test_a_target_that_does_not_answer_is_something_to_do_unless_it_is_muted(by):
    route("loyalty-card:1", by=by)
    now = timezone.now()
    for number, muted in enumerate((None, now)):
        url = f"https://example.com/{number}"
        Target.objects.create(
            url=url, opened_at=now, next_look_at=now, muted_at=muted, muted_by=by.user if muted else None
        )

    text = read(member("Reader").get(START))

    assert "1 target of deliveries does not answer." in text


# What it costs


def test_the_page_costs_the_same_for_little_and_for_much(by, django_assert_num_queries):
    route("pos-1:1", by=by)
    log(by)
    reader = member("Reader")

    with CaptureQueriesContext(connection) as little:
        assert reader.get(START).status_code == 200
    for number in range(50):
        route(f"pos-{number}x:1", f"loyalty-card:{number}", by=by)
    log(by, 50, "refused")

    assert ApiToken.objects.count() == 0
    assert len(little) == 18
    with django_assert_num_queries(len(little)):
        reader.get(START)


def test_a_taken_identity_reaches_the_page_through_the_write_path(by, bo, ada):
    with pytest.raises(Refused):
        adding.add(ada.pk, Sent("loyalty-card", "bo"), by=by, source=None)

    assert "1 open entry needs a person: 1 taken identity ." in read(member("Reader").get(START))
