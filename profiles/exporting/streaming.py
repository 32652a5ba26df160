"""The document of an export, from one moment, in pieces."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from identities import lookup
from identities.models import Pair
from profiles import auditing, reading
from profiles.auditing import By
from profiles.exporting.person import Person, pairs_in, person
from profiles.exporting.sections import Section, sections
from profiles.inserting import json_of
from profiles.merging.lineage import beneath
from profiles.models import Profile

# So many rows are in memory at a time.
BATCH = 500


@dataclass(frozen=True, slots=True)
class Export:
    """The profile that an id means, and all that is held about it: `pieces` of one JSON object, of any size."""

    profile: Profile
    pieces: Iterator[bytes]


def export(profile_id: uuid.UUID, *, by: By) -> Export:
    """All that is held about the person whose profile this id means, a deleted one's, too, in clear.

    That is every row of the profile and of those that were merged into it, and what is told of them in the routing
    log, the audit, events and deliveries. Of others there is nothing but the ids of their profiles (`person`):
    `withheld` names what is held of a row, and not told since it is theirs as well. The answers that wait to be
    replayed for a day are copies of what is in here, and are not.

    Identifiers of sensitive handles are in it like all others, so the audit says who has asked before the first piece
    is made. All pieces show one moment, so that no half of a merge is in them; memory does not grow with the rows.
    What is purged before the first piece raises Profile.DoesNotExist there.

    Raises Profile.DoesNotExist.
    """
    profile = _audited(profile_id, by=by)
    return Export(profile, _pieces(profile_id, profile.pk, by=by))


def _audited(profile_id: uuid.UUID, *, by: By) -> Profile:
    with transaction.atomic():
        profile = Profile.objects.surviving(profile_id)
        if not Profile.objects.keep([profile.pk]):
            # Erased meanwhile.
            raise Profile.DoesNotExist
        auditing.write([auditing.entry("exported", profile, by=by, profile=profile)])
    return profile


def _pieces(profile_id: uuid.UUID, audited_id: uuid.UUID, *, by: By) -> Iterator[bytes]:
    while True:
        with reading.one_moment():
            profile = Profile.objects.surviving(profile_id)
            if profile.pk == audited_id:
                yield from _document(profile_id, profile.pk)
                return
        # Merged, or undone, between the entry of the audit and this moment.
        audited_id = _audited(profile_id, by=by).pk


def _document(asked_id: uuid.UUID, profile_id: uuid.UUID) -> Iterator[bytes]:
    of = person(sorted(profile.pk for profile in beneath([profile_id])))
    yield b'{"exported_at": "%s"' % timezone.now().strftime("%Y-%m-%d %H:%M:%S").encode()
    if asked_id != profile_id:
        yield b', "merged_from": "%s"' % str(asked_id).encode()
    yield b', "profile": %s' % (lookup.profile(profile_id) or "null").encode()
    yield b', "balances": %s' % lookup.balances(profile_id).encode()
    for section in sections():
        yield b', "%s": [' % section.name.encode()
        before = b"\n"
        for batch in _batches(section, of):
            yield before + ",\n".join(_told(section, batch, of)).encode()
            before = b",\n"
        yield b"]"
    yield b"}"


def _batches(section: Section, of: Person) -> Iterator[Sequence[tuple[Any, ...]]]:
    """The rows by a cursor of the server, so that no more than these are here."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(section.sql, of.parameters)
        while batch := cursor.fetchmany(BATCH):
            yield batch


def _told(section: Section, batch: Sequence[tuple[Any, ...]], of: Person) -> Iterator[str]:
    """The documents of these rows, with nothing in them of others but their ids."""
    first, number = 4, len(section.pairs)
    named = [[reading.from_json(text) if text else None for text in row[first : first + number]] for row in batch]
    holders = of.holders({pair for members in named for value in members for pair in pairs_in(value)})
    for row, members in zip(batch, named, strict=True):
        document, at, subject, are_of_two = row[:first]
        more, withheld = [], []
        for name, value in zip(section.pairs, members, strict=True):
            more.append((name, _masked(value, holders, of, are_of_two)))
        told = _columns(section, row[first + number :])
        is_shared = of.is_shared_then(at, subject) or _names_others(section, told, of)
        for name, is_of_two, text in told:
            shown = text if _is_empty(text) else _shown(name, text, is_shared or is_of_two, section, of)
            if shown is None and text is not None:
                withheld.append(name)
            more.append((name, shown or "null"))
        if withheld:
            more.append(("withheld", json_of(withheld)))
        yield document[:-1] + "".join(f', "{name}": {text}' for name, text in more) + "}"


def _masked(value: Any, holders: dict[Pair, uuid.UUID], of: Person, are_of_two: bool) -> str:
    """Pairs as they were sent, of those that another profile holds only the handle and whose they are.

    Of what another had before only the handle, and so of any that the person does not hold, where they `are_of_two`.
    """
    if isinstance(value, list):
        return "[" + ", ".join(_masked(one, holders, of, are_of_two) for one in value) + "]"
    if value is None:
        return "null"
    pair = Pair(value["handle"], value["identifier"])
    holder = holders.get(pair)
    if holder is not None:
        return json_of({"handle": value["handle"], "identifier": None, "profile_id": str(holder)})
    if of.tells_of_others(value) or (are_of_two and not of.has(pair)):
        return json_of({"handle": value["handle"], "identifier": None})
    return json_of(value)


def _columns(section: Section, values: Sequence[Any]) -> list[tuple[str, bool, str | None]]:
    """Each column that is told apart, whether it is of two people as such, and its JSON."""
    return list(zip(section.told, values[::2], values[1::2], strict=True))


def _names_others(section: Section, told: Sequence[tuple[str, bool, str | None]], of: Person) -> bool:
    """Whether one of the columns tells of somebody else, and so all: what a value was stands apart from whose it is.

    In: `_columns`. Those of which only that is taken out which is others' make no difference.
    """
    return any(
        of.tells_of_others(reading.from_json(text))
        for name, is_of_two, text in told
        if text is not None and not (is_of_two or _is_empty(text) or name in section.cleaned)
    )


def _is_empty(text: str | None) -> bool:
    return text is None or text in ('""', "{}", "[]", "null")


def _shown(name: str, text: str | None, is_shared: bool, section: Section, of: Person) -> str | None:
    """The JSON of a column as it is told; None where it is withheld. As text, since numbers are to stay exact."""
    if is_shared or text is None:
        return None
    return json_of(of.without_others(reading.from_json(text))) if name in section.cleaned else text
