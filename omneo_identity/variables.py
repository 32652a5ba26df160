"""How settings are read from the environment: a wrong value is an error in a sentence that says what to write."""

from __future__ import annotations

import base64
import ipaddress
import re
import zoneinfo
from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

import phonenumbers
from django.core.exceptions import ImproperlyConfigured
from environ.fileaware_mapping import FileAwareMapping

T = TypeVar("T")
D = TypeVar("D")

# Read as text: the casts of environ.Env take DEBUG=flase for False, and a password that begins with $ for a name.
environment = FileAwareMapping(cache=False)

HOW_TO_MAKE_ONE = "This prints a secret: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"


def text(name: str) -> str:
    try:
        return str(environment.get(name, "")).strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE cannot be read: {error}.") from None


def read(name: str, parse: Callable[[str], T], expected: str, default: D) -> T | D:
    """The variable's value, or its default when unset or empty."""
    raw = text(name)
    if not raw:
        return default
    try:
        return parse(raw)
    except (LookupError, ValueError):
        raise ImproperlyConfigured(f"{name} is {raw!r}: write {expected}.") from None


def flag(name: str, *, default: bool) -> bool:
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    return read(name, lambda raw: words[raw.lower()], "true or false", default)


def number(name: str, *, least: int, default: D) -> int | D:
    def parse(raw: str) -> int:
        if int(raw) < least:
            raise ValueError(raw)
        return int(raw)

    return read(name, parse, f"a whole number, {least} or more", default)


def choice(name: str, *known: str, default: str) -> str:
    return read(name, lambda raw: known[known.index(raw)], f"one of {', '.join(known)}", default)


def listed(name: str, *, pattern: str, expected: str, default: list[str]) -> list[str]:
    def parse(raw: str) -> list[str]:
        values = [value.strip() for value in raw.split(",") if value.strip()]
        if not all(re.fullmatch(pattern, value) for value in values):
            raise ValueError(raw)
        return values

    return read(name, parse, expected, default)


def region(raw: str) -> str:
    if raw not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(raw)
    return raw


def amount(raw: str) -> Decimal:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", raw):
        raise ValueError(raw)
    return Decimal(raw)


def word(raw: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", raw):
        raise ValueError(raw)
    return raw


def zone(raw: str) -> str:
    return zoneinfo.ZoneInfo(raw).key


def header(raw: str) -> tuple[str, str]:
    """A proxy's header in the form of SECURE_PROXY_SSL_HEADER: X-Forwarded-Proto says `https` of a secure request."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z-]*", raw):
        raise ValueError(raw)
    return f"HTTP_{raw.upper().replace('-', '_')}", "https"


def signing_keys(name: str) -> dict[str, str]:
    """Keys by their ids, the one that signs first. What is wrong is not repeated: it is a secret."""
    pairs = [pair.strip().partition(":") for pair in text(name).split(",") if pair.strip()]
    keys = {key_id: secret for key_id, _colon, secret in pairs}
    if len(keys) < len(pairs) or not all(
        re.fullmatch(r"[A-Za-z0-9._-]{1,64}", key_id) and re.fullmatch(r"[!-~]{32,}", secret)
        for key_id, secret in keys.items()
    ):
        raise ImproperlyConfigured(
            f"{name} is not right: write id:secret, or several of them separated by commas, each with an id of its "
            f"own and a secret of at least 32 characters. {HOW_TO_MAKE_ONE}"
        )
    return keys


def shared_secrets(name: str) -> list[str]:
    """What others know too, the one that signs first. What is wrong is not repeated."""
    values = [value.strip() for value in text(name).split(",") if value.strip()]
    try:
        for value in values:
            encoded = value.removeprefix("whsec_")
            if not re.fullmatch(r"[!-~]{16,}", encoded):
                raise ValueError
            if encoded != value:
                base64.b64decode(f"{encoded}{'=' * (-len(encoded) % 4)}", validate=True)
    except ValueError:
        raise ImproperlyConfigured(
            f"{name} is not right: write a secret of at least 16 characters, or several of them separated by commas; "
            "what follows whsec_ must be base64."
        ) from None
    return values


def digest_key(name: str) -> str:
    """What digests are keyed with; empty without any. What is wrong is not repeated."""
    key = text(name)
    if key and len(key) < 32:
        raise ImproperlyConfigured(
            f"{name} is not right: write a secret of at least 32 characters. Who has the digests could otherwise find "
            f"a short one by trying, and read all that they were to hide. {HOW_TO_MAKE_ONE}"
        )
    return key


def hosts(raw: str) -> list[str]:
    values = [value.strip() for value in raw.split(",") if value.strip()]
    for value in values:
        if not re.fullmatch(r"(?!-)[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", value) or re.fullmatch(r"[0-9.]+", value):
            ipaddress.ip_network(value, strict=False)
    return values
