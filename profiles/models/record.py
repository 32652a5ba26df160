from __future__ import annotations

from typing import Any, ClassVar, Self, TypeVar, cast

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from profiles.models.policy import MENTION, OF_PROFILE, References
from profiles.models.profile import Profile

R = TypeVar("R", bound="Record")

# Room for a billion of any currency, and for the price without tax of one of three.
DIGITS = 19
PLACES = 6


class Amount(models.DecimalField):
    """Money or points, exact."""

    def __init__(self, verbose_name: Any = None, **kwargs: Any) -> None:
        super().__init__(verbose_name, **{"max_digits": DIGITS, "decimal_places": PLACES, **kwargs})


def listed(*columns: str) -> list[models.Index]:
    """The indexes of a list of records, newest first, that may be filtered by source, by these columns, or to those
    of nobody.

    Each has what the list filters by together with it, so that a combination that hardly any row has is found out
    without reading rows; the profile also tells which rows are of live profiles.
    """
    return [
        # filter[source], too.
        models.Index(
            fields=["source", "-id"],
            include=["profile", *columns],
            condition=Q(source__isnull=False),
            name="%(class)s_by_source",
        ),
        # Staff are no extension; the planner sees that rows stand in order behind a value, but not behind none.
        models.Index(
            fields=["-id"],
            include=["profile", *columns],
            condition=Q(source__isnull=True),
            name="%(class)s_by_staff",
        ),
        models.Index(
            fields=["-id"],
            include=["source", *columns],
            condition=Q(profile__isnull=True),
            name="%(class)s_anonymous",
        ),
    ]


class RecordQuerySet(models.QuerySet[Any]):
    def live(self) -> Self:
        """Those of live profiles, and those of nobody: what lists show (API.md 1).

        Asked the other way round, by the few profiles that are deleted, it keeps the order of the list's index: no
        row has to be looked up among all profiles before it is known whether it is on the page.
        """
        deleted = Profile.objects.deleted().filter(pk=OuterRef("profile"))
        return self.exclude(Exists(deleted))

    def anonymous(self) -> Self:
        return self.filter(profile=None)


class Record(models.Model):
    """What a system knows of a profile: a transaction, an interaction, points, a reward.

    Beside where it is, each keeps how it came there (DESIGN 5): undo after later writes, split and the answer to "why
    is this here?" rest on it. The identity that decided is kept as text, too, since it may be deleted.
    """

    class DecidedBy(models.TextChoices):
        IDENTITY = "identity", _("an identity that was known")
        ID = "id", _("the profile id that was named")
        CONTACT = "contact", _("an e-mail address or phone number")
        NEW = "new", _("nothing known: a profile was made for it")
        NOBODY = "nobody", _("nothing that names anybody")
        ERASED = "erased", _("an identity that was erased")

    # The word for it in API.md: of the log's `kind`, of moves, of `why?record=transaction:43`.
    kind: ClassVar[str]

    references: ClassVar[References] = {"profile": OF_PROFILE, "brought_by": MENTION}

    profile = models.ForeignKey(
        "profiles.Profile",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="%(class)ss",
        verbose_name=_("profile"),
        db_index=False,
    )
    brought_by = models.ForeignKey(
        "identities.Identity",
        models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("brought by"),
        db_index=False,
    )
    # Also when what brought it has been deleted: an undo of a merge still asks.
    brought_by_key = models.BigIntegerField(null=True, editable=False)
    brought_by_handle = models.CharField(max_length=64, blank=True, editable=False)
    brought_by_identifier = models.CharField(max_length=255, blank=True, editable=False)
    decided_by = models.CharField(_("decided by"), max_length=16, choices=DecidedBy, editable=False)
    addressed = models.UUIDField(
        _("addressed"), null=True, blank=True, editable=False, help_text=_("The profile id that the caller named.")
    )
    pairs = models.JSONField(
        _("pairs"), default=list, blank=True, editable=False, help_text=_("The identities as they were sent.")
    )
    log_entry = models.ForeignKey(
        "identities.RoutingLogEntry",
        models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("routing log entry"),
        db_index=False,
    )
    source = models.ForeignKey(
        "identities.Extension",
        models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("source"),
        db_column="source",
        db_index=False,
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now, editable=False)

    objects = RecordQuerySet.as_manager()

    class Meta:
        abstract = True
        ordering = ["-pk"]
        indexes = [
            # What an identity brought, for those who take it away again; and its deletion.
            models.Index(fields=["brought_by"], condition=Q(brought_by__isnull=False), name="%(class)s_by_brought_by"),
            # The records of one decision in the routing log.
            models.Index(fields=["log_entry"], condition=Q(log_entry__isnull=False), name="%(class)s_by_log_entry"),
            # sort=created_at and filter[created_at].
            models.Index(fields=["created_at", "id"], include=["profile", "source"], name="%(class)s_by_created"),
        ]

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} #{self.pk}"


class Describable(models.Model):
    """The free words that transactions and interactions bring along, kept as they were sent."""

    tags = models.JSONField(_("tags"), default=list, blank=True)
    meta = models.JSONField(_("meta"), default=dict, blank=True, encoder=DjangoJSONEncoder)

    class Meta:
        abstract = True


def of_kind(kind: type[R]) -> models.QuerySet[R]:
    """All records of one kind; the manager of an abstract model has no type of its own."""
    return cast(models.QuerySet[R], kind._default_manager.all())
