"""What taking a merge back would do, and what it did, in words: the preview, the message, and the report of it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connection
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from identities.admin.told import may_view
from identities.handles import mask
from identities.models import Handle, Identity
from profiles.admin import field_words, merge_words
from profiles.admin import record_words as words
from profiles.admin.base import change_url
from profiles.admin.field_words import Words
from profiles.admin.profile_words import called, who_is_who
from profiles.merging import Undo
from profiles.merging.lineage import Value, beneath
from profiles.models import RECORDS, Merge, Profile
from profiles.models.record import of_kind

Text = str | SafeString

# Names in one sentence; of more, the others are counted.
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a profile that goes back from one value to another, or stays."""

    label: str
    now: str
    then: str = ""
    profile: Text = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """How many rows of a kind go home, how many of those came after the merge, and how many stay, by why."""

    label: str
    home: int
    since: int
    moved: int
    deleted: int


@dataclass(frozen=True, slots=True)
class Left:
    """One row that stays as it is."""

    text: str
    url: str
    is_deleted: bool
    owner: Text = ""


def sentences(request: HttpRequest, told: Undo) -> list[Text]:
    """What it means, before all figures."""
    merge, duplicate, survivor = told.merge, told.duplicate, told.survivor
    found: list[Text] = [
        format_html(
            '<strong class="means">{}</strong>',
            format_html(
                _("{duplicate} becomes a profile of its own again; {survivor} stays."),
                duplicate=called(request, duplicate),
                survivor=called(request, survivor),
            ),
        ),
        who_is_who(request, duplicate, survivor),
    ]
    if merge.survivor_id != survivor.pk:
        text = _("It was merged into {former}, which has become part of {survivor} since. That stays as it is.")
        words_ = {"former": called(request, merge.survivor), "survivor": called(request, survivor)}
        found.append(format_html(text, **words_))
    along = [one for one in beneath([duplicate.pk]) if one.pk != duplicate.pk]
    if along:
        text = ngettext(
            "What was merged into it before stays part of it: {names}.",
            "What was merged into it before stays part of it: {names}.",
            len(along),
        )
        found.append(format_html(text, names=_names(request, along)))
    if merge.closed:
        number = len(merge.closed)
        found.append(
            ngettext(
                "One entry of the routing log that this merge settled stays reviewed, with the note “undone”.",
                "%(number)s entries of the routing log that this merge settled stay reviewed, with the note “undone”.",
                number,
            )
            % {"number": number}
        )
    found.append(_("The two are then known not to be one person, and are never merged by themselves."))
    return found


def _names(request: HttpRequest, profiles: Sequence[Profile]) -> SafeString:
    named = format_html_join(", ", "{}", ((called(request, one),) for one in profiles[:MOST_NAMED]))
    if len(profiles) <= MOST_NAMED:
        return named
    return format_html(_("{names} and {number} more"), names=named, number=len(profiles) - MOST_NAMED)


def context(request: HttpRequest, told: Undo) -> dict[str, Any]:
    """The tables of the preview. A fixed number of queries beside those of `preview_undo`."""
    values = [(one.name, value) for one in told.restored for value in (one.old, one.new)]
    values += [(one.name, one.value) for one in told.kept]
    deactivated = [row.pk for row in (*told.reactivated, *told.inactive)]
    read = Words.of(request, values, deactivated)
    of_fields = {*(one.profile_id for one in told.restored), *(one.profile_id for one in told.kept)}
    current = Profile.objects.in_bulk({told.survivor.pk, told.duplicate.pk, *of_fields})
    names = _Names(request, current, told.survivor.pk)
    return {
        "merge": told.merge,
        "restored": [
            Field(
                merge_words.label(one.name), read.text(one.name, one.old), read.text(one.name, one.new), names.of(one)
            )
            for one in told.restored
        ],
        "kept": [
            Field(merge_words.label(one.name), read.text(one.name, one.value), profile=names.of(one))
            for one in told.kept
        ],
        "has_others": names.has_others([*told.restored, *told.kept]),
        "rows": rows({kind: asdict(tally) for kind, tally in told.tallies.items()}),
        "left": left(request, told.merge, told.left),
        "left_more": more_left(told.tallies.values(), len(told.left)),
        "contacts": [
            _contact(read, current[one.profile.pk], one.field, getattr(one.profile, one.field))
            for one in told.contacts_changed
        ],
        "reactivated": [read.identity(row.pk) for row in told.reactivated],
        "inactive": [read.identity(row.pk) for row in told.inactive],
    }


@dataclass(frozen=True, slots=True)
class _Names:
    """Whose field it is, said only where it is not the survivor's."""

    request: HttpRequest
    profiles: Mapping[uuid.UUID, Profile]
    survivor_id: uuid.UUID

    def of(self, one: Any) -> Text:
        profile = self.profiles.get(one.profile_id)
        return called(self.request, profile) if profile is not None else ""

    def has_others(self, found: Collection[Any]) -> bool:
        return any(one.profile_id != self.survivor_id for one in found)


