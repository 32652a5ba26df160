"""Why is this record here? How it came, told in words and as data (API.md 3, `why`)."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from identities import handles
from identities.models import Handle, Identity, Pair, RoutingLogEntry
from identities.moving import subject_type_of
from profiles.models import Merge, Move, Record

DecidedBy = Record.DecidedBy

# So many merges of one record are told, the oldest first.
MOST_MERGES = 100


@dataclass(frozen=True, slots=True)
class Passed:
    """A merge that a record passed through. `since`: it came in while the merge stood, and the undo took it home."""

    merge: Merge
    since: bool = False

    @property
    def at(self) -> datetime.datetime:
        """When that gave the record another profile."""
        at = self.merge.undone_at if self.since else None
        return at or self.merge.at


@dataclass(slots=True)
class Why:
    """How a record came to its profile.

    `identity` is the identity that decided while it exists, `pair` what it was when it did, masked if sensitive;
    `came_to` the profile that it came to, which may be another by now; `moves` is what people did since, and `merges`
    those that it passed through, both the oldest first; `sentences` say all of it, in the order in which it happened.
    For pages that list the moves themselves, `how` are those of its coming, and `of_merges` those of the merges.
    """

    record: Record
    identity: Identity | None = None
    pair: Pair | None = None
    log_entry: RoutingLogEntry | None = None
    came_to: uuid.UUID | None = None
    moves: list[Move] = field(default_factory=list)
    merges: list[Passed] = field(default_factory=list)
    how: list[str] = field(default_factory=list)
    of_merges: list[str] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)


def why(record: Record) -> Why:
    """Explain one record. Reads only, at most eight statements."""
    told = Why(record, log_entry=record.log_entry)
    if record.brought_by_id is not None:
        told.identity = Identity.objects.select_related("handle").get(pk=record.brought_by_id)
    if record.brought_by_handle:
        told.pair = _masked(Pair(record.brought_by_handle, record.brought_by_identifier))
    subject = Move.objects.filter(subject_type=subject_type_of(record), subject_key=str(record.pk))
    told.moves = list(subject.select_related("by").order_by("pk"))
    _trace(told)
    told.how = [_decision(told), *_doubts(told)]
    told.of_merges = [_passed(one) for one in told.merges]
    since = [
        *((move.at, _moved(move)) for move in told.moves),
        *((one.at, sentence) for one, sentence in zip(told.merges, told.of_merges, strict=True)),
    ]
    told.sentences = [*told.how, *(sentence for _at, sentence in sorted(since, key=lambda one: one[0]))]
    return told


# Merges to either side of a profile, of which the record was one that they moved. A merge notes the highest key of
# each table, so that one which is older than the record costs no look into the keys that it has taken.
_HAS_TAKEN = """
    (merge.marks ->> %(kind)s)::bigint >= %(id)s AND EXISTS (
        SELECT FROM profiles_takenrows AS taken
        WHERE taken.merge_id = merge.id AND taken."table" = %(table)s AND %(id)s::text = ANY(taken.keys)
    )
"""
_TAKEN = f"""
    WITH RECURSIVE had AS (
        SELECT unnest(%(profiles)s::uuid[]) AS profile_id
        UNION
        SELECT merge.other FROM had, LATERAL (
            SELECT id, marks, duplicate_id AS other FROM profiles_merge WHERE survivor_id = had.profile_id
            UNION ALL
            SELECT id, marks, survivor_id FROM profiles_merge WHERE duplicate_id = had.profile_id
        ) AS merge
        WHERE {_HAS_TAKEN}
    )
    SELECT merge.id FROM had JOIN profiles_merge AS merge ON merge.survivor_id = had.profile_id
    WHERE {_HAS_TAKEN} ORDER BY merge.id LIMIT {MOST_MERGES}
"""  # noqa: S608 - put together from constants only

# Nothing is on a merged profile. What is on one that was merged when it came has come home by the undo: what was there
# before has left it by the merge. An undo that comes after it had come home has nothing to do with it.
_HOME = f"""
    WITH RECURSIVE home AS (
        SELECT %(profile)s::uuid AS profile_id, %(until)s::timestamptz AS until, NULL::bigint AS id
        UNION ALL
        SELECT merge.survivor_id, merge.undone_at, merge.id
        FROM home JOIN profiles_merge AS merge ON merge.duplicate_id = home.profile_id
        WHERE merge.undone_at < home.until AND merge.undone_at > %(arrived)s
    )
    SELECT id FROM home WHERE id IS NOT NULL LIMIT {MOST_MERGES}
