"""What the worker does: the jobs that requests have queued, and what is done by the clock.

A job's arguments stand in the worker's log lines: ids only, nothing of a customer.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.db import InterfaceError, OperationalError
from procrastinate.contrib.django import app
from procrastinate.exceptions import JobAborted
from procrastinate.job_context import JobContext
from procrastinate.jobs import Job
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from rest_framework.exceptions import ValidationError

from identities import batching, claiming, limiting, replaying
from omneo_identity.api.errors import first_fault
from profiles import syncing
from profiles.reacting import forgetting, sending, taking_up, tending
from profiles.refusing import Refused
from profiles.serializers import BatchedProfileSerializer

# Seconds before each further try of a job that has failed.
DELAYS = (10, 60, 300, 900)

# Hours that a job is kept when it is done, and when it has failed, for whoever looks into it.
DONE_IS_KEPT = 24
FAILED_IS_KEPT = 30 * 24

# What is deleted by the clock when its time is over.
FORGOTTEN = (
    batching.forget_old,
    replaying.forget_expired,
    limiting.forget_over,
    claiming.forget_old,
    forgetting.forget_old,
)


class Patience(BaseRetryStrategy):
    """A few more tries, ever later. A database that is busy or away is waited for, however long that takes."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if isinstance(exception, JobAborted):
            # The worker is stopping. The next one goes on.
            return RetryDecision(retry_in={"seconds": 0})
        if is_last_try(job) and not isinstance(exception, OperationalError | InterfaceError):
            return None
        return RetryDecision(retry_in={"seconds": DELAYS[min(job.attempts, len(DELAYS) - 1)]})


def is_last_try(job: Job) -> bool:
    return job.attempts >= len(DELAYS)


@app.task(queue="profiles", retry=Patience(), pass_context=True)
def bring_in_batch(context: JobContext, *, batch_id: str) -> None:
    """Bring in the profiles of a batch (POST /profiles/batch)."""
    is_done = batching.bring_in(
        uuid.UUID(batch_id), read=read, stop=context.should_abort, give_up=is_last_try(context.job)
    )
    if not is_done:
        raise JobAborted


@app.task(queue="reactions", retry=Patience(), pass_context=True)
def react(context: JobContext, *, event_id: int) -> None:
    """Do for an event what those want who listen to it."""
    taking_up.take_up(event_id, give_up=is_last_try(context.job))


@app.task(queue="profiles", retry=Patience())
def tell_again(*, audit_id: int, updated_at: str, profile_id: str) -> None:
    """Record the next events of those that somebody has asked for (POST /profiles/sync)."""
    syncing.tell(audit_id, updated_at, uuid.UUID(profile_id))


def read(payload: Any) -> batching.Row:
    """Read a profile of a batch as POST and PUT would. Raises Refused `invalid`, naming the field."""
    body = BatchedProfileSerializer(data=payload)
    try:
        body.is_valid(raise_exception=True)
    except ValidationError as error:
        raise Refused("invalid", first_fault(error)) from error
    return batching.Row(body.validated_data.get("identities") or [], body.contact(), body.custom(), body.fields_of)


@app.task(queue="deliveries", pass_context=True)
def deliver(context: JobContext, *, target_id: int) -> None:
    """Send what waits for a target. It is not tried again as a job: the worker's clock finds what is left."""
    sending.deliver(target_id, stop=context.should_abort)


@app.periodic(cron="17 * * * *")
@app.task(queue="housekeeping", queueing_lock="forget_jobs", pass_context=True)
async def forget_jobs(context: JobContext, timestamp: int) -> None:
    """Delete the jobs that are over."""
    manager = context.app.job_manager
    await manager.delete_old_jobs(nb_hours=DONE_IS_KEPT)
    await manager.delete_old_jobs(
        nb_hours=FAILED_IS_KEPT, include_failed=True, include_cancelled=True, include_aborted=True
    )


@app.periodic(cron="47 * * * *")
@app.task(queue="housekeeping", queueing_lock="give_up", retry=Patience())
def give_up(timestamp: int) -> None:
    """Give up deliveries to targets that have not answered for days."""
    tending.give_up()


@app.periodic(cron="37 * * * *")
@app.task(queue="housekeeping", queueing_lock="forget_expired", retry=Patience())
def forget_expired(timestamp: int) -> None:
    """Delete what is kept for a time only."""
    for forget in FORGOTTEN:
        forget()
