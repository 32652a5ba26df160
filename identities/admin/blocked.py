from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from identities import blocking, cataloguing
from identities.blocking import Touched
from identities.forms import BlockedIdentifierForm
from identities.handles import mask
from identities.models import BlockedIdentifier, Handle
from profiles.admin.base import OperationAdmin, Question
from profiles.auditing import By
from profiles.models import RECORDS, Profile


@admin.register(BlockedIdentifier)
class BlockedIdentifierAdmin(OperationAdmin):
    """Values that name nobody. What a new one would touch is told before it is saved."""

    form = BlockedIdentifierForm
    is_small = True
    list_display = ["value", "kind", "handle_name", "reason", "enabled", "built_in"]
    list_filter = ["enabled", "built_in", "kind"]
    search_fields = ["value__startswith"]
    autocomplete_fields = ["handle"]
    actions = ["delete_selected"]

    @admin.display(description=gettext_lazy("handle"))
    def handle_name(self, blocked: BlockedIdentifier) -> str:
        return blocked.handle_id or _("all handles")

    def get_fields(self, request: HttpRequest, obj: BlockedIdentifier | None = None) -> Any:
        fields = ["value", "kind", "handle", "reason", "enabled"]
        return [*fields, "built_in", "by", "created_at"] if obj else fields

    def get_readonly_fields(self, request: HttpRequest, obj: BlockedIdentifier | None = None) -> list[str]:
        if obj is None:
            return []
        told = ["built_in", "by", "created_at"]
        return ["value", "kind", "handle", "reason", *told] if obj.built_in else told

    def get_notices(self, request: HttpRequest, obj: BlockedIdentifier) -> list[str]:
        return [_("This value ships with the product: it can only be switched off and on.")] if obj.built_in else []

    def has_delete_permission(self, request: HttpRequest, obj: BlockedIdentifier | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not (obj and obj.built_in)

    def create(self, typed: Mapping[str, Any], *, by: By) -> BlockedIdentifier:
        return cataloguing.block(typed, by=by)

    def update(self, obj: BlockedIdentifier, typed: Mapping[str, Any], *, by: By) -> BlockedIdentifier:
        return cataloguing.change_blocked(obj, typed, by=by)

    def question_before(
        self, request: HttpRequest, obj: BlockedIdentifier | None, typed: Mapping[str, Any]
    ) -> Question | None:
        """Ask when something is to be blocked that was not: a reason may change, and a block be lifted, at once."""
        if obj is not None and not {"value", "kind", "handle", "enabled"}.intersection(typed):
            return None
        blocked = copy.copy(obj) if obj else BlockedIdentifier()
        cataloguing.set_fields(blocked, typed)
        blocked.full_clean()
        return _question(request, blocked) if blocked.enabled else None

    def remove(self, obj: BlockedIdentifier, *, by: By) -> None:
        cataloguing.unblock(obj, by=by)

    def deletion_means(self, obj: BlockedIdentifier | None = None) -> list[str]:
        return [_("It is an identifier like any other from then on, and may bring records together.")]

    def deletion_hindrance(self, request: HttpRequest, obj: BlockedIdentifier) -> str:
        if obj.built_in:
            return _("This value ships with the product: switch it off instead of deleting it.")
        return ""


def _question(request: HttpRequest, blocked: BlockedIdentifier) -> Question:
    found = blocking.touched(blocked)
    sentences = [_number(found), _looked(blocked, found)]
    if found.records is not None and found.identities:
        sentences.append(_brought(found.records))
    if found.identities:
        sentences.append(
            _(
                "They stay, but no write matches their profile by them any more: it is refused, or in a record set "
                "aside. Delete those that name nobody."
            )
        )
    return Question(
        title=_("Block “%(value)s”?") % {"value": blocked.value},
        sentences=sentences,
        button=_("Yes, block it"),
        act=str,
        danger=bool(found.identities),
        template="admin/identities/blockedidentifier/touched.html",
        context=_told(request, found),
    )


def _looked(blocked: BlockedIdentifier, found: Touched) -> str:
    """Where it was looked for, and how far."""
    under = blocked.handle_id
    if found.read is None:
        if under:
            return _("Looked for under %(handle)s, as written, in capitals and in quotes.") % {"handle": under}
        return _("Looked for under all handles, as written, in capitals and in quotes.")
    number = f"{found.read:,}"
    if found.is_cut and under:
        return _(
            "Looked at the newest %(number)s identities of %(handle)s; there are more, which may be touched, too."
        ) % {
            "number": number,
            "handle": under,
        }
    if found.is_cut:
        return _("Looked at the newest %(number)s identities; there are more, which may be touched, too.") % {
            "number": number
        }
    if under:
        return _("Looked at all identities of %(handle)s (%(number)s).") % {"number": number, "handle": under}
    return _("Looked at all identities (%(number)s).") % {"number": number}


def _number(found: Touched) -> str:
    if not found.identities:
        return _("No identity has this value.")
    of_profiles = ngettext("%(number)s profile", "%(number)s profiles", len(found.profiles)) % {
        "number": f"{len(found.profiles):,}"
    }
    sentence = ngettext(
        "%(number)s identity of %(profiles)s has this value: %(handles)s.",
        "%(number)s identities of %(profiles)s have this value: %(handles)s.",
        found.identities.count,
    )
    handles = ", ".join(f"{name} ({number:,})" for name, number in found.handles.most_common(10))
    return sentence % {"number": f"{found.identities.count:,}", "profiles": of_profiles, "handles": handles}


def _brought(records: Mapping[str, int]) -> str:
    """What has come to profiles by these identities, and stays with them."""
    if not records:
        return _("No record has come by it.")
    told = []
    for kind, number in records.items():
        names = RECORDS[kind]._meta
        name = names.verbose_name if number == 1 else names.verbose_name_plural
        more = "+" if number > blocking.MOST_COUNTED else ""
        told.append(f"{min(number, blocking.MOST_COUNTED):,}{more} {name}")
    sentence = _("By it came: %(records)s. They stay where they are; move those that are of somebody else.")
    return sentence % {"records": ", ".join(told)}


def _told(request: HttpRequest, found: Touched) -> dict[str, Any]:
    """The first of them, for those who may see identities and profiles."""
    if not request.user.has_perms(["identities.view_identity", "profiles.view_profile"]):
        return {"rows": [], "more": ""}
    profiles = Profile.objects.in_bulk({row.profile_id for row in found.identities.first})
    sensitive = set(Handle.objects.filter(pk__in=found.handles, sensitive=True).values_list("pk", flat=True))
    rows = [
        {
            "handle": row.handle,
            "identifier": mask(row.identifier) if row.handle in sensitive else row.identifier,
            "url": reverse("admin:identities_identity_change", args=[row.pk]),
            "profile": profiles[row.profile_id].full_name if row.profile_id in profiles else row.profile_id,
            "profile_url": reverse("admin:profiles_profile_change", args=[row.profile_id]),
        }
        for row in found.identities.first
    ]
    more = found.identities.count - len(rows)
    return {"rows": rows, "more": f"{more:,}" if more else ""}
