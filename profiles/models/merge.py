from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from profiles.models.policy import HISTORY_OF_PROFILE, References


class MergeQuerySet(models.QuerySet["Merge"]):
    def live(self) -> MergeQuerySet:
        """Those that nobody has undone."""
        return self.filter(undone_at=None)

    def ever_above(self, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
        """These profiles, and all of which they are or have been a part. One query more than the longest chain."""
        found = ahead = set(ids)
        while ahead:
            ahead = set(self.filter(duplicate__in=ahead).values_list("survivor", flat=True)) - found
            found = found | ahead
        return found


class Merge(models.Model):
    """One duplicate that became part of one survivor, and all that is needed to take that back (DESIGN 5).

    `fields` says per field what the survivor took over by this merge: `former` and `adopted` are values, `former_of`
    and `of` the profiles whose they are, `chosen` whether somebody asked for it. An entry stands here as long as the
    survivor's value rests on it; merges and undos that follow move it along.
    """

    class Cause(models.TextChoices):
        ASKED = "asked", _("asked for")
        AUTOMATIC = "automatic", _("by itself, as its handles say")

    references: ClassVar[References] = {"survivor": HISTORY_OF_PROFILE, "duplicate": HISTORY_OF_PROFILE}

    survivor = models.ForeignKey(
        "profiles.Profile", models.CASCADE, related_name="merges", verbose_name=_("survivor"), db_index=False
    )
    duplicate = models.ForeignKey(
        "profiles.Profile", models.CASCADE, related_name="merges_as_duplicate", verbose_name=_("duplicate")
    )
    cause = models.CharField(_("cause"), max_length=16, choices=Cause, default=Cause.ASKED)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("by"))
    at = models.DateTimeField(_("at"), default=timezone.now)
    reason = models.TextField(_("reason"), blank=True)
    fields = models.JSONField(_("fields taken over"), default=dict, editable=False)
    # Which identity was the duplicate's primary one, and which identities of either side became inactive.
    primary = models.BigIntegerField(null=True, editable=False)
    deactivated = ArrayField(models.BigIntegerField(), default=list, editable=False)
    # The entries of the routing log that it settled.
    closed = ArrayField(models.BigIntegerField(), default=list, editable=False)
    # The contact points that the survivor showed before.
    shown = models.JSONField(default=dict, editable=False)
    # The highest key of each table then: what has a higher one came later. Keys are handed out under the survivor's
    # lock, so that this is exact, and no clock is asked.
    marks = models.JSONField(default=dict, editable=False)
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("undone by"),
    )
    undone_at = models.DateTimeField(_("undone"), null=True, blank=True, editable=False)
    undo_reason = models.TextField(_("reason of the undo"), blank=True, editable=False)
    undo_report = models.JSONField(_("what the undo did"), default=dict, editable=False)

    objects = MergeQuerySet.as_manager()

    class Meta:
        verbose_name = _("merge")
        verbose_name_plural = _("merges")
        ordering = ["-pk"]
        default_permissions = ("view",)
        permissions = [("unmerge_merge", "Can undo merges")]
        constraints = [
            models.UniqueConstraint(
                fields=["duplicate"], condition=Q(undone_at=None), name="one_live_merge_per_duplicate"
            ),
            models.CheckConstraint(condition=~Q(survivor=F("duplicate")), name="merge_not_with_itself"),
            models.CheckConstraint(
                condition=Q(undone_at=None, undone_by=None) | Q(undone_at__isnull=False, undone_by__isnull=False),
                name="merge_undone_by_somebody",
            ),
        ]
        indexes = [
            # filter[survivor] of GET /merges, and what was merged into a profile.
            models.Index(fields=["survivor", "-id"], name="merge_by_survivor"),
            # The filters of the admin's list: by cause, and what was undone. Each has what the other asks for.
            models.Index(fields=["cause", "-id"], include=["undone_at"], name="merge_by_cause"),
            models.Index(fields=["-id"], include=["cause"], condition=~Q(undone_at=None), name="merge_undone"),
        ]

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} #{self.pk}"


class TakenRows(models.Model):
    """The keys of the rows of one table that a merge moved from the duplicate to the survivor, for undo.

    One array instead of a row for each: a hundred thousand transactions are moved and noted by one statement. Of
    identities the pairs are kept, too: what one brought goes home also when it has been deleted since.
    """

    merge = models.ForeignKey(Merge, models.CASCADE, related_name="taken")
    table = models.CharField(max_length=64)
    keys = ArrayField(models.TextField())
    pairs = models.JSONField(default=list)

    class Meta:
        verbose_name = _("rows taken by a merge")
        verbose_name_plural = _("rows taken by merges")
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["merge", "table"], name="unique_together_merge_table")]

    def __str__(self) -> str:
        return f"{self.merge_id} {self.table}"
