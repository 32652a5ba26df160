from __future__ import annotations

import uuid
from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from profiles.models.policy import HISTORY_OF_PROFILE, References
from profiles.models.profile import Profile

# What may speak for a pair, as `evidence.KINDS` weighs and tells it: by each of these, the queue is looked through.
EVIDENCE = ("conflict", "details", "email", "phone")


class Probe(Exists):
    """An EXISTS that is asked of each row by an index.

    With the OFFSET, the planner cannot join the whole table instead, as it would for a rare kind of evidence.
    """

    template = "EXISTS(%(subquery)s OFFSET 0)"


class DuplicatePairQuerySet(models.QuerySet["DuplicatePair"]):
    def offered(self) -> Self:
        """What the queue shows: open rows of two different live profiles of which nobody has said that they are two,
        and of several rows of the same two only the best.

        A page reads its rows by an index in the order of the list, and asks an index and a key about each. So does a
        count, which stops at its bound: of a join the planner would sort all rows first.
        """
        status = DuplicatePair.Status
        same = DuplicatePair.objects.filter(low=OuterRef("low"), high=OuterRef("high")).order_by()
        better = Q(score__gt=OuterRef("score")) | Q(score=OuterRef("score"), pk__gt=OuterRef("pk"))
        gone = Q(profile_type=Profile.Type.DELETED) | Q(merged_into__isnull=False)
        both = Profile.objects.filter(pk__in=[OuterRef("low"), OuterRef("high")]).order_by()
        return self.filter(
            ~Q(low=F("high")),
            ~Probe(same.filter(Q(status=status.DISMISSED) | Q(better, status=status.OPEN))),
            ~Probe(both.filter(gone)),
            status=status.OPEN,
        )

    def of(self, profile_id: uuid.UUID) -> Self:
        """Those of a profile as it stands today; its id is literal."""
        return self.filter(Q(low=profile_id) | Q(high=profile_id))


class DuplicatePair(models.Model):
    """Two profiles that may be one person, and what became of that: one row per pair for ever (DESIGN 5).

    `first` and `second` are literal, in key order. `low` and `high` are the profiles that these two stand for today,
    also in key order, the same one where they have become one; merging and undo keep them up.
    """

    class Status(models.TextChoices):
        OPEN = "open", _("open")
        DISMISSED = "dismissed", _("not the same person")
        MERGED = "merged", _("merged")

    references: ClassVar[References] = dict.fromkeys(("first", "second", "low", "high"), HISTORY_OF_PROFILE)

    first = models.ForeignKey(
        "profiles.Profile", models.CASCADE, related_name="+", verbose_name=_("first"), db_index=False
    )
    second = models.ForeignKey("profiles.Profile", models.CASCADE, related_name="+", verbose_name=_("second"))
    low = models.ForeignKey("profiles.Profile", models.CASCADE, related_name="+", editable=False, db_index=False)
    high = models.ForeignKey("profiles.Profile", models.CASCADE, related_name="+", editable=False)
    # What speaks for it, by the word of what was seen; `duplicates` says what stands under each.
    evidence = models.JSONField(_("evidence"), default=dict)
    score = models.FloatField(_("score"), default=0)
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.OPEN)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("decided by")
    )
    at = models.DateTimeField(_("decided"), null=True, blank=True)
    note = models.TextField(_("note"), blank=True)
    created_at = models.DateTimeField(_("first seen"), default=timezone.now)
    updated_at = models.DateTimeField(_("last seen"), default=timezone.now)

    objects = DuplicatePairQuerySet.as_manager()

    class Meta:
        verbose_name = _("duplicate pair")
        verbose_name_plural = _("duplicate pairs")
        ordering = ["-score", "-pk"]
        default_permissions = ("view", "change")
        constraints = [
            models.UniqueConstraint(fields=["first", "second"], name="unique_together_first_second"),
            models.CheckConstraint(condition=Q(first__lt=F("second")), name="duplicate_pair_in_key_order"),
            models.CheckConstraint(condition=Q(low__lte=F("high")), name="duplicate_pair_survivors_in_key_order"),
            # What has become one is in no queue, and what is in the queue is two.
            models.CheckConstraint(
                condition=Q(status="merged", low=F("high")) | (~Q(status="merged") & Q(low__lt=F("high"))),
                name="duplicate_pair_merged_while_one",
            ),
        ]
        indexes = [
            # The queue, the likeliest first.
            models.Index(fields=["status", "-score", "-id"], name="duplicate_pair_queue"),
            # sort=created_at of GET /duplicates.
            models.Index(fields=["status", "created_at", "id"], name="duplicate_pair_by_created"),
            # The queue by what speaks for a pair. Whatever few pairs have is in an index that is as small.
            *(
                models.Index(
                    fields=["status", "-score", "-id"],
                    condition=Q(evidence__has_key=word),
                    name=f"duplicate_pair_{word}",
                )
                for word in EVIDENCE
            ),
            # What else is known of the two that a pair stands for today.
            models.Index(fields=["low", "high", "status"], name="duplicate_pair_of_survivors"),
        ]

    def __str__(self) -> str:
        return f"{self.first_id} = {self.second_id}"
