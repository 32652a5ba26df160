from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class Admin(AdminConfig):
    """Django's admin with our site: the search box, the start page and the order of the menu."""

    default_site = "omneo_identity.site.Site"

    def ready(self) -> None:
        super().ready()
        from django.contrib import admin
        from procrastinate.contrib.django.models import ProcrastinateJob

        # The queue's own pages speak of locks and kwargs, and let whoever may look repeat and abort jobs.
        admin.site.unregister(ProcrastinateJob)
