"""RQ: jobs in the lists of its queues, due ones in their schedules.

A running job is entered until its worker has to say again that it lives. What is overdue there was
held by one that died: the next worker that starts puts it back, or among the failed ones, so it
counts as ready. While `rq suspend` holds all workers, nothing does.
Evidence that a queue exists: RQ keeps the key of each in the set `rq:queues` from the first job
on, also while the list is empty and therefore no key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...clock import wall
from ..sample import Sample, total
from . import settings
from .eta import moment
from .keys import Ask, Keys


class Rq:
    """Counts the jobs of `queues`. Scheduled jobs that are due count: they wait for a worker."""

    def __init__(self, keys: Keys, queues: tuple[str, ...], prefix: str) -> None:
        self._keys = keys
        self._queues = queues
        self._prefix = prefix

    def __call__(self) -> Sample:
        """Raises ProbeError."""
        with self._keys.open() as ask:
            samples = [self._look(ask, queue) for queue in self._queues]
        return total(samples)

    def _look(self, ask: Ask, queue: str) -> Sample:
        now, jobs = wall(), f"{self._prefix}:queue:{queue}"
        scheduled, running = f"{self._prefix}:scheduled:{queue}", f"{self._prefix}:wip:{queue}"
        waiting, due, future, busy, lost, taken, is_held, is_known, first, *soonest = ask(
            ("LLEN", jobs),
            ("ZCOUNT", scheduled, "-inf", now),
            ("ZCOUNT", scheduled, f"({now}", "+inf"),
            ("ZCOUNT", running, now, "+inf"),
            ("ZCOUNT", running, "-inf", f"({now}"),
            ("LLEN", f"{jobs}:intermediate"),
            ("EXISTS", f"{self._prefix}:suspended"),
            ("SISMEMBER", f"{self._prefix}:queues", jobs),
            ("LINDEX", jobs, 0),
            ("ZRANGE", scheduled, 0, 0, "WITHSCORES"),
            ("ZRANGE", running, 0, 0, "WITHSCORES"),
        )
        there = waiting or due or future or busy or lost or taken
        self._keys.require(queue, is_known or there)
        if is_held:
            return Sample(0, busy + taken, future)
        born = [float(each[1]) for each, count in zip(soonest, (due, lost), strict=True) if count]
        if first is not None:
            (enqueued,) = ask(("HGET", f"{self._prefix}:job:".encode() + first, "enqueued_at"))
            when = moment(enqueued.decode("ascii", "replace")) if enqueued else None
            born += [] if when is None else [when]
        age = max(0.0, now - min(born)) if born else None
        return Sample(waiting + due + lost, busy + taken, future, age)


def make(options: settings.Options) -> Callable[[], Any]:
    """A probe for RQ: `url`, `queues` (default), `prefix` (rq), `allow_missing`, `timeout`."""
    settings.known(options, "url", "queues", "prefix", "allow_missing")
    return Rq(
        Keys(options),
        settings.queues(options, "default"),
        settings.plain(options, "prefix", "rq"),
    )
