"""Money and points in words: exact, in groups of three, and with no more places than they have."""

from __future__ import annotations

from decimal import Decimal

from django.utils.formats import number_format
from django.utils.translation import ngettext

CENTS = 2


def exact(number: Decimal, places: int = 0) -> str:
    """The number with at least so many places, and with all that it has: nothing is rounded."""
    # In plain digits: a normalised hundred would else be 1E+2.
    decimals = f"{number.normalize():f}".partition(".")[2]
    return number_format(number, decimal_pos=max(places, len(decimals)), force_grouping=True)


def money(number: Decimal, currency: str = "") -> str:
    """ "AUD 1,234.50", or the number alone where no currency is known."""
    # Neither the currency nor the sign may be left behind at the end of a line.
    return f"{currency}\N{NO-BREAK SPACE}{exact(number, CENTS)}" if currency else exact(number, CENTS)


def points(number: Decimal) -> str:
    text = ngettext("%(number)s point", "%(number)s points", 1 if number == 1 else 2)
    return text % {"number": exact(number)}
