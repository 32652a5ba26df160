"""Whom a record names, and how its columns are read: what all kinds of records have in common (API.md 4)."""

from __future__ import annotations

import copy
import datetime
import functools
import uuid
import zoneinfo
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from identities.handles import Sent
from identities.incoming import Incoming
from identities.serializers import ADA
from omneo_identity.api.fields import BoundedListField, IdentifierField, InstantField, StrictText, StrictUUID
from omneo_identity.api.instants import instant, instant_text
from omneo_identity.api.schema import example
from profiles.models import Record
from profiles.serializers.profile import MOST_IDENTITIES, text

# The words that mean a profile's own id where a handle is asked for.
OWN_ID = ("", "id", "profile_id")

OPTIONAL: dict[str, Any] = {"required": False}
NULLABLE: dict[str, Any] = {"required": False, "allow_null": True}


class Named(NamedTuple):
    """Whom a record names: a profile id, pairs in the order of API.md 4, an identifier without a handle."""

    id: uuid.UUID | None
    sent: list[Sent]
    bare: str | None


class SentSerializer(serializers.Serializer[Any]):
    """A pair of a record. What cannot be used of it is set aside by the write path, not refused here."""

    handle = StrictText(allow_blank=True)
    identifier = IdentifierField()

    def to_internal_value(self, data: Any) -> Any:
        return Sent(**super().to_internal_value(data))


