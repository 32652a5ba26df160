"""What the page of one log entry shows: the sentence, the profiles, what was sent, and when."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet, prefetch_related_objects
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from identities import matching, normalising, telling
from identities.admin import decisions, told
from identities.admin.comparing import compare
from identities.admin.timeline import others_of, timeline
from identities.models import Handle, Identity, Pair, RoutingLogEntry
from profiles.admin.base import pretty
from profiles.models import RECORDS, Profile

Outcome, OPEN = RoutingLogEntry.Outcome, RoutingLogEntry.Review.OPEN

# A record with more identities than a page can show has them all in its raw form.
MOST_SENT = 50


@dataclass(frozen=True, slots=True)
class SentField:
    label: str
    value: str | SafeString


@dataclass(frozen=True, slots=True)
class SentIdentity:
    """A pair of the payload, and what became of it as things stand today."""

    label: str
    handle: str
    identifier: str
    became: SafeString


@dataclass(frozen=True, slots=True)
class Payload:
    """What was sent, for reading; `raw` is all of it. `cut` is how many characters it had, when it was cut.

    `naming` are the pairs that name a profile today, as far as they may be shown in full.
    """

    fields: list[SentField]
    identities: list[SentIdentity]
    raw: SafeString
    cut: int = 0
    more: int = 0
    why: SafeString = SafeString("")
    naming: list[Pair] = field(default_factory=list)


def context(entry: RoutingLogEntry, *, reader: told.Reader) -> dict[str, Any]:
    """What the template shows of the entry to this reader."""
    others = others_of(entry)
    rows = telling.about([entry, *others])
    told_of = telling.tell(entry, rows)
    survivors = Profile.objects.survivors(entry.named)
    # Of what has become one, nothing is left to ask.
    is_settled = len(entry.named) > 1 and len(set(survivors.values())) == 1
    advice = [] if is_settled else told_of.advice
    return {
        "sentence": told.linked(told_of.sentence, told_of.parts, reader=reader),
        "closed_by": decisions.closed_by(entry, reader=reader),
        "is_settled": is_settled,
        "advice": [told.linked(one, told_of.parts, reader=reader) for one in advice],
        "comparison": compare(entry, survivors) if told.may_view(reader, "profiles.profile") else None,
        "payload": _payload(entry, survivors, reader=reader),
        "timeline": timeline(entry, others, rows),
        "source": told_of.parts["source"],
        "reason": telling.reason(entry) if entry.outcome == Outcome.REFUSED else "",
    }


def neighbours(entry: RoutingLogEntry) -> tuple[RoutingLogEntry | None, RoutingLogEntry | None]:
    """The open entries just before and after this one in the list: the next newer, and the next older."""
    is_open = RoutingLogEntry.objects.filter(review_status=OPEN)
    newer = is_open.filter(last_seen_at__gte=entry.last_seen_at)
    older = is_open.filter(last_seen_at__lte=entry.last_seen_at)
    return (
        _first(newer.exclude(last_seen_at=entry.last_seen_at, pk__lte=entry.pk).order_by("last_seen_at", "pk")),
        _first(older.exclude(last_seen_at=entry.last_seen_at, pk__gte=entry.pk).order_by("-last_seen_at", "-pk")),
    )


def _first(entries: QuerySet[RoutingLogEntry]) -> RoutingLogEntry | None:
    return entries.only("pk").first()


def _payload(entry: RoutingLogEntry, survivors: Mapping[uuid.UUID, uuid.UUID], *, reader: told.Reader) -> Payload:
    payload = entry.payload
    is_cut = payload.get("truncated") is True and "beginning" in payload
    sent = [] if is_cut else payload.get("identities") or []
    handles = Handle.objects.select_related("renamed_to").in_bulk({entry.handle, *(one["handle"] for one in sent)})
    sent = [_masked(one, handles) for one in sent]
    pairs = [_pair(one, handles) for one in sent[:MOST_SENT]]
    its_own = _pair(_masked({"handle": entry.handle, "identifier": entry.identifier}, handles), handles)
    owned = matching.owned({pair for pair in (its_own, *pairs) if pair is not None})
    prefetch_related_objects(list(owned.values()), "profile")
    naming = [pair for pair in dict.fromkeys([its_own, *pairs]) if pair in owned and owned[pair].profile.is_live]
    if is_cut:
        raw = format_html("<pre>{}</pre>", payload["beginning"])
        return Payload([], [], raw, cut=payload.get("bytes") or 0, naming=naming)
    fields = {name: value for name, value in payload.items() if name != "identities"}
    columns = _columns(entry)
    return Payload(
        [SentField(_label(name, columns), _value(fields[name])) for name in sorted(fields, key=_place(columns))],
        _identities(entry, list(zip(sent, pairs, strict=False)), owned, handles, reader=reader),
        pretty({**payload, "identities": sent} if "identities" in payload else payload),
        more=max(len(sent) - MOST_SENT, 0),
        why=_why(entry, survivors, owned, handles, reader=reader),
        naming=naming,
    )


def _why(
    entry: RoutingLogEntry,
    survivors: Mapping[uuid.UUID, uuid.UUID],
    owned: Mapping[Pair, Identity],
    handles: Mapping[str, Handle],
    *,
    reader: told.Reader,
) -> SafeString:
    """Which identity decided between several profiles, and by which rule (API.md 4, rule 2).

    Told by the priorities and owners of today. Where they would decide otherwise, only the rule is told.
    """
    if entry.outcome != Outcome.CONFLICT or entry.is_emptied:
        return SafeString("")
    current = {handle.name: handle for name in handles if (handle := _current(name, handles))}
    ranked = sorted(owned.values(), key=lambda row: (-current[row.handle_id].priority, row.pk))
    routed = survivors.get(entry.routed_profile_id) if entry.routed_profile_id else None
    rivals = [row for row in ranked if row.profile_id != routed]
    if not rivals or ranked[0].profile_id != routed:
        rule = _("Of several known identities the one whose handle has the highest priority decides, then the older.")
        return format_html("{} {}", rule, _("Priorities or owners have changed since."))
    decider, rival = (
        (row, telling.handle_label(row.handle_id, current[row.handle_id]), current[row.handle_id])
        for row in (ranked[0], rivals[0])
    )
    parts = {
        "profile": telling.Part(decider[0].profile.full_name, decider[0].profile),
        "identity": telling.Part(f"{decider[1]} {telling.shown(decider[0].identifier, decider[2])}"),
        "other": telling.Part(f"{rival[1]} {telling.shown(rival[0].identifier, rival[2])}"),
    }
    if decider[2].priority > rival[2].priority:
        sentence = _(
            "It went to {profile} because the handle of {identity} has a higher priority than that of {other}."
        )
    else:
        sentence = _(
            "It went to {profile} because {identity} is an older identity than {other}. Their handles have the same "
            "priority; where one has a higher, that decides."
        )
    return told.linked(sentence, parts, reader=reader)


def _masked(one: Mapping[str, Any], handles: Mapping[str, Handle]) -> dict[str, Any]:
    """A pair of the payload as it may be shown: its handle may have become sensitive since."""
    return {**one, "identifier": telling.shown(one["identifier"], _current(one["handle"], handles))}


def _current(name: str, handles: Mapping[str, Handle]) -> Handle | None:
    handle = handles.get(name)
    return handle and (handle.renamed_to or handle)


def _columns(entry: RoutingLogEntry) -> dict[str, str]:
    """The fields of what was sent, in their order, and what people call them."""
    model: type[Model] = RECORDS.get(entry.kind, Profile)
    return {field.name: str(field.verbose_name) for field in model._meta.fields}


def _place(columns: Mapping[str, str]) -> Callable[[str], tuple[int, str]]:
    """In the order of the row's own fields, then by name; the database keeps no order."""
    order = list(columns)
    return lambda name: (order.index(name) if name in order else len(order), name)


