"""What a merge is about in words: names of profiles, fields and their values, and what moves."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format, number_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator, capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from identities.handles import shown
from identities.models import Identity
from profiles.admin import attributes
from profiles.admin.base import change_url
from profiles.admin.record_words import plain
from profiles.merging.lineage import ATTRIBUTES, CUSTOM, PRIMARY, Value, is_empty
from profiles.models import RECORDS, CustomAttribute, Profile

# More of a value is read on the profile's own page.
MOST_CHARACTERS = 400
# More names in one sentence are not read, but their number is.
MOST_NAMED = 6


def letter(position: int) -> str:
    """A, B ... Z, AA, AB: what a column is called on the page, and in its address."""
    letters = ""
    position += 1
    while position:
        position, rest = divmod(position - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def short_id(profile: Profile) -> str:
    """The end of its id, which tells profiles apart: the beginning is the moment at which they were made."""
    return f"…{str(profile.pk)[-8:]}"


def named(profile: Profile, called: str = "") -> SafeString:
    """A profile by letter, name and short id. Isolated: a name from right to left must not turn the sentence."""
    name = Truncator(profile.full_name).chars(60)
    return format_html(
        '<bdi><strong>{}{}</strong></bdi> (<span class="identifier">{}</span>)',
        f"{called} " if called else "",
        name,
        short_id(profile),
    )


def linked(profile: Profile) -> SafeString:
    return format_html('<a href="{}">{}</a>', change_url(profile), named(profile))


def listed(parts: Sequence[str]) -> SafeString:
    """ "B, C and D": some names of a sentence, and how many more there are."""
    if len(parts) > MOST_NAMED:
        more = len(parts) - MOST_NAMED + 1
        told = ngettext("%(more)s more", "%(more)s more", more) % {"more": more}
        parts = [*parts[: MOST_NAMED - 1], told]
    if len(parts) == 1:
        return format_html("{}", parts[0])
    first = format_html_join(", ", "{}", ((part,) for part in parts[:-1]))
    return format_html(_("{first} and {last}"), first=first, last=parts[-1])


def becomes_part(
    survivor: Profile, duplicates: Sequence[Profile], letters: Mapping[uuid.UUID, str], *, may_merge: bool = True
) -> SafeString:
    """The sentence that nobody can misread: who becomes part of whom, and who stays."""
    told = (
        _("{duplicates} will become part of {survivor}; {letter} stays.")
        if may_merge
        else _("If they are merged, {duplicates} become part of {survivor}; {letter} stays.")
    )
    return format_html(
        told,
        duplicates=listed([named(one, letters[one.pk]) for one in duplicates]),
        survivor=named(survivor, letters[survivor.pk]),
        letter=format_html("<strong>{}</strong>", letters[survivor.pk]),
    )


# Fields


def label(name: str) -> str:
    """What people call a field of a merge."""
    if name == PRIMARY:
        return _("Primary identity")
    if name == "birth_date":
        return _("Birth date")
    if name.startswith(ATTRIBUTES):
        return _("Attributes: %(part)s") % {"part": name.removeprefix(ATTRIBUTES)}
    if name.startswith(CUSTOM):
        return name.removeprefix(CUSTOM)
    try:
        found = Profile._meta.get_field(name)
    except FieldDoesNotExist:
        return name
    return capfirst(str(getattr(found, "verbose_name", name)))


def value(name: str, kept: Value, identities: Mapping[int, Identity]) -> str:
    """A field's value as people read it, cut when it is very long; of nothing, nothing."""
    return Truncator(_whole(name, kept, identities)).chars(MOST_CHARACTERS)


def _whole(name: str, kept: Value, identities: Mapping[int, Identity]) -> str:
    if is_empty(kept):
        return ""
    if name == PRIMARY:
        row = identities.get(kept[0])
        return identity(row) if row is not None else _("an identity that is gone")
    if name == "birth_date":
        return birth_date(*kept)
    if name == "joined_at":
        at = parse_datetime(kept[0])
        return date_format(timezone.localtime(at), "DATETIME_FORMAT") if at is not None else str(kept[0])
    if name == "tags":
        return ", ".join(map(str, kept[0]))
    if name.startswith(CUSTOM):
        kind_, stored, written, *_how = kept
        return attributes.value(CustomAttribute(type=kind_, value=stored, text=written))
    if name.startswith(ATTRIBUTES) and isinstance(kept[0], dict):
        return ", ".join(f"{part}: {plain(one)}" for part, one in kept[0].items())
    return plain(kept[0])


def birth_date(year: Any, month: Any, day: Any) -> str:
    """A birth date of which parts may be unknown, as people write it."""
    try:
        date = datetime.date(int(year or 2000), int(month or 1), int(day or 1))
    except (TypeError, ValueError, OverflowError):
        return "-".join(str(part) for part in (year, month, day) if part)
    if year and month and day:
        return date_format(date, "DATE_FORMAT")
    if month and day:
        return date_format(date, "MONTH_DAY_FORMAT")
    if year and month:
        return date_format(date, "YEAR_MONTH_FORMAT")
    return "-".join(str(part) for part in (year, month, day) if part)


def identity(row: Identity) -> str:
    return f"{row.handle.label or row.handle_id} {shown(row)}"


# What moves


def kind(word: str, number: int) -> str:
    """ "3 transactions": so many rows of a kind."""
    words = {"number": number_format(number, force_grouping=True), "kind": _kind(word, number)}
    return _("%(number)s %(kind)s") % words


def _kind(word: str, number: int) -> str:
    model: Any = Identity if word == "identity" else RECORDS.get(word)
    if model is None:
        # What has no word of its own in the logs is called as its table is.
        return word.replace("_", " ")
    return str(model._meta.verbose_name if number == 1 else model._meta.verbose_name_plural)


def moves(counted: Mapping[str, Mapping[uuid.UUID, int]], ids: Iterable[uuid.UUID]) -> str:
    """What comes to the survivor from these duplicates, in a few words."""
    keys = set(ids)
    numbers = {word: sum(number for pk, number in by_id.items() if pk in keys) for word, by_id in counted.items()}
    told = [kind(word, number) for word, number in numbers.items() if number]
    return ", ".join(told) or _("nothing")


def changed(names: Sequence[str]) -> str:
    """What has changed since a merge was looked at: the parts of a plan, as people call them."""
    told = list(dict.fromkeys(map(_part, names)))
    return str(listed(told)) if told else _("something")


def _part(name: str) -> str:
    part, _dot, rest = name.partition(".")
    if part == "fields" and rest:
        return label(rest)
    if part == "moves" and rest:
        return _("the number of %(kinds)s") % {"kinds": _kind(rest, 2)}
    words = {"identities": _("the identities"), "profiles": _("the profiles"), "choices": _("what was chosen")}
    return words.get(part, name)
