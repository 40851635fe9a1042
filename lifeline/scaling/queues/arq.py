"""arq: one sorted set for each queue, scored with the time (ms) from which a job may run.

A job stays in the set while it runs; the key `arq:in-progress:ID` marks it, and expires if its
worker dies. Evidence that a queue exists: the set, or the health key that a living worker keeps.
An empty queue without a worker leaves nothing: that is what `allow_missing` is for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...clock import wall
from ..sample import Sample, total
from . import settings
from .keys import Ask, Keys


class Arq:
    """Counts the jobs of `queues`, which are names of keys. The first `peek` due ones are looked
    into; what lies beyond them counts as ready."""

    def __init__(self, keys: Keys, queues: tuple[str, ...], peek: int) -> None:
        self._keys = keys
        self._queues = queues
        self._peek = peek

    def __call__(self) -> Sample:
        """Raises ProbeError."""
        with self._keys.open() as ask:
            return total([self._look(ask, queue) for queue in self._queues])

    def _look(self, ask: Ask, queue: str) -> Sample:
        now = wall() * 1000
        due, future, first, health = ask(
            ("ZCOUNT", queue, "-inf", now),
            ("ZCOUNT", queue, f"({now}", "+inf"),
            ("ZRANGEBYSCORE", queue, "-inf", now, "WITHSCORES", "LIMIT", 0, self._peek),
            ("EXISTS", f"{queue}:health-check"),
        )
        self._keys.require(queue, due or future or health)
        scores = dict(zip(first[::2], map(float, first[1::2]), strict=True))
        marks = ask(*(("EXISTS", b"arq:in-progress:" + job) for job in scores)) if scores else []
        waiting = [score for score, mark in zip(scores.values(), marks, strict=True) if not mark]
        busy = len(marks) - len(waiting)
        age = max(0.0, now - min(waiting)) / 1000 if waiting else None
        return Sample(max(0, due - busy), busy, future, age, exact=due <= len(scores))


def make(options: settings.Options) -> Callable[[], Any]:
    """A probe for arq: `url`, `queues` (arq:queue), `peek`, `allow_missing`, `timeout`."""
    settings.known(options, "url", "queues", "peek", "allow_missing")
    return Arq(Keys(options), settings.queues(options, "arq:queue"), settings.peek(options))
