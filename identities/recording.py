"""Incoming records: bring each to the profile that its pairs name, and lose none (API.md 4).

Like `routing`, every function runs in a transaction of its own and survives races by starting over (`holding`).
"""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

from django.utils import timezone
from django.utils.translation import gettext as _

from identities import auto_merging, contacts, deciding, filling, handles, lookup, matching
from identities.attaching import attach, over_limit
from identities.deciding import PROFILE_ID, Decision, Named, Wanted
from identities.handles import Sent
from identities.holding import Changed, Held, hold, settle
from identities.incoming import Incoming
from identities.models import Extension, Identity, Pair, brought
from identities.moving import last_move, note_moves
from identities.outcomes import Routed, Write, note_conflict, note_rerouted, set_aside
from profiles import auditing, reading
from profiles.auditing import By
from profiles.inserting import insert, unsaved
from profiles.models import (
    Move,
    Point,
    PointDefinition,
    Profile,
    Record,
    Reward,
    RewardDefinition,
    Transaction,
    TransactionItem,
)
from profiles.models.balance import Definition
from profiles.models.profile import STATE
from profiles.models.record import of_kind
from profiles.refusing import Refused

R = TypeVar("R", bound=Record)

# A record may be nobody's.
Brought = Routed[Profile | None]

DEFINITIONS: dict[type[Record], type[Definition]] = {Point: PointDefinition, Reward: RewardDefinition}

MOST_PAIRS = 1_000

# Of the profiles that a new record names.
LOOKED_AT = (*STATE, "locked")

# What the audit says of a record besides what changed: enough to know it by when it is gone.
KNOWN_BY = ("external_id", "total", "name", "value_initial")


@dataclass(frozen=True, slots=True)
class Recorded(Generic[R]):
    """A record on file, where it went, and whether it is new."""

    record: R
    routed: Brought
    created: bool = False


def record(
    kind: type[R], incoming: Incoming, *, upsert: bool = False, by: By, source: Extension | None
) -> Recorded[R]:
    """Keep a record on the profile that its pairs name.

    With `upsert`, one of the same (`source`, `external_id`) is changed instead, as by `change`. Outcomes: see
    `Routed`; a pair that cannot be written is set aside and spoils nothing. Raises Profile.DoesNotExist when nothing
    but an unknown profile id is named, and Refused: `record_exists` without `upsert`, `invalid` for columns.
    """
    write = Write(kind.kind, incoming.payload, by, source)

    tries = itertools.count()

    def on_file() -> R | None:
        return _on_file(kind, incoming.fields.get("external_id"), source)

    def attempt() -> Recorded[R]:
        # Looked for only once there is reason to: nearly every record is new.
        if next(tries) == 0:
            try:
                return _made(kind, incoming, write)
            except (Profile.DoesNotExist, Refused):
                if on_file() is None:
                    raise
                raise Changed from None
        existing = on_file()
        if existing is not None and not upsert:
            raise _exists(existing)
        if existing is not None:
            return _changed(existing, incoming, write)
        return _made(kind, incoming, write)

    return settle(attempt)


def change(kind: type[R], pk: int, incoming: Incoming, *, by: By, source: Extension | None) -> Recorded[R]:
    """Change the columns of a record that are named, and its items if they are.

    A record that has a profile keeps it: pairs that name another are logged, unknown ones attach to its own. One of
    nobody is routed, unless a person made it so. Raises the kind's DoesNotExist, and Refused as `record` does.
    """
    write = Write(kind.kind, incoming.payload, by, source)
    return settle(lambda: _changed(of_kind(kind).get(pk=pk), incoming, write))


def delete(kind: type[Record], pk: int, *, by: By) -> None:
    """Delete a record for good; the audit keeps that it was. Raises the kind's DoesNotExist."""

    def attempt() -> None:
        row = locked(of_kind(kind).get(pk=pk))
        entry = auditing.entry("deleted", row, by=by, profile=row.profile, old=_known_by(row))
        entry.facts = lambda: [{"gone": reading.from_json(lookup.records(kind.kind, [row.pk])[0])}]
        auditing.write([entry])
        row.delete()

    settle(attempt)


def locked(row: R, *, profile_ids: Sequence[uuid.UUID] = (), pairs: Sequence[Pair] = ()) -> R:
    """The record under its lock, which is taken after those of the profiles, as everywhere. Raises Changed."""
    _held, row = _hold(row, pairs, profile_ids)
    return row


