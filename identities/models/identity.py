from __future__ import annotations

import enum
from typing import Any, ClassVar, NamedTuple, Self

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from identities import normalising
from identities.models.deleted_identity import DeletedIdentity
from identities.models.extension import Extension
from identities.models.handle import BUILT_IN, EMAIL, Handle
from identities.models.routing_log import RoutingLogEntry
from profiles.models import Profile
from profiles.models.policy import MENTION, OF_PROFILE, References


class Writer(enum.Enum):
    UNSET = "unset"


UNSET = Writer.UNSET


class Pair(NamedTuple):
    """A handle and an identifier in normal form, before it is a row."""

    handle: str
    identifier: str

    def __str__(self) -> str:
        return f"{self.handle}:{self.identifier}"


class IdentityQuerySet(models.QuerySet["Identity"]):
    def live(self) -> Self:
        """Identities that match: those of a deleted profile are free for whoever writes them next."""
        return self.exclude(profile__profile_type=Profile.Type.DELETED)

    def of_handle(self, name: str, *, newest_first: bool) -> Self:
        """Those of one handle, by their age, for reading a few of many.

        By a range of one name, since an order by age alone lets the planner walk past everybody else's rows.
        """
        rows = self.filter(handle__gte=name, handle__lte=name)
        return rows.order_by("handle_id", "-pk") if newest_first else rows.order_by("-handle_id", "pk")

    def visible(self) -> Self:
        """Without contact points, which the API shows as fields of the profile (API.md 2, *Hidden*)."""
        return self.exclude(handle__in=BUILT_IN)


