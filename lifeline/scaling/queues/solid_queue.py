"""Solid Queue on PostgreSQL: one table for each state of a job.

Scheduled jobs that are due count as ready: only a living dispatcher would move them. Blocked and
failed ones do not, nor do those of paused queues. A missing table is an error; no row with a
queue's name is an empty queue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..sample import Sample
from . import settings
from .tables import Tables

_ROWS = """
SELECT since, is_busy,
       NOT is_busy AND since <= now() AND paused IS NULL AS is_ready,
       NOT is_busy AND since > now() AND paused IS NULL AS is_future
FROM (
    SELECT queue_name, least(created_at, now()) AS since, false AS is_busy
    FROM solid_queue_ready_executions
    UNION ALL
    SELECT queue_name, scheduled_at, false FROM solid_queue_scheduled_executions
    UNION ALL
    SELECT job.queue_name, claim.created_at, true
    FROM solid_queue_claimed_executions claim JOIN solid_queue_jobs job ON job.id = claim.job_id
) AS execution
LEFT JOIN (SELECT queue_name AS paused FROM solid_queue_pauses) AS pause ON paused = queue_name
WHERE %(queues)s::text[] IS NULL OR queue_name LIKE ANY(%(queues)s)
"""


class SolidQueue:
    """Counts the jobs of `queues`, None for all."""

    def __init__(self, tables: Tables, queues: list[str] | None) -> None:
        self._tables = tables
        self._values = {"queues": None if queues is None else [_pattern(name) for name in queues]}

    def __call__(self) -> Sample:
        """Raises ProbeError."""
        return self._tables.count(_ROWS, self._values)


def _pattern(name: str) -> str:
    """For LIKE. As in Solid Queue's own settings, a name may end in `*`."""
    plain = name.removesuffix("*")
    for special in ("\\", "%", "_"):
        plain = plain.replace(special, "\\" + special)
    return plain + "%" if name.endswith("*") else plain


def make(options: settings.Options) -> Callable[[], Any]:
    """A probe for Solid Queue: `url`, `queues` (all), `schema`, `timeout`."""
    settings.known(options, "url", "queues", "schema")
    return SolidQueue(Tables(options), settings.some_queues(options))
