"""Identifiers in their normal form. Pure text: no catalogue, no database (the rules are API.md 2's)."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable

import email_validator
import phonenumbers
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

MAX_LENGTH = 255

# Control, format, surrogate and unassigned characters: nobody can see them, type them or compare them by eye.
REFUSED_CATEGORIES = {"Cc", "Cf", "Cs", "Cn"}

# The letters and marks that Unicode's Default_Ignorable_Code_Point adds to those categories (fillers and variation
# selectors). They are drawn as nothing too, so that two identifiers that look equal would be two profiles.
INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)

# Text that PostgreSQL cannot keep and psycopg cannot send.
UNSTORABLE = re.compile("[\0\ud800-\udfff]")

NOT_DIGITS = re.compile("[^0-9]")

# What stands before the @ of nearly every address, and is taken as it is (RFC 5321, 4.1.2 and 4.5.3.1).
PLAIN_LOCAL_PART = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*")
PLAIN_DOMAIN = re.compile(r"[A-Za-z0-9.-]{1,253}")
LONGEST_LOCAL_PART = 64
LONGEST_ADDRESS = 254

# A number that a person may have typed, before the phone library is asked to read it; it would read far more.
LOOKS_LIKE_A_PHONE = re.compile(r"[+(]?[\d(][\d\s().\-\u2010-\u2015\u2212/]{3,40}")


def exact(text: str) -> str:
    return text.strip() if text.isascii() else unicodedata.normalize("NFC", text.strip())


def fold(text: str) -> str:
    """Case-fold under NFKC, repeated until it holds still: a single pass is not idempotent for a few characters."""
    if text.isascii():
        return text.lower().strip()
    while True:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).strip()
        if folded == text:
            return folded
        text = folded


def digits(text: str) -> str:
    """The decimal digits alone, whatever script they were written in; leading zeros stay."""
    if text.isascii():
        return NOT_DIGITS.sub("", text)
    return "".join(str(unicodedata.decimal(c)) for c in unicodedata.normalize("NFKC", text) if c.isdecimal())


def email(text: str) -> str:
    """An address as it is compared: domain in lower-case IDNA, the whole case-folded.

    Special top-level names are left alone where only tests use them; nothing asks the network.
    """
    local, _at, domain = text.strip().partition("@")
    if len(local) <= LONGEST_LOCAL_PART and PLAIN_LOCAL_PART.fullmatch(local):
        known = _plain_domain(domain)
        if known is not None and len(local) + 1 + len(known) <= LONGEST_ADDRESS:
            return f"{local.lower()}@{known}"
    return _read_email(exact(text))


@functools.lru_cache(maxsize=10_000)
def _plain_domain(domain: str) -> str | None:
    """The normal form of a domain of letters, digits, dots and hyphens, if it is one. Customers share a few of them,
    and to read an address takes fifty times as long as to look its domain up."""
    if not PLAIN_DOMAIN.fullmatch(domain):
        return None
    try:
        return _read_email(f"a@{domain}").removeprefix("a@")
    except ValidationError:
        return None


def _read_email(text: str) -> str:
    try:
        address = email_validator.validate_email(text, check_deliverability=False, test_environment=True)
    except email_validator.EmailNotValidError as error:
        raise ValidationError(_("This is not an e-mail address."), code="invalid_identifier") from error
    local = unicodedata.normalize("NFC", address.local_part.casefold())
    return f"{local}@{address.ascii_domain.lower()}"


def phone(text: str) -> str:
    """A number in E.164, read as the PHONE_REGION's when it carries no country code.

    An extension is refused: E.164 has no room for it, and two desks behind one number are not one person.
    """
    if not looks_like_a_phone(text):
        raise ValidationError(_("This is not a phone number."), code="invalid_identifier")
    try:
        number = phonenumbers.parse(text, settings.PHONE_REGION)
    except phonenumbers.NumberParseException as error:
        raise ValidationError(_("This is not a phone number."), code="invalid_identifier") from error
    if number.extension or not phonenumbers.is_possible_number(number):
        raise ValidationError(_("This is not a phone number."), code="invalid_identifier")
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    # "000123456" reads as +61 00123456, and that as +61 0123456: no number keeps a trunk prefix behind its country.
    if number.italian_leading_zero and phonenumbers.parse(e164) != number:
        raise ValidationError(_("This is not a phone number."), code="invalid_identifier")
    return e164


def looks_like_a_phone(text: str) -> bool:
    """Whether it is worth asking the phone library, for a write and a look-up alike: what one takes, both take."""
    return LOOKS_LIKE_A_PHONE.fullmatch(unicodedata.normalize("NFKC", text.strip()[:64])) is not None


def split_phone(e164: str) -> tuple[int, str]:
    """The country code and the national number of a normal form: "+61404123123" gives (61, "404123123")."""
    number = phonenumbers.parse(e164)
    return number.country_code or 0, phonenumbers.national_significant_number(number)


NORMALISERS: dict[str, Callable[[str], str]] = {
    "exact": exact,
    "fold": fold,
    "digits": digits,
    "email": email,
    "phone": phone,
}


def storable(text: str) -> str:
    """The text with U+FFFD for each NUL and each half of a surrogate pair: for saying what was refused."""
    return UNSTORABLE.sub("\ufffd", text)


def refuse_invisible(text: str) -> None:
    if text.isascii() and text.isprintable():
        return
    for character in text:
        if unicodedata.category(character) in REFUSED_CATEGORIES or INVISIBLE.match(character):
            raise ValidationError(
                _("The identifier contains an invisible character (U+%(code)04X)."),
                code="invalid_identifier",
                params={"code": ord(character)},
            )


def normalise(normaliser: str, text: str) -> str:
    """Bring an identifier to the normal form of its handle.

    In: one of NORMALISERS and the text as it was sent. Out: 1 to 255 characters. Raises ValidationError
    `invalid_identifier` for whatever has no normal form; whoever sent it must be told, since it can never match.
    """
    text = text.strip()
    refuse_invisible(text[: 2 * MAX_LENGTH])
    if len(text) > 2 * MAX_LENGTH:
        raise ValidationError(_("The identifier is longer than 255 characters."), code="invalid_identifier")
    normal = NORMALISERS[normaliser](text)
    if not normal:
        raise ValidationError(_("The identifier is empty."), code="invalid_identifier")
    if len(normal) > MAX_LENGTH:
        raise ValidationError(_("The identifier is longer than 255 characters."), code="invalid_identifier")
    return normal


def forms(text: str) -> dict[str, str | None]:
    """Every normal form that this text could be stored under, by normaliser; None where it has none.

    For look-ups, which refuse no value: what could not be stored is simply not found. The e-mail and phone readers
    are slow, so they are asked only for text of that shape.
    """
    plausible = {
        "exact": True,
        "fold": True,
        "digits": True,
        "email": "@" in text,
        "phone": looks_like_a_phone(text),
    }
    return {name: form(name, text) if plausible[name] else None for name in NORMALISERS}


def form(normaliser: str, text: str) -> str | None:
    """The normal form that this text would be stored under; None where it has none."""
    try:
        return normalise(normaliser, text)
    except ValidationError:
        return None
