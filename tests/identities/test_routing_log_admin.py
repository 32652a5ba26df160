from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from identities import routing
from identities.handles import Sent
from identities.models import RoutingLogEntry
from profiles.auditing import By
from profiles.models import Audit
from profiles.refusing import Refused
from tests.cast import route
from tests.staff import member, read, rows, signed_in, submit, user_of

LIST = "/admin/identities/routinglogentry/"


def page(entry: RoutingLogEntry) -> str:
    return reverse("admin:identities_routinglogentry_change", args=[entry.pk])


@pytest.fixture
def editor(by: By) -> Client:
    return signed_in(by.user)


@pytest.fixture
def entry(ada, bo, by) -> RoutingLogEntry:
    """Ada was to have Bo's loyalty card."""
    with pytest.raises(Refused):
        routing.add(ada.pk, Sent("loyalty-card", "bo"), by=by, source=None)
    return RoutingLogEntry.objects.get()


def test_an_entry_can_be_read_with_its_profiles_linked(editor, entry, ada, bo):
    response = editor.get(page(entry))

    text, content = read(response), response.content.decode()
    assert "Outcome: identity taken" in text
    assert "Handle: loyalty-card" in text
    assert "Requested profile: Ada Lovelace" in text
    assert f"Bo Diddley ({bo.pk})" in text.replace(" (", " (").replace("Diddley  ", "Diddley ")
    for profile in (ada, bo):
        assert f'href="{reverse("admin:profiles_profile_change", args=[profile.pk])}' in content
    assert '"identifier": "bo"' in text


def test_a_payload_is_shown_as_text(editor, entry):
    RoutingLogEntry.objects.update(payload={"first_name": "<script>alert(1)</script>"}, identifier="<img src=x>")

    content = editor.get(page(entry)).content.decode() + editor.get(LIST).content.decode()

    assert "<script>alert" not in content
    assert "<img src=x" not in content


def test_a_review_keeps_who_and_when(editor, entry):
    submit(editor, page(entry), review_status="reviewed", review_note="Merge them.")

    entry.refresh_from_db()
    assert (entry.review_status, entry.review_note) == ("reviewed", "Merge them.")
    assert (entry.reviewed_by, entry.reviewed_at is not None) == (user_of(editor), True)
    audit = Audit.objects.get(event="reviewed")
    assert (audit.by, audit.old_values["review_status"]) == (user_of(editor), "open")


def test_an_entry_that_is_opened_again_has_no_reviewer(editor, entry):
    submit(editor, page(entry), review_status="dismissed")
    submit(editor, page(entry), review_status="open")

    entry.refresh_from_db()
    assert (entry.review_status, entry.reviewed_by, entry.reviewed_at) == ("open", None, None)


def test_an_entry_is_not_opened_again_beside_a_newer_one_of_the_same_event(editor, entry, ada, by):
    submit(editor, page(entry), review_status="reviewed")
    with pytest.raises(Refused):
        routing.add(ada.pk, Sent("loyalty-card", "bo"), by=by, source=None)

    response = submit(editor, page(entry), review_status="open")

    assert "has an open entry of its own" in read(response)
    entry.refresh_from_db()
    assert entry.review_status == "reviewed"


def test_only_the_review_can_be_changed(editor, entry):
    submit(editor, page(entry), outcome="refused", identifier="x", payload="{}", occurrences="9")

    before = RoutingLogEntry.objects.get()
    assert (before.outcome, before.identifier, before.occurrences) == ("identity_taken", "bo", 1)


def test_the_list_filters_by_outcome_handle_source_and_review(editor, entry, ada, klaviyo, by):
    with pytest.raises(Refused):
        routing.add(ada.pk, Sent("loyalty-card", "bo"), by=By(klaviyo.service_account), source=klaviyo)
    route("pos:guest", by=by)

    assert len(rows(editor.get(LIST))) == 3
    assert len(rows(editor.get(LIST, {"outcome__exact": "identity_taken"}))) == 2
    assert len(rows(editor.get(LIST, {"handle": "pos"}))) == 1
    assert len(rows(editor.get(LIST, {"source": "klaviyo"}))) == 1
    assert len(rows(editor.get(LIST, {"source": "staff"}))) == 2
    assert len(rows(editor.get(LIST, {"review_status__exact": "reviewed"}))) == 0


def test_the_list_costs_the_same_for_one_entry_and_for_many(editor, by, bo, django_assert_num_queries):
    for number in (1, 20):
        for one in range(number):
            route(f"pos:{number}-{one}", "loyalty-card:guest", by=by)
        # Session, user, permissions twice, the two filters' choices, count, rows.
        with django_assert_num_queries(8):
            editor.get(LIST)


def test_no_entry_is_added_or_deleted(admin_client, entry):
    assert admin_client.get(f"{LIST}add/").status_code == 403
    url = reverse("admin:identities_routinglogentry_delete", args=[entry.pk])
    assert admin_client.post(url, {"post": "yes"}).status_code == 403
    admin_client.post(LIST, {"action": "delete_selected", "_selected_action": [entry.pk], "post": "yes"})
    assert RoutingLogEntry.objects.exists()


def test_a_reader_only_looks(entry):
    reader = member("Reader")

    assert reader.get(page(entry)).status_code == 200
    assert reader.post(page(entry), {"review_status": "dismissed"}).status_code == 403
