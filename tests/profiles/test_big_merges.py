"""A profile with ten thousand identities and a hundred thousand records merges like any other."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from identities.models import Handle, Identity
from profiles import integrity, merging
from profiles.auditing import By
from profiles.merging.rows import tables
from profiles.models import Interaction, Move, Point, Profile, Record, Transaction
from tests.cast import FIELDS, came, come, known, merge, undo

pytestmark = pytest.mark.django_db

# What a merge may hold in memory at once, whatever the size: the keys of identities, never a record.
MOST_BYTES = 64 * 2**20


def fill(profile: Profile, *, identities: int, records: int) -> None:
    handle = Handle.objects.get(pk="pos")
    rows = [
        Identity(profile=profile, handle=handle, identifier=f"{profile.pk}-{number}") for number in range(identities)
    ]
    Identity.objects.bulk_create(rows, batch_size=5_000)
    for kind in (Transaction, Interaction):
        made = (
            kind(
                profile=profile,
                brought_by=rows[number % identities],
                brought_by_handle="pos",
                brought_by_identifier=rows[number % identities].identifier,
                decided_by=Record.DecidedBy.IDENTITY,
                **FIELDS[kind],
            )
            for number in range(records // 2)
        )
        kind.objects.bulk_create(made, batch_size=5_000)  # type: ignore[arg-type]
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def cost(work: Callable[[], Any]) -> tuple[int, int, Any]:
    """How many statements it took, how many bytes at most, and its answer."""
    tracemalloc.start()
    try:
        with CaptureQueriesContext(connection) as statements:
            answer = work()
        return len(statements), tracemalloc.get_traced_memory()[1], answer
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "sizes", [((5, 20), (50, 400)), pytest.param(((5, 20), (10_000, 100_000)), marks=pytest.mark.slow)]
)
def test_merge_and_undo_take_the_same_statements_whatever_the_size(
    sizes: tuple[tuple[int, int], ...], by: By, bo: Profile
) -> None:
    costs = []
    for place, (identities, records) in enumerate(sizes):
        survivor, duplicate = known(f"loyalty-card:{place}a", by=by), known(f"loyalty-card:{place}b", by=by)
        fill(duplicate, identities=identities, records=records)
        previewed = cost(partial(merging.preview, survivor.pk, [duplicate.pk]))
        merged = cost(partial(merging.merge, survivor.pk, [duplicate.pk], by=by))
        come(Transaction, f"pos:{duplicate.pk}-0", by=by)
        undone = cost(partial(merging.undo, merged[2].merges[0].pk, by=by))

        assert undone[2].tallies["transaction"].home == records // 2 + 1
        assert Transaction.objects.filter(profile=duplicate).count() == records // 2 + 1
        assert duplicate.identities.count() == identities + 1
        assert not Identity.objects.filter(profile=survivor, handle="pos").exists()
        costs.append([one[:2] for one in (previewed, merged, undone)])

    small, big = costs
    assert [statements for statements, _bytes in big] == [statements for statements, _bytes in small]
    assert all(peak < MOST_BYTES for _statements, peak in big)
    assert list(integrity.broken()) == []


@pytest.mark.slow
def test_a_split_of_ten_thousand_identities_is_bounded_too(by: By) -> None:
    profile = known("loyalty-card:1", by=by)
    fill(profile, identities=10_000, records=20_000)
    chosen = list(profile.identities.filter(handle="pos").values_list("pk", flat=True))

    _statements, peak, done = cost(lambda: merging.split(profile.pk, chosen, by=by))

    assert done.records == {"transaction": 10_000, "interaction": 10_000}
    assert Move.objects.filter(cause=Move.Cause.SPLIT).count() == 30_000
    assert peak < 8 * MOST_BYTES
    assert list(integrity.broken()) == []


def test_no_table_is_asked_of_which_nothing_moves_or_goes_home(by: By) -> None:
    ada, again = known("loyalty-card:1", by=by), known("loyalty-card:2", by=by)
    came(Point, "loyalty-card:2", by=by)

    with CaptureQueriesContext(connection) as merged:
        (one,) = merge(ada, again, by=by)
    with CaptureQueriesContext(connection) as undone:
        undo(one, by=by)

    assert changed(merged) == changed(undone) == {"identities_identity", "profiles_point"}
    # Besides: who listens to merges, and what the two claim, of which only the second is asked at an undo.
    assert (len(merged), len(undone)) == (22, 33)
    assert again.points.count() == again.identities.count() == 1


def changed(statements: CaptureQueriesContext) -> set[str]:
    """The tables of which rows got another profile."""
    return {table.name for table in tables() for one in statements if f"UPDATE {table.name} AS" in one["sql"]}
