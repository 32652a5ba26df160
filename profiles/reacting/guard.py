"""Where a delivery may go: to hosts of the outside world, and to what WEBHOOK_ALLOW names.

A target is an address that somebody has typed, and this process stands inside of the operator's network. Without the
guard a webhook to `http://169.254.169.254/` would hand the machine's credentials to whoever reads the answers.
"""

from __future__ import annotations

import ipaddress
import queue
import re
import socket
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from django.conf import settings
from django.utils.translation import gettext as _
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from profiles.refusing import Refused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PORTS = {"http": 80, "https": 443}

# Not characters: targets are found by an index, which takes no more than 2,704 bytes.
MOST_BYTES = 2048

# Of the registries of special purposes (IANA): what is not one host of the outside world.
REFUSED_4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        # The machine that runs this one, where that is Azure. The registries do not know of it.
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
# Nothing else of IPv6 is given out to hosts of the outside world; and within it these are not. Teredo and 6to4, which
# hold an address of IPv4, are among them: they lead through relays that nobody needs any more.
GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
REFUSED_6 = tuple(
    ipaddress.IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3ffe::/16", "3fff::/20")
)
# How a network without IPv4 reaches a host that has nothing else: the last 32 bits are its address.
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Forbidden(Exception):
    """An address that nothing is sent to."""


class Unknown(Exception):
    """A host of which no address is found in time."""


@dataclass(frozen=True, slots=True)
class Place:
    """A URL taken apart once, so that nobody reads it in another way: what is checked is what is asked."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def named(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def read(url: str, *, field: str = "url") -> Place:
    """Take the URL of a target apart. Asks nobody for the name of the host: that is done at each try.

    Raises Refused `invalid` where it is none, or where its host is written as an address that nothing is sent to.
    """
    message = _("Write a whole address, such as https://hooks.example.com/omneo.")
    if len(url.encode(errors="replace")) > MOST_BYTES or re.search(r"[\x00-\x20\x7f\\]", url):
        raise Refused("invalid", message, field=field)
    try:
        parts = parse_url(url)
    except LocationParseError as error:
        raise Refused("invalid", message, field=field) from error
    if parts.scheme not in PORTS or not (parts.host or "").strip("[].") or parts.port == 0 or "%" in str(parts.host):
        raise Refused("invalid", message, field=field)
    if parts.auth is not None:
        raise Refused(
            "invalid", _("An address with a name or a password in it is shown to staff: leave them out."), field=field
        )
    host = str(parts.host).strip("[]").rstrip(".")
    place = Place(parts.scheme, host, parts.port or PORTS[parts.scheme], parts.request_uri)
    try:
        check(place, _look_up(place.host, place.port, socket.AI_NUMERICHOST))
    except Forbidden as error:
        raise Refused("invalid", str(error), field=field) from error
    except UnicodeError as error:
        # A part of the name that is empty, or longer than any may be.
        raise Refused("invalid", message, field=field) from error
    except OSError:
        # A name, then.
        pass
    return place


def resolve(place: Place, *, timeout: float) -> list[Address]:
    """The addresses of the host, each of which may be sent to; connect to these and to no name.

    Raises Forbidden if a single one may not: a name that leads inside now and then is asked until it does. Raises
    Unknown.
    """
    found: queue.SimpleQueue[list[Address] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found.put(_look_up(place.host, place.port))
        except Exception as error:
            found.put(error)

    # The system's resolver cannot be told to stop, so that it is left behind when it takes too long.
    threading.Thread(target=ask, name="resolver", daemon=True).start()
    try:
        answer = found.get(timeout=timeout)
    except queue.Empty as error:
        raise Unknown(_("The name of the host was not resolved in time.")) from error
    if isinstance(answer, Exception):
        raise Unknown(_("There is no host of this name.")) from answer
    check(place, answer)
    return answer


def _look_up(host: str, port: int, flags: int = 0) -> list[Address]:
    """Also what a host may be called besides its address, `127.1` and `2130706433`, comes back as the address."""
    rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return list(dict.fromkeys(plain(ipaddress.ip_address(str(row[4][0]).partition("%")[0])) for row in rows))


def plain(address: Address) -> Address:
    """An address of IPv4 that is written as one of IPv6 is what it is."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def check(place: Place, addresses: Iterable[Address]) -> None:
    """Raises Forbidden if one of them may not be sent to."""
    hosts, networks = _allowed(tuple(settings.WEBHOOK_ALLOW))
    if place.host.lower() in hosts:
        return
    for address in addresses:
        if not is_outside(address) and not any(address in network for network in networks):
            raise Forbidden(
                _("The host has a private or reserved address; nothing is sent there unless WEBHOOK_ALLOW names it.")
            )


def is_outside(address: Address) -> bool:
    """Whether it is that of one host of the outside world."""
    address = plain(address)
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in REFUSED_4)
    if address in NAT64:
        return is_outside(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return address in GLOBAL_6 and not any(address in network for network in REFUSED_6)


@cache
def _allowed(entries: tuple[str, ...]) -> tuple[frozenset[str], tuple[Network, ...]]:
    hosts, networks = set(), []
    for entry in entries:
        try:
            networks.append(ipaddress.ip_network(entry, strict=False))
        except ValueError:
            hosts.add(entry.lower())
    return frozenset(hosts), tuple(networks)
