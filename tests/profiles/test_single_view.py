"""A profile's page as the single view: balances, all that happened in one list, what was spent, custom attributes."""

from __future__ import annotations

import datetime
import html
import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from identities import moving_records, releasing
from identities.models import Extension
from profiles.admin.timeline import PAGE
from profiles.auditing import By
from profiles.models import CustomAttribute, Interaction, Point, Profile, Reward, RewardDefinition, Transaction
from tests.cast import NOON, add, came
from tests.staff import holding, links, member, read, signed_in

DAY = datetime.timedelta(days=1)


@pytest.fixture
def editor(by: By) -> Client:
    return signed_in(by.user)


@pytest.fixture
def ada(by: By, ada: Profile) -> Profile:
    add(ada, "loyalty-card:1804974", by=by)
    Profile.objects.filter(pk=ada.pk).update(currency="AUD")
    return ada


def page(profile: Profile) -> str:
    return reverse("admin:profiles_profile_change", args=[profile.pk])


def part(response: Any, name: str) -> str:
    """One part of the page as a person reads it."""
    content = response.content.decode()
    text = content[content.index(f'aria-labelledby="{name}-heading"') :].split("</section>")[0]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text.split(">", 1)[1])).split())


def lines(response: Any) -> list[str]:
    """What happened, line by line, as a person reads it."""
    content = response.content.decode()
    table = content[content.index('id="happened"') :].split("</section>")[0].split("<tbody>")
    rows = re.findall(r"<tr>(.*?)</tr>", table[1], re.DOTALL) if len(table) > 1 else []
    return [" ".join(html.unescape(re.sub(r"<[^>]*>", " ", row)).split()) for row in rows]


def happened(client: Client, profile: Profile, **asked: str) -> list[str]:
    return lines(client.get(page(profile), asked))


def buy(by: By, number: int, *pairs: str, **fields: Any) -> Transaction:
    """One purchase a day, counted back from a noon."""
    asked = {"receipt_ref": f"R{number}", "transacted_at": NOON - number * DAY, "timezone": "UTC", **fields}
    return came(Transaction, *(pairs or ["loyalty-card:1804974"]), by=by, **asked)


# One list


def test_records_of_every_kind_stand_in_one_list_newest_first(editor, ada, by, shopify):
    card = "loyalty-card:1804974"
    voucher = RewardDefinition.objects.create(name="Birthday voucher", handle="birthday")
    sold = {"location_id": "QVB", "items": ["Shirt", "Belt", "Socks", "Tie"]}
    buy(by, 3, total=Decimal("1234.5"), source=shopify, **sold)
    came(Interaction, card, by=by, interacted_at=NOON - DAY, name="Opened the news")
    came(Point, card, by=by, issued_at=NOON - 2 * DAY, value_remaining=Decimal("7.5"))
    came(Reward, card, by=by, issued_at=NOON, definition_id=voucher.pk, value_remaining=Decimal(0))

    assert happened(editor, ada) == [
        "Nov. 25, 2026, noon Reward: Birthday voucher all used AUD\xa05.00 staff loyalty-card 1804974".replace(
            "\xa0", " "
        ),
        "Nov. 24, 2026, noon Opened the news visit, location, positive shop staff loyalty-card 1804974",
        "Nov. 23, 2026, noon Points 7.5 left 10 points staff loyalty-card 1804974",
        "Nov. 22, 2026, noon Purchase R3 Shirt, Belt, Socks and more AUD 1,234.50 QVB Shopify loyalty-card 1804974",
    ]


def test_each_line_leads_to_its_record_and_to_the_identity_that_brought_it(editor, ada, by):
    sale = buy(by, 1)

    leads = links(editor.get(page(ada)))

    assert ("Purchase R1", reverse("admin:profiles_transaction_change", args=[sale.pk])) in leads
    card = ada.identities.get(handle="loyalty-card")
    assert ("loyalty-card 1804974", reverse("admin:identities_identity_change", args=[card.pk])) in leads


def test_a_line_says_what_decided_where_it_was_no_identity(editor, ada, by):
    came(Transaction, by=by, named=ada.pk)

    assert "the profile id that was named" in happened(editor, ada)[0]


