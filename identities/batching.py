"""Profiles that come in batches (API.md 3): queued by a request, brought in by the worker, one after the other."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DataError, InterfaceError, OperationalError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from procrastinate.contrib.django import app

from identities import adding, attributing, contacts, handles, matching, routing
from identities.attaching import taken
from identities.handles import Sent
from identities.holding import Changed, Held, Taken, hold, settle
from identities.models import BUILT_IN, Extension, Identity
from identities.outcomes import Routed, Write, set_aside
from profiles.auditing import By
from profiles.models import Profile, ProfileBatch, ProfileBatchRow
from profiles.refusing import Refused

logger = logging.getLogger(__name__)

# By its name: a task is an interface, which calls this operation.
TASK = "profiles.tasks.bring_in_batch"

# For so long a batch can be asked what became of it. Then it is forgotten, whether it was finished or not.
KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Row:
    """A profile of a batch as an interface has read it: its pairs, contact points, custom attributes and fields.

    `fields_of` gives the columns of Profile for the profile that was found, or for a new one (None).
    """

    sent: Sequence[Sent]
    contact: Mapping[str, str | None]
    attributes: Sequence[attributing.Named]
    fields_of: Callable[[Profile | None], Mapping[str, Any]]


def queue(match_criteria: str, profiles: Sequence[Any], *, by: By, source: Extension | None) -> ProfileBatch:
    """Store a batch, and have the worker bring it in. Both or neither: the job is of the same transaction.

    In: `email`, `mobile_phone` or a handle, and the profiles as they were sent. Batches of one account are brought in
    one after the other, in the order in which they came. Raises Refused `unknown_handle`, `invalid_handle`, or
    `reserved_handle`, by whose pairs the writer could reach nobody.
    """
    try:
        handles.named(match_criteria).refuse_writer(source)
    except ValidationError as error:
        raise Refused.because(error, field="match_criteria") from error
    except Refused as refusal:
        refusal.field = "match_criteria"
        raise
    with transaction.atomic():
        batch = ProfileBatch.objects.create(
            match_criteria=match_criteria.strip(),
            by=by.user,
            source=source,
            token_name=by.token_name,
            url=by.url[:512],
            ip_address=by.ip_address,
            user_agent=by.user_agent[:512],
        )
        ProfileBatchRow.objects.bulk_create(
            ProfileBatchRow(batch=batch, position=position, payload=payload)
            for position, payload in enumerate(profiles)
        )
        one_at_a_time = f"profile batches of {by.user.pk}"
        app.configure_task(TASK, allow_unknown=False, lock=one_at_a_time).defer(batch_id=str(batch.pk))
    return batch


def bring_in(batch_id: uuid.UUID, *, read: Callable[[Any], Row], stop: Callable[[], bool], give_up: bool) -> bool:
    """Bring in what is left of a batch, in its order, and say whether all of it is done.

    In: how a payload is read, which may raise Refused; whether to stop before the next profile; whether to write a
    fault of ours down as its row's error instead of raising it, on the last try. Each row's result commits with its
    change, so that a batch that was cut short goes on where it was, and nothing is done twice.
    """
    batch = ProfileBatch.objects.select_related("by", "source").filter(pk=batch_id).first()
    if batch is None:
        return True
    ProfileBatch.objects.filter(pk=batch.pk, started_at=None).update(started_at=timezone.now())
    waiting = batch.rows.filter(result="").order_by("position").values_list("pk", flat=True)
    for pk in list(waiting):
        if stop():
            return False
        try:
            _settle_row(pk, batch, read)
        except (OperationalError, InterfaceError):
            # The database is busy or away. It will be back.
            raise
        except Exception as error:
            # What the row itself brings about comes again at each try, and other batches would wait for them all.
            if not give_up and not isinstance(error, DataError | ValueError | TypeError):
                raise
            logger.exception("A row of the batch %s could not be brought in.", batch.pk)
            _settle_row(pk, batch, _at_fault)
    ProfileBatch.objects.filter(pk=batch.pk, finished_at=None).update(finished_at=timezone.now())
    return True


def forget_old() -> None:
    """Delete the batches that nobody needs to ask for any more."""
    ProfileBatch.objects.filter(created_at__lt=timezone.now() - KEPT).delete()


def _at_fault(payload: Any) -> Row:
    raise Refused("server_error", _("This profile met a fault of the server. Please send it again."))


def _settle_row(pk: int, batch: ProfileBatch, read: Callable[[Any], Row]) -> None:
    """Bring one row in, unless that has been done, and write down what became of it in the same transaction."""
    with transaction.atomic():
        row = ProfileBatchRow.objects.select_for_update().get(pk=pk)
        if row.result:
            return
        try:
            result, routed = _brought(read(row.payload), batch)
        except Refused as refusal:
            row.result, row.code, row.message = row.Result.ERROR, refusal.code, str(refusal.message)
            row.profile_id = refusal.details.get("profile_id")
            row.log_entry_id = refusal.details.get("log_entry_id")
        else:
            row.result, row.profile_id = result, routed.profile.pk
            row.refused, row.log_entry_id = routed.refused, routed.log_entry_id
        row.payload = None
        row.save()


def _brought(given: Row, batch: ProfileBatch) -> tuple[str, Routed[Profile]]:
    """Find or make the profile of a row (API.md 3): the criterion's pair decides, then as PUT, plus the row's pairs.

    As in POST /profiles, pairs that are bad, blocked, reserved or over the limit are set aside. Raises Refused:
    `criterion_required`, `identity_taken` for another profile's pair (logged), and what `update` and `route` refuse;
    nothing of the row is written then.
    """
    by = By(batch.by, batch.token_name, batch.url, batch.ip_address, batch.user_agent)
    sent, contact = _contact_in_its_place(given, batch.match_criteria)

    def attempt() -> tuple[str, Routed[Profile]]:
        answers = [routing.without_contact(answer) for answer in handles.read(sent, writer=batch.source)]
        pairs = [answer for answer in answers if isinstance(answer, Identity)]
        wanted = contacts.read(contact, writer=batch.source)
        deciding = _deciding(batch.match_criteria, sent, answers, wanted)
        handles.admit(pairs)
        # All that any part of this write will ask for, at once and in key order.
        held = hold([*(one.pair for one in pairs), *(one.pair for one in wanted.values() if one)])
        decider = next((held.identities[one.pair] for one in deciding if held.owner(one.pair)), None)
        profile = held.owner(decider.pair) if decider else None
        for one in pairs:
            owner = held.owner(one.pair)
            if owner is not None and owner != profile:
                raise taken(one, owner=owner, requested=profile, by=by, source=batch.source)
        fields = given.fields_of(profile)
        if profile is not None and decider is not None:
            routed = Routed(profile, "matched", decider)
            _change(routed, sent, answers, fields, contact, given.attributes, held=held, by=by, source=batch.source)
            return ProfileBatchRow.Result.UPDATED, routed
        routed = routing.route(
            sent, fields=fields, contact=contact, attributes=given.attributes, by=by, source=batch.source
        )
        if routed.outcome != "created":
            # Somebody else made it meanwhile, and filling the gaps is not what was asked for.
            raise Changed
        return ProfileBatchRow.Result.CREATED, routed

    return settle(attempt)


def _change(
    routed: Routed[Profile],
    sent: Sequence[Sent],
    answers: list[Identity | Refused],
    fields: Mapping[str, Any],
    contact: Mapping[str, str | None],
    attributes: Sequence[attributing.Named],
    *,
    held: Held,
    by: By,
    source: Extension | None,
) -> None:
    """Change a profile that is known, and attach its row's pairs."""
    try:
        routing.update(
            routed.profile.pk,
            fields=fields,
            contact=contact,
            attributes=attributes,
            by=by,
            source=source,
            brought_by=routed.identity,
        )
    except Profile.DoesNotExist as gone:
        raise Changed from gone
    _attach(routed, sent, answers, held=held, by=by, source=source)
    payload = routing.payload_of(sent, fields, contact, attributes)
    refusals = {one.pair: answer for one, answer in zip(sent, answers, strict=True) if isinstance(answer, Refused)}
    set_aside(routed, refusals, Write("profile", lambda: payload, by, source))


