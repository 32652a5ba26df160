from __future__ import annotations

import datetime
import unicodedata
import uuid
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any, ClassVar, Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from profiles import reading
from profiles.models.policy import HISTORY_OF_PROFILE, References


def fold_name(text: str) -> str:
    """Fold a name for comparing: compatibility forms, case and runs of white space are all one.

    Cut at 255 characters, since one character may fold to eighteen.
    Done here and stored, because what the database's own `lower` does follows the locale of its cluster.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())[:255]


def is_birth_date(year: int | None, month: int | None, day: int | None) -> bool:
    """Whether a calendar has a day of these parts.

    Parts may be missing (a shop often knows only day and month): 2000 stands in for the year, having a 29 February,
    and January for the month, having 31 days.
    """
    parts = (year, 2000), (month, 1), (day, 1)
    try:
        datetime.date(*(default if part is None else part for part, default in parts))
    except (ValueError, OverflowError):
        return False
    return True


# The text of a query for keys, and its parameters.
Found = tuple[str, Sequence[Any]]


class ProfileQuerySet(models.QuerySet["Profile"]):
    # Whether a search has left out some of what it found, so that counting these rows does not tell how many.
    is_cut = False

    def _clone(self) -> Self:
        clone: Self = super()._clone()  # type: ignore[misc]  # the stubs leave it out
        clone.is_cut = self.is_cut
        return clone

    def live(self) -> Self:
        """Profiles that stand for a person today: neither deleted nor merged into another."""
        return self.exclude(profile_type=Profile.Type.DELETED).filter(merged_into=None)

    def deleted(self) -> Self:
        return self.filter(profile_type=Profile.Type.DELETED)

    def lock(
        self, ids: Collection[uuid.UUID], *, only: tuple[str, ...] = (), for_good: bool = False
    ) -> dict[uuid.UUID, Profile]:
        """Lock these profiles against every other write path, and read them anew, all of them or `only` these columns.

        One query in key order, so that two operations that want the same profiles wait for each other instead of
        deadlocking. `no_key` leaves rows that merely point at a profile free to come and go; not so `for_good`, before
        it is deleted. Must run inside a transaction; ids that do not exist are absent from the answer.
        """
        if not ids:
            return {}
        rows = reading.instances(Profile, _lock(only, for_good=for_good), [list(ids)], only)
        return {profile.pk: profile for profile in rows}

    def lock_found(
        self, found: Found | None, ids: Collection[uuid.UUID], *, only: tuple[str, ...] = ()
    ) -> dict[uuid.UUID, Profile]:
        """Lock the profiles whose keys a query finds, if there is one, and these besides, as `lock` does.

        One statement. In: a query of few texts, and its parameters. What it has found may be over when the lock is
        there, since whoever had it may have written something else: ask again.
        """
        if found is None:
            return self.lock(ids, only=only)
        query, parameters = found
        locked = reading.instances(Profile, _lock(only, query), [list(ids), *parameters], only)
        return {profile.pk: profile for profile in locked}

    def keep(self, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
        """Let none of these profiles be deleted for good before the commit. Returns those that are there.

        It is the lock that a foreign key takes anyway, so that no writer waits for another here. Must run inside a
        transaction.
        """
        sql = "SELECT id FROM profiles_profile WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE"
        return {pk for (pk,) in reading.rows(sql, [list(ids)])}

    def surviving(self, pk: uuid.UUID) -> Profile:
        """The profile that this id means today: itself, or the live one at the end of those it was merged into.

        One statement however long that chain is, so that nobody can merge or undo between two of its steps.

        Raises Profile.DoesNotExist for an id that was never known or has been purged.
        """
        survivors = reading.instances(Profile, _surviving(), [[pk]])
        if not survivors:
            raise Profile.DoesNotExist
        return survivors[0]

    def survivors(self, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
        """What each of these ids means today, as `surviving` tells of one. One query, however long the chains.

        Ids that do not exist are absent from the answer.
        """
        if not ids:
            return {}
        rows: list[tuple[uuid.UUID, uuid.UUID]] = self._steps("named, id", ids, "WHERE merged_into_id IS NULL")
        return dict(rows)

    def chain(self, pk: uuid.UUID) -> list[uuid.UUID]:
        """This profile, the one that it was merged into, and so on up to the one that is not merged. One query."""
        return [one for (one,) in self._steps("id", [pk], "ORDER BY steps")]

    def _steps(self, columns: str, ids: Collection[uuid.UUID], more: str) -> list[Any]:
        return reading.rows(f"{_STEPS} SELECT {columns} FROM step {more}", [list(ids)])  # noqa: S608 - words of ours


# What tells whether a profile is live, for whoever locks a thousand and needs no more of them.
STATE = ("id", "profile_type", "merged_into_id")

# By key alone, from one profile to the next: chains stay chains (DESIGN 5), and whoever asks is one hop away.
_STEPS = """
    WITH RECURSIVE step AS (
        SELECT id AS named, id, merged_into_id, 0 AS steps FROM profiles_profile WHERE id = ANY(%s)
        UNION ALL
        SELECT step.named, above.id, above.merged_into_id, step.steps + 1
        FROM step JOIN profiles_profile AS above ON above.id = step.merged_into_id
    )
