"""What a handle's page shows above its form: what it is, who writes it, and what it may have been meant to be."""

from __future__ import annotations

import datetime
import difflib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from identities import matching
from identities.admin import handle_words
from identities.handles import mask
from identities.models import BUILT_IN, BlockedIdentifier, Extension, Handle, Identity, RoutingLogEntry
from profiles.admin.lists import MOST_COUNTED
from profiles.models import Audit

# Who writes a handle is told by its newest identities; older ones tell of another time.
MOST_SOURCES = 1_000

# What stands under other handles, too, is looked up for so many of them.
MOST_COMPARED = 200

MOST_NAMES = 10_000
MOST_SHOWN = 5
MOST_BLOCKED = 20
MOST_TRIED = 510


@dataclass(frozen=True, slots=True)
class Writer:
    name: str
    number: int
    newest: datetime.datetime

    @property
    def identities(self) -> str:
        return f"{self.number:,}"


@dataclass(frozen=True, slots=True)
class Likeness:
    """An agreed handle that this one may have been meant to be, and what speaks for it."""

    handle: Handle
    is_called_so: bool = False
    shared: int = 0
    same: int = 0


def context(request: HttpRequest, handle: Handle) -> dict[str, Any]:
    """In: a handle that came `with_usage` and `with_seen`. A bounded number of queries, each of bounded cost."""
    told: dict[str, Any] = {
        "status": handle_words.status(handle),
        "who_writes": handle_words.who_writes(handle),
        "how_compared": handle_words.how_compared(handle),
        "usage": f"{handle.usage_count:,}" + ("+" if handle.usage_count_is_capped else ""),
        "former_names": list(handle.former_names.order_by("pk")),
        **writing(handle),
        "likenesses": likenesses(handle) if handle.status == Handle.Status.UNDOCUMENTED else [],
    }
    if "try" in request.GET:
        tried = request.GET["try"][:MOST_TRIED]
        told |= {"tried_text": tried, "tried": handle_words.tried(handle, tried)}
    if request.user.has_perm("identities.view_identity"):
        told["usage_url"] = _list("identity", handle=handle.pk)
        told["newest"] = newest(handle)
    if request.user.has_perm("identities.view_blockedidentifier"):
        blocked = BlockedIdentifier.objects.filter(handle=handle).order_by("value")[: MOST_BLOCKED + 1]
        told["blocked"] = list(blocked)
        told["blocked_url"] = _list("blockedidentifier", handle=handle.pk)
    if request.user.has_perm("identities.view_routinglogentry"):
        told |= _log(handle)
    return told


def writing(handle: Handle) -> dict[str, Any]:
    """The table of who has been writing it, for any page about the handle."""
    writers = writers_of(handle)
    number = sum(writer.number for writer in writers)
    return {"writers": writers, "written": number, "written_shown": f"{number:,}"}


def writers_of(handle: Handle) -> list[Writer]:
    """Who wrote the newest identities of a handle, the busiest first; staff by name where the audit has them."""
    rows = Identity.objects.of_handle(handle.pk, newest_first=True).values_list("pk", "source", "created_at")
    found = list(rows[:MOST_SOURCES])
    names = dict(Extension.objects.filter(pk__in={source for _pk, source, _at in found}).values_list("pk", "name"))
    staff = ", ".join(_staff([pk for pk, source, _at in found if source is None]))
    counted: Counter[str | None] = Counter(source for _pk, source, _at in found)
    newest: dict[str | None, datetime.datetime] = {}
    for _pk, source, at in found:
        newest.setdefault(source, at)
    return [
        Writer(names.get(source or "", "") or _staff_words(staff), number, newest[source])
        for source, number in counted.most_common()
    ]


def _staff_words(names: str) -> str:
    return _("staff: %(names)s") % {"names": names} if names else _("staff")


def _staff(pks: Sequence[int]) -> list[str]:
    """Who of the staff wrote the newest of these."""
    keys = [str(pk) for pk in pks[:MOST_COMPARED]]
    if not keys:
        return []
    created = Audit.objects.filter(auditable_type="identity", auditable_key__in=keys, event="created")
    return sorted(set(created.order_by().values_list("by__username", flat=True)))[:MOST_SHOWN]


def likenesses(handle: Handle) -> list[Likeness]:
    """Agreed handles that this one may have been meant to be: of a similar name, or with the same identifiers."""
    mine = Identity.objects.of_handle(handle.pk, newest_first=True).values_list("identifier", "profile_id")
    owners = dict(mine[:MOST_COMPARED])
    others = Identity.objects.filter(identifier__in=owners).exclude(handle=handle.pk).exclude(handle__in=BUILT_IN)
    shared: Counter[str] = Counter()
    same: dict[str, int] = defaultdict(int)
    for name, identifier, profile_id in others.order_by().values_list("handle", "identifier", "profile_id"):
        shared[name] += 1
        same[name] += owners[identifier] == profile_id
    agreed = Handle.objects.filter(status=Handle.Status.AGREED).exclude(pk__in=[handle.pk, *BUILT_IN])
    near = difflib.get_close_matches(handle.name, agreed.values_list("pk", flat=True)[:MOST_NAMES], n=3)
    known = agreed.in_bulk({*near, *shared})
    found = [
        Likeness(known[name], name in near, shared[name], same[name])
        for name in dict.fromkeys([*near, *shared])
        if name in known
    ]
    # The same identifiers on the same profiles say more than a name does.
    return sorted(found, key=lambda one: (-one.same, not one.is_called_so, -one.shared))[:3]


def newest(handle: Handle) -> list[dict[str, Any]]:
    rows = Identity.objects.of_handle(handle.pk, newest_first=True).select_related("profile", "source")
    return [
        {
            "identity": row,
            "shown": mask(row.identifier) if handle.sensitive else row.shown,
            "url": reverse("admin:identities_identity_change", args=[row.pk]),
            "profile_url": reverse("admin:profiles_profile_change", args=[row.profile_id]),
        }
        for row in rows[:MOST_SHOWN]
    ]


def _log(handle: Handle) -> dict[str, Any]:
    """How many entries are open, counted no further than a list would, under all names that it had."""
    entries = RoutingLogEntry.objects.filter(handle__in=matching.every_name(handle.pk), review_status="open")
    number = entries.order_by()[: MOST_COUNTED + 1].count()
    return {
        "log_open": f"{min(number, MOST_COUNTED):,}" + ("+" if number > MOST_COUNTED else ""),
        "log_url": _list("routinglogentry", handle=handle.pk, review_status__exact="open"),
        "log_is_open": number > 0,
    }


def _list(model: str, **query: str) -> str:
    return f"{reverse(f'admin:identities_{model}_changelist')}?{urlencode(query)}"
