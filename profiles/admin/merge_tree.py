"""All that was merged into a profile, as a tree on its page; of each, what was not taken over from it."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from django.db import connection
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from identities.admin.changes import account_name
from profiles.admin import merge_words
from profiles.admin.base import change_url
from profiles.admin.field_words import Words
from profiles.admin.profile_words import called, survivors_of
from profiles.merging.lineage import ATTRIBUTES, COLUMNS, COPIED, CUSTOM, PARTS, PRIMARY, Value, is_empty, same
from profiles.models import CustomAttribute, Merge, Profile

# More of them are no tree that anybody looks at; the list of merges has the others.
MOST_NODES = 50
# What is merged deeper stands on the page of the profile that is so deep.
DEEPEST = 8
MOST_COUNTED = 1_000
# Custom attributes of one profile that are compared.
MOST_ATTRIBUTES = 100

# In the order in which the tree is walked: what is nearest is found first, and of one profile the newest.
TREE = """
    WITH RECURSIVE tree AS (
        (
            SELECT id, duplicate_id, undone_at, 1 AS depth FROM profiles_merge
            WHERE survivor_id = %(top)s ORDER BY id DESC LIMIT %(most)s
        )
        UNION ALL
        SELECT beneath.id, beneath.duplicate_id, beneath.undone_at, tree.depth + 1
        FROM tree, LATERAL (
            SELECT id, duplicate_id, undone_at FROM profiles_merge
            WHERE survivor_id = tree.duplicate_id ORDER BY id DESC LIMIT %(most)s
        ) AS beneath
        WHERE tree.undone_at IS NULL AND tree.depth < %(deepest)s
    )
    SELECT id FROM tree LIMIT %(most)s
"""

COUNTS = """
    SELECT asked.id, (
        SELECT count(*) FROM (SELECT FROM profiles_merge WHERE survivor_id = asked.id LIMIT %(most)s) AS few
    ) FROM unnest(%(ids)s::uuid[]) AS asked (id)
"""

ATTRIBUTES_OF = """
    SELECT found.* FROM unnest(%s::uuid[]) AS asked (id), LATERAL (
        SELECT * FROM profiles_customattribute WHERE profile_id = asked.id ORDER BY namespace, handle LIMIT %s
    ) AS found
