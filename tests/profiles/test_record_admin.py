"""Lists and pages of records: found by what is on a receipt, read whole, explained, and given to whom they belong."""

from __future__ import annotations

import datetime
import re
import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from identities import releasing
from identities.models import RoutingLogEntry
from profiles.auditing import By
from profiles.models import (
    RECORDS,
    Audit,
    Interaction,
    Move,
    Point,
    PointDefinition,
    Profile,
    Reward,
    RewardDefinition,
    Transaction,
)
from tests.cast import NOON, add, came, every_kind, route
from tests.staff import filled, holding, links, member, read, rows, signed_in, user_of

SALES = "/admin/profiles/transaction/"
CARD = "loyalty-card:1804974"


@pytest.fixture
def editor(by: By) -> Client:
    return signed_in(by.user)


@pytest.fixture
def ada(by: By, ada: Profile) -> Profile:
    add(ada, CARD, by=by)
    Profile.objects.filter(pk=ada.pk).update(currency="AUD")
    return ada


def page(record: Any, name: str = "change", to: Any = None) -> str:
    url = reverse(f"admin:profiles_{record.kind}_{name}", args=[record.pk])
    return f"{url}?to={getattr(to, 'pk', to)}" if to else url


def found(client: Client, **asked: str) -> list[str]:
    """The receipts that the list of transactions shows."""
    return re.findall(r"Purchase (\S+)", " ".join(rows(client.get(SALES, asked))))


# Lists


@pytest.fixture
def sales(ada: Profile, by: By, shopify: Any) -> None:
    old = timezone.now() - datetime.timedelta(days=20)
    came(Transaction, CARD, by=by, receipt_ref="A", external_id="1", source=shopify, transacted_at=timezone.now())
    came(Transaction, CARD, by=by, receipt_ref="B", external_id="2", is_void=True, transacted_at=old)
    ancient = timezone.now() - datetime.timedelta(days=400)
    came(Transaction, by=by, receipt_ref="C", external_id="2", source=shopify, transacted_at=ancient)
    came(Transaction, by=by, receipt_ref="D", transacted_at=timezone.now() - datetime.timedelta(days=5))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["D", "C", "B", "A"]),
        ({"q": "2"}, ["C", "B"]),
        ({"q": " B "}, ["B"]),
        ({"q": "b"}, []),
        ({"owner": "nobody"}, ["D", "C"]),
        ({"owner": "somebody"}, ["B", "A"]),
        ({"source": "shopify"}, ["C", "A"]),
        ({"source": "staff"}, ["D", "B"]),
        ({"void": "yes"}, ["B"]),
        ({"void": "no", "owner": "somebody"}, ["A"]),
        ({"period": "today"}, ["A"]),
        ({"period": "week"}, ["A", "D"]),
        ({"period": "month"}, ["A", "D", "B"]),
        ({"q": "2", "owner": "nobody"}, ["C"]),
    ],
)
def test_transactions_are_found_by_number_and_filter(editor, sales, asked, expected):
    assert found(editor, **asked) == expected


def test_a_row_says_when_what_whose_how_much_whence_and_what_brought_it(editor, ada, by, shopify):
    came(Transaction, CARD, by=by, receipt_ref="R1", location_id="QVB", source=shopify)
    came(Transaction, by=by, receipt_ref="R2", is_void=True)

    anonymous, hers = rows(editor.get(SALES))

    assert hers == "Nov. 25, 2026 noon Purchase R1 Ada Lovelace AUD\xa019.99 Shopify QVB loyalty-card 1804974".replace(
        "\xa0", " "
    )
    assert anonymous == "Nov. 25, 2026 noon Purchase R2 void anonymous 19.99 staff nothing that names anybody"


