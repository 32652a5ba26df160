"""Take a merge back, also one inside a chain, also after later writes (API.md 5)."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from identities import contacts, overriding, reviewing
from identities.holding import Changed, settle
from identities.models import BUILT_IN, Identity
from profiles import auditing
from profiles.auditing import By
from profiles.merging import pairs, rows, survivorship
from profiles.merging.leaving import Leaving, Tally, left, send_attributes_home, send_home, tally
from profiles.merging.lineage import ATTRIBUTES, COLUMNS, CUSTOM, PARTS, PRIMARY, Lineage, Value, same
from profiles.merging.survivorship import Kept
from profiles.models import Audit, Merge, Profile
from profiles.refusing import Refused

# How many writes to the fields of a profile are looked at.
MOST_WRITES = 500

# How many of the rows that an undo leaves where they are it names.
MOST_NAMED = 50


@dataclass(frozen=True, slots=True)
class Restored:
    """A field of a profile that goes back from one value to another."""

    profile_id: uuid.UUID
    name: str
    old: Value
    new: Value


@dataclass(slots=True)
class Undo:
    """What taking a merge back does, or would do.

    `survivor` is the live profile in which the duplicate is today, perhaps above the one that the merge names.
    `restored` are the fields that go back, `kept` those that stay since they were written after the merge. `tallies`
    count rows by kind, `left` names some of those that stay where they are. `contacts_changed` are columns that
    show another contact point since the one they showed goes away. `reactivated` identities become active again,
    `inactive` ones would have to, but another of their single-valued handle is by now.
    """

    merge: Merge
    survivor: Profile
    duplicate: Profile
    restored: list[Restored] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    tallies: dict[str, Tally] = field(default_factory=dict)
    left: list[dict[str, Any]] = field(default_factory=list)
    contacts_changed: list[contacts.Changed] = field(default_factory=list)
    reactivated: list[Identity] = field(default_factory=list)
    inactive: list[Identity] = field(default_factory=list)


@dataclass(slots=True)
class _Worked:
    undo: Undo
    lineage: Lineage
    leaving: Leaving
    outer: list[Merge]
    # Merges that keep other identities inactive than before.
    noted: list[Merge]


def preview_undo(merge_id: int) -> Undo:
    """Tell what `undo` would do now; reads only, and so may be overtaken.

    Raises Merge.DoesNotExist, and Refused as `undo` does.
    """

    def attempt() -> Undo:
        merge = Merge.objects.get(pk=merge_id)
        return _work_out(merge, root=Profile.objects.surviving(merge.survivor_id).pk).undo

    # Without locks, the lineage may change between two of its reads: then it is read again.
    return settle(attempt)


def undo(merge_id: int, *, reason: str = "", by: By) -> Undo:
    """Take one merge back: the duplicate revives, with what was its own and what has come in for it since.

    Rows that the merge moved go home, and those which came since by what brought them, else by the id that was
    addressed; what was moved, split off or deleted since stays as it is and is reported. A field goes back where it
    still holds the adopted value. The two are then known not to be one person, and never merge by themselves. Raises
    Merge.DoesNotExist, and Refused: `already_undone`, `profile_deleted`.
    """

    def attempt() -> Undo:
        merge = Merge.objects.get(pk=merge_id)
        chain = Profile.objects.chain(merge.survivor_id)
        Profile.objects.lock({merge.duplicate_id, *chain})
        merge = Merge.objects.select_for_update(no_key=True).get(pk=merge_id)
        if Profile.objects.chain(merge.survivor_id) != chain:
            raise Changed
        worked = _work_out(merge, root=chain[-1])
        _write(worked, reason=reason, by=by, at=timezone.now())
        return worked.undo

    return settle(attempt)


def _work_out(merge: Merge, *, root: uuid.UUID) -> _Worked:
    """Work an undo out in memory. `root` is the live profile in which the duplicate is today."""
    if merge.undone_at is not None:
        raise Refused("already_undone", _("This merge was undone already."), merge_id=merge.pk)
    lineage = Lineage.read([root])
    current = lineage.merges.get(merge.duplicate_id)
    if current is None or current.pk != merge.pk or root in lineage.merges:
        raise Changed
    merge = current
    chain, side = lineage.chain(merge.survivor_id), lineage.beneath(merge.duplicate_id)
    survivor, duplicate = lineage.profiles[root], lineage.profiles[merge.duplicate_id]
    if not survivor.is_live:
        text = _("%(profile)s is deleted; undelete it before you undo the merge.")
        raise Refused("profile_deleted", text % {"profile": root}, profile_id=str(root))
    told = Undo(merge, survivor, duplicate)
    outer = [lineage.merges[pk] for pk in chain if pk in lineage.merges]
    shown = {handle: _former_shown(handle, merge, outer) for handle in BUILT_IN}
    _give_back(lineage, merge, chain, side, told)
    leaving = Leaving.read(merge, root=root, side=side)
    told.tallies = tally(leaving)
    told.left = left(leaving, told.tallies, most=MOST_NAMED)
    _show_contacts(told, leaving, shown)
    _tell_what_was_written(lineage, chain, leaving, told)
    return _Worked(told, lineage, leaving, outer, _reactivate(told, leaving, lineage))


def _give_back(
    lineage: Lineage, merge: Merge, chain: list[uuid.UUID], side: Collection[uuid.UUID], told: Undo
) -> None:
    """Put back every field, of the survivor and of those above it, that rests on what leaves; then fill it anew."""
    names = lineage.names()
    before = {(pk, name): lineage.value(pk, name) for pk in chain for name in names}
    resting = [
        (pk, name)
        for pk in chain
        for name in names
        if any(by is merge or uuid.UUID(one["of"]) in side for by, one in lineage.entries(pk, name))
    ]
    primary = lineage.value(merge.duplicate_id, PRIMARY)
    kept = {(pk, name): survivorship.withdraw(lineage, pk, name, side, merge) for pk, name in resting}
    del lineage.merges[merge.duplicate_id]
    lineage.put(merge.duplicate_id, PRIMARY, primary)
    for (pk, name), found in kept.items():
        told.kept += found
        if not found:
            survivorship.work_out(lineage, pk, name)
    told.restored = [
        Restored(pk, name, before[pk, name], lineage.value(pk, name))
        for pk, name in resting
        if not same(name, before[pk, name], lineage.value(pk, name))
    ]


def _tell_what_was_written(lineage: Lineage, chain: list[uuid.UUID], leaving: Leaving, told: Undo) -> None:
    """Name every field that was written since, also one that the merge had nothing to do with.

    Nobody knows of a value which of the two it was meant for: it stays with the survivor, and a person may decide. The
    audit tells; of very many writes the newest are looked at. A primary identity that goes home leaves none behind.
    """
    mark = told.merge.marks.get("audit")
    told_already = {(one.profile_id, one.name) for one in told.restored}
    told_already |= {(one.profile_id, one.name) for one in told.kept}
    for pk, name in _written(chain, mark) if mark is not None else ():
        if (pk, name) not in told_already and pk in lineage.profiles:
            told_already.add((pk, name))
            told.kept.append(Kept(pk, name, lineage.value(pk, name)))
    shows_another = {(one.profile.pk, one.field) for one in told.contacts_changed}
    told.kept = [one for one in told.kept if (one.profile_id, one.name) not in shows_another]
    primary = lineage.value(told.survivor.pk, PRIMARY)
    if primary and primary[0] in leaving.home:
        lineage.put(told.survivor.pk, PRIMARY, [])
        told.restored.append(Restored(told.survivor.pk, PRIMARY, primary, []))


def _written(chain: list[uuid.UUID], mark: int) -> Iterator[tuple[uuid.UUID, str]]:
    """The fields of these profiles that somebody has written since this entry of the audit, the newest first."""
    since = Audit.objects.filter(pk__gt=mark, event="updated").order_by("-pk")
    of_profiles = since.filter(auditable_type="profile", auditable_key__in=[str(pk) for pk in chain])
    for key, old, new in of_profiles.values_list("auditable_key", "old_values", "new_values")[:MOST_WRITES]:
        for name, columns in COLUMNS.items():
            if new.keys() & set(columns):
                yield uuid.UUID(key), name
        for part in PARTS if "attributes" in new else ():
            if (old.get("attributes") or {}).get(part) != new["attributes"].get(part):
                yield uuid.UUID(key), f"{ATTRIBUTES}{part}"
    of_attributes = since.filter(auditable_type="custom_attribute", profile__in=chain)
    for pk, new in of_attributes.values_list("profile", "new_values")[:MOST_WRITES]:
        if pk is not None and "name" in new:
            yield pk, f"{CUSTOM}{new['name']}"


def _former_shown(handle: str, merge: Merge, outer: list[Merge]) -> str:
    """What the live profile showed before the duplicate came to it."""
    shown: str = (outer[-1] if outer else merge).shown.get(handle, "")
    return shown


def _show_contacts(told: Undo, leaving: Leaving, shown: dict[str, str]) -> None:
    """Where the contact point that a profile shows is not there any more, show its former one, the oldest, or none."""
    both = Identity.objects.filter(profile=leaving.root, handle__in=BUILT_IN).order_by("pk")
    going = set(leaving.home)
    rows_of: dict[uuid.UUID, list[Identity]] = {told.survivor.pk: [], told.duplicate.pk: []}
    for row in both:
        rows_of[told.duplicate.pk if row.pk in going else told.survivor.pk].append(row)
    for profile in (told.survivor, told.duplicate):
        for handle in BUILT_IN:
            column = getattr(profile, handle)
            held = [row for row in rows_of[profile.pk] if row.handle_id == handle]
            if not column or any(row.shown == column for row in held):
                continue
            former = next((row for row in held if row.shown == shown[handle]), None)
            contacts.show(profile, handle, former or next(iter(held), None))
            told.contacts_changed.append(contacts.Changed(profile, handle))


def _reactivate(told: Undo, leaving: Leaving, lineage: Lineage) -> list[Merge]:
    """Find which identities become active again that merges made inactive for the other side's.

    Those of this merge, and those that leave which any other made inactive. One that finds another active in its place
    stays inactive, and waits for the next merge that parts the two. Returns the merges whose notes have changed.
    """
    home, side = set(leaving.home), set(leaving.side)
    others = [merge for merge in lineage.merges.values() if merge.duplicate_id not in side]
    keys = {*told.merge.deactivated, *(key for merge in others for key in merge.deactivated if key in home)}
    if not keys:
        return []
    here = Identity.objects.filter(pk__in=keys, profile=leaving.root, is_active=False)
    waiting = list(here.select_related("handle").order_by("pk"))
    names = {row.handle_id for row in waiting if row.handle.single_valued}
    active = Identity.objects.filter(profile=leaving.root, is_active=True, handle__in=names).order_by("pk")
    taken = {(row.pk in home, row.handle_id): row.pk for row in active}
    changed = {merge.pk: merge for merge in others if home & set(merge.deactivated)}
    for merge in changed.values():
        merge.deactivated = [key for key in merge.deactivated if key not in home]
    for row in waiting:
        # Several that were active together before, by an older rule, are so again.
        in_its_place = taken.get((row.pk in home, row.handle_id)) if row.handle.single_valued else None
        if in_its_place is None:
            told.reactivated.append(row)
            continue
        told.inactive.append(row)
        parting = rows.first_parting(lineage.merges.values(), row.pk, in_its_place)
        if parting is not None:
            parting.deactivated = [*parting.deactivated, row.pk]
            changed[parting.pk] = parting
    return list(changed.values())


def _write(worked: _Worked, *, reason: str, by: By, at: datetime.datetime) -> None:
    told, lineage, leaving = worked.undo, worked.lineage, worked.leaving
    merge, duplicate = told.merge, told.duplicate
    send_home(leaving, told.tallies, worked.outer, at=at)
    Identity.objects.filter(pk__in=[row.pk for row in told.reactivated]).update(is_active=True, updated_at=at)
    Merge.objects.bulk_update(worked.noted, ["deactivated"])
    # Survivors before the duplicate: what has a condition on live profiles cannot wait for the commit.
    lineage.save(at=at)
    duplicate.merged_into = None
    for profile in (told.survivor, duplicate):
        profile.updated_at = at
        profile.save(force_update=True)
    send_attributes_home(leaving, at=at)
    merge.undone_by, merge.undone_at, merge.undo_reason = by.user, at, reason
    merge.undo_report = report(told)
    merge.save(update_fields=["undone_by", "undone_at", "undo_reason", "undo_report"])
    overriding.follow_undo(duplicate.pk, leaving.side, leaving.root)
    pairs.follow_undo(duplicate.pk, leaving.side, merge.survivor_id, by=by, at=at)
    reviewing.note_undone(merge.closed, by=by)
    auditing.write(_audits(told, reason=reason, by=by))


def report(told: Undo) -> dict[str, Any]:
    """What an undo did, as its merge keeps it."""
    return {
        "restored": [{"profile_id": str(one.profile_id), "field": one.name} for one in told.restored],
        "kept": [{"profile_id": str(one.profile_id), "field": one.name} for one in told.kept],
        "rows": {
            kind: {"home": one.home, "since": one.since, "moved": one.moved, "deleted": one.deleted}
            for kind, one in told.tallies.items()
        },
        "left": told.left,
        "contacts_changed": [{"profile_id": str(one.profile.pk), "field": one.field} for one in told.contacts_changed],
        "inactive": [row.pk for row in told.inactive],
    }


def _audits(told: Undo, *, reason: str, by: By) -> Iterable[Any]:
    old = {one.name: one.old for one in told.restored if one.profile_id == told.survivor.pk}
    new = {one.name: one.new for one in told.restored if one.profile_id == told.survivor.pk}
    moves = {kind: one.home for kind, one in told.tallies.items()}
    words = {"merge": told.merge.pk, "reason": reason}
    entry = auditing.entry(
        "unmerged",
        told.survivor,
        by=by,
        profile=told.survivor,
        old=old,
        new={**new, "duplicate": told.duplicate.pk, "moves": moves, **words},
    )
    entry.facts = lambda: [{"merge": told.merge.pk, "duplicate": str(told.duplicate.pk)}]
    yield entry
    yield auditing.entry(
        "revived",
        told.duplicate,
        by=by,
        profile=told.duplicate,
        old={"merged_into": told.merge.survivor_id},
        new=words,
    )
