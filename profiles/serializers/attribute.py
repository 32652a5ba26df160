from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from identities import attributing
from identities.serializers import ADA
from omneo_identity.api.schema import example
from profiles.models import CustomAttribute


class AnyValue(serializers.JSONField):
    """Any JSON but null, which is no value of an attribute."""

    default_error_messages = {"null": _("This must not be null; DELETE takes an attribute away.")}


@example({"profile_id": ADA, "namespace": "loyalty", "handle": "tier", "type": "string", "value": "gold"})
class CustomAttributeSerializer(serializers.ModelSerializer[CustomAttribute]):
    profile_id = serializers.UUIDField(read_only=True)
    value = serializers.JSONField()

    class Meta:
        model = CustomAttribute
        fields = ["profile_id", "namespace", "handle", "type", "value"]


@example({"type": "string", "value": "gold"})
class CustomAttributeChangeSerializer(serializers.Serializer[Any]):
    """Without a `type`, the value keeps the one on file if it can, else it gets that of the JSON."""

    type = serializers.ChoiceField(list(attributing.TYPES), required=False, allow_null=True)
    value = AnyValue()

    def named(self, namespace: str, handle: str) -> attributing.Named:
        return attributing.Named(namespace, handle, self.validated_data["value"], self.validated_data.get("type"))
