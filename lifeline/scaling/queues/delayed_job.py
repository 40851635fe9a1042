"""Delayed::Job on PostgreSQL: the table `delayed_jobs`, read as its own workers read it.

A job that was locked longer ago than `max_run_time` is given to others, so it counts as ready.
Failed jobs that were kept count nowhere. A missing table is an error; done jobs are deleted, so an
empty table, or no row with a queue's name, is an empty queue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import checking
from ..sample import Sample
from . import settings
from .tables import Tables

_MAX_RUN_TIME = 4 * 3600.0  # seconds, Delayed::Job's own
_ROWS = """
SELECT run_at AS since,
       run_at <= now() AND (locked_at IS NULL OR locked_at < {limit}) AS is_ready,
       locked_at >= {limit} AS is_busy,
       run_at > now() AND (locked_at IS NULL OR locked_at < {limit}) AS is_future
FROM {table}
WHERE failed_at IS NULL AND (%(queues)s::text[] IS NULL OR queue = ANY(%(queues)s))
"""


class DelayedJob:
    """Counts the jobs of `queues`, None for all. `max_run_time` is in seconds."""

    def __init__(
        self, tables: Tables, table: str, queues: list[str] | None, max_run_time: float
    ) -> None:
        self._tables = tables
        limit = "now() - %(longest)s * interval '1 second'"
        self._rows = _ROWS.format(limit=limit, table=f'"{table}"')
        self._values = {"queues": queues, "longest": max_run_time}

    def __call__(self) -> Sample:
        """Raises ProbeError."""
        return self._tables.count(self._rows, self._values)


def make(options: settings.Options) -> Callable[[], Any]:
    """A probe for Delayed::Job: `url`, `queues` (all), `max_run_time`, `table`, `schema`,
    `timeout`."""
    settings.known(options, "url", "queues", "max_run_time", "table", "schema")
    longest = options.get("max_run_time", _MAX_RUN_TIME)
    return DelayedJob(
        Tables(options),
        settings.identifier(options, "table", "delayed_jobs"),
        settings.some_queues(options),
        checking.some_seconds("max_run_time", longest),
    )
