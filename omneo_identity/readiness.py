"""Whether this installation does its work: the database answers, and what is done later does not wait for long."""

from __future__ import annotations

from omneo_identity import worker
from profiles import reading

# Of the jobs that a free worker would take next, in the order of the queue's index on those that wait. One that waits
# for another of its lock is as late as that one, and one for later is not late.
LAG = """
SELECT
    EXISTS (SELECT FROM procrastinate_workers WHERE last_heartbeat > now() - make_interval(secs => %s)),
    (
        SELECT extract(epoch FROM clock_timestamp() - greatest(job.scheduled_at, queued.at))::float8
        FROM (
            SELECT id, scheduled_at FROM procrastinate_jobs AS due
            WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now())
              AND NOT EXISTS (SELECT FROM procrastinate_jobs WHERE status = 'doing' AND lock = due.lock)
            ORDER BY priority DESC, id
            LIMIT 1
        ) AS job
        CROSS JOIN LATERAL (
            SELECT max(at) AS at FROM procrastinate_events
            WHERE job_id = job.id AND type IN ('deferred', 'deferred_for_retry')
        ) AS queued
    )
"""


def worker_lag() -> float | None:
    """For how many seconds the next job has waited for a worker; 0 if none waits, None if no worker lives.

    Raises OperationalError where the database does not answer.
    """
    ((lives, seconds),) = reading.rows(LAG, [worker.DEAD])
    return max(0.0, seconds or 0.0) if lives else None
