"""How long a delivery and a target are waited for: the numbers, and what follows from them alone."""

from __future__ import annotations

import datetime
import random

MINUTE, HOUR, DAY = 60, 60 * 60, 24 * 60 * 60

# Seconds for one try, from looking up the host to the last byte of the answer; and until a worker that has taken a
# delivery and not said what became of it is taken for dead.
TIMEOUT = 10.0
LEASE = 30.0

# Seconds until the second try of a delivery. Each gap is three times the one before, up to the longest.
FIRST_GAP, GROWTH, LONGEST_GAP = 10.0, 3, 30 * MINUTE

# A delivery that fails when it is so old is given up.
LIFE = datetime.timedelta(days=3)

# Failures of a target in a row that open its circuit; then the seconds between two looks, each twice the one before.
OPENS_AFTER, FIRST_LOOK, LONGEST_LOOK = 10, 30.0, 15 * MINUTE

# What a receiver may ask for with Retry-After.
LONGEST_REQUEST = DAY

# Deliveries that one job makes before it lets the jobs of other targets go first, and seconds after which it begins no
# other one: targets that are slow for each must not keep all workers between them.
STINT, LONGEST_STINT = 100, 5.0


def gap(tries: int, *, is_hourly: bool = False, is_daily: bool = False) -> datetime.timedelta:
    """How long to wait after so many tries.

    Each wish widens the gaps (API.md 7): with `retry_hourly` they grow up to an hour, with `retry_daily` up to a day.
    With both it is each hour for the first day, and each day after that.
    """
    longest = LONGEST_GAP
    if is_hourly and is_daily:
        longest = HOUR if tries <= _tries_of_first_day() else DAY
    elif is_hourly:
        longest = HOUR
    elif is_daily:
        longest = DAY
    return _about(min(FIRST_GAP * GROWTH ** min(tries - 1, 30), longest))


def look(failures: int) -> datetime.timedelta:
    """How long to leave a target alone that has failed so often in a row that its circuit is open."""
    return _about(min(FIRST_LOOK * 2 ** min(failures - OPENS_AFTER, 30), LONGEST_LOOK))


def _tries_of_first_day() -> int:
    grown = 1
    while FIRST_GAP * GROWTH**grown < HOUR:
        grown += 1
    return grown + DAY // HOUR


def _about(seconds: float) -> datetime.timedelta:
    """Give or take a fifth, so that what failed together does not come back together."""
    return datetime.timedelta(seconds=seconds * random.uniform(0.8, 1.2))  # noqa: S311
