"""A record as an interface has read it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from identities.deciding import PROFILE_ID
from identities.handles import Sent


@dataclass(frozen=True, slots=True)
class Incoming:
    """A record as it came in: its columns, its items, and whom it names.

    `sent` are the pairs in the order of API.md 4: that of `profile_id_handle`, then `identities[]`. `named` is the
    profile id, `bare` an identifier without a handle. `identity_id` is the identity by which a customer was signed in
    who is `named`: it brings the record, but takes it nowhere else.
    """

    fields: Mapping[str, Any]
    items: Sequence[Mapping[str, Any]] | None = None
    sent: Sequence[Sent] = ()
    named: uuid.UUID | None = None
    bare: str | None = None
    identity_id: int | None = None

    @property
    def pairs(self) -> list[dict[str, str]]:
        """The identities as they were sent, for the record and the log to keep."""
        bare = [] if self.bare is None else [Sent("", self.bare)]
        return [{"handle": one.handle, "identifier": one.identifier} for one in (*self.sent, *bare)]

    def payload(self) -> dict[str, Any]:
        """The whole of it, for the log."""
        named = {} if self.named is None else {PROFILE_ID: self.named}
        items = {} if self.items is None else {"items": list(self.items)}
        return {"identities": self.pairs, **named, **_without_zeros({**self.fields, **items})}


def _without_zeros(value: Any) -> Any:
    """The same with amounts as people write them: 313.5, and not 313.500000."""
    match value:
        case Decimal():
            return Decimal(format(value.normalize(), "f"))
        case dict():
            return {name: _without_zeros(inner) for name, inner in value.items()}
        case list():
            return [_without_zeros(inner) for inner in value]
    return value
