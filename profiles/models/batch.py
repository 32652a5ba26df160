from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7


class ProfileBatch(models.Model):
    """Profiles that somebody sent to be brought in later, by the worker (API.md 3), and by whom.

    Who asked is kept as the audit wants it, so that what the worker does hours later is told as theirs.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", _("queued")
        RUNNING = "running", _("running")
        FINISHED = "finished", _("finished")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    match_criteria = models.CharField(_("matched by"), max_length=64)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("by"), db_index=False
    )
    source = models.ForeignKey(
        "identities.Extension",
        models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("source"),
        db_column="source",
        db_index=False,
    )
    token_name = models.CharField(_("token"), max_length=255, blank=True)
    url = models.CharField(_("URL"), max_length=512, blank=True)
    ip_address = models.GenericIPAddressField(_("IP address"), null=True)
    user_agent = models.CharField(_("user agent"), max_length=512, blank=True)
    created_at = models.DateTimeField(_("at"), default=timezone.now)
    started_at = models.DateTimeField(_("started"), null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)

    class Meta:
        verbose_name = _("profile batch")
        verbose_name_plural = _("profile batches")
        ordering = ["-pk"]
        # No page of the admin shows it.
        default_permissions = ()
        indexes = [
            # What is old enough to be forgotten.
            models.Index(fields=["created_at"], name="profile_batch_by_time"),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def status(self) -> str:
        if self.finished_at is not None:
            return self.Status.FINISHED
        return self.Status.QUEUED if self.started_at is None else self.Status.RUNNING


class ProfileBatchRow(models.Model):
    """One profile of a batch, and what became of it. The result commits together with the change that it tells of.

    `profile_id` is a plain id: it says which profile was reached then, whatever became of that since.
    """

    class Result(models.TextChoices):
        CREATED = "created", _("created")
        UPDATED = "updated", _("updated")
        ERROR = "error", _("error")

    batch = models.ForeignKey(ProfileBatch, models.CASCADE, related_name="rows", db_index=False)
    position = models.PositiveSmallIntegerField(_("position"))
    # Any JSON, as it was sent: what is wrong with it is this row's result. Emptied with the result.
    payload = models.JSONField(_("payload"), null=True)
    result = models.CharField(_("result"), max_length=16, choices=Result, blank=True)
    profile_id = models.UUIDField(_("profile id"), null=True)
    code = models.CharField(_("code"), max_length=64, blank=True)
    message = models.TextField(_("message"), blank=True)
    refused = models.JSONField(_("pairs set aside"), default=list)
    log_entry_id = models.BigIntegerField(_("routing log entry"), null=True)

    class Meta:
        verbose_name = _("row of a profile batch")
        verbose_name_plural = _("rows of profile batches")
        ordering = ["batch", "position"]
        default_permissions = ()
        constraints = [
            # Also the index by which a batch is worked through and shown.
            models.UniqueConstraint(fields=["batch", "position"], name="unique_together_batch_position"),
        ]
        indexes = [
            # What an erasure and an export ask: which rows have reached a profile.
            models.Index(
                fields=["profile_id"], condition=models.Q(profile_id__isnull=False), name="batch_row_reached"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.batch_id} {self.position}"
