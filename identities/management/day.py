"""A retailer's day as its systems would send it: what each writes, when, and what is the matter with it.

Made from a seed, so that the same day can be played again; the people are those of the sample data.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

ZONE = "Australia/Melbourne"

# The systems of the day, each with the extension that it writes as; None is staff.
SYSTEMS = {"shop": "shopify", "till": None, "newsletter": "klaviyo"}

GOODS = {
    "Wool jumper": 8990,
    "Linen shirt": 6950,
    "Rain jacket": 14900,
    "Socks, three pairs": 1995,
    "Leather belt": 4990,
    "Cap": 2495,
    "Tote bag": 1550,
}

STORES = ("George Street", "Harbour Town", "Station Arcade")


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody of the sample, as the API tells of them."""

    profile_id: str
    name: str
    shopify: str
    card: str


@dataclass(frozen=True, slots=True)
class Call:
    """One request of the day. `story` is what a row of the closing table counts."""

    at: datetime.time
    system: str
    story: str
    method: str
    path: str
    body: dict[str, Any] = field(default_factory=dict)


def play(known: Sequence[Known], *, date: datetime.date, seed: int) -> list[Call]:
    """The calls of one day in the order of the clock. In: forty people of the sample or more."""
    day = _Day(known, date, random.Random(seed), f"{date:%y%m%d}-{seed}")  # noqa: S311 - a story, no secret
    calls = [*day.shop(), *day.till(), *day.newsletter(), *day.loyalty()]
    return sorted(calls, key=lambda call: call.at)


def hero(known: Sequence[Known]) -> Known:
    """The one whom every system meets on this day."""
    return known[0]


