"""Traces: one JSON object a line, one line a tick (jsonlines.org).

The least that a line needs is `t` (seconds), `ready` and `actual`. A running scaler writes all
that its decisions came from, so that they can be made again, exactly.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError, show
from .checking import MOST
from .decision import Decision, Pause
from .errors import ProbeError
from .memory import Memory, from_json, to_json
from .moment import KNOWN, READ, UNREAD, Moment, Outcome
from .pipeline import NOT_PAUSED
from .sample import Failure, Reading, Sample

# What a line raises that is none.
_NONSENSE = (ValueError, KeyError, TypeError, AttributeError, ProbeError, RecursionError)
_END = 1e13  # seconds: also milliseconds of our days, which are told as too many jobs
_FACTS = ("busy", "future", "oldest_age", "exact")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: what was seen and, if a scaler wrote it, what it wanted and what came of it.

    `desired` is None and `decided` false where only samples were recorded. `memory` stands in the
    first line that a scaler writes.
    """

    moment: Moment
    decided: bool = False
    desired: int | None = None
    outcome: Outcome = Outcome()  # noqa: RUF009  (frozen)
    memory: Memory | None = None


def encode(
    moment: Moment,
    decision: Decision | None = None,
    outcome: Outcome | None = None,
    memory: Memory | None = None,
) -> dict[str, Any]:
    """One line as data for JSON; what says nothing is left out."""
    line: dict[str, Any] = {"t": moment.now}
    if len(moment.readings) == 1:
        line.update(_reading(moment.readings[0]))
    else:
        line["probes"] = [_reading(each) for each in moment.readings]
    line["actual"] = moment.actual
    if moment.busy is not None:
        line["busy_workers"] = moment.busy
    if moment.how != READ:
        line["how"] = moment.how
        line["target_error"] = moment.error
    if moment.refused:
        line["refused"] = True
    if moment.retry_after is not None:
        line["retry_after"] = moment.retry_after
    if moment.paused != NOT_PAUSED:
        line["paused"] = {side: _until(getattr(moment.paused, side)) for side in ("up", "down")}
    if decision is not None:
        line["desired"] = decision.desired
    if outcome is not None and outcome.applied:
        line["applied"] = True
    if outcome is not None and outcome.error:
        line["write_error"] = outcome.error
    if outcome is not None and outcome.retry_after is not None:
        line["write_retry_after"] = outcome.retry_after
    if memory is not None:
        line["memory"] = to_json(memory)
    return line


def decode_all(lines: Iterable[str], source: str) -> list[Entry]:
    """All lines of a trace. Raises UsageError with the number of the first that is none."""
    found: list[Entry] = []
    scalers: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            entry = decode(data)
        except _NONSENSE as error:
            raise UsageError(f"{source}:{number}: no line of a trace ({_told(error)})") from None
        scalers |= {str(data["scaler"])} if "scaler" in data else set()
        if len(scalers) > 1:
            raise UsageError(
                f"{source}:{number}: a trace is of one scaler, this is of {_listed(scalers)}: "
                "choose one (scale run --json --only NAME)"
            )
        if found and entry.moment.now <= found[-1].moment.now:
            raise UsageError(f"{source}:{number}: t does not grow")
        found.append(entry)
    if len(found) < 2:
        raise UsageError(f"{source}: a trace needs at least two lines, this has {len(found)}")
    return found


def decode(line: dict[str, Any]) -> Entry:
    """One line. Raises KeyError, TypeError, ValueError or ProbeError if it is none."""
    if not isinstance(line, dict):
        raise TypeError("not an object")
    readings = tuple(_read(each) for each in line.get("probes", [line]))
    if not readings:
        raise ValueError("no probe")
    paused = line.get("paused")
    moment = Moment(
        now=_number(line["t"]),
        readings=readings,
        actual=_count(line["actual"]),
        busy=_count(line.get("busy_workers")),
        how=_one_of(line.get("how", READ if line["actual"] is not None else UNREAD)),
        error=str(line.get("target_error", "")),
        retry_after=_seconds(line.get("retry_after")),
        refused=line.get("refused") is True,
        paused=Pause(_from(paused["up"]), _from(paused["down"])) if paused else NOT_PAUSED,
    )
    outcome = Outcome(
        applied=line.get("applied") is True,
        error=str(line.get("write_error", "")),
        retry_after=_seconds(line.get("write_retry_after")),
    )
    memory = from_json(line["memory"]) if "memory" in line else None
    return Entry(moment, "desired" in line, _count(line.get("desired")), outcome, memory)


def _reading(reading: Reading) -> dict[str, Any]:
    if isinstance(reading, Failure):
        return {"error": reading.reason}
    facts = {name: getattr(reading, name) for name in _FACTS}
    usual = {"busy": 0, "future": 0, "oldest_age": None, "exact": True}
    return {"ready": reading.ready, **{k: v for k, v in facts.items() if v != usual[k]}}


def _read(data: object) -> Reading:
    if not isinstance(data, dict):
        raise TypeError(f"{data!r:.40} is no probe's answer")
    if "error" in data:
        return Failure(str(data["error"]))
    return Sample(data["ready"], **{name: data[name] for name in _FACTS if name in data})


def _count(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
        raise ValueError(f"{value!r:.40} is no number of workers")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -_END < value < _END:
        raise ValueError(f"{value!r:.40} is no time")
    return value


def _seconds(value: object) -> float | None:
    return None if value is None else _number(value)


def _one_of(value: object) -> str:
    if value not in (READ, KNOWN, UNREAD):
        raise ValueError(f"how = {value!r:.40}")
    return str(value)


def _until(value: float) -> float | str:
    return "forever" if math.isinf(value) else value


def _from(value: object) -> float:
    return math.inf if value == "forever" else _number(value)


def _told(error: Exception) -> str:
    text = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
    return show(text.encode("utf-8", "backslashreplace"), 120)


def _listed(scalers: Iterable[str]) -> str:
    return " and ".join(f"{each!a:.60}" for each in sorted(scalers))
