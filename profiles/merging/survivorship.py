"""Which value a survivor shows, and whose it is (API.md 5).

The survivor's own; an empty field takes the value of the earliest-created profile beneath that has one. That is
worked out anew whenever the lineage changes, so that the order of merges does not matter; what somebody chose, and
what was written since, also to empty, is not. Everything here changes a lineage in memory.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from profiles.merging.lineage import Lineage, Value, is_empty, same
from profiles.models import Merge


@dataclass(frozen=True, slots=True)
class Kept:
    """A field that an undo leaves as it is, since it was written after the merge."""

    profile_id: uuid.UUID
    name: str
    value: Value


def own(lineage: Lineage, pk: uuid.UUID, name: str) -> Value:
    """What a profile has of itself, without what it took over since it had none."""
    value = lineage.value(pk, name)
    entries = lineage.entries(pk, name)
    if entries and not entries[-1][1]["chosen"] and same(name, entries[-1][1]["adopted"], value):
        return list(entries[-1][1]["former"])
    return value


def origin(lineage: Lineage, pk: uuid.UUID, name: str) -> uuid.UUID:
    """Whose the value is that a profile shows: its own, or that of one beneath it."""
    entries = lineage.entries(pk, name)
    if entries and same(name, entries[-1][1]["adopted"], lineage.value(pk, name)):
        return uuid.UUID(entries[-1][1]["of"])
    return pk


def choose(lineage: Lineage, pk: uuid.UUID, name: str, of: uuid.UUID, *, merge: Merge) -> None:
    """Show the value of this side, as somebody asks, also where it is empty. `merge` is the merge in which they do."""
    former = (lineage.value(pk, name), origin(lineage, pk, name))
    if of == former[1] == pk and not is_empty(former[0]):
        return
    adopted = (lineage.value(of, name), origin(lineage, of, name))
    noted_by = merge if of == pk else lineage.by_which(pk, of)
    _adopt(lineage, pk, name, former=former, adopted=adopted, noted_by=noted_by, chosen=True)


def work_out(lineage: Lineage, pk: uuid.UUID, name: str) -> None:
    """Fill an empty field from what is beneath, anew if that was done before and nobody has written it since."""
    entries = lineage.entries(pk, name)
    value = lineage.value(pk, name)
    former: tuple[Value, uuid.UUID] = (value, pk)
    if entries:
        merge, entry = entries[-1]
        if entry["chosen"] or not same(name, entry["adopted"], value):
            return
        former = (entry["former"], pk)
        lineage.note(merge, name, None)
    elif not is_empty(value):
        return
    found = _earliest(lineage, pk, name)
    if found is None:
        if entries:
            lineage.put(pk, name, former[0])
        return
    noted_by = lineage.by_which(pk, found[1])
    _adopt(lineage, pk, name, former=former, adopted=found, noted_by=noted_by, chosen=False)


def withdraw(lineage: Lineage, pk: uuid.UUID, name: str, leaving: Collection[uuid.UUID], merge: Merge) -> list[Kept]:
    """Take back what rests on profiles that are leaving, or on the merge that is undone, the newest first.

    A field goes back where it still holds the adopted value. To be called while the lineage still has them.
    """
    kept = []
    for noted_by, entry in reversed(lineage.entries(pk, name)):
        if noted_by is not merge and uuid.UUID(entry["of"]) not in leaving:
            continue
        above = _above(lineage, pk, name, noted_by)
        lineage.note(noted_by, name, None)
        if above is not None:
            # Something newer stands on it, and goes back to what this one would have gone back to.
            if same(name, above["former"], entry["adopted"]):
                above["former"], above["former_of"] = entry["former"], entry["former_of"]
        elif same(name, lineage.value(pk, name), entry["adopted"]):
            lineage.put(pk, name, entry["former"])
        else:
            kept.append(Kept(pk, name, lineage.value(pk, name)))
    return kept


def _above(lineage: Lineage, pk: uuid.UUID, name: str, noted_by: Merge) -> dict[str, Any] | None:
    entries = lineage.entries(pk, name)
    place = next(place for place, (merge, _entry) in enumerate(entries) if merge is noted_by)
    if place + 1 == len(entries):
        return None
    merge, entry = entries[place + 1]
    entry = dict(entry)
    lineage.note(merge, name, entry)
    return entry


def _earliest(lineage: Lineage, pk: uuid.UUID, name: str) -> tuple[Value, uuid.UUID] | None:
    profiles = [lineage.profiles[one] for one in lineage.beneath(pk) if one != pk]
    for profile in sorted(profiles, key=lambda one: (one.created_at, one.pk)):
        value = own(lineage, profile.pk, name)
        # A contact point or a primary identity that has left the lineage since is shown by nobody any more.
        if is_empty(value) or (name in lineage.held and value[0] not in lineage.held[name]):
            continue
        return value, origin(lineage, profile.pk, name)
    return None


def _adopt(
    lineage: Lineage,
    pk: uuid.UUID,
    name: str,
    *,
    former: tuple[Value, uuid.UUID],
    adopted: tuple[Value, uuid.UUID],
    noted_by: Merge,
    chosen: bool,
) -> None:
    entry = {
        "former": former[0],
        "former_of": str(former[1]),
        "adopted": adopted[0],
        "of": str(adopted[1]),
        "chosen": chosen,
    }
    lineage.note(noted_by, name, entry)
    if not same(name, lineage.value(pk, name), adopted[0]):
        lineage.put(pk, name, adopted[0])
