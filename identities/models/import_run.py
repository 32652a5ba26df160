from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from identities.models.extension import Extension


class ImportRun(models.Model):
    """How far a file has been brought in, in the transaction of the rows that it counts.

    So a run that was cut short, by whatever, goes on behind the last row that is in. What was read of the file, and
    how, stands in the fingerprint: another file, or the same one read in another way, is another run.
    """

    fingerprint = models.CharField(_("fingerprint of the file"), max_length=64)
    path = models.CharField(_("file"), max_length=1024)
    errors_path = models.CharField(_("file of errors"), max_length=1024)
    # Bytes of either file that are done with, and the lines of the one that is read.
    offset = models.BigIntegerField(_("bytes read"), default=0)
    line = models.BigIntegerField(_("lines read"), default=0)
    errors_offset = models.BigIntegerField(_("bytes of errors"), default=0)
    counts = models.JSONField(_("what became of the rows"), default=dict)
    source = models.ForeignKey(
        Extension,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("source"),
        db_column="source",
        db_index=False,
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("by"), db_index=False
    )
    started_at = models.DateTimeField(_("started"), default=timezone.now)
    finished_at = models.DateTimeField(_("finished"), null=True)

    class Meta:
        verbose_name = _("import run")
        verbose_name_plural = _("import runs")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["fingerprint"], condition=Q(finished_at=None), name="one_run_of_a_file_at_a_time"
            ),
        ]

    def __str__(self) -> str:
        return self.path
