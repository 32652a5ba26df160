"""Whether what is known of two profiles looks like one person. Pure: no database, and the same answer every time.

Five facts are compared: first name, last name, birth date, street and place (suburb or postcode: whoever shares the
one mostly shares the other, so that they count once). Facts are equal, or alike: one typing error in a name, street or
suburb, one wrong digit or day and month swapped in a date. Two profiles look like one person where

1. two facts are equal, other than a name and the place, which half a suburb may share; names may be swapped,
2. and a third is equal or alike,
3. and the first name or the birth date is among the three, since a family shares all the rest,
4. and no birth dates contradict it, unless it is the same name at the same street.

Apart from that: an e-mail address that is the same mailbox in another spelling, and one's secondary phone that is
another's mobile.
"""

from __future__ import annotations

import hashlib
import itertools
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

FIRST, LAST, BIRTH, STREET, PLACE = "first_name", "last_name", "birth_date", "street", "place"
FACTS = (FIRST, LAST, BIRTH, STREET, PLACE)

# Two facts of which profiles are looked up that share them: all but a name with the place.
LOOKED_UP = [two for two in itertools.combinations(FACTS, 2) if set(two) not in ({FIRST, PLACE}, {LAST, PLACE})]

# How sure so many facts make one, by whether something speaks against it: another first name (twins, a household) or
# another birth date (father and son). All three of name and birth date weigh NAME_AND_BIRTH at least.
WEIGHTS = {3: 0.75, 4: 0.9, 5: 0.97}
NAME_AND_BIRTH = 0.95
CONTRADICTED = 0.5

# Hosts where dots in an address mean nothing, and where what follows a plus does not.
DOTLESS = {"gmail.com"}
TAGGED = {*DOTLESS, "outlook.com", "hotmail.com", "live.com", "icloud.com", "me.com", "fastmail.com", "proton.me"}
SAME_HOST = {"googlemail.com": "gmail.com", "protonmail.com": "proton.me"}

# A shorter text has no room for a typing error: Ann is not Ian.
SHORTEST_ALIKE = 4


@dataclass(frozen=True, slots=True)
class Details:
    """What is compared of one profile: texts without case, marks, spaces and punctuation, empty where not known."""

    first_name: str = ""
    last_name: str = ""
    birth_date: str = ""
    street: str = ""
    suburb: str = ""
    postcode: str = ""
    secondary_phone: str = ""
    mobile_phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()

    def equal_values(self, fact: str) -> list[str]:
        """What another profile may have to be equal in a fact; the place is known by either of two."""
        if fact != PLACE:
            return [value] if (value := getattr(self, fact)) else []
        return [f"{name}:{value}" for name in ("suburb", "postcode") if (value := getattr(self, name))]


