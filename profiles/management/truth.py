"""How good the queue of duplicates is, measured on the sample data, whose record ids say who is who."""

from __future__ import annotations

import uuid
from collections import defaultdict
from dataclasses import dataclass

from identities.management.commands.load_sample import SYSTEMS
from identities.models import Identity
from profiles import duplicates


@dataclass(frozen=True, slots=True)
class Measured:
    """The queue against the truth. Counted are live profiles of the sample, and offered pairs of two of these.

    Precision: of the pairs that are offered, the share that are one person. Recall: of the people who are left with
    more than one profile, the share whose profiles all hang together by offered pairs, so that accepting these makes
    one profile of them.
    """

    pairs: int
    right: int
    split: int
    joined: int

    @property
    def precision(self) -> float:
        return self.right / self.pairs if self.pairs else 1.0

    @property
    def recall(self) -> float:
        return self.joined / self.split if self.split else 1.0


def measure(least_score: float = 0) -> Measured:
    """Compare what is offered, from this score on, with who the sample's records say that people are."""
    people = _people()
    whose = {pk: person for person, profiles in people.items() for pk in profiles}
    together = _Together()
    pairs = right = 0
    offered = duplicates.offered().filter(score__gte=least_score).order_by()
    for low, high in offered.values_list("low", "high"):
        if low in whose and high in whose:
            pairs += 1
            right += whose[low] == whose[high]
            together.join(low, high)
    split = [profiles for profiles in people.values() if len(profiles) > 1]
    joined = sum(len({together.head(pk) for pk in profiles}) == 1 for profiles in split)
    return Measured(pairs, right, len(split), joined)


def _people() -> dict[str, set[uuid.UUID]]:
    """The live profiles of each person of the sample: rec-1496-org and rec-1496-dup-0 are one person."""
    people: dict[str, set[uuid.UUID]] = defaultdict(set)
    rows = Identity.objects.live().filter(handle__in=set(SYSTEMS.values()), identifier__startswith="rec-").order_by()
    for identifier, profile_id in rows.values_list("identifier", "profile_id"):
        people[identifier.split("-")[1]].add(profile_id)
    return people


class _Together:
    """Which profiles hang together by the pairs joined so far."""

    def __init__(self) -> None:
        self._above: dict[uuid.UUID, uuid.UUID] = {}

    def head(self, pk: uuid.UUID) -> uuid.UUID:
        while pk in self._above:
            pk = self._above[pk]
        return pk

    def join(self, one: uuid.UUID, other: uuid.UUID) -> None:
        one, other = self.head(one), self.head(other)
        if one != other:
            self._above[one] = other
