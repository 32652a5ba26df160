from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from identities.models.extension import Extension
from profiles.models import Profile
from profiles.models.policy import MENTION, References


class RoutingLogEntry(models.Model):
    """One write that met somebody else's identity, or part of which had to be set aside.

    The same event again counts up while its entry is open, instead of flooding the list: `fingerprint` is a hash of
    what makes two events the same. Only occurrences, last seen and the review ever change.
    """

    class Outcome(models.TextChoices):
        IDENTITY_TAKEN = "identity_taken", _("identity taken")
        REROUTED = "rerouted", _("rerouted")
        CONFLICT = "conflict", _("conflict")
        REFUSED = "refused", _("refused")
        RELEASED_FROM = "released_from", _("released from a deleted profile")
        CLAIM_OVERRIDDEN = "claim_overridden", _("claim overridden")

    class Review(models.TextChoices):
        OPEN = "open", _("open")
        REVIEWED = "reviewed", _("reviewed")
        DISMISSED = "dismissed", _("dismissed")

    references: ClassVar[References] = {"requested_profile": MENTION, "routed_profile": MENTION}

    outcome = models.CharField(_("outcome"), max_length=16, choices=Outcome)
    kind = models.CharField(_("kind of record"), max_length=32)
    code = models.CharField(_("reason code"), max_length=64, blank=True)
    handle = models.CharField(_("handle"), max_length=64, blank=True)
    identifier = models.CharField(_("identifier"), max_length=255, blank=True)
    requested_profile = models.ForeignKey(
        Profile,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("requested profile"),
        db_index=False,
    )
    routed_profile = models.ForeignKey(
        Profile,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("routed profile"),
        db_index=False,
    )
    candidates = ArrayField(models.UUIDField(), verbose_name=_("candidates"), default=list, blank=True)
    payload = models.JSONField(_("payload"), default=dict, blank=True, encoder=DjangoJSONEncoder)
    source = models.ForeignKey(
        Extension,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("source"),
        db_column="source",
        db_index=False,
    )
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("by"))
    occurrences = models.PositiveIntegerField(_("occurrences"), default=1)
    created_at = models.DateTimeField(_("first seen"), default=timezone.now)
    last_seen_at = models.DateTimeField(_("last seen"), default=timezone.now)
    review_status = models.CharField(_("review status"), max_length=16, choices=Review, default=Review.OPEN)
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("reviewed by"),
    )
    reviewed_at = models.DateTimeField(_("reviewed"), null=True, blank=True)
    review_note = models.TextField(_("note"), blank=True)
    fingerprint = models.CharField(max_length=64, editable=False)

    class Meta:
        verbose_name = _("routing log entry")
        verbose_name_plural = _("routing log entries")
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["fingerprint"], condition=Q(review_status="open"), name="one_open_entry_per_event"
            ),
        ]
        indexes = [
            # filter[...] of GET /routing-log, newest first.
            models.Index(fields=["outcome", "-id"], name="routing_log_by_outcome"),
            models.Index(fields=["handle", "-id"], name="routing_log_by_handle"),
            models.Index(fields=["source", "-id"], name="routing_log_by_source"),
            models.Index(fields=["review_status", "-id"], name="routing_log_by_review"),
            models.Index(fields=["created_at", "id"], name="routing_log_by_time"),
            # The filters of the admin's list, what was seen last first; from one open entry to the next. Each has what
            # the others ask for, so that a combination that hardly any entry has is found out without reading entries.
            models.Index(
                fields=["last_seen_at", "id"],
                include=["review_status", "outcome", "code", "handle", "source"],
                name="routing_log_by_last_seen",
            ),
            models.Index(
                fields=["review_status", "last_seen_at", "id"],
                include=["outcome", "code", "handle", "source"],
                name="routing_log_review_seen",
            ),
            models.Index(
                fields=["outcome", "last_seen_at", "id"],
                include=["review_status", "code", "handle", "source"],
                name="routing_log_outcome_seen",
            ),
            models.Index(
                fields=["code", "last_seen_at", "id"],
                include=["review_status", "outcome", "handle", "source"],
                condition=~Q(code=""),
                name="routing_log_reason_seen",
            ),
            models.Index(
                fields=["handle", "last_seen_at", "id"],
                include=["review_status", "outcome", "code", "source"],
                name="routing_log_handle_seen",
            ),
            models.Index(
                fields=["source", "last_seen_at", "id"],
                include=["review_status", "outcome", "code", "handle"],
                condition=Q(source__isnull=False),
                name="routing_log_source_seen",
            ),
            # Staff are no extension; the planner sees that rows stand in order behind a value, but not behind none.
            models.Index(
                fields=["last_seen_at", "id"],
                include=["review_status", "outcome", "code", "handle"],
                condition=Q(source__isnull=True),
                name="routing_log_staff_seen",
            ),
            # The entries that concern a profile, newest first, on its page.
            models.Index(fields=["requested_profile", "-id"], name="routing_log_by_requested"),
            models.Index(fields=["routed_profile", "-id"], name="routing_log_by_routed"),
            GinIndex(fields=["candidates"], name="routing_log_by_candidate"),
            # What was reviewed at once, for taking it back.
            models.Index(
                fields=["reviewed_at", "id"], condition=Q(reviewed_at__isnull=False), name="routing_log_by_reviewed"
            ),
            # The same event before; the open one has the constraint's index.
            models.Index(fields=["fingerprint"], condition=~Q(review_status="open"), name="routing_log_past_by_event"),
            # What else happened to this pair.
            models.Index(fields=["handle", "identifier", "-id"], name="routing_log_by_pair"),
            # How many entries are open, by outcome, extension and reason: the start page, an extension's health.
            models.Index(
                fields=["outcome", "source", "code"], condition=Q(review_status="open"), name="routing_log_open"
            ),
        ]

    def __str__(self) -> str:
        # Without the pair: its handle may have become sensitive since, and names end up in titles and messages.
        return f"{self.get_outcome_display()} #{self.pk}"

    @property
    def is_emptied(self) -> bool:
        """Whether a profile that it told of was erased: no event has its fingerprint any more, since it is empty."""
        return not self.fingerprint

    @property
    def named(self) -> set[uuid.UUID]:
        """The ids of all profiles that it names; what they mean today, `Profile.objects.survivors` says."""
        every = (*self.candidates, self.requested_profile_id, self.routed_profile_id)
        return {pk for pk in every if pk is not None}
