"""Merge two pairs of profiles and undo that, in a process whose memory nothing else has grown; the second pair counts.

In: the ids of the small survivor and duplicate, and of the big ones. Prints what `merging` puts into the table.
"""

from __future__ import annotations

import json
import resource
import sys
import uuid

import django

django.setup()

from profiles import merging  # noqa: E402 - it knows the models
from profiles.models import Merge  # noqa: E402
from tests.benchmarks.merging import REASON, seconds_of, somebody  # noqa: E402


def main(small: list[uuid.UUID], big: list[uuid.UUID]) -> None:
    _merge_and_undo(*small)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = _merge_and_undo(*big)
    told["megabytes"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1_024
    print(json.dumps(told))  # noqa: T201 - a command


def _merge_and_undo(survivor: uuid.UUID, duplicate: uuid.UUID) -> dict[str, float]:
    by = somebody()
    merged = seconds_of(lambda: merging.merge(survivor, [duplicate], reason=REASON, by=by))
    merge = Merge.objects.live().get(duplicate=duplicate)
    undone = seconds_of(lambda: merging.undo(merge.pk, reason=REASON, by=by))
    return {"merge": merged, "undo": undone}


if __name__ == "__main__":
    ids = [uuid.UUID(text) for text in sys.argv[1:]]
    main(ids[:2], ids[2:])
