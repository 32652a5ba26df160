"""Values of fields as the profile object shows them; merging keeps them as lists of what the columns hold."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

from identities.models import Identity
from omneo_identity.api.instants import instant_text
from profiles.merging.lineage import CUSTOM, PRIMARY, Value

# What the profile object has where there is nothing; of everything else that is null.
NOTHING: dict[str, Any] = {
    "first_name": "",
    "last_name": "",
    "email": "",
    "tags": [],
    "attributes.comms": {},
    "attributes.appearance": {},
    "attributes.dates": [],
}


class Values:
    """`values(name, value)` is the value on the wire.

    In: every field and value that will be asked for, since a primary identity is kept by its row and shown by its
    identifier. One statement, if there is one among them.
    """

    def __init__(self, told: Iterable[tuple[str, Value]]) -> None:
        keys = {value[0] for name, value in told if name == PRIMARY and value}
        rows = Identity.objects.filter(pk__in=keys) if keys else Identity.objects.none()
        self._identifiers = dict(rows.values_list("pk", "identifier"))

    def __call__(self, name: str, value: Value) -> Any:
        if not value:
            return NOTHING.get(name)
        if name.startswith(CUSTOM):
            _type, own, *_how = value
            return own
        shown = self._shown(name, value)
        return NOTHING.get(name) if shown in (None, "") else shown

    def _shown(self, name: str, value: Value) -> Any:
        if name == PRIMARY:
            return self._identifiers.get(value[0])
        if name == "birth_date":
            return _date(*value)
        if name == "joined_at":
            return instant_text(datetime.datetime.fromisoformat(value[0]))
        return value[0]


def _date(year: int | None, month: int | None, day: int | None) -> str:
    """As XML Schema writes dates of which not all is known: 1990-12-10, 1990-12, 1990, --12-10, --12, ---10."""
    text = "-" if year is None else f"{year:04d}"
    text += "-" if month is None else f"-{month:02d}"
    text += "" if day is None else f"-{day:02d}"
    return text.rstrip("-")
