from __future__ import annotations

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _


class Target(models.Model):
    """An address that deliveries go to, whoever has them sent there: what is known of how it does.

    Its circuit is open while it has failed so often that nothing is sent to it but one delivery now and then, to see.
    """

    url = models.URLField(_("URL"), max_length=2048, unique=True)
    muted_at = models.DateTimeField(_("muted"), null=True, blank=True)
    muted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("muted by")
    )
    # When it was let hear again: what waited for that is no older.
    unmuted_at = models.DateTimeField(_("unmuted"), null=True, blank=True)
    # In a row, up to now.
    failures = models.PositiveIntegerField(_("failures"), default=0)
    # While the circuit is open: since when, and when the next one is sent to see.
    opened_at = models.DateTimeField(_("circuit open since"), null=True, blank=True)
    next_look_at = models.DateTimeField(_("next look"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("target")
        verbose_name_plural = _("targets")
        ordering = ["url"]
        default_permissions = ("view", "change")

    def __str__(self) -> str:
        return self.url


class WebhookQuerySet(models.QuerySet["Webhook"]):
    def listening(self) -> Self:
        """Those that send: of an account that is active, and of no extension that is disabled."""
        sending: Self = self.filter(is_active=True, user__is_active=True).exclude(user__extension__enabled=False)
        return sending


class Webhook(models.Model):
    """Each event of one trigger goes to one address, if its condition holds (API.md 7).

    Any trigger name can be stored; one that is unknown never fires.
    """

    class Queue(models.TextChoices):
        LOW = "low", _("low")
        DEFAULT = "default", _("default")
        HIGH = "high", _("high")

    trigger = models.CharField(_("trigger"), max_length=64)
    url = models.URLField(_("URL"), max_length=2048)
    namespace = models.CharField(_("namespace"), max_length=128, blank=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("by"))
    is_active = models.BooleanField(_("active"), default=True)
    retry_hourly = models.BooleanField(_("retry each hour"), default=False)
    retry_daily = models.BooleanField(_("retry each day"), default=False)
    queue = models.CharField(_("queue"), max_length=16, choices=Queue, blank=True)
    # JSON Logic over the context of the event.
    condition = models.JSONField(_("condition"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now, editable=False)

    objects = WebhookQuerySet.as_manager()

    class Meta:
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        ordering = ["-pk"]
        indexes = [
            # Who listens to what, asked by each write.
            models.Index(fields=["trigger"], condition=Q(is_active=True), name="webhook_listening"),
        ]

    def __str__(self) -> str:
        return f"{self.trigger} → {Truncator(self.url).chars(60)}"
