"""The steps of a reaction (API.md 7): what each takes, what it does, and what it would do.

An argument is `{"name", "value", "is_dynamic"}`; a dynamic value is an expression in JSON Logic over the context, most
often `{"var": "path"}`. Where a delivery goes and which attribute is set are never dynamic: data of customers would
else decide where their own data go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from identities import attributing
from identities.attributing import Named
from profiles.auditing import By
from profiles.models import Action, Event, Reaction, Webhook
from profiles.reacting import conditions, contexts, outbox
from profiles.reacting.conditions import Fault
from profiles.refusing import Refused

FILTER, SEND, SET_ATTRIBUTE = Action.Name.FILTER, Action.Name.SEND, Action.Name.SET_ATTRIBUTE

# In whose name a reaction writes; which one it was stands where a token's name does.
ACCOUNT = "reactions"

LONGEST_URL = 2_048
# Of a body that is the same each time, as JSON.
MOST_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Parameter:
    """Whether an argument must be there, and whether its value may come out of the context."""

    is_required: bool = False
    may_be_dynamic: bool = False


PARAMETERS: dict[str, dict[str, Parameter]] = {
    FILTER: {"condition": Parameter(is_required=True)},
    SEND: {
        "url": Parameter(is_required=True),
        "body": Parameter(may_be_dynamic=True),
        "retry_hourly": Parameter(),
        "retry_daily": Parameter(),
        "queue": Parameter(),
    },
    SET_ATTRIBUTE: {
        "namespace": Parameter(is_required=True),
        "handle": Parameter(is_required=True),
        "value": Parameter(is_required=True, may_be_dynamic=True),
        "type": Parameter(),
    },
}


@dataclass(frozen=True, slots=True)
class TriedStep:
    """What an action does, or would do.

    `goes_on` says whether the next one follows; `is_reached` is false where an earlier one has not let it. `holds` is
    the answer of a filter; `url` and `body` are what is sent where; `attribute` is what is set, None where the value
    comes to nothing, which sets nothing. `reason` says why it could not be done, or answered.
    """

    action: Action
    is_reached: bool = True
    goes_on: bool = True
    holds: bool | None = None
    url: str = ""
    body: Any = None
    attribute: Named | None = None
    reason: str = ""


def fault(name: str, arguments: Sequence[Mapping[str, Any]]) -> Fault | None:
    """The first fault of the arguments of an action that somebody wants to keep: `/1/value` is the second's value."""
    if name not in PARAMETERS:
        known = ", ".join(PARAMETERS)
        return Fault("", _("There is no action %(name)s; there are %(known)s.") % {"name": name[:64], "known": known})
    given: dict[str, int] = {}
    for place, argument in enumerate(arguments):
        found = _shape_fault(name, argument, given)
        if found is not None:
            return Fault(f"/{place}{found.place}", found.message)
        given[argument["name"]] = place
    for parameter, rule in PARAMETERS[name].items():
        if rule.is_required and parameter not in given:
            return Fault("", _("The argument %(name)s is missing.") % {"name": parameter})
    for place, argument in enumerate(arguments):
        found = _value_fault(name, argument)
        if found is not None:
            return Fault(f"/{place}/value{found.place}", found.message)
    return _attribute_fault(arguments, given) if name == SET_ATTRIBUTE else None


def _shape_fault(name: str, argument: Any, given: Mapping[str, int]) -> Fault | None:
    if not isinstance(argument, Mapping) or not isinstance(argument.get("name"), str):
        return Fault("", _("An argument is an object with name, value and is_dynamic."))
    rule = PARAMETERS[name].get(argument["name"])
    if rule is None:
        known = ", ".join(PARAMETERS[name])
        words = {"action": name, "name": argument["name"][:64], "known": known}
        return Fault("/name", _("The action %(action)s takes no argument %(name)s; it takes %(known)s.") % words)
    if argument["name"] in given:
        return Fault("/name", _("This argument is there twice."))
    if not isinstance(argument.get("is_dynamic", False), bool):
        return Fault("/is_dynamic", _("This is true or false."))
    if argument.get("is_dynamic") and not rule.may_be_dynamic:
        return Fault("/is_dynamic", _("This value must be the same each time."))
    return None


def _value_fault(name: str, argument: Mapping[str, Any]) -> Fault | None:
    value: Any = argument.get("value")
    parameter = argument["name"]
    if argument.get("is_dynamic"):
        if not isinstance(value, dict):
            return Fault("", _('A dynamic value is an expression such as {"var": "identity.shopify.identifier"}.'))
        return conditions.value_fault(value)
    if parameter == "condition":
        return conditions.fault(value) if value is not None else Fault("", _("The condition is missing."))
    if parameter in ("retry_hourly", "retry_daily") and not isinstance(value, bool):
        return Fault("", _("This is true or false."))
    if parameter == "queue" and value not in (None, "", *Webhook.Queue.values):
        return Fault("", _("This is one of %(known)s, or null.") % {"known": ", ".join(Webhook.Queue.values)})
    if parameter in ("url", "namespace", "handle") and not (isinstance(value, str) and value):
        return Fault("", _("This is text, and not empty."))
    if parameter == "type" and not isinstance(value, str | None):
        return Fault("", _("This is text, or null."))
    if parameter == "url" and len(value) > LONGEST_URL:
        return Fault("", _("A URL has at most %(most)d characters.") % {"most": LONGEST_URL})
    if parameter == "body" and len(json.dumps(value)) > MOST_BYTES:
        return Fault("", _("This is too large."))
    return None