def test_an_identity_of_a_sensitive_handle_is_masked(editor, ada, by):
    add(ada, "apns:740f4707bebcf74f9b7c25d4", by=by)
    buy(by, 1, "apns:740f4707bebcf74f9b7c25d4")

    response = editor.get(page(ada))

    assert "apns •••25d4" in lines(response)[0]
    assert "740f4707" not in response.content.decode()


def test_the_senders_time_is_told_where_it_is_another(editor, ada, by):
    buy(by, 0, timezone="Australia/Melbourne")
    buy(by, 1, timezone="Europe/London")
    buy(by, 2, timezone="No/Such")
    editor.cookies["zone"] = "Europe/London"

    told = happened(editor, ada)

    assert told[0].startswith("Nov. 25, 2026, noon 11 p.m. in Australia/Melbourne")
    assert [" in " in line for line in told] == [True, False, False]


def test_the_reader_sees_their_own_time(editor, ada, by):
    buy(by, 0, timezone="UTC")
    editor.cookies["zone"] = "Pacific/Kiritimati"

    assert happened(editor, ada)[0].startswith("Nov. 26, 2026, 2 a.m. Nov. 25, 2026, noon in UTC")


def test_void_and_returned_ones_are_marked(editor, ada, by):
    buy(by, 1, is_void=True)
    buy(by, 2, total=Decimal("-59.9"))

    void, returned = happened(editor, ada)

    assert "Purchase R1 void" in void
    assert "Return R2" in returned
    assert "AUD -59.90" in returned


# Filters


@pytest.fixture
def varied(ada: Profile, by: By, shopify: Extension) -> Profile:
    buy(by, 1, source=shopify)
    buy(by, 2, is_void=True)
    buy(by, 400)
    came(Interaction, "loyalty-card:1804974", by=by, source=shopify, interacted_at=NOON - 3 * DAY)
    came(Point, "loyalty-card:1804974", by=by, issued_at=NOON - 4 * DAY)
    return ada


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["R1", "R2", "Visit", "Points", "R400"]),
        ({"kind": "transaction"}, ["R1", "R2", "R400"]),
        ({"kind": "point"}, ["Points"]),
        ({"kind": "reward"}, []),
        ({"source": "shopify"}, ["R1", "Visit"]),
        ({"source": "staff"}, ["R2", "Points", "R400"]),
        ({"void": "only"}, ["R2"]),
        ({"void": "no"}, ["R1", "Visit", "Points", "R400"]),
        ({"since": "2026-11-23", "until": "2026-11-24"}, ["R1", "R2"]),
        ({"until": "2026-01-01"}, ["R400"]),
        ({"kind": "transaction", "source": "staff", "void": "no"}, ["R400"]),
        ({"void": "only", "kind": "point"}, []),
    ],
)
def test_the_list_is_filtered(editor, varied, asked, found):
    told = happened(editor, varied, **asked)

    assert [word for line, word in zip(told, found, strict=True) if word in line] == found


@pytest.mark.parametrize("asked", [{"kind": "x"}, {"source": "\0"}, {"since": "0001-01-01"}, {"until": "tomorrow"}])
def test_what_cannot_be_asked_is_told_and_narrows_nothing(editor, varied, asked):
    response = editor.get(page(varied), asked)

    assert len(lines(response)) == 5
    assert "errorlist" in response.content.decode()


def test_nothing_found_says_so_and_leads_to_everything(editor, varied):
    response = editor.get(page(varied), {"kind": "reward"})

    assert "Nothing is like this." in part(response, "happened")
    assert ("Show everything", "?#happened") in links(response)
    assert "Nothing has come in" not in read(response)


# Pages


