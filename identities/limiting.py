"""How often something may be called in a minute, counted in the database so that it holds over all processes."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection
from django.utils.crypto import salted_hmac

from profiles import reading

# Deleted at once, so that none of the transactions is a long one.
BATCH = 5_000

# The window is the database's minute, not ours: clocks of machines differ. The count stops one past the limit, where
# it says all that it has to say.
_OPEN = "counted.window_started_at > statement_timestamp() - interval '1 minute'"
_LEFT = "60 - extract(epoch FROM statement_timestamp() - counted.window_started_at)"
_COUNT = f"""
    INSERT INTO identities_callcount AS counted (key, window_started_at, count)
    VALUES (%s, statement_timestamp(), 1)
    ON CONFLICT (key) DO UPDATE SET
        window_started_at = CASE WHEN {_OPEN} THEN counted.window_started_at ELSE statement_timestamp() END,
        count = CASE WHEN {_OPEN} THEN least(counted.count, %s) + 1 ELSE 1 END
    RETURNING count, {_LEFT}
"""  # noqa: S608 - constants only
_LOOK = f"SELECT {_LEFT} FROM identities_callcount AS counted WHERE key = %s AND count >= %s AND {_OPEN}"  # noqa: S608
# Those that somebody counts up just now are not over.
_FORGET = f"""
    DELETE FROM identities_callcount WHERE key IN (
        SELECT key FROM identities_callcount AS counted WHERE NOT {_OPEN}
        ORDER BY window_started_at LIMIT %s FOR UPDATE SKIP LOCKED
    )
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Limit:
    """So many calls a minute of one kind for one caller, such as an address. None at all is no limit."""

    kind: str
    caller: tuple[str, ...]
    calls: int

    @property
    def key(self) -> str:
        """The digest under which it is counted. Keyed: there are not so many addresses that one could not try all."""
        told = "\0".join((self.kind, *self.caller))
        return salted_hmac("identities.limiting", told, algorithm="sha256").hexdigest()


def count(limit: Limit) -> float | None:
    """Count one more call. Returns None while the limit holds, else the seconds until its window is over.

    To be called outside of a transaction: others of the same caller wait for its end.
    """
    if not limit.calls:
        return None
    calls, seconds_left = reading.once(_COUNT, [limit.key, limit.calls])[0]
    return float(seconds_left) if calls > limit.calls else None


def reached(limit: Limit) -> float | None:
    """Whether the limit is reached, without counting: the seconds until its window is over, else None."""
    found = reading.rows(_LOOK, [limit.key, limit.calls]) if limit.calls else []
    return float(found[0][0]) if found else None


def forget_over() -> int:
    """Delete the counts of windows that are over. Returns how many there were."""
    forgotten, deleted = 0, BATCH
    while deleted == BATCH:
        with connection.cursor() as cursor:
            cursor.execute(_FORGET, [BATCH])
            deleted = cursor.rowcount
        forgotten += deleted
    return forgotten