@every_kind
def test_every_kind_has_a_list_of_its_own_and_shows_no_sensitive_identifier(editor, ada, by, kind):
    add(ada, "apns:740f4707bebcf74f9b7c25d4", by=by)
    record = came(kind, "apns:740f4707bebcf74f9b7c25d4", by=by)

    for url in (reverse(f"admin:profiles_{kind.kind}_changelist"), page(record)):
        content = editor.get(url).content.decode()
        assert "•••25d4" in content
        assert "740f4707" not in content


@pytest.mark.parametrize("sent", ["APNS", " apns", ""])
def test_what_was_sent_under_a_sensitive_handle_is_masked_however_it_was_named(editor, ada, by, sent):
    add(ada, "apns:740f4707bebcf74f9b7c25d4", by=by)
    named = {"bare": "740f4707bebcf74f9b7c25d4"} if not sent else {}
    pairs = [f"{sent}:740f4707bebcf74f9b7c25d4"] if sent else []
    sale = came(Transaction, *pairs, by=by, **named)

    content = editor.get(page(sale)).content.decode()

    assert "•••25d4" in content
    assert "740f4707" not in content


def test_records_stand_in_the_menu(editor, ada, by):
    leads = [text for text, _url in links(editor.get("/admin/"))]

    section = leads.index("What came in")
    assert [word for word in leads[section : leads.index("Review")] if word != "View"] == [
        "What came in", "Transactions", "Interactions", "Points", "Rewards",
    ]  # fmt: skip
    assert {"Point definitions", "Reward definitions"} <= set(leads)


# The page of one


def test_a_transaction_is_read_whole(editor, ada, by, shopify):
    sale = came(
        Transaction,
        CARD,
        by=by,
        source=shopify,
        receipt_ref="R1",
        external_id="till-7",
        timezone="Australia/Melbourne",
        total_original=Decimal("24.50"),
        items=["Shirt <b>", "Belt"],
        payments=[{"type": "card", "amount": 19.99}, "cash"],
        tags=["vip"],
        meta={"register": 2},
        staff_id=4711,
    )

    text = read(editor.get(page(sale)))

    for words in (
        "Purchase R1 , AUD\xa019.99: Nov. 25, 2026, noon (11 p.m. in Australia/Melbourne), sent by Shopify.",
        "It belongs to Ada Lovelace .",
        "It named loyalty-card: 1804974, which this profile was known by.",
        "Shirt <b> 1 9.95 12.00",
        "Payments type: card, amount: 19.99 cash",
        "External id: till-7",
        "Original total: 24.50",
        "Member of staff: 4711",
        'Meta: { "register": 2 }',
        "Identities: loyalty-card 1804974",
        "Nobody has moved it.",
    ):
        assert " ".join(words.split()) in text, words
    assert "Systems:" not in text


def test_the_page_leads_to_the_identity_the_profile_and_the_log_entry(editor, ada, by):
    bo = route("loyalty-card:2", by=by, first_name="Bo").profile
    sale = came(Transaction, CARD, "loyalty-card:2", by=by)

    leads = [url for _text, url in links(editor.get(page(sale)))]
    text = read(editor.get(page(sale)))

    entry = RoutingLogEntry.objects.get(outcome="conflict")
    assert reverse("admin:identities_routinglogentry_change", args=[entry.pk]) in leads
    assert reverse("admin:identities_identity_change", args=[sale.brought_by_id]) in leads
    assert reverse("admin:profiles_profile_change", args=[ada.pk]) in leads
    assert "What it named belongs to several profiles" in text
    assert bo.full_name not in text


def test_whoever_may_see_transactions_alone_is_led_nowhere_else(ada, by):
    came(Transaction, "loyalty-card:2", by=by)
    sale = came(Transaction, CARD, "loyalty-card:2", by=by)

    content = holding("profiles.view_transaction").get(page(sale)).content.decode()

    assert "Ada Lovelace" in content
    for place in ("/profiles/profile/", "/identities/", "/move/"):
        assert place not in content


