"""Which profile do the pairs of a write name? The rules of API.md 4, told from what is held; it writes nothing."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from identities import handles
from identities.handles import Sent
from identities.holding import Held
from identities.models import BUILT_IN, Extension, Identity, Pair
from profiles.models import Profile, Record
from profiles.refusing import Refused

# How a profile id that is set aside stands among the refused pairs.
PROFILE_ID = "profile_id"

DecidedBy = Record.DecidedBy


@dataclass(slots=True)
class Wanted:
    """The pairs of a record as the catalogue reads them: usable ones, contact points (e-mail first), refusals.

    `found` is a usable one that came as an identifier without a handle: it may name a profile, and not be made.
    """

    pairs: dict[Pair, Identity] = field(default_factory=dict)
    contacts: dict[Pair, Identity] = field(default_factory=dict)
    refused: dict[Pair, Refused] = field(default_factory=dict)
    found: Pair | None = None

    @property
    def all(self) -> list[Pair]:
        return [*self.pairs, *self.contacts]


@dataclass(frozen=True, slots=True)
class Named:
    """The profile id that a caller named, and the profile that it means today; None when there is none."""

    id: uuid.UUID
    profile_id: uuid.UUID | None


@dataclass(slots=True)
class Decision:
    """Where a record belongs. `profile` is None for a new profile (`decided_by` new) and for nobody's record.

    `known` are the identities among its pairs that live profiles hold; `requested` is the live profile that the
    caller named by id, `set_aside` the refusal of an id that names none. `by_contact` says that nothing but a contact
    point ties the record to the profile, directly or by pairs that came so themselves (rule 4).
    """

    profile: Profile | None
    decided_by: DecidedBy
    identity: Identity | None = None
    known: list[Identity] = field(default_factory=list)
    requested: Profile | None = None
    set_aside: Refused | None = None
    by_contact: bool = False

    @property
    def is_conflict(self) -> bool:
        return self.profile is not None and any(row.profile_id != self.profile.pk for row in self.known)

    @property
    def is_rerouted(self) -> bool:
        return None not in (self.profile, self.requested) and self.profile != self.requested


def read(sent: Sequence[Sent], *, writer: Extension | None) -> Wanted:
    """Read the pairs of a record. What cannot be written is set aside and spoils nothing."""
    wanted = Wanted()
    contacts: dict[Pair, Identity] = {}
    for one, answer in zip(sent, handles.read(sent, writer=writer), strict=True):
        if isinstance(answer, Refused):
            wanted.refused[one.pair] = answer
        elif answer.handle_id in BUILT_IN:
            contacts.setdefault(answer.pair, answer)
        else:
            wanted.pairs.setdefault(answer.pair, answer)
    # E-mail before mobile (rule 4), which is the order of their names, and else as they were sent.
    wanted.contacts = dict(sorted(contacts.items(), key=lambda item: item[0].handle))
    return wanted


def named(profile_id: uuid.UUID | None) -> Named | None:
    """Who an id means today: a merged profile's is its survivor's."""
    if profile_id is None:
        return None
    return Named(profile_id, Profile.objects.survivors([profile_id]).get(profile_id))


def highest(known: Collection[Identity], pairs: Mapping[Pair, Any]) -> Identity | None:
    """Of the known pairs, the one whose handle has the highest priority, then the older (rules 1 and 2)."""
    return max(known, key=lambda row: (pairs[row.pair].handle.priority, -row.pk), default=None)


def decide(wanted: Wanted, named: Named | None, *, held: Held, kept: Record | None = None) -> Decision:
    """Say where a record belongs.

    In: its pairs, the id that was named, what is locked, and the record on file if that stays where it is. Raises
    Profile.DoesNotExist for an unknown id with nothing usable beside it, and Changed.
    """
    known = [held.identities[pair] for pair in wanted.pairs if held.owner(pair)]
    contacts = [held.identities[pair] for pair in wanted.contacts if held.owner(pair)]
    addressed = _addressed(named, held)
    requested = addressed if addressed is not None and addressed.is_live else None
    decision = Decision(None, DecidedBy.ID, known=[*known, *contacts], requested=requested)
    if kept is not None:
        decision.profile = kept.profile
        decision.identity = highest(_of(kept.profile, known), wanted.pairs) or _still_there(kept)
    elif decider := highest(known, wanted.pairs):
        decision.profile, decision.identity = held.profiles[decider.profile_id], decider
        decision.decided_by = DecidedBy.IDENTITY
    elif requested is not None:
        decision.profile = requested
    elif contacts:
        decision.profile, decision.identity = held.profiles[contacts[0].profile_id], contacts[0]
        decision.decided_by = DecidedBy.CONTACT
    elif wanted.all:
        decision.decided_by = DecidedBy.NEW
    elif addressed is not None:
        # Deleted, and nothing else to go by: the record is kept with it.
        decision.profile = addressed
        return decision
    elif named is not None:
        raise Profile.DoesNotExist
    else:
        decision.decided_by = DecidedBy.NOBODY
    if named is not None and requested is None and (kept is None or addressed != kept.profile):
        decision.set_aside = _not_followed(addressed)
    if decision.profile is not None and decision.profile != requested:
        decision.by_contact = _rests_on_contact(decision, _of(decision.profile, known), kept)
    return decision


def _of(profile: Profile | None, rows: Collection[Identity]) -> list[Identity]:
    return [row for row in rows if profile is not None and row.profile_id == profile.pk]


def _rests_on_contact(decision: Decision, known: Collection[Identity], kept: Record | None) -> bool:
    """Whether the ties to the profile are contact points, and pairs which came to it by nothing better.

    A record on file whose ties are gone counts as such, too: whoever sends it again proves nothing.
    """
    ties = known or ([decision.identity] if decision.identity else [])
    if not ties:
        return kept is not None and kept.decided_by in (DecidedBy.CONTACT, DecidedBy.IDENTITY)
    return all(row.by_contact or row.handle_id in BUILT_IN for row in ties)


def _still_there(kept: Record) -> Identity | None:
    """What brought a record, unless it has left the profile since: it would bring nothing there today."""
    brought_by = kept.brought_by
    return brought_by if brought_by is not None and brought_by.profile_id == kept.profile_id else None


def _addressed(named: Named | None, held: Held) -> Profile | None:
    if named is None or named.profile_id is None:
        return None
    return held.meant(named.profile_id, named=named.id)


def _not_followed(addressed: Profile | None) -> Refused:
    if addressed is None:
        return Refused("unknown_profile", _("There is no profile of this id."), field=PROFILE_ID)
    return Refused("profile_deleted", _("The profile of this id is deleted."), field=PROFILE_ID)
