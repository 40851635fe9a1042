"""GoodJob 4: the table `good_jobs`, beside it `good_job_processes` and `good_job_settings`.

A job that was started by a process that is gone, or silent for longer than GoodJob waits, is given
to others, so it counts as ready. Jobs of paused queues, classes and labels do not count.
A missing table is an error; no row with a queue's name is an empty queue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..sample import Sample
from . import settings
from .tables import Tables

_EXPIRED = "interval '5 minutes'"  # GoodJob::Process::EXPIRED_INTERVAL
_ROWS = f"""
SELECT scheduled_at AS since,
       scheduled_at <= now() AND NOT is_held AND NOT is_paused AS is_ready,
       is_held AS is_busy,
       scheduled_at > now() AND NOT is_held AND NOT is_paused AS is_future
FROM (
    SELECT job.scheduled_at,
           job.performed_at IS NOT NULL AND EXISTS (
               SELECT FROM good_job_processes process
               WHERE process.id = job.locked_by_id
                 AND process.updated_at > now() - {_EXPIRED}
           ) AS is_held,
           %(pauses)s AND EXISTS (
               SELECT FROM good_job_settings setting
               WHERE setting.key = 'pauses' AND (
                   setting.value->'queues' ? job.queue_name
                   OR setting.value->'job_classes' ? job.job_class
                   OR setting.value->'labels' ?| job.labels
               )
           ) AS is_paused
    FROM good_jobs job
    WHERE job.finished_at IS NULL
      AND (%(queues)s::text[] IS NULL OR job.queue_name = ANY(%(queues)s))
) AS unfinished
"""


class GoodJob:
    """Counts the jobs of `queues`, None for all; paused ones too if not `pauses`."""

    def __init__(self, tables: Tables, queues: list[str] | None, pauses: bool) -> None:
        self._tables = tables
        self._values = {"queues": queues, "pauses": pauses}

    def __call__(self) -> Sample:
        """Raises ProbeError."""
        return self._tables.count(_ROWS, self._values)


def make(options: settings.Options) -> Callable[[], Any]:
    """A probe for GoodJob: `url`, `queues` (all), `pauses` (true), `schema`, `timeout`."""
    settings.known(options, "url", "queues", "pauses", "schema")
    pauses = settings.flag(options, "pauses", default=True)
    return GoodJob(Tables(options), settings.some_queues(options), pauses)
