"""Times on the wire: UTC, "YYYY-MM-DD HH:MM:SS", without a zone."""

from __future__ import annotations

import datetime

SECOND = datetime.timedelta(seconds=1)


def instant(text: str, zone: datetime.tzinfo = datetime.UTC) -> datetime.datetime:
    """Read the wire's own form or ISO 8601; what names no offset is local to `zone`. Raises ValueError.

    Where clocks are set back, a time that comes twice is the first of the two; where they are set forward, one that
    is left out is as long after midnight as it would have been (02:30 is 03:30).
    """
    value = datetime.datetime.fromisoformat(text)
    if value.tzinfo is None:
        value = value.replace(tzinfo=zone)
    try:
        value = value.astimezone(datetime.UTC)
        _ = value + SECOND  # Filters ask for the end of this second; the last one of the calendar has none.
    except OverflowError as error:
        raise ValueError("This time is outside of the calendar.") from error
    return value


def instant_text(value: datetime.datetime) -> str:
    return value.astimezone(datetime.UTC).replace(tzinfo=None).isoformat(" ", "seconds")
