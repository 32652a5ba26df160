"""The scopes of the API in plain words, by what they are about, for those who hand out tokens."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from omneo_identity.api.auth import SCOPES


@dataclass(frozen=True, slots=True)
class Group:
    """Scopes about one thing: a title, the words for each scope, and what people would not expect."""

    title: Any
    words: dict[str, Any]
    hint: Any = ""


GROUPS = (
    Group(
        _("Profiles"),
        {
            "read-profiles": _("Read profiles"),
            "create-profiles": _("Add profiles"),
            "update-profiles": _("Change profiles"),
            "delete-profiles": _("Delete profiles"),
            "merge-profiles": _("Merge profiles"),
            "unmerge-profiles": _("Undo merges of profiles"),
        },
        _("Who changes profiles also adds, changes, moves and deletes their identities."),
    ),
    Group(
        _("Identities"),
        {
            "read-identities": _("Look up identities, and the profiles that they name"),
            "create-identities": _("Add identities"),
            "update-identities": _("Change and move identities"),
            "delete-identities": _("Delete identities"),
        },
        _("A reserved handle is still written by its own extension only."),
    ),
    Group(
        _("Transactions"),
        {
            "read-transactions": _("Read transactions"),
            "create-transactions": _("Add transactions"),
            "update-transactions": _("Change transactions"),
            "delete-transactions": _("Delete transactions"),
        },
    ),
    Group(
        _("Interactions"),
        {
            "read-interactions": _("Read interactions"),
            "create-interactions": _("Add interactions"),
            "update-interactions": _("Change interactions"),
            "delete-interactions": _("Delete interactions"),
        },
    ),
    Group(
        _("Points"),
        {
            "read-points": _("Read points"),
            "create-points": _("Add points"),
            "update-points": _("Change points"),
            "delete-points": _("Delete points"),
        },
    ),
    Group(
        _("Rewards"),
        {
            "read-rewards": _("Read rewards"),
            "create-rewards": _("Add rewards"),
            "update-rewards": _("Change rewards"),
            "delete-rewards": _("Delete rewards"),
        },
    ),
    Group(
        _("Webhooks"),
        {
            "read-webhooks": _("Read webhooks"),
            "create-webhooks": _("Add webhooks"),
            "update-webhooks": _("Change webhooks"),
            "delete-webhooks": _("Delete webhooks"),
        },
        _("Who adds or changes one also needs to read profiles, and the records that it tells of."),
    ),
    Group(
        _("Triggers"),
        {
            "read-triggers": _("Read triggers"),
            "create-triggers": _("Add triggers"),
            "update-triggers": _("Change triggers"),
            "delete-triggers": _("Delete triggers"),
        },
        _("Who adds or changes one also needs to read what it tells of, and to change profiles if it does."),
    ),
    Group(
        _("Handle catalogue"),
        {
            "read-handles": _("Read the catalogue"),
            "create-handles": _("Add handles"),
            "update-handles": _("Change handles"),
            "delete-handles": _("Delete handles"),
        },
    ),
    Group(
        _("Oversight and sign-in"),
        {
            "read-audits": _("Read the audit and the routing log"),
            "issue-id-tokens": _("Issue tokens to customers, for their own profile"),
        },
    ),
)
WORDS = {scope: words for group in GROUPS for scope, words in group.words.items()}


@dataclass(frozen=True, slots=True)
class Preset:
    """Scopes that are often wanted together; the form begins with their boxes ticked."""

    label: Any
    scopes: frozenset[str]


LOOK_UP = frozenset({"read-profiles", "read-identities", "read-handles"})
PRESETS = {
    "look-up": Preset(_("Look up only"), LOOK_UP),
    "write": Preset(
        _("Look up and write"),
        LOOK_UP | {f"{verb}-{noun}" for verb in ("create", "update") for noun in ("profiles", "identities")},
    ),
    "everything": Preset(_("Everything"), frozenset(SCOPES)),
}


@dataclass(frozen=True, slots=True)
class Granted:
    """One scope as a page shows it; without words, it is one that nothing here asks for."""

    scope: str
    words: Any


def grouped(scopes: Collection[str]) -> list[tuple[Any, list[Granted]]]:
    """These scopes in their groups, in the catalogue's order; those that are not known here come last."""
    held = set(scopes)
    found: list[tuple[Any, list[Granted]]] = [
        (group.title, [Granted(scope, words) for scope, words in group.words.items() if scope in held])
        for group in GROUPS
    ]
    unknown = [Granted(scope, "") for scope in sorted(held.difference(WORDS))]
    return [(title, granted) for title, granted in [*found, (_("Not known here"), unknown)] if granted]


def summed_up(scopes: Sequence[str], most: int = 2) -> str:
    """The scopes in a line: all of them, the first few and how many more, or none."""
    if set(SCOPES) <= set(scopes):
        return str(_("everything"))
    words = [str(WORDS[scope]) for scope in WORDS if scope in scopes]
    if not words:
        return str(_("nothing"))
    shown = ", ".join(words[:most])
    rest = len(words) - most
    return str(_("%(first)s and %(rest)s more") % {"first": shown, "rest": rest}) if rest > 0 else shown