def _hold(row: R, pairs: Sequence[Pair], profile_ids: Sequence[uuid.UUID]) -> tuple[Held, R]:
    held = hold(pairs, profile_ids=[pk for pk in (row.profile_id, *profile_ids) if pk is not None])
    current = of_kind(type(row)).select_for_update(no_key=True).filter(pk=row.pk).first()
    if current is None or current.profile_id != row.profile_id:
        raise Changed
    if current.profile_id is not None:
        current.profile = held.profiles[current.profile_id]
    return held, current


def _on_file(kind: type[R], external_id: str | None, source: Extension | None) -> R | None:
    if not external_id:
        return None
    found = reading.instances(
        kind, _of_external_id(kind, source is None), [external_id, *([source.pk] if source else [])]
    )
    return next(iter(found), None)


@cache
def _of_external_id(kind: type[Record], is_of_staff: bool) -> str:
    # The index has none that is empty, which a plan for any id has to be told.
    return f"""
        SELECT {reading.columns(kind)} FROM {kind._meta.db_table}
        WHERE external_id = %s AND external_id <> '' AND source {"IS NULL" if is_of_staff else "= %s"}
    """  # noqa: S608 - names of our own


def _exists(row: Record) -> Refused:
    message = _("There is a record of this external id already.")
    return Refused("record_exists", message, field="external_id", id=row.pk)


@dataclass(frozen=True, slots=True)
class _Case:
    """One try to write a record: what came in, what the catalogue and the locks make of it."""

    incoming: Incoming
    write: Write
    wanted: Wanted
    named: Named | None
    held: Held

    def decide(self, kept: Record | None = None) -> Decision:
        decision = deciding.decide(self.wanted, self.named, held=self.held, kept=kept)
        if self.wanted.found is not None and self.held.owner(self.wanted.found) is None:
            # An identifier without a handle only ever finds a pair. One that has gone since must not be made anew.
            raise Changed
        if decision.identity is None and decision.profile is not None and self.incoming.identity_id is not None:
            decision.identity = decision.profile.identities.filter(pk=self.incoming.identity_id).first()
            if decision.identity is not None:
                decision.decided_by = Record.DecidedBy.IDENTITY
        return decision


def _made(kind: type[R], incoming: Incoming, write: Write) -> Recorded[R]:
    wanted, named = _read(incoming, write)
    # Contact points are shown by columns of the profile; without any, nothing else of it is looked at.
    held = hold(wanted.all, profile_ids=_ids(named), only=() if wanted.contacts else LOOKED_AT)
    case = _Case(incoming, write, wanted, named, held)
    row = unsaved(kind, addressed=incoming.named, **incoming.fields)
    row.source = write.source
    _keep_definition(row)
    decision = case.decide()
    with auditing.together():
        routed = _bring(row, case, decision, is_kept=False)
    entry = auditing.entry("created", row, by=write.by, profile=row.profile, new=_known_by(row))
    items = _items(row, incoming.items or ()) if isinstance(row, Transaction) else []
    if not auditing.write_with(row, entry, {"transaction_id": items}):
        # There is one of its external id.
        raise Changed
    _merge_trusted(case, decision, routed)
    return Recorded(row, routed, created=True)


def _changed(row: R, incoming: Incoming, write: Write) -> Recorded[R]:
    wanted, named = _read(incoming, write)
    held, row = _hold(row, wanted.all, _ids(named))
    case = _Case(incoming, write, wanted, named, held)
    namesake = _on_file(type(row), incoming.fields.get("external_id"), row.source)
    if namesake is not None and namesake.pk != row.pk:
        raise _exists(namesake)
    before = _state(row)
    old = {name: getattr(row, name) for name in (*incoming.fields, "profile_id")}
    for name, value in incoming.fields.items():
        setattr(row, name, value)
    _keep_definition(row)
    row.addressed = row.addressed or incoming.named
    kept = row if row.profile is not None or _was_made_nobodys(row) else None
    decision = case.decide(kept)
    with auditing.together():
        routed = _bring(row, case, decision, is_kept=kept is not None)
    if kept is None and row.profile is not None:
        note_moves([row], {row.pk: None}, row.profile, reason="", by=write.by, cause=Move.Cause.ROUTED)
    are_other_items = _write_items(row, incoming.items)
    if are_other_items or _state(row) != before:
        row.updated_at = timezone.now()
        row.save(force_update=True)
    changed = {name: getattr(row, name) for name in old if _exact(getattr(row, name)) != _exact(old[name])}
    if are_other_items:
        changed["items"] = len(incoming.items or ())
    if changed:
        former = {name: old[name] for name in changed if name in old}
        auditing.write([auditing.entry("updated", row, by=write.by, profile=row.profile, old=former, new=changed)])
    _merge_trusted(case, decision, routed)
    return Recorded(row, routed)


