"""Custom attributes: typed values that a retailer keeps of a profile under names of its own (API.md 3)."""

from __future__ import annotations

import datetime
import json
import math
import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from identities.holding import Held, hold, settle
from identities.models import Extension, Identity, brought
from profiles import auditing
from profiles.auditing import By
from profiles.inserting import is_same
from profiles.models import CustomAttribute, Profile, ProfileQuerySet
from profiles.models.attribute import LONGEST_FOUND
from profiles.refusing import Refused

Type = CustomAttribute.Type

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

# What clients call the types besides.
OTHER_WORDS = {
    "text": Type.STRING,
    "int": Type.INTEGER,
    "number": Type.DECIMAL,
    "float": Type.DECIMAL,
    "double": Type.DECIMAL,
    "bool": Type.BOOLEAN,
    "timestamp": Type.DATETIME,
    "object": Type.JSON,
    "array": Type.JSON,
}
TYPES = {**{one.value: one for one in Type}, **OTHER_WORDS}

MOST_CHARACTERS = 10_000
MOST_BYTES = 65_536
LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Most:
    """How many attributes a profile may have, and bytes of their values as JSON: every answer has all of them."""

    attributes: int
    size: int


# Beyond this a customer makes none, and none any longer.
BY_CUSTOMERS = Most(200, 65_536)


@dataclass(frozen=True, slots=True)
class Named:
    """A custom attribute as somebody sent it: `namespace:handle`, and a value of some type, None for any that fits."""

    namespace: str
    handle: str
    value: Any
    type: str | None = None

    def __str__(self) -> str:
        return f"{self.namespace}:{self.handle}"

    @property
    def key(self) -> tuple[str, str]:
        return (self.namespace, self.handle)


def put(
    profile_id: uuid.UUID,
    named: Named,
    *,
    identity_id: int | None = None,
    most: Most | None = None,
    by: By,
    source: Extension | None,
) -> CustomAttribute:
    """Make or change one attribute of a profile; a merged profile's id means its survivor. What is made was brought by
    the identity of this key, if the profile has it. It has no more than `most`, if that is named, by what is made or
    grows.

    Raises Profile.DoesNotExist, and Refused `profile_deleted`, `invalid` or `too_many_attributes`.
    """

    def attempt() -> CustomAttribute:
        profile = _held(profile_id)
        brought_by = None if identity_id is None else profile.identities.filter(pk=identity_id).first()
        write(
            [named],
            profile,
            by=by,
            source=source,
            addressed=profile_id,
            brought_by=brought_by,
            named=profile_id,
            most=most,
        )
        return profile.custom_attributes.get(namespace=named.namespace, handle=named.handle)

    return settle(attempt)


def remove(profile_id: uuid.UUID, namespace: str, handle: str, *, by: By) -> Profile:
    """Delete one attribute of a profile, which is returned; a merged profile's id means its survivor.

    Raises CustomAttribute.DoesNotExist, Profile.DoesNotExist, and Refused `profile_deleted`.
    """

    def attempt() -> Profile:
        profile = _held(profile_id)
        row = profile.custom_attributes.get(namespace=namespace, handle=handle)
        auditing.write([auditing.entry("deleted", row, by=by, profile=profile, old=_state(row, profile_id))])
        row.delete()
        return profile

    return settle(attempt)


