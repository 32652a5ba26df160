from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from profiles.models.policy import HISTORY_OF_PROFILE, References


class Move(models.Model):
    """One row that went from one profile to another: by hand, by a decision, or because its profile was deleted.

    A record may come from nobody, and go back there. The subject is named by kind and key and not by a foreign key:
    the move outlives it. The subject's pair is kept as text for the same reason.
    """

    class Cause(models.TextChoices):
        ASKED = "asked", _("asked for")
        RELEASED = "released", _("taken over from a deleted profile")
        DECIDED = "decided", _("decided in the routing log")
        SPLIT = "split", _("split off")
        ROUTED = "routed", _("found its profile later")

    # What brings a row to a profile as its first coming does: nobody decided that it should leave another.
    ARRIVALS = (Cause.RELEASED, Cause.ROUTED)

    references: ClassVar[References] = {"from_profile": HISTORY_OF_PROFILE, "to_profile": HISTORY_OF_PROFILE}

    subject_type = models.CharField(_("kind of row"), max_length=32)
    subject_key = models.CharField(_("key of the row"), max_length=64)
    handle = models.CharField(_("handle"), max_length=64, blank=True)
    identifier = models.CharField(_("identifier"), max_length=255, blank=True)
    from_profile = models.ForeignKey(
        "profiles.Profile",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="moves_from",
        verbose_name=_("from"),
        db_index=False,
    )
    to_profile = models.ForeignKey(
        "profiles.Profile",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="moves_to",
        verbose_name=_("to"),
        db_index=False,
    )
    cause = models.CharField(_("cause"), max_length=16, choices=Cause, default=Cause.ASKED)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("by"))
    at = models.DateTimeField(_("at"), default=timezone.now)
    reason = models.TextField(_("reason"), blank=True)
    undone_at = models.DateTimeField(_("undone"), null=True, blank=True)

    class Meta:
        verbose_name = _("move")
        verbose_name_plural = _("moves")
        ordering = ["-pk"]
        indexes = [
            # "Where did this row come from?", and whether a move takes an earlier one back.
            models.Index(fields=["subject_type", "subject_key", "id"], name="move_by_subject"),
            # What came to a profile and what left it, newest first, on its page.
            models.Index(fields=["from_profile", "-id"], name="move_by_former_profile"),
            models.Index(fields=["to_profile", "-id"], name="move_by_profile"),
        ]

    def __str__(self) -> str:
        return f"{self.subject_type} {self.subject_key}: {self.from_profile_id} -> {self.to_profile_id}"
