"""An export on the wire (API.md 3); here for the OpenAPI document only, since `profiles.exporting` writes it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from identities.serializers import ADA, IDENTITY
from omneo_identity.api.fields import InstantField
from omneo_identity.api.schema import example
from profiles.serializers.profile import BALANCES, PROFILE, BalancesSerializer, ProfileSerializer
from profiles.serializers.records import TRANSACTION


@extend_schema_field({"type": "array", "items": {"type": "object"}})
class RowsField(serializers.Field[Any, Any, Any, Any]):
    """Rows with all that is held of each."""


PAIR = {"handle": IDENTITY["handle"], "identifier": IDENTITY["identifier"]}
BO = "01968fdc-7a29-7c5b-9ee0-bb9f3a0f4e11"
MOVE = {
    "id": 5,
    "subject_type": "identity",
    "subject_key": "31",
    "from_profile_id": ADA,
    "to_profile_id": BO,
    "cause": "asked",
    "by_id": 1,
    "at": "2026-11-25 01:04:09",
    "undone_at": None,
    "pair": {"handle": "loyalty-card", "identifier": None, "profile_id": BO},
    "reason": None,
    "withheld": ["reason"],
}
LISTS = {
    "profiles": "The profile's own row, and those of all that were merged into it.",
    "identities": "All of them, contact points too.",
    "claims": "What the customer says to be theirs, and nobody has confirmed.",
    "custom_attributes": "Also those that a merged profile keeps.",
    **{f"{kind}s": "As the API shows it, and how it came." for kind in ("transaction", "interaction", "point")},
    "rewards": "As the API shows it, and how it came.",
    "routing_log": "Entries that name one of the profiles or of the pairs.",
    "duplicates": "Who was thought to be the same person.",
    "merges": "With those that were undone.",
    "moves": "What came from another profile or went to one.",
    "audits": "Who changed what.",
    "events": "What happened while somebody listened.",
    "deliveries": "Who was told, when, and what. Of a target's URL only the host is told: all else may be a secret.",
    "batch_rows": "What became of rows of `POST /profiles/batch`.",
    "admin_log": "What the admin's own log has of the profile.",
}


@example(
    {
        "exported_at": "2026-11-25 01:04:09",
        "profile": PROFILE,
        "balances": BALANCES,
        **{name: [] for name in LISTS},
        "identities": [
            {
                **IDENTITY,
                "original": "",
                "brought_by_id": None,
                "addressed": None,
                "by_contact": False,
                "conflict_id": None,
            }
        ],
        "transactions": [{**TRANSACTION, "brought_by_id": IDENTITY["id"], "decided_by": "identity"}],
        "moves": [MOVE],
    }
)
class ExportSerializer(serializers.Serializer[Any]):
    exported_at = InstantField()
    merged_from = serializers.UUIDField(
        required=False, help_text="The id that was asked for, where that is of a profile which was merged."
    )
    profile = ProfileSerializer()
    balances = BalancesSerializer()

    def get_fields(self) -> dict[str, serializers.Field]:
        return {**super().get_fields(), **{name: RowsField(help_text=text) for name, text in LISTS.items()}}
