"""When jobs arrived, reconstructed from a trace, and how long each takes.

A trace tells how many were waiting, not when each came: what was added between two lines is what
the queue grew by, and what the busy workers must have finished meanwhile. It is spread evenly.
The recorded depth came about under the policy of that time; this is an estimate.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import pairwise

from ..errors import UsageError
from .sample import Sample
from .trace import Entry

_MOST = 1_000_000  # jobs of one trace
_SIGMA = 0.6  # of the logarithm: most jobs are near the median, a few take five times as long


def arrivals_of(entries: Sequence[Entry], job: float) -> list[float]:
    """The times (seconds, as in the trace) at which jobs arrived; `job` is the median of one.

    What waits in the first line is there from the start.
    """
    mean = job * math.exp(_SIGMA**2 / 2)
    seen = [(entry.moment.now, *_load(entry)) for entry in entries if _samples(entry)]
    if not seen:
        return []
    found = [seen[0][0]] * _some(seen[0][1] + seen[0][2], 0)
    owed = 0.0
    for (start, ready, busy), (end, ready_then, busy_then) in pairwise(seen):
        done = (busy + busy_then) / 2 * (end - start) / mean
        owed += ready_then - ready + busy_then - busy + done
        count = _some(owed, len(found))
        owed -= count
        found += [start + (end - start) * (at + 0.5) / count for at in range(count)]
    return found


def _some(jobs: float, before: int) -> int:
    """Whole ones of `jobs`. Raises UsageError if they and those before are too many to replay."""
    if jobs + before > _MOST:
        raise UsageError(
            f"the trace tells of more than {_MOST} jobs of such a length: is its t in seconds, "
            "and --job as long as a job takes?"
        )
    return max(0, math.floor(jobs))


def durations(count: int, job: float, seed: int = 1) -> list[float]:
    """Seconds that each job takes: log-normal around the median `job`, the same on every run."""
    chance = random.Random(seed)
    return [job * math.exp(chance.gauss(0.0, _SIGMA)) for _ in range(count)]


def _samples(entry: Entry) -> list[Sample]:
    return [each for each in entry.moment.readings if isinstance(each, Sample)]


def _load(entry: Entry) -> tuple[float, float]:
    """Ready and busy; where nothing tells who is at work, as many as there is work for."""
    samples = _samples(entry)
    ready = sum(each.ready for each in samples)
    busy = max(sum(each.busy for each in samples), entry.moment.busy or 0)
    if not busy and ready:
        busy = entry.moment.actual or 0
    return ready, busy
