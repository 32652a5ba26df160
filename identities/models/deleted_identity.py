from __future__ import annotations

from django.db import models


class DeletedIdentity(models.Model):
    """What the undo of a merge still asks of an identity that is gone: how it came. Not what it was.

    What it had brought goes home with the side that it was of; a pair that is made anew is another identity.
    """

    key = models.BigIntegerField(primary_key=True)
    brought_by_key = models.BigIntegerField(null=True)
    addressed = models.UUIDField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = "deleted identity"
        verbose_name_plural = "deleted identities"
        default_permissions = ()
        indexes = [
            # What came by an identity, or by an id, and is gone.
            models.Index(fields=["brought_by_key"], name="deleted_identity_by_brought"),
            models.Index(fields=["addressed"], name="deleted_identity_by_addressed"),
        ]

    def __str__(self) -> str:
        return str(self.key)
