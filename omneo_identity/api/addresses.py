"""Whose request it is, as an IP address: for the audit, and for the limit on failed logins."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from django.http import HttpRequest
    from rest_framework.request import Request

# What one owner of IPv6 addresses has at least, to call from.
IPV6_PREFIX = 64

# As some proxies write it: 203.0.113.7:52044 or [2001:db8::7]:52044.
WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d+)?|([^:]*):\d+")


def client_address(request: HttpRequest | Request, *, more_proxies: int = 0) -> str | None:
    """The client's address, past the trusted proxies of the settings; None where there is none, as on a Unix socket.

    Each proxy appends whom it heard from to X-Forwarded-For. The last PROXIES entries are therefore our proxies' word,
    and the first of those is the client; what stands before is whatever the client cared to send. With fewer entries
    than proxies the request did not come through all of them, and only the connection itself can be believed.

    In: how many proxies of somebody else's stand before ours and are believed, as far as they say anything.
    """
    entries = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    for proxies in (settings.PROXIES + more_proxies, settings.PROXIES):
        if 0 < proxies <= len(entries) and (forwarded := _parsed(entries[-proxies])):
            return forwarded
    return _parsed(request.META.get("REMOTE_ADDR", ""))


def network(address: str | None) -> str | None:
    """Whose an address is, for a limit: an IPv4 address, or a network of IPv6, whose owner has all addresses in it."""
    if address is None or "." in address:
        return address
    return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False).network_address)


def _parsed(text: str) -> str | None:
    """The address in the one form in which the database takes it: no port, no zone, no IPv4 dressed as IPv6."""
    text = text.strip()
    if found := WITH_PORT.fullmatch(text):
        text = found[1] or found[2]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)