def _contact(read: Words, profile: Profile, field: str, then: str) -> str:
    now: Value = [getattr(profile, field)]
    parts = {
        "profile": profile.full_name,
        "field": merge_words.label(field),
        "now": read.text(field, now),
        "then": read.text(field, [then]),
    }
    if then:
        return (
            _("%(field)s of %(profile)s: it will show %(then)s instead of %(now)s, which goes to the other.") % parts
        )
    return _("%(field)s of %(profile)s: it will show none, since %(now)s goes to the other or is gone.") % parts


def rows(counts: Mapping[str, Mapping[str, int]]) -> list[Rows]:
    """In: by kind, the numbers of a Tally, as it is or as the report keeps it."""
    return [Rows(field_words.kind_label(kind), **counts[kind]) for kind in field_words.in_order(counts)]


def more_left(tallies: Iterable[Any], named: int) -> int:
    every: int = sum(one.moved + one.deleted for one in tallies)
    return max(every - named, 0)


def left(request: HttpRequest, merge: Merge, entries: Sequence[Mapping[str, Any]]) -> list[Left]:
    """Name the rows that an undo leaves where they are: in the form of its report. A query for each kind, at most."""
    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        by_kind.setdefault(entry["kind"], []).append(entry)
    owners = Profile.objects.in_bulk({uuid.UUID(one["profile_id"]) for one in entries if one["profile_id"]})
    found = []
    for kind in field_words.in_order(by_kind):
        keys = [int(one["id"]) for one in by_kind[kind]]
        named, url_of = _named(request, kind, keys, merge)
        for entry in by_kind[kind]:
            key = int(entry["id"])
            owner = owners.get(uuid.UUID(entry["profile_id"])) if entry["profile_id"] else None
            is_deleted = entry["why"] == "deleted"
            where = called(request, owner) if owner is not None else "" if is_deleted else _("nobody")
            text = named.get(key) or f"{field_words.kind_label(kind)} #{key}"
            found.append(Left(text, url_of.get(key, ""), is_deleted, where))
    return found


def _named(
    request: HttpRequest, kind: str, keys: Sequence[int], merge: Merge
) -> tuple[dict[int, str], dict[int, str]]:
    """What rows of a kind are called, and where their pages are."""
    may_see = may_view(request.user, "identities.identity" if kind == "identity" else f"profiles.{kind}")
    if kind == "identity":
        found = Identity.objects.select_related("handle").in_bulk(keys)
        names = {key: merge_words.identity(row) if may_see else field_words.system(row) for key, row in found.items()}
        gone = [key for key in keys if key not in found]
        names |= _deleted_pairs(merge, gone, may_see=may_see) if gone else {}
        return names, {key: change_url(row) for key, row in found.items()} if may_see else {}
    if kind not in RECORDS or not may_see:
        return {}, {}
    records: Any = of_kind(RECORDS[kind])
    if kind in ("point", "reward"):
        records = records.select_related("definition")
    found_records = records.in_bulk(keys)
    return {key: words.name(row) for key, row in found_records.items()}, {
        key: change_url(row) for key, row in found_records.items()
    }


def _deleted_pairs(merge: Merge, keys: Sequence[int], *, may_see: bool) -> dict[int, str]:
    """What deleted identities were called: the merge has kept their pairs."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT key::bigint, taken.pairs -> (position - 1)::int
            FROM profiles_takenrows AS taken, LATERAL unnest(taken.keys) WITH ORDINALITY AS kept (key, position)
            WHERE taken.merge_id = %s AND taken."table" = %s AND key = ANY(%s)
            """,
            [merge.pk, Identity._meta.db_table, [str(key) for key in keys]],
        )
        found = {key: _pair(kept) for key, kept in cursor.fetchall()}
    pairs = {key: kept for key, kept in found.items() if kept is not None}
    handles = Handle.objects.in_bulk({handle for handle, _identifier in pairs.values()})
    told = {}
    for key, (handle, identifier) in pairs.items():
        if not handle:
            told[key] = _("an identity that was erased")
            continue
        row = handles.get(handle)
        label = (row.label if row is not None else "") or handle
        shown = mask(identifier) if row is None or row.sensitive else identifier
        told[key] = f"{label} {shown}" if may_see else label
    return told


def _pair(kept: Any) -> tuple[str, str] | None:
    # Raw rows have JSON as text.
    found = json.loads(kept) if isinstance(kept, str) else kept
    return (found[0], found[1]) if isinstance(found, list) and len(found) == 2 else None


def message(request: HttpRequest, done: Undo) -> SafeString:
    """What was done, with links to both profiles."""
    counts = {kind: tally.home for kind, tally in done.tallies.items() if tally.home}
    parts = {
        "duplicate": called(request, done.duplicate),
        "survivor": called(request, done.survivor),
        "rows": field_words.numbers(counts),
    }
    text = _("{duplicate} is a profile of its own again, with {rows}; {survivor} stays.")
    if not counts:
        text = _("{duplicate} is a profile of its own again; {survivor} stays.")
    told = format_html(text, **parts)
    stay = sum(tally.moved + tally.deleted for tally in done.tallies.values())
    if stay or done.kept:
        told = format_html("{} {}", told, _("What was changed since was left as it is: see below."))
    return told
