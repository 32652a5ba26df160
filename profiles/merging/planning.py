"""What a merge would do, told without doing it. Page, API and the merge itself ask this one function."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import uuid
import zlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Max
from django.utils.translation import gettext as _

from identities.handles import mask
from identities.holding import Changed, settle
from identities.models import Identity
from profiles.merging import rows, survivorship
from profiles.merging.lineage import Lineage, Value, is_empty, same
from profiles.models import Merge, Profile
from profiles.refusing import Refused

# What a part of a plan is called, and how long a token may be when it is unpacked.
PART = re.compile(r"(profiles|choices|identities|(fields|moves)\.[\w.:-]{1,300})", re.ASCII)
MOST_PLAN_BYTES = 200_000

# In one merge: what a person can still look at, and one transaction can lock.
MOST_DUPLICATES = 100


@dataclass(frozen=True, slots=True)
class Choices:
    """What somebody decides about a merge: by field, and by single-valued handle, the profile whose value stays."""

    fields: Mapping[str, uuid.UUID] = field(default_factory=dict)
    handles: Mapping[str, uuid.UUID] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FieldOutcome:
    """What becomes of one field. `status`: `adopted` (the survivor takes another's value), `kept` (it has the only
    one), `conflicting` (its own stays, and another profile has a different one). `value` is what it shows afterwards,
    `of` whose that is; `sides` are the values of all, by profile.
    """

    name: str
    status: str
    value: Value
    of: uuid.UUID
    sides: dict[uuid.UUID, Value]
    chosen: bool


@dataclass(frozen=True, slots=True)
class HandleConflict:
    """A single-valued handle of which more than one profile has an active identity. `stays` is the profile whose one
    stays active, if somebody has said so; the others are kept, inactive."""

    handle: str
    identities: dict[uuid.UUID, list[Identity]]
    stays: uuid.UUID | None

    @property
    def sentence(self) -> str:
        shown = [
            mask(row.identifier) if row.handle.sensitive else row.identifier
            for found in self.identities.values()
            for row in found
        ]
        text = _("A profile has one active %(handle)s only, and these have %(values)s: say which one stays active.")
        return text % {"handle": self.handle, "values": ", ".join(shown)}


@dataclass(frozen=True, slots=True)
class Preview:
    """What a merge would do now. `moves` counts rows by kind and duplicate; `blockers` are the refusals that it would
    meet, the first of which it raises; `plan` ties a later merge to exactly this."""

    survivor: Profile
    duplicates: list[Profile]
    fields: list[FieldOutcome] = field(default_factory=list)
    moves: dict[str, dict[uuid.UUID, int]] = field(default_factory=dict)
    conflicts: list[HandleConflict] = field(default_factory=list)
    blockers: list[Refused] = field(default_factory=list)
    plan: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """A merge worked out in memory: the lineage as it would be, the merges not yet saved, and the preview of it."""

    lineage: Lineage
    merges: list[Merge]
    preview: Preview


def preview(survivor_id: uuid.UUID, duplicate_ids: Sequence[uuid.UUID], choices: Choices | None = None) -> Preview:
    """Tell what `merge` would do now; reads only, locks nothing, and so may be overtaken: `plan` finds that out.

    In: the profile that stays, those that become part of it, and choices. Raises Profile.DoesNotExist, and Refused
    `invalid` for a choice that is none.
    """
    # Without locks, a profile may be merged between two of its reads: then all is read again.
    return settle(lambda: work_out(survivor_id, duplicate_ids, choices or Choices()).preview)


def work_out(survivor_id: uuid.UUID, duplicate_ids: Sequence[uuid.UUID], choices: Choices) -> Plan:
    """Work a merge out in memory. Some ten statements, however much the profiles have."""
    ids = list(dict.fromkeys([survivor_id, *duplicate_ids]))
    refuse_too_many(ids)
    parties = Profile.objects.in_bulk(ids)
    if len(parties) < len(ids):
        raise Profile.DoesNotExist
    survivor = parties[survivor_id]
    duplicates = sorted((parties[pk] for pk in ids[1:]), key=lambda one: (one.created_at, one.pk))
    blockers = _blockers(survivor, duplicates, duplicate_ids)
    if blockers:
        return Plan(Lineage({}, {}, {}, {}, {}), [], Preview(survivor, duplicates, blockers=blockers))
    _refuse_choices(choices, ids)
    lineage = Lineage.read(ids)
    if len(lineage.profiles.keys() & set(ids)) < len(ids) or lineage.merges.keys() & set(ids):
        raise Changed
    survivor, duplicates = lineage.profiles[survivor_id], [lineage.profiles[one.pk] for one in duplicates]
    before = {name: {pk: lineage.value(pk, name) for pk in ids} for name in lineage.names()}
    unknown = [name for name in choices.fields if name not in before]
    if unknown:
        raise Refused("invalid", _("There is no field %(name)s.") % {"name": unknown[0]}, field=f"fields.{unknown[0]}")
    merges = [_merge(survivor, duplicate, lineage) for duplicate in duplicates]
    for merge in merges:
        lineage.merges[merge.duplicate_id] = merge
    for name in before:
        if name in choices.fields:
            survivorship.choose(lineage, survivor_id, name, choices.fields[name], merge=merges[0])
        else:
            survivorship.work_out(lineage, survivor_id, name)
    conflicts = _conflicts(ids, choices)
    fields = [_outcome(lineage, survivor_id, name, sides, choices) for name, sides in before.items()]
    told = Preview(
        survivor,
        duplicates,
        [one for one in fields if any(not is_empty(value) for value in (one.value, *one.sides.values()))],
        rows.count([one.pk for one in duplicates]),
        conflicts,
        [Refused("handle_conflict", one.sentence, handle=one.handle) for one in conflicts if one.stays is None],
    )
    _deactivate(merges, conflicts, survivor_id)
    return Plan(lineage, merges, _with_plan(told, ids, choices))


def refuse_too_many(ids: Collection[uuid.UUID]) -> None:
    if len(ids) > MOST_DUPLICATES + 1:
        message = _("At most %(most)d profiles can be merged at once; merge some of them first.")
        raise Refused("too_many_profiles", message % {"most": MOST_DUPLICATES}, field="source_profile_ids")


def refuse_changed(plan: str, current: Preview) -> None:
    """Refuse a merge that is no longer what somebody has seen. Raises Refused `plan_changed` with what differs."""
    if plan == current.plan:
        return
    changed = _difference(_read(plan), _read(current.plan))
    message = _("The profiles have changed since this merge was previewed; look at it once more.")
    raise Refused("plan_changed", message, field="plan", changed=changed, plan=current.plan)


def _blockers(survivor: Profile, duplicates: list[Profile], asked: Sequence[uuid.UUID]) -> list[Refused]:
    found = []
    if survivor.pk in asked or not duplicates:
        found.append(Refused("same_profile", _("A profile cannot be merged into itself; name another one.")))
    for profile in (survivor, *duplicates):
        if profile.merged_into_id is not None:
            into = Profile.objects.surviving(profile.pk).pk
            words = {"profile": profile.pk, "survivor": into}
            text = _("%(profile)s was merged into %(survivor)s already; take that one.")
            found.append(Refused("already_merged", text % words, profile_id=str(profile.pk), survivor_id=str(into)))
        elif not profile.is_live:
            text = _("%(profile)s is deleted; undelete it before you merge it.")
            found.append(Refused("profile_deleted", text % {"profile": profile.pk}, profile_id=str(profile.pk)))
        elif profile.locked:
            text = _("%(profile)s is locked; unlock it before you merge it.")
            found.append(Refused("profile_locked", text % {"profile": profile.pk}, profile_id=str(profile.pk)))
    return found


def _refuse_choices(choices: Choices, ids: Collection[uuid.UUID]) -> None:
    for kind, chosen in (("fields", choices.fields), ("handles", choices.handles)):
        for name, profile_id in chosen.items():
            if profile_id not in ids:
                text = _("%(profile)s is not one of the profiles of this merge.")
                raise Refused("invalid", text % {"profile": profile_id}, field=f"{kind}.{name}")


def _merge(survivor: Profile, duplicate: Profile, lineage: Lineage) -> Merge:
    return Merge(
        survivor=survivor,
        duplicate=duplicate,
        primary=lineage.primaries.get(duplicate.pk),
        shown={"email": survivor.email, "mobile_phone": survivor.mobile_phone},
    )


def _outcome(
    lineage: Lineage, pk: uuid.UUID, name: str, sides: dict[uuid.UUID, Value], choices: Choices
) -> FieldOutcome:
    value = lineage.value(pk, name)
    others = [one for side, one in sides.items() if side != pk and not is_empty(one) and not same(name, one, value)]
    if not same(name, value, sides[pk]):
        status = "adopted"
    else:
        status = "conflicting" if others and name not in choices.fields else "kept"
    return FieldOutcome(name, status, value, survivorship.origin(lineage, pk, name), sides, name in choices.fields)


def _conflicts(ids: Collection[uuid.UUID], choices: Choices) -> list[HandleConflict]:
    active = Identity.objects.filter(profile__in=ids, is_active=True, handle__single_valued=True)
    found: dict[str, dict[uuid.UUID, list[Identity]]] = defaultdict(dict)
    for row in active.select_related("handle").order_by("handle_id", "pk"):
        found[row.handle_id].setdefault(row.profile_id, []).append(row)
    several = {handle: by_profile for handle, by_profile in found.items() if len(by_profile) > 1}
    conflicts = []
    for handle, by_profile in several.items():
        stays = choices.handles.get(handle)
        if stays is not None and stays not in by_profile:
            text = _("%(profile)s has no active %(handle)s that could stay so.")
            words = {"profile": stays, "handle": handle}
            raise Refused("invalid", text % words, field=f"handles.{handle}")
        conflicts.append(HandleConflict(handle, by_profile, stays))
    return conflicts


def _deactivate(merges: Sequence[Merge], conflicts: Sequence[HandleConflict], survivor_id: uuid.UUID) -> None:
    """Note which identities become inactive: with the merge of the duplicate whose they are, and the survivor's with
    that of the duplicate for which they make way."""
    by_duplicate = {merge.duplicate_id: merge for merge in merges}
    for conflict in conflicts:
        for profile_id, identities in conflict.identities.items():
            if conflict.stays in (None, profile_id):
                continue
            merge = by_duplicate[conflict.stays if profile_id == survivor_id else profile_id]
            merge.deactivated = [*merge.deactivated, *(row.pk for row in identities)]


def _with_plan(told: Preview, ids: Sequence[uuid.UUID], choices: Choices) -> Preview:
    """The preview with its token: a digest of each part of what was seen, so that a later one can say what differs."""
    parts: dict[str, Any] = {
        "profiles": [str(pk) for pk in (told.survivor.pk, *sorted(ids))],
        "choices": [sorted((name, str(pk)) for name, pk in one.items()) for one in (choices.fields, choices.handles)],
    }
    for outcome in told.fields:
        sides = sorted((str(pk), value) for pk, value in outcome.sides.items())
        parts[f"fields.{outcome.name}"] = [outcome.status, outcome.value, str(outcome.of), sides]
    for kind, numbers in told.moves.items():
        parts[f"moves.{kind}"] = sorted((str(pk), number) for pk, number in numbers.items())
    newest = Identity.objects.filter(profile__in=ids).values_list("profile_id").order_by("profile_id")
    parts["identities"] = [[str(pk), key, at] for pk, key, at in newest.annotate(Max("pk"), Max("updated_at"))]
    digests = {name: _digest(part) for name, part in parts.items()}
    packed = zlib.compress(json.dumps(digests, sort_keys=True).encode(), 9)
    token = base64.urlsafe_b64encode(packed).decode()
    return Preview(told.survivor, told.duplicates, told.fields, told.moves, told.conflicts, told.blockers, token)


def _digest(part: Any) -> str:
    text = json.dumps(part, cls=DjangoJSONEncoder)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read(plan: str) -> dict[str, str]:
    """The digests in a token; whatever else somebody sends is the plan of nothing."""
    unpack = zlib.decompressobj()
    try:
        read = json.loads(unpack.decompress(base64.urlsafe_b64decode(plan), MOST_PLAN_BYTES))
    except (ValueError, RecursionError, binascii.Error, zlib.error):
        return {}
    if not isinstance(read, dict):
        return {}
    return {name: str(digest)[:16] for name, digest in read.items() if PART.fullmatch(name)}


def _difference(seen: Mapping[str, str], current: Mapping[str, str]) -> list[str]:
    return sorted(name for name in seen.keys() | current.keys() if seen.get(name) != current.get(name))
