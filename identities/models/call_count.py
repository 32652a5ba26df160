from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class CallCount(models.Model):
    """How often something was called in its current window, for the limits that hold over all processes.

    Of whose calls they are only a digest is kept. The table is not logged: a crash of the database begins all windows
    anew.
    """

    key = models.CharField(_("digest of what is counted"), max_length=64, primary_key=True)
    window_started_at = models.DateTimeField(_("window started"))
    count = models.PositiveIntegerField(_("calls in the window"))

    class Meta:
        verbose_name = _("count of calls")
        verbose_name_plural = _("counts of calls")
        default_permissions = ()
        indexes = [
            # Which windows are over.
            models.Index(fields=["window_started_at"], name="call_count_by_age"),
        ]

    def __str__(self) -> str:
        return self.key
