"""Merge profiles without a person's decision, where all that disagrees in one write is trusted so far (API.md 4)."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping

from django.utils.translation import gettext as _

from identities import moving
from identities.holding import Held, keep_rules
from identities.models import BUILT_IN, Identity, Pair
from profiles import duplicates, merging
from profiles.auditing import By
from profiles.models import Merge, Move, Profile
from profiles.refusing import Refused

# By these somebody has said of a pair that it is not its former profile's.
BY_HAND = (Move.Cause.ASKED, Move.Cause.DECIDED, Move.Cause.SPLIT)


def merge_trusted(
    profile: Profile,
    known: Collection[Identity],
    pairs: Mapping[Pair, Identity],
    *,
    held: Held,
    requested: Profile | None = None,
    by: By,
) -> Profile:
    """Merge what the pairs of one write name into the profile that the write went to, if they may do so by themselves.

    In: that profile, the rows of live profiles that the pairs name, each pair as the catalogue has read it, and the
    profile that the caller named by its id. Out: the profile as it is now. All or nothing: the profiles become one
    only if

    - every handle among these pairs is `auto_merge`. A contact point that names one of the profiles is left aside; one
      that names another, and an id that does, are a doubt which no handle settles;
    - every pair is active, and none came by a contact point alone: whoever knows an address could else take over the
      profile behind it;
    - none of the profiles is locked, no two of them were dismissed (an undone merge is), and nobody has moved one of
      the pairs from one of the profiles to another;
    - `merging.merge` does not refuse: single-valued handles in conflict, and more than a hundred, stay for a person.

    To be called last, when all that the write stores is stored and its conflict is in the log: the merge closes that.
    """
    naming = [row for row in known if row.handle_id not in BUILT_IN]
    ids = {row.profile_id for row in naming}
    doubted = {row.profile_id for row in known} | ({requested.pk} if requested is not None else set())
    if len(ids) < 2 or profile.pk not in ids or not doubted <= ids:
        return profile
    handles = [pairs[row.pair].handle for row in naming]
    if not all(handle.auto_merge for handle in handles):
        return profile
    if not all(row.is_active and not row.by_contact for row in naming):
        return profile
    if any(held.profiles[pk].locked for pk in ids) or duplicates.are_dismissed(ids) or _were_parted(naming, ids):
        return profile
    # Nobody may take the trust back while it is used.
    keep_rules(handles)
    words = {"handles": ", ".join(sorted({handle.name for handle in handles}))}
    reason = _("One write named them all, by handles that merge by themselves: %(handles)s.") % words
    others = sorted(ids - {profile.pk})
    try:
        return merging.merge(profile.pk, others, reason=reason, by=by, cause=Merge.Cause.AUTOMATIC).survivor
    except Refused:
        return profile


def _were_parted(naming: Collection[Identity], ids: Collection[uuid.UUID]) -> bool:
    """Whether somebody has moved one of these pairs from one of these profiles to another."""
    moves = moving.standing("identity", [row.pk for row in naming]).filter(cause__in=BY_HAND)
    former = set(moves.exclude(from_profile=None).values_list("subject_key", "from_profile"))
    if not former:
        return False
    survivors = Profile.objects.survivors({pk for _key, pk in former})
    owners = {str(row.pk): row.profile_id for row in naming}
    return any(survivors[pk] in ids and survivors[pk] != owners[key] for key, pk in former)
