"""Who listens to what happens: webhooks, and reactions with their actions. What is wrong with one is said when saved.

Each change is audited. What was on its way for a webhook or an action that is deleted is given up by whoever sends it:
whoever takes a webhook away wants its address to get no more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from profiles import auditing
from profiles.auditing import By
from profiles.inserting import is_same
from profiles.models import Action, Audit, Delivery, Reaction, Webhook
from profiles.reacting import actions, conditions, guard
from profiles.refusing import Refused

MOST_ACTIONS = 50

# As far as the column goes. Of two with the same, the older one is first.
LAST = 2**31 - 1

# Active ones of one trigger, webhooks and reactions together: each event of it asks all of them.
MOST_LISTENERS = 100

# Waiting deliveries are counted no further.
MOST_COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class Step:
    """An action as it is to be: columns of it that are named, of the one of this key, or of a new one.

    Of one that is there, `arguments` changes those of its arguments that it names, None for one that goes, and leaves
    the others as they are by then; among the columns they are all of them.
    """

    fields: Mapping[str, Any]
    pk: int | None = None
    arguments: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)


def add_webhook(fields: Mapping[str, Any], *, by: By) -> Webhook:
    """Have each event of a trigger sent to an address, on behalf of whoever adds it.

    In: columns of Webhook. Raises Refused `invalid_condition`, `too_many_listeners`, and `invalid` for its address.
    """
    with transaction.atomic():
        row = Webhook(**fields, user=by.user)
        _check(row)
        _bound_listeners(row)
        row.save(force_insert=True)
        auditing.write([auditing.entry("created", row, by=by, new=fields)])
        return row


def change_webhook(pk: int, fields: Mapping[str, Any], *, by: By) -> Webhook:
    """Change the columns that are named. What is on its way already goes where, and as, it was to go.

    With another address it is sent on behalf of whoever said so: it is theirs to answer for, and stops when they do.
    Raises Webhook.DoesNotExist, and Refused as `add_webhook`.
    """
    with transaction.atomic():
        row = Webhook.objects.select_for_update(no_key=True).get(pk=pk)
        if fields.get("url", row.url) != row.url:
            fields = {**fields, "user_id": by.user.pk}
        if entries := _set(row, fields, by=by):
            _check(row)
            if not {"trigger", "is_active"}.isdisjoint(entries[0].new_values):
                _bound_listeners(row)
            row.save(force_update=True)
            auditing.write(entries)
        return row


def delete_webhook(pk: int, *, by: By) -> None:
    """Send nothing more to its address: what is on its way is given up. Raises Webhook.DoesNotExist."""
    with transaction.atomic():
        # Whoever makes a delivery of it has locked its key (`taking_up`), and is waited for, so that none is left.
        row = Webhook.objects.select_for_update().get(pk=pk)
        auditing.write([auditing.entry("deleted", row, by=by, old={"trigger": row.trigger, "url": row.url})])
        row.delete()


def add_reaction(fields: Mapping[str, Any], steps: Sequence[Step] = (), *, by: By) -> Reaction:
    """Have actions done, one after the other, on each event of a trigger.

    In: columns of Reaction, and the actions, whose keys say nothing here. An action without a `sort_order` comes
    after those before it. Raises Refused `too_many_actions`, `invalid_argument` and those of `add_webhook`; the field
    says of which action, such as `actions.0.arguments`.
    """
    with transaction.atomic():
        row = Reaction(**fields)
        _bound_listeners(row)
        row.save(force_insert=True)
        entries = [auditing.entry("created", row, by=by, new=fields)]
        entries += _act(row, [Step(step.fields) for step in steps], by=by)
        auditing.write(entries)
        return row


def change_reaction(
    pk: int,
    fields: Mapping[str, Any],
    steps: Sequence[Step] | None = None,
    *,
    gone: Collection[int] | None = None,
    by: By,
) -> Reaction:
    """Change the columns that are named, and the actions if they are.

    In: `gone`, the keys of the actions to delete; None for each that the steps do not name. Raises
    Reaction.DoesNotExist, Refused `unknown_action` for a step whose key is no action's of this reaction, and those of
    `add_reaction`.
    """
    with transaction.atomic():
        row = Reaction.objects.select_for_update(no_key=True).get(pk=pk)
        entries = _set(row, fields, by=by)
        if entries and not {"trigger", "is_active"}.isdisjoint(entries[0].new_values):
            _bound_listeners(row)
        if steps is not None:
            entries += _act(row, steps, gone=gone, by=by)
        if entries:
            row.updated_at = timezone.now()
            row.save(force_update=True)
            auditing.write(entries)
        return row


def add_action(pk: int, fields: Mapping[str, Any], *, by: By) -> Action:
    """Add one action to a reaction, the last unless its `sort_order` says otherwise.

    Raises Reaction.DoesNotExist, and Refused as `add_reaction`, the field without `actions.0`.
    """
    with transaction.atomic():
        row = Reaction.objects.select_for_update(no_key=True).get(pk=pk)
        _bound(row.actions.count() + 1)
        last: int | None = row.actions.aggregate(last=Max("sort_order"))["last"]
        action = Action(reaction=row, **{"sort_order": 0 if last is None else min(last + 1, LAST), **fields})
        check_action(action.name, action.arguments)
        action.save(force_insert=True)
        row.updated_at = timezone.now()
        row.save(update_fields=["updated_at"])
        auditing.write([_told(action, fields, by=by)])
        return action


def delete_reaction(pk: int, *, by: By) -> None:
    """Do none of its actions any more: what it has on its way is given up. Raises Reaction.DoesNotExist."""
    with transaction.atomic():
        row = Reaction.objects.select_for_update().get(pk=pk)
        # Whoever makes a delivery by one of them is waited for, as in `delete_webhook`.
        list(row.actions.select_for_update().order_by("pk"))
        auditing.write([auditing.entry("deleted", row, by=by, old={"name": row.name, "trigger": row.trigger})])
        row.delete()


def waiting_for(row: Webhook | Reaction | Action) -> QuerySet[Delivery]:
    """What is on its way because of it."""
    waiting = Delivery.objects.filter(state=Delivery.State.WAITING).order_by()
    if isinstance(row, Webhook):
        return waiting.filter(webhook=row)
    return waiting.filter(action=row) if isinstance(row, Action) else waiting.filter(action__reaction=row)


def check_action(name: str, arguments: Sequence[Mapping[str, Any]], field: str = "") -> None:
    """Refuse an action that could not be done as it is meant, whatever happens.

    In: `field`, what stands before `arguments` in the field of the refusal. Raises Refused `invalid_argument` with the
    place of the fault in the value of the argument, and `invalid` for an address that nothing may be sent to.
    """
    fault = actions.fault(name, arguments)
    if fault is not None:
        # The first two of its place say which argument it is, and which part of that.
        _nothing, *places = fault.place.split("/")
        told = ".".join([f"{field}arguments", *places[:2]])
        raise Refused("invalid_argument", fault.message, field=told, place="".join(f"/{one}" for one in places[2:]))
    for place, argument in enumerate(arguments):
        if argument["name"] == "url":
            check_url(argument["value"], field=f"{field}arguments.{place}.value")


def check_condition(condition: Any) -> None:
    """Refuse what is no condition. Raises Refused `invalid_condition` with the place of the fault."""
    fault = conditions.fault(condition)
    if fault is not None:
        raise Refused("invalid_condition", fault.message, field="condition", place=fault.place)


def check_url(url: str, *, field: str = "url") -> None:
    """Refuse an address that nothing could, or may, be sent to. Raises Refused `invalid`."""
    guard.read(url, field=field)
    if "#" in url:
        message = _("Leave out the fragment (#...): it never reaches the other side.")
        raise Refused("invalid", message, field=field)


def _check(row: Webhook) -> None:
    check_url(row.url)
    if row.condition is not None:
        check_condition(row.condition)


def _set(row: Webhook | Reaction | Action, fields: Mapping[str, Any], *, by: By) -> list[Audit]:
    """Set the columns that differ. Returns what the audit is to say of it, nothing where none does."""
    old = {name: getattr(row, name) for name, value in fields.items() if not is_same(getattr(row, name), value)}
    if not old:
        return []
    new = {name: fields[name] for name in old}
    for name, value in new.items():
        setattr(row, name, value)
    row.updated_at = timezone.now()
    return [auditing.entry("updated", row, by=by, old=old, new=new)]


def _act(reaction: Reaction, steps: Sequence[Step], *, gone: Collection[int] | None = None, by: By) -> list[Audit]:
    """Make the actions of a locked reaction what these steps say. Returns what the audit is to say of it."""
    there = {action.pk: action for action in reaction.actions.select_for_update().order_by("pk")}
    named = {step.pk for step in steps if step.pk is not None}
    removed = [action for pk, action in there.items() if (pk not in named if gone is None else pk in gone)]
    _bound(len(there) - len(removed) + sum(step.pk is None for step in steps))
    entries = []
    for action in removed:
        entries.append(auditing.entry("deleted", action, by=by, old=_values(action)))
        action.delete()
    last = -1
    for place, step in enumerate(steps):
        before = f"actions.{place}."
        if step.pk is None:
            action = Action(reaction=reaction, **{"sort_order": min(last + 1, LAST), **step.fields})
            check_action(action.name, action.arguments, before)
            action.save(force_insert=True)
            entries.append(_told(action, step.fields, by=by))
        elif (found := there.get(step.pk)) is None or found in removed:
            raise Refused("unknown_action", _("This reaction has no action of this id."), field=f"{before}id")
        else:
            action = found
            arguments = {"arguments": _with(action.arguments, step.arguments)} if step.arguments else {}
            changed = _set(action, {**step.fields, **arguments}, by=by)
            for entry in changed:
                entry.new_values["reaction"] = reaction.pk
            if changed:
                check_action(action.name, action.arguments, before)
                action.save(force_update=True)
            entries += changed
        last = max(last, action.sort_order)
    return entries


def _with(
    arguments: Sequence[Mapping[str, Any]], changed: Mapping[str, Mapping[str, Any] | None]
) -> list[Mapping[str, Any]]:
    """The arguments with these in place of those of their names, and what is new behind them."""
    there = {one.get("name") for one in arguments}
    after = [changed.get(one.get("name", ""), one) for one in arguments]
    after += [one for name, one in changed.items() if name not in there]
    return [one for one in after if one is not None]


def _bound_listeners(row: Webhook | Reaction) -> None:
    """Refuse one more that listens than may. Of two that are saved at once both may be taken, which does no harm."""
    if not row.is_active:
        return
    listening = [kind.objects.filter(trigger=row.trigger, is_active=True).order_by() for kind in (Webhook, Reaction)]
    others = [one.exclude(pk=row.pk) if one.model is type(row) else one for one in listening]
    if sum(one[:MOST_LISTENERS].count() for one in others) >= MOST_LISTENERS:
        message = _("At most %(most)d active webhooks and reactions listen to one trigger.") % {"most": MOST_LISTENERS}
        raise Refused("too_many_listeners", message, field="trigger")


def _bound(number: int) -> None:
    if number > MOST_ACTIONS:
        message = _("A reaction has at most %(most)d actions.") % {"most": MOST_ACTIONS}
        raise Refused("too_many_actions", message, field="actions")


def _told(action: Action, fields: Mapping[str, Any], *, by: By) -> Audit:
    return auditing.entry("created", action, by=by, new={**fields, "reaction": action.reaction_id})


def _values(action: Action) -> dict[str, Any]:
    return {"reaction": action.reaction_id, "name": action.name, "arguments": action.arguments}
