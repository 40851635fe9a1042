"""Writes the two traces that come with lifeline: synthetic load, seen by a fleet of fixed size.

python -m bench._sample_traces            # into lifeline/scaling/samples
"""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import lifeline
from lifeline.scaling.arrivals import durations
from lifeline.scaling.moment import Moment
from lifeline.scaling.sample import Failure, Reading
from lifeline.scaling.trace import encode
from lifeline.scaling.world import Physics, World

PLACE = Path(lifeline.__file__).parent / "scaling" / "samples"
MIDNIGHT = 1_767_571_200.0  # 2026-01-05, a Monday, UTC
HOUR = 3600.0


def bursts(chance: random.Random) -> list[float]:
    """Six hours: a job every half minute, and about a hundred at once every 45 minutes."""
    found, t = [], 0.0
    while (t := t + chance.expovariate(1 / 30)) < 6 * HOUR:
        found.append(t)
    for burst in range(8):
        start = 900 + burst * 2700
        found += [start + chance.uniform(0, 60) for _ in range(round(chance.gauss(100, 25)))]
    return sorted(found)


def workday(chance: random.Random) -> list[float]:
    """A day: next to nothing at night, two jobs in three seconds at noon."""
    found, t = [], 0.0
    while (t := t + chance.expovariate(0.7)) < 24 * HOUR:
        share = 0.02 + 0.98 * max(0.0, math.sin((t / HOUR - 6) / 13 * math.pi))
        if chance.random() < share:
            found.append(t)
    return found


def record(arrivals: list[float], job: float, workers: int, every: float, hours: float) -> str:
    """The lines that a recorder would have written beside `workers` workers."""
    times = [MIDNIGHT + t for t in arrivals]
    world = World(times, durations(len(times), job, seed=7), Physics(job=job), MIDNIGHT)
    world.begin_with(workers)
    lines = []
    for tick in range(int(hours * HOUR / every) + 1):
        world.advance(MIDNIGHT + tick * every)
        reading: Reading = world.probe()
        if 500 <= tick < 504:
            reading = Failure("the database gave no answer within 5 s")
        line = encode(Moment(world.now, (reading,), world.read()))
        if "oldest_age" in line:
            line["oldest_age"] = round(line["oldest_age"], 1)
        lines.append(json.dumps(line, separators=(",", ":")))
    return "\n".join(lines) + "\n"


def main() -> None:
    made = {
        "bursts": record(bursts(random.Random(1)), 18, 6, 30, 6),
        "workday": record(workday(random.Random(2)), 10, 9, 60, 24),
    }
    for name, text in made.items():
        (PLACE / f"{name}.jsonl").write_text(text)
        print(f"{name}: {text.count(chr(10))} lines, {len(text)} bytes")


if __name__ == "__main__":
    main()
