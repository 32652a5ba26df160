"""Customer tokens for visitors of the storefront: for whomever it has signed, as often as the limits say (API.md 6).

What the limits are about: nobody is to guess signatures or keep this product busy for nothing, and nobody is to be
locked out by somebody else. An address is many people: an office, a mobile network, and all visitors of the shop where
its platform passes their requests on. So

- what is *rightly signed* is counted by the customer whom it names, not by the address. Only they can use that up;
- *failures* are counted by address, and past the limit answered by 429; but what is rightly signed is let in whatever
  else came from that address. Anybody can make a request fail on its way through the platform;
- but for a customer with whose id an address has failed a few times, nothing from that address is let in until the
  minute is over, right or wrong, so that trying signatures out gets nowhere. Whoever fails on purpose shuts out a
  customer whose id they know, from their own address only, as at the login;
- a visitor who is not logged in names no customer. They are counted by address, that which the platform has of them,
  and their limit is a high one.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from django.conf import settings

from identities import limiting, signatures, tokens
from identities.limiting import Limit
from identities.models import Extension
from identities.tokens import Issued

logger = logging.getLogger(__name__)

# The extension whose secrets sign, and the handle under which it knows its customers.
SHOPIFY = "shopify"

# Failures a minute with one customer's id from one address, after which that address is not listened to about them.
MOST_GUESSES = 10


class Unsigned(Exception):
    """There is no signature that is good now. Why is nobody's business."""


class TooOften(Exception):
    """A limit is reached."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Admitted:
    """A visitor of the storefront, and their token; None when they are logged in there, and nobody here."""

    is_anonymous: bool
    issued: Issued | None


def by_id(customer: str, signature: str, *, address: str | None) -> Issued | None:
    """A token for a customer whose id the storefront has signed; None when no identity of theirs may sign anybody in.

    In: the id as it was signed; the address that it came from, by `addresses.network`.
    Raises Unsigned, TooOften.
    """
    extension = _extension()
    is_good = _is_signed(extension, customer.encode(), signature)
    signer = _let_in(extension, customer, is_good, address=address, visitor=address)
    return tokens.issue_by_identity(SHOPIFY, customer, by=signer)


def by_query(raw: str, *, address: str | None, visitor: str | None) -> Admitted:
    """A token for whoever is behind a request that the shop platform has signed and passed on.

    In: the query as it came (see `signatures.read_query`); the address that it came from, and the one that the
    platform says it has it from, which is believed of what is rightly signed only.
    Raises Unsigned, TooOften. A query that is not of these minutes is unsigned: whoever has it may have found it.
    """
    extension = _extension()
    query = signatures.read_query(raw)
    is_good = (
        query is not None and _is_signed(extension, query.signed, query.signature) and query.is_fresh(time.time())
    )
    customer = query.customer if query is not None else ""
    signer = _let_in(extension, customer, is_good, address=address, visitor=visitor)
    if not customer:
        return Admitted(True, tokens.issue_anonymous(by=signer))
    return Admitted(False, tokens.issue_by_identity(SHOPIFY, customer, by=signer))


def _extension() -> Extension | None:
    welcome = Extension.objects.filter(enabled=True, service_account__is_active=True)
    return welcome.filter(pk=SHOPIFY).first()


def _is_signed(extension: Extension | None, text: bytes, signature: str) -> bool:
    return extension is not None and signatures.is_signed(text, signature, extension.secret_variables)


def _let_in(
    extension: Extension | None, customer: str, is_good: bool, *, address: str | None, visitor: str | None
) -> Extension:
    """Count the request. Returns the extension that has signed it; raises TooOften or Unsigned unless it is let in.
    See the module for why so."""
    failures = Limit("storefront failure", (address or "",), settings.STOREFRONT_FAILURE_LIMIT)
    guesses = Limit("storefront guess", (address or "", customer), min(MOST_GUESSES, failures.calls))
    if extension is None or not is_good:
        seconds = limiting.count(failures)
        if seconds is None and customer:
            # Only now, so that whoever makes up ids does not fill the table with them.
            seconds = limiting.count(guesses)
        if seconds is not None:
            raise TooOften(seconds)
        _tell_of_missing_secrets(extension)
        raise Unsigned
    if customer:
        seconds = limiting.reached(guesses)
        if seconds is None:
            seconds = limiting.count(Limit("storefront", (customer,), settings.STOREFRONT_CUSTOMER_LIMIT))
    else:
        limit = Limit("storefront anonymous", (visitor or "",), settings.STOREFRONT_ANONYMOUS_LIMIT)
        seconds = limiting.count(limit)
    if seconds is not None:
        raise TooOften(seconds)
    return extension


def _tell_of_missing_secrets(extension: Extension | None) -> None:
    """Say in the log what else looks like so many wrong signatures."""
    if extension is not None and not any(map(signatures.is_set, extension.secret_variables)):
        names = ", ".join(extension.secret_variables) or "none is named"
        logger.warning("Extension %s: no environment variable with a shared secret is set (%s).", extension, names)
