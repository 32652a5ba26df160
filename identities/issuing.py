"""Issue API tokens and revoke them, each with its entry in the audit."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db import transaction

from identities import authenticating
from identities.models import ApiToken, Extension
from profiles import auditing
from profiles.auditing import By


def issue(
    *,
    user: User,
    name: str,
    scopes: Iterable[str],
    extension: Extension | None,
    by: By,
    expires_at: datetime.datetime | None = None,
    rate_limit: int | None = None,
) -> tuple[ApiToken, str]:
    """Make a token. Returns its row and its full text, which is not kept and cannot be shown again.

    In: `user` is the account that the token acts for: an extension's service account, or a member of staff;
    `rate_limit`, requests per minute, None for no limit.
    """
    with transaction.atomic():
        token, plain = ApiToken.issue(
            user=user, name=name, scopes=scopes, extension=extension, expires_at=expires_at, rate_limit=rate_limit
        )
        new = {
            "name": token.name,
            "key": token.key,
            "user": token.user.pk,
            "extension": token.extension_id,
            "scopes": token.scopes,
            "expires_at": token.expires_at,
            "rate_limit": token.rate_limit,
        }
        auditing.write([auditing.entry("created", token, by=by, new=new)])
    return token, plain


def revoke(token: ApiToken, *, by: By) -> ApiToken:
    """End a token for good. One that was revoked before stays as it is, with its first time."""
    with transaction.atomic():
        token = ApiToken.objects.select_for_update(no_key=True).get(pk=token.pk)
        if token.revoked_at is None:
            token.revoke()
            # The other processes need some seconds to notice.
            transaction.on_commit(lambda: authenticating.forget(token))
            auditing.write([auditing.entry("revoked", token, by=by, old={"name": token.name, "key": token.key})])
    return token
