"""The page of one merge: who, when and why, what it took over and moved, and what its undo did."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from identities.admin.changes import account_name
from identities.admin.told import may_view
from identities.models import RoutingLogEntry
from profiles.admin import field_words, merge_words, undo_page
from profiles.admin.base import link
from profiles.admin.field_words import Words
from profiles.admin.profile_words import called, survivors_of, who_is_who
from profiles.merging import rows
from profiles.merging.lineage import FIELDS, PRIMARY
from profiles.models import Merge, Profile

# What a page names one by one; of more, the first ones.
MOST_SHOWN = 50


@dataclass(frozen=True, slots=True)
class TakenOver:
    """A field in which the survivor took over a value."""

    label: str
    value: str
    of: Any
    former: str
    is_chosen: bool


def context(request: HttpRequest, merge: Merge) -> dict[str, Any]:
    """The page's parts. A fixed number of queries."""
    noted = [(name, value) for name, one in merge.fields.items() for value in (one["adopted"], one["former"])]
    report = merge.undo_report
    deactivated = merge.deactivated[:MOST_SHOWN]
    read = Words.of(request, noted, [*deactivated, *report.get("inactive", [])])
    profiles = Profile.objects.in_bulk(_named(merge))
    survivor = survivors_of([merge.survivor]).get(merge.survivor_id)
    moved = taken(merge)
    return {
        "merge": merge,
        "sentence": sentence(request, merge),
        "who": account_name(merge.by),
        "who_is_who": who_is_who(request, merge.duplicate, merge.survivor),
        "later": _later(request, merge, survivor),
        "taken_over": [_taken_over(request, name, one, read, profiles) for name, one in _in_order(merge.fields)],
        "moved": [(kind, merge_words.kind(kind, moved[kind])) for kind in field_words.in_order(moved)],
        "deactivated": [read.identity(key) for key in deactivated],
        "entries": _entries(request, merge),
        "undone": _undone(request, merge, read, profiles) if merge.undone_at is not None else None,
        "tree_url": f"{reverse('admin:profiles_merge_changelist')}?survivor__id__exact={merge.survivor_id}",
    }


def sentence(request: HttpRequest, merge: Merge) -> SafeString:
    words = {"duplicate": called(request, merge.duplicate), "survivor": called(request, merge.survivor)}
    if merge.undone_at is not None:
        return format_html(_("{duplicate} became part of {survivor}; that was undone."), **words)
    return format_html(_("{duplicate} became part of {survivor}."), **words)


def taken(merge: Merge) -> dict[str, int]:
    """How many rows of each kind it moved. One statement, which reads no key of them."""
    found = rows.fetched(
        'SELECT "table", cardinality(keys) FROM profiles_takenrows WHERE merge_id = %(merge)s', {"merge": merge.pk}
    )
    kinds = {table.name: table.kind for table in rows.tables()}
    return {kinds.get(table, table): number for table, number in found if number}


def _named(merge: Merge) -> set[uuid.UUID]:
    """The profiles that its fields and its undo's report name."""
    ids = {one["of"] for one in merge.fields.values()}
    for part in ("restored", "kept", "contacts_changed"):
        ids |= {one["profile_id"] for one in merge.undo_report.get(part, [])}
    return {uuid.UUID(one) for one in ids}


def _in_order(fields: Mapping[str, Any]) -> list[tuple[str, Any]]:
    known = [*FIELDS, PRIMARY]
    return sorted(fields.items(), key=lambda one: (known.index(one[0]) if one[0] in known else len(known), one[0]))


def _taken_over(
    request: HttpRequest, name: str, entry: Mapping[str, Any], read: Words, profiles: Mapping[uuid.UUID, Profile]
) -> TakenOver:
    owner = profiles.get(uuid.UUID(entry["of"]))
    return TakenOver(
        merge_words.label(name),
        read.text(name, entry["adopted"]),
        called(request, owner) if owner is not None else "",
        read.text(name, entry["former"]),
        entry["chosen"],
    )


def _later(request: HttpRequest, merge: Merge, survivor: Profile | None) -> SafeString | str:
    """Whom the survivor has become part of itself since."""
    if survivor is None:
        return ""
    words = {"former": called(request, merge.survivor), "survivor": called(request, survivor)}
    return format_html(_("{former} has become part of {survivor} since."), **words)


def _entries(request: HttpRequest, merge: Merge) -> list[SafeString]:
    if not may_view(request.user, "identities.routinglogentry"):
        return []
    found = RoutingLogEntry.objects.filter(pk__in=merge.closed[:MOST_SHOWN]).defer("payload").order_by("pk")
    return [link(entry) for entry in found]


def _undone(request: HttpRequest, merge: Merge, read: Words, profiles: Mapping[uuid.UUID, Profile]) -> dict[str, Any]:
    """What the undo did, as the merge keeps it."""
    report = merge.undo_report
    counts = report.get("rows", {})
    left = report.get("left", [])
    return {
        "by": account_name(merge.undone_by) if merge.undone_by is not None else "",
        "restored": [_field(request, one, profiles, merge) for one in report.get("restored", [])],
        "kept": [_field(request, one, profiles, merge) for one in report.get("kept", [])],
        "contacts": [_field(request, one, profiles, merge) for one in report.get("contacts_changed", [])],
        "rows": undo_page.rows(counts),
        "left": undo_page.left(request, merge, left),
        "left_more": undo_page.more_left([SimpleNamespace(**one) for one in counts.values()], len(left)),
        "inactive": [read.identity(key) for key in report.get("inactive", [])],
    }


def _field(
    request: HttpRequest, entry: Mapping[str, str], profiles: Mapping[uuid.UUID, Profile], merge: Merge
) -> SafeString:
    """A field that the report names, with whose it is where that is not the survivor."""
    label, pk = merge_words.label(entry["field"]), uuid.UUID(entry["profile_id"])
    profile = profiles.get(pk)
    if pk == merge.survivor_id or profile is None:
        return format_html("{}", label)
    return format_html(_("{field} of {profile}"), field=label, profile=called(request, profile))