def _read(incoming: Incoming, write: Write) -> tuple[Wanted, Named | None]:
    found = matching.under_any_open_handle(incoming.bare) if incoming.bare is not None else None
    sent = [*incoming.sent, *([Sent(*found.pair)] if found else [])]
    wanted = deciding.read(sent, writer=write.source)
    if found is not None:
        # Unless the catalogue no longer takes it, and it is among the refused.
        wanted.found = found.pair if found.pair in wanted.pairs else None
    elif incoming.bare is not None:
        message = _("No profile, or more than one, is known by %(identifier)s alone: name its handle, too.")
        refusal = Refused("unknown_identifier", message % {"identifier": incoming.bare}, field="identifier")
        wanted.refused[Pair("", incoming.bare)] = refusal
    handles.admit(wanted.pairs.values())
    return wanted, deciding.named(incoming.named)


def _ids(named: Named | None) -> list[uuid.UUID]:
    return [named.profile_id] if named is not None and named.profile_id is not None else []


def _was_made_nobodys(row: Record) -> bool:
    """Whether a person took a record from its profile, which no later copy of it undoes."""
    return row.profile is None and last_move(row) is not None


def _bring(row: Record, case: _Case, decision: Decision, *, is_kept: bool) -> Brought:
    """Put a record where it belongs, with the pairs that nobody has yet, and log what a person has to look at."""
    profile = _new_profile(case) if decision.decided_by == Record.DecidedBy.NEW else decision.profile
    routed: Brought = Routed(profile, _outcome(decision), decision.identity)
    routed.log_entry_id = _note_doubt(case, decision)
    is_doubtful = routed.log_entry_id is not None
    refusals = dict(case.wanted.refused)
    if decision.set_aside is not None:
        refusals[Pair(PROFILE_ID, str(case.incoming.named))] = decision.set_aside
    attached = _attach(profile, case, decision, routed, refusals) if profile is not None else []
    if attached and routed.outcome == "matched":
        routed.outcome = "attached"
    if decision.decided_by == Record.DecidedBy.NEW:
        routed.identity = next(iter(attached), None)
    set_aside(routed, refusals, case.write)
    if not is_kept:
        row.profile, row.decided_by = profile, decision.decided_by
        for name, value in brought(routed.identity).items():
            setattr(row, name, value)
    if is_doubtful or row.log_entry_id is None:
        row.log_entry_id = routed.log_entry_id
    row.pairs = _united(row.pairs, case.incoming.pairs)
    return routed


def _new_profile(case: _Case) -> Profile:
    profile = Profile()
    profile.save(force_insert=True)
    auditing.write([auditing.entry("created", profile, by=case.write.by, profile=profile)])
    return profile


def _outcome(decision: Decision) -> str:
    if decision.is_conflict:
        return "conflict"
    if decision.is_rerouted:
        return "rerouted"
    if decision.profile is not None:
        return "matched"
    return "created" if decision.decided_by == Record.DecidedBy.NEW else "anonymous"


def _note_doubt(case: _Case, decision: Decision) -> int | None:
    """Log what a person should decide: several profiles were named, by identities or by an identity and an id."""
    profile, requested = decision.profile, decision.requested
    if profile is not None and decision.is_conflict:
        return note_conflict(case.write, profile, decision.known, requested=requested)
    if profile is not None and requested is not None and decision.is_rerouted:
        return note_rerouted(case.write, profile, requested=requested, identity=decision.identity)
    return None


def _merge_trusted(case: _Case, decision: Decision, routed: Brought) -> None:
    """Let the profiles that the pairs name become one, if they do so by themselves; the record is where it stays."""
    if decision.is_conflict and decision.profile is not None:
        routed.profile = auto_merging.merge_trusted(
            decision.profile,
            decision.known,
            case.wanted.pairs,
            held=case.held,
            requested=decision.requested,
            by=case.write.by,
        )


