"""Look through all live profiles for pairs that look like one person, and put these into the queue of duplicates.

Bounded memory: profiles are read page by page, what they are looked up by goes into temporary tables of the database,
which finds who meets whom, and what was found waits in a file until it is written. The locks are those of writing
some hundred pairs, so that a scan can run at any time. Scanning again changes nothing but what has changed.
"""

from __future__ import annotations

import itertools
import json
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone

from identities import normalising
from identities.models import EMAIL, MOBILE_PHONE, Identity
from profiles import comparing, duplicates
from profiles.comparing import Details
from profiles.duplicates import Found
from profiles.models import CustomAttribute, DuplicatePair, Profile

# Where the address of a profile is kept: custom attributes of one namespace.
ADDRESS = "address"
ADDRESS_PARTS = ("street", "suburb", "postcode")

# The words that a scan writes, and takes back where they no longer hold.
WORDS = ("details", "email", "phone")

# So many profiles are read, compared or written at once.
PORTION = 1_000

# A key that more profiles have tells nobody apart: 1 January 1900 at the postcode of the shop. It is left out and
# counted, since n profiles would make n * n / 2 pairs; two of them meet by whatever else they share.
MOST_OF_ONE_KEY = 50

# Beyond this the pairs that were found wait on the disk.
MOST_BYTES_IN_MEMORY = 4 * 1024 * 1024

# Told how far a scan is: what it does, how much of it is done, and how much there is of it.
Watch = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Skipped:
    """Keys of one kind that too many profiles share: how many there are, and how many profiles have the commonest."""

    key: str
    groups: int
    profiles: int
    most: int


@dataclass(slots=True)
class Scanned:
    """What a scan did. `found` pairs are in the queue now, `new` of them were not before; `forgotten` rows lost
    evidence that no longer holds."""

    profiles: int = 0
    compared: int = 0
    found: int = 0
    new: int = 0
    forgotten: int = 0
    skipped: list[Skipped] = field(default_factory=list)


def scan(*, watch: Watch = lambda *_progress: None) -> Scanned:
    """Compare all live profiles that share something, and note the pairs that look like one person.

    Evidence of an earlier scan that no longer holds is taken off open rows. Commits as it goes: one that is broken off
    has noted some of the pairs, and another finds the rest.
    """
    started, scanned = timezone.now(), Scanned()
    with tempfile.TemporaryFile("w+", encoding="utf-8", buffering=MOST_BYTES_IN_MEMORY) as kept:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(TABLES)
            _read(scanned, watch)
            _meet(scanned)
            _compare(scanned, kept, watch)
            cursor.execute("DROP TABLE scan_details, scan_key, scan_group, scan_pair")
        kept.seek(0)
        for portion in _portions(kept):
            scanned.new += len(duplicates.note([_found(line) for line in portion]))
            watch("write", len(portion), scanned.found)
    scanned.forgotten = _forget(started)
    return scanned


TABLES = """
    DROP TABLE IF EXISTS scan_details, scan_key, scan_group, scan_pair;
    CREATE TEMPORARY TABLE scan_details (profile uuid, details jsonb) ON COMMIT DROP;
    CREATE TEMPORARY TABLE scan_key (word text, key bigint, profile uuid) ON COMMIT DROP;
"""


def _read(scanned: Scanned, watch: Watch) -> None:
    """Write down of every live profile what is compared, and by what it is looked up."""
    live = Profile.objects.live()
    total = live.count()
    for ids in _pages(live.order_by("pk").values_list("pk", flat=True)):
        details = details_of(ids)
        with connection.cursor() as cursor:
            with cursor.copy("COPY scan_details FROM STDIN") as copy:
                for pk, one in details.items():
                    copy.write_row((pk, json.dumps(_fields(one))))
            with cursor.copy("COPY scan_key FROM STDIN") as copy:
                for pk, one in details.items():
                    for word, key in comparing.keys(one):
                        copy.write_row((word, key, pk))
        scanned.profiles += len(ids)
        watch("read", len(ids), total)