def bare(text: str) -> str:
    """A text as it is compared: "O'Brien-Núñez" is "obriennunez"."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    return "".join(one for one in folded if one.isalnum() or (_is_mark(one) and not "\u0300" <= one <= "\u036f"))


def _is_mark(character: str) -> bool:
    # Vowels of some scripts are marks; the accents of Latin ones, left out above, only adorn.
    return unicodedata.category(character) in ("Mn", "Mc")


def street(text: str) -> str:
    """A street as it is compared; without a number it is no address."""
    return bare(text) if any(one.isdecimal() for one in text) else ""


def birth_date(year: int | None, month: int | None, day: int | None) -> str:
    """A whole birth date; parts of one are not compared."""
    return f"{year:04}{month:02}{day:02}" if year and month and day else ""


def mailbox(address: str) -> str:
    """An e-mail address as its host delivers it: of spellings that differ, those that are one mailbox are equal."""
    local, _at, host = address.casefold().rpartition("@")
    host = SAME_HOST.get(host, host)
    if host in TAGGED:
        local = local.partition("+")[0]
    if host in DOTLESS:
        local = local.replace(".", "")
    return f"{local}@{host}"


def keys(details: Details) -> Iterator[tuple[str, int]]:
    """What to look other profiles up by: a word for what it is, and a hash of 64 bits (what meets is compared)."""
    for one, other in LOOKED_UP:
        for values in itertools.product(details.equal_values(one), details.equal_values(other)):
            # Names in any order, so that swapped ones meet.
            yield f"{one} + {other}", _hash(*(sorted(values) if {one, other} == {FIRST, LAST} else values))
    for box in {without_dots(mailbox(address)) for address in details.emails}:
        yield "email", _hash(box)
    for phone in {details.secondary_phone, *details.mobile_phones} - {""}:
        yield "phone", _hash(phone)


def _hash(*values: str) -> int:
    digest = hashlib.blake2b("\0".join(values).encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def without_dots(address: str) -> str:
    local, _at, host = address.rpartition("@")
    return f"{local.replace('.', '')}@{host}"


def compare(one: Details, other: Details) -> dict[str, Any]:
    """The evidence that two profiles are one person, by its words; empty where there is none."""
    found = {"details": _details(one, other), "email": _email(one, other), "phone": _phone(one, other)}
    return {word: evidence for word, evidence in found.items() if evidence is not None}


def _details(one: Details, other: Details) -> dict[str, Any] | None:
    equal = {fact for fact in FACTS if not set(one.equal_values(fact)).isdisjoint(other.equal_values(fact))}
    is_swapped = bool(one.first_name and one.last_name) and (
        (one.first_name, one.last_name) == (other.last_name, other.first_name) and one.first_name != one.last_name
    )
    if is_swapped:
        equal |= {FIRST, LAST}
    alike = {fact for fact in FACTS if fact not in equal and _is_alike(one, other, fact)}
    agreed = equal | alike
    against = [fact for fact in (FIRST, BIRTH) if fact not in agreed and _are_known(one, other, fact)]
    if not any(set(two) <= equal for two in LOOKED_UP) or len(agreed) < 3 or not agreed & {FIRST, BIRTH}:
        return None
    if BIRTH in against and STREET not in agreed:
        return None
    weight = CONTRADICTED if against else WEIGHTS[len(agreed)]
    if {FIRST, LAST, BIRTH} <= equal:
        weight = max(weight, NAME_AND_BIRTH)
    in_order = {
        name: [fact for fact in FACTS if fact in facts] for name, facts in (("equal", equal), ("alike", alike))
    }
    return {**in_order, "against": against, "swapped": is_swapped, "weight": weight}


def _are_known(one: Details, other: Details, fact: str) -> bool:
    return bool(one.equal_values(fact) and other.equal_values(fact))


def _is_alike(one: Details, other: Details, fact: str) -> bool:
    name = "suburb" if fact == PLACE else fact
    left, right = getattr(one, name), getattr(other, name)
    if fact == STREET and _digits(left) != _digits(right):
        return False  # The neighbours.
    if fact == BIRTH and left and left == right[:4] + right[6:] + right[4:6]:
        return True
    return min(len(left), len(right)) >= SHORTEST_ALIKE and is_one_error(left, right)


def _digits(text: str) -> str:
    return "".join(one for one in text if one.isdecimal())


def is_one_error(one: str, other: str) -> bool:
    """Whether one text becomes the other by one character more, less, or other, or by two neighbours swapped."""
    if abs(len(one) - len(other)) > 1 or one == other:
        return False
    start = next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    left, right = one[start:], other[start:]
    if len(left) == len(right):
        return left[1:] == right[1:] or (left[:2] == right[1::-1] and left[2:] == right[2:])
    return left[1:] == right if len(left) > len(right) else left == right[1:]


def _email(one: Details, other: Details) -> dict[str, Any] | None:
    boxes = [{mailbox(address) for address in details.emails} for details in (one, other)]
    if boxes[0] & boxes[1]:
        return {}
    if {without_dots(box) for box in boxes[0]} & {without_dots(box) for box in boxes[1]}:
        return {"dots": True, "weight": CONTRADICTED}
    return None


def _phone(one: Details, other: Details) -> dict[str, Any] | None:
    meet = one.secondary_phone in other.mobile_phones or other.secondary_phone in one.mobile_phones
    return {} if meet else None