"""  # noqa: S608 - put together from constants only

_NEVER = datetime.datetime.max.replace(tzinfo=datetime.UTC)


def _trace(told: Why) -> None:
    """Find the merges that the record passed through, and the profile that it came to. Two statements, and one more
    for each kind of merges that there are."""
    record, moves = told.record, list(told.moves)
    arrived = record.created_at
    if moves and moves[0].cause in Move.ARRIVALS:
        # Nobody's at first: that is how it came.
        arrived = moves.pop(0).at
    had = {record.profile_id, *(pk for move in told.moves for pk in (move.from_profile_id, move.to_profile_id))}
    table = type(record)._meta.db_table
    asked = {"profiles": list(had - {None}), "kind": record.kind, "id": record.pk, "table": table}
    taken = [Passed(merge) for merge in _merges(_keys(_TAKEN, asked))]
    first = [(move.at, move.from_profile_id) for move in moves] + [(one.at, one.merge.duplicate_id) for one in taken]
    until, told.came_to = min(first, key=lambda one: one[0], default=(_NEVER, record.profile_id))
    home: list[Passed] = []
    if told.came_to is not None:
        asked = {"profile": told.came_to, "until": until, "arrived": arrived}
        home = [Passed(merge, since=True) for merge in _merges(_keys(_HOME, asked))]
    if home:
        told.came_to = min(home, key=lambda one: one.at).merge.survivor_id
    told.merges = sorted([*taken, *home], key=lambda one: one.merge.pk)


def _keys(sql: str, asked: dict[str, Any]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(sql, asked)
        return [key for (key,) in cursor.fetchall()]


def _merges(keys: Collection[int]) -> list[Merge]:
    if not keys:
        return []
    return list(Merge.objects.filter(pk__in=keys).select_related("by", "undone_by").defer("fields").order_by("pk"))


def _decision(told: Why) -> str:
    record = told.record
    pair = _shown(told)
    is_there_still = told.came_to == record.profile_id
    match record.decided_by:
        case DecidedBy.IDENTITY if is_there_still:
            return _("It named %(pair)s, which this profile was known by.") % {"pair": pair}
        case DecidedBy.IDENTITY:
            words = {"pair": pair, "profile": told.came_to or _("nobody")}
            return _("It named %(pair)s, which the profile %(profile)s was known by.") % words
        case DecidedBy.ID if told.came_to not in (None, record.addressed):
            text = _("It named the profile %(id)s, which stood for %(profile)s, and no identity that was known.")
            return text % {"id": record.addressed, "profile": told.came_to}
        case DecidedBy.ID:
            return _("It named the profile %(id)s, and no identity that was known.") % {"id": record.addressed}
        case DecidedBy.CONTACT:
            return _("It named no identity that was known, but the contact point %(pair)s.") % {"pair": pair}
        case DecidedBy.NEW:
            text = _("Nobody was known by what it named, so a profile was made for it, first of all with %(pair)s.")
            return text % {"pair": pair}
        case DecidedBy.ERASED:
            return _("It was brought by an identity of a profile that has been erased.")
    return _("It named nobody, so it was kept without a profile.")


def _doubts(told: Why) -> list[str]:
    entry, record = told.log_entry, told.record
    if entry is None:
        return []
    match entry.outcome:
        case RoutingLogEntry.Outcome.CONFLICT:
            text = _("What it named belongs to several profiles; the routing log has it as entry %(id)d.")
        case RoutingLogEntry.Outcome.REROUTED:
            text = _("It was addressed to another profile; the routing log has it as entry %(id)d.")
        case _:
            text = _("Something that it named could not be used; the routing log has it as entry %(id)d.")
    sentences = [text % {"id": entry.pk}]
    if record.addressed is not None and entry.outcome == RoutingLogEntry.Outcome.REROUTED:
        sentences.append(_("The profile that it named by id is %(id)s.") % {"id": record.addressed})
    return sentences


def _moved(move: Move) -> str:
    words = {
        "by": move.by.get_username(),
        "former": move.from_profile_id or _("nobody"),
        "profile": move.to_profile_id or _("nobody"),
        "reason": move.reason,
    }
    match move.cause:
        case Move.Cause.ROUTED:
            text = _("It was nobody's until what it named led to %(profile)s")
        case Move.Cause.SPLIT:
            text = _("%(by)s split it off from %(former)s to %(profile)s, with what had brought it: %(reason)s")
        case Move.Cause.DECIDED:
            text = _("%(by)s decided in the routing log that it goes from %(former)s to %(profile)s: %(reason)s")
        case _:
            text = _("%(by)s moved it from %(former)s to %(profile)s: %(reason)s")
    return _told(text % words, undone=move.undone_at is not None)


def _passed(passed: Passed) -> str:
    merge = passed.merge
    words = {
        "by": merge.by.get_username(),
        "duplicate": merge.duplicate_id,
        "survivor": merge.survivor_id,
        "reason": merge.reason,
        "undone_by": merge.undone_by.get_username() if merge.undone_by else "",
    }
    if passed.since:
        text = _("It came while %(duplicate)s was part of %(survivor)s, and went home when %(undone_by)s undid that")
        return text % words
    if merge.cause == Merge.Cause.AUTOMATIC:
        text = _("%(duplicate)s, which had it, was merged into %(survivor)s by itself, as the handles say: %(reason)s")
    else:
        text = _("%(by)s merged %(duplicate)s, which had it, into %(survivor)s: %(reason)s")
    return _told(text % words, undone=merge.undone_at is not None)


def _told(sentence: str, *, undone: bool) -> str:
    sentence = sentence.removesuffix(": ")
    return _("%(sentence)s (taken back since)") % {"sentence": sentence} if undone else sentence


def _masked(pair: Pair) -> Pair:
    """The pair as pages show it: a sensitive handle's identifier masked, also when the row is gone."""
    sensitive = Handle.objects.sensitive().filter(pk=pair.handle).exists()
    return Pair(pair.handle, handles.mask(pair.identifier)) if sensitive else pair


def _shown(told: Why) -> str:
    if told.pair is None:
        return _("an identity that is no longer known")
    return f"{told.pair.handle}: {told.pair.identifier}"