def _meet(scanned: Scanned) -> None:
    """Find which profiles share a key, each two once, and count what too many share."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE INDEX ON scan_details (profile); ANALYZE scan_details; ANALYZE scan_key")
        cursor.execute(
            """
            CREATE TEMPORARY TABLE scan_group ON COMMIT DROP AS
            SELECT word, key, count(*) AS profiles FROM scan_key GROUP BY word, key HAVING count(*) > 1;
            """
        )
        cursor.execute("ANALYZE scan_group")
        cursor.execute(
            """
            CREATE TEMPORARY TABLE scan_pair ON COMMIT DROP AS
            SELECT DISTINCT one.profile AS one, other.profile AS other
            FROM scan_group
            JOIN scan_key AS one USING (word, key)
            JOIN scan_key AS other USING (word, key)
            WHERE scan_group.profiles <= %s AND one.profile < other.profile
            """,
            [MOST_OF_ONE_KEY],
        )
        scanned.compared = cursor.rowcount
        cursor.execute("ANALYZE scan_pair")
        cursor.execute(
            """
            SELECT word, count(*), sum(profiles)::bigint, max(profiles)
            FROM scan_group WHERE profiles > %s GROUP BY word ORDER BY word
            """,
            [MOST_OF_ONE_KEY],
        )
        scanned.skipped = [Skipped(*row) for row in cursor.fetchall()]


def _compare(scanned: Scanned, kept: IO[str], watch: Watch) -> None:
    """Compare the two of each pair, and keep those that look like one person."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(
            """
            SELECT pair.one, pair.other, one.details, other.details
            FROM scan_pair AS pair
            JOIN scan_details AS one ON one.profile = pair.one
            JOIN scan_details AS other ON other.profile = pair.other
            """
        )
        while rows := cursor.fetchmany(PORTION):
            for one, other, left, right in rows:
                evidence = comparing.compare(_details(left), _details(right))
                if evidence:
                    kept.write(json.dumps([str(one), str(other), evidence]) + "\n")
                    scanned.found += 1
            watch("compare", len(rows), scanned.compared)


def _forget(started: Any) -> int:
    """Take off open rows what an earlier scan has found and this one has not, unless a look at the two says it holds.

    The look is needed where they share only what too many share by now. Deleted profiles are not looked at: their rows
    are offered to nobody, and the scan after an undelete finds them again.
    """
    forgotten = 0
    stale = DuplicatePair.objects.filter(
        status=DuplicatePair.Status.OPEN, updated_at__lt=started, evidence__has_any_keys=WORDS
    )
    for ids in _pages(stale.order_by("pk").values_list("pk", flat=True)):
        rows = list(DuplicatePair.objects.filter(pk__in=ids))
        details = details_of({pk for row in rows for pk in (row.low_id, row.high_id)})
        wrong = [
            row.pk
            for row in rows
            if not (row.low_id in details and row.high_id in details)
            or not comparing.compare(details[row.low_id], details[row.high_id])
        ]
        forgotten += duplicates.forget(wrong, WORDS, before=started)
    return forgotten


def details_of(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Details]:
    """What is compared of each of these profiles. Three queries."""
    contacts: dict[tuple[uuid.UUID, str], list[str]] = defaultdict(list)
    held = Identity.objects.filter(profile__in=ids, handle__in=[EMAIL, MOBILE_PHONE]).order_by("pk")
    for profile_id, handle, identifier in held.values_list("profile_id", "handle_id", "identifier"):
        contacts[profile_id, handle].append(identifier)
    attributes = CustomAttribute.objects.filter(profile__in=ids, namespace=ADDRESS, handle__in=ADDRESS_PARTS)
    address: dict[uuid.UUID, dict[str, str]] = defaultdict(dict)
    for profile_id, handle, text in attributes.order_by().values_list("profile_id", "handle", "text"):
        address[profile_id][handle] = text
    return {
        profile.pk: Details(
            first_name=comparing.bare(profile.first_name),
            last_name=comparing.bare(profile.last_name),
            birth_date=comparing.birth_date(profile.birth_year, profile.birth_month, profile.birth_day),
            street=comparing.street(address[profile.pk].get("street", "")),
            suburb=comparing.bare(address[profile.pk].get("suburb", "")),
            postcode=comparing.bare(address[profile.pk].get("postcode", "")),
            secondary_phone=_phone(profile.secondary_phone),
            mobile_phones=tuple(contacts[profile.pk, MOBILE_PHONE]),
            emails=tuple(contacts[profile.pk, EMAIL]),
        )
        for profile in Profile.objects.live().filter(pk__in=ids).order_by("pk")
    }


def _phone(text: str) -> str:
    """A phone number in E.164, or nothing: this field takes any text."""
    try:
        return normalising.phone(text) if text else ""
    except ValidationError:
        return ""


def _fields(details: Details) -> dict[str, Any]:
    """What is known of the details, for a column of JSON."""
    return {name: value for name in Details.__slots__ if (value := getattr(details, name))}


def _details(fields: Any) -> Details:
    known: dict[str, Any] = json.loads(fields) if isinstance(fields, str) else fields
    values: Any = {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
    return Details(**values)


def _found(line: str) -> Found:
    one, other, evidence = json.loads(line)
    return Found(uuid.UUID(one), uuid.UUID(other), evidence)


def _pages(keys: Any) -> Iterator[list[Any]]:
    """The keys of a query set that is ordered by them, page by page, whatever comes and goes meanwhile."""
    page = list(keys[:PORTION])
    while page:
        yield page
        page = list(keys.filter(pk__gt=page[-1])[:PORTION])


def _portions(lines: Iterable[str]) -> Iterator[Sequence[str]]:
    lines = iter(lines)
    while portion := list(itertools.islice(lines, PORTION)):
        yield portion
