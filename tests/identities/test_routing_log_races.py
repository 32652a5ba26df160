"""The same event that happens to several writers at once, and its one entry."""

from __future__ import annotations

import pytest

from identities import reviewing, routing_log
from identities.models import Pair, RoutingLogEntry
from profiles import auditing
from profiles.auditing import By
from profiles.models import Profile
from profiles.refusing import Refused
from tests.cast import add, route, update
from tests.racing import alternate, at_once, few_writers, meeting, slow_inserts, two_writers, while_it_is_locked

pytestmark = pytest.mark.django_db(transaction=True)


@few_writers
def test_writers_of_one_conflicting_record_make_one_open_entry(
    writers: int, rounds: int, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    add(ada, "pos:7", by=by)
    add(ada_again, "loyalty-card:1", by=by)

    for round_ in range(rounds):
        with alternate(round_, writers):
            met = at_once(*[lambda: route("pos:7", "loyalty-card:1", by=by)] * writers)

        assert {routed.outcome for routed in met} == {"conflict"}
        entry = RoutingLogEntry.objects.get()
        assert {routed.log_entry_id for routed in met} == {entry.pk}
        assert entry.occurrences == writers * (round_ + 1)


@few_writers
def test_writers_that_are_refused_the_same_pair_make_one_open_entry(
    writers: int, rounds: int, ada: Profile, bo: Profile, by: By
) -> None:
    for round_ in range(rounds):
        with alternate(round_, writers):
            met = at_once(*[lambda: add(ada, "loyalty-card:bo", by=by)] * writers)

        assert met.codes == {"identity_taken": writers}
        assert met.errors == []
        assert RoutingLogEntry.objects.get().occurrences == writers * (round_ + 1)


@few_writers
def test_writers_that_are_refused_the_same_contact_point_make_one_open_entry(
    writers: int, rounds: int, ada: Profile, bo: Profile, by: By
) -> None:
    for round_ in range(rounds):
        with meeting(writers, routing_log, "_fingerprint"):
            met = at_once(*[lambda: update(ada, by=by, email="bo@example.com")] * writers)

        assert met.codes == {"identity_taken": writers}
        assert met.errors == []
        assert RoutingLogEntry.objects.get().occurrences == writers * (round_ + 1)


@pytest.mark.parametrize("known", [False, True], ids=["a new entry", "an open entry"])
def test_a_refusal_that_waits_for_the_same_one_is_counted(known: bool, ada: Profile, bo: Profile, by: By) -> None:
    def refuse() -> None:
        with pytest.raises(Refused):
            add(ada, "loyalty-card:bo", by=by)

    if known:
        refuse()
    with while_it_is_locked(lambda: add(ada, "loyalty-card:bo", by=by), routing_log, "note_all") as other:
        refuse()

    assert other.codes == {"identity_taken": 1}
    assert other.errors == []
    entry = RoutingLogEntry.objects.get()
    assert entry.occurrences == 2 + known
    assert other[0].details["log_entry_id"] == entry.pk


def test_an_event_that_happens_while_its_entry_is_closed_opens_another(ada: Profile, bo: Profile, by: By) -> None:
    with pytest.raises(Refused):
        add(ada, "loyalty-card:bo", by=by)
    closed = RoutingLogEntry.objects.get()

    with while_it_is_locked(lambda: add(ada, "loyalty-card:bo", by=by), auditing, "write") as other:
        reviewing.review(closed, status="reviewed", note="", by=by)

    assert other.codes == {"identity_taken": 1}
    counts = RoutingLogEntry.objects.order_by("pk").values_list("review_status", "occurrences")
    assert list(counts) == [("reviewed", 1), ("open", 1)]


@two_writers
def test_writers_of_the_same_entries_in_opposite_order_do_not_deadlock(rounds: int, by: By) -> None:
    def note(*identifiers: str) -> list[int]:
        return routing_log.note_all(
            (
                RoutingLogEntry(outcome="refused", kind="profile", handle="pos", identifier=one, by=by.user),
                [Pair("pos", one)],
            )
            for one in identifiers
        )

    with slow_inserts("identities_routinglogentry", seconds=0.05):
        for round_ in range(rounds):
            met = at_once(lambda: note("1", "2", "3"), lambda: note("3", "2", "1"))

            assert met.errors == []
            assert met[0] == met[1][::-1]
            assert {entry.occurrences for entry in RoutingLogEntry.objects.all()} == {2 * (round_ + 1)}