class Identity(models.Model):
    """One pair that names exactly one profile: handle `shopify`, identifier "6432187489345".

    `clean()` asks who writes: set `writer` to the extension, or to None for staff. Unset refuses, so that no
    interface can forget.
    """

    writer: Extension | Writer | None = UNSET

    references: ClassVar[References] = {"profile": OF_PROFILE, "brought_by": MENTION, "merged_from": MENTION}

    profile = models.ForeignKey(
        Profile, models.CASCADE, related_name="identities", verbose_name=_("profile"), db_index=False
    )
    handle = models.ForeignKey(
        Handle, models.PROTECT, related_name="identities", verbose_name=_("handle"), db_column="handle", db_index=False
    )
    identifier = models.CharField(_("identifier"), max_length=255)
    original = models.CharField(
        _("as received"),
        max_length=512,
        blank=True,
        editable=False,
        help_text=_("When it differs from the normal form."),
    )
    is_primary = models.BooleanField(_("primary"), default=False)
    is_active = models.BooleanField(_("active"), default=True)
    source = models.ForeignKey(
        Extension,
        models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("source"),
        db_column="source",
        db_index=False,
    )
    brought_by = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, editable=False, related_name="brought"
    )
    # Also when what brought it has been deleted: an undo of a merge still asks.
    brought_by_key = models.BigIntegerField(null=True, editable=False)
    addressed = models.UUIDField(
        _("addressed"), null=True, blank=True, editable=False, help_text=_("The profile id that the caller named.")
    )
    by_contact = models.BooleanField(
        _("by contact"),
        default=False,
        editable=False,
        help_text=_("Attached by a contact point alone, not confirmed."),
    )
    merged_from = models.ForeignKey(
        Profile,
        models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("merged from"),
    )
    conflict = models.ForeignKey(
        RoutingLogEntry,
        models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="attached",
        verbose_name=_("attached in conflict"),
    )
    # Counted up by what customer tokens of this identity must not outlive: a move, a take-over, a deactivation,
    # another identifier. Taking that back does not count down, so that what was suspect once stays so.
    token_generation = models.IntegerField(default=0, db_default=0, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now, editable=False)

    objects = IdentityQuerySet.as_manager()

    class Meta:
        verbose_name = _("identity")
        verbose_name_plural = _("identities")
        ordering = ["-pk"]
        permissions = [("reveal_identity", "Can reveal sensitive identifiers")]
        constraints = [
            models.UniqueConstraint(fields=["handle", "identifier"], name="unique_together_handle_identifier"),
            models.UniqueConstraint(
                fields=["profile"], condition=Q(is_primary=True), name="one_primary_identity_per_profile"
            ),
            models.CheckConstraint(condition=~Q(identifier=""), name="identity_identifier_not_empty"),
            models.CheckConstraint(
                condition=~Q(handle__in=list(BUILT_IN)) | Q(is_primary=False), name="contact_points_are_never_primary"
            ),
        ]
        indexes = [
            # search-profile and the search box: an identifier under any handle, whole or by its beginning.
            models.Index(fields=["identifier"], opclasses=["text_pattern_ops"], name="identity_by_identifier"),
            # A profile's own, newest first: on its page, and all of them in the admin's list. With what finds the
            # primary one among thousands, where the planner prefers this index to that of the constraint.
            models.Index(fields=["profile", "-id"], include=["is_primary"], name="identity_of_profile"),
            # filter[handle] and filter[source] alone, in the order of the list. With what the admin's list filters by
            # together with it, so that a combination that hardly any row has is found out without reading rows.
            models.Index(fields=["handle", "-id"], include=["source", "is_active"], name="identity_by_handle"),
            models.Index(
                fields=["source", "-id"],
                include=["handle", "is_active"],
                condition=Q(source__isnull=False),
                name="identity_by_source",
            ),
            # Staff are no extension; the planner sees that rows stand in order behind a value, but not behind none.
            models.Index(
                fields=["-id"],
                include=["handle", "is_active"],
                condition=Q(source__isnull=True),
                name="identity_by_staff",
            ),
            # filter[is_active]=0 and the admin's list of inactive identities, which are few.
            models.Index(
                fields=["id"], include=["handle", "source"], condition=Q(is_active=False), name="identity_inactive"
            ),
            # filter[created_at] and sort=created_at of GET /identities.
            models.Index(fields=["created_at", "id"], name="identity_by_created"),
            models.Index(fields=["updated_at", "id"], name="identity_by_updated"),
        ]

    def __str__(self) -> str:
        # Names end up in titles, messages and logs. Without a query: whoever shows rows has loaded their handles.
        if Identity.handle.is_cached(self) and self.handle.sensitive:
            return f"{self.handle_id}: •••"
        return f"{self.handle_id}: {self.identifier}"

    def clean(self) -> None:
        """Refuse a writer or an identifier that the handle does not admit, and bring the identifier to normal form.

        Raises ValidationError with the codes of API.md 1: reserved_handle, retired_handle, invalid_identifier.
        """
        self.clean_known()
        if self._state.adding and self.handle.status == Handle.Status.RETIRED:
            raise ValidationError(
                _("The handle %(handle)s is retired."), code="retired_handle", params={"handle": self.handle_id}
            )
        if not self.handle.matches(self.identifier):
            message = _("The identifier does not have the form that %(handle)s asks for.")
            raise ValidationError(
                {"identifier": ValidationError(message, "invalid_identifier", {"handle": self.handle_id})}
            )

    def clean_known(self) -> None:
        """The part of `clean()` that holds for a pair which somebody has already: the writer and the normal form.

        A handle that was retired, or got a narrower pattern, takes no new pairs; those that it has still name their
        profiles, and a customer who is known by one must not become a second profile.
        """
        if self.writer is UNSET:
            raise ValidationError(_("It is not known who writes this identity."), code="writer_required")
        self.handle.refuse_writer(self.writer)
        try:
            sent = self.identifier.strip()
            self.identifier = normalising.normalise(self.handle.normaliser, sent)
        except ValidationError as error:
            raise ValidationError({"identifier": error}) from error
        if sent != self.identifier:
            self.original = sent

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        DeletedIdentity.objects.create(
            key=self.pk, brought_by_key=self.brought_by_key, addressed=self.addressed, created_at=self.created_at
        )
        return super().delete(*args, **kwargs)

    def tag(self, brought_by: Identity | None) -> None:
        """Note which identity brought this one to its profile; by none it came on its own."""
        self.brought_by = brought_by
        self.brought_by_key = brought_by.pk if brought_by else None

    @property
    def pair(self) -> Pair:
        return Pair(self.handle_id, self.identifier)

    @property
    def shown(self) -> str:
        """The identifier as people write it: an address keeps its own spelling, a phone number its E.164 form."""
        # Composed, since an address that was sent decomposed may be longer than the column that shows it.
        return normalising.exact(self.original) if self.handle_id == EMAIL and self.original else self.identifier


def brought(by: Identity | None) -> dict[str, Any]:
    """The columns of a record, or of a custom attribute, that say which identity brought it, if one did.

    The key and the pair as text stay when that identity is deleted.
    """
    return {
        "brought_by": by,
        "brought_by_key": by.pk if by else None,
        "brought_by_handle": by.handle_id if by else "",
        "brought_by_identifier": by.identifier if by else "",
    }
