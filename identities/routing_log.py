"""Write entries of the routing log, the same open event counting up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.db.models import Q
from django.utils import timezone
from psycopg.types.json import Jsonb

from identities.handles import mask
from identities.models import Handle, Pair, RoutingLogEntry, fold_handle
from identities.normalising import storable

MOST_PAYLOAD_BYTES = 16_384


def note(entry: RoutingLogEntry, *, pairs: Iterable[Pair]) -> int:
    """Store an entry, or count it up on the open entry of the same event. Returns its id.

    The same event has the same outcome, reason, kind, pairs, profiles and source. One statement: two writers of the
    same event count to two and neither waits for a retry. Identifiers of sensitive handles are masked.
    """
    pairs = sorted(set(pairs))
    _mask(entry, pairs)
    now = timezone.now()
    values: list[Any] = [
        entry.outcome,
        entry.kind,
        entry.code,
        storable(entry.handle),
        storable(entry.identifier),
        entry.requested_profile_id,
        entry.routed_profile_id,
        entry.candidates,
        Jsonb(_capped(entry.payload)),
        entry.source_id,
        entry.by_id,
        now,
        now,
        _fingerprint(entry, pairs),
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO identities_routinglogentry AS entry (
                outcome, kind, code, handle, identifier, requested_profile_id, routed_profile_id, candidates, payload,
                source, by_id, occurrences, created_at, last_seen_at, review_status, review_note, fingerprint
            )
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s::uuid[], %s, %s, %s, 1, %s, %s, 'open', '', %s)
            ON CONFLICT (fingerprint) WHERE review_status = 'open'
            DO UPDATE SET occurrences = entry.occurrences + 1, last_seen_at = EXCLUDED.last_seen_at
            RETURNING id
            """,
            values,
        )
        (entry_id,) = cursor.fetchone()
    return int(entry_id)


def _fingerprint(entry: RoutingLogEntry, pairs: list[Pair]) -> str:
    # Each profile in its part: a write that went to the other one is another event.
    profiles = [entry.requested_profile_id, entry.routed_profile_id, sorted(entry.candidates)]
    same = [entry.outcome, entry.code, entry.kind, pairs, profiles, entry.source_id]
    return hashlib.sha256(json.dumps(same, cls=DjangoJSONEncoder).encode()).hexdigest()


def _mask(entry: RoutingLogEntry, pairs: list[Pair]) -> None:
    """Mask sensitive identifiers wherever the entry says them. The fingerprint still tells two of them apart.

    A misspelled handle is refused, yet its identifier is what the right one protects: the fold decides.
    """
    named = {pair.handle for pair in pairs} | {entry.handle}
    sent = entry.payload.get("identities", [])
    named |= {one["handle"] for one in sent}
    known = Handle.objects.filter(fold__in={fold_handle(storable(name)) for name in named})
    sensitive = set(known.filter(Q(sensitive=True) | Q(renamed_to__sensitive=True)).values_list("fold", flat=True))
    if fold_handle(entry.handle) in sensitive:
        entry.identifier = mask(entry.identifier)
    if sensitive and sent:
        entry.payload = {
            **entry.payload,
            "identities": [
                {**one, "identifier": mask(one["identifier"])} if fold_handle(one["handle"]) in sensitive else one
                for one in sent
            ],
        }


def _capped(payload: Mapping[str, Any]) -> dict[str, Any]:
    text = json.dumps(payload, cls=DjangoJSONEncoder)
    if len(text) <= MOST_PAYLOAD_BYTES:
        return dict(_storable(json.loads(text)))
    return {"truncated": True, "bytes": len(text), "beginning": text[: MOST_PAYLOAD_BYTES // 2]}


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_storable(one) for one in value]
    if isinstance(value, dict):
        return {storable(key): _storable(one) for key, one in value.items()}
    return value
