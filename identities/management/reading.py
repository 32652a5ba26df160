"""Rows of a file as POST and PUT of a profile would read them, by the same serializer fields."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.exceptions import APIException

from identities import handles
from identities.handles import Sent
from identities.importing import Row
from identities.models import Extension, Handle, fold_handle
from identities.serializers import MOST_PLAIN, plain_pair
from omneo_identity.api import parsers
from omneo_identity.api.errors import first_fault
from omneo_identity.api.fields import IdentifierField, StrictText, StrictUUID
from profiles.models import Profile
from profiles.refusing import Refused
from profiles.serializers import (
    CONTACTS,
    NewProfileSerializer,
    ProfileChangeSerializer,
    ProfileSerializer,
    columns_among,
)

FIELDS: Mapping[str, serializers.Field] = NewProfileSerializer().fields
# Trimmed text, with its longest. What is printable and no longer than that passes as it is.
TEXTS = {name: one.max_length for name, one in FIELDS.items() if type(one) is StrictText and one.trim_whitespace}
LONGEST_CONTACT = 255  # more than that no contact point has
# Fields of which people share the values, so that each is read once.
REPEATED = ("birth_date", "birth_year", "birth_month", "birth_day", "profile_type")

PROFILE_ID, HANDLE, IDENTIFIER = "profile_id", "handle", "identifier"
MARKS = ("is_active", "is_primary")
PAIR_WITH_MARKS = {HANDLE, IDENTIFIER, *MARKS}

# What a file of errors adds to a row, and what is passed over where such a file is brought in again.
ERROR_COLUMNS = ("error_line", "error_code", "error_message")
# A row that could not be read at all stands there as it came.
UNREAD = "error_text"

# What a profile shows of itself and nobody sets, so that a profile can be sent back as it was read.
SHOWN_ONLY = frozenset(ProfileSerializer().fields) - frozenset(FIELDS)

_profile_id = StrictUUID()
_identifier = IdentifierField()


def refused(error: serializers.ValidationError) -> Refused:
    return Refused("invalid", first_fault(error))


def check_names(
    names: Iterable[str], *, new_handles: Collection[str], source: Extension | None
) -> tuple[list[str], list[str]]:
    """Say which of these names, that are no fields, are handles under which pairs can be written, and what is wrong
    with the others, in sentences."""
    good, faults = [], []
    for name in names:
        fault = _fault(name, new_handles, source)
        if fault:
            faults.append(fault)
        else:
            good.append(name)
    return good, faults


def _fault(name: str, new_handles: Collection[str], source: Extension | None) -> str:
    told = {"name": name}
    folds = {fold_handle(one): one for one in FIELDS}
    near = difflib.get_close_matches(fold_handle(name).replace(" ", ""), folds, n=1)
    if near:
        told["field"] = folds[near[0]]
    try:
        handle = handles.named(name)
    except Refused as refusal:
        if refusal.code == "invalid_handle" and near:
            return _("%(name)s: there is no such field; did you mean %(field)s?") % told
        return f"{name}: {refusal.message}"
    if handle._state.adding and name not in new_handles:
        if near:
            return _("%(name)s: there is no such field or handle; did you mean %(field)s?") % told
        return _("%(name)s: there is no such field or handle. For a new handle, say --new-handle %(name)s.") % told
    if handle.status == Handle.Status.RETIRED:
        return _("%(name)s: this handle is retired, and takes nothing new.") % told
    if handle.reserved_for_id is not None and (source is None or source.pk != handle.reserved_for_id):
        told["extension"] = handle.reserved_for_id
        return _("%(name)s: this handle is reserved; bring it in with --source %(extension)s.") % told
    return ""


class Draft:
    """What has been read of one row: what passes as it is, and `rest`, which the serializer's fields must look at."""

    __slots__ = ("fields", "contact", "sent", "rest")

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.contact: dict[str, str | None] = {}
        self.sent: list[Sent] = []
        self.rest: dict[str, Any] = {}

    def take(self, name: str, value: Any) -> None:
        """Take a field of a profile."""
        if type(value) is str and value.isprintable():
            longest = TEXTS.get(name)
            if longest is not None and (text := value.strip()) and len(text) <= longest:
                self.fields[name] = text
                return
            if name in CONTACTS and len(value) <= LONGEST_CONTACT:
                self.contact[name] = value
                return
        if name == "identities" and type(value) is list:
            plain = [_plain_sent(one) for one in value]
            if None not in plain:
                self.sent += [one for one in plain if one is not None]
                return
        self.rest[name] = value

    def take_pair(self, handle: str, identifier: Any) -> None:
        """Take a pair whose handle is a column. A number is taken as its text."""
        if type(identifier) is not str or len(identifier) > MOST_PLAIN:
            identifier = _validated({handle: identifier}, {handle: _identifier})[handle]
        self.sent.append(Sent(handle, identifier))

    def row(self, line: int, lines: int, end: int, raw: Any) -> Row:
        """The row. Raises Refused."""
        profile_id = self.rest.pop(PROFILE_ID, None)
        if profile_id is None:
            validated = _validated(self.rest, FIELDS)
            self.fields |= columns_among(validated)
            self.contact |= {name: validated[name] for name in CONTACTS if name in validated}
            # In the order in which a request gives them, whatever that of the columns: the first is refused.
            contact = {name: self.contact[name] for name in CONTACTS if name in self.contact}
            self.sent += validated.get("identities") or []
            attributes = validated.get("custom_attributes") or []
            return Row(line, lines, end, raw, self.sent, self.fields, contact, attributes)
        key = _validated({PROFILE_ID: profile_id}, {PROFILE_ID: _profile_id})[PROFILE_ID]
        self.sent += _validated({"identities": self.rest.pop("identities", None)}, FIELDS)["identities"] or []
        body = ProfileChangeSerializer(data={**self.fields, **self.contact, **self.rest})
        try:
            body.is_valid(raise_exception=True)
        except serializers.ValidationError as error:
            raise refused(error) from error
        contact = {name: body.validated_data[name] for name in CONTACTS if name in body.validated_data}
        change = functools.partial(_sent, body)
        return Row(line, lines, end, raw, self.sent, contact=contact, profile_id=key, change=change)