def _attach(
    profile: Profile, case: _Case, decision: Decision, routed: Brought, refusals: dict[Pair, Refused]
) -> list[Identity]:
    """Give the profile the pairs that nobody has, and a contact point of which it has none (rules 1 and 4)."""
    unknown = [identity for pair, identity in case.wanted.pairs.items() if case.held.owner(pair) is None]
    if not profile.is_live:
        # A record of a deleted profile is kept; its pairs would match nobody.
        free = [*unknown, *(one for pair, one in case.wanted.contacts.items() if case.held.owner(pair) is None)]
        message = _("The record's profile is deleted.")
        refusals |= {one.pair: Refused("profile_deleted", message, field="handle") for one in free}
        return []
    too_many = over_limit(unknown, profile)
    refusals |= too_many
    pairs = [identity for identity in unknown if identity.pair not in too_many]
    points = _missing_contacts(profile, case, routed)
    if not (pairs or points):
        return []
    for identity in (*pairs, *points):
        identity.addressed = case.incoming.named
    common: dict[str, Any] = {
        "held": case.held,
        "by": case.write.by,
        "source": case.write.source,
        "brought_by": decision.identity,
        "conflict": routed.log_entry_id if decision.is_conflict else None,
        "payload": case.write.payload,
    }
    old = {identity.handle_id: getattr(profile, identity.handle_id) for identity in points}
    # Contact points first, as in `routing`: whoever inserts the same pairs in another order could deadlock with it.
    shown = attach(points, profile, **common)
    for identity in shown:
        contacts.show(profile, identity.handle_id, identity)
    filling.save_changes(profile, old, by=case.write.by)
    return [*attach(pairs, profile, by_contact=decision.by_contact, **common), *shown]


def _missing_contacts(profile: Profile, case: _Case, routed: Brought) -> list[Identity]:
    """The unknown contact points that the profile has room for; the others stay in the record, and are told of."""
    taken: dict[str, Identity] = {}
    for pair, identity in case.wanted.contacts.items():
        if case.held.owner(pair) is not None:
            continue
        if pair.handle in taken or profile.identities.filter(handle=pair.handle).exists():
            routed.not_taken.append(pair.handle)
        else:
            taken[pair.handle] = identity
    return list(taken.values())


def _united(pairs: Sequence[dict[str, str]], sent: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Those that a record has named so far; one that is sent again and again names no more than it may at once."""
    return [*pairs, *(one for one in sent if one not in pairs)][:MOST_PAIRS]


def _keep_definition(row: Record) -> None:
    """Make sure that the definition of points or of a reward is there up to the commit."""
    definition = DEFINITIONS.get(type(row))
    key = getattr(row, "definition_id", None)
    if definition is not None and key is not None and not definition.keep(key):
        raise Refused("invalid", _("There is no such definition."), field=f"{row.kind}_definition_id")


def _write_items(row: Record, items: Sequence[Mapping[str, Any]] | None) -> bool:
    """Make these the items of a transaction, if any are named. Returns whether they are others than before."""
    if items is None or not isinstance(row, Transaction):
        return False
    new = _items(row, items)
    columns = ("name", "quantity", "price_current", "price_sell", "extra")
    old = row.items.order_by("position")
    before, after = ([[_exact(getattr(one, name)) for name in columns] for one in rows] for rows in (old, new))
    if before == after:
        return False
    if before:
        row.items.all().delete()
    insert(new)
    return True


def _items(row: Transaction, items: Sequence[Mapping[str, Any]]) -> list[TransactionItem]:
    return [
        unsaved(TransactionItem, transaction_id=row.pk, position=position, **item)
        for position, item in enumerate(items)
    ]


def _state(row: Record) -> list[Any]:
    return [_exact(getattr(row, column.attname)) for column in row._meta.concrete_fields]


def _exact(value: Any) -> Any:
    """A value for comparing: to Python, false is 0 and true is 1, and in what clients keep they are not."""
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list | int | float) else value


def _known_by(row: Record) -> dict[str, Any]:
    known = {name: getattr(row, name) for name in KNOWN_BY if getattr(row, name, "") not in ("", None)}
    return {**known, "profile_id": row.profile_id}
