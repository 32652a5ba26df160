"""What webhooks and reactions do, in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from profiles.events import KNOWN
from profiles.models import Action, Delivery
from profiles.reacting import actions

# Waiting deliveries are counted no further.
MOST_COUNTED = 10_000
MOST_CHARACTERS = 80

NOUNS = {
    "profile": gettext_lazy("Profile"),
    "identity": gettext_lazy("Identity"),
    "transaction": gettext_lazy("Transaction"),
    "interaction": gettext_lazy("Interaction"),
    "balance": gettext_lazy("Balance"),
    "duplicate": gettext_lazy("Possible duplicate"),
}


def choices_of_triggers(kept: str = "") -> list[Any]:
    """The triggers that fire, by what they are about, and the one that is stored, which may be another."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for trigger in KNOWN:
        groups.setdefault(trigger.partition(".")[0], []).append((trigger, trigger))
    choices: list[Any] = [(NOUNS.get(noun, noun), rows) for noun, rows in groups.items()]
    if kept and kept not in KNOWN:
        choices.append((kept, _("%(trigger)s (unknown, never fires)") % {"trigger": kept}))
    return choices


def trigger_shown(trigger: str) -> SafeString:
    badge = "" if trigger in KNOWN else format_html(' <span class="badge warn">{}</span>', _("never fires"))
    return format_html('<span class="handle">{}</span>{}', trigger, badge)


def state(is_active: bool) -> SafeString:
    kind, text = ("ok", _("on")) if is_active else ("muted", _("off"))
    return format_html('<span class="badge {}">{}</span>', kind, text)


def logic(value: Any, most: int = MOST_CHARACTERS) -> SafeString:
    """JSON in one line, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return format_html('<code class="identifier">{}</code>', Truncator(text).chars(most))


def sentence(action: Action) -> SafeString:
    """What an action does, and to what."""
    given = {one["name"]: one for one in action.arguments}
    match action.name:
        case actions.FILTER:
            return format_html(_("Go on only if {condition}"), condition=logic(_value(given, "condition")))
        case actions.SEND:
            what = logic(_value(given, "body")) if "body" in given else _("all that the event shows")
            where = format_html('<span class="identifier">{}</span>', _value(given, "url"))
            return format_html(_("Send {what} to {where}"), what=what, where=where)
        case _:
            name = f"{_value(given, 'namespace')}:{_value(given, 'handle')}"
            shown = format_html('<span class="identifier">{}</span>', name)
            return format_html(_("Set {name} to {value}"), name=shown, value=logic(_value(given, "value")))


def _value(given: Mapping[str, Mapping[str, Any]], name: str) -> Any:
    return given.get(name, {}).get("value")


def what_waits(waiting: QuerySet[Delivery]) -> str:
    """How much is on its way, and what becomes of it when that is deleted which it is for."""
    number = waiting[: MOST_COUNTED + 1].count()
    if not number:
        return _("Nothing of it is waiting to be sent.")
    told = ngettext(
        "%(number)s delivery of it is still waiting to be sent. It is given up.",
        "%(number)s deliveries of it are still waiting to be sent. They are given up.",
        number,
    )
    more = number > MOST_COUNTED
    return told % {"number": f"{MOST_COUNTED:,}+" if more else f"{number:,}"}


def fragment(value: Any, place: str) -> str:
    """What stands at a place of a condition, in a few words; nothing where there is no such place."""
    for step in place.split("/")[1:]:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isascii() and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, dict) or step != "0":
            # A single argument may stand without its list.
            return ""
    return Truncator(json.dumps(value, ensure_ascii=False)).chars(MOST_CHARACTERS)


def placed(message: str, place: str, value: Any = None) -> SafeString | str:
    """The sentence of a fault with the place in the condition where it is, and what stands there."""
    if not place:
        return message
    there = fragment(value, place)
    if not there:
        return format_html(_("At {place}: {message}"), place=_code(place), message=message)
    return format_html(_("At {place}, {there}: {message}"), place=_code(place), there=_code(there), message=message)


def _code(text: str) -> SafeString:
    return format_html("<code>{}</code>", text)