@every_kind
def test_a_record_is_read_and_not_written(editor, ada, by, kind):
    record = came(kind, CARD, by=by)

    response = editor.get(page(record))

    assert "Save" not in read(response)
    assert editor.post(page(record), {"total": "1"}).status_code == 403
    assert editor.get(page(record, "delete")).status_code == 403
    assert "How it came here" in read(response)


def test_what_is_left_of_points_and_rewards_is_told(editor, ada, by):
    point = came(Point, CARD, by=by, value_remaining=Decimal("2.5"), expires_at=NOON - datetime.timedelta(days=9))
    reward = came(Reward, by=by, value_remaining=Decimal(0))

    assert "2.5 left, expired on Nov. 16, 2026" in read(editor.get(page(point)))
    assert "all used" in read(editor.get(page(reward)))
    assert "It belongs to nobody yet." in read(editor.get(page(reward)))


def test_an_interaction_shows_its_words_as_text(editor, ada, by):
    visit = came(Interaction, CARD, by=by, name="<script>", url="javascript:alert(1)", description="<b>")

    content = editor.get(page(visit)).content.decode()

    assert "<script>alert" not in content
    assert 'href="javascript' not in content
    assert "&lt;b&gt;" in content


def test_definitions_are_listed_and_read(editor, db):
    reward = RewardDefinition.objects.create(
        name="Birthday", handle="birthday", value=Decimal(10), period=3, period_type="months"
    )

    assert "Birthday birthday 10.00 3 months" in rows(editor.get("/admin/profiles/rewarddefinition/"))[0]
    assert "3 months" in read(editor.get(reverse("admin:profiles_rewarddefinition_change", args=[reward.pk])))
    first = PointDefinition.objects.get()
    assert first.name in read(editor.get(reverse("admin:profiles_pointdefinition_change", args=[first.pk])))


@every_kind
def test_a_page_costs_the_same_however_much_the_record_has(editor, ada, by, kind, django_assert_max_num_queries):
    more = {"items": ["Shirt"] * 60} if kind is Transaction else {}
    record = came(kind, CARD, by=by, **more)

    # The session, the user and permissions twice; the record, its source or definition; why it is here, its moves,
    # whether its handle is sensitive (for the words and the link), its pairs, and its items.
    with django_assert_max_num_queries(16):
        editor.get(page(record))


# Moving


@every_kind
def test_a_record_is_moved_by_search_preview_and_reason(editor, ada, ada_again, by, kind):
    record = came(kind, CARD, by=by)
    assert page(record, "move", ada_again) in editor.get(page(record, "move"), {"q": "king"}).content.decode()
    asked = read(editor.get(page(record, "move", ada_again)))
    assert "From: Ada Lovelace" in asked
    assert "To: Augusta Ada King" in asked
    assert "Only this record moves." in asked

    told = editor.post(page(record, "move", ada_again), {"reason": "Hers, by the receipt."}, follow=True)

    record.refresh_from_db()
    assert record.profile == ada_again
    assert "to Augusta Ada King. Take it back" in read(told)
    move = Move.objects.get()
    assert (move.subject_type, move.from_profile, move.to_profile) == (kind.kind, ada, ada_again)
    assert (move.by, move.reason) == (user_of(editor), "Hers, by the receipt.")
    assert Audit.objects.get(event="moved").by == user_of(editor)
    assert "came from Ada Lovelace" in read(told)


def test_the_message_offers_the_way_back(editor, ada, ada_again, by):
    sale = came(Transaction, CARD, by=by)
    told = editor.post(page(sale, "move", ada_again), {"reason": "A mistake."}, follow=True)
    back = dict(links(told))["Take it back"]

    assert "This takes back its last move." in read(editor.get(back))
    done = editor.post(back, {"reason": "Taken back."}, follow=True)

    sale.refresh_from_db()
    assert sale.profile == ada
    assert "Ada Lovelace has it again." in read(done)
    assert all(move.undone_at for move in Move.objects.all())