def _attribute_fault(arguments: Sequence[Mapping[str, Any]], given: Mapping[str, int]) -> Fault | None:
    """What is wrong with a name, a type, or a value that is the same each time: as whoever sets it by hand is told."""
    values: dict[str, Any] = {one["name"]: one.get("value") for one in arguments}
    if arguments[given["value"]].get("is_dynamic"):
        # Any text does for the name and the type.
        values |= {"value": "", "type": None}
        kind = next((one.get("value") for one in arguments if one["name"] == "type"), None)
        if kind is not None and kind not in attributing.TYPES:
            values["type"] = kind
    try:
        attributing.refuse_value(Named(values["namespace"], values["handle"], values["value"], values.get("type")))
    except Refused as refusal:
        return Fault(f"/{given[refusal.field or 'value']}/value", str(refusal.message))
    return None


def do(step: TriedStep, event: Event, context: Mapping[str, Any], body: str) -> None:
    """Do for an event what an action was found to do (`dry_run`), in the transaction of its taking up.

    In: what it sends, as it goes out. Raises Refused where it cannot be done.
    """
    action = step.action
    if step.reason or not step.is_reached:
        return
    if action.name == SEND:
        outbox.put(event, body, url=step.url, action=action)
    elif step.attribute is not None:
        profile_id = contexts.owner(event, context)
        if profile_id is None:
            raise Refused("profile_required", _("It is of no profile, so that there is none to write to."))
        attributing.put(profile_id, step.attribute, by=by(action), source=None)


def dry_run(
    reaction: Reaction, context: Mapping[str, Any], budget: conditions.Budget | None = None
) -> list[TriedStep]:
    """What each action of a reaction would do in this context, in their order. Nothing is written or sent.

    Each sees the context as it is given: no filter sees what an `attribute.set` before it would write. In: steps that
    this may take, with others.
    """
    budget = conditions.Budget() if budget is None else budget
    steps: list[TriedStep] = []
    for action in reaction.actions.all():
        if steps and not (steps[-1].is_reached and steps[-1].goes_on):
            steps.append(TriedStep(action, is_reached=False))
        else:
            steps.append(work_out(action, context, budget))
    return steps


def work_out(action: Action, context: Mapping[str, Any], budget: conditions.Budget) -> TriedStep:
    """What one action would do in this context, were it reached."""
    try:
        # One that was stored by other ways may be anything.
        found = fault(action.name, action.arguments)
        if found is not None:
            return TriedStep(action, goes_on=False, reason=str(found.message))
        if action.name == FILTER:
            holds, reason = conditions.answer(_constant(action, "condition"), context, budget)
            return TriedStep(action, goes_on=holds, holds=holds, reason=reason)
        if action.name == SEND:
            body = _value(action, "body", context, budget) if action.argument("body") else context
            return TriedStep(action, url=str(_constant(action, "url")), body=body)
        value = _value(action, "value", context, budget)
        if value is None:
            return TriedStep(action)
        namespace, handle, kind = (_constant(action, name) for name in ("namespace", "handle", "type"))
        return TriedStep(action, attribute=Named(str(namespace), str(handle), value, kind))
    except conditions.Unanswerable as error:
        return TriedStep(action, goes_on=False, reason=str(error))
    except Exception as error:
        return TriedStep(action, goes_on=False, reason=type(error).__name__)


def by(action: Action) -> By:
    """Who writes what a reaction writes: an account of its own, with which nobody can sign in.

    Raises Refused where somebody can: what a reaction has done would be told as theirs.
    """
    unusable = {"is_active": False, "password": make_password(None)}
    user, _created = User.objects.get_or_create(username=ACCOUNT, defaults=unusable)
    if user.is_active or user.has_usable_password():
        message = _("Reactions write as the account %(name)s, with which somebody can sign in: rename that account.")
        raise Refused("invalid", message % {"name": ACCOUNT})
    return By(user, token_name=f"reaction {action.reaction_id}")


def _constant(action: Action, name: str) -> Any:
    argument = action.argument(name)
    return argument.get("value") if argument is not None else None


def _value(action: Action, name: str, context: Mapping[str, Any], budget: conditions.Budget) -> Any:
    argument = action.argument(name) or {}
    value = argument.get("value")
    return conditions.value(value, context, budget) if argument.get("is_dynamic") else value
