from __future__ import annotations

import json

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from identities.serializers import ADA
from omneo_identity.api.fields import InstantField
from omneo_identity.api.schema import example
from profiles.models import Audit


@example(
    {
        "id": 31,
        "user_id": 1,
        "event": "updated",
        "auditable_type": "identity",
        "auditable_id": 2,
        "old_values": '{"is_active": true}',
        "new_values": '{"is_active": false}',
        "url": f"/api/v3/profiles/{ADA}/identities/id/2",
        "ip_address": "203.0.113.7",
        "profile_id": ADA,
        "token_name": "Till in George Street",
        "user_agent": "till/7.1",
        "created_at": "2021-01-27 00:00:00",
    }
)
class AuditSerializer(serializers.ModelSerializer[Audit]):
    user_id = serializers.IntegerField(source="by_id", read_only=True)
    auditable_id = serializers.SerializerMethodField()
    old_values = serializers.SerializerMethodField()
    new_values = serializers.SerializerMethodField()
    profile_id = serializers.UUIDField(allow_null=True, read_only=True)
    created_at = InstantField()

    class Meta:
        model = Audit
        fields = [
            "id",
            "user_id",
            "event",
            "auditable_type",
            "auditable_id",
            "old_values",
            "new_values",
            "url",
            "ip_address",
            "profile_id",
            "token_name",
            "user_agent",
            "created_at",
        ]

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_auditable_id(self, audit: Audit) -> int | None:
        return int(audit.auditable_key) if audit.auditable_key.isdecimal() else None

    def get_old_values(self, audit: Audit) -> str:
        return json.dumps(audit.old_values)

    def get_new_values(self, audit: Audit) -> str:
        return json.dumps(audit.new_values)