def write(
    attributes: Sequence[Named],
    profile: Profile,
    *,
    by: By,
    source: Extension | None,
    addressed: uuid.UUID | None = None,
    brought_by: Identity | None = None,
    only_missing: bool = False,
    named: uuid.UUID | None = None,
    most: Most | None = None,
) -> list[str]:
    """Write attributes of a profile that is held, or `named` by the id of one beneath; a value of None deletes one.

    With `only_missing`, what the profile has stays, and its name is returned where another value was sent for it.
    Raises Refused: `invalid`, and `too_many_attributes` when it has more than `most` by what is made or grows here.
    """
    if not attributes:
        return []
    held = {(row.namespace, row.handle): row for row in profile.custom_attributes.select_for_update(of=("self",))}
    before = _size(held.values()) if most is not None else 0
    not_taken: list[str] = []
    made, audits = [], []
    # In the order of their names, so that the unique constraint is met in one order by every writer.
    for one in sorted({one.key: one for one in attributes}.values(), key=lambda one: one.key):
        row = held.get(one.key)
        if one.value is None:
            if row is not None and not only_missing:
                audits.append(auditing.entry("deleted", row, by=by, profile=profile, old=_state(row, named)))
                row.delete()
            continue
        kind, value, text = _typed(one, row)
        if row is not None and row.type == kind and is_same(row.value, value):
            continue
        if row is not None and only_missing:
            not_taken.append(f"custom_attributes.{row}")
            continue
        if row is not None:
            old = _state(row, named)
            row.type, row.value, row.text, row.source, row.updated_at = kind, value, text, source, timezone.now()
            row.save()
            audits.append(auditing.entry("updated", row, by=by, profile=profile, old=old, new=_state(row, named)))
            continue
        made.append(
            CustomAttribute(
                profile=profile,
                namespace=one.namespace,
                handle=one.handle,
                type=kind,
                value=value,
                text=text,
                addressed=addressed,
                source=source,
                **brought(brought_by),
            )
        )
    if most is not None:
        after = [*(row for row in held.values() if row.pk is not None), *made]
        if (made and len(after) > most.attributes) or before < _size(after) > most.size:
            raise too_many(most)
    # One statement for an address of five parts.
    for row in CustomAttribute.objects.bulk_create(made):
        audits.append(auditing.entry("created", row, by=by, profile=profile, new=_state(row, named)))
    auditing.write(audits)
    return not_taken


def too_many(most: Most) -> Refused:
    message = _("A customer makes no more than %(number)s custom attributes, of %(size)s bytes together.")
    told = {"number": most.attributes, "size": most.size}
    return Refused("too_many_attributes", message % told, field="custom_attributes")


def find(asked: Sequence[tuple[str, str, Sequence[str]]]) -> ProfileQuerySet:
    """Live profiles that have every one of these attributes with one of its values.

    In: namespace, handle, and values as a query writes them. One probe of an index for each value.
    """
    profiles = Profile.objects.live()
    for namespace, handle, values in asked:
        texts = [value[:LONGEST_FOUND] for value in values]
        numbers = [_number_text(value) for value in values if _is_number(value)]
        same = Q(text__in=texts) | Q(text__in=numbers, type=Type.DECIMAL)
        having = CustomAttribute.objects.filter(same, namespace=namespace, handle=handle)
        profiles = profiles.filter(pk__in=having.values("profile"))
    return profiles


def refuse_value(named: Named) -> None:
    """Refuse what no profile could have. Raises Refused `invalid`, naming `namespace`, `handle`, `type` or `value`."""
    if named.value is None:
        raise Refused("invalid", _("An attribute has a value."), field="value")
    _typed(named, None)


def refuse_name(namespace: str, handle: str) -> None:
    """Refuse what cannot name an attribute. Raises Refused `invalid`."""
    for field, name in (("namespace", namespace), ("handle", handle)):
        if not NAME.fullmatch(name):
            message = _("A name of an attribute has 1 to 128 letters, digits, '.', '-' and '_'.")
            raise Refused("invalid", message, field=field)


def _size(rows: Iterable[CustomAttribute]) -> int:
    return sum(len(json.dumps(row.value, ensure_ascii=False).encode()) for row in rows)


def _held(profile_id: uuid.UUID) -> Profile:
    survivor = Profile.objects.surviving(profile_id)
    held: Held = hold([], profile_ids=[survivor.pk])
    return held.live(survivor.pk, named=profile_id)


