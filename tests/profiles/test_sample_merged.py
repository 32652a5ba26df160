"""The whole sample: scanned, every group of the queue merged, all of it undone, and sound at each step."""

from __future__ import annotations

import random
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from profiles import duplicates, merging
from profiles.auditing import By
from profiles.models import DuplicatePair, Merge, Profile
from tests.tables import differences, everything


def check_integrity() -> None:
    call_command("check_integrity", verbosity=0, stderr=StringIO())


@pytest.mark.slow
@pytest.mark.django_db
def test_every_duplicate_of_the_sample_is_merged_and_unmerged(by: By) -> None:
    call_command("load_sample", verbosity=0)
    with connection.cursor() as cursor:
        # Autovacuum sees none of the rows before the commit, and would tell the planner that there are none. This says
        # how many there are, and keeps it away up to the end.
        cursor.execute("ANALYZE")
    call_command("find_duplicates", verbosity=0)
    before, offered = everything(), duplicates.offered().count()
    assert offered > 290

    while (pair := duplicates.offered().first()) is not None:
        survivor, *others = sorted(duplicates.group_of(pair).profile_ids)
        merging.merge(survivor, others, plan=merging.preview(survivor, others).plan, by=by)
    assert Profile.objects.live().count() < 2_291 - 250
    check_integrity()

    merges = list(Merge.objects.live())
    random.Random(5).shuffle(merges)  # noqa: S311 - any order will do
    for merge in merges:
        merging.undo(merge.pk, by=by)
    check_integrity()

    assert differences(before, everything()) == []
    # What was taken back once is not offered again, whatever is found.
    call_command("find_duplicates", verbosity=0)
    assert DuplicatePair.objects.filter(status=DuplicatePair.Status.MERGED).count() == 0
    assert duplicates.offered().count() < offered - len(merges) + 30
