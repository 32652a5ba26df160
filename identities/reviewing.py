"""Review entries of the routing log: a person says that one is dealt with, or of no interest."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from django.db import IntegrityError, transaction
from django.db.models import Q, prefetch_related_objects
from django.utils import timezone
from django.utils.translation import gettext as _

from identities.holding import settle
from identities.models import RoutingLogEntry
from profiles import auditing
from profiles.auditing import By
from profiles.models import Audit, Merge, Profile
from profiles.refusing import Refused

OPEN = RoutingLogEntry.Review.OPEN

# Those that name profiles which may be one person.
ASKING = (
    RoutingLogEntry.Outcome.CONFLICT,
    RoutingLogEntry.Outcome.REROUTED,
    RoutingLogEntry.Outcome.IDENTITY_TAKEN,
    RoutingLogEntry.Outcome.CLAIM_OVERRIDDEN,
)

# So many of the merges that closed an entry are told.
MOST_MERGES = 6

REVIEW = ["review_status", "review_note", "reviewed_by", "reviewed_at"]


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What `review_all` did: when, which entries have the status now, and which it left as they were."""

    at: datetime.datetime
    done: list[RoutingLogEntry] = field(default_factory=list)
    changed: list[RoutingLogEntry] = field(default_factory=list)
    reopened: list[RoutingLogEntry] = field(default_factory=list)


def asked_about(entry: RoutingLogEntry) -> list[Profile]:
    """The live profiles of which an entry leaves open whether they are one person, in key order.

    As things stand today: one that was merged is its survivor. None where it asks nothing of the kind. Two queries.
    """
    if entry.outcome not in ASKING or entry.is_emptied:
        return []
    today = set(Profile.objects.survivors(entry.named).values())
    return list(Profile.objects.live().filter(pk__in=today).order_by("pk"))


def merges_that_closed(entry: RoutingLogEntry) -> list[Merge]:
    """The merges, undone or not, by which an entry has been closed by itself, the newest first; so many at most."""
    if entry.outcome not in ASKING or entry.review_status == OPEN:
        return []
    sides = Merge.objects.filter(duplicate__in=Merge.objects.all().ever_above(entry.named))
    rows = sides.select_related("survivor", "duplicate", "by__extension", "undone_by__extension")
    return list(rows.filter(closed__contains=[entry.pk]).order_by("-pk")[:MOST_MERGES])


def review(entry: RoutingLogEntry, *, status: str, note: str, by: By) -> RoutingLogEntry:
    """Set the review of an entry: its status, a note, who and when. An entry that is opened again has no reviewer.

    Raises Refused `open_entry` when the same event has happened again since, and so has an open entry by now, and
    `entry_emptied` for one of which an erasure has left nothing to look at.
    """

    def attempt() -> RoutingLogEntry:
        locked = RoutingLogEntry.objects.select_for_update(no_key=True).get(pk=entry.pk)
        if locked.is_emptied:
            raise Refused("entry_emptied", _("Somebody of whom this entry told was erased; nothing of it is left."))
        if (locked.review_status, locked.review_note) == (status, note):
            return locked
        audit = _set(locked, status, note, at=timezone.now(), by=by)
        try:
            with transaction.atomic():
                locked.save(update_fields=REVIEW)
        except IntegrityError as error:
            message = _("The same event has happened again since, and has an open entry of its own; review that one.")
            raise Refused("open_entry", message, field="review_status") from error
        auditing.write([audit])
        return locked

    # An erasure holds its profile, and waits for the entry; whoever has that wants the profile for the audit.
    return settle(attempt)


