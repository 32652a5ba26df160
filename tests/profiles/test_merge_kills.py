"""A process that dies in the middle of a merge, an undo or a split leaves all as it was."""

from __future__ import annotations

import pytest

from profiles.auditing import By
from profiles.models import DuplicatePair, Merge, Transaction
from tests.cast import assert_sound, came, merge, undo
from tests.killing import killed_at
from tests.lineages import four
from tests.tables import differences, everything

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("merge kills")]

SCRIPT = """
import sys, uuid
import django
django.setup()
from django.contrib.auth.models import User
from profiles import merging
from profiles.auditing import By
operation, *arguments = sys.argv[1:]
by = By(User.objects.get(username="operator"))
if operation == "merge":
    merging.merge(uuid.UUID(arguments[0]), [uuid.UUID(one) for one in arguments[1:]], by=by)
elif operation == "undo":
    merging.undo(int(arguments[0]), by=by)
else:
    merging.split(uuid.UUID(arguments[0]), [int(one) for one in arguments[1:]], by=by)
"""

# Early, between two tables of rows, and as the last thing before the commit.
STOPS = [
    ("merge", "profiles_merge", "INSERT"),
    ("merge", "profiles_takenrows", "INSERT"),
    ("merge", "profiles_transaction", "UPDATE"),
    ("merge", "profiles_audit", "INSERT"),
    ("undo", "identities_identity", "UPDATE"),
    ("undo", "profiles_transaction", "UPDATE"),
    ("undo", "profiles_duplicatepair", "INSERT"),
    ("undo", "profiles_audit", "INSERT"),
    ("split", "profiles_move", "INSERT"),
    ("split", "profiles_audit", "INSERT"),
]
SHORT = {("merge", "profiles_audit"), ("undo", "profiles_transaction"), ("split", "profiles_move")}


@pytest.mark.parametrize(
    ("operation", "table", "event"),
    [
        pytest.param(*stop, id=f"{stop[0]} at {stop[1]}", marks=[] if stop[:2] in SHORT else [pytest.mark.slow])
        for stop in STOPS
    ],
)
def test_killed_in_the_middle_nothing_has_happened(operation: str, table: str, event: str, by: By) -> None:
    cast = four(by)
    arguments = [str(cast[one].pk) for one in "ACD"]
    if operation == "undo":
        (one,) = merge(cast["A"], cast["C"], by=by)
        came(Transaction, "loyalty-card:3", by=by)
        arguments = [str(one.pk)]
    if operation == "split":
        arguments = [str(cast["C"].pk), str(cast["C"].identities.get(handle="loyalty-card").pk)]
    before, decided = everything(), _decided()

    with killed_at(table, SCRIPT, operation, *arguments, event=event):
        pass

    assert differences(before, everything()) == []
    assert _decided() == decided
    assert_sound()
    # And whoever tries again succeeds.
    for live in Merge.objects.live():
        undo(live, by=by)
    merge(cast["A"], cast["C"], cast["D"], by=by)
    assert_sound()


def _decided() -> list[object]:
    return [list(model.objects.order_by("pk").values()) for model in (Merge, DuplicatePair)]
