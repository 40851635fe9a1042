"""A fleet on paper: jobs arrive, workers boot, take one job at a time, and are stopped.

It is both the probe and the target of a simulated scaler.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .sample import Sample


@dataclass(frozen=True, slots=True)
class Physics:
    """What the world is like. Seconds; `idle_first` if the target picks whom it stops."""

    job: float = 10.0
    boot: float = 40.0
    grace: float = 30.0  # from being told to stop to being killed
    idle_first: bool = False


@dataclass(slots=True)
class Worker:
    """One worker: it takes jobs from `ready_at` on; `stopping` is when it will be killed."""

    number: int
    born: float
    ready_at: float
    job: int | None = None
    done_at: float = 0.0
    stopping: float | None = None


@dataclass(slots=True)
class World:
    """The fleet and its queue at `now`. `arrivals` and `durations` belong together."""

    arrivals: Sequence[float]
    durations: Sequence[float]
    physics: Physics
    now: float
    workers: list[Worker] = field(default_factory=list)
    queue: deque[int] = field(default_factory=deque)
    waits: list[float] = field(default_factory=list)
    killed: int = 0
    finished: int = 0
    worker_seconds: float = 0.0
    on_start: Callable[[Worker], None] | None = None  # a worker has taken a job
    _next: int = 0
    _numbers: int = 0

    # --- the probe and the target ------------------------------------------------------------

    def probe(self) -> Sample:
        """What there is to do now."""
        oldest = self.now - self.arrivals[self.queue[0]] if self.queue else None
        busy = sum(worker.job is not None for worker in self.workers)
        return Sample(ready=len(self.queue), busy=busy, oldest_age=oldest)

    def read(self) -> int:
        """Workers that were not told to stop."""
        return sum(worker.stopping is None for worker in self.workers)

    def write(self, n: int) -> None:
        """Start workers, or tell some to stop."""
        for _ in range(n - self.read()):
            self._start(self.now + self.physics.boot)
        if n < self.read():
            for worker in self._victims(self.read() - n):
                worker.stopping = self.now + self.physics.grace
                if worker.job is None:
                    self._end(worker, self.now)

    def begin_with(self, workers: int) -> None:
        """Workers that run already when it begins."""
        for _ in range(workers):
            self._start(self.now)

    # --- time --------------------------------------------------------------------------------

    def advance(self, until: float) -> None:
        """Let time pass: everything that happens before `until` happens, in its order."""
        while (at := self._next_event()) <= until:
            self.now = at
            self._happen()
        self.now = until

    def _next_event(self) -> float:
        times = [worker.done_at for worker in self.workers if worker.job is not None]
        times += [each.stopping for each in self.workers if each.job is not None and each.stopping]
        times += [each.ready_at for each in self.workers if each.ready_at > self.now]
        if self._next < len(self.arrivals):
            times.append(self.arrivals[self._next])
        return min(times, default=float("inf"))

    def _happen(self) -> None:
        while self._next < len(self.arrivals) and self.arrivals[self._next] <= self.now:
            self.queue.append(self._next)
            self._next += 1
        for worker in list(self.workers):
            if worker.job is not None and worker.done_at <= self.now:
                self.finished += 1
                worker.job = None
            if worker.stopping is not None and worker.job is None:
                self._end(worker, self.now)
            elif worker.stopping is not None and worker.stopping <= self.now:
                self._kill(worker)
        self._hand_out()

    def _hand_out(self) -> None:
        for worker in list(self.workers):
            if not self.queue:
                return
            if worker.job is None and worker.stopping is None and worker.ready_at <= self.now:
                worker.job = self.queue.popleft()
                worker.done_at = self.now + self.durations[worker.job]
                self.waits.append(self.now - self.arrivals[worker.job])
                if self.on_start:
                    self.on_start(worker)

    def _kill(self, worker: Worker) -> None:
        assert worker.job is not None
        self.queue.appendleft(worker.job)  # queues give such a job to somebody else
        self.killed += 1
        self._end(worker, self.now)

    def _start(self, ready_at: float) -> None:
        self._numbers += 1
        self.workers.append(Worker(self._numbers, self.now, ready_at))

    def _end(self, worker: Worker, at: float) -> None:
        self.workers.remove(worker)
        self.worker_seconds += at - worker.born

    def _victims(self, count: int) -> list[Worker]:
        """The newest first, as Heroku does it; idle ones before them if the target can choose."""
        able = [worker for worker in self.workers if worker.stopping is None]

        def order(worker: Worker) -> tuple[bool, int]:
            at_work = self.physics.idle_first and worker.job is not None
            return at_work, -worker.number

        return heapq.nsmallest(count, able, key=order)

    def close(self) -> None:
        """The end: whoever lives has lived until now."""
        for worker in list(self.workers):
            self._end(worker, self.now)
