"""From samples to the metric families of prometheus_client. Names end in their units."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from .. import events
from ..errors import show
from ..leases.port import Backend
from .samples import Samples, take

_LONGEST = 160  # characters of a label
_COUNTERS = {
    "starts": "Runs that a tick has started.",
    "restarts": "Runs that a runner has started again by itself.",
    "ends": "Runs that have ended.",
    "stand_downs": "Ticks that have found a twin, or all slots taken.",
    "held_ticks": "Ticks that have found a hold.",
    "terminations": "Ends that somebody has asked for.",
    "losses": "Leases that were lost, and the job ended.",
}


def registry(store: Backend | None = None) -> tuple[CollectorRegistry, Source]:
    """A registry that looks anew each time that it is asked, and the source behind it."""
    found, source = CollectorRegistry(auto_describe=False), Source(store)
    found.register(source)
    return found, source


class Source(Collector):
    """Looks whenever it is asked; `failed` says what could not be read the last time."""

    def __init__(self, store: Backend | None = None) -> None:
        self._store = store
        self._turn = threading.Lock()  # a store is used by one thread at a time
        self.failed: dict[str, str] = {}

    def describe(self) -> Iterable[Metric]:
        """Nothing: a description would have to look."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families of this moment."""
        with self._turn:
            samples = take(self._store)
            self.failed = samples.failed
        yield from families(samples)


def families(samples: Samples) -> Iterator[Metric]:
    """What the samples say; nothing is said of what could not be read."""
    up = GaugeMetricFamily("lifeline_source_up", "Whether it could be read.", labels=["source"])
    for source in samples.sources:
        up.add_metric([source], float(source not in samples.failed))
    yield up
    if "processes" not in samples.failed:
        yield from _running(samples)
    if "state" not in samples.failed:
        yield _gauge("held", "Whether a hold is in force.", _held(samples))
        yield from _scalers(samples)
    if "history" not in samples.failed:
        yield from _totals(samples)
    if "lock" in samples.sources and "lock" not in samples.failed:
        yield from _leases(samples)


def _running(samples: Samples) -> Iterator[Metric]:
    # One that has run before and does not now is worth a zero: an alert has to see it.
    running: Counter[str] = Counter(dict.fromkeys([*samples.totals, *_held(samples)], 0))
    standby: Counter[str] = Counter(running)
    memory: Counter[str] = Counter()
    since: dict[str, float] = {}
    for each in samples.running:
        name = str(next(iter(events.title(each.identity).values())))
        running[name] += not each.standby
        standby[name] += each.standby
        memory[name] += each.memory or 0
        since[name] = min(since.get(name, each.since), each.since)
    yield _gauge("running", "Runs of this user on this host.", running)
    yield _gauge("standby", "Runners that wait for a lease.", standby)
    yield _gauge("memory_bytes", "Resident in the trees of its runs.", memory)
    yield _gauge("start_time_seconds", "When its oldest run began (Unix time).", since)


def _held(samples: Samples) -> dict[str, float]:
    held = {str(next(iter(events.title(each.identity).values()))): 1.0 for each in samples.held}
    return {**dict.fromkeys(samples.totals, 0.0), **held}


def _totals(samples: Samples) -> Iterator[Metric]:
    for name, told in _COUNTERS.items():
        family = CounterMetricFamily(f"lifeline_{name}", told, labels=["lifeline"])
        for title, total in samples.totals.items():
            family.add_metric([_shown(title)], float(total.counts[name]))
        yield family
    failures = CounterMetricFamily(
        "lifeline_failures", "Runs that have ended with another code than 0.", labels=["lifeline"]
    )
    for title, total in samples.totals.items():
        failures.add_metric([_shown(title)], float(total.failures))
    yield failures
    codes = {title: each.code for title, each in samples.totals.items()}
    ended = {title: each.ended for title, each in samples.totals.items()}
    yield _gauge("last_exit_code", "Exit code of the last run; 128+n for signal n.", codes)
    yield _gauge("last_end_time_seconds", "When the last run ended (Unix time).", ended)


def _scalers(samples: Samples) -> Iterator[Metric]:
    gauges = {
        "workers_desired": "Workers that the scaler has asked for, or could not ask for yet.",
        "workers_recommended": "Workers that its rules say, before windows and limits.",
        "workers_actual": "Workers as the scaler has last seen or set them.",
        "scaler_last_tick_time_seconds": "When the scaler last decided (Unix time).",
    }
    for name, told in gauges.items():
        values = {
            each.name: {
                "workers_desired": each.desired,
                "workers_recommended": each.recommended,
                "workers_actual": each.memory.actual,
            }.get(name, each.memory.at)
            for each in samples.scalers
        }
        yield _gauge(name, told, values, label="scaler")


def _leases(samples: Samples) -> Iterator[Metric]:
    labels = ["lifeline", "slot", "host"]
    age = GaugeMetricFamily("lifeline_lease_age_seconds", "Since it was taken.", labels=labels)
    fence = GaugeMetricFamily("lifeline_lease_fence", "Grows with each holder.", labels=labels)
    for seen in samples.leases:
        of = [_shown(seen.name), str(seen.slot), _shown(seen.info.get("host", "?"))]
        fence.add_metric(of, float(seen.fence))
        since = seen.info.get("since")
        if isinstance(since, (int, float)):
            age.add_metric(of, max(samples.now - since, 0.0))
    yield age
    yield fence


def _gauge(
    name: str,
    told: str,
    values: dict[str, int | None] | dict[str, float | None] | dict[str, float] | Counter[str],
    label: str = "lifeline",
) -> Metric:
    family = GaugeMetricFamily(f"lifeline_{name}", told, labels=[label])
    for title, value in values.items():
        if value is not None:
            family.add_metric([_shown(title)], float(value))
    return family


def _shown(value: object) -> str:
    """A label: UTF-8 whatever somebody has put into it, and not so long that it hurts to store."""
    text = show(str(value).encode("utf-8", "backslashreplace"), 4000)
    if len(text) <= _LONGEST:
        return text
    # The whole is in the digest; the beginning is for people.
    return f"{text[:_LONGEST]}… {hashlib.sha256(text.encode()).hexdigest()[:12]}"
