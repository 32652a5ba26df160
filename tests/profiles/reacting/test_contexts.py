"""What an event shows: the object as the API shows it, with the identities by which the profile is known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from identities import moving, moving_records, recording, releasing, routing
from identities.models import Handle, Identity
from profiles import duplicates, events
from profiles.auditing import By
from profiles.duplicates import Found
from profiles.models import Event, Interaction, Point, Transaction
from profiles.reacting import contexts
from tests.cast import add, came, known, merge, undo, update
from tests.tables import differences, everything

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("everybody_listens")]


def told(trigger: str) -> dict[str, Any]:
    """What the newest event of this trigger shows."""
    return contexts.context(Event.objects.filter(trigger=trigger).latest("pk"))


def less(context: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in context.items() if name not in names}


def handles(identities: list[dict[str, Any]]) -> list[str]:
    return [f"{one['handle']}:{one['identifier']}" for one in identities]


def test_an_event_of_a_profile_has_the_profile_at_its_root(by: By, shown: Any) -> None:
    ada = known("pos:1", "loyalty-card:2", by=by, first_name="Ada", email="ada@example.com")
    update(ada, by=by, company="Engines")
    came(Point, named=ada.pk, by=by)

    for trigger in ("profile.created", "profile.updated", "balance.updated"):
        context = told(trigger)
        assert less(context, "identity") == shown(f"/profiles/{ada.pk}")
        assert context["identity"] == {one["handle"]: one for one in context["identities"]}
        # Contact points are fields of the profile here, as everywhere.
        assert context["identity"].keys() == {"pos", "loyalty-card"}


def test_of_several_identities_of_a_handle_the_newest_active_one_is_meant(by: By, shown: Any) -> None:
    ada = known("pos:1", by=by)
    active, inactive = add(ada, "pos:2", by=by), add(ada, "pos:3", by=by)
    routing.change(inactive.pk, is_active=False, by=by, source=None)

    assert told("identity.created")["identity"]["pos"]["id"] == active.pk
    assert told("identity.created")["identity"]["pos"] == shown(f"/profiles/{ada.pk}/identities/pos")


def test_an_event_of_an_identity_has_it_at_its_root(by: By, shown: Any) -> None:
    ada = known("pos:1", by=by)
    card = add(ada, "loyalty-card:1", by=by)
    routing.change(card.pk, is_primary=True, by=by, source=None)

    for trigger in ("identity.created", "identity.updated"):
        context = told(trigger)
        assert less(context, "identities", "identity") == shown(f"/profiles/{ada.pk}/identities/id/{card.pk}")
        assert context["identities"] == shown(f"/profiles/{ada.pk}/identities")


@pytest.mark.parametrize(("kind", "path"), [(Transaction, "transactions"), (Interaction, "interactions")])
def test_an_event_of_a_record_has_it_at_its_root(kind: Any, path: str, by: By, shown: Any) -> None:
    ada = known("pos:1", "loyalty-card:1", by=by)
    record = came(kind, "pos:1", by=by)

    context = told(f"{kind.kind}.created")

    document = shown(f"/{path}/{record.pk}")
    assert context["identities_sent"] == document["identities"] == [{"handle": "pos", "identifier": "1"}]
    assert less(context, "identities", "identity", "identities_sent") == less(document, "identities")
    assert context["identities"] == shown(f"/profiles/{ada.pk}/identities")


def test_what_is_nobodys_has_no_identities(by: By) -> None:
    came(Transaction, by=by)

    context = told("transaction.created")

    assert (context["profile_id"], context["identities"], context["identity"]) == (None, [], {})


def test_what_was_moved_says_where_it_was(by: By) -> None:
    ada, bo = known("pos:1", "loyalty-card:1", by=by), known("pos:2", by=by)
    card, sale = Identity.objects.get(handle="loyalty-card"), came(Transaction, "pos:1", by=by)
    moving.move(card.pk, to=bo.pk, reason="", by=by)
    moving_records.move_record(Transaction, sale.pk, to=bo.pk, reason="", by=by)

    for trigger in ("identity.moved", "transaction.updated"):
        context = told(trigger)
        assert (context["profile_id"], context["moved_from"]) == (str(bo.pk), str(ada.pk))
        assert handles(context["identities"]) == ["loyalty-card:1", "pos:2"]


def test_what_was_taken_over_says_where_it_was(by: By) -> None:
    ada, bo = known("pos:1", by=by), known("pos:2", by=by)
    releasing.delete(ada.pk, by=by)
    add(bo, "pos:1", by=by)

    assert told("identity.moved")["moved_from"] == str(ada.pk)


def test_what_is_gone_is_told_as_it_last_was(by: By, shown: Any) -> None:
    ada = known("pos:1", "loyalty-card:1", by=by)
    card, sale = Identity.objects.get(handle="loyalty-card"), came(Transaction, "pos:1", items=["Tea"], by=by)
    card_was, sale_was = shown(f"/profiles/{ada.pk}/identities/id/{card.pk}"), shown(f"/transactions/{sale.pk}")
    routing.remove(card.pk, by=by, source=None)
    recording.delete(Transaction, sale.pk, by=by)

    card_told, sale_told = told("identity.deleted"), told("transaction.deleted")
    assert less(card_told, "identities", "identity") == card_was
    assert handles(card_told["identities"]) == ["pos:1"]
    assert less(sale_told, "identities", "identity", "identities_sent") == less(sale_was, "identities")
    assert sale_told["items"][0]["name"] == "Tea"


def test_a_deleted_profile_is_told_with_the_pairs_that_others_have_taken_since(by: By) -> None:
    ada, bo = known("pos:1", by=by, first_name="Ada"), known("pos:2", by=by)
    releasing.delete(ada.pk, by=by)
    add(bo, "pos:1", by=by)

    context = told("profile.deleted")

    assert (context["id"], context["first_name"], context["profile_type"]) == (str(ada.pk), "Ada", "deleted")
    assert context["identity"]["pos"]["identifier"] == "1"


def test_what_is_gone_before_its_event_is_taken_up_is_told_as_far_as_it_is_known(by: By) -> None:
    Handle.objects.filter(pk="apns").update(sensitive=True)
    ada = known("pos:1", by=by)
    for pair in ("loyalty-card:1804974", "apns:740f4707bebcf74f"):
        routing.remove(add(ada, pair, by=by).pk, by=by, source=None)

    sensitive = told("identity.created")
    card = contexts.context(Event.objects.filter(trigger="identity.created").order_by("-pk")[1])

    assert card["is_gone"] and sensitive["is_gone"]
    assert (card["handle"], card["identifier"], card["profile_id"]) == ("loyalty-card", "1804974", str(ada.pk))
    # What is masked names nobody, and would be taken for a name.
    assert (sensitive["handle"], "identifier" in sensitive) == ("apns", False)


def test_a_profile_that_was_merged_since_is_told_as_the_api_answers_for_its_id(by: By, shown: Any) -> None:
    ada, again = known("pos:1", by=by), known("pos:2", by=by)
    update(again, by=by, company="Engines")
    sale = came(Transaction, "pos:2", by=by)
    merge(ada, again, by=by)

    context = told("profile.updated")
    assert less(context, "identity") == shown(f"/profiles/{again.pk}")
    assert (context["id"], context["merged_from"]) == (str(ada.pk), str(again.pk))
    record = told("transaction.created")
    # It was not moved by anybody.
    assert (record["id"], record["profile_id"], "moved_from" in record) == (sale.pk, str(ada.pk), False)
    assert handles(record["identities"]) == ["pos:1", "pos:2"]


def test_a_merge_tells_what_both_sides_were_known_by(by: By, shown: Any) -> None:
    ada = known("pos:1", "loyalty-card:1", by=by, first_name="Ada")
    again = known("pos:2", "instagram:ada", by=by, first_name="Augusta")
    before = [shown(f"/profiles/{one.pk}/identities") for one in (ada, again)]
    (one,) = merge(ada, again, by=by)
    # What happens to them afterwards is another matter.
    routing.remove(Identity.objects.get(handle="instagram").pk, by=by, source=None)

    context = told("profile.merged")

    own = ("identity", "merged_from", "merge_id", "identities_before", "identity_before", "lineage")
    assert less(context, *own) == shown(f"/profiles/{ada.pk}")
    assert (context["merged_from"], context["merge_id"]) == (str(again.pk), one.pk)
    assert context["identities_before"] == {"survivor": before[0], "duplicate": before[1]}
    assert context["identity_before"]["duplicate"]["instagram"]["identifier"] == "ada"
    assert context["identity_before"]["survivor"].keys() == {"pos", "loyalty-card"}
    (line,) = context["lineage"]
    assert (line["profile_id"], line["merged_into"], line["merge_id"]) == (str(again.pk), str(ada.pk), one.pk)


def test_a_merge_of_several_is_told_of_once_for_each_with_all_that_is_beneath(by: By) -> None:
    ada, again, third, fourth = (known(f"pos:{number}", by=by) for number in (7, 8, 9, 10))
    merge(third, fourth, by=by)
    merge(ada, again, third, by=by)

    merged = [contexts.context(one) for one in Event.objects.filter(trigger="profile.merged").order_by("pk")[1:]]

    assert [one["merged_from"] for one in merged] == [str(again.pk), str(third.pk)]
    assert [handles(one["identities_before"]["survivor"]) for one in merged] == [["pos:7"], ["pos:7"]]
    # The second had the fourth already.
    assert [handles(one["identities_before"]["duplicate"]) for one in merged] == [["pos:8"], ["pos:9", "pos:10"]]
    for one in merged:
        assert [line["profile_id"] for line in one["lineage"]] == [str(fourth.pk), str(again.pk), str(third.pk)]


def test_an_undo_tells_of_both_profiles(by: By, shown: Any) -> None:
    ada, again = known("pos:1", by=by), known("pos:2", by=by)
    (one,) = merge(ada, again, by=by)
    undo(one, by=by)

    context = told("profile.unmerged")

    assert less(context, "identity", "unmerged", "duplicate", "merge_id") == shown(f"/profiles/{ada.pk}")
    assert (context["unmerged"], context["merge_id"]) == (str(again.pk), one.pk)
    assert context["duplicate"] == shown(f"/profiles/{again.pk}")


def test_a_pair_of_the_queue_is_told_as_the_queue_shows_it(by: By, shown: Any) -> None:
    ada, again = known("pos:1", by=by), known("loyalty-card:2", by=by)
    (pk,) = duplicates.note([Found(ada.pk, again.pk, {"phone": {}})])

    context = told("duplicate.detected")

    decided = ("note", "by", "decided_at")
    assert less(context, "identities", "identity") == less(shown(f"/duplicates/{pk}"), *decided)
    assert context["profile_ids"] == [str(ada.pk), str(again.pk)]
    assert context["identity"].keys() == {"pos", "loyalty-card"}


def test_a_pair_that_has_left_the_queue_is_told_as_it_was(by: By) -> None:
    ada, again = known("pos:1", by=by), known("loyalty-card:2", by=by)
    (pk,) = duplicates.note([Found(ada.pk, again.pk, {"phone": {}})])
    before = told("duplicate.detected")
    duplicates.forget([pk], ["phone"], before=timezone.now() + timedelta(days=1))

    assert less(told("duplicate.detected"), "reasons") == less(before, "reasons")


def test_reserved_and_sensitive_identifiers_are_shown_as_to_a_token_and_masked_for_pages(by: By, shopify: Any) -> None:
    Handle.objects.filter(pk="apns").update(sensitive=True)
    ada = known("pos:1", "apns:740f4707bebcf74f", by=by)
    add(ada, "shopify:9", by=by, source=shopify)
    routing.change(Identity.objects.get(handle="apns").pk, is_primary=True, by=by, source=None)
    came(Transaction, "apns:740f4707bebcf74f", by=by)

    profile = contexts.sample("profile.updated", ada)
    sale = told("transaction.created")

    assert profile["identity"]["shopify"]["identifier"] == "9"
    assert profile["external_id"] == sale["brought_by"]["identifier"] == "740f4707bebcf74f"
    for context in (profile, sale):
        hidden = contexts.masked(context)
        assert "740f4707bebcf74f" not in str(hidden)
        assert hidden["identity"]["apns"]["identifier"] == "•••f74f"
        assert hidden["identity"]["shopify"]["identifier"] == "9"


@pytest.mark.parametrize("trigger", [*events.KNOWN, "nobody.knows"])
@pytest.mark.parametrize("is_rich", [True, False])
def test_a_sample_has_what_an_event_would_have_and_writes_nothing(trigger: str, is_rich: bool, by: By) -> None:
    ada = known("pos:1", by=by, first_name="Ada")
    if is_rich:
        again, third = known("pos:2", by=by), known("pos:3", by=by)
        came(Transaction, "pos:1", by=by)
        came(Interaction, "pos:1", by=by)
        merge(ada, again, by=by)
        duplicates.note([Found(ada.pk, third.pk, {"email": {}})])
    before = everything()

    context = contexts.sample(trigger, ada)

    assert differences(before, everything()) == []
    assert ("pos" in context["identity"]) is (is_rich or trigger != events.DUPLICATE_DETECTED)
    if trigger.startswith("profile."):
        assert context["first_name"] == "Ada"
    if trigger == "profile.merged" and is_rich:
        assert handles(context["identities_before"]["duplicate"]) == ["pos:2"]


def test_a_context_costs_the_same_for_one_identity_and_for_fifty(by: By, django_assert_num_queries: Any) -> None:
    few, many = known("pos:1", by=by), known(*(f"loyalty-card:{number}" for number in range(50)), by=by)
    counts = []
    for profile, pair in ((few, "pos:1"), (many, "loyalty-card:1")):
        came(Transaction, pair, by=by)
        event = Event.objects.filter(trigger="transaction.created").latest("pk")
        with CaptureQueriesContext(connection) as queries:
            contexts.context(event)
        counts.append(len(queries))
        with django_assert_num_queries(1):
            contexts.sample("profile.updated", profile)
    # The record, whose it is today, and the identities.
    assert counts == [3, 3]


@pytest.mark.parametrize("number", [2**64 + 1, 10**30 + 1, 10**400 + 1])
def test_an_integer_is_told_as_it_is_however_long(number: int, by: By, shown: Any) -> None:
    profile = known("pos:A1", by=by)
    update(profile, by=by, attributes={"comms": {"number": number}})
    changed = Event.objects.get(trigger="profile.updated")
    as_shown = shown(f"/profiles/{profile.pk}")
    told = contexts.context(changed)

    releasing.delete(profile.pk, by=by)

    gone = contexts.context(Event.objects.get(trigger="profile.deleted"))
    assert [one["attributes"]["comms"]["number"] for one in (as_shown, told, gone)] == [number] * 3


@pytest.mark.parametrize("number", [2**64 + 1, 10**400 + 1])
def test_the_id_of_a_merged_profile_answers_with_integers_as_they_are(number: int, by: By, shown: Any) -> None:
    survivor, duplicate = known("pos:A1", by=by), known("pos:A2", by=by)
    update(survivor, by=by, attributes={"comms": {"number": number}})
    merge(survivor, duplicate, by=by)

    assert shown(f"/profiles/{duplicate.pk}")["attributes"]["comms"]["number"] == number
