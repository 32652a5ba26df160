"""The custom attributes of a profile as its page shows them: by namespace, each value as its type is read."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from profiles.admin.base import MOST_AT_ONCE
from profiles.admin.record_words import STAFF, plain
from profiles.models import CustomAttribute, Profile
from profiles.models.attribute import LONGEST_FOUND

Type = CustomAttribute.Type


@dataclass(frozen=True, slots=True)
class Shown:
    attribute: CustomAttribute
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Attributes:
    """Attributes by namespace, both by name; `has_more` when there are more than a page can show."""

    namespaces: dict[str, list[Shown]]
    has_more: bool


def by_namespace(profile: Profile) -> Attributes:
    """One query, in the order of the index that keeps them unique."""
    rows = profile.custom_attributes.select_related("source").order_by("namespace", "handle")
    found = list(rows[: MOST_AT_ONCE + 1])
    namespaces: dict[str, list[Shown]] = {}
    for attribute in found[:MOST_AT_ONCE]:
        source = attribute.source.name if attribute.source is not None else str(STAFF)
        namespaces.setdefault(attribute.namespace, []).append(Shown(attribute, value(attribute), source))
    return Attributes(namespaces, len(found) > MOST_AT_ONCE)


def value(attribute: CustomAttribute) -> str:
    """The value as people write what is of its type; one that does not fit its type, as it is."""
    kind, stored = attribute.type, attribute.value
    if kind == Type.BOOLEAN and isinstance(stored, bool):
        return _("yes") if stored else _("no")
    if kind in (Type.DATE, Type.DATETIME) and isinstance(stored, str):
        return _moment(stored) or stored
    if kind in (Type.INTEGER, Type.DECIMAL) and 0 < len(attribute.text) < LONGEST_FOUND:
        # As it was sent; read from JSON, a number with places is no longer exact.
        return attribute.text
    return plain(stored)


def _moment(text: str) -> str:
    try:
        at, day = parse_datetime(text), parse_date(text)
    except ValueError:
        return ""
    if day is not None:
        return date_format(day, "DATE_FORMAT")
    if at is None:
        return ""
    # Times on the wire are UTC, whether they say so or not.
    moment = at if timezone.is_aware(at) else at.replace(tzinfo=datetime.UTC)
    return date_format(timezone.localtime(moment), "DATETIME_FORMAT")
