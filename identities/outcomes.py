"""What became of a routed write: its answer, and what the routing log keeps of it (API.md 4)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

from identities import routing_log
from identities.models import Extension, Identity, Pair, RoutingLogEntry
from profiles import duplicates
from profiles.auditing import By
from profiles.inserting import unsaved
from profiles.models import Profile
from profiles.refusing import Refused

# Profile, or None too where a record may be nobody's.
P = TypeVar("P")


@dataclass(frozen=True)
class Write:
    """What the log says of a write as such: its kind (`profile`, `transaction`, ...), content, and who wrote it.

    `content` is asked once, and only where there is something to log.
    """

    kind: str
    content: Callable[[], Mapping[str, Any]]
    by: By
    source: Extension | None

    @cached_property
    def payload(self) -> Mapping[str, Any]:
        return self.content()

    def entry(
        self, outcome: str, *, requested: Profile | None = None, routed: Profile | None = None, **fields: Any
    ) -> RoutingLogEntry:
        return unsaved(
            RoutingLogEntry,
            outcome=outcome,
            kind=self.kind,
            payload=self.payload,
            source_id=self.source.pk if self.source else None,
            by_id=self.by.user.pk,
            requested_profile_id=requested.pk if requested else None,
            routed_profile_id=routed.pk if routed else None,
            **fields,
        )


@dataclass(slots=True)
class Routed(Generic[P]):
    """Where a write went, by which identity, and what it could not take along.

    `profile` is None for a record of nobody. Outcomes: created (a new profile), matched, attached (unknown pairs
    joined a known profile), rerouted, conflict, anonymous.
    """

    profile: P
    outcome: str
    identity: Identity | None = None
    log_entry_id: int | None = None
    refused: list[dict[str, str]] = field(default_factory=list)
    not_taken: list[str] = field(default_factory=list)


def note_conflict(
    write: Write, profile: Profile, known: Collection[Identity], *, requested: Profile | None = None
) -> int:
    """Log that the pairs of one write name several profiles, and put these into the queue of duplicates, each two.

    The entry tells of a pair that did not decide. The caller holds the profiles.
    """
    other = next(row for row in known if row.profile_id != profile.pk)
    entry = write.entry(
        RoutingLogEntry.Outcome.CONFLICT,
        handle=other.handle_id,
        identifier=other.identifier,
        requested=requested,
        routed=profile,
        candidates=sorted({profile.pk, *(row.profile_id for row in known)}),
    )
    entry_id = routing_log.note(entry, pairs=[row.pair for row in known])
    others = [pk for pk in entry.candidates if pk != profile.pk]
    duplicates.note_held(duplicates.each_with_each([profile.pk, *others], {"conflict": [entry_id]}))
    return entry_id


def note_rerouted(write: Write, profile: Profile, *, requested: Profile, identity: Identity | None) -> int:
    """Log that a write which names one profile by its id went to another, by an identity or because it was there."""
    entry = write.entry(
        RoutingLogEntry.Outcome.REROUTED,
        handle=identity.handle_id if identity else "",
        identifier=identity.identifier if identity else "",
        requested=requested,
        routed=profile,
        candidates=sorted({profile.pk, requested.pk}),
    )
    return routing_log.note(entry, pairs=[identity.pair] if identity else [])


def set_aside(routed: Routed[Any], refusals: Mapping[Pair, Refused], write: Write) -> None:
    """Report and log the pairs that could not come along; the write itself stands. Raises Refused `identity_erased`
    where one of them was erased: nothing of such a write is kept (API.md 4)."""
    for refusal in refusals.values():
        if refusal.code == "identity_erased":
            raise refusal
    refused = sorted(refusals.items())
    noted = routing_log.note_all(
        (
            write.entry(
                RoutingLogEntry.Outcome.REFUSED,
                code=refusal.code,
                handle=pair.handle[:64],
                identifier=pair.identifier[:255],
                routed=routed.profile,
            ),
            [pair],
        )
        for pair, refusal in refused
    )
    routed.log_entry_id = routed.log_entry_id or next(iter(noted), None)
    routed.refused = [
        {"handle": pair.handle, "identifier": pair.identifier, "code": refusal.code, "message": refusal.message}
        for pair, refusal in refused
    ]
