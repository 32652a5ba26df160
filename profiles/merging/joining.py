"""Merge duplicates into a survivor: one transaction, that undo can take back."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.utils import timezone

from identities import lookup, overriding, reviewing
from identities.holding import Changed, settle
from identities.models import Identity
from profiles import auditing, events, reading
from profiles.auditing import By
from profiles.merging import pairs, rows
from profiles.merging.lineage import Lineage
from profiles.merging.planning import Choices, Plan, Preview, refuse_changed, refuse_too_many, work_out
from profiles.models import Merge, Profile

# An event tells of no more: the oldest identities of a side, and the latest merges.
MOST_IDENTITIES_TOLD = MOST_IN_LINEAGE_TOLD = 1_000


@dataclass(frozen=True, slots=True)
class Merged:
    """The survivor afterwards, a merge per duplicate, and what was previewed of it."""

    survivor: Profile
    merges: list[Merge]
    preview: Preview


def merge(
    survivor_id: uuid.UUID,
    duplicate_ids: Sequence[uuid.UUID],
    *,
    choices: Choices | None = None,
    plan: str | None = None,
    reason: str = "",
    by: By,
    cause: str = Merge.Cause.ASKED,
) -> Merged:
    """Make duplicates part of a survivor.

    Identities and records move, reserved pairs too; the log and the audit stay, being history. The duplicates'
    columns are not touched. In: the profile that stays, those that become part of it (1 to 100), choices, and the
    `plan` of a preview, if it is to be exactly that. Ids are literal (API.md 3): raises Profile.DoesNotExist, and
    Refused `same_profile`, `already_merged` with the survivor, `profile_deleted`, `profile_locked`,
    `handle_conflict`, `plan_changed` with the difference, `too_many_profiles`, `invalid`.

    Locks every profile in key order, so that two people who merge the same ones in opposite directions wait for each
    other instead of deadlocking; the second finds them merged.
    """

    def attempt() -> Merged:
        ids = {survivor_id, *duplicate_ids}
        refuse_too_many(ids)
        if len(Profile.objects.lock(ids)) < len(ids):
            raise Profile.DoesNotExist
        worked_out = work_out(survivor_id, duplicate_ids, choices or Choices())
        told = worked_out.preview
        if told.blockers:
            raise told.blockers[0]
        if plan is not None:
            refuse_changed(plan, told)
        _write(worked_out, reason=reason, by=by, cause=cause, at=timezone.now())
        return Merged(told.survivor, worked_out.merges, told)

    return settle(attempt)


def _write(plan: Plan, *, reason: str, by: By, cause: str, at: datetime.datetime) -> None:
    lineage, merges, told = plan.lineage, plan.merges, plan.preview
    survivor = told.survivor
    before = events.listens("profile.merged") and _identities([survivor.pk, *(one.duplicate_id for one in merges)])
    old = _shown(lineage, told, of_survivor_before=True)
    marks = rows.marks()
    for one in merges:
        one.by, one.at, one.reason, one.cause, one.marks = by.user, at, reason, cause, marks
    Merge.objects.bulk_create(merges)
    rows.take(merges, told.moves, at=at)
    deactivated = [key for one in merges for key in one.deactivated]
    changed = Identity.objects.filter(pk__in=deactivated).update(is_active=False, updated_at=at)
    if changed != len(deactivated):
        raise Changed
    lineage.save(at=at)
    ids = [one.duplicate_id for one in merges]
    Profile.objects.filter(pk__in=ids).update(merged_into=survivor, updated_at=at)
    for duplicate in told.duplicates:
        duplicate.merged_into = survivor
    overriding.follow_merge(survivor, ids, by=by)
    pairs.follow_merge(survivor.pk, ids, by=by, at=at)
    sides = [lineage.beneath(pk) for pk in ids]
    reviewing.close_merged(merges, sides=sides, lineage=lineage.beneath(survivor.pk), by=by)
    new = _shown(lineage, told, of_survivor_before=False)
    audits = [
        auditing.entry("merged into", one, by=by, profile=one, new={"merged_into": survivor.pk, "reason": reason})
        for one in told.duplicates
    ]
    whole = {**new, "duplicates": ids, "moves": {kind: sum(by_id.values()) for kind, by_id in told.moves.items()}}
    entry = auditing.entry("merged", survivor, by=by, profile=survivor, old=old, new=whole)
    if before:
        entry.facts = partial(_facts, plan, before)
    auditing.write([entry, *audits])


def _identities(profile_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Any]]:
    texts = {pk: lookup.identities_of(pk)[:MOST_IDENTITIES_TOLD] for pk in profile_ids}
    return {pk: [reading.from_json(text) for text in some] for pk, some in texts.items()}


def _facts(plan: Plan, before: Mapping[uuid.UUID, list[Any]]) -> list[dict[str, Any]]:
    """What the event of each merge is to tell: what both sides were known by, and who the survivor is by now."""
    survivor_id, lineage = plan.preview.survivor.pk, plan.lineage
    beneath = [lineage.merges[pk] for pk in lineage.beneath(survivor_id) if pk != survivor_id]
    told = [
        {
            "profile_id": str(one.duplicate_id),
            "merged_into": str(one.survivor_id),
            "merge_id": one.pk,
            "merged_at": one.at.strftime("%Y-%m-%d %H:%M:%S"),
        }
        for one in sorted(beneath, key=lambda one: one.pk)[-MOST_IN_LINEAGE_TOLD:]
    ]
    return [
        {
            "merge": one.pk,
            "duplicate": str(one.duplicate_id),
            "identities_before": {"survivor": before[survivor_id], "duplicate": before[one.duplicate_id]},
            "lineage": told,
        }
        for one in plan.merges
    ]


def _shown(lineage: Lineage, told: Preview, *, of_survivor_before: bool) -> dict[str, object]:
    """The fields that the survivor takes over, before or after, for the audit."""
    return {
        one.name: one.sides.get(told.survivor.pk) if of_survivor_before else lineage.value(told.survivor.pk, one.name)
        for one in told.fields
        if one.status == "adopted"
    }