"""


@dataclass(frozen=True, slots=True)
class NotTaken:
    """A value that a duplicate had, and what the profile shows instead."""

    label: str
    value: str
    shown: str


@dataclass(slots=True)
class Node:
    """One merge: the profile that became part of the one above, and what had become part of that before."""

    merge: Merge
    name: SafeString
    by: str
    url: str
    undo_url: str = ""
    undone_by: str = ""
    not_taken: list[NotTaken] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    more: str = ""
    more_url: str = ""


@dataclass(slots=True)
class Tree:
    nodes: list[Node]
    more: str = ""
    more_url: str = ""


def tree(request: HttpRequest, profile: Profile) -> Tree:
    """Six statements at most, however many merges there are."""
    with connection.cursor() as cursor:
        cursor.execute(TREE, {"top": profile.pk, "most": MOST_NODES, "deepest": DEEPEST})
        keys = [key for (key,) in cursor.fetchall()]
    if not keys:
        return Tree([])
    rows = Merge.objects.select_related("duplicate", "by__extension", "undone_by__extension").defer(
        "undo_report", "deactivated", "closed", "marks", "fields"
    )
    merges = sorted(rows.in_bulk(keys).values(), key=lambda merge: -merge.pk)
    may_undo = request.user.has_perm("profiles.unmerge_merge")
    nodes = {merge.pk: _node(request, merge, may_undo=may_undo) for merge in merges}
    live = {merge.duplicate_id: nodes[merge.pk] for merge in merges if merge.undone_at is None}
    whole = Tree([])
    for merge in merges:
        above = whole if merge.survivor_id == profile.pk else live.get(merge.survivor_id)
        if above is not None:
            above.nodes.append(nodes[merge.pk])
    _count(profile, whole, live)
    _compare(request, profile, live)
    return whole


def _node(request: HttpRequest, merge: Merge, *, may_undo: bool) -> Node:
    return Node(
        merge,
        called(request, merge.duplicate),
        account_name(merge.by),
        change_url(merge),
        undo_url=reverse("admin:profiles_merge_undo", args=[merge.pk]) if may_undo and merge.undone_at is None else "",
        undone_by=account_name(merge.undone_by) if merge.undone_by is not None else "",
    )


def _count(profile: Profile, whole: Tree, live: Mapping[uuid.UUID, Node]) -> None:
    """Say of each how many merges are not shown. None can be missing while there is room."""
    places: dict[uuid.UUID, Tree | Node] = {profile.pk: whole, **live}
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, {"ids": list(places), "most": MOST_COUNTED})
        found = dict(cursor.fetchall())
    every = reverse("admin:profiles_merge_changelist")
    for pk, place in places.items():
        missing = found.get(pk, 0) - len(place.nodes)
        if missing > 0:
            place.more = f"{missing}+" if found[pk] >= MOST_COUNTED else str(missing)
            place.more_url = f"{every}?survivor__id__exact={pk}"


# What was not taken over


def _compare(request: HttpRequest, profile: Profile, live: Mapping[uuid.UUID, Node]) -> None:
    """Put beside each merge that is in force the values of its duplicate that the profile does not show."""
    if not live:
        return
    attributes = _attributes([profile.pk, *live])
    own: dict[uuid.UUID, dict[str, Value]] = {
        pk: values(node.merge.duplicate, attributes.get(pk, ()), node.merge.primary) for pk, node in live.items()
    }
    shown = values(profile, attributes.get(profile.pk, ()), _primary(profile))
    named = [(name, value) for one in (shown, *own.values()) for name, value in one.items()]
    read = Words.of(request, named)
    for pk, node in live.items():
        node.not_taken = [
            NotTaken(merge_words.label(name), read.text(name, value), read.text(name, shown.get(name, [])))
            for name, value in own[pk].items()
            if not is_empty(value) and not same(name, value, shown.get(name, []))
        ]


def values(profile: Profile, attributes: Collection[CustomAttribute], primary: int | None) -> dict[str, Value]:
    """A profile's own values by field, as merging has them."""
    found: dict[str, Value] = {
        name: [_plain(getattr(profile, column)) for column in columns] for name, columns in COLUMNS.items()
    }
    found |= {f"{ATTRIBUTES}{part}": [profile.attributes[part]] for part in PARTS if part in profile.attributes}
    found |= {f"{CUSTOM}{row}": [getattr(row, column) for column in COPIED] for row in attributes}
    return found | {PRIMARY: [] if primary is None else [primary]}


def _plain(value: object) -> object:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _primary(profile: Profile) -> int | None:
    return profile.identities.filter(is_primary=True).values_list("pk", flat=True).first()


def _attributes(ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[CustomAttribute]]:
    found: dict[uuid.UUID, list[CustomAttribute]] = {}
    for row in CustomAttribute.objects.raw(ATTRIBUTES_OF, [list(ids), MOST_ATTRIBUTES]):
        found.setdefault(row.profile_id, []).append(row)
    return found


# A merged profile


@dataclass(frozen=True, slots=True)
class Merged:
    """By which merge a profile became part of another, and who stands for it today."""

    sentence: SafeString
    reason: str
    today: SafeString | str
    survivor: Profile
    merge_url: str = ""
    undo_url: str = ""
    happened_url: str = ""


def merged(request: HttpRequest, profile: Profile) -> Merged | None:
    """What the page of a merged profile says first. Four statements at most; none for any other profile."""
    if profile.merged_into is None:
        return None
    merge = Merge.objects.live().filter(duplicate=profile).select_related("survivor", "by__extension").first()
    survivor = survivors_of([profile])[profile.pk]
    former = called(request, profile.merged_into)
    today: SafeString | str = ""
    if survivor.pk != profile.merged_into_id:
        text = _("{former} has become part of {survivor} since, who is this person today.")
        today = format_html(text, former=former, survivor=called(request, survivor))
    if merge is None:
        return Merged(format_html(_("This profile was merged into {survivor}."), survivor=former), "", today, survivor)
    return Merged(
        format_html(
            _("This profile was merged into {survivor} on {date} by {who}."),
            survivor=former,
            date=_date(merge),
            who=account_name(merge.by),
        ),
        merge.reason,
        today,
        survivor,
        merge_url=change_url(merge) if request.user.has_perm("profiles.view_merge") else "",
        undo_url=(
            reverse("admin:profiles_merge_undo", args=[merge.pk])
            if request.user.has_perm("profiles.unmerge_merge")
            else ""
        ),
        happened_url=f"{change_url(survivor)}#happened",
    )


def _date(merge: Merge) -> str:
    return date_format(timezone.localtime(merge.at), "DATE_FORMAT")
