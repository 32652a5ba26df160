from __future__ import annotations

from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.utils.translation import gettext_lazy as _


class ProfilesConfig(AppConfig):
    name = "profiles"
    verbose_name = _("Profiles")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from profiles import checks, reading  # noqa: F401, PLC0415 - the checks register, which needs the models

        connection_created.connect(reading.keep_plans, dispatch_uid="profiles.reading.keep_plans")
