"""Find profiles by whatever somebody types, and say of each what matched. Equality and beginnings on indexes only."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from identities import normalising
from identities.handles import mask
from identities.normalising import storable
from profiles.models import Profile, fold_name

# A search box is for finding one person; a longer list is no answer, and is cut.
MOST_SHOWN = 50

# Rows of one index range that are looked at for a few that may be shown.
MOST_READ = 1_000


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a profile was found: by which handle, or by which field of its own (`id`, `name`)."""

    handle: str = ""
    field: str = ""
    text: str = ""
    is_whole: bool = True


@dataclass(slots=True)
class Hit:
    profile: Profile
    reasons: list[Reason] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Found:
    """Hits in the order of their worth, MOST_SHOWN at most; `is_cut` when there are more."""

    hits: list[Hit]
    is_cut: bool = False


# ruff: noqa: S608 - put together from constants only

EQUAL = """
    SELECT identity.profile_id, identity.handle, '' AS field,
        CASE WHEN identity.handle = 'email' AND identity.original <> '' THEN identity.original
             ELSE identity.identifier END AS text, handle.sensitive, true AS is_whole
    FROM unnest(%s::text[], %s::text[]) AS asked (normaliser, identifier)
    JOIN identities_identity AS identity ON identity.identifier = asked.identifier
    JOIN identities_handle AS handle ON handle.name = identity.handle AND handle.normaliser = asked.normaliser
    LIMIT %s
"""

# In the order of the index, so that the first ones are read and no others; a sensitive identifier is found whole or
# not at all, since it could else be guessed letter by letter.
BEGUN = f"""
    SELECT begun.profile_id, begun.handle, '' AS field, begun.identifier AS text, false, false
    FROM (
        SELECT profile_id, handle, identifier FROM identities_identity WHERE identifier LIKE %s
        ORDER BY identifier USING ~<~ LIMIT {MOST_READ}
    ) AS begun
    JOIN identities_handle AS handle ON handle.name = begun.handle AND NOT handle.sensitive
    LIMIT %s
"""


def _named(begun: str, other: str, *, equal: bool = False) -> str:
    """Profiles by the beginning of one name, and by the whole of the other where that is given first."""
    condition = f"{other} = %s AND " if equal else ""
    return f"""
        SELECT id AS profile_id, '' AS handle, 'name' AS field, '' AS text, false, false
        FROM profiles_profile WHERE {condition}{begun} LIKE %s
        ORDER BY {begun} USING ~<~, {other} USING ~<~ LIMIT %s
    """


def find(text: str, *, most: int = MOST_SHOWN) -> Found:
    """Find the profiles that somebody looking for `text` may mean.

    In: a profile id, any identifier of any system in any spelling that its handle folds, an e-mail address, a phone
    number, or a name ("mitchell green", "green mitchell", or the beginning). Beginnings of identifiers are looked for
    when nothing is called so as a whole. Out: profiles in every state, since staff look for deleted ones too. At most
    three statements, each bounded at any size of the tables.
    """
    text = text.strip()[:255]
    if not text or text != storable(text):
        return Found([])
    rows = _equal(text, most) + _by_name(text, most)
    if not rows:
        rows = _begun(text, most)
    return _hits(rows, most)


def _equal(text: str, most: int) -> list[tuple[Any, ...]]:
    try:
        own: list[tuple[Any, ...]] = [(uuid.UUID(text), "", "id", text, False, True)]
    except ValueError:
        own = []
    forms = {name: form for name, form in normalising.forms(text).items() if form is not None}
    return own + _rows(EQUAL, [list(forms), list(forms.values()), most + 1])


def _begun(text: str, most: int) -> list[tuple[Any, ...]]:
    begun = {form for name, form in normalising.forms(text).items() if form and name in ("exact", "fold")}
    return _union([(BEGUN, [_pattern(form), most + 1]) for form in sorted(begun)])


def _by_name(text: str, most: int) -> list[tuple[Any, ...]]:
    folded = fold_name(text)
    # No name has a digit or an @, and most identifiers do.
    if not folded or any(character.isdigit() or character == "@" for character in folded):
        return []
    words = folded.split(" ")
    both = (("last_name_fold", "first_name_fold"), ("first_name_fold", "last_name_fold"))
    parts: list[tuple[str, list[Any]]] = [(_named(*columns), [_pattern(folded), most + 1]) for columns in both]
    for cut in range(1, min(len(words), 5)):
        left, right = " ".join(words[:cut]), " ".join(words[cut:])
        parts += [(_named(*columns, equal=True), [left, _pattern(right), most + 1]) for columns in both]
    return _union(parts)


def _pattern(text: str) -> str:
    """What LIKE takes for "begins with this"."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


def _union(parts: Sequence[tuple[str, list[Any]]]) -> list[tuple[Any, ...]]:
    """One statement for all; each part keeps its own bound, and so its own index."""
    if not parts:
        return []
    sql = " UNION ALL ".join(f"({part})" for part, _parameters in parts)
    return _rows(sql, [one for _part, parameters in parts for one in parameters])


def _rows(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())


def _hits(rows: Iterable[tuple[Any, ...]], most: int) -> Found:
    reasons: dict[uuid.UUID, dict[Reason, None]] = {}
    for profile_id, handle, name, text, is_sensitive, is_whole in rows:
        reason = Reason(handle, name, mask(text) if is_sensitive else text, is_whole)
        reasons.setdefault(profile_id, {})[reason] = None
    profiles = Profile.objects.in_bulk(list(reasons))
    hits = [Hit(profiles[pk], list(why)) for pk, why in reasons.items() if pk in profiles]
    # Whoever can be served today comes first, then whom the whole text names; a found name's order is kept.
    hits.sort(key=lambda hit: (not hit.profile.is_live, not any(reason.is_whole for reason in hit.reasons)))
    return Found(hits[:most], is_cut=len(hits) > most)
