from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from identities.models.extension import Extension
from identities.models.handle import BUILT_IN
from identities.models.identity import Pair
from profiles.models import Profile
from profiles.models.policy import HISTORY_OF_PROFILE, References

# Claims are counted from here, far above what identities will ever reach, and JSON keeps integers exact up to 2^53:
# whoever has the id of one can never mean the other.
FIRST_CLAIM = 2**52


class IdentityClaim(models.Model):
    """A pair that a customer says to be theirs, with a customer token (API.md 6).

    In a table of its own, so that no query of identities can meet it: it routes, issues, finds and blocks nothing
    until somebody who may say so writes the same pair. The handle is a name and no row of the catalogue, which a claim
    adds nothing to. `named` is the profile of the token; `profile` is the one that this stands for today, like the two
    of a duplicate pair: a merge takes the claim along, and its undo sends it home.
    """

    references: ClassVar[References] = {"profile": HISTORY_OF_PROFILE, "named": HISTORY_OF_PROFILE}

    profile = models.ForeignKey(
        Profile, models.CASCADE, related_name="claims", verbose_name=_("profile"), db_index=False
    )
    named = models.ForeignKey(Profile, models.CASCADE, related_name="+", verbose_name=_("claimed for"), editable=False)
    handle = models.CharField(_("handle"), max_length=64)
    identifier = models.CharField(_("identifier"), max_length=255)
    original = models.CharField(_("as received"), max_length=512, blank=True, editable=False)
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
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("by"))
    token_name = models.CharField(_("token"), max_length=255, blank=True)
    created_at = models.DateTimeField(_("claimed"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("identity claim")
        verbose_name_plural = _("identity claims")
        ordering = ["-pk"]
        # Only a customer adds or changes one. Staff confirm it, which writes the identity, or refuse it.
        default_permissions = ("view",)
        permissions = [("decide_identityclaim", "Can confirm and refuse identity claims")]
        constraints = [
            models.UniqueConstraint(fields=["profile", "handle", "identifier"], name="claimed_once_per_profile"),
            models.UniqueConstraint(
                fields=["profile", "handle"],
                condition=Q(handle__in=list(BUILT_IN)),
                name="one_claimed_contact_per_profile",
            ),
            models.CheckConstraint(condition=~Q(identifier=""), name="claim_identifier_not_empty"),
            models.CheckConstraint(condition=Q(id__gte=FIRST_CLAIM), name="claim_ids_are_no_identity_ids"),
        ]
        indexes = [
            # Whether a new pair is claimed, and by whom.
            models.Index(fields=["handle", "identifier"], name="claim_by_pair"),
            # Which are to be forgotten.
            models.Index(fields=["updated_at"], name="claim_by_age"),
            # The filters of the admin's list, newest first.
            models.Index(fields=["handle", "-id"], include=["source"], name="claim_by_handle"),
            models.Index(
                fields=["source", "-id"], include=["handle"], condition=Q(source__isnull=False), name="claim_by_source"
            ),
            models.Index(fields=["-id"], include=["handle"], condition=Q(source__isnull=True), name="claim_by_staff"),
        ]

    def __str__(self) -> str:
        # Without the identifier: the handle may be sensitive, and names end up in titles and messages.
        return f"{self.handle} #{self.pk}"

    @property
    def pair(self) -> Pair:
        return Pair(self.handle, self.identifier)

    @property
    def sent(self) -> str:
        """The identifier as the customer has sent it, and as a contact point is shown."""
        return self.original or self.identifier
