from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from profiles.models.policy import DIES, MENTION, MOVES, MOVES_UNLESS_HELD, Policy, References

# How much of a value's text is kept for finding it.
LONGEST_FOUND = 255


class CustomAttribute(models.Model):
    """A typed value that the retailer keeps of a profile under a name of its own, `namespace:handle`.

    `text` is the value as a query writes it (`true`, `12.5`, `2026-11-25`), so that one index finds it.
    """

    class Type(models.TextChoices):
        STRING = "string", _("text")
        INTEGER = "integer", _("whole number")
        DECIMAL = "decimal", _("number")
        BOOLEAN = "boolean", _("yes or no")
        DATE = "date", _("date")
        DATETIME = "datetime", _("time")
        JSON = "json", _("JSON")

    # A copy goes to the survivor; its own stay with the duplicate, like its columns.
    references: ClassVar[References] = {
        "profile": Policy(merge=MOVES_UNLESS_HELD, undo=MOVES, split=MOVES_UNLESS_HELD, erase=DIES),
        "brought_by": MENTION,
    }

    profile = models.ForeignKey(
        "profiles.Profile",
        models.CASCADE,
        related_name="custom_attributes",
        verbose_name=_("profile"),
        db_index=False,
    )
    namespace = models.CharField(_("namespace"), max_length=128)
    handle = models.CharField(_("handle"), max_length=128)
    type = models.CharField(_("type"), max_length=16, choices=Type)
    value = models.JSONField(_("value"))
    text = models.CharField(max_length=LONGEST_FOUND, blank=True, editable=False)
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
    addressed = models.UUIDField(_("addressed"), null=True, blank=True, editable=False)
    source = models.ForeignKey(
        "identities.Extension",
        models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("source"),
        db_column="source",
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("custom attribute")
        verbose_name_plural = _("custom attributes")
        ordering = ["namespace", "handle"]
        constraints = [
            models.UniqueConstraint(
                fields=["profile", "namespace", "handle"], name="unique_custom_attribute_of_profile"
            ),
        ]
        indexes = [
            # Find profiles by a value.
            models.Index(fields=["namespace", "handle", "text", "profile"], name="custom_attribute_by_value"),
            models.Index(
                fields=["brought_by"],
                condition=models.Q(brought_by__isnull=False),
                name="custom_attribute_by_brought_by",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.namespace}:{self.handle}"
