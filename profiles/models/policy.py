"""What merging, undo, split and erasure do with a row that refers to a profile or an identity (DESIGN 5).

Every model with such a foreign key says it beside its fields, in `references`, so that none can be forgotten: a
system check fails where it is not said, and merging reads nothing else.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from django.apps import apps
from django.db import models


class Does(enum.Enum):
    """MOVES: goes to the other profile, and home again. MOVES_UNLESS_HELD: the survivor takes it where it has none of
    its own by that name. STAYS: as history; erasure empties the reference. DIES: is deleted together with the profile.
    """

    MOVES = "moves"
    MOVES_UNLESS_HELD = "moves unless the survivor has one"
    STAYS = "stays"
    DIES = "dies"


MOVES, MOVES_UNLESS_HELD, STAYS, DIES = Does.MOVES, Does.MOVES_UNLESS_HELD, Does.STAYS, Does.DIES


@dataclass(frozen=True, slots=True)
class Policy:
    """What each of the four does with the rows of one foreign key."""

    merge: Does
    undo: Does
    split: Does
    erase: Does


# A row that is of the profile, wherever that is; one that only tells of it; one that says which identity brought it.
OF_PROFILE = Policy(merge=MOVES, undo=MOVES, split=MOVES, erase=DIES)
HISTORY_OF_PROFILE = Policy(merge=STAYS, undo=STAYS, split=STAYS, erase=DIES)
MENTION = Policy(merge=STAYS, undo=STAYS, split=STAYS, erase=STAYS)

References = dict[str, Policy]


def references_to(model: type[models.Model]) -> Iterator[tuple[type[models.Model], str, Policy | None]]:
    """Every foreign key to this model, of every installed app: the model that has it, its name, the declared policy.

    Proxies and abstract models have no rows of their own. Many-to-many tables are models, too.
    """
    for one in apps.get_models(include_auto_created=True):
        if one._meta.proxy:
            continue
        for field in one._meta.local_fields:
            if isinstance(field, models.ForeignKey) and field.related_model is model:
                yield one, field.name, getattr(one, "references", {}).get(field.name)


def moving(model: type[models.Model]) -> list[tuple[type[models.Model], str]]:
    """The foreign keys to this model whose rows a merge moves, in the order of their tables."""
    found = [(one, name) for one, name, policy in references_to(model) if policy is not None and policy.merge is MOVES]
    return sorted(found, key=lambda reference: (reference[0]._meta.db_table, reference[1]))


def dying(model: type[models.Model]) -> dict[type[models.Model], list[str]]:
    """The other models whose rows an erasure deletes together with one of this model, each with the foreign keys that
    say with which."""
    found: dict[type[models.Model], list[str]] = {}
    for one, name, policy in references_to(model):
        if policy is not None and policy.erase is DIES and one is not model:
            found.setdefault(one, []).append(name)
    return found
