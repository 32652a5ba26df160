from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

# What the API says of a source that is no extension.
STAFF = "staff"


class Extension(models.Model):
    """An integration with its own service account; it may claim handles, which then nobody else writes."""

    slug = models.CharField(
        _("slug"),
        max_length=64,
        primary_key=True,
        validators=[RegexValidator(r"^[a-z0-9][a-z0-9_-]*\Z", _("Use lower-case letters, digits, - and _."))],
    )
    name = models.CharField(_("name"), max_length=255)
    service_account = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="extension", verbose_name=_("service account")
    )
    enabled = models.BooleanField(
        _("enabled"), default=True, help_text=_("A disabled extension's tokens are refused; its identities stay.")
    )
    secret_variables = ArrayField(
        models.CharField(
            max_length=128,
            # Also what keeps a secret itself out: hardly any is written in capitals alone.
            validators=[RegexValidator(r"^[A-Z_][A-Z0-9_]*\Z", _("Use upper-case letters, digits and _."))],
        ),
        verbose_name=_("secret variables"),
        default=list,
        blank=True,
        help_text=_("Names of the environment variables that hold its shared secrets. Never the secrets."),
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("extension")
        verbose_name_plural = _("extensions")
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.slug

    def clean(self) -> None:
        if self.slug == STAFF:
            raise ValidationError(
                {"slug": ValidationError(_("This word means that no extension wrote."), code="invalid")}
            )