def _label(name: str, columns: Mapping[str, str]) -> str:
    return capfirst(columns.get(name) or name.replace("_", " "))


def _value(value: Any) -> str | SafeString:
    if value in (None, "", [], {}):
        return "–"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        return ", ".join(map(str, value))
    return pretty(value) if isinstance(value, list | dict) else str(value)


def _identities(
    entry: RoutingLogEntry,
    sent: Sequence[tuple[dict[str, Any], Pair | None]],
    owned: Mapping[Pair, Identity],
    handles: Mapping[str, Handle],
    *,
    reader: told.Reader,
) -> list[SentIdentity]:
    """Each pair that was sent, with whose it is today."""
    return [
        SentIdentity(
            telling.handle_label(one["handle"], handles.get(one["handle"])) or _("without a handle"),
            one["handle"],
            one["identifier"],
            _became(entry, pair, owned, is_this=_is_this(entry, one, handles), reader=reader),
        )
        for one, pair in sent
    ]


def _pair(one: Mapping[str, Any], handles: Mapping[str, Handle]) -> Pair | None:
    """The pair in its normal form, unless it is masked or can have none."""
    handle = _current(one["handle"], handles)
    if handle is None or one["identifier"].startswith(telling.MASKED):
        return None
    try:
        return Pair(handle.name, normalising.normalise(handle.normaliser, one["identifier"].strip()))
    except ValidationError:
        return None


def _is_this(entry: RoutingLogEntry, one: Mapping[str, Any], handles: Mapping[str, Handle]) -> bool:
    """Whether a pair of the payload, as shown, is the one that the entry is about."""
    identifier = telling.shown(entry.identifier, _current(one["handle"], handles))
    return (one["handle"][:64], one["identifier"][:255]) == (entry.handle, identifier)


def _became(
    entry: RoutingLogEntry,
    pair: Pair | None,
    owned: Mapping[Pair, Identity],
    *,
    is_this: bool,
    reader: told.Reader,
) -> SafeString:
    if entry.outcome == Outcome.REFUSED and is_this:
        return format_html(_("left out: {reason}"), reason=telling.reason(entry))
    if pair is None:
        return format_html("{}", _("is masked or no identity, and not looked up"))
    row = owned.get(pair)
    if row is None:
        return format_html("{}", _("nobody has it"))
    parts = {"profile": telling.Part(row.profile.full_name, row.profile)}
    if not row.profile.is_live:
        return told.linked(_("was left behind by {profile}, who is deleted"), parts, reader=reader)
    if row.conflict_id == entry.pk:
        return told.linked(_("was attached to {profile} by this write"), parts, reader=reader)
    if entry.outcome == Outcome.RELEASED_FROM and is_this:
        return told.linked(_("was taken over, and belongs to {profile}"), parts, reader=reader)
    return told.linked(_("belongs to {profile}"), parts, reader=reader)
