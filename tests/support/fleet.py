"""A fleet in memory and a clock that is set by hand, for an otherwise real scaler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lifeline.scaling import Sample, Scaler

#: The rules of dynomatic's README.
README = [
    {"at_least": 0, "dynos": 1},
    {"at_least": 10, "dynos": 5},
    {"at_least": 20, "dynos": 10},
    {"at_least": 30, "dynos": 15},
]
#: Nothing but the rules: no window, no protection, no gate.
BARE: dict[str, Any] = {"down_window": 0, "idle_after": 0, "protect_busy": False}
START = 1_800_000_000.0


class Fleet:
    """A target: `workers` there are, `calls` what was asked of it, `error` what it raises."""

    def __init__(self, workers: int = 0) -> None:
        self.workers = workers
        self.calls: list[int | str] = []
        self.read_error: Exception | None = None
        self.write_error: Exception | None = None

    def read(self) -> int:
        self.calls.append("read")
        if self.read_error:
            raise self.read_error
        return self.workers

    def write(self, n: int) -> None:
        self.calls.append(n)
        if self.write_error:
            raise self.write_error
        self.workers = n

    @property
    def writes(self) -> list[int]:
        return [call for call in self.calls if isinstance(call, int)]


class Queue:
    """A probe: it says what `sample` is, or raises it."""

    def __init__(self, sample: object = 0) -> None:
        self.sample = sample

    def __call__(self) -> object:
        if isinstance(self.sample, Exception):
            raise self.sample
        return self.sample


class Stand:
    """A queue, a fleet, a clock, and the scaler between them; it applies what it decides."""

    def __init__(self, workers: int = 0, ready: object = 0, **options: Any) -> None:
        self.now = START
        self.queue = Queue(ready)
        self.fleet = Fleet(workers)
        self.options = {"rules": README, "apply": True, **options}
        self.scaler = self.make()

    def make(self, **more: Any) -> Scaler:
        """Another scaler of the same options: what a restart gives."""
        options = {**self.options, **more}
        probe: Callable[[], object] = options.pop("probe", self.queue)
        return Scaler(probe, self.fleet, clock=lambda: self.now, **options)

    def tick(self, ready: object = None, after: float = 10.0) -> int | None:
        """One tick `after` seconds later, with so much to do: how many there should be."""
        self.now += after
        if ready is not None:
            self.queue.sample = ready
        return self.scaler.tick().desired

    def ticks(self, ready: object, seconds: float, every: float = 10.0) -> list[int | None]:
        """Ticks for so long."""
        return [self.tick(ready, every) for _ in range(int(seconds / every))]


__all__ = ["BARE", "README", "START", "Fleet", "Queue", "Sample", "Stand"]
