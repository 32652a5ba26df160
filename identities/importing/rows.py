"""A row of a file, as an interface has read it, and what became of it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import DataError
from django.utils.translation import gettext as _

from identities import adding, routing
from identities.attributing import Named
from identities.handles import Sent
from identities.models import Extension
from profiles.auditing import By
from profiles.models import Profile
from profiles.refusing import Refused

logger = logging.getLogger(__name__)


def _nothing(profile: Profile) -> Mapping[str, Any]:
    return {}


@dataclass(slots=True)
class Row:
    """What stands in one row: what POST /profiles takes or, with a `profile_id`, what goes to that profile.

    `line` is where it begins in the file; `lines` and `end` are how many lines and bytes of the file are behind it,
    and `raw` is the row as it stood there. `change` gives what a PUT to the profile says, for `routing.update`; the
    contact points among it stand in `contact` too, so that later rows with the same ones are told. A row that could
    not be read has a `refusal`, and nothing else.
    """

    line: int
    lines: int
    end: int
    raw: Any
    sent: Sequence[Sent] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    contact: Mapping[str, str | None] = field(default_factory=dict)
    attributes: Sequence[Named] = ()
    profile_id: uuid.UUID | None = None
    change: Callable[[Profile], Mapping[str, Any]] = _nothing
    refusal: Refused | None = None


@dataclass(slots=True)
class Outcome:
    """What became of a row: `created`, `matched`, `attached`, `conflict` or `refused`.

    With the pairs that were set aside, or the reason of the refusal: code and sentence of each.
    """

    word: str
    refused: list[tuple[str, str]] = field(default_factory=list)


def write(row: Row, *, by: By, source: Extension | None) -> Outcome:
    """Bring one row in by the write path itself. Within a larger transaction it is a savepoint."""
    try:
        if row.refusal is not None:
            raise row.refusal
        if row.profile_id is not None:
            return _change(row, row.profile_id, by=by, source=source)
        return _route(row, by=by, source=source)
    except Refused as refusal:
        return Outcome("refused", [(refusal.code, str(refusal.message))])
    except Profile.DoesNotExist:
        return Outcome("refused", [("not_found", _("There is no such profile."))])
    except (DataError, ValueError, TypeError):
        # It would come again at each try, and the rows behind it would never get in.
        logger.exception("Line %d could not be brought in.", row.line)
        return Outcome("refused", [("server_error", _("This row met a fault of the product."))])


def _route(row: Row, *, by: By, source: Extension | None) -> Outcome:
    routed = routing.route(
        row.sent, fields=row.fields, contact=row.contact, attributes=row.attributes, by=by, source=source
    )
    return Outcome(
        routed.outcome,
        [(one["code"], f"{one['handle']} {one['identifier']}: {one['message']}") for one in routed.refused],
    )


def _change(row: Row, profile_id: uuid.UUID, *, by: By, source: Extension | None) -> Outcome:
    """As PUT of what the row names and POST of each of its pairs; a pair that is refused spoils none of the rest."""
    sent = row.change(Profile.objects.get(pk=profile_id))
    if any(sent.values()):
        routing.update(profile_id, **sent, by=by, source=source)
    outcome = Outcome("matched")
    for one in row.sent:
        try:
            added = adding.add(profile_id, one, by=by, source=source)
        except Refused as refusal:
            outcome.refused.append((refusal.code, f"{one.handle} {one.identifier}: {refusal.message}"))
        else:
            if added.created:
                outcome.word = "attached"
    return outcome
