from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from profiles.models.event import Event
from profiles.models.policy import HISTORY_OF_PROFILE, References
from profiles.models.reaction import Action
from profiles.models.webhook import Target, Webhook


class Delivery(models.Model):
    """One event on its way to one target, and what came of it (API.md 7).

    The body is made once and kept as it goes out, so that each retry sends the same bytes under the same `webhook-id`.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        DELIVERED = "delivered", _("delivered")
        DEAD = "dead", _("given up")

    references: ClassVar[References] = {"profile": HISTORY_OF_PROFILE}

    event = models.ForeignKey(
        Event, models.CASCADE, related_name="deliveries", verbose_name=_("event"), db_index=False
    )
    # One of the two. It stays when that is deleted, and names nobody then: nobody who deletes a webhook waits until
    # each of many thousand deliveries has been written to.
    webhook = models.ForeignKey(
        Webhook,
        models.DO_NOTHING,
        null=True,
        blank=True,
        related_name="deliveries",
        verbose_name=_("webhook"),
        db_constraint=False,
    )
    action = models.ForeignKey(
        Action,
        models.DO_NOTHING,
        null=True,
        blank=True,
        related_name="deliveries",
        verbose_name=_("action"),
        db_constraint=False,
    )
    target = models.ForeignKey(
        Target, models.PROTECT, related_name="deliveries", verbose_name=_("target"), db_index=False
    )
    profile = models.ForeignKey(
        "profiles.Profile",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("profile"),
        db_index=False,
    )
    # The `webhook-id` of each try.
    message_id = models.CharField(_("message id"), max_length=64, unique=True)
    trigger = models.CharField(_("trigger"), max_length=64)
    body = models.TextField(_("body"))
    retry_hourly = models.BooleanField(default=False)
    retry_daily = models.BooleanField(default=False)
    priority = models.SmallIntegerField(default=0)
    state = models.CharField(_("state"), max_length=16, choices=State, default=State.WAITING)
    tries = models.PositiveIntegerField(_("tries"), default=0)
    # None while an earlier one of its profile is still to go to the target.
    next_try_at = models.DateTimeField(_("next try"), null=True, blank=True)
    # While a worker tries: when it is taken for dead, and another one may.
    taken_until = models.DateTimeField(_("taken until"), null=True, blank=True)
    # Of the last try: what the target answered, cut, or why there was no answer.
    status_code = models.PositiveSmallIntegerField(_("status"), null=True, blank=True)
    answer = models.TextField(_("answer"), blank=True)
    error = models.CharField(_("error"), max_length=255, blank=True)
    created_at = models.DateTimeField(_("made"), default=timezone.now)
    # What its time is counted from: when it was made, or sent again.
    waiting_since = models.DateTimeField(_("waiting since"), default=timezone.now)
    tried_at = models.DateTimeField(_("last try"), null=True, blank=True)
    # When it was delivered, or given up.
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ["-pk"]
        default_permissions = ("view", "change")
        constraints = [
            # An event that is taken up once more makes no second delivery.
            models.UniqueConstraint(fields=["event", "webhook"], name="unique_together_event_webhook"),
            models.UniqueConstraint(fields=["event", "action"], name="unique_together_event_action"),
        ]
        indexes = [
            models.Index(fields=["state", "-id"], name="delivery_by_state"),
            models.Index(fields=["trigger", "-id"], name="delivery_by_trigger"),
            models.Index(fields=["target", "state", "id"], name="delivery_by_target"),
            models.Index(fields=["profile", "-id"], name="delivery_by_profile"),
            # In their order, what is still to go to a target.
            models.Index(fields=["target", "profile", "id"], condition=Q(state="waiting"), name="delivery_waiting"),
            # What is due at a target.
            models.Index(
                fields=["target", "priority", "next_try_at", "id"],
                condition=Q(state="waiting", next_try_at__isnull=False),
                name="delivery_due",
            ),
            models.Index(fields=["target"], condition=Q(taken_until__isnull=False), name="delivery_taken"),
            # What is old enough to be forgotten.
            models.Index(fields=["created_at"], name="delivery_by_time"),
        ]

    def __str__(self) -> str:
        return self.message_id
