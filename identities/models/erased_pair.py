from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class ErasedPair(models.Model):
    """That a pair was erased together with its profile, so that no late copy of it brings the person back (API.md 4).

    Of the identifier only a keyed digest is kept: it tells whether a pair that comes in is the one, and cannot be read
    or guessed by whoever has the table without the key (`barring.digest`). The handle is a name and no row of the
    catalogue, as in the log.
    """

    handle = models.CharField(_("handle"), max_length=64)
    digest = models.CharField(_("digest of the identifier"), max_length=64)
    erased_at = models.DateTimeField(_("erased"), default=timezone.now)

    class Meta:
        verbose_name = _("erased identity")
        verbose_name_plural = _("erased identities")
        ordering = ["-pk"]
        # Only an erasure adds one, and nothing changes it. Deleting it lets the pair in again.
        default_permissions = ("view", "delete")
        constraints = [
            models.UniqueConstraint(fields=["handle", "digest"], name="unique_together_handle_digest"),
        ]
        indexes = [
            # The admin's list of one handle, newest first.
            models.Index(fields=["handle", "-id"], name="erased_pair_by_handle"),
        ]

    def __str__(self) -> str:
        return f"{self.handle} #{self.pk}"
