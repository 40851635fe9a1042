"""A policy: everything that decides, as data. Checked once, when it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import checking
from .checking import BadOption
from .reading_rules import rules_of
from .rules import Rule

LEAST = 0.01  # seconds from sample to sample: with fewer there is no time to do anything else
MAX, SUM = "max", "sum"
BUSY_COUNT, BUSY_ALL, BUSY_NONE = "count", "all", "none"


@dataclass(frozen=True, slots=True)
class Rate:
    """At most so many workers in `period` seconds: `workers`, or `percent` of what there were."""

    period: float
    workers: int | None = None
    percent: float | None = None


@dataclass(frozen=True, slots=True)
class Fallback:
    """After `after` seconds without any answer, run at least `at_least` workers."""

    after: float
    at_least: int


@dataclass(frozen=True, slots=True)
class Policy:
    """How load becomes a number of workers. Durations in seconds.

    Make one with `policy_of`, which checks what people write.
    """

    rules: tuple[Rule, ...]
    min: int = 0
    max: int = 0
    every: float = 10.0
    timeout: float = 5.0  # of each probe
    combine: str = MAX  # what several probes come to
    up_window: float = 0.0
    down_window: float = 300.0
    protect_busy: str = BUSY_COUNT
    concurrency: int = 1  # jobs that one worker does at once
    max_up: Rate | None = None
    max_down: Rate | None = None
    cooldown_up: float = 0.0
    cooldown_down: float = 0.0
    idle_after: float = 300.0
    activate: float = 0.0
    min_active: int = 1
    on_error: Fallback | None = field(default=None)


def policy_of(options: Mapping[str, Any]) -> Policy:
    """The policy that `options` describe, as they stand in lifeline.toml.

    Raises BadOption, a UsageError whose `path` names the option, for anything that cannot be meant.
    """
    options = dict(options)
    checking.known(options, NAMES, "option")
    rules = rules_of(options.pop("rules", None))
    given: dict[str, Any] = {name: _CONVERT[name](name, value) for name, value in options.items()}
    _check_floor(rules, given)
    if "max" not in given:
        given["max"] = _highest(rules, given.get("min", 0))
    policy = Policy(rules=rules, **given)
    if policy.max < policy.min:
        raise BadOption(("max",), f"max = {policy.max} is less than min = {policy.min}")
    if policy.min_active > max(policy.max, 1):
        raise BadOption(
            ("min_active",), f"min_active = {policy.min_active} is more than max = {policy.max}"
        )
    return policy


def _check_floor(rules: tuple[Rule, ...], given: Mapping[str, Any]) -> None:
    if "min" not in given and not any(rule.has_floor for rule in rules):
        raise BadOption(
            ("rules",),
            "no rule says how many workers run when there is nothing to do: "
            "write { at_least = 0, dynos = … } or min = …",
        )


def _highest(rules: tuple[Rule, ...], least: int) -> int:
    """What `max` is if it is not written: the highest step; other rules know no end."""
    ceilings = [rule.ceiling for rule in rules]
    if None in ceilings:
        raise BadOption(("max",), "max is missing: these rules alone would know no end")
    return max(least, *(ceiling for ceiling in ceilings if ceiling is not None))


def _interval(name: str, value: object) -> float:
    found = checking.some_seconds(name, value)
    if found < LEAST:
        raise BadOption((name,), f"{name} = {value!r:.40} is less than {LEAST * 1000:.0f}ms")
    return found


def _rate(name: str, value: object) -> Rate:
    """`4/1m` or `50%/15s`."""
    words = value.split("/") if isinstance(value, str) else []
    if len(words) != 2:
        raise BadOption((name,), f'{name} is written "4/1m" or "50%/1m": so many in a time')
    amount, period = words[0].strip(), checking.some_seconds(name, words[1])
    digits = amount.removesuffix("%")
    if not (digits.isascii() and digits.isdigit()) or not 0 < int(digits[:9]) < 1_000_000:
        raise BadOption((name,), f"{name} = {value!r:.40}: {amount!r:.20} is no number of workers")
    if amount.endswith("%"):
        return Rate(period, percent=float(digits))
    return Rate(period, workers=int(digits))


def _fallback(name: str, value: object) -> Fallback | None:
    if value == "hold":
        return None
    if not isinstance(value, Mapping) or set(value) != {"after", "at_least"}:
        raise BadOption((name,), 'on_error is "hold" or { after = "10m", at_least = 3 }')
    after = checking.some_seconds("after", value["after"], (name,))
    return Fallback(after, checking.count("at_least", value["at_least"], (name,)))


def _protection(name: str, value: object) -> str:
    if isinstance(value, bool):
        return BUSY_COUNT if value else BUSY_NONE
    if value == BUSY_ALL:
        return BUSY_ALL
    raise BadOption((name,), f'{name} is true, false or "all", not {value!r:.40}')


_CONVERT: dict[str, Callable[[str, object], object]] = {
    "min": checking.count,
    "max": checking.count,
    "every": _interval,
    "timeout": checking.some_seconds,
    "combine": checking.one_of(MAX, SUM),
    "up_window": checking.seconds,
    "down_window": checking.seconds,
    "protect_busy": _protection,
    "concurrency": checking.some_count,
    "max_up": _rate,
    "max_down": _rate,
    "cooldown_up": checking.seconds,
    "cooldown_down": checking.seconds,
    "idle_after": checking.seconds,
    "activate": checking.number,
    "min_active": checking.some_count,
    "on_error": _fallback,
}
NAMES = frozenset((*_CONVERT, "rules"))
