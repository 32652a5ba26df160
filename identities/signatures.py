"""What a storefront has signed with a secret that it shares with this product (API.md 6).

The secrets are in the environment, under names that the extension gives. What leaves is an HMAC that has taken one in,
so that none stands in a traceback, a log line or an error page; `secret` alone hands one on, to what signs deliveries.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from environ.fileaware_mapping import FileAwareMapping

# Seconds that a signed query is good for, before and after its timestamp: the platform's clock is not ours.
WINDOW = 5 * 60

# Characters of a secret that is worth the name. A shorter one works, and is warned of.
LEAST = 16

CUSTOMER, TIMESTAMP, SIGNATURE = b"logged_in_customer_id", b"timestamp", b"signature"

# What the shop platform puts into each query that it passes on, and signs.
ITS_OWN = (CUSTOMER, b"path_prefix", b"shop", TIMESTAMP)

NUMBER = re.compile(rb"[0-9]{1,12}")

# Keeps bytes that are not UTF-8, in text and back.
LOSSLESS = "surrogateescape"


@dataclass(frozen=True, slots=True)
class Query:
    """A query as the shop platform passes it on. `customer` is empty for a visitor who is not logged in."""

    customer: str
    timestamp: int
    signed: bytes
    signature: str

    def is_fresh(self, now: float) -> bool:
        """Whether it is from these minutes, by its own word, which is signed. In: seconds since 1970."""
        return abs(now - self.timestamp) <= WINDOW


def read_query(raw: str) -> Query | None:
    """Read the query of a request to the app proxy; None when the platform cannot have sent it so.

    What is signed are all parameters but the signature, decoded, each as `name=value`, several values of one name with
    commas between them, sorted, and put together with nothing in between (shopify.dev, "Authenticate app proxies").
    So the same signature is right for every query whose pairs add up to the same text, and whoever calls may add
    parameters: `a=logged_in_customer_id=7m=` would make another customer of them, if it could be cut differently.
    Hence `_is_unequivocal`.

    In: the query as it came, with the bytes that are not UTF-8 as surrogates: the platform has signed bytes.
    """
    values: dict[bytes, list[bytes]] = {}
    for name, value in parse_qsl(raw, keep_blank_values=True, errors=LOSSLESS):
        values.setdefault(_bytes(name), []).append(_bytes(value))
    (signature, customer, timestamp) = (values.get(name, []) for name in (SIGNATURE, CUSTOMER, TIMESTAMP))
    if not len(signature) == len(customer) == len(timestamp) == 1 or not NUMBER.fullmatch(timestamp[0]):
        return None
    pairs = sorted(name + b"=" + b",".join(several) for name, several in values.items() if name != SIGNATURE)
    if not _is_unequivocal(pairs, customer[0]):
        return None
    return Query(
        customer=customer[0].decode(errors="replace"),
        timestamp=int(timestamp[0]),
        signed=b"".join(pairs),
        signature=signature[0].decode(errors="replace"),
    )


def _is_unequivocal(pairs: list[bytes], customer: bytes) -> bool:
    """Whether the text can be no other query of the platform's that said another customer or timestamp.

    Each of the platform's names stands in the text once, so that what it says begins in the same place in every
    reading. It ends in the same place too, before the next name: the platform's ids are numbers, and a name that the
    caller has added there is sorted behind, so that it begins with no digit. An id that is no number is taken where a
    name of the platform's is behind it, and a comma would stand between two values.
    """
    text = b"".join(pairs)
    if any(text.count(name + b"=") > 1 for name in ITS_OWN):
        return False
    place = pairs.index(CUSTOMER + b"=" + customer)
    following = pairs[place + 1].partition(b"=")[0]
    if b"=" in customer or b"," in customer:
        return False
    return following in ITS_OWN or customer == b"" or customer.isdigit()


def is_signed(text: bytes, signature: str, names: Iterable[str]) -> bool:
    """Whether this is the hexadecimal HMAC-SHA256 of a text by one of the secrets in these environment variables.

    Each is tried, however early one is right, and compared in constant time. Without any the answer is no.
    """
    given = signature.lower().encode(errors="replace")
    right = []
    for one in _keyed(names):
        one.update(text)
        right.append(hmac.compare_digest(one.hexdigest().encode(), given))
    return any(right)


def is_set(name: str) -> bool:
    """Whether this process has the variable, itself or in the file that NAME_FILE names. Its value goes nowhere."""
    return bool(_keyed([name]))


def is_weak(name: str) -> bool:
    """Whether the secret in this variable is so short that one signature is enough to find it by trying."""
    return len(secret(name)) < LEAST


def _keyed(names: Iterable[str]) -> list[hmac.HMAC]:
    """An HMAC begun with each of the secrets that are there.

    Read each time: a file that NAME_FILE names may have been written anew since.
    """
    return [hmac.new(found, digestmod=hashlib.sha256) for name in names if (found := secret(name))]


def secret(name: str) -> bytes:
    """The secret in this variable, or in the file that NAME_FILE names; empty without any. It belongs into no log and
    no error.
    """
    try:
        return _bytes(str(FileAwareMapping(cache=False).get(name, "")).strip())
    except (OSError, ValueError):
        return b""


def _bytes(text: str) -> bytes:
    return text.encode(errors=LOSSLESS)
