"""Whose token is this? Asked by every request of the API, so that a warm process answers without a query."""

from __future__ import annotations

import hmac
import threading
import time
from functools import cache
from typing import cast

from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from identities.models import ApiToken, Extension
from identities.models.api_token import PREFIX, digest
from profiles import reading

# More tokens than these are in use at once at hardly any retailer; the oldest of them is asked for again.
MOST_REMEMBERED = 1_000

# By the digest of a token's text, so that the text itself is not kept: the token, and until when that is believed.
_remembered: dict[str, tuple[ApiToken, float]] = {}
_turn = threading.Lock()

_MODELS = (ApiToken, User, Extension)


def authenticate(plain: str) -> ApiToken | None:
    """The token that this text is, if it may be used now: not revoked, not expired, its owner still welcome.

    What was good is believed for TOKEN_CACHE_SECONDS, in each process by itself: a token that is revoked, or whose
    account or extension is switched off, may be used that much longer. Its end is kept to the moment.
    """
    known = digest(plain)
    token, until = _remembered.get(known, (None, 0.0))
    if token is not None and time.monotonic() < until:
        return token if token.expires_at is None or token.expires_at > timezone.now() else None
    # Before the question, so that the answer is not believed for longer than promised.
    until = time.monotonic() + settings.TOKEN_CACHE_SECONDS
    token = _current(plain)
    if token is not None:
        token.mark_used()
    _remember(known, token, until)
    return token


def forget(token: ApiToken) -> None:
    """Believe no longer that a token is good, in this process."""
    with _turn:
        for known in [known for known, (one, _until) in _remembered.items() if one.pk == token.pk]:
            del _remembered[known]


def _remember(known: str, token: ApiToken | None, until: float) -> None:
    with _turn:
        _remembered.pop(known, None)
        if token is not None and settings.TOKEN_CACHE_SECONDS:
            _remembered[known] = token, until
        if len(_remembered) > MOST_REMEMBERED:
            del _remembered[next(iter(_remembered))]


def _current(plain: str) -> ApiToken | None:
    prefix, _separator, rest = plain.partition("_")
    key, _separator, secret = rest.partition("_")
    if prefix != PREFIX or not (key.isalnum() and key.isascii()):
        return None
    token = _with_owner(key)
    if token is None or not hmac.compare_digest(token.digest, digest(secret)):
        return None
    if not token.user.is_active or (token.extension is not None and not token.extension.enabled):
        return None
    return token


def _with_owner(key: str) -> ApiToken | None:
    """The current token of this key, with its user and extension."""
    rows = reading.rows(_statement(), [key, timezone.now()])
    if not rows:
        return None
    token, user, extension = (
        model.from_db("default", names, rows[0][part]) for model, names, part in reading.parts(*_MODELS)
    )
    token.user, token.extension = user, extension if token.extension_id is not None else None
    return cast(ApiToken, token)


@cache
def _statement() -> str:
    columns = ", ".join(reading.columns(model, f'"{model._meta.model_name}"') for model in _MODELS)
    return f"""
        SELECT {columns} FROM identities_apitoken AS apitoken
        JOIN auth_user AS "user" ON "user".id = apitoken.user_id
        LEFT JOIN identities_extension AS extension ON extension.slug = apitoken.extension_id
        WHERE apitoken.key = %s AND apitoken.revoked_at IS NULL
          AND (apitoken.expires_at IS NULL OR apitoken.expires_at > %s)
    """  # noqa: S608 - constants only
