"""What a decision costs, and how often a scaler calls its platform, beside dynomatic's rule.

python -m bench.scale
python -m bench.scale --check      # exit code 1 if a target is missed
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace

from bench.measure import Row, conditions, minus, show, spread
from lifeline.scaling import samples
from lifeline.scaling.arrivals import arrivals_of, durations
from lifeline.scaling.policy import policy_of
from lifeline.scaling.sample import Sample
from lifeline.scaling.scaler import Scaler
from lifeline.scaling.simulate import quantile, simulate
from lifeline.scaling.trace import Entry, decode_all
from lifeline.scaling.world import Physics, Worker, World

README = [
    {"at_least": 0, "dynos": 1},
    {"at_least": 10, "dynos": 5},
    {"at_least": 20, "dynos": 10},
    {"at_least": 30, "dynos": 15},
]
PROBES = 20
OWN = 0.02  # seconds that each probe takes itself
JOBS = {"bursts": 18.0, "workday": 10.0}
# label -> (options beside the rules, whether the target can choose whom it stops)
POLICIES: dict[str, tuple[dict[str, object], bool]] = {
    "lifeline, nothing but the rules": (
        {"down_window": 0, "idle_after": 0, "protect_busy": False},
        False,
    ),
    "lifeline": ({}, False),
    "lifeline, protect_busy = all": ({"protect_busy": "all"}, False),
    "lifeline, idle ones first": ({}, True),
}


class Fixed:
    """A target that has three workers, whatever is asked of it."""

    def read(self) -> int:
        return 3

    def write(self, n: int) -> None:
        pass


def decisions(runs: int) -> list[float]:
    """Seconds that each tick takes beyond what its slowest probe does, memory on disk included."""
    whole, own = [], []

    def probe() -> Sample:
        start = time.perf_counter()
        time.sleep(OWN)
        own.append(time.perf_counter() - start)
        return Sample(12, 3)

    with tempfile.TemporaryDirectory() as directory:
        os.environ["LIFELINE_STATE_DIR"] = f"{directory}/state"
        scaler = Scaler([probe] * PROBES, Fixed(), README, name="bench")
        for _ in range(runs):
            start = time.perf_counter()
            scaler.tick()
            whole.append(time.perf_counter() - start)
    slowest = [max(own[at : at + PROBES]) for at in range(0, len(own), PROBES)]
    return minus(whole, slowest)


def original(entries: Sequence[Entry], physics: Physics) -> tuple[World, int, int]:
    """dynomatic 0.1.0 on that load: (the world, calls of its API, changes by them).

    Each process decides whenever it takes a job, from all rows that are due, running ones too,
    and calls if the answer is not the one that this very process called with last.
    """
    arrivals = arrivals_of(entries, physics.job)
    world = World(arrivals, durations(len(arrivals), physics.job), physics, entries[0].moment.now)
    caches: dict[int, int] = {}
    calls = changes = 0

    def decide(worker: Worker) -> None:
        nonlocal calls, changes
        seen = world.probe()
        count = seen.ready + seen.busy
        wanted = [rule["dynos"] for rule in README if rule["at_least"] <= count][-1]
        if caches.get(worker.number) != wanted:
            caches[worker.number] = wanted
            calls += 1
            changes += world.read() != wanted
            world.write(wanted)

    world.on_start = decide
    world.begin_with(entries[0].moment.actual or 1)
    for entry in entries:
        world.advance(entry.moment.now)
    world.close()
    return world, calls, changes


def fleet(name: str) -> None:
    """One table: the original, and lifeline with the original's rules, on one sample trace."""
    entries = decode_all(samples.lines(name), name)
    hours = (entries[-1].moment.now - entries[0].moment.now) / 3600
    physics = Physics(job=JOBS[name])
    world, calls, changes = original(entries, physics)
    print(f"\nsample:{name}, {hours:g} h, {JOBS[name]:g} s a job, README's rules")
    form = "{:<34}{:>10}{:>10}{:>10}{:>9}{:>9}{:>11}"
    print(form.format("", "calls/h", "changes/h", "killed", "p50 s", "p95 s", "worker h"))
    p50, p95 = quantile(world.waits, 0.5), quantile(world.waits, 0.95)
    rows = [("dynomatic", calls, changes, world.killed, p50, p95, world.worker_seconds / 3600)]
    rows += [_row(label, entries, physics) for label in POLICIES]
    for label, asked, written, killed, *waits, cost in rows:
        figures = (f"{asked / hours:.1f}", f"{written / hours:.1f}", killed)
        print(form.format(label, *figures, *(f"{each:.0f}" for each in waits), f"{cost:.1f}"))


def _row(
    label: str, entries: Sequence[Entry], physics: Physics
) -> tuple[str, int, int, int, float, float, float]:
    """Calls (a read a tick, and the writes), writes, killed, waits, worker hours of a policy."""
    options, idle_first = POLICIES[label]
    world = replace(physics, idle_first=idle_first)
    found = simulate(label, policy_of({"rules": README, **options}), entries, world)
    calls = len(entries) + found.actions
    waits = (found.wait_p50, found.wait_p95)
    return (label, calls, found.actions, found.killed, *waits, found.worker_hours)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    print(conditions())
    taken = spread([each * 1e3 for each in decisions(arguments.runs)])
    row = Row(f"a decision over {PROBES} probes, beyond their own time", taken.median, target=50.0)
    show(f"{arguments.runs} ticks, quartiles {taken.low:.1f} to {taken.high:.1f}", "ms", [row])
    for name in samples.NAMES:
        fleet(name)
    return int(arguments.check and row.missed)


if __name__ == "__main__":
    sys.exit(main())
