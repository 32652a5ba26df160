from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Reaction(models.Model):
    """On each event of one trigger, its actions are done one after the other: the wire's *trigger* (API.md 7)."""

    name = models.CharField(_("name"), max_length=255)
    trigger = models.CharField(_("trigger"), max_length=64)
    description = models.TextField(_("description"), blank=True)
    notes = models.TextField(_("notes"), blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("reaction")
        verbose_name_plural = _("reactions")
        ordering = ["-pk"]
        indexes = [
            # Who listens to what, asked by each write.
            models.Index(fields=["trigger"], condition=Q(is_active=True), name="reaction_listening"),
        ]

    def __str__(self) -> str:
        return self.name


class Action(models.Model):
    """One step of a reaction. Its arguments are a list of `{"name", "value", "is_dynamic"}`, as the wire has them."""

    class Name(models.TextChoices):
        FILTER = "filter", _("go on only if")
        SEND = "target.send", _("send to a target")
        SET_ATTRIBUTE = "attribute.set", _("set a custom attribute")

    reaction = models.ForeignKey(
        Reaction, models.CASCADE, related_name="actions", verbose_name=_("reaction"), db_index=False
    )
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(_("action"), max_length=32, choices=Name)
    sort_order = models.IntegerField(_("order"), default=0)
    description = models.TextField(_("description"), blank=True)
    notes = models.TextField(_("notes"), blank=True)
    arguments = models.JSONField(_("arguments"), default=list, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("action")
        verbose_name_plural = _("actions")
        ordering = ["sort_order", "pk"]
        indexes = [models.Index(fields=["reaction", "sort_order", "id"], name="action_by_reaction")]

    def __str__(self) -> str:
        return self.name

    def argument(self, name: str) -> dict[str, object] | None:
        """The argument of this name, if there is one."""
        return next((one for one in self.arguments if one.get("name") == name), None)
