from __future__ import annotations

from typing import ClassVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from profiles.models.policy import HISTORY_OF_PROFILE, References


class Event(models.Model):
    """Something that happened to a profile or to what is of it, while somebody listened (API.md 7).

    Written in the transaction of the change that it tells of, so that it is there exactly if that is. It names the row
    and holds no copy of it, but for what is not to be found later: `facts`.
    """

    references: ClassVar[References] = {"profile": HISTORY_OF_PROFILE}

    trigger = models.CharField(_("trigger"), max_length=64)
    profile = models.ForeignKey(
        "profiles.Profile",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="events",
        verbose_name=_("profile"),
        db_index=False,
    )
    subject_type = models.CharField(_("kind of row"), max_length=32)
    subject_key = models.CharField(_("key of the row"), max_length=64)
    # What the audit says was changed by it, from what and to what; what is deleted stands there as it last was.
    facts = models.JSONField(_("facts"), default=dict, encoder=DjangoJSONEncoder)
    # How many reactions lie between it and what came from outside.
    depth = models.PositiveSmallIntegerField(_("caused by reactions"), default=0)
    created_at = models.DateTimeField(_("at"), default=timezone.now)
    # When the worker has seen who listens, and has made the deliveries.
    taken_up_at = models.DateTimeField(_("taken up"), null=True, blank=True)
    # Whom it could not be told to, and why: `webhook`, or `reaction` and `action`, by their ids, and a `message`.
    faults = models.JSONField(_("faults"), default=list, blank=True)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["-pk"]
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["profile", "-id"], name="event_by_profile"),
            # What is old enough to be forgotten.
            models.Index(fields=["created_at"], name="event_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.trigger} {self.subject_key}"
