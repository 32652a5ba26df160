"""What came by an entry of the routing log, and sending it to another of the profiles that the entry names."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from identities import moving_records, releasing
from identities.models import Handle, RoutingLogEntry
from profiles.auditing import By
from profiles.models import RECORDS, Audit, Interaction, Move, Profile, Transaction
from profiles.models.record import of_kind
from tests.cast import add, came, every_kind, pairs_of, route
from tests.staff import holding, links, member, read, signed_in, user_of


def page(entry: RoutingLogEntry, name: str = "change", to: Any = None) -> str:
    url = reverse(f"admin:identities_routinglogentry_{name}", args=[entry.pk])
    return f"{url}?to={getattr(to, 'pk', to)}" if to else url


@pytest.fixture
def editor(by: By) -> Client:
    return signed_in(by.user)


@pytest.fixture
def ada(by: By, ada: Profile) -> Profile:
    add(ada, "loyalty-card:1", by=by)
    return ada


@pytest.fixture
def cleo(by: By) -> Profile:
    return route("loyalty-card:2", by=by, first_name="Cleo").profile


@pytest.fixture
def sale(ada: Profile, cleo: Profile, by: By) -> Transaction:
    """Sent with the cards of both, and a till id of nobody; it went to Ada, whose card is the older."""
    return came(Transaction, "loyalty-card:1", "loyalty-card:2", "pos-customer:55", by=by, receipt_ref="R1")


@pytest.fixture
def conflict(sale: Transaction) -> RoutingLogEntry:
    return RoutingLogEntry.objects.get(outcome="conflict")


def offered(client: Client, entry: RoutingLogEntry) -> list[str]:
    return [url for text, url in links(client.get(page(entry))) if text.startswith("Send it to")]


@every_kind
def test_the_entry_shows_what_came_by_it_and_offers_the_other_candidate(editor, ada, cleo, by, kind):
    record = came(kind, "loyalty-card:1", "loyalty-card:2", "pos-customer:55", by=by)
    entry = RoutingLogEntry.objects.get()

    response = editor.get(page(entry))

    assert reverse(f"admin:profiles_{kind.kind}_change", args=[record.pk]) in response.content.decode()
    assert "Identity Till customer 55" in read(response)
    assert "What came by it" in read(response)
    assert offered(editor, entry) == [page(entry, "send", cleo)]


def test_sending_asks_first_and_lists_what_goes_along(editor, conflict, ada, cleo, by):
    came(Interaction, "pos-customer:55", by=by, name="A later visit")

    asked = read(editor.get(page(conflict, "send", cleo)))

    for words in (
        "Send it to Cleo?",
        "What is listed goes along: 2 records and 1 identity.",
        "Identity Till customer 55, now of Ada Lovelace",
        "Purchase R1, 19.99, now of Ada Lovelace",
        "A later visit, now of Ada Lovelace",
        "The entry is then reviewed",
    ):
        assert words in asked, words
    assert not Move.objects.exists()
    assert "pos-customer:55" in pairs_of(ada)


def test_what_is_sent_arrives_is_audited_and_can_be_sent_back(editor, conflict, sale, ada, cleo):
    told = editor.post(page(conflict, "send", cleo), {"reason": "Her receipt."}, follow=True)

    sale.refresh_from_db()
    conflict.refresh_from_db()
    assert sale.profile == cleo
    assert "pos-customer:55" in pairs_of(cleo)
    assert (conflict.review_status, conflict.review_note) == ("reviewed", "Her receipt.")
    assert conflict.reviewed_by == user_of(editor)
    assert set(Move.objects.values_list("cause", "by")) == {("decided", user_of(editor).pk)}
    assert Audit.objects.filter(event="moved", by=user_of(editor)).count() == 2
    assert "Sent to Cleo: 1 record and 1 identity. Send it back" in read(told)

    back = dict(links(told))["Send it back"]
    assert back == page(conflict, "send", ada)
    editor.post(back, {"reason": "It was Ada's."})

    sale.refresh_from_db()
    assert sale.profile == ada
    assert "pos-customer:55" in pairs_of(ada)
    assert all(move.undone_at for move in Move.objects.all())


def test_what_somebody_moved_by_hand_stays(editor, conflict, sale, ada, cleo, ada_again, by):
    moving_records.move_record(Transaction, sale.pk, to=ada_again.pk, reason="By hand.", by=by)

    asked = read(editor.get(page(conflict, "send", cleo)))
    editor.post(page(conflict, "send", cleo), {"reason": "x"})

    assert "0 records" not in asked
    assert "What is listed goes along: 1 identity." in asked
    sale.refresh_from_db()
    assert sale.profile == ada_again


def test_a_rerouted_record_is_sent_to_the_profile_that_was_named(editor, ada, cleo, by):
    sale = came(Transaction, "loyalty-card:1", named=cleo.pk, by=by)
    entry = RoutingLogEntry.objects.get(outcome="rerouted")
    assert offered(editor, entry) == [page(entry, "send", cleo)]

    editor.post(page(entry, "send", cleo), {"reason": "The shop knows her."})

    sale.refresh_from_db()
    assert sale.profile == cleo


@pytest.mark.parametrize("to", ["", "x", "\0", "00000000-0000-0000-0000-000000000000", "another"])
def test_it_goes_to_nobody_that_the_entry_does_not_name(editor, conflict, ada_again, to):
    url = page(conflict, "send", ada_again if to == "another" else to)

    for response in (editor.get(url, follow=True), editor.post(url, {"reason": "x"}, follow=True)):
        assert "choose one that it names" in read(response)
    assert not Move.objects.exists()


def test_a_deleted_candidate_is_not_offered_and_says_why(editor, conflict, cleo, by):
    releasing.delete(cleo.pk, by=by)

    assert offered(editor, conflict) == []
    for response in (
        editor.get(page(conflict, "send", cleo)),
        editor.post(page(conflict, "send", cleo), {"reason": "x"}),
    ):
        assert "undelete it before you move anything to it" in read(response)
        assert "Yes, send it" not in read(response)
    assert not Move.objects.exists()


def test_where_nothing_is_left_to_send_it_says_so(editor, conflict, ada):
    told = read(editor.post(page(conflict, "send", ada), {"reason": "x"}))

    assert "Nothing is left to send" in told
    conflict.refresh_from_db()
    assert conflict.review_status == "open"


def test_a_refusal_is_told_and_nothing_goes(editor, conflict, sale, ada, cleo, by):
    Handle.objects.filter(pk="pos-customer").update(single_valued=True)
    add(cleo, "pos-customer:77", by=by)

    told = read(editor.post(page(conflict, "send", cleo), {"reason": "x"}))

    assert "cannot have more identities of the handle pos-customer" in told
    sale.refresh_from_db()
    assert sale.profile == ada


def test_a_contact_that_is_shown_elsewhere_since_is_told(editor, ada, cleo, by):
    pairs = ["loyalty-card:1", "loyalty-card:2", "email:new@example.com"]
    came(Transaction, *pairs, by=by)
    entry = RoutingLogEntry.objects.get(outcome="conflict")

    told = read(editor.post(page(entry, "send", cleo), {"reason": "x"}, follow=True))

    assert "Cleo shows new@example.com now." in told


def test_a_reason_is_asked_for(editor, conflict, sale, ada, cleo):
    assert "This field is required." in read(editor.post(page(conflict, "send", cleo), {"reason": " "}))
    sale.refresh_from_db()
    assert sale.profile == ada


def test_of_very_much_the_first_is_listed(editor, conflict, ada, cleo, by, monkeypatch):
    monkeypatch.setattr("identities.admin.sending_page.MOST_AT_ONCE", 2)
    monkeypatch.setattr("identities.admin.sending_page.MOST_SHOWN", 1)
    came(Transaction, "pos-customer:55", by=by)

    assert "and 1 more" in read(editor.get(page(conflict, "send", cleo)))
    assert "There is more; these came first." in read(editor.get(page(conflict)))


def test_who_may_not_review_is_offered_nothing_and_refused(conflict, cleo):
    for client in (member("Reader"), holding("identities.view_routinglogentry")):
        assert offered(client, conflict) == []
        assert client.post(page(conflict, "send", cleo), {"reason": "x"}).status_code == 403
    assert not Move.objects.exists()


def test_records_and_identities_are_shown_only_to_those_who_may_see_them(conflict):
    text = read(holding("identities.view_routinglogentry").get(page(conflict)))
    of_sales = holding("identities.view_routinglogentry", "profiles.view_transaction").get(page(conflict))

    assert "What came by it" not in text
    assert "Purchase R1" in read(of_sales)
    assert "Till customer 55" not in read(of_sales).split("The profiles side by side")[0].split("What was sent")[0]
    assert "/profiles/profile/" not in of_sales.content.decode()


@pytest.mark.parametrize("outcome", ["refused", "identity_taken"])
def test_other_entries_offer_no_candidate(editor, ada, by, outcome):
    sale = came(Transaction, "loyalty-card:1", "pos:null", by=by)
    entry = RoutingLogEntry.objects.get()
    RoutingLogEntry.objects.update(outcome=outcome, candidates=[ada.pk])

    assert reverse("admin:profiles_transaction_change", args=[sale.pk]) in editor.get(page(entry)).content.decode()
    assert offered(editor, entry) == []


def test_what_was_sent_stands_in_the_order_of_the_record(editor, conflict):
    text = read(editor.get(page(conflict)))

    assert text.index("Receipt R1") < text.index("Total 19.99") < text.index("Transacted 2026-11-25")


def test_the_pages_cost_the_same_for_one_record_and_for_many(editor, ada, cleo, by):
    costs = []
    for many in (1, 20):
        for kind in RECORDS.values():
            for _one in range(many):
                came(kind, "loyalty-card:1", "loyalty-card:2", "pos-customer:55", by=by)
        entry = RoutingLogEntry.objects.filter(outcome="conflict").order_by("pk")[0]
        for kind in RECORDS.values():
            of_kind(kind).update(log_entry=entry)
        for url in (page(entry), page(entry, "send", cleo)):
            with CaptureQueriesContext(connection) as captured:
                editor.get(url)
            costs.append(len(captured))

    assert costs[:2] == costs[2:]
