"""The same event that happens to several writers at once, and its one entry."""

from __future__ import annotations

import pytest

from identities import routing_log
from identities.models import RoutingLogEntry
from profiles.auditing import By
from profiles.models import Profile
from tests.cast import add, route
from tests.racing import alternate, at_once, few_writers, meeting

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
        with meeting(writers, routing_log, "_fingerprint"):
            met = at_once(*[lambda: add(ada, "loyalty-card:bo", by=by)] * writers)

        assert met.codes == {"identity_taken": writers}
        assert met.errors == []
        assert RoutingLogEntry.objects.get().occurrences == writers * (round_ + 1)
