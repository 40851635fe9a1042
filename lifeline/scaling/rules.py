"""Rules: how many workers a sample asks for. Pure; each is a ladder that only goes up with load.

A rule tells two numbers: `enter`, how many workers the load asks for, and `stay`, how many it
still justifies where they run already. The second is never the smaller; what lies between them is
the hysteresis (10 % if nothing is said, the tolerance of Kubernetes' HPA).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from .checking import MOST
from .sample import Sample

SLACK = 0.9  # a rung that is entered at n is left below 0.9 n
_ALMOST = 1e-9  # 0.9 * 10 is not quite 9


@dataclass(frozen=True, slots=True)
class Bounds:
    """Workers that a load asks for, and that it still justifies; `why` says so to people."""

    enter: int
    stay: int
    why: str


class Rule(Protocol):
    """One way from a sample to a number of workers."""

    @property
    def has_floor(self) -> bool:
        """True if it has an answer for no work at all: nothing else has to say the least."""

    @property
    def ceiling(self) -> int | None:
        """The most that it can ask for, None if there is no end to it."""

    @property
    def needs_age(self) -> bool:
        """True if it needs to know how long the oldest job has been waiting."""

    def bounds(self, sample: Sample, actual: int) -> Bounds:
        """What it asks for, given the sample and how many workers there are."""


@dataclass(frozen=True, slots=True)
class Rung:
    """`workers` from `at_least` on, until the value is below `until_below` again."""

    at_least: float
    workers: int
    until_below: float


@dataclass(frozen=True, slots=True)
class Steps:
    """The highest `at_least` that the value reaches wins, in whatever order they were written.

    The value is the number of ready jobs, or the age of the oldest in seconds if `by_age`.
    """

    rungs: tuple[Rung, ...]  # ascending
    by_age: bool = False

    @property
    def has_floor(self) -> bool:
        return self.rungs[0].at_least == 0

    @property
    def ceiling(self) -> int | None:
        return self.rungs[-1].workers

    @property
    def needs_age(self) -> bool:
        return self.by_age

    def bounds(self, sample: Sample, actual: int) -> Bounds:
        value = _age(sample) if self.by_age else sample.ready
        entered = [rung for rung in self.rungs if value >= rung.at_least]
        stayed = [rung for rung in self.rungs if value >= rung.until_below]
        enter = entered[-1].workers if entered else 0
        shown = f"the oldest waits {value:.3g} s" if self.by_age else f"{value:g} ready"
        if not entered:
            why = f"{shown}: below every step"
        else:
            limit = f"{entered[-1].at_least:g}{' s' if self.by_age else ''}"
            why = f"{shown}: at least {limit} gives {enter}"
        return Bounds(enter, max((rung.workers for rung in stayed), default=0), why)


@dataclass(frozen=True, slots=True)
class PerWorker:
    """One worker for each `jobs` jobs, ready or being worked on."""

    jobs: float
    has_floor: bool = True
    ceiling: int | None = None
    needs_age: bool = False

    def bounds(self, sample: Sample, actual: int) -> Bounds:
        load = sample.ready + sample.busy
        enter = _workers(load / self.jobs)
        why = f"{sample.ready:g} ready + {sample.busy:g} busy, {self.jobs:g} a worker"
        return Bounds(enter, self._stay(load, enter), why)

    def _stay(self, load: float, workers: int) -> int:
        """Slack in whole jobs: a tenth of a job would keep one too many of a few for ever."""
        room = workers * self.jobs
        while workers < MOST and load > room - math.floor(room * (1 - SLACK) + _ALMOST):
            workers += 1
            room += self.jobs
        return workers


@dataclass(frozen=True, slots=True)
class Deadline:
    """So many workers that all ready jobs can be done within `deadline` seconds.

    `job` is how many seconds one takes, `concurrency` how many a worker does at once.
    """

    deadline: float
    job: float
    concurrency: int = 1
    has_floor: bool = True
    ceiling: int | None = None
    needs_age: bool = False

    def bounds(self, sample: Sample, actual: int) -> Bounds:
        room = max(self.job, self.deadline - self.job)  # the last job has to be done by then
        enter = _workers(round_up(sample.ready / self.concurrency) * self.job / room)
        stay = _workers(round_up(sample.ready / SLACK / self.concurrency) * self.job / room)
        why = f"{sample.ready:g} ready at {self.job:g} s each, due within {self.deadline:g} s"
        return Bounds(enter, stay, why)


@dataclass(frozen=True, slots=True)
class Band:
    """`up` workers more while the oldest job waits longer than `high` seconds, `down` fewer
    while it waits less than `low`; none of both in between."""

    low: float
    high: float
    up: int = 1
    down: int = 1
    has_floor: bool = True
    ceiling: int | None = None
    needs_age: bool = True

    def bounds(self, sample: Sample, actual: int) -> Bounds:
        age = _age(sample)
        if age > self.high:
            wanted, why = actual + self.up, f"more than {self.high:g} s: {self.up} more"
        elif age < self.low:
            wanted, why = max(0, actual - self.down), f"less than {self.low:g} s: {self.down} fewer"
        else:
            wanted, why = actual, f"within {self.low:g} to {self.high:g} s: no change"
        return Bounds(wanted, wanted, f"the oldest waits {age:.3g} s, {why}")


def can_judge(rule: Rule, sample: Sample) -> bool:
    """False if the rule needs an age and there is ready work whose age is not known."""
    return not rule.needs_age or sample.oldest_age is not None or sample.ready == 0


def _age(sample: Sample) -> float:
    return sample.oldest_age or 0.0


def round_up(value: float) -> int:
    return math.ceil(value - _ALMOST)


def _workers(value: float) -> int:
    """Rounded up, and no more than anybody has, whatever was divided by next to nothing."""
    return round_up(min(value, MOST))
