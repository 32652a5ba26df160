from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from profiles.models.record import Amount, Record, RecordQuerySet, listed

# The point definition that exists from the start (API.md 4), and is meant where none is named.
FIRST_POINT_DEFINITION = 1


class BalanceQuerySet(RecordQuerySet):
    def current(self) -> Self:
        """What counts in the balance: something is left of it, and it has not expired."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now())).exclude(value_remaining=0)


class BalanceRecord(Record):
    """Something a profile may spend: the balance is the sum of what remains of those that have not expired."""

    value_initial = Amount(_("initial value"))
    value_remaining = Amount(_("remaining value"))
    issued_at = models.DateTimeField(_("issued"))
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)

    objects = BalanceQuerySet.as_manager()  # type: ignore[misc]  # the stubs take a manager for a class variable

    class Meta(Record.Meta):
        abstract = True
        indexes = [
            *Record.Meta.indexes,
            *listed(),
            # The balance of a profile, without a look at the rows, and without those that are spent, which are all but
            # a few where there are a hundred thousand.
            models.Index(
                fields=["profile", "expires_at"],
                include=["value_remaining"],
                condition=~Q(value_remaining=0),
                name="%(class)s_left_of_profile",
            ),
            models.Index(fields=["profile", "-id"], name="%(class)s_of_profile"),
            # On the profile's page, among all that happened.
            models.Index(
                fields=["profile", "-issued_at", "-id"], include=["source"], name="%(class)s_of_profile_by_time"
            ),
            # sort=issued_at, filter[issued_at], and a period in the admin's list.
            models.Index(fields=["issued_at", "id"], include=["profile", "source"], name="%(class)s_by_issued"),
        ]


class Definition(models.Model):
    name = models.CharField(_("name"), max_length=255)
    handle = models.CharField(_("handle"), max_length=255, unique=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now, editable=False)

    class Meta:
        abstract = True
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def keep(cls, pk: int) -> bool:
        """Whether there is a definition of this key; if so, nobody deletes it before the commit.

        It is the lock that a foreign key takes anyway, for which Django has no words.
        """
        sql = f"SELECT id FROM {cls._meta.db_table} WHERE id = %s FOR KEY SHARE"  # noqa: S608 - a table of ours
        return bool(list(cls._default_manager.raw(sql, [pk])))


class PointDefinition(Definition):
    """A kind of points. One exists from the start."""

    class Meta(Definition.Meta):
        verbose_name = _("point definition")
        verbose_name_plural = _("point definitions")


class RewardDefinition(Definition):
    """A kind of reward: what it is worth, and for how long."""

    value = Amount(_("value"), default=0)
    # Free words of the wire, which nothing here goes by.
    period = models.JSONField(_("period"), null=True, blank=True)
    period_type = models.CharField(_("period type"), max_length=64, blank=True)
    type = models.CharField(_("type"), max_length=64, blank=True)
    is_assignable = models.BooleanField(_("assignable"), default=True)
    is_published = models.BooleanField(_("published"), default=True)

    class Meta(Definition.Meta):
        verbose_name = _("reward definition")
        verbose_name_plural = _("reward definitions")


class Point(BalanceRecord):
    """Points given at once."""

    kind = "point"

    definition = models.ForeignKey(
        PointDefinition,
        models.PROTECT,
        default=FIRST_POINT_DEFINITION,
        related_name="points",
        verbose_name=_("definition"),
    )
    meta = models.JSONField(_("meta"), default=dict, blank=True)

    class Meta(BalanceRecord.Meta):
        verbose_name = _("points")
        verbose_name_plural = _("points")


class Reward(BalanceRecord):
    """A reward in money. `timezone` keeps where its times were that o'clock."""

    kind = "reward"

    definition = models.ForeignKey(
        RewardDefinition,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="rewards",
        verbose_name=_("definition"),
    )
    timezone = models.CharField(_("time zone"), max_length=64)

    class Meta(BalanceRecord.Meta):
        verbose_name = _("reward")
        verbose_name_plural = _("rewards")
