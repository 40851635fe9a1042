"""Trying policies on a recorded trace, through the pipeline that runs, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from .arrivals import arrivals_of, durations
from .memory import Memory
from .moment import READ, Moment, Outcome, judge, settle
from .policy import Policy
from .sample import Failure, Reading
from .trace import Entry
from .world import Physics, World


@dataclass(slots=True)
class Point:
    """One tick of a simulated fleet; `held` if a probe failed, `killed` jobs so far."""

    t: float
    ready: float
    oldest_age: float
    desired: int | None
    actual: int
    worker_hours: float
    held: bool = False
    killed: int = 0


@dataclass(slots=True)
class Result:
    """What a policy would have done with the recorded load."""

    name: str
    points: list[Point] = field(default_factory=list)
    worker_hours: float = 0.0
    wait_p50: float = 0.0
    wait_p95: float = 0.0
    actions: int = 0
    killed: int = 0
    finished: int = 0
    waiting: int = 0  # still, at the end
    same: tuple[int, int] | None = None  # decisions as recorded, of how many


def simulate(name: str, policy: Policy, entries: Sequence[Entry], physics: Physics) -> Result:
    """Run a fleet of its own under `policy`, with the load of the trace and its failures."""
    arrivals = arrivals_of(entries, physics.job)
    world = World(arrivals, durations(len(arrivals), physics.job), physics, entries[0].moment.now)
    world.begin_with(next((e.moment.actual for e in entries if e.moment.actual is not None), 0))
    result, memory = Result(name), Memory()
    for entry in entries:
        world.advance(entry.moment.now)
        moment = _seen(world, entry)
        decision, memory = judge(moment, memory, policy)
        outcome = Outcome(applied=decision.differs and not decision.blocked)
        memory = settle(outcome, decision, memory, moment.now, policy)
        if outcome.applied and decision.desired is not None:
            world.write(decision.desired)
            result.actions += 1
        _note(result, world, moment, decision.desired)
    world.close()
    return _summed(result, world, policy, entries)


def replay(policy: Policy, entries: Sequence[Entry]) -> list[int | None]:
    """What `policy` decides in each moment of the trace, just as it was recorded.

    For the policy that recorded it, this is what it decided.
    """
    found: list[int | None] = []
    memory = Memory()
    for entry in entries:
        if entry.memory is not None:
            memory = entry.memory
        decision, memory = judge(entry.moment, memory, policy)
        memory = settle(entry.outcome, decision, memory, entry.moment.now, policy)
        found.append(decision.desired)
    return found


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all do not exceed; 0 if there are none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _seen(world: World, entry: Entry) -> Moment:
    """What a probe sees of this world; where the recorded one failed, this one does, too."""
    failed = [each for each in entry.moment.readings if isinstance(each, Failure)]
    readings: tuple[Reading, ...] = (world.probe(),)
    if len(failed) == len(entry.moment.readings):
        readings = tuple(failed)
    elif failed:
        readings = (*readings, *failed)
    recorded = entry.moment
    return replace(Moment(recorded.now, readings, world.read(), how=READ), paused=recorded.paused)


def _note(result: Result, world: World, moment: Moment, desired: int | None) -> None:
    now = world.now
    sample = world.probe()
    spent = world.worker_seconds + sum(now - worker.born for worker in world.workers)
    result.points.append(
        Point(
            t=now,
            ready=sample.ready,
            oldest_age=sample.oldest_age or 0.0,
            desired=desired,
            actual=world.read(),
            worker_hours=spent / 3600,
            held=any(isinstance(each, Failure) for each in moment.readings),
            killed=world.killed,
        )
    )


def _summed(result: Result, world: World, policy: Policy, entries: Sequence[Entry]) -> Result:
    result.worker_hours = world.worker_seconds / 3600
    result.wait_p50 = quantile(world.waits, 0.5)
    result.wait_p95 = quantile(world.waits, 0.95)
    result.killed, result.finished = world.killed, world.finished
    result.waiting = len(world.queue)
    decided = [
        (entry.desired, again)
        for entry, again in zip(entries, replay(policy, entries), strict=True)
        if entry.decided
    ]
    if decided:
        result.same = sum(ours == theirs for ours, theirs in decided), len(decided)
    return result
