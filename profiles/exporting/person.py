"""Whose export it is, and who else the rows of it may tell of.

The person has a right to what is held about them, and others to that nobody is shown what is held about these: a
profile that was merged by mistake, whose identity stood on the wrong profile, or whose record named both. Another
profile is named by its id only.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import Q

from identities import normalising
from identities.handles import mask
from identities.models import BUILT_IN, Handle, Identity, Pair
from profiles.merging.lineage import BESIDE
from profiles.models import Merge, Move

# Identifiers that are looked for among texts have so many characters at least; any text has shorter ones. Inside of
# longer texts they are looked for, too.
LEAST_INSIDE = 5
LONG = 255

# ruff: noqa: S608 - the statements are put together from names of tables and columns of ours

OTHERS = f"""
    {BESIDE} UNION
    SELECT unnest(candidates || requested_profile_id || routed_profile_id) FROM identities_routinglogentry
    WHERE id IN (
        SELECT id FROM identities_routinglogentry WHERE requested_profile_id = ANY(%(ids)s)
        UNION SELECT id FROM identities_routinglogentry WHERE routed_profile_id = ANY(%(ids)s)
        UNION SELECT id FROM identities_routinglogentry WHERE candidates && %(ids)s::uuid[]
    )
"""

HOLDERS = """
    SELECT identity.handle, identity.identifier, identity.profile_id
    FROM unnest(%(handles)s::text[], %(identifiers)s::text[]) AS asked (handle, identifier)
    JOIN identities_identity AS identity USING (handle, identifier) WHERE identity.profile_id <> ALL(%(ids)s)
"""

# What identities of others were before: of those that others have, or had until they were deleted, and of those that
# left the person. One after the other by the indexes, however many rows there are of anybody else.
FORMER = """
    WITH RECURSIVE theirs AS (
        SELECT unnest(%(others)s::uuid[]) AS id
        UNION
        SELECT merged_into_id FROM theirs, LATERAL (
            SELECT merged_into_id FROM profiles_profile WHERE id = theirs.id OFFSET 0
        ) AS profile WHERE merged_into_id <> ALL(%(ids)s)
    ), went AS (
        SELECT DISTINCT subject_key AS key FROM profiles_move
        WHERE from_profile_id = ANY(%(ids)s) AND subject_type = 'identity'
    ), of_theirs AS MATERIALIZED (
        SELECT identity.id::text AS key FROM theirs, LATERAL (
            SELECT id FROM identities_identity WHERE profile_id = theirs.id OFFSET 0
        ) AS identity
        UNION
        SELECT key FROM went
        WHERE NOT EXISTS (
            SELECT FROM identities_identity AS identity
            WHERE identity.id = went.key::bigint AND profile_id = ANY(%(ids)s)
        ) AND NOT EXISTS (
            SELECT FROM profiles_audit
            WHERE auditable_type = 'identity' AND auditable_key = went.key AND event = 'deleted'
            AND profile_id = ANY(%(ids)s)
        )
    )
    SELECT move.handle, move.identifier FROM of_theirs, LATERAL (
        SELECT handle, identifier FROM profiles_move
        WHERE subject_type = 'identity' AND subject_key = of_theirs.key OFFSET 0
    ) AS move
    UNION
    SELECT audit.old ->> 'handle', audit.old ->> 'identifier' FROM of_theirs, LATERAL (
        SELECT old_values AS old FROM profiles_audit
        WHERE auditable_type = 'identity' AND auditable_key = of_theirs.key OFFSET 0
    ) AS audit
    UNION
    SELECT audit.old ->> 'handle', audit.old ->> 'identifier' FROM theirs, LATERAL (
        SELECT old_values AS old FROM profiles_audit
        WHERE profile_id = theirs.id AND auditable_type = 'identity' AND event = 'deleted' OFFSET 0
    ) AS audit
