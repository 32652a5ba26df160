"""Decide an entry of the routing log: the profiles that it names are not the same person."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from identities import reviewing
from identities.holding import Changed, settle
from identities.models import RoutingLogEntry
from profiles import duplicates
from profiles.auditing import By
from profiles.models import DuplicatePair, Profile
from profiles.refusing import Refused

# No more can be told apart by eye, and what is said of them is said of each two.
MOST_PARTED = 6


@dataclass(slots=True)
class Parted:
    """The profiles that are known to be different people now, and the rows of the queue that say so."""

    entry: RoutingLogEntry
    profiles: list[Profile]
    pairs: list[DuplicatePair] = field(default_factory=list)


def part(entry_id: int, *, note: str, by: By) -> Parted:
    """Say that each of the profiles that an entry names is somebody else, and dismiss the entry with this note.

    That holds for the profiles as they stand today: they are no longer offered as duplicates, nor do they merge by
    themselves. Said again, it changes no pair. Raises RoutingLogEntry.DoesNotExist, and Refused: `nothing_asked` where
    the entry names less than two live profiles, `already_merged` with the `survivor_id` where they have become one,
    `too_many_profiles`.
    """

    def attempt() -> Parted:
        entry = RoutingLogEntry.objects.get(pk=entry_id)
        profiles = reviewing.asked_about(entry)
        refuse(entry, profiles)
        # All at once and in key order. Each pair for itself could deadlock with a merge of three.
        held = Profile.objects.lock([one.pk for one in profiles])
        if len(held) < len(profiles) or not all(one.is_live for one in held.values()):
            raise Changed
        parted = Parted(entry, profiles)
        for one, other in itertools.combinations(sorted(held), 2):
            parted.pairs.append(duplicates.dismiss_two(one, other, note=note, by=by))
        parted.entry = reviewing.review(entry, status=RoutingLogEntry.Review.DISMISSED, note=note, by=by)
        return parted

    return settle(attempt)


def refuse(entry: RoutingLogEntry, profiles: Sequence[Profile]) -> None:
    """Say why nobody can be told apart by this entry: raises Refused. In: whom it asks about today."""
    if len(profiles) == 1 and len(entry.named) > 1 and len(set(Profile.objects.survivors(entry.named).values())) == 1:
        message = _("They are one profile by now. Undo the merge if they are not the same person.")
        raise Refused("already_merged", message, survivor_id=str(profiles[0].pk))
    if len(profiles) < 2:
        raise Refused("nothing_asked", _("This entry names no two profiles that could be told apart."))
    if len(profiles) > MOST_PARTED:
        message = _("It names more than %(most)s profiles; tell them apart two by two, in the queue of duplicates.")
        raise Refused("too_many_profiles", message % {"most": MOST_PARTED})
