"""What one tick has to decide from: the policy, what was seen, and the past. Plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .decision import Pause
from .memory import Memory
from .policy import SUM, Policy
from .sample import Failure, Reading, Sample, total


@dataclass(frozen=True, slots=True)
class View:
    """One moment. `memory` is that of the tick before, with this one's recommendation in it."""

    policy: Policy
    samples: Mapping[int, Sample]  # those that rules are asked about, by the place of their probe
    failures: tuple[str, ...]
    actual: int
    busy: int  # workers that are at work
    memory: Memory
    now: float
    pause: Pause

    @property
    def ready(self) -> float:
        return sum(sample.ready for sample in self.samples.values())

    @property
    def has_work(self) -> bool:
        """Something is there that a worker has to be awake for."""
        return self.ready > self.policy.activate or self.busy > 0

    @property
    def exact(self) -> bool:
        return all(sample.exact for sample in self.samples.values())


def look(
    policy: Policy,
    readings: Sequence[Reading],
    actual: int,
    busy: int | None,
    memory: Memory,
    now: float,
    pause: Pause,
) -> View:
    """The view of a tick; `busy` is what the target itself knows of workers at work."""
    samples = {at: each for at, each in enumerate(readings) if isinstance(each, Sample)}
    failures = tuple(each.reason for each in readings if isinstance(each, Failure))
    # Several probes of one fleet: what they see being worked on is worked on by different workers.
    jobs = sum(sample.busy for sample in samples.values())
    at_work = max(math.ceil(jobs / policy.concurrency), busy or 0)
    if policy.combine == SUM and samples:
        samples = {0: total(tuple(samples.values()))}
    return View(policy, samples, failures, actual, at_work, memory, now, pause)
