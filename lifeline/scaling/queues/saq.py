"""SAQ on Redis: a list of queued jobs, a list of active ones, a sorted set of all of them.

In the set `incomplete` a job's score is the second from which it may run, 0 once it is queued or
needs no waiting. Evidence that a queue exists: one of those keys, or the statistics that a living
worker keeps. An empty queue without a worker leaves nothing, see `allow_missing`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...clock import wall
from ..sample import Sample, total
from . import settings
from .keys import Ask, Keys


class Saq:
    """Counts the jobs of `queues`. Scheduled jobs that are due count: they wait for a worker."""

    def __init__(self, keys: Keys, queues: tuple[str, ...]) -> None:
        self._keys = keys
        self._queues = queues

    def __call__(self) -> Sample:
        """Raises ProbeError."""
        with self._keys.open() as ask:
            return total([self._look(ask, queue) for queue in self._queues])

    def _look(self, ask: Ask, queue: str) -> Sample:
        # SAQ compares whole seconds
        now, base = int(wall()), f"saq:{queue}"
        queued, active, due, future, traces = ask(
            ("LLEN", f"{base}:queued"),
            ("LLEN", f"{base}:active"),
            ("ZCOUNT", f"{base}:incomplete", 1, now),
            ("ZCOUNT", f"{base}:incomplete", f"({now}", "+inf"),
            ("EXISTS", f"{base}:queued", f"{base}:active", f"{base}:incomplete", f"{base}:stats"),
        )
        self._keys.require(queue, traces)
        return Sample(queued + due, active, future)


def make(options: settings.Options) -> Callable[[], Any]:
    """A probe for SAQ: `url`, `queues` (default), `allow_missing`, `timeout`."""
    settings.known(options, "url", "queues", "allow_missing")
    return Saq(Keys(options), settings.queues(options, "default"))
