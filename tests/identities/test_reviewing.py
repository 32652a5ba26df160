"""Several entries of the log reviewed at once: what is set, what is left alone, and what a race must not do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from identities import reviewing, routing_log
from identities.holding import settle
from identities.models import Extension, Pair, RoutingLogEntry
from profiles.auditing import By
from profiles.models import Audit, Profile
from profiles.refusing import Refused
from tests.cast import add, route

pytestmark = pytest.mark.django_db

PATIENCE = 20


@pytest.fixture
def entries(ada: Profile, bo: Profile, klaviyo: Extension, by: By) -> list[RoutingLogEntry]:
    """Three open entries: a card that is taken, and two values that name nobody."""
    with pytest.raises(Refused):
        add(ada, "loyalty-card:bo", by=by, source=klaviyo)
    route("loyalty-card:bo", "pos:null", by=by)
    route("loyalty-card:bo", "pos:guest", by=by)
    return list(RoutingLogEntry.objects.order_by("pk"))


def seen(entries: list[RoutingLogEntry]) -> dict[int, str]:
    return {entry.pk: entry.review_status for entry in entries}


def now(entries: list[RoutingLogEntry]) -> list[tuple[str, str]]:
    found = RoutingLogEntry.objects.in_bulk([entry.pk for entry in entries])
    return [(found[entry.pk].review_status, found[entry.pk].review_note) for entry in entries]


def test_several_are_reviewed_with_one_note_by_one_person_at_one_time(
    entries: list[RoutingLogEntry], bo: Profile, by: By
) -> None:
    first, second, third = entries

    reviewed = reviewing.review_all(seen([first, second]), status="reviewed", note="Called her.", by=by)

    assert [entry.pk for entry in reviewed.done] == [first.pk, second.pk]
    assert now(entries) == [("reviewed", "Called her."), ("reviewed", "Called her."), ("open", "")]
    for entry in RoutingLogEntry.objects.filter(review_status="reviewed"):
        assert (entry.reviewed_by, entry.reviewed_at) == (by.user, reviewed.at)
    audits = Audit.objects.filter(event="reviewed").order_by("pk")
    assert [(one.auditable_key, one.by, one.profile) for one in audits] == [
        (str(first.pk), by.user, None),
        (str(second.pk), by.user, bo),
    ]
    assert [(one.old_values, one.new_values) for one in audits] == [
        (
            {"review_status": "open", "review_note": ""},
            {"review_status": "reviewed", "review_note": "Called her."},
        )
    ] * 2


def test_what_somebody_else_reviewed_meanwhile_stays_as_it_is(
    entries: list[RoutingLogEntry], reader: User, by: By
) -> None:
    chosen = seen(entries)
    reviewing.review(entries[0], status="dismissed", note="Nonsense.", by=By(reader))

    reviewed = reviewing.review_all(chosen, status="reviewed", note="All well.", by=by)

    assert [entry.pk for entry in reviewed.changed] == [entries[0].pk]
    assert now(entries) == [("dismissed", "Nonsense."), ("reviewed", "All well."), ("reviewed", "All well.")]
    assert Audit.objects.filter(event="reviewed", by=by.user).count() == 2


def test_the_same_request_twice_does_nothing_twice(entries: list[RoutingLogEntry], by: By) -> None:
    chosen = seen(entries)
    first = reviewing.review_all(chosen, status="reviewed", note="Well.", by=by)

    again = reviewing.review_all(chosen, status="reviewed", note="Well.", by=by)

    assert (len(first.done), len(again.done), len(again.changed)) == (3, 0, 3)
    assert Audit.objects.filter(event="reviewed").count() == 3
    assert set(RoutingLogEntry.objects.values_list("reviewed_at", flat=True)) == {first.at}


def test_without_a_note_each_keeps_its_own(entries: list[RoutingLogEntry], by: By) -> None:
    reviewing.review(entries[0], status="open", note="Ask the shop.", by=by)

    reviewing.review_all(seen(entries), status="dismissed", note="", by=by)

    assert now(entries) == [("dismissed", "Ask the shop."), ("dismissed", ""), ("dismissed", "")]


def test_what_was_reviewed_can_be_opened_again(entries: list[RoutingLogEntry], by: By) -> None:
    reviewed = reviewing.review_all(seen(entries), status="reviewed", note="Too fast.", by=by)

    reviewing.review_all(seen(reviewed.done), status="open", note="", by=by)

    assert now(entries) == [("open", "Too fast.")] * 3
    assert not RoutingLogEntry.objects.exclude(reviewed_by=None, reviewed_at=None).exists()


def test_what_has_happened_again_since_is_not_opened_beside_its_new_entry(
    entries: list[RoutingLogEntry], by: By
) -> None:
    reviewed = reviewing.review_all(seen(entries), status="reviewed", note="", by=by)
    route("loyalty-card:bo", "pos:null", by=by)

    opened = reviewing.review_all(seen(reviewed.done), status="open", note="", by=by)

    assert [entry.identifier for entry in opened.reopened] == ["null"]
    assert [entry.identifier for entry in opened.done] == ["bo", "guest"]
    assert now(entries) == [("open", ""), ("reviewed", ""), ("open", "")]
    assert Audit.objects.filter(event="reviewed").count() == 5


def test_entries_that_are_none_are_passed_over(entries: list[RoutingLogEntry], by: By) -> None:
    reviewed = reviewing.review_all({0: "open", entries[0].pk: "open"}, status="reviewed", note="", by=by)

    assert [entry.pk for entry in reviewed.done] == [entries[0].pk]


@pytest.mark.django_db(transaction=True)
def test_whoever_counts_the_same_entries_up_meanwhile_is_waited_for_and_no_deadlock_is_shown(
    entries: list[RoutingLogEntry], by: By
) -> None:
    """The write holds the later entry and wants the earlier one; the review has that and wants the later one."""
    _taken, first, second = entries
    holds, chosen = threading.Event(), seen([first, second])

    def in_thread(work: Callable[[], Any]) -> Any:
        try:
            return work()
        finally:
            connection.close()

    def write() -> None:
        def attempt() -> None:
            count_up(second)
            holds.set()
            wait_for_a_waiter()
            count_up(first)

        settle(attempt)

    def review() -> reviewing.Reviewed:
        assert holds.wait(PATIENCE)
        return reviewing.review_all(chosen, status="reviewed", note="", by=by)

    with ThreadPoolExecutor(2) as pool:
        writing, reviewed = pool.submit(in_thread, write), pool.submit(in_thread, review)
        writing.result(PATIENCE)
        assert len(reviewed.result(PATIENCE).done) == 2

    assert now([first, second]) == [("reviewed", "")] * 2
    assert set(RoutingLogEntry.objects.filter(pk__in=chosen).values_list("occurrences", flat=True)) == {2}


def count_up(entry: RoutingLogEntry) -> None:
    again = RoutingLogEntry.objects.get(pk=entry.pk)
    assert routing_log.note(again, pairs=[Pair(again.handle, again.identifier)]) == entry.pk


def wait_for_a_waiter() -> None:
    """Until somebody waits for a row that this transaction has locked."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
            )
            if cursor.fetchone()[0]:
                return
        time.sleep(0.01)
    raise AssertionError("Nobody waits.")