"""


@dataclass(slots=True)
class Person:
    """The profiles that are the person today, and what tells that something is of somebody else.

    `texts` are the ids and identifiers of others whom rows of the person name, former ones, too; `pairs` those of them
    that have a handle, `masked` those of which no more is kept. `own` are the identifiers that are the person's, and
    `own_pairs` those with their handles. In `periods` others were part of a profile, by a merge that was undone; what
    `left`, as `type:key`, is a row that is with somebody else, or nobody, by now.
    """

    ids: list[uuid.UUID]
    texts: set[str] = field(default_factory=set)
    pairs: set[tuple[str, str]] = field(default_factory=set)
    masked: set[tuple[str, str]] = field(default_factory=set)
    own: set[str] = field(default_factory=set)
    own_pairs: set[tuple[str, str]] = field(default_factory=set)
    periods: list[tuple[datetime.datetime, datetime.datetime]] = field(default_factory=list)
    left: set[str] = field(default_factory=set)
    _handles: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"ids": self.ids, "texts": [str(pk) for pk in self.ids]}

    def is_shared_then(self, at: datetime.datetime | None, subject: str | None) -> bool:
        """Whether what was written at this time, or of this row, is of somebody else as well."""
        if subject is not None and subject in self.left:
            return True
        return at is not None and any(start <= at <= end for start, end in self.periods)

    def holders(self, pairs: Iterable[Pair]) -> dict[Pair, uuid.UUID]:
        """The other profiles that hold any of these pairs, by the pair as it is given. One statement."""
        named = {pair: self._normal(pair) for pair in pairs}
        asked = sorted({one for one in named.values() if one is not None})
        if not asked:
            return {}
        handles, identifiers = zip(*asked, strict=True)
        with connection.cursor() as cursor:
            cursor.execute(HOLDERS, {"handles": list(handles), "identifiers": list(identifiers), **self.parameters})
            found = {Pair(handle, identifier): holder for handle, identifier, holder in cursor.fetchall()}
        return {pair: found[one] for pair, one in named.items() if one is not None and one in found}

    def has(self, pair: Pair) -> bool:
        """Whether the person holds this pair today."""
        return self._normal(pair) in self.own_pairs

    def tells_of_others(self, value: Any) -> bool:
        """Whether this JSON names somebody else, by an id or an identifier of theirs, wherever that stands in it."""
        if isinstance(value, dict):
            return self._is_others_pair(value) or any(map(self.tells_of_others, value.values()))
        if isinstance(value, list):
            return any(map(self.tells_of_others, value))
        return isinstance(value, str) and self._is_others(value)

    def without_others(self, value: Any) -> Any:
        """The same JSON with null for each text that is somebody else's."""
        if isinstance(value, dict):
            taken_out = {"identifier": None} if self._is_others_pair(value) else {}
            return {**{key: self.without_others(one) for key, one in value.items()}, **taken_out}
        if isinstance(value, list):
            return [self.without_others(one) for one in value]
        return None if isinstance(value, str) and self._is_others(value) else value

    def _is_others_pair(self, value: dict[str, Any]) -> bool:
        handle, identifier = value.get("handle"), value.get("identifier")
        if not (isinstance(handle, str) and isinstance(identifier, str)):
            return False
        pair = self._normal(Pair(handle, identifier))
        if pair is None or pair in self.own_pairs:
            return False
        return pair in self.pairs or (pair.handle, mask(pair.identifier)) in self.masked

    def _is_others(self, text: str) -> bool:
        if len(text) > LONG:
            folded = text.casefold()
            return any(one in folded for one in self.texts) or any(f'"{pair[1]}"' in text for pair in self.pairs)
        return len(text) >= LEAST_INSIDE and (text.strip().casefold() in self.texts or self._is_inside(text))

    def _is_inside(self, text: str) -> bool:
        """Ids stand inside of URLs."""
        return "/" in text and any(part in self.texts for part in text.casefold().split("/"))

    def _normal(self, pair: Pair) -> Pair | None:
        name, normaliser = self._handles.get(pair.handle, (pair.handle, "exact"))
        form = normalising.form(normaliser, pair.identifier)
        return None if form is None else Pair(name, form)


def person(ids: Sequence[uuid.UUID]) -> Person:
    """Read who the others are. In: the profile and all that is merged into it. Seven statements."""
    found = Person(list(ids))
    for name, renamed_to, normaliser in Handle.objects.values_list("name", "renamed_to", "normaliser"):
        found._handles[name] = (renamed_to or name, normaliser)
    for handle, normaliser in BUILT_IN.items():
        found._handles.setdefault(handle, (handle, normaliser))
    own = Identity.objects.filter(profile__in=ids).order_by()
    for handle, *row in own.values_list("handle", "identifier", "original"):
        found.own |= {text.strip().casefold() for text in row if text}
        found.own_pairs.add((handle, row[0]))
    others = _others(found)
    rows = Identity.objects.filter(profile__in=others).order_by()
    theirs = list(rows.values_list("handle", "identifier", "original"))
    former, found.masked = _former(found, others)
    theirs += [(handle, identifier, "") for handle, identifier in former]
    found.pairs = {(handle, identifier) for handle, identifier, _original in theirs}
    identifiers = {text.strip().casefold() for _handle, *row in theirs for text in row if len(text) >= LEAST_INSIDE}
    found.texts = {str(pk) for pk in others} | identifiers - found.own
    for start, end, survivor, duplicate in (
        Merge.objects.exclude(undone_at=None)
        .filter(Q(survivor__in=ids) | Q(duplicate__in=ids))
        .values_list("at", "undone_at", "survivor", "duplicate")
    ):
        if end is not None and not {survivor, duplicate} <= set(ids):
            found.periods.append((start, end))
    gone = Move.objects.filter(from_profile__in=ids).exclude(to_profile__in=ids, to_profile__isnull=False)
    for kind, key in gone.values_list("subject_type", "subject_key"):
        found.left |= {f"{kind}:{key}", f"{kind}s:{key}"}
    return found


def _others(found: Person) -> set[uuid.UUID]:
    """The profiles that are not the person's, beside which rows of the person stand. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(OTHERS, found.parameters)
        return {pk for (pk,) in cursor.fetchall()} - {None, *found.ids}


def _former(found: Person, others: Collection[uuid.UUID]) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """The pairs that others had before, those of which the audit has the last characters only apart. One statement."""
    former: set[tuple[str, str]] = set()
    masked: set[tuple[str, str]] = set()
    with connection.cursor() as cursor:
        cursor.execute(FORMER, {"others": list(others), **found.parameters})
        for handle, identifier in cursor.fetchall():
            if handle and identifier:
                name, _normaliser = found._handles.get(handle, (handle, "exact"))
                (masked if identifier.startswith(mask("")) else former).add((name, identifier))
    return former - found.own_pairs, masked


def pairs_in(value: Any) -> Collection[Pair]:
    """The pairs of a member of a section: one, several or none."""
    listed = value if isinstance(value, list) else [value] if value else []
    return [Pair(one["handle"], one["identifier"]) for one in listed]