class _Day:
    def __init__(self, known: Sequence[Known], date: datetime.date, chance: random.Random, name: str) -> None:
        self.known, self.date, self.chance, self.name = known, date, chance, name

    def shop(self) -> Iterator[Call]:
        """Orders name the shop's own customer id; some bring more along, some nobody."""
        for number, one in enumerate(self._some(40)):
            yield self._sale(f"S{number:03}", "shop", "order of a known customer", self._shopper(one.shopify))
        for number in range(12):
            yield self._sale(f"N{number:03}", "shop", "order of a new customer", self._newcomer(number), latest=15)
        for number in range(8):
            guest = {"profile_id": self._email(number), "profile_id_handle": "email"}
            yield self._sale(f"G{number:03}", "shop", "guest order, by e-mail", guest, earliest=15)
        for number in range(5):
            yield self._sale(f"U{number:03}", "shop", "order of the customer `null`", self._shopper("null"))
        for number, (one, other) in enumerate(self._couples(4)):
            both = {**self._shopper(one.shopify), "identities": [_pair("loyalty-card", other.card)]}
            yield self._sale(f"C{number:03}", "shop", "order with somebody else's card", both)

    def till(self) -> Iterator[Call]:
        """Sales name the card that was shown, the till's own customer number, or nobody."""
        for number, one in enumerate(self._some(40)):
            yield self._sale(f"T{number:03}", "till", "sale with a card", self._holder(one.card))
        for number, one in enumerate(self._some(10)):
            both = {**self._holder(one.card), "identities": [_pair("pos-customer", f"{self.name}-{number}")]}
            yield self._sale(f"A{number:03}", "till", "sale with a card and a new till number", both)
        for number, one in enumerate(self._some(10)):
            yield self._sale(f"X{number:03}", "till", "sale without a card", {}, latest=16)
            if number % 2:
                # The card is shown at the counter an hour later: the same receipt is sent again, with it.
                yield self._sale(
                    f"X{number:03}", "till", "its card, shown later", self._holder(one.card), "update-create", 17
                )
        for number in range(4):
            yield self._sale(f"Z{number:03}", "till", "sale with the card 0000000", self._holder("0000000"))
        for number, (one, other) in enumerate(self._couples(3)):
            wrong = {"profile_id": one.profile_id, "identities": [_pair("loyalty-card", other.card)]}
            yield self._sale(f"R{number:03}", "till", "sale for one profile, with another's card", wrong)

    def newsletter(self) -> Iterator[Call]:
        """Sign-ups bring an address; opened mails name the newsletter's own id."""
        readers = self._some(20)
        for number, one in enumerate(readers):
            body = {
                "first_name": one.name.partition(" ")[0],
                "identities": [_pair("klaviyo", self._reader(number)), _pair("loyalty-card", one.card)],
            }
            if one != hero(self.known):
                body["email"] = f"{self.name}.reader{number}@example.com"
            yield Call(self._time(9, 11), "newsletter", "sign-up of a card holder", "POST", "/profiles", body)
        for number in range(6):
            body = {
                "first_name": "Robin",
                "email": f"{self.name}.robin{number}@example.com",
                "identities": [_pair("klaviyo", self._reader(100 + number))],
            }
            yield Call(self._time(9, 11), "newsletter", "sign-up of a new reader", "POST", "/profiles", body)
        for number in range(4):
            body = {"email": self._email(number), "identities": [_pair("klaviyo", self._reader(200 + number))]}
            yield Call(self._time(16, 18), "newsletter", "sign-up with another's address", "POST", "/profiles", body)
        for number in range(len(readers)):
            yield self._opened({"id": self._reader(number), "handle": "klaviyo"}, "opened mail")
        for number in range(3):
            yield self._opened(f"nobody-{self.name}-{number}", "opened mail of nobody known")

    def loyalty(self) -> Iterator[Call]:
        """At the end of the day: points for the sales, a reward for some, a tier."""
        for one in self._some(25):
            body = {
                **self._holder(one.card),
                "value_initial": self.chance.randint(10, 200),
                "issued_at": self._utc(datetime.time(18, 30)),
            }
            yield Call(datetime.time(18, 30), "till", "points", "POST", "/points", body)
        for one in self._some(6):
            body = {
                **self._holder(one.card),
                "value_initial": 10,
                "issued_at": f"{self.date} 18:45:00",
                "expires_at": f"{self.date + datetime.timedelta(days=60)} 00:00:00",
                "timezone": ZONE,
            }
            yield Call(datetime.time(18, 45), "till", "reward", "POST", "/rewards", body)
        for one in self._some(6):
            path = f"/profiles/{one.profile_id}/attributes/custom/loyalty:tier"
            yield Call(datetime.time(18, 50), "till", "tier", "PUT", path, {"type": "string", "value": "gold"})

    def _some(self, many: int) -> list[Known]:
        """So many of the people, the hero always among them."""
        return [self.known[0], *self.chance.sample(self.known[1:], many - 1)]

    def _couples(self, many: int) -> list[tuple[Known, Known]]:
        two = self.chance.sample(self.known[1:], 2 * many)
        return list(zip(two[:many], two[many:], strict=True))

    def _sale(
        self,
        number: str,
        system: str,
        story: str,
        whose: dict[str, Any],
        way: str = "",
        earliest: int = 9,
        *,
        latest: int = 18,
    ) -> Call:
        goods = self.chance.choices(list(GOODS), k=self.chance.randint(1, 3))
        items = [
            {"name": name, "quantity": 1, "price_current": GOODS[name] / 100, "price_sell": GOODS[name] / 100}
            for name in goods
        ]
        at = self._time(earliest, latest)
        body = {
            "external_id": f"{self.name}-{number}",
            "total": sum(GOODS[name] for name in goods) / 100,
            "transacted_at": f"{self.date} {at}",
            "timezone": ZONE,
            "location_id": "web" if system == "shop" else self.chance.choice(STORES),
            "systems": [system],
            "items": items,
            **whose,
        }
        return Call(at, system, story, "POST", f"/transactions/{way}".rstrip("/"), body)

    def _opened(self, identifier: Any, story: str) -> Call:
        body = {
            "identifier": identifier,
            "action": "view",
            "channel": "email",
            "signal": 1,
            "name": "Opened the spring letter",
            "namespace": "newsletter",
            "interacted_at": self._utc(datetime.time(12)),
        }
        return Call(self._time(12, 15), "newsletter", story, "POST", "/interactions", body)

    def _newcomer(self, number: int) -> dict[str, Any]:
        return {
            **self._shopper(f"{self.name}-{number}"),
            "identities": [_pair("email", self._email(number))],
        }

    def _email(self, number: int) -> str:
        return f"{self.name}.shopper{number}@example.com"

    def _reader(self, number: int) -> str:
        return f"{self.name}-reader-{number}"

    def _shopper(self, identifier: str) -> dict[str, Any]:
        return {"profile_id": identifier, "profile_id_handle": "shopify"}

    def _holder(self, card: str) -> dict[str, Any]:
        return {"profile_id": card, "profile_id_handle": "loyalty-card"}

    def _time(self, earliest: int, latest: int) -> datetime.time:
        return datetime.time(self.chance.randrange(earliest, latest), self.chance.randrange(60))

    def _utc(self, at: datetime.time) -> str:
        local = datetime.datetime.combine(self.date, at, ZoneInfo(ZONE))
        return f"{local.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S}"


def _pair(handle: str, identifier: str) -> dict[str, str]:
    return {"handle": handle, "identifier": identifier}
