from __future__ import annotations

import datetime
import hashlib
import secrets
from collections.abc import Iterable

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from identities.models.extension import Extension

PREFIX = "omneo"

# "Last used" is for people, so once a minute is enough; a write for every request would be the hottest row of all.
LAST_USED_STEP = datetime.timedelta(minutes=1)

# How long before its end a token is told about: time enough to issue the next and bring it to where it is used.
SOON = datetime.timedelta(days=14)


def digest(secret: str) -> str:
    """What is kept of a secret. It has 256 random bits, so that a plain hash is as good as a slow one."""
    return hashlib.sha256(secret.encode()).hexdigest()


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def current(self) -> ApiTokenQuerySet:
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), revoked_at=None)

    def expiring(self) -> ApiTokenQuerySet:
        """Those that are good today, and not for long."""
        return self.current().filter(expires_at__lte=timezone.now() + SOON)

    def expired(self) -> ApiTokenQuerySet:
        return self.filter(expires_at__lte=timezone.now(), revoked_at=None)


class ApiToken(models.Model):
    """A bearer token of the API. Its secret is shown once; the row keeps a public key to find it and a digest."""

    key = models.CharField(_("key"), max_length=32, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    name = models.CharField(_("name"), max_length=255)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_tokens", verbose_name=_("user")
    )
    extension = models.ForeignKey(
        Extension, models.CASCADE, null=True, blank=True, related_name="api_tokens", verbose_name=_("extension")
    )
    scopes = ArrayField(models.CharField(max_length=255), verbose_name=_("scopes"), default=list, blank=True)
    rate_limit = models.PositiveIntegerField(
        _("rate limit"), null=True, blank=True, help_text=_("Requests per minute; empty for no limit.")
    )
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def issue(
        cls,
        *,
        user: User,
        name: str,
        scopes: Iterable[str],
        extension: Extension | None = None,
        expires_at: datetime.datetime | None = None,
        rate_limit: int | None = None,
    ) -> tuple[ApiToken, str]:
        """Make a token. Returns its row and its full text, which is not kept and cannot be shown again."""
        key, secret = secrets.token_hex(8), secrets.token_hex(32)
        token = cls.objects.create(
            key=key,
            digest=digest(secret),
            user=user,
            name=name,
            scopes=list(dict.fromkeys(scopes)),
            extension=extension,
            expires_at=expires_at,
            rate_limit=rate_limit,
        )
        return token, f"{PREFIX}_{key}_{secret}"

    def revoke(self) -> None:
        self.revoked_at = timezone.now()
        self.save(update_fields=["revoked_at", "updated_at"])

    def mark_used(self) -> None:
        now = timezone.now()
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now - LAST_USED_STEP)
        if self.last_used_at is None or self.last_used_at < now - LAST_USED_STEP:
            ApiToken.objects.filter(stale, pk=self.pk).update(last_used_at=now)
