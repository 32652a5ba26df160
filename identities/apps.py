from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class IdentitiesConfig(AppConfig):
    name = "identities"
    verbose_name = _("Identities")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from identities import checks  # noqa: F401, PLC0415 - the checks register, which needs the models
