from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from profiles.models.record import Describable, Record, listed


class Interaction(Describable, Record):
    """Something between a profile and the retailer that is no sale: a visit, a mail opened, a survey answered."""

    kind = "interaction"

    class Action(models.TextChoices):
        BROADCAST = "broadcast", _("broadcast")
        DISCLOSE = "disclose", _("disclose")
        FEEDBACK = "feedback", _("feedback")
        PRODUCT = "product", _("product")
        REACH = "reach", _("reach")
        REFER = "refer", _("refer")
        SERVICE = "service", _("service")
        VISIT = "visit", _("visit")
        VIEW = "view", _("view")

    class Channel(models.TextChoices):
        APP = "app", _("app")
        EMAIL = "email", _("e-mail")
        LOCATION = "location", _("location")
        PUSH = "push", _("push message")
        SMS = "sms", _("text message")
        SOCIAL = "social", _("social")
        SUPPORT = "support", _("support")
        WEBSITE = "website", _("website")

    class Signal(models.IntegerChoices):
        NEGATIVE = -1, _("negative")
        NEUTRAL = 0, _("neutral")
        POSITIVE = 1, _("positive")

    action = models.CharField(_("action"), max_length=16, choices=Action)
    channel = models.CharField(_("channel"), max_length=16, choices=Channel)
    signal = models.SmallIntegerField(_("signal"), choices=Signal)
    name = models.CharField(_("name"), max_length=255)
    namespace = models.CharField(_("namespace"), max_length=255)
    interacted_at = models.DateTimeField(_("interacted"), default=timezone.now)
    url = models.CharField(_("URL"), max_length=2048, blank=True)
    description = models.TextField(_("description"), blank=True)

    class Meta(Record.Meta):
        verbose_name = _("interaction")
        verbose_name_plural = _("interactions")
        constraints = [
            models.CheckConstraint(condition=Q(signal__in=(-1, 0, 1)), name="interaction_signal_minus_1_to_1"),
        ]
        indexes = [
            *Record.Meta.indexes,
            *listed(),
            # A profile's newest, and of a source.
            models.Index(
                fields=["profile", "-interacted_at", "-id"], include=["source"], name="interaction_of_profile"
            ),
            # sort=interacted_at, filter[interacted_at], and a period in the admin's list.
            models.Index(fields=["interacted_at", "id"], include=["profile", "source"], name="interaction_by_time"),
        ]