def test_pages_go_on_where_the_one_before_ended(editor, ada, by):
    """Also where many things happened at one moment."""
    for number in range(PAGE + 3):
        buy(by, 0, receipt_ref=f"R{number}")
        came(Interaction, "loyalty-card:1804974", by=by, interacted_at=NOON, name=f"I{number}")
    for number in range(3):
        buy(by, number + 1, receipt_ref=f"old {number}")
    expected = 2 * (PAGE + 3) + 3

    seen: list[str] = []
    url = page(ada)
    while url:
        response = editor.get(url)
        seen += lines(response)
        older = [href for text, href in links(response) if text == "Older"]
        assert len(lines(response)) == PAGE or not older
        url = page(ada) + older[0].split("#")[0] if older else ""

    assert len(seen) == len(set(seen)) == expected
    assert [line.split(" Nov")[0] for line in seen[-3:]] == seen[-3:]
    assert all(f"old {number}" in line for number, line in enumerate(seen[-3:]))
    assert any(text == "Back to the newest" for text, _url in links(response))


def test_a_page_keeps_the_filters(editor, varied, by):
    for number in range(PAGE + 1):
        buy(by, 10 + number)

    response = editor.get(page(varied), {"kind": "transaction", "source": "staff"})

    (older,) = (url for text, url in links(response) if text == "Older")
    assert older.startswith("?kind=transaction&source=staff&before=")
    assert len(lines(editor.get(page(varied) + older.split("#")[0]))) == 3


@pytest.mark.parametrize(
    "before", ["x", "\0", "2026-01-01~transaction~1", "2026-01-01T00:00:00+00:00~card~1", "2026-01-01T00:00:00+00:00~point~x",
               "0001-01-01T00:00:00+00:00~point~1", "2026-01-01T00:00:00+00:00~point~99999999999999999999"],
)  # fmt: skip
def test_a_place_that_is_none_shows_the_newest(editor, varied, before):
    assert len(happened(editor, varied, before=before)) == 5


def test_the_page_costs_the_same_for_one_record_of_each_kind_and_for_fifty(editor, ada, by, django_assert_num_queries):
    card = "loyalty-card:1804974"
    for number in (1, 49):
        for one in range(number):
            buy(by, 1, receipt_ref=f"{number}-{one}", items=["Shirt"])
            came(Interaction, card, by=by, interacted_at=NOON)
            came(Point, card, by=by)
            came(Reward, card, by=by)
        # What a page without records costs; then the records of the kind that is on it, which of their handles are
        # sensitive, and of transactions their first items.
        for kind, cost in (("transaction", 3), ("interaction", 2), ("point", 2), ("reward", 2)):
            with django_assert_num_queries(19 + cost):
                editor.get(page(ada), {"kind": kind})


# Balances


def balances(response: Any) -> list[str]:
    content = response.content.decode()
    found = content[content.index('aria-label="Balances"') :].split("</ul>")[0]
    items = re.findall(r"<li>(.*?)</li>", found, re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]*>", " ", item)).split()) for item in items]


def test_balances_count_what_remains_and_has_not_expired(editor, ada, by, settings):
    settings.POINT_VALUE = Decimal("0.005")
    now = timezone.now()
    for remaining, days in (("100.000001", 10), ("50", None), ("7", 40), ("1000", -1)):
        expires_at = now + days * DAY if days is not None else None
        came(Point, "loyalty-card:1804974", by=by, value_remaining=Decimal(remaining), expires_at=expires_at)
    came(Reward, "loyalty-card:1804974", by=by, value_remaining=Decimal("2.5"), expires_at=now + 3 * DAY)
    came(Reward, "loyalty-card:1804974", by=by, value_remaining=Decimal(4), expires_at=now - 3 * DAY)

    rewards, points, money, lost = balances(editor.get(page(ada)))

    assert rewards == "AUD 2.50 Rewards"
    assert points == "157.000001 Points"
    assert money == "AUD 0.785000005 Points in money AUD 0.005 for each point"
    assert lost.startswith("AUD 2.50 Lost within 30 days and 100.000001 points, unless spent by")


def test_money_is_exact_where_a_float_would_not_be(editor, ada, by):
    for value in ("0.1", "0.2", "9999999999999.01"):
        came(Reward, "loyalty-card:1804974", by=by, value_remaining=Decimal(value))

    assert balances(editor.get(page(ada)))[0] == "AUD 9,999,999,999,999.31 Rewards"


