"""Made-up data by the million, from a seed, for tests and benchmarks of a database as big as a retailer's.

Everything follows from the seed and a row's number, so nothing is kept: a row names another one by working out its key
again, and rows go into `COPY` one by one. What is odd in it is odd in real data: one profile has thousands of
identities, some systems were in use in the first years only, a few profiles are locked, deleted or temporary, and
nearly all log entries that are old have been reviewed.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import random
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models, transaction
from django.utils import timezone

from identities.management.commands.load_sample import records
from identities.models import (
    ApiToken,
    BlockedIdentifier,
    ErasedPair,
    Extension,
    Handle,
    Identity,
    IdentityClaim,
    RoutingLogEntry,
)
from profiles.models import (
    FIRST_POINT_DEFINITION,
    RECORDS,
    Audit,
    DuplicatePair,
    Interaction,
    Merge,
    Move,
    Point,
    Profile,
    Reward,
    Transaction,
    TransactionItem,
    fold_name,
)

YEARS = datetime.timedelta(days=3 * 365)
LOGGED = datetime.timedelta(days=90)
SECOND = datetime.timedelta(seconds=1)


def weighted(weights: Mapping[str, int]) -> list[str]:
    """Each name as often as its weight says, for drawing one by a number."""
    return [name for name, weight in weights.items() for _one in range(weight)]


# Identities that are no contact points, by system: in the first years, and since.
ERA = 0.4
FIRST_YEARS = weighted({"magento_id": 40, "loyalty-card": 25, "legacy_crm": 15, "pos": 10, "sfcc": 9, "instagram": 1})
SINCE = weighted({"shopify": 43, "loyalty-card": 20, "klaviyo": 15, "pos": 10, "apns": 6, "pos2": 4, "zendesk": 2})
UNDOCUMENTED = ["legacy_crm", "pos2"]
# The oldest profile, which has the most of everything, is found by this address.
OLDEST = "oldest@example.com"
FORMER = "old_crm"  # Another name of legacy_crm, under which the log has it.

TYPES = weighted(
    {"active": 914, "temporary": 30, "pending": 20, "incomplete": 20, "deleted": 10, "dependant": 5, "system": 1}
)

OUTCOMES = weighted({"rerouted": 50, "conflict": 25, "identity_taken": 15, "refused": 10})
OLD_OUTCOMES = weighted({"rerouted": 60, "conflict": 30, "refused": 6, "released_from": 3, "claim_overridden": 1})
REASONS = weighted({"blocked_identifier": 6, "invalid_identifier": 3, "reserved_handle": 1})
PAIR_STATUSES = weighted({"open": 8, "dismissed": 3, "merged": 1})
EVIDENCE = ["details", "email", "details", "conflict"]
REVIEWED = weighted({"reviewed": 3, "dismissed": 1})
EVENTS = weighted({"updated": 60, "created": 35, "deleted": 3, "moved": 1, "viewed": 1})


@dataclass(frozen=True)
class Sizes:
    """How many rows of each kind. Of the identities, one for each profile on average is a contact point."""

    profiles: int = 200_000
    identities: int = 400_000
    entries: int = 200_000
    audits: int = 200_000
    moves: int = 50_000
    pairs: int = 0
    merges: int = 0
    claims: int = 0
    erased: int = 0
    handles: int = 50
    blocked: int = 2_000
    tokens: int = 500
    admin_log: int = 20_000
    transactions: int = 0
    interactions: int = 0
    points: int = 0
    rewards: int = 0
    # How many identities, apart from contact points, the oldest profile has; no more than a tenth of them all.
    heaviest: int = 20_000
    # How many of a hundred records of each kind are the oldest profile's.
    hers: int = 60
    # How many profiles have the others, spread over all; any of them unless given.
    buyers: int = 0


@dataclass(frozen=True)
class Population:
    """Rows by number, the same for the same seed and sizes, up to `now`. `fill` makes them."""

    sizes: Sizes
    seed: int
    users: Sequence[int]
    # The extension for which a handle is reserved.
    sources: Mapping[str, str]
    # The content type of profiles.
    kind_of_profiles: int
    now: datetime.datetime
    # The key before the first row, of tables with numbered keys.
    bases: dict[type[models.Model], int] = field(default_factory=dict)

    # What follows from a number

    def profile_key(self, number: int) -> uuid.UUID:
        """A UUIDv7 of the moment at which the profile joined."""
        moment = self._first_moment + self._moments * number // self.sizes.profiles
        low = int.from_bytes(self._hash("profile", number, 8))
        return uuid.UUID(int=moment << 80 | (0x7000 | low & 0xFFF) << 64 | 0x2 << 62 | low >> 2)

    def joined_at(self, number: int) -> datetime.datetime:
        return self.now - YEARS * (1 - number / self.sizes.profiles)

    def name(self, number: int) -> tuple[str, str, str, str]:
        """First and last name, and both folded."""
        # Another last name for every round of first names, so that they meet in every combination.
        first, first_fold = self._first_names[number % len(self._first_names)]
        last, last_fold = self._last_names[(number + number // len(self._first_names)) % len(self._last_names)]
        return first, last, first_fold, last_fold

    def email(self, number: int) -> str:
        """The address that the profile shows, or none."""
        if number == 0:
            return OLDEST
        return f"{self._mailboxes[number % len(self._mailboxes)]}.{number}@example.com" if number % 5 < 3 else ""

    def mobile(self, number: int) -> str:
        return f"+614{number:08}" if number % 5 in (1, 3) else ""

    def identity_key(self, number: int) -> int:
        """The key of the first identity of the profile of this number or, if it has none, of the next that has."""
        before = self._contacts_before(number) + self._others_before(number)
        return self.bases[Identity] + min(before, self.sizes.identities - 1) + 1

    def identifier(self, handle: str, number: int) -> str:
        match handle:
            case "shopify":
                return f"{6_000_000_000_000 + number * 37}"
            case "klaviyo":
                return f"01{self._hash(handle, number, 12).hex().upper()}"
            case "sfcc":
                return f"{number:08}"
            case "loyalty-card":
                return f"{1_000_000 + number}"
            case "pos":
                return f"T{number % 40:02}-{number:06}"
            case "legacy_crm":
                return f"LC{number:07}"
            case "apns":
                return self._hash(handle, number, 32).hex()
            case "instagram":
                return f"{self._hash(handle, number, 4).hex()}.{number}"
        return str(number)

    def _hash(self, kind: str, number: int, size: int) -> bytes:
        return hashlib.blake2b(f"{self.seed} {kind} {number}".encode(), digest_size=size).digest()

    def _chance(self, kind: str) -> random.Random:
        return random.Random(f"{self.seed} {kind}")  # noqa: S311 - made-up data

    @cached_property
    def _moments(self) -> int:
        return int(YEARS.total_seconds() * 1_000)

    @cached_property
    def _first_moment(self) -> int:
        return int(self.now.timestamp() * 1_000) - self._moments

    @cached_property
    def _first_names(self) -> list[tuple[str, str]]:
        """Names as common as in the sample data, and how they fold."""
        return self._names("given_name", "Zoë", "José", "Mary Ann", "", "Siân")

    @cached_property
    def _last_names(self) -> list[tuple[str, str]]:
        return self._names("surname", "Großmann", "O'Brien", "van der Berg", "")

    def _names(self, column: str, *more: str) -> list[tuple[str, str]]:
        names = [*(row[column].title() for row in records()), *more]
        self._chance(column).shuffle(names)
        return [(name, fold_name(name)) for name in names]

    @cached_property
    def _mailboxes(self) -> list[str]:
        letters = (
            "".join(one for one in name if one.isascii() and one.isalpha()) for name, _fold in self._first_names
        )
        return [name or "hello" for name in letters]

    def _contacts_before(self, number: int) -> int:
        """How many contact points the profiles before this one have; each run of five has five."""
        return number // 5 * 5 + sum((one < 3) + (one in (1, 3)) for one in range(number % 5))

    def _others_before(self, number: int) -> int:
        """How many other identities the profiles before this one have; the older a profile, the more."""
        if number == 0:
            return 0
        heaviest = min(self.sizes.heaviest, self.sizes.identities // 10)
        rest = self.sizes.identities - self._contacts_before(self.sizes.profiles) - heaviest
        return heaviest + math.ceil(math.pow(number / self.sizes.profiles, 0.7) * rest)

    # Rows: the values of the model's fields, in their order

    def profiles(self) -> Iterator[tuple[Any, ...]]:
        draw = self._chance("profiles").random
        for number in range(self.sizes.profiles):
            first, last, first_fold, last_fold = self.name(number)
            joined, mobile = self.joined_at(number), self.mobile(number)
            profile_type = TYPES[int(draw() * len(TYPES))]
            yield (
                self.profile_key(number), profile_type, "", first, last, self.email(number), mobile,
                61 if mobile else None, mobile.removeprefix("+61"), "", "", "AUD",
                1940 + number % 70 if number % 4 else None, 1 + number % 12, 1 + number % 28, "", "", "",
                "{}" if number % 50 else "{vip}", '{"comms": {"email_promotions": true}}' if number % 3 else "{}",
                joined, self.merged_into(number), number % 211 == 0, None, None, joined + LOGGED if profile_type == "deleted" else None,
                joined, joined + (self.now - joined) * draw(), first_fold, last_fold,
            )  # fmt: skip

    def identities(self) -> Iterator[tuple[Any, ...]]:
        draw = self._chance("identities").random
        key, after = self.bases[Identity], 0
        for number in range(self.sizes.profiles):
            profile, joined, address, mobile = (
                self.profile_key(number), self.joined_at(number), self.email(number), self.mobile(number)
            )  # fmt: skip
            rows = [("email", address)] if address else []
            rows += [("mobile_phone", mobile)] if mobile else []
            contacts, before, after = len(rows), after, self._others_before(number + 1)
            era = FIRST_YEARS if number < self.sizes.profiles * ERA else SINCE
            for other in range(before, after):
                handle = era[int(draw() * len(era))]
                rows.append((handle, self.identifier(handle, other)))
            primary = contacts if draw() < 0.6 else None
            for position, (handle, sent) in enumerate(rows):
                key += 1
                identifier = sent.lower() if handle == "email" else sent
                seen = joined + SECOND * position
                yield (
                    key, profile, handle, identifier, "" if identifier == sent else sent, position == primary,
                    draw() > 0.03, self.sources.get(handle), None, None, None, handle == "pos" and key % 9 == 0, None,
                    None, 0, seen, seen,
                )  # fmt: skip

    def entries(self) -> Iterator[tuple[Any, ...]]:
        draw, size, profiles = self._chance("entries").random, self.sizes.entries, self.sizes.profiles
        for number in range(size):
            age = 1 - number / size
            outcomes, era = (OLD_OUTCOMES, FIRST_YEARS) if age > 0.8 else (OUTCOMES, SINCE)
            outcome, handle = outcomes[int(draw() * len(outcomes))], era[int(draw() * len(era))]
            asked = int(draw() * profiles)
            requested, routed = self.profile_key(asked), self.profile_key(int(draw() * profiles) if number % 20 else 0)
            identifier = "•••" if handle == "apns" else self.identifier(handle, number)
            is_open = draw() > (0.95 if age > 0.1 else 0.3)
            times = 1 if draw() < 0.8 else number % 40 + 2
            seen = self.now - LOGGED * age
            payload = f'"first_name": "Ada", "identities": [{{"handle": "{handle}", "identifier": "{identifier}"}}]'
            yield (
                self.bases[RoutingLogEntry] + number + 1, outcome, "profile",
                REASONS[number % len(REASONS)] if outcome == "refused" else "",
                FORMER if handle == "legacy_crm" and age > 0.9 else handle, identifier, requested, None if outcome == "refused" else routed, f"{{{requested},{routed}}}", f"{{{payload}}}",
                self.sources.get(handle), self.users[number % len(self.users)], times, seen,
                min(self.now, seen + SECOND * 3_600 * (times - 1)), "open" if is_open else REVIEWED[number % 4],
                None if is_open else self.users[0], None if is_open else seen + SECOND * 86_400, "",
                self._hash("entry", number, 32).hex(),
            )  # fmt: skip

    def audits(self) -> Iterator[tuple[Any, ...]]:
        draw, size = self._chance("audits").random, self.sizes.audits
        for number in range(size):
            # Whoever has the most identities has the most changes.
            about = int(draw() * self.sizes.profiles) if number % 10 else 0
            profile = self.profile_key(about)
            kind = "profile" if number % 3 else "identity"
            yield (
                self.bases[Audit] + number + 1, self.users[number % len(self.users)],
                EVENTS[int(draw() * len(EVENTS))], kind, profile if kind == "profile" else self.identity_key(about),
                "{}", '{"first_name": "Ada"}', profile, "/api/v3/profiles", "203.0.113.7", "Till", "",
                self.now - LOGGED * (1 - number / size),
            )  # fmt: skip

    def moves(self) -> Iterator[tuple[Any, ...]]:
        draw, size, profiles = self._chance("moves").random, self.sizes.moves, self.sizes.profiles
        for number in range(size):
            to = int(draw() * profiles)
            left = (to + 1 + int(draw() * (profiles - 1))) % profiles
            yield (
                self.bases[Move] + number + 1, "identity", self.identity_key(to), "loyalty-card",
                self.identifier("loyalty-card", number), self.profile_key(left), self.profile_key(to),
                "released" if number % 20 else "asked", self.users[number % len(self.users)],
                self.now - LOGGED * (1 - number / size), "", None,
            )  # fmt: skip

    def pairs(self) -> Iterator[tuple[Any, ...]]:
        """Most are by themselves, some hang together in long chains, and one in a hundred is the oldest profile's."""
        draw, size, profiles = self._chance("pairs").random, self.sizes.pairs, self.sizes.profiles
        for number in range(size):
            half = max(profiles // 2, 1)
            first, second = number % half, number % half + half
            if number >= half:
                # In the second round each with the next one, so that no two are a pair twice.
                first, second = number % half + half - 1, number % half + half
            if number % 100 == 0 and 0 < number < half:
                first, second = 0, number
            status = PAIR_STATUSES[int(draw() * len(PAIR_STATUSES))]
            word = EVIDENCE[number % len(EVIDENCE)] if number % 50 else "phone"
            entry = (
                f"[{self.bases[RoutingLogEntry] + number % self.sizes.entries + 1}]" if word == "conflict" else "{}"
            )
            low, high = (self.profile_key(one) for one in sorted([self._today(first), self._today(second)]))
            decided = None if status == "open" else self.now - LOGGED * (1 - number / size)
            seen = self.now - LOGGED * (1 - number / size)
            yield (
                self.bases[DuplicatePair] + number + 1, self.profile_key(first), self.profile_key(second),
                low, low if status == "merged" else high,
                f'{{"{word}": {entry}}}', round(0.4 + number % 7 * 0.08, 4), status,
                None if decided is None else self.users[0], decided, "", seen, seen,
            )  # fmt: skip

    def merges(self) -> Iterator[tuple[Any, ...]]:
        """One in five was undone. Merged profiles keep their identities here, which nobody's do in earnest."""
        half, kinds = self.sizes.profiles // 2, ("identity", *RECORDS, "custom_attribute", "move")
        marks = json.dumps(dict.fromkeys(kinds, 10**12))
        for number in range(self.sizes.merges):
            is_undone, position = number % 5 == 0, number - number // 5 - 1
            duplicate = half - 1 - number // 5 if is_undone else self._duplicate(position)
            at = self.now - LOGGED * (1 - number / self.sizes.merges)
            yield (
                self.bases[Merge] + number + 1, self.profile_key(0 if is_undone else self._survivor(position)),
                self.profile_key(duplicate), "asked" if number % 30 else "automatic",
                self.users[number % len(self.users)], at, "The same card.", "{}", None, "{}", "{}", "{}", marks,
                self.users[0] if is_undone else None, at + SECOND if is_undone else None, "", "{}",
            )  # fmt: skip

    def _duplicate(self, position: int) -> int:
        """The number of the profile that was merged by the merge of this position among those in force."""
        return self.sizes.profiles // 2 + 2 * position + 1

    def _survivor(self, position: int) -> int:
        # Of the oldest profile there are many duplicates.
        return 2 * position if position % 50 else 0

    def _today(self, number: int) -> int:
        """The number of the profile that the one of this number stands for."""
        position, rest = divmod(number - self.sizes.profiles // 2 - 1, 2)
        in_force = self.sizes.merges - -(-self.sizes.merges // 5)
        return self._survivor(position) if not rest and 0 <= position < in_force else number

    def merged_into(self, number: int) -> uuid.UUID | None:
        survivor = self._today(number)
        return None if survivor == number else self.profile_key(survivor)

    def _records(self, kind: str, size: int) -> Iterator[tuple[int, tuple[Any, ...], datetime.datetime]]:
        """Of each record its number, what all kinds have, up to `pairs` and from `source`, and when it happened."""
        draw = self._chance(kind).random
        slugs = sorted(set(self.sources.values()))
        buyers = self.sizes.buyers or self.sizes.profiles
        for number in range(size):
            about = 0 if number % 100 < self.sizes.hers else int(draw() * buyers) * self.sizes.profiles // buyers
            # One in twenty is nobody's, and one system was given up after the first years.
            is_nobodys = number % 20 == 19
            age = 1 - number / size
            source = slugs[0] if age > 0.9 else None if number % 3 == 0 else slugs[1 + number % (len(slugs) - 1)]
            at = self.now - YEARS * age
            identity = None if is_nobodys else self.identity_key(about)
            yield number, (
                None if is_nobodys else self.profile_key(about), identity, identity,
                "" if is_nobodys else "loyalty-card", "" if is_nobodys else self.identifier("loyalty-card", number), "nobody" if is_nobodys else "identity",
                None, "[]", None, source, at, at,
            ), at - SECOND * (number % 7)  # fmt: skip

    def transactions(self) -> Iterator[tuple[Any, ...]]:
        for number, common, at in self._records("transactions", self.sizes.transactions):
            yield (
                self.bases[Transaction] + number + 1, *common, '["vip"]' if number % 9 == 0 else "[]", "{}",
                f"sale-{number}", f"R{number:07}", f"{number % 300}.{number % 100:02}", None, number % 97 == 0, at,
                "Australia/Melbourne", f'"shop-{number % 40}"', None, "[]", "[]",
            )  # fmt: skip

    def items(self) -> Iterator[tuple[Any, ...]]:
        for number in range(self.sizes.transactions):
            yield (
                self.bases[TransactionItem] + number + 1, self.bases[Transaction] + number + 1, 0, "Shirt", 1, 10, 10,
                "{}",
            )  # fmt: skip

    def interactions(self) -> Iterator[tuple[Any, ...]]:
        for number, common, at in self._records("interactions", self.sizes.interactions):
            yield (
                self.bases[Interaction] + number + 1, *common, "[]", "{}", "visit", "location", number % 3 - 1,
                "Visit", "shop", at, "", "",
            )  # fmt: skip

    def points(self) -> Iterator[tuple[Any, ...]]:
        for number, common, at in self._records("points", self.sizes.points):
            expires_at = at + YEARS if number % 2 else None
            yield (
                self.bases[Point] + number + 1,
                *common,
                10,
                number % 11,
                at,
                expires_at,
                FIRST_POINT_DEFINITION,
                "{}",
            )

    def rewards(self) -> Iterator[tuple[Any, ...]]:
        for number, common, at in self._records("rewards", self.sizes.rewards):
            expires_at = at + YEARS if number % 2 else None
            yield (self.bases[Reward] + number + 1, *common, 5, number % 6, at, expires_at, None, "UTC")

    def claims(self) -> Iterator[tuple[Any, ...]]:
        slugs = sorted(set(self.sources.values()))
        for number in range(self.sizes.claims):
            profile = self.profile_key(self._today(number % self.sizes.profiles))
            # One system was given up after the first years.
            age = 1 - number / self.sizes.claims
            source = slugs[0] if age > 0.9 else None if number % 3 == 0 else slugs[1 + number % (len(slugs) - 1)]
            at = self.now - YEARS * age
            yield (
                self.bases[IdentityClaim] + number + 1, profile, profile,
                "web-visitor" if number % 50 == 0 else "loyalty-card", f"claimed-{number}", "", source, self.users[0],
                f"customer {number}", at, at,
            )  # fmt: skip

    def erased(self) -> Iterator[tuple[Any, ...]]:
        for number in range(self.sizes.erased):
            yield (
                self.bases[ErasedPair] + number + 1, "web-visitor" if number % 50 == 0 else "loyalty-card",
                self._hash("erased", number, 32).hex(), self.now - YEARS * (1 - number / self.sizes.erased),
            )  # fmt: skip

    def blocked(self) -> Iterator[tuple[Any, ...]]:
        for number in range(self.sizes.blocked):
            yield (
                self.bases[BlockedIdentifier] + number + 1, "pos" if number % 2 else None, "exact",
                f"nobody-{number}", "Made up.", number % 10 > 0, False, self.users[0], self.now,
            )  # fmt: skip

    def tokens(self) -> Iterator[tuple[Any, ...]]:
        slugs = sorted(set(self.sources.values()))
        for number in range(self.sizes.tokens):
            yield (
                self.bases[ApiToken] + number + 1, self._hash("token", number, 8).hex(),
                self._hash("secret", number, 32).hex(), f"Till {number}", self.users[number % len(self.users)],
                slugs[number % len(slugs)] if number % 3 else None, "{read-profiles}", None,
                self.now if number % 4 == 0 else self.now + YEARS * 20, self.now if number % 7 == 0 else None, None,
                self.now, self.now,
            )  # fmt: skip

    def admin_log(self) -> Iterator[tuple[Any, ...]]:
        for number in range(self.sizes.admin_log):
            yield (
                self.bases[LogEntry] + number + 1, self.now - LOGGED * (1 - number / self.sizes.admin_log),
                self.users[0], self.kind_of_profiles, str(self.profile_key(number % self.sizes.profiles)), "Ada", 2, "[]",
            )  # fmt: skip


def fill(sizes: Sizes = Sizes(), *, seed: int = 1) -> Population:  # noqa: B008 - frozen
    """Put so many rows into the database that this process is on, and let the planner look at them.

    The last of them are of the last midnight, so that what happened lately is not nothing. The handles and extensions that ship must be there. What is in the tables already stays; the same seed fits in
    once. Outside a transaction it is several times as fast, and vacuums as a server that has run for a while has done.
    """
    staff, _created = User.objects.get_or_create(username="population", defaults={"is_staff": True})
    accounts = Extension.objects.order_by("pk").values_list("service_account", flat=True)
    reserved = Handle.objects.exclude(reserved_for=None).values_list("pk", "reserved_for")
    names = [*UNDOCUMENTED, *(f"system-{number}" for number in range(sizes.handles))]
    Handle.objects.bulk_create(
        [Handle(name=name, fold=name.replace("-", "").replace("_", "")) for name in names], ignore_conflicts=True
    )
    Handle.objects.get_or_create(
        name=FORMER, defaults={"fold": "oldcrm", "renamed_to_id": "legacy_crm", "status": "retired"}
    )
    population = Population(
        sizes,
        seed,
        users=[staff.pk, *accounts],
        sources=dict(reserved),
        kind_of_profiles=ContentType.objects.get(app_label="profiles", model="profile").pk,
        now=timezone.now().replace(hour=0, minute=0, second=0, microsecond=0),
    )
    parts: list[tuple[type[models.Model], int, Iterable[tuple[Any, ...]]]] = [
        (Profile, sizes.profiles, population.profiles()),
        (Identity, sizes.identities, population.identities()),
        (RoutingLogEntry, sizes.entries, population.entries()),
        (Audit, sizes.audits, population.audits()),
        (Move, sizes.moves, population.moves()),
        (DuplicatePair, sizes.pairs, population.pairs()),
        (Merge, sizes.merges, population.merges()),
        (IdentityClaim, sizes.claims, population.claims()),
        (ErasedPair, sizes.erased, population.erased()),
        (BlockedIdentifier, sizes.blocked, population.blocked()),
        (ApiToken, sizes.tokens, population.tokens()),
        (LogEntry, sizes.admin_log, population.admin_log()),
        (Transaction, sizes.transactions, population.transactions()),
        (TransactionItem, sizes.transactions, population.items()),
        (Interaction, sizes.interactions, population.interactions()),
        (Point, sizes.points, population.points()),
        (Reward, sizes.rewards, population.rewards()),
    ]
    tables = [model._meta.db_table for model, *_rest in parts]
    is_alone = not connection.in_atomic_block
    with unindexed(tables) if is_alone else nullcontext(), connection.cursor() as cursor:
        for model, size, rows in parts:
            if model is not Profile:
                population.bases[model] = _reserve(cursor, model, size)
            _copy(cursor, model, rows)
    with connection.cursor() as cursor:
        cursor.execute(f"{'VACUUM (ANALYZE)' if is_alone else 'ANALYZE'} {', '.join(tables)}, identities_handle")
    return population


def _reserve(cursor: Any, model: type[models.Model], size: int) -> int:
    """Take so many keys from the table's sequence. Returns the key before the first of them."""
    cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [model._meta.db_table])
    (sequence,) = cursor.fetchone()
    cursor.execute("SELECT nextval(%s)", [sequence])
    (skipped,) = cursor.fetchone()
    cursor.execute("SELECT setval(%s, %s)", [sequence, skipped + size])
    return int(skipped)


def _copy(cursor: Any, model: type[models.Model], rows: Iterable[tuple[Any, ...]]) -> None:
    columns = ", ".join(f'"{one.column}"' for one in model._meta.concrete_fields)
    with cursor.copy(f'COPY "{model._meta.db_table}" ({columns}) FROM STDIN') as copy:
        for row in rows:
            copy.write_row(row)


@contextmanager
def unindexed(tables: Sequence[str]) -> Iterator[None]:
    """One transaction in which these tables have no indexes and foreign keys, so that filling them takes a third.

    They are made again at the end, which checks them against all rows; primary keys and unique constraints stay.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL maintenance_work_mem = '256MB'")
        cursor.execute(
            """
            SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', conrelid::regclass, conname),
                   format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', conrelid::regclass, conname,
                          pg_get_constraintdef(oid))
            FROM pg_constraint WHERE contype = 'f' AND conrelid::regclass::text = ANY(%s)
            UNION ALL
            SELECT format('DROP INDEX %%s', indexrelid::regclass), pg_get_indexdef(indexrelid)
            FROM pg_index
            WHERE indrelid::regclass::text = ANY(%s)
              AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u'))
            """,
            [list(tables), list(tables)],
        )
        statements = cursor.fetchall()
        for drop, _make in statements:
            cursor.execute(drop)
        yield
        for _drop, make in reversed(statements):
            cursor.execute(make)
