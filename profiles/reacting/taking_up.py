"""The worker's side of an event: who listens to it, and what is done for each of them (API.md 7).

First it is worked out what each of them wants, by the context as it is then, and no lock is held meanwhile: that may
take seconds. Then all of it is written in one transaction, so that it is done once, however often it is begun: a
worker that is killed leaves an event as it was. What is wrong with one listener keeps none of the others from theirs,
and stands with the event (`faults`) for whoever looks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone
from psycopg.errors import ProgramLimitExceeded

from identities.holding import settle
from profiles import events
from profiles.inserting import json_of
from profiles.models import Action, Event, Reaction, Webhook
from profiles.reacting import actions, conditions, contexts, outbox
from profiles.reacting.actions import TriedStep
from profiles.refusing import Refused

logger = logging.getLogger(__name__)

Context = Mapping[str, Any]


def take_up(event_id: int, *, give_up: bool) -> None:
    """Do for an event what those want who listen to it now, unless that has been done.

    The order is always the same: webhooks by id, then reactions by id, the actions of each in their order. With
    `give_up`, on the last try, a fault that is nobody's among them is written down with the event instead of raised,
    and the event is told to nobody: the next ones of its profile wait for it.
    """
    try:
        _take_up(event_id)
    except (OperationalError, InterfaceError):
        # The database is busy or away. It will be back.
        raise
    except Exception as error:
        if not give_up:
            raise
        logger.exception("The event %s could not be taken up.", event_id)
        fault = {"message": type(error).__name__}
        Event.objects.filter(pk=event_id, taken_up_at=None).update(taken_up_at=timezone.now(), faults=[fault])


@dataclass(frozen=True, slots=True)
class _Told:
    """A webhook, whether it is told, and why it could not be asked."""

    webhook: Webhook
    holds: bool
    reason: str


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be done for one event: for each reaction its steps, with what they send as it goes out."""

    context: Context
    text: str
    told: list[_Told]
    reactions: list[list[tuple[TriedStep, str]]]


def _take_up(event_id: int) -> None:
    event = Event.objects.filter(pk=event_id, taken_up_at=None).first()
    if event is None:
        # It was done before, and only the queue did not come to know.
        return
    plan = _plan(event)
    settle(lambda: _do(event_id, plan))


def _plan(event: Event) -> _Plan | None:
    """Ask all who listen, one after the other. Nothing is locked; None if there is nobody."""
    webhooks = list(Webhook.objects.listening().filter(trigger=event.trigger).order_by("pk"))
    listening = Reaction.objects.filter(trigger=event.trigger, is_active=True).order_by("pk")
    reactions = list(listening.prefetch_related("actions"))
    if not webhooks and not reactions:
        return None
    context, budget = contexts.context(event), conditions.Budget()
    told = [_Told(webhook, *conditions.answer(webhook.condition, context, budget)) for webhook in webhooks]
    text = json_of(context)
    steps = [
        [_written(step, context, text) for step in actions.dry_run(reaction, context, budget)]
        for reaction in reactions
    ]
    return _Plan(context, text, told, steps)


def _written(step: TriedStep, context: Context, text: str) -> tuple[TriedStep, str]:
    if not step.url or step.body is context:
        return step, text
    try:
        return step, json_of(step.body)
    except Exception as error:
        return replace(step, goes_on=False, reason=type(error).__name__), ""


def _do(event_id: int, plan: _Plan | None) -> None:
    waiting = Event.objects.filter(pk=event_id, taken_up_at=None)
    event = waiting.select_for_update(no_key=True, of=("self",)).first()
    if event is None:
        # Somebody else has done it meanwhile.
        return
    faults = _Faults(event)
    if plan is not None:
        plan = _kept(plan)
        for told in plan.told:
            _tell(told, event, plan, faults)
        with events.caused_by(event) as faults.caused:
            for steps in plan.reactions:
                _react(steps, event, plan, faults)
    event.taken_up_at, event.faults = timezone.now(), faults.found
    event.save(update_fields=["taken_up_at", "faults"])


def _kept(plan: _Plan) -> _Plan:
    """The plan without those who were deleted since it was made. The others are kept from that up to the commit, so
    that nothing is put on its way for nobody."""
    steps = [step for reaction in plan.reactions for step, _text in reaction if step.is_reached]
    webhooks = _keep(Webhook, {told.webhook.pk for told in plan.told if told.holds})
    _keep(Reaction, {step.action.reaction_id for step in steps})
    actions_there = _keep(Action, {step.action.pk for step in steps})
    return replace(
        plan,
        told=[told for told in plan.told if not told.holds or told.webhook.pk in webhooks],
        reactions=[[one for one in reaction if one[0].action.pk in actions_there] for reaction in plan.reactions],
    )


def _keep(model: type[Webhook | Reaction | Action], keys: set[int]) -> set[int]:
    """Keep these rows from being deleted, and from nothing else: in one order. Returns which are there."""
    if not keys:
        return set()
    with connection.cursor() as cursor:
        table = connection.ops.quote_name(model._meta.db_table)
        cursor.execute(
            f"SELECT id FROM {table} WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE",  # noqa: S608 - a name of ours
            [sorted(keys)],
        )
        return {pk for (pk,) in cursor.fetchall()}


def _tell(told: _Told, event: Event, plan: _Plan, faults: _Faults) -> None:
    webhook = told.webhook
    if told.reason:
        faults.note(told.reason, webhook=webhook.pk)
    if told.holds:

        def put() -> None:
            outbox.put(event, plan.text, url=webhook.url, webhook=webhook)

        faults.guard(put, webhook=webhook.pk)


def _react(steps: list[tuple[TriedStep, str]], event: Event, plan: _Plan, faults: _Faults) -> None:
    """Do the steps of a reaction until one lets the next not follow. What was done before one that fails, stands."""
    for step, text in steps:
        names = {"reaction": step.action.reaction_id, "action": step.action.pk}
        if step.reason:
            faults.note(step.reason, **names)
        is_done = faults.guard(partial(actions.do, step, event, plan.context, text), **names)
        if not is_done or not step.goes_on:
            return


class _Faults:
    """What went wrong for whom while one event was taken up. No data of a customer stands in it."""

    def __init__(self, event: Event) -> None:
        self.event = event
        self.found: list[dict[str, Any]] = []
        self.caused: list[Event] = []

    def guard(self, act: Callable[[], None], **names: int) -> bool:
        """Do this. Returns whether it is done: where it fails, nothing of it is written.

        What the database may bring about by itself is raised, and all starts over.
        """
        before = len(self.caused)
        try:
            with transaction.atomic():
                act()
            return True
        except (OperationalError, InterfaceError) as error:
            if not isinstance(error.__cause__, ProgramLimitExceeded):
                raise
            # It is larger than the database can take, now and at each try.
            self.note(type(error.__cause__).__name__, **names)
        except Refused as refusal:
            self.note(str(refusal.message), **names)
        except Exception as error:
            self.note(type(error).__name__, **names)
            logger.debug("Traceback of event %s", self.event.pk, exc_info=True)
        del self.caused[before:]
        return False

    def note(self, message: str, **names: int) -> None:
        self.found.append({**names, "message": message})
        told = ", ".join(f"{name} {pk}" for name, pk in names.items())
        logger.warning("Event %s was not told to %s: %s", self.event.pk, told, message)