def _typed(named: Named, row: CustomAttribute | None) -> tuple[str, Any, str]:
    """The type, the value as it is kept, and its text. A client that names no type keeps the one on file if it can."""
    refuse_name(named.namespace, named.handle)
    if named.type is not None:
        if named.type not in TYPES:
            words = ", ".join(one.value for one in Type)
            message = _("%(type)s is no type of an attribute; there are %(known)s.")
            raise Refused("invalid", message % {"type": named.type, "known": words}, field="type")
        kind = TYPES[named.type]
    elif row is not None and (kept := _kept(Type(row.type), named.value)):
        return kept
    else:
        kind = inferred(named.value)
    try:
        return (kind.value, *PARSERS[kind](named.value))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        message = _("The value of %(name)s is not of the type %(type)s, or too large.")
        told = {"name": str(named), "type": kind.value}
        raise Refused("invalid", message % told, field="value") from error


def _kept(kind: Type, value: Any) -> tuple[str, Any, str] | None:
    try:
        return (kind.value, *PARSERS[kind](value))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


def inferred(value: Any) -> Type:
    """The type of a value that comes without one."""
    by_class: Mapping[type, Type] = {
        bool: Type.BOOLEAN,
        int: Type.INTEGER,
        float: Type.DECIMAL,
        str: Type.STRING,
    }
    return by_class.get(type(value), Type.JSON)


def _string(value: Any) -> tuple[Any, str]:
    if not isinstance(value, str) or len(value) > MOST_CHARACTERS:
        raise ValueError(value)
    return value, value[:LONGEST_FOUND]


def _integer(value: Any) -> tuple[Any, str]:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST:
        raise ValueError(value)
    return value, str(value)


def _decimal(value: Any) -> tuple[Any, str]:
    if isinstance(value, str) and _is_number(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > LARGEST or math.isnan(value):
        raise ValueError(value)
    # Written out, 5e-324 has more digits than are kept.
    return value, _number_text(repr(value))[:LONGEST_FOUND]


def _boolean(value: Any) -> tuple[Any, str]:
    words = {True: True, False: False, "true": True, "false": False, "1": True, "0": False}
    if not isinstance(value, bool | str | int) or value not in words:
        raise ValueError(value)
    known = words[value]
    return known, "true" if known else "false"


def _date(value: Any) -> tuple[Any, str]:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise ValueError(value)
    text = datetime.date.fromisoformat(value).isoformat()
    return text, text


def _datetime(value: Any) -> tuple[Any, str]:
    instant = datetime.datetime.fromisoformat(value)
    if instant.tzinfo is not None:
        instant = instant.astimezone(datetime.UTC).replace(tzinfo=None)
    text = instant.isoformat(" ", "seconds")
    return text, text


def _json(value: Any) -> tuple[Any, str]:
    if len(json.dumps(value)) > MOST_BYTES:
        raise ValueError
    return value, ""


PARSERS: dict[Type, Callable[[Any], tuple[Any, str]]] = {
    Type.STRING: _string,
    Type.INTEGER: _integer,
    Type.DECIMAL: _decimal,
    Type.BOOLEAN: _boolean,
    Type.DATE: _date,
    Type.DATETIME: _datetime,
    Type.JSON: _json,
}


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?[0-9]{1,19}(\.[0-9]{1,19})?", text) is not None


def _number_text(text: str) -> str:
    """One way to write a number: 12.50 and 12.5 are the same."""
    return format(Decimal(text).normalize(), "f")


def _state(row: CustomAttribute, named: uuid.UUID | None) -> dict[str, Any]:
    """What the audit says of it. `named_id` is who says so, or whose it is, while they are part of the profile, by
    which an erasure finds it when they no longer are."""
    said = {"name": str(row), "type": row.type, "value": row.value}
    whose = next((pk for pk in (named, row.addressed) if pk not in (None, row.profile_id)), None)
    return said if whose is None else {**said, "named_id": str(whose)}
