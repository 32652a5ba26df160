"""How often a token may call."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.db import connection
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from identities.models import ApiToken

if TYPE_CHECKING:
    # At run time REST framework's views import this module, as one of their defaults.
    from rest_framework.views import APIView

# One statement, so that the count holds over all processes. The window is the database's minute, not ours: clocks of
# machines differ. The count stops one past the limit, where it says all that it has to say.
COUNT = """
UPDATE {table} SET
    window_started_at = CASE WHEN {open} THEN window_started_at ELSE statement_timestamp() END,
    window_count = CASE WHEN {open} THEN least(window_count, %(limit)s) + 1 ELSE 1 END
WHERE id = %(token)s
RETURNING window_count, 60 - extract(epoch FROM statement_timestamp() - window_started_at)
"""
OPEN = "window_started_at > statement_timestamp() - interval '1 minute'"


class TokenThrottle(BaseThrottle):
    """Hold a token to its `rate_limit` per minute. Without one it is free."""

    seconds_left: float | None = None

    def allow_request(self, request: Request, view: APIView) -> bool:
        token = cast("ApiToken | None", request.auth)
        if token is None or token.rate_limit is None:
            return True
        with connection.cursor() as cursor:
            table = connection.ops.quote_name(ApiToken._meta.db_table)
            cursor.execute(COUNT.format(table=table, open=OPEN), {"limit": token.rate_limit, "token": token.pk})
            count, seconds_left = cursor.fetchone() or (1, 0)
        self.seconds_left = float(seconds_left)
        return int(count) <= token.rate_limit

    def wait(self) -> float | None:
        return self.seconds_left
