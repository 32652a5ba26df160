"""Times in the reader's zone. The browser knows it, and `zone.js` puts its name into a cookie."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from functools import cache

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

COOKIE = "zone"


class ZoneMiddleware:
    """Write times, and read those that are typed, in the zone of the cookie; without a good one, in TIME_ZONE.

    For pages: the API's times are in UTC whoever asks.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        zone = request.COOKIES.get(COOKIE)
        if not zone or zone not in known():
            return self.get_response(request)
        with timezone.override(zone):
            return self.get_response(request)


@cache
def known() -> frozenset[str]:
    """The names that Python and PostgreSQL both know, since lists are cut into days over there.

    Asked once per process: to read all of them takes either a tenth of a second.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_timezone_names")
        return frozenset(name for (name,) in cursor.fetchall()) & zoneinfo.available_timezones()
