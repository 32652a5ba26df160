from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User

admin.site.unregister(User)


@admin.register(User)
class StaffAdmin(UserAdmin):
    """Django's page of a user, where nobody rewrites when somebody was first and last here."""

    readonly_fields = ["last_login", "date_joined"]
