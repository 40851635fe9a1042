"""What a scaler knows of its past: plain data that becomes JSON and comes back the same.

Times are wall seconds: it has to survive a restart, a reboot and another machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

_LONGEST_BACKOFF = 300.0  # seconds
_VERSION = 1
# What may be None, and what it is else.
_READ: dict[str, Callable[[Any], float]] = {
    **dict.fromkeys(("at", "idle_since", "blind_since", "quiet_until"), float),
    **dict.fromkeys(("actual", "intent"), int),
}


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything that a decision takes from earlier ones. A new scaler has an empty one.

    `history` are recommendations (time, workers), oldest first; `held` is what each rule stands
    at; `changes` are (time, from, to) as they were written. `idle_since`, `blind_since` and
    `quiet_until` are None where they do not apply.
    """

    at: float | None = None  # of the last tick
    actual: int | None = None  # workers, as last observed or written
    history: tuple[tuple[float, int], ...] = ()
    held: Mapping[str, int] = field(default_factory=dict)
    changes: tuple[tuple[float, int, int], ...] = ()
    idle_since: float | None = None
    blind_since: float | None = None  # no probe has given an answer since
    quiet_until: float | None = None  # the target is not asked anything until then
    refusals: int = 0  # of the target, in a row
    intent: int | None = None  # what could not be written yet

    def shifted(self, by: float) -> Memory:
        """The same with all times moved: what a clock that was set back leaves of the past."""

        def move(time: float | None) -> float | None:
            return None if time is None else time + by

        return replace(
            self,
            at=move(self.at),
            history=tuple((time + by, workers) for time, workers in self.history),
            changes=tuple((time + by, old, new) for time, old, new in self.changes),
            idle_since=move(self.idle_since),
            blind_since=move(self.blind_since),
            quiet_until=move(self.quiet_until),
        )

    def after_write(self, now: float, old: int, new: int, *, longest: float) -> Memory:
        """The memory once `new` workers were asked for; `longest` seconds of changes are kept."""
        kept = tuple(each for each in self.changes if each[0] > now - longest)
        return replace(
            self,
            actual=new,
            changes=(*kept, (now, old, new)),
            refusals=0,
            quiet_until=None,
            intent=None,
        )

    def after_answer(self, differs: bool) -> Memory:
        """The memory once the target was read; what is still to be written counts as refused."""
        if self.intent is not None and differs:
            return self
        return replace(self, refusals=0, quiet_until=None, intent=None)

    def after_refusal(
        self, now: float, every: float, retry_after: float | None, intent: int | None
    ) -> Memory:
        """The memory once the target failed: it is left alone for twice as long each time.

        At least `retry_after` seconds where it says so, else from `every` to five minutes.
        """
        pause = min(every * 2.0 ** min(self.refusals, 16), _LONGEST_BACKOFF)
        until = now + max(pause, retry_after or 0.0)
        intent = self.intent if intent is None else intent
        return replace(self, refusals=self.refusals + 1, quiet_until=until, intent=intent)

    def resting(self, now: float, seconds: float | None) -> Memory:
        """The memory once the target asked to be left alone for so long, though it did not fail."""
        return replace(self, quiet_until=now + seconds) if seconds else self

    def is_quiet(self, now: float) -> bool:
        """True while the target is to be left alone."""
        return self.quiet_until is not None and now < self.quiet_until


def to_json(memory: Memory) -> dict[str, Any]:
    """`memory` as data for JSON."""
    return {"version": _VERSION, **asdict(memory)}


def from_json(data: object) -> Memory:
    """The memory that was written; an empty one if it is none, or one of another version.

    Losing it costs what a first start costs: it seeds itself with the workers that there are.
    """
    if not isinstance(data, Mapping) or data.get("version") != _VERSION:
        return Memory()
    names = {each.name for each in fields(Memory)}
    try:
        known = {name: value for name, value in data.items() if name in names}
        known["history"] = tuple((float(t), int(n)) for t, n in known["history"])
        known["changes"] = tuple((float(t), int(a), int(b)) for t, a, b in known["changes"])
        known["held"] = {str(rule): int(workers) for rule, workers in known["held"].items()}
        known["refusals"] = int(known["refusals"])
        for name, read in _READ.items():
            known[name] = None if known[name] is None else read(known[name])
        return Memory(**known)
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError):
        return Memory()
