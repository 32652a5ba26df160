"""A shop platform and its storefront, which sign as the platform's own documentation says.

Written from shopify.dev, "Authenticate app proxies", and from API.md 6, without anything of the product's. Its signer
takes the query apart with a parser of its own.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from django.test import Client

# Long enough to be one, and easy to find where it must not be.
SECRET, OLD_SECRET = "shpss-5ecret-0f-the-storefront", "shpss-0ld-5ecret-0f-the-storefront"  # noqa: S105
VARIABLE, OLD_VARIABLE = "TESTED_SHOP_SECRET", "TESTED_SHOP_SECRET_BEFORE"

PROXY, PROXY_TOO, TOKEN = "/apps/cx", "/shopify/api/v1/apps/cx", "/shopify/api/v1/auth/token"
SHOP = "omneo-test.myshopify.com"

Parameter = tuple[str | bytes, str | bytes]


def signature_of_id(customer: str, secret: str = SECRET) -> str:
    return hmac.digest(secret.encode(), customer.encode(), "sha256").hex()


def signature_of_query(query: str, secret: str = SECRET) -> str:
    """The signature of a query as it is sent, whose own parameter `signature` is not part of it."""
    collected: dict[bytes, list[bytes]] = {}
    for piece in query.split("&"):
        if piece:
            name, _equals, value = (unquote_to_bytes(part.replace("+", " ")) for part in piece.partition("="))
            collected.setdefault(name, []).append(value)
    collected.pop(b"signature", None)
    lines = [b"%b=%b" % (name, b",".join(values)) for name, values in collected.items()]
    return hmac.digest(secret.encode(), b"".join(sorted(lines)), "sha256").hex()


def escaped(parameters: Iterable[Parameter]) -> str:
    def escape(text: str | bytes) -> str:
        return quote_from_bytes(text if isinstance(text, bytes) else text.encode(), safe="")

    return "&".join(f"{escape(name)}={escape(value)}" for name, value in parameters)


def passed_on(
    customer: str | bytes = "",
    *extra: Parameter,
    secret: str = SECRET,
    age: float = 0,
    timestamp: str | None = None,
    without: str = "",
) -> str:
    """The query of a visitor's request as the platform passes it on: with theirs, its own, and the signature.

    `without` one of its own parameters, if that is named.
    """
    its_own: dict[str, Any] = {
        "shop": SHOP,
        "logged_in_customer_id": customer,
        "path_prefix": "/apps/cx",
        "timestamp": str(int(time.time() - age)) if timestamp is None else timestamp,
    }
    its_own.pop(without, None)
    query = escaped([*extra, *its_own.items()])
    return f"{query}&signature={signature_of_query(query, secret)}"


def visit(query: str, path: str = PROXY, **how: Any) -> Any:
    """A request that comes by the platform's proxy."""
    return Client(**how).get(f"{path}?{query}")


def sign_in(customer: Any, signature: Any = None, *, secret: str = SECRET, **how: Any) -> Any:
    """A request of the storefront's page itself, with what it has of its customer."""
    if signature is None:
        signature = signature_of_id(str(customer), secret)
    return Client(**how).post(TOKEN, {"id": customer, "signature": signature}, "application/json")
