from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from profiles.models.policy import MENTION, References


class Audit(models.Model):
    """Who changed which row, when, through what, and from what to what (API.md 8). Never changed once written."""

    references: ClassVar[References] = {"profile": MENTION}

    # Not kept with the entry. What its event is to tell that is not to be found later, which is asked for only if
    # somebody listens; of several, each is an event of its own. And whether it is of what the API hides, and no event.
    facts: Callable[[], Sequence[dict[str, Any]]] | None = None
    is_hidden: bool = False

    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("by"), db_index=False
    )
    event = models.CharField(_("event"), max_length=32)
    auditable_type = models.CharField(_("kind of row"), max_length=32)
    auditable_key = models.CharField(_("key of the row"), max_length=64)
    old_values = models.JSONField(_("old values"), default=dict, encoder=DjangoJSONEncoder)
    new_values = models.JSONField(_("new values"), default=dict, encoder=DjangoJSONEncoder)
    profile = models.ForeignKey(
        "profiles.Profile",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="audits",
        verbose_name=_("profile"),
        db_index=False,
    )
    url = models.CharField(_("URL"), max_length=512, blank=True)
    ip_address = models.GenericIPAddressField(_("IP address"), null=True, blank=True)
    token_name = models.CharField(_("token"), max_length=255, blank=True)
    user_agent = models.CharField(_("user agent"), max_length=512, blank=True)
    created_at = models.DateTimeField(_("at"), default=timezone.now)

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit")
        ordering = ["-pk"]
        indexes = [
            # "What happened to this row?", from its admin page.
            models.Index(fields=["auditable_type", "auditable_key", "id"], name="audit_by_row"),
            # filter[event] of GET /audits, newest first.
            models.Index(fields=["event", "-id"], name="audit_by_event"),
            # The newest changes of a profile, on its page.
            models.Index(fields=["profile", "-id"], name="audit_by_profile"),
            # filter[created_at] of GET /audits.
            models.Index(fields=["created_at", "id"], name="audit_by_time"),
            # What one account wrote in a day. It serves the foreign key, too.
            models.Index(fields=["by", "created_at"], name="audit_by_account"),
        ]

    def __str__(self) -> str:
        return f"{self.auditable_type} {self.auditable_key}: {self.event}"
