"""Procrastinate 3: its tables of jobs and of workers, with the rule by which these fetch.

Jobs that share a `lock` run one after the other: of those only the first counts as ready, for more
workers would not help. A job whose worker has not beaten for `heartbeat_timeout` is done by nobody
and given to nobody (a periodic task of your own may retry it), so it counts nowhere.
A missing table is an error; no row with a queue's name is an empty queue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import checking
from ..sample import Sample
from . import settings
from .tables import Tables

_HEARTBEAT_TIMEOUT = 30.0  # seconds, Procrastinate's own
# A job without a time waits since the last event that made it wait.
_ROWS = """
SELECT status = 'doing' AND is_held AS is_busy,
       status = 'todo' AND is_due AND NOT is_locked AS is_ready,
       status = 'todo' AND NOT is_due AS is_future,
       coalesce(scheduled_at, (
           SELECT max(event.at) FROM procrastinate_events event
           WHERE event.job_id = found.id AND status = 'todo' AND is_due
             AND event.type IN ('deferred', 'deferred_for_retry', 'retried')
       )) AS since
FROM (
    SELECT job.id, job.status, job.scheduled_at,
           job.scheduled_at IS NULL OR job.scheduled_at <= now() AS is_due,
           EXISTS (
               SELECT FROM procrastinate_workers worker
               WHERE worker.id = job.worker_id
                 AND worker.last_heartbeat > now() - %(silent)s * interval '1 second'
           ) AS is_held,
           job.lock IS NOT NULL AND EXISTS (
               SELECT FROM procrastinate_jobs other
               WHERE other.lock = job.lock AND (
                   other.status = 'doing'
                   OR other.status = 'todo' AND (
                       other.priority > job.priority
                       OR other.priority = job.priority AND other.id < job.id
                   )
               )
           ) AS is_locked
    FROM procrastinate_jobs job
    WHERE job.status IN ('todo', 'doing')
      AND (%(queues)s::text[] IS NULL OR job.queue_name = ANY(%(queues)s))
) AS found
"""


class Procrastinate:
    """Counts the jobs of `queues`, None for all. `silent` is in seconds."""

    def __init__(self, tables: Tables, queues: list[str] | None, silent: float) -> None:
        self._tables = tables
        self._values = {"queues": queues, "silent": silent}

    def __call__(self) -> Sample:
        """Raises ProbeError."""
        return self._tables.count(_ROWS, self._values)


def make(options: settings.Options) -> Callable[[], Any]:
    """A probe for Procrastinate: `url`, `queues` (all), `heartbeat_timeout` (30s), `schema`,
    `timeout`."""
    settings.known(options, "url", "queues", "heartbeat_timeout", "schema")
    silent = options.get("heartbeat_timeout", _HEARTBEAT_TIMEOUT)
    return Procrastinate(
        Tables(options),
        settings.some_queues(options),
        checking.some_seconds("heartbeat_timeout", silent),
    )
