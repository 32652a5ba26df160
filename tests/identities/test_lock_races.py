"""What the locks of the write path promise, and how a write that lost a race starts over."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, connection

from identities import matching
from identities.models import Handle, RoutingLogEntry
from identities.routing import Routed
from profiles.auditing import By
from profiles.models import Profile
from tests.cast import add, route
from tests.racing import alternate, at_once, two_writers

pytestmark = pytest.mark.django_db(transaction=True)


@two_writers
def test_writers_that_lock_the_same_profiles_do_not_deadlock(
    rounds: int, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    # In the order of their pairs, one record names Ada before Ada again and the other the other way round.
    for profile, pair in ((ada, "pos:1"), (ada_again, "pos:2"), (ada_again, "pos:3"), (ada, "pos:4")):
        add(profile, pair, by=by)

    def locking_slowly(*pairs: str) -> Routed:
        def dawdle(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
            answer = execute(sql, *args)
            if "FOR NO KEY UPDATE" in sql:
                time.sleep(0.05)
            return answer

        with connection.execute_wrapper(dawdle):
            return route(*pairs, by=by)

    for round_ in range(rounds):
        with alternate(round_, 2):
            met = at_once(lambda: locking_slowly("pos:1", "pos:2"), lambda: locking_slowly("pos:4", "pos:3"))

        assert met.errors == []
        assert [routed.outcome for routed in met] == ["conflict", "conflict"]
    assert sum(entry.occurrences for entry in RoutingLogEntry.objects.all()) == 2 * rounds


def test_a_race_that_is_lost_every_time_ends_with_the_error_and_leaves_nothing(
    bo: Profile, by: By, monkeypatch
) -> None:
    monkeypatch.setattr("identities.holding.time.sleep", lambda seconds: None)
    taken = matching.owned

    def blind(pairs: Any) -> Any:
        return {} if any(pair.handle == "pos" for pair in pairs) else taken(pairs)

    route("pos:7", by=by)
    monkeypatch.setattr(matching, "owned", blind)

    with pytest.raises(DatabaseError):
        route("pos:7", "new-handle:1", by=by, first_name="Ada")

    assert Profile.objects.count() == 2
    assert not Handle.objects.filter(name="new-handle").exists()