def _contact_in_its_place(given: Row, match_criteria: str) -> tuple[list[Sent], dict[str, str | None]]:
    """The pairs and contact points of a row; a contact that decides may stand among the pairs."""
    sent, contact = list(given.sent), dict(given.contact)
    if match_criteria in BUILT_IN and not (contact.get(match_criteria) or "").strip():
        named = next((one for one in sent if one.handle.strip() == match_criteria), None)
        if named is not None:
            sent.remove(named)
            contact[match_criteria] = named.identifier
    return sent, contact


def _deciding(
    match_criteria: str,
    sent: Sequence[Sent],
    answers: Sequence[Identity | Refused],
    wanted: Mapping[str, Identity | None],
) -> list[Identity]:
    """The pairs of the criterion. If none is good, raises what is wrong with the first, or `criterion_required`.

    The handle may have got another name since the batch was queued, or between two queries of this very write.
    """
    if match_criteria in BUILT_IN:
        contact = wanted.get(match_criteria)
        found, refusals = ([contact] if contact else []), []
    else:
        names = set(matching.every_name(match_criteria))
        found = [answer for answer in answers if isinstance(answer, Identity) and answer.handle_id in names]
        refusals = [
            answer
            for one, answer in zip(sent, answers, strict=True)
            if isinstance(answer, Refused) and one.handle.strip() in names
        ]
    if found:
        return found
    if refusals:
        raise refusals[0]
    message = _("This profile has no %(handle)s, by which the batch is matched.") % {"handle": match_criteria}
    raise Refused("criterion_required", message)


def _attach(
    routed: Routed[Profile],
    sent: Sequence[Sent],
    answers: list[Identity | Refused],
    *,
    held: Held,
    by: By,
    source: Extension | None,
) -> None:
    """Attach the pairs that nobody has, in their order, as every writer does; those that cannot be become refusals."""
    unknown = [
        (answer.pair, position)
        for position, answer in enumerate(answers)
        if isinstance(answer, Identity) and held.owner(answer.pair) is None
    ]
    for _pair, position in sorted(unknown):
        try:
            adding.add(routed.profile.pk, sent[position], by=by, source=source, brought_by=routed.identity)
        except Taken:
            raise
        except Refused as refusal:
            answers[position] = refusal