def review_all(seen: Mapping[int, str], *, status: str, note: str, by: By) -> Reviewed:
    """Give several entries one review, each as `review` would, in one transaction; nothing is refused.

    In: the status that each entry, by its id, had when the person chose it. Out: one whose status is another by now
    is left alone (`changed`): somebody else has looked at it meanwhile, or this very request came twice; so is one
    that an erasure has emptied. One that cannot be opened again, since its event has a newer open entry, is left
    alone too (`reopened`). Without a note each keeps its own. All that were changed have the same `reviewed_at`, so
    that they can be found together again.

    Locks the entries in key order, so that two people who review the same ones wait for each other.
    """

    def attempt() -> Reviewed:
        reviewed, audits = Reviewed(timezone.now()), []
        entries = list(RoutingLogEntry.objects.filter(pk__in=seen).order_by("pk").select_for_update(no_key=True))
        prefetch_related_objects(entries, "routed_profile")
        for entry in entries:
            if entry.is_emptied or entry.review_status != seen[entry.pk] or entry.review_status == status:
                reviewed.changed.append(entry)
                continue
            audit = _set(entry, status, note or entry.review_note, at=reviewed.at, by=by)
            try:
                with transaction.atomic():
                    entry.save(update_fields=REVIEW)
            except IntegrityError:
                reviewed.reopened.append(entry)
                continue
            audits.append(audit)
            reviewed.done.append(entry)
        auditing.write(audits)
        return reviewed

    # A write that counts several of them up may hold one and want another.
    return settle(attempt)


def close_merged(
    merges: Sequence[Merge], *, sides: Sequence[Collection[uuid.UUID]], lineage: Collection[uuid.UUID], by: By
) -> None:
    """Close the open entries that asked which of several profiles is meant, and whose profiles have become one.

    In: the merges of one call; for each the duplicate with all beneath it; all that are the survivor now. The merges
    keep the ids, for `note_undone`. To be called inside the transaction of the merge.
    """
    parted = {pk for side in sides for pk in side}
    parts = [*map(set, sides), set(lineage) - parted]
    named = Q(candidates__overlap=list(parted)) | Q(requested_profile__in=parted) | Q(routed_profile__in=parted)
    asking = RoutingLogEntry.objects.filter(named, review_status=OPEN, outcome__in=ASKING).order_by("pk")
    now, audits, closed = timezone.now(), [], []
    for entry in asking.select_for_update(no_key=True, of=("self",)):
        about = {*entry.candidates, entry.requested_profile_id, entry.routed_profile_id} - {None}
        if not about <= set(lineage) or any(about <= part for part in parts):
            continue
        audits.append(_set(entry, RoutingLogEntry.Review.REVIEWED, _("merged"), at=now, by=by))
        closed.append(entry)
        for merge, side in zip(merges, sides, strict=True):
            if about & set(side):
                merge.closed = [*merge.closed, entry.pk]
    if closed:
        RoutingLogEntry.objects.bulk_update(closed, REVIEW)
        Merge.objects.bulk_update(merges, ["closed"])
        auditing.write(audits)


def note_undone(entry_ids: Collection[int], *, by: By) -> None:
    """Note on the entries that a merge closed that it was undone; they stay reviewed."""
    if not entry_ids:
        return
    entries = list(
        RoutingLogEntry.objects.filter(pk__in=entry_ids, review_status=RoutingLogEntry.Review.REVIEWED)
        .order_by("pk")
        .select_for_update(no_key=True, of=("self",))
    )
    now, undone = timezone.now(), _("undone")
    # Several merges of one call may have closed it together, and each be undone.
    entries = [entry for entry in entries if not entry.review_note.endswith(undone)]
    audits = [_set(entry, entry.review_status, f"{entry.review_note}, {undone}", at=now, by=by) for entry in entries]
    RoutingLogEntry.objects.bulk_update(entries, REVIEW)
    auditing.write(audits)


def _set(entry: RoutingLogEntry, status: str, note: str, *, at: datetime.datetime, by: By) -> Audit:
    """Change the review in memory, and prepare its audit entry."""
    old = {"review_status": entry.review_status, "review_note": entry.review_note}
    new = {"review_status": status, "review_note": note}
    entry.review_status, entry.review_note = status, note
    entry.reviewed_by, entry.reviewed_at = (None, None) if status == OPEN else (by.user, at)
    return auditing.entry("reviewed", entry, by=by, profile=entry.routed_profile, old=old, new=new)