def test_without_anything_the_balances_are_nought(editor, db):
    assert balances(editor.get(page(Profile.objects.create())))[:2] == ["0.00 Rewards", "0 Points"]


def test_a_balance_that_is_not_added_up_whole_says_so(editor, ada, by, monkeypatch):
    monkeypatch.setattr("profiles.admin.balances.MOST_ADDED", 2)
    for _one in range(3):
        came(Point, "loyalty-card:1804974", by=by)

    assert "only 2 rows were added up" in balances(editor.get(page(ada)))[1]


# Spending


def months(response: Any) -> dict[str, tuple[str, str]]:
    """How many and how much, by month, of those in which there was anything."""
    content = response.content.decode()
    table = content[content.index('id="spending-heading"') :].split("</table>")[0]
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', table)
    cells = {month: re.findall(r"<td[^>]*>(.*?)</td>", rest) for month, rest in rows}
    plain = {month: [re.sub(r"<[^>]*>", "", cell) for cell in found] for month, found in cells.items()}
    assert len(plain) == 24
    return {month: (found[0], found[1].replace("\xa0", " ")) for month, found in plain.items() if found[0] != "0"}


@pytest.fixture
def today() -> datetime.datetime:
    return timezone.now().replace(day=15, hour=12)


def name(day: datetime.datetime) -> str:
    return f"{day:%B %Y}"


def test_what_was_spent_is_told_by_month_without_void_ones(editor, ada, by, today):
    last = today.replace(day=1) - DAY
    buy(by, 1, transacted_at=today.replace(day=1), total=Decimal("10.1"))
    buy(by, 2, transacted_at=today.replace(day=1), total=Decimal("0.2"))
    buy(by, 3, transacted_at=today.replace(day=1), total=Decimal(500), is_void=True)
    buy(by, 4, transacted_at=last, total=Decimal("-3.5"))
    buy(by, 5, transacted_at=today - 800 * DAY)

    response = editor.get(page(ada))

    assert months(response) == {name(today): ("2", "AUD 10.30"), name(last): ("1", "AUD -3.50")}
    told = response.content.decode().replace("\xa0", " ")
    assert f"<title>{name(today)}: AUD 10.30 in 2 transactions</title>" in told
    assert 'class="nought"' in told


def test_a_month_leads_to_exactly_its_sales(editor, ada, by, today):
    last = today.replace(day=1) - DAY
    for day in (today.replace(day=1), last):
        buy(by, 1, transacted_at=day, receipt_ref=name(day))
        buy(by, 2, transacted_at=day, receipt_ref="void", is_void=True)

    response = editor.get(page(ada))
    (url,) = re.findall(rf'href="([^"]*)" aria-label="Show the 1 of {name(last)}"', response.content.decode())
    told = lines(editor.get(page(ada) + html.unescape(url).split("#")[0]))

    assert [name(last) in line for line in told] == [True]


def test_a_month_begins_where_the_reader_is(editor, ada, by):
    turn = timezone.now().replace(day=1, hour=0, minute=30, second=0)
    buy(by, 1, transacted_at=turn)

    here = months(editor.get(page(ada)))
    editor.cookies["zone"] = "America/New_York"
    there = months(editor.get(page(ada)))

    assert list(here) == [name(turn)]
    assert list(there) == [name(turn - DAY)]


def test_sales_that_are_not_all_added_up_are_told_of(editor, ada, by, today, monkeypatch):
    monkeypatch.setattr("profiles.admin.balances.MOST_ADDED", 2)
    for number in range(3):
        buy(by, number, transacted_at=today - number * DAY)

    assert "only the newest hundred thousand" in part(editor.get(page(ada)), "spending")


def test_without_sales_it_says_so(editor, ada):
    assert "Nothing was bought in the last 24 months." in part(editor.get(page(ada)), "spending")


# Custom attributes


