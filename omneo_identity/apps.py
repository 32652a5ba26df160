from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class Admin(AdminConfig):
    """Django's admin with our site: the search box, the start page and the order of the menu."""

    default_site = "omneo_identity.site.Site"