"""


@cache
def _surviving() -> str:
    return f"""
        {_STEPS}
        SELECT {reading.columns(Profile, "profile")} FROM step JOIN profiles_profile AS profile ON profile.id = step.id
        WHERE step.merged_into_id IS NULL
    """  # noqa: S608 - names of our own


@cache
def _lock(only: tuple[str, ...], found: str = "", *, for_good: bool = False) -> str:
    columns = reading.columns(Profile, only=only)
    ids = f"%s::uuid[] || ARRAY({found})" if found else "%s"
    strength = "UPDATE" if for_good else "NO KEY UPDATE"
    return f"""
        SELECT {columns} FROM profiles_profile WHERE id = ANY({ids}) ORDER BY id FOR {strength}
    """  # noqa: S608 - names of our own


class Profile(models.Model):
    """One person as the retailer knows them.

    `email` and `mobile_phone` only show one of the pairs that the profile holds under the built-in handles; what
    names the person, and what is unique, are those identities (API.md 2). Text that is not known is stored empty.
    """

    class Type(models.TextChoices):
        TEMPORARY = "temporary", _("temporary")
        DEPENDANT = "dependant", _("dependant")
        INCOMPLETE = "incomplete", _("incomplete")
        PENDING = "pending", _("pending")
        SYSTEM = "system", _("system")
        ACTIVE = "active", _("active")
        DELETED = "deleted", _("deleted")

    references: ClassVar[References] = {"merged_into": HISTORY_OF_PROFILE}

    id = models.UUIDField(_("profile id"), primary_key=True, default=uuid7, editable=False)
    profile_type = models.CharField(_("type"), max_length=16, choices=Type, default=Type.ACTIVE)
    title = models.CharField(_("title"), max_length=64, blank=True)
    first_name = models.CharField(_("first name"), max_length=255, blank=True)
    last_name = models.CharField(_("last name"), max_length=255, blank=True)
    email = models.CharField(_("e-mail"), max_length=255, blank=True)
    mobile_phone = models.CharField(_("mobile phone"), max_length=32, blank=True)
    mobile_phone_country = models.PositiveSmallIntegerField(_("mobile country code"), null=True, editable=False)
    mobile_phone_national = models.CharField(_("national mobile number"), max_length=32, blank=True, editable=False)
    secondary_phone = models.CharField(_("secondary phone"), max_length=64, blank=True)
    gender = models.CharField(_("gender"), max_length=64, blank=True)
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    birth_year = models.PositiveSmallIntegerField(_("birth year"), null=True, blank=True)
    birth_month = models.PositiveSmallIntegerField(_("birth month"), null=True, blank=True)
    birth_day = models.PositiveSmallIntegerField(_("birth day"), null=True, blank=True)
    company = models.CharField(_("company"), max_length=255, blank=True)
    occupation = models.CharField(_("occupation"), max_length=255, blank=True)
    avatar_url = models.CharField(_("avatar URL"), max_length=2048, blank=True)
    tags = ArrayField(models.CharField(max_length=255), verbose_name=_("tags"), default=list, blank=True)
    attributes = models.JSONField(
        _("attributes"), default=dict, blank=True, help_text=_("An object with comms, appearance and dates.")
    )
    joined_at = models.DateTimeField(_("joined"), default=timezone.now)
    merged_into = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, editable=False, related_name="duplicates"
    )
    locked = models.BooleanField(
        _("locked"), default=False, help_text=_("Never merged or rerouted without a person's decision.")
    )
    reviewed_at = models.DateTimeField(_("reviewed"), null=True, blank=True, editable=False)
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, editable=False, related_name="+"
    )
    deleted_at = models.DateTimeField(_("deleted"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now, editable=False)
    first_name_fold = models.CharField(max_length=1024, blank=True, editable=False)
    last_name_fold = models.CharField(max_length=1024, blank=True, editable=False)

    objects = ProfileQuerySet.as_manager()

    class Meta:
        verbose_name = _("profile")
        verbose_name_plural = _("profiles")
        ordering = ["-pk"]
        permissions = [
            ("merge_profile", "Can merge profiles, and split them"),
            ("erase_profile", "Can erase profiles for good"),
        ]
        constraints = [
            models.CheckConstraint(condition=~Q(merged_into=F("id")), name="profile_not_merged_into_itself"),
            models.CheckConstraint(
                condition=Q(birth_year=None) | Q(birth_year__range=(1, 9999)), name="profile_birth_year_1_to_9999"
            ),
            models.CheckConstraint(
                condition=Q(birth_month=None) | Q(birth_month__range=(1, 12)), name="profile_birth_month_1_to_12"
            ),
            models.CheckConstraint(
                condition=Q(birth_day=None) | Q(birth_day__range=(1, 31)), name="profile_birth_day_1_to_31"
            ),
        ]
        indexes = [
            # filter[last_name], and prefix search by "last", "last first".
            models.Index(
                fields=["last_name_fold", "first_name_fold"],
                opclasses=["text_pattern_ops", "text_pattern_ops"],
                name="profile_by_last_name",
            ),
            # filter[first_name], and prefix search by "first", "first last".
            models.Index(
                fields=["first_name_fold", "last_name_fold"],
                opclasses=["text_pattern_ops", "text_pattern_ops"],
                name="profile_by_first_name",
            ),
            # filter[profile_type]; nearly all profiles are active, so only the others are worth an index.
            models.Index(
                fields=["profile_type", "id"],
                include=["locked"],
                condition=~Q(profile_type="active"),
                name="profile_by_rare_type",
            ),
            # The admin's list of locked profiles, which are few.
            models.Index(fields=["id"], include=["profile_type"], condition=Q(locked=True), name="profile_locked"),
            # sort=created_at and sort=updated_at of GET /profiles.
            models.Index(fields=["created_at", "id"], name="profile_by_created"),
            models.Index(fields=["updated_at", "id"], name="profile_by_updated"),
        ]

    def __str__(self) -> str:
        return self.full_name

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.first_name_fold = fold_name(self.first_name)
        self.last_name_fold = fold_name(self.last_name)
        super().save(*args, **kwargs)

    def clean(self) -> None:
        """Refuse a birth date that no calendar has."""
        if not is_birth_date(self.birth_year, self.birth_month, self.birth_day):
            fault = ValidationError(_("There is no such birth date."), code="invalid")
            raise ValidationError({"birth_day": fault})

    @property
    def full_name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip() or "Unknown"

    @property
    def is_live(self) -> bool:
        return self.profile_type != self.Type.DELETED and self.merged_into_id is None