def test_custom_attributes_stand_by_namespace_each_by_its_type(editor, ada, shopify):
    for namespace, handle, kind, value, text in (
        ("shoes", "size", "decimal", 42.1, "42.1"),
        ("club", "member", "boolean", True, "true"),
        ("club", "since", "date", "2019-04-01", "2019-04-01"),
        ("club", "visit", "datetime", "2026-11-01 10:00:00", "2026-11-01 10:00:00"),
        ("club", "odd", "datetime", "once", "once"),
        ("prefs", "raw", "json", {"<b>": [1, None]}, ""),
        ("prefs", "word", "string", "<i>", "<i>"),
    ):
        CustomAttribute.objects.create(
            profile=ada, namespace=namespace, handle=handle, type=kind, value=value, text=text, source=shopify
        )
    editor.cookies["zone"] = "Australia/Melbourne"

    response = editor.get(page(ada))

    told = part(response, "attributes")
    for words in (
        "club member yes yes or no Shopify",
        "odd once time",
        "since April 1, 2019 date",
        "visit Nov. 1, 2026, 9 p.m. time",
        'prefs raw {"<b>": [1, null]} JSON',
        "word <i> text",
        "shoes size 42.1 number",
    ):
        assert words in told, told
    assert "<i>" not in response.content.decode()


def test_without_custom_attributes_it_says_so(editor, ada):
    assert "No system keeps a value of its own here." in part(editor.get(page(ada)), "attributes")


# Who sees what


def test_an_empty_profile_says_that_nothing_came_in(editor, ada):
    assert "Nothing has come in for this profile yet" in part(editor.get(page(ada)), "happened")


def test_records_are_shown_only_to_those_who_may_see_them(ada, by):
    buy(by, 1)
    came(Interaction, "loyalty-card:1804974", by=by)

    nothing = read(holding("profiles.view_profile").get(page(ada)))
    sales = holding("profiles.view_profile", "profiles.view_transaction").get(page(ada))

    for word in ("What happened", "Spent per month", "Custom attributes", "Points", "R1"):
        assert word not in nothing
    assert len(lines(sales)) == 1
    assert "Points" not in read(sales)
    assert "/admin/identities/identity/" not in part(sales, "happened")


def test_the_status_stands_in_the_header(editor, ada):
    assert re.search(r'badge ok">active<', editor.get(page(ada)).content.decode())


def test_records_of_a_deleted_profile_stay_readable(editor, ada, by):
    buy(by, 1)
    releasing.delete(ada.pk, by=by)

    response = editor.get(page(ada))

    assert "Purchase R1" in lines(response)[0]
    assert 'badge danger">deleted<' in response.content.decode()


# Moves


def test_a_record_that_moved_is_told_on_both_sides_with_its_way_back(editor, ada, ada_again, by):
    sale = buy(by, 1)
    moving_records.move_record(Transaction, sale.pk, to=ada_again.pk, reason="Hers.", by=by)
    back = f"{reverse('admin:profiles_transaction_move', args=[sale.pk])}?to={ada.pk}"

    for profile, words in ((ada, "went to Augusta Ada King"), (ada_again, "came from Ada Lovelace")):
        response = editor.get(page(profile))
        assert f"Transaction #{sale.pk} {words}" in part(response, "moves")
        assert back in response.content.decode()
    assert back not in member("Reader").get(page(ada)).content.decode()


def test_a_record_that_came_from_nobody_says_so(editor, ada, by):
    sale = came(Transaction, by=by)
    moving_records.move_record(Transaction, sale.pk, to=ada.pk, reason="She has the receipt.", by=by)

    response = editor.get(page(ada))

    assert f"Transaction #{sale.pk} came from nobody" in part(response, "moves")
    assert f"{reverse('admin:profiles_transaction_move', args=[sale.pk])}?to=nobody" in response.content.decode()


def test_a_move_of_a_record_that_is_gone_leads_nowhere(editor, ada, by):
    sale = came(Transaction, by=by)
    moving_records.move_record(Transaction, sale.pk, to=ada.pk, reason="", by=by)
    Transaction.objects.all().delete()

    response = editor.get(page(ada))

    assert f"Transaction #{sale.pk} came from nobody" in part(response, "moves")
    assert f"/transaction/{sale.pk}/" not in response.content.decode()
