"""The profiles of a log entry side by side, for the question whether they are one person."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from identities.models import BUILT_IN, Handle, Identity, RoutingLogEntry
from identities.telling import handle_label
from profiles.admin.base import MOST_AT_ONCE, change_url
from profiles.admin.merge_words import birth_date
from profiles.models import Profile
from profiles.models.profile import fold_name

Outcome = RoutingLogEntry.Outcome

# More columns cannot be compared by eye. The others are named below.
MOST_SIDE_BY_SIDE = 6
MOST_NAMED = 100

# What the profile that the entry calls "requested" was, by outcome.
REQUESTED = {
    Outcome.IDENTITY_TAKEN: gettext_lazy("it was sent for this one"),
    Outcome.REROUTED: gettext_lazy("it was sent for this one"),
    Outcome.RELEASED_FROM: gettext_lazy("had it before"),
    Outcome.CLAIM_OVERRIDDEN: gettext_lazy("had claimed it"),
}


@dataclass(frozen=True, slots=True)
class Column:
    """A profile as it stands today; `merged` are those that the entry names and that have become part of it since."""

    profile: Profile
    url: str
    roles: list[str]
    went_here: bool
    merged: list[Profile] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Row:
    """One fact: what was sent, what each profile has, and whether they agree ("same", "differs", or neither)."""

    label: str
    cells: list[str]
    verdict: str = ""
    sent: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    columns: list[Column]
    rows: list[Row]
    others: list[Column] = field(default_factory=list)
    gone: int = 0

    @property
    def has_sent(self) -> bool:
        return any(row.sent for row in self.rows)


def compare(entry: RoutingLogEntry, survivors: Mapping[uuid.UUID, uuid.UUID]) -> Comparison:
    """Load the entry's profiles and lay them side by side: those it names first, then the other candidates.

    In: whom the ids that it names stand for today. What was merged stands under its survivor, since nothing of it is
    anywhere else.
    """
    named = list(dict.fromkeys(_keys(entry)))
    meant: dict[uuid.UUID, list[uuid.UUID]] = {}
    for key in named:
        if key in survivors:
            meant.setdefault(survivors[key], []).append(key)
    keys = list(meant)
    profiles = _profiles(keys[:MOST_SIDE_BY_SIDE])
    rest = keys[MOST_SIDE_BY_SIDE : MOST_SIDE_BY_SIDE + MOST_NAMED]
    others = Profile.objects.in_bulk(rest) if rest else {}
    merged = {key for key in named[:MOST_NAMED] if survivors.get(key, key) != key}
    parts = Profile.objects.in_bulk(merged) if merged else {}

    def column(profile: Profile) -> Column:
        ids = meant[profile.pk]
        return _column(entry, profile, ids, [parts[one] for one in ids if one in parts])

    columns = [column(profiles[key]) for key in keys if key in profiles]
    return Comparison(
        columns,
        [*_compared(columns, entry.payload), *_told(columns)] if columns else [],
        [column(others[key]) for key in rest if key in others],
        gone=len(named) - len(survivors),
    )


def _keys(entry: RoutingLogEntry) -> Sequence[uuid.UUID]:
    named = (entry.requested_profile_id, entry.routed_profile_id)
    return [key for key in (*named, *entry.candidates) if key is not None]


def _profiles(keys: Sequence[uuid.UUID]) -> dict[uuid.UUID, Any]:
    """The profiles, each with the handles of its identities: one query, and of each no more than can be counted."""
    handles = Identity.objects.filter(profile=OuterRef("pk")).order_by().values("handle_id")[: MOST_AT_ONCE + 1]
    return Profile.objects.annotate(handles=ArraySubquery(handles)).in_bulk(keys)


def _column(entry: RoutingLogEntry, profile: Profile, ids: Collection[uuid.UUID], merged: list[Profile]) -> Column:
    roles = []
    if entry.requested_profile_id in ids and entry.outcome in REQUESTED:
        roles.append(str(REQUESTED[Outcome(entry.outcome)]))
    if entry.outcome == Outcome.IDENTITY_TAKEN and not {*entry.candidates}.isdisjoint(ids):
        roles.append(_("it belongs to this one"))
    went_here = entry.routed_profile_id in ids
    return Column(profile, change_url(profile), roles, went_here=went_here, merged=merged)


def _compared(columns: Sequence[Column], payload: Mapping[str, Any]) -> list[Row]:
    """What tells persons apart. A fact that only some have contradicts nothing; one that nobody has is no row."""
    sent = _facts(payload)
    facts = [_facts(vars(column.profile)) for column in columns]
    rows = []
    for label in sent:
        values = [fact[label] for fact in facts]
        if not sent[label] and not any(values):
            continue
        known = {fold_name(value) for value in values if value}
        verdict = "differs" if len(known) > 1 else "same" if len(values) > 1 and all(values) else ""
        rows.append(Row(label, values, verdict, sent[label]))
    return rows


def _facts(row: Mapping[str, Any]) -> dict[str, str]:
    """A profile's columns, or what was sent of them, as people read them."""
    names = (row.get("first_name"), row.get("last_name"))
    return {
        _("Name"): " ".join(str(name) for name in names if name),
        _("Birth date"): birth_date(row.get("birth_year"), row.get("birth_month"), row.get("birth_day")),
        _("E-mail"): str(row.get("email") or ""),
        _("Mobile phone"): str(row.get("mobile_phone") or ""),
        _("Company"): str(row.get("company") or ""),
    }


def _told(columns: Sequence[Column]) -> list[Row]:
    """What differs between any two profiles, and so says nothing by differing."""
    profiles: list[Any] = [column.profile for column in columns]
    labels = Handle.objects.in_bulk({name for profile in profiles for name in profile.handles})
    return [
        Row(_("Known since"), [_date(profile.created_at) for profile in profiles]),
        Row(_("Last change"), [_date(profile.updated_at) for profile in profiles]),
        Row(_("Identities"), [_number(profile) for profile in profiles]),
        Row(_("Systems"), [_systems(profile.handles, labels) for profile in profiles]),
        Row(_("Profile id"), [format_html('<span class="identifier">{}</span>', profile.pk) for profile in profiles]),
    ]


def _date(at: datetime.datetime) -> str:
    return date_format(timezone.localtime(at), "DATE_FORMAT")


def _number(profile: Any) -> SafeString:
    number = len(profile.handles)
    shown = f"{MOST_AT_ONCE}+" if number > MOST_AT_ONCE else str(number)
    every = reverse("admin:identities_identity_changelist")
    return format_html('<a href="{}?profile__id__exact={}">{}</a>', every, profile.pk, shown)


def _systems(names: Sequence[str], handles: Mapping[str, Handle]) -> str:
    """Contact points are no system: everybody's are shown above."""
    return ", ".join(handle_label(name, handles.get(name)) for name in sorted({*names} - {*BUILT_IN}))