def _plain_sent(value: Any) -> Sent | None:
    """A pair with its marks, when there is nothing about it that the fields must look at."""
    pair = plain_pair(value)
    if pair is None or not value.keys() <= PAIR_WITH_MARKS:
        return None
    marks = {name: value[name] for name in MARKS if name in value}
    return Sent(**pair, **marks) if all(type(mark) is bool for mark in marks.values()) else None


def _sent(body: ProfileChangeSerializer, profile: Profile) -> Mapping[str, Any]:
    return body.sent(profile)


def _validated(values: Mapping[str, Any], fields: Mapping[str, serializers.Field]) -> dict[str, Any]:
    """What the fields make of these values, each for itself. Raises Refused, naming the field."""
    validated = {}
    for name, value in values.items():
        try:
            is_text = name in REPEATED and type(value) is str
            validated[name] = _read(name, value) if is_text else fields[name].run_validation(value)
        except serializers.ValidationError as error:
            raise refused(serializers.ValidationError({name: error.detail})) from error
        except serializers.SkipField:
            continue
    return validated


@functools.lru_cache(maxsize=10_000)
def _read(name: str, text: str) -> Any:
    return FIELDS[name].run_validation(text)


def parsed(text: str, name: str) -> Any:
    """The JSON in a cell. Raises Refused."""
    try:
        value = parsers.loads(text.encode(errors="surrogatepass"))
        parsers.refuse_depth({name: value})
        parsers.refuse_nul(value, (name,))
    except serializers.ValidationError as error:
        raise refused(error) from error
    except APIException as error:
        raise Refused("invalid", _("%(name)s: this is not JSON.") % {"name": name}) from error
    return value


def near(name: str, known: Sequence[str]) -> str:
    """A known name that somebody who wrote this one may have meant, in a sentence; empty when there is none."""
    found = next((one for one in known if fold_handle(one) == fold_handle(name)), None)
    found = found or next(iter(difflib.get_close_matches(name, known, n=1)), None)
    return _(" Did you mean %(known)s?") % {"known": found} if found else ""
