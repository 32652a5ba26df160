"""Write entries of the routing log, the same open event counting up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from identities import matching
from identities.handles import mask
from identities.models import Pair, RoutingLogEntry, fold_handle
from identities.normalising import forms, storable
from profiles import reading

MOST_PAYLOAD_BYTES = 16_384

# Under a former name, too.
SENSITIVE = """
    SELECT handle.fold FROM identities_handle AS handle
    LEFT JOIN identities_handle AS current ON current.name = handle.renamed_to_id
    WHERE handle.fold = ANY(%s) AND (handle.sensitive OR current.sensitive)
"""

INSERT = """
    INSERT INTO identities_routinglogentry AS entry (
        outcome, kind, code, handle, identifier, requested_profile_id, routed_profile_id, candidates, payload,
        source, by_id, occurrences, created_at, last_seen_at, review_status, review_note, fingerprint
    )
    SELECT
        outcome, kind, code, handle, identifier, requested_profile_id, routed_profile_id, candidates::uuid[],
        (%s::text[])[payload]::jsonb, source, by_id, occurrences, %s, %s, 'open', '', fingerprint
    FROM unnest(
        %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::uuid[], %s::uuid[], %s::text[],
        %s::text[], %s::int[], %s::int[], %s::int[], %s::text[]
    ) WITH ORDINALITY AS event (
        outcome, kind, code, handle, identifier, requested_profile_id, routed_profile_id, candidates,
        source, by_id, payload, occurrences, fingerprint, position
    )
    ORDER BY position
    ON CONFLICT (fingerprint) WHERE review_status = 'open'
    DO UPDATE SET
        occurrences = entry.occurrences + EXCLUDED.occurrences, last_seen_at = EXCLUDED.last_seen_at
    RETURNING fingerprint, id
"""


def note(entry: RoutingLogEntry, *, pairs: Iterable[Pair]) -> int:
    """Store an entry, or count it up on the open entry of the same event. Returns its id."""
    return note_all([(entry, pairs)])[0]


def note_all(events: Iterable[tuple[RoutingLogEntry, Iterable[Pair]]]) -> list[int]:
    """Store many entries, each with the pairs that it is about, or count them up. Returns their ids, in their order.

    The same event has the same outcome, reason, kind, pairs, profiles and source. One statement, however many: two
    writers of the same events count each to two, and neither waits for a retry nor, since all go in the order of
    their pairs, deadlocks. Identifiers of sensitive handles are masked. Entries of one write that share their
    payload, the same object, have it masked, cut and sent once.
    """
    noted = [(entry, sorted(set(pairs))) for entry, pairs in events]
    if not noted:
        return []
    sensitive = _sensitive(noted)
    fingerprints = [_fingerprint(entry, pairs) for entry, pairs in noted]
    payloads = {id(entry.payload): entry.payload for entry, _pairs in noted}
    rows: dict[str, list[Any]] = {}
    for _pairs, fingerprint, entry in sorted(
        ((pairs, fingerprint, entry) for (entry, pairs), fingerprint in zip(noted, fingerprints, strict=True)),
        key=lambda event: event[:2],
    ):
        # One row per event: a statement cannot count the same row up twice.
        row = rows.setdefault(fingerprint, [*_columns(entry, sensitive), id(entry.payload), 0])
        row[-1] += 1
    ids = _insert(rows, {key: _capped(_masked(payload, sensitive)) for key, payload in payloads.items()})
    return [ids[fingerprint] for fingerprint in fingerprints]


def _insert(rows: Mapping[str, Sequence[Any]], payloads: Mapping[int, str]) -> dict[str, int]:
    """Insert these rows, by fingerprint, in their order, or count them up. Returns the id of each.

    In: `_columns`, the key of the payload, and how often the event happened; the payloads as JSON text.
    """
    places = {key: place for place, key in enumerate(payloads, start=1)}
    *columns, keys, occurrences = zip(*rows.values(), strict=True)
    now = timezone.now()
    values = [
        list(payloads.values()),
        now,
        now,
        *map(list, columns),
        [places[key] for key in keys],
        list(occurrences),
        list(rows),
    ]
    return dict(reading.once(INSERT, values))


def _columns(entry: RoutingLogEntry, sensitive: Collection[str]) -> list[Any]:
    """What is stored of an entry besides its payload, in the order of the statement."""
    identifier = mask(entry.identifier) if fold_handle(entry.handle) in sensitive else entry.identifier
    return [
        str(entry.outcome),
        entry.kind,
        entry.code,
        storable(entry.handle),
        storable(identifier),
        entry.requested_profile_id,
        entry.routed_profile_id,
        "{" + ",".join(map(str, entry.candidates)) + "}",
        entry.source_id,
        entry.by_id,
    ]


def _fingerprint(entry: RoutingLogEntry, pairs: list[Pair]) -> str:
    # Each profile in its part: a write that went to the other one is another event.
    profiles = [entry.requested_profile_id, entry.routed_profile_id, sorted(entry.candidates)]
    same = [entry.outcome, entry.code, entry.kind, pairs, profiles, entry.source_id]
    return hashlib.sha256(json.dumps(same, cls=DjangoJSONEncoder).encode()).hexdigest()


def _sensitive(noted: Iterable[tuple[RoutingLogEntry, list[Pair]]]) -> set[str]:
    """The folds of the sensitive handles that these entries say anything of.

    A misspelled handle is refused, yet its identifier is what the right one protects: the fold decides.
    """
    named = set()
    for entry, pairs in noted:
        named |= {entry.handle, *(pair.handle for pair in pairs)}
    for payload in {id(entry.payload): entry.payload for entry, _pairs in noted}.values():
        named |= {one["handle"] for one in payload.get("identities", [])}
    folds = {fold for (fold,) in reading.rows(SENSITIVE, [[fold_handle(storable(name)) for name in named]])}
    return folds | {""} if _is_sensitive_under_some_handle(noted) else folds


def _is_sensitive_under_some_handle(noted: Iterable[tuple[RoutingLogEntry, list[Pair]]]) -> bool:
    """Whether an identifier that came without a handle is one that a sensitive handle protects."""
    texts = {
        one["identifier"]
        for payload in {id(entry.payload): entry.payload for entry, _pairs in noted}.values()
        for one in payload.get("identities", [])
        if not one["handle"]
    }
    return any(matching.having(forms(text)).filter(handle__sensitive=True).exists() for text in texts)


def _masked(payload: Mapping[str, Any], sensitive: Collection[str]) -> Mapping[str, Any]:
    sent = payload.get("identities", [])
    if not (sensitive and sent):
        return payload
    return {
        **payload,
        "identities": [
            {**one, "identifier": mask(one["identifier"])} if fold_handle(one["handle"]) in sensitive else one
            for one in sent
        ],
    }


def _capped(payload: Mapping[str, Any]) -> str:
    text = json.dumps(payload, cls=DjangoJSONEncoder)
    if len(text) > MOST_PAYLOAD_BYTES:
        return json.dumps({"truncated": True, "bytes": len(text), "beginning": text[: MOST_PAYLOAD_BYTES // 2]})
    # Whatever cannot be stored is written as an escape.
    return json.dumps(_storable(json.loads(text))) if "\\u" in text else text


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_storable(one) for one in value]
    if isinstance(value, dict):
        return {storable(key): _storable(one) for key, one in value.items()}
    return value
