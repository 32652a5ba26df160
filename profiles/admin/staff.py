from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest

from profiles.admin.lists import BoundedAdmin

admin.site.unregister([User, Group])


@admin.register(Group)
class StaffGroupAdmin(BoundedAdmin, GroupAdmin):
    is_small = True


@admin.register(User)
class StaffAdmin(BoundedAdmin, UserAdmin):
    """Django's page of a user, where nobody rewrites when somebody was first and last here.

    No user is deleted, but made inactive: the audit names them. Django's page that deletes one would read all that
    they ever did, only to say that they cannot be.
    """

    is_small = True
    readonly_fields = ["last_login", "date_joined"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
