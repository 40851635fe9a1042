"""Django-Q2 with its ORM broker on PostgreSQL: the tables `django_q_ormq` and `django_q_schedule`.

A row's `lock` is the time from which a worker may take it; taking it moves that into the future.
So a job that failed silently becomes ready again by itself, and one that waits for its turn in a
worker is busy. Schedules that are due count as ready: only a living cluster turns them into jobs.
A missing table is an error; no row with the cluster's name is an empty queue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..sample import Sample
from . import settings
from .tables import Tables

_CLUSTER = "default"  # Django-Q2's own
_ROWS = """
SELECT lock AS since, lock <= now() AS is_ready, lock > now() AS is_busy, false AS is_future
FROM django_q_ormq WHERE key = %(cluster)s
UNION ALL
SELECT next_run, next_run < now(), false, next_run >= now()
FROM django_q_schedule
WHERE repeats <> 0 AND (cluster = %(cluster)s OR cluster IS NULL AND %(is_default)s)
"""


class DjangoQ2:
    """Counts the jobs of one cluster. Schedules without a cluster belong to the default one."""

    def __init__(self, tables: Tables, cluster: str, is_default: bool) -> None:
        self._tables = tables
        self._values = {"cluster": cluster, "is_default": is_default}

    def __call__(self) -> Sample:
        """Raises ProbeError."""
        return self._tables.count(_ROWS, self._values)


def make(options: settings.Options) -> Callable[[], Any]:
    """A probe for Django-Q2: `url`, `cluster` (default), `is_default` (true), `schema`, `timeout`.

    `is_default` is false for a cluster that is not the one in Q_CLUSTER's `name`.
    """
    settings.known(options, "url", "cluster", "is_default", "schema")
    cluster = settings.text(options, "cluster", _CLUSTER)
    return DjangoQ2(Tables(options), cluster, settings.flag(options, "is_default", default=True))