def test_a_record_of_nobody_is_given_to_a_profile_and_taken_back(editor, ada, by):
    sale = came(Transaction, by=by, receipt_ref="R1")
    assert "Now it belongs to nobody." in read(editor.get(page(sale, "move")))
    assert "leave it to nobody" not in read(editor.get(page(sale, "move")))
    assert "From: nobody" in read(editor.get(page(sale, "move", ada)))

    told = editor.post(page(sale, "move", ada), {"reason": "She has the receipt."}, follow=True)
    sale.refresh_from_db()
    assert sale.profile == ada
    back = dict(links(told))["Take it back"]
    assert back == page(sale, "move", "nobody")
    done = editor.post(back, {"reason": "Not hers."}, follow=True)

    sale.refresh_from_db()
    assert sale.profile is None
    assert "it belongs to nobody again" in read(done)
    assert all(move.undone_at for move in Move.objects.all())


def test_a_record_can_be_left_to_nobody(editor, ada, by):
    sale = came(Transaction, CARD, by=by)
    assert page(sale, "move", "nobody") in [url for _text, url in links(editor.get(page(sale, "move")))]

    editor.post(page(sale, "move", "nobody"), {"reason": "Not hers."})

    sale.refresh_from_db()
    assert sale.profile is None


@pytest.mark.parametrize("why", ["deleted", "same", "nobody"])
def test_a_move_that_cannot_be_says_why_and_writes_nothing(editor, ada, ada_again, by, why):
    sale = came(Transaction, *([CARD] if why != "nobody" else []), by=by)
    to: Any = {"deleted": ada_again, "same": ada, "nobody": "nobody"}[why]
    if why == "deleted":
        releasing.delete(ada_again.pk, by=by)
    sentence = {
        "deleted": "undelete it before you move anything to it",
        "same": "This profile has it already.",
        "nobody": "It belongs to nobody already.",
    }[why]

    for response in (editor.get(page(sale, "move", to)), editor.post(page(sale, "move", to), {"reason": "x"})):
        assert sentence in read(response)
        assert "Yes, move it" not in read(response)
    assert not Move.objects.exists()


@pytest.mark.parametrize("to", ["nonsense", uuid.UUID(int=0), "\0"])
def test_a_move_to_nowhere_asks_for_a_profile_again(editor, ada, by, to):
    sale = came(Transaction, CARD, by=by)

    response = editor.post(page(sale, "move", to), {"reason": "x"})

    assert "There is no profile with this id." in read(response)
    assert not Move.objects.exists()


def test_an_identity_cannot_be_left_to_nobody(editor, ada):
    card = ada.identities.get(handle="loyalty-card")
    url = reverse("admin:identities_identity_move", args=[card.pk])

    response = editor.post(f"{url}?to=nobody", {"reason": "x"})

    assert "There is no profile with this id." in read(response)
    assert not Move.objects.exists()


def test_a_record_leaves_a_deleted_profile(editor, ada, ada_again, by):
    sale = came(Transaction, CARD, by=by)
    releasing.delete(ada.pk, by=by)
    assert "Its profile is deleted" in read(editor.get(page(sale)))

    editor.post(page(sale, "move", ada_again), {"reason": "The living one."})

    sale.refresh_from_db()
    assert sale.profile == ada_again


@every_kind
def test_only_who_may_change_a_kind_moves_it(ada, ada_again, by, kind):
    record = came(kind, CARD, by=by)
    others = [f"profiles.change_{other}" for other in RECORDS if other != kind.kind]

    for client in (member("Reader"), holding(f"profiles.view_{kind.kind}", *others)):
        assert page(record, "move") not in client.get(page(record)).content.decode()
        assert client.post(page(record, "move", ada_again), {"reason": "x"}).status_code == 403
    editing = member("Editor")
    assert page(record, "move") in editing.get(page(record)).content.decode()
    assert filled(editing, page(record, "move", ada_again))["reason"] == ""
