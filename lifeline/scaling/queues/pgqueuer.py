"""PgQueuer 1: its queue table. There are no queues in it, only entrypoints.

A job that was picked by a worker whose heartbeat is older than `heartbeat_timeout` is given to
others, so it counts as ready. Limits of an entrypoint's concurrency live in the workers' code and
are not known here. A missing table is an error; no row with an entrypoint's name is an empty queue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import checking
from ..sample import Sample
from . import settings
from .tables import Tables

_HEARTBEAT_TIMEOUT = 30.0  # seconds, PgQueuer's own
_ROWS = """
SELECT execute_after AS since,
       execute_after < now() AND (status = 'queued' OR is_stale) AS is_ready,
       status = 'picked' AND NOT is_stale AS is_busy,
       execute_after >= now() AND status = 'queued' AS is_future
FROM (
    SELECT execute_after, status,
           status = 'picked' AND heartbeat < now() - %(silent)s * interval '1 second' AS is_stale
    FROM {table}
    WHERE status IN ('queued', 'picked')
      AND (%(names)s::text[] IS NULL OR entrypoint = ANY(%(names)s))
) AS job
"""


class PgQueuer:
    """Counts the jobs of `entrypoints`, None for all. `silent` is in seconds."""

    def __init__(
        self, tables: Tables, table: str, entrypoints: list[str] | None, silent: float
    ) -> None:
        self._tables = tables
        self._rows = _ROWS.format(table=f'"{table}"')
        self._values = {"names": entrypoints, "silent": silent}

    def __call__(self) -> Sample:
        """Raises ProbeError."""
        return self._tables.count(self._rows, self._values)


def make(options: settings.Options) -> Callable[[], Any]:
    """A probe for PgQueuer: `url`, `entrypoints` (all), `heartbeat_timeout`, `table`, `schema`,
    `timeout`."""
    settings.known(options, "url", "entrypoints", "heartbeat_timeout", "table", "schema")
    silent = options.get("heartbeat_timeout", _HEARTBEAT_TIMEOUT)
    return PgQueuer(
        Tables(options),
        settings.identifier(options, "table", "pgqueuer"),
        settings.some_queues(options, "entrypoints"),
        checking.some_seconds("heartbeat_timeout", silent),
    )
