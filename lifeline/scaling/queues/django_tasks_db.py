"""django-tasks-db on PostgreSQL: the table of its database backend.

"At once" is written there as the year 9999. A task whose worker was killed stays RUNNING for ever
and is given to nobody: after `max_run_time` it counts nowhere. A missing table is an error; no row
with a queue's name is an empty queue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import checking
from ..sample import Sample
from . import settings
from .tables import Tables

_MAX_RUN_TIME = 24 * 3600.0  # seconds; the library itself has no limit, and no sign of life
_ROWS = """
SELECT status = 'RUNNING' AND started_at > now() - %(longest)s * interval '1 second' AS is_busy,
       status = 'READY' AND (at_once OR run_after <= now()) AS is_ready,
       status = 'READY' AND NOT at_once AND run_after > now() AS is_future,
       CASE WHEN at_once THEN enqueued_at ELSE run_after END AS since
FROM (
    SELECT status, enqueued_at, started_at, run_after, run_after >= '9999-01-01 00:00+00' AS at_once
    FROM django_tasks_database_dbtaskresult
    WHERE status IN ('READY', 'RUNNING')
      AND (%(queues)s::text[] IS NULL OR queue_name = ANY(%(queues)s))
      AND (%(backend)s::text IS NULL OR backend_name = %(backend)s)
) AS task
"""


class DjangoTasksDb:
    """Counts the tasks of `queues` and of the backend with that name, None for all.

    `max_run_time` is in seconds.
    """

    def __init__(
        self, tables: Tables, queues: list[str] | None, backend: str | None, max_run_time: float
    ) -> None:
        self._tables = tables
        self._values = {"queues": queues, "backend": backend, "longest": max_run_time}

    def __call__(self) -> Sample:
        """Raises ProbeError."""
        return self._tables.count(_ROWS, self._values)


def make(options: settings.Options) -> Callable[[], Any]:
    """A probe for django-tasks-db: `url`, `queues` (all), `backend` (all), `max_run_time` (24h),
    `schema`, `timeout`."""
    settings.known(options, "url", "queues", "backend", "max_run_time", "schema")
    longest = options.get("max_run_time", _MAX_RUN_TIME)
    return DjangoTasksDb(
        Tables(options),
        settings.some_queues(options),
        settings.plain(options, "backend", "") or None,
        checking.some_seconds("max_run_time", longest),
    )
