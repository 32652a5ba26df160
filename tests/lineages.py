"""Profiles that are to become one, of whom each has something that the others lack."""

from __future__ import annotations

from typing import Any

from identities import attributing, routing
from identities.attributing import Named
from identities.models import Identity
from profiles.auditing import By
from profiles.models import Profile, Transaction
from tests.cast import came, known, pairs_of, records_of, value_of


def four(by: By) -> dict[str, Profile]:
    """A, B, C and D, the earlier-created first."""
    cast = {
        "A": known("loyalty-card:1", by=by, first_name="A"),
        "B": known(
            "loyalty-card:2",
            by=by,
            first_name="B",
            gender="of B",
            birth_year=1902,
            attributes={"comms": {"email": "B"}},
        ),
        "C": known(
            "loyalty-card:3",
            by=by,
            first_name="C",
            gender="of C",
            company="of C",
            email="c@example.com",
            attributes={"comms": {"email": "C"}, "appearance": {"hair": "C"}},
        ),
        "D": known(
            "loyalty-card:4",
            by=by,
            first_name="D",
            gender="of D",
            company="of D",
            mobile_phone="+61404123125",
            birth_month=2,
            tags=["d"],
        ),
    }
    for letter, pair in (("B", "2"), ("D", "4")):
        row = Identity.objects.get(handle="loyalty-card", identifier=pair)
        routing.change(row.pk, is_primary=True, by=by, source=None)
        attributing.put(cast[letter].pk, Named("size", "hat", letter), by=by, source=None)
    attributing.put(cast["C"].pk, Named("size", "shoe", "C"), by=by, source=None)
    for pair in "1234":
        came(Transaction, f"loyalty-card:{pair}", by=by)
    return cast


def result_of(survivor: Profile) -> dict[str, Any]:
    names = ["first_name", "gender", "company", "email", "mobile_phone", "birth_year", "tags", "attributes"]
    primary = survivor.identities.filter(is_primary=True).values_list("identifier", flat=True)
    return {
        **{name: value_of(survivor, name) for name in names},
        "pairs": pairs_of(survivor),
        "from": sorted(survivor.identities.values_list("identifier", "merged_from__first_name")),
        "primary": list(primary),
        "custom": sorted(survivor.custom_attributes.values_list("handle", "value")),
        "records": len(records_of(survivor)),
    }
