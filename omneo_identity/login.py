"""Logging in to the admin: who may, and how often it may fail.

django-axes counts the failures, in the database, so that the limits hold over all processes. They stop guessing from
one place, and nobody else: whoever fails on purpose under a colleague's name shuts out that name from there only.
What they do not stop is guessing from very many addresses at once; that is what long passwords are for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Max, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from omneo_identity.api.addresses import client_address, network

Credentials = Mapping[str, Any]


class StaffBackend(ModelBackend):
    """Only staff has anything to log in to.

    Refused here, the right password of somebody else counts as one more failure and looks like any other.
    """

    def user_can_authenticate(self, user: User | AnonymousUser | None) -> bool:
        return user is not None and user.is_staff and super().user_can_authenticate(user)


class FailedLogins(AxesDatabaseHandler):
    """Two limits: a low one for a name from an address, and a high one for all that an address tries."""

    def get_failures(self, request: HttpRequest, credentials: Credentials | None = None) -> int:
        """The failures, measured by AXES_FAILURE_LIMIT, the only limit that the library knows."""
        return max(
            failures * settings.AXES_FAILURE_LIMIT // limit
            for failures, limit, _last in self._counted(request, credentials)
        )

    def ends_at(self, request: HttpRequest, credentials: Credentials | None) -> datetime:
        """When the same login is allowed again, at the latest."""
        reached = [last for failures, limit, last in self._counted(request, credentials) if failures >= limit and last]
        return max(reached) + settings.AXES_COOLOFF_TIME if reached else timezone.now()

    def reset_user_attempts(self, request: HttpRequest, credentials: Credentials | None = None) -> int:
        """Forget what this name did from this address.

        The rest of what the address did stays: one login of their own would give a guesser another round.
        """
        own, _of_address = self.filter_user_attempts(request, credentials)
        deleted, _by_model = own.delete()
        return int(deleted)

    def user_login_failed(
        self, sender: Any, credentials: Credentials, request: HttpRequest | None = None, **kwargs: Any
    ) -> None:
        if request is not None:
            # The library keeps a row for each browser, and whatever a client says of itself.
            request.axes_user_agent = request.axes_http_accept = ""  # type: ignore[attr-defined]
        super().user_login_failed(sender, credentials, request, **kwargs)

    def _counted(
        self, request: HttpRequest, credentials: Credentials | None
    ) -> Iterator[tuple[int, int, datetime | None]]:
        """For each of the two: failures, their limit, and when the last one was."""
        limits = (settings.AXES_FAILURE_LIMIT, settings.FAILURES_PER_ADDRESS)
        for attempts, limit in zip(self.get_user_attempts(request, credentials), limits, strict=True):
            found = attempts.aggregate(failures=Sum("failures_since_start", default=0), last=Max("attempt_time"))
            yield found["failures"], limit, found["last"]


def name(request: HttpRequest, credentials: Credentials | None) -> str:
    """The name that was typed, as a digest: often enough it is the password, in the wrong field."""
    typed = (credentials or {}).get("username") or ""
    return salted_hmac("omneo_identity.login", typed, algorithm="sha256").hexdigest()


def address(request: HttpRequest) -> str | None:
    """Where a login comes from."""
    return network(client_address(request))


def described(name: str, address: str | None, *_rest: Any) -> str:
    """Who failed, for the log."""
    return address or "an unknown address"


def refuse(request: HttpRequest, response: HttpResponse, credentials: Credentials | None) -> HttpResponse:
    """Answer 429, the same whether anybody has that name or not."""
    seconds = (FailedLogins().ends_at(request, credentials) - timezone.now()).total_seconds()
    seconds = max(1, math.ceil(seconds))
    context = {
        **admin.site.each_context(request),
        "title": _("Too many failed logins"),
        "minutes": math.ceil(seconds / 60),
    }
    refused = render(request, "admin/refused_login.html", context, status=429)
    refused.headers["Retry-After"] = str(seconds)
    add_never_cache_headers(refused)
    return refused