class IncomingSerializer(serializers.Serializer[Any]):
    """What records have in common: whom they name, and how their columns are read.

    All fields may be left out, so that a PUT changes only what it names; those of `needed` a new record must have.
    """

    needed: ClassVar[Sequence[str]] = ()
    # Whether a new record must name somebody: of all kinds only a transaction may be nobody's.
    names_somebody: ClassVar[bool] = False
    # Times that are local to `timezone`.
    local_times: ClassVar[Sequence[str]] = ()
    # What null means where the column has none; a field that is not here and takes null has it for a value.
    emptied: ClassVar[Mapping[str, Any]] = {}
    # Where null says nothing.
    skipped: ClassVar[Sequence[str]] = ()
    # The column of a field that is not called like it.
    columns: ClassVar[Mapping[str, str]] = {}
    # Fields that are no columns.
    beside: ClassVar[Sequence[str]] = ("profile_id", "profile_id_handle", "identities", "identifier", "items")

    profile_id = IdentifierField(
        **NULLABLE, help_text="A profile's UUID, or with `profile_id_handle` what the profile is known by."
    )
    profile_id_handle = text(
        help_text="What `profile_id` is: left out, the profile's UUID; `email`, an e-mail address; any other word, "
        "an identifier of this handle."
    )
    identities = BoundedListField(
        child=SentSerializer(), **NULLABLE, max_length=MOST_IDENTITIES, help_text="Further pairs."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in self.needed:
            self.fields[name].required = True

    @classmethod
    def read(cls, data: Any) -> Self:
        """A body, read and found good. Raises ValidationError.

        Its fields are made once and shared by all bodies: they keep nothing of what they read, and to make them anew
        takes longer than to read by them.
        """
        body: Self = copy.copy(_prototype(cls))
        body.initial_data = data
        body.is_valid(raise_exception=True)
        return body

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        named = self._named(attrs)
        if self.names_somebody and named == Named(None, [], None):
            message = _("Name a profile: by profile_id, or by identities.")
            raise serializers.ValidationError({"profile_id": [message]}, code="required")
        zone = self._zone(attrs, None)
        for name in self.local_times:
            if attrs.get(name) is not None:
                _local(attrs[name], zone, name)
        return attrs

    def incoming(self, row: Record | None = None, *, is_put: bool = False) -> Incoming:
        """What was sent. In: the record on file that it is to change, if any, and whether it was put there.

        A client that sends back what it has read changes nothing by it: not where the record is, not its pairs, and
        not its times, which an answer shows in UTC without saying so.
        """
        attrs = self.validated_data
        named, sent, bare = self._named(attrs)
        if row is not None and named == row.profile_id:
            named = None
        if row is not None and is_put:
            kept = {(pair["handle"], pair["identifier"]) for pair in row.pairs}
            sent = [
                one
                for one in sent
                if (one.handle, one.identifier) not in kept or (row.profile_id is None and one.handle)
            ]
        return Incoming(self._fields(row, is_put=is_put), attrs.get("items"), sent, named, bare)

    def _fields(self, row: Record | None, *, is_put: bool) -> dict[str, Any]:
        fields = {}
        for name, value in self.validated_data.items():
            if name in self.beside or (value is None and name in self.skipped):
                continue
            if row is not None and isinstance(value, datetime.datetime) and _is_shown(value, getattr(row, name)):
                continue
            fields[self.columns.get(name, name)] = self.emptied.get(name, value) if value is None else value
        zone = self._zone(fields, row)
        for name in self.local_times:
            if fields.get(name) is None:
                continue
            if row is not None and self._is_as_shown(fields, name, row, is_put=is_put):
                del fields[name]
            else:
                fields[name] = _local(fields[name], zone, name)
        return fields

    def _is_as_shown(self, fields: Mapping[str, Any], name: str, row: Any, *, is_put: bool) -> bool:
        """Whether a time is the one that our answers show of this record, in UTC, and so says nothing.

        A system that upserts a record with another zone corrects it, and means its own clock.
        """
        current = getattr(row, name)
        same_zone = is_put or fields.get("timezone", row.timezone) == row.timezone
        return current is not None and same_zone and fields[name] == instant_text(current)

    def _zone(self, fields: Mapping[str, Any], row: Any) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(str(fields.get("timezone") or getattr(row, "timezone", "UTC")))

    def _named(self, attrs: Mapping[str, Any]) -> Named:
        id_, sent, bare = None, [], None
        identifier, handle = attrs.get("profile_id"), (attrs.get("profile_id_handle") or "").strip()
        if identifier is not None and identifier.strip():
            if handle in OWN_ID:
                id_ = _uuid(identifier, "profile_id")
            else:
                sent.append(Sent(handle, identifier))
        match attrs.get("identifier"):
            case str(identifier):
                bare = identifier
            case Sent(handle=handle, identifier=identifier) if handle in OWN_ID[1:]:
                id_ = id_ or _uuid(identifier, "identifier")
            case Sent() as pair:
                sent.append(pair)
        return Named(id_, [*sent, *(attrs.get("identities") or [])], bare)


@functools.cache
def _prototype(kind: type[IncomingSerializer]) -> Any:
    serializer = kind()
    # They are made, and bound to it, when they are first asked for.
    _made = serializer.fields
    return serializer


def _uuid(identifier: str, field: str) -> uuid.UUID:
    try:
        return uuid.UUID(identifier.strip())
    except ValueError:
        message = _("This is not a profile's id. If it is an identifier, say of which handle.")
        raise serializers.ValidationError({field: [message]}) from None


def _is_shown(value: datetime.datetime, current: datetime.datetime | None) -> bool:
    """Whether a time says no more than our answers show of the one on file: whole seconds."""
    return current is not None and value == current.replace(microsecond=0)


def _local(written: str, zone: zoneinfo.ZoneInfo, field: str) -> Any:
    try:
        return instant(written, zone)
    except ValueError:
        raise serializers.ValidationError({field: [InstantField.default_error_messages["invalid"]]}) from None


@example({"profile_id": ADA, "reason": "Ada showed the receipt in the shop in George Street."})
class RecordMoveSerializer(serializers.Serializer[Any]):
    """Where a record is to go: to a profile by its id, to the one that identities name, or to nobody (null)."""

    profile_id = StrictUUID(**NULLABLE, help_text="Null gives the record to nobody.")
    identities = BoundedListField(child=SentSerializer(), **OPTIONAL, allow_empty=False, max_length=MOST_IDENTITIES)
    reason = text(max_length=2_000)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "profile_id" not in attrs and "identities" not in attrs:
            message = _("Say where to: by profile_id, which may be null for nobody, or by identities.")
            raise serializers.ValidationError({"profile_id": [message]}, code="required")
        if "profile_id" in attrs and "identities" in attrs:
            message = _("Name the profile by its id or by identities, and not by both.")
            raise serializers.ValidationError({"identities": [message]})
        return attrs
