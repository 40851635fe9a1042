"""Rules as people write them, the original's among them: `{"at_least": 10, "dynos": 5}`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from . import checking
from .checking import BadOption, Path
from .rules import SLACK, Band, Deadline, PerWorker, Rule, Rung, Steps, round_up

# What a rule is recognised by, and what else it may hold.
_KINDS: dict[str, frozenset[str]] = {
    "at_least": frozenset(("at_least", "workers", "dynos", "until_below")),
    "latency": frozenset(("latency", "workers", "dynos", "until_below")),
    "per_worker": frozenset(("per_worker",)),
    "deadline": frozenset(("deadline", "job", "concurrency")),
    "high": frozenset(("low", "high", "up", "down")),
}
_ALL = frozenset().union(*_KINDS.values())


def rules_of(given: object) -> tuple[Rule, ...]:
    """The rules in a list of tables. Raises BadOption, whose path leads to the one at fault."""
    if given is None:
        raise BadOption((), "rules are missing: rules = [{ at_least = 0, dynos = 1 }, …]")
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise BadOption(("rules",), "rules is a list of tables: [{ at_least = 0, dynos = 1 }, …]")
    steps: dict[str, list[tuple[Rung, Path]]] = {"at_least": [], "latency": []}
    others: list[Rule] = []
    for index, each in enumerate(given):
        path: Path = ("rules", index)
        kind = _kind(each, path)
        if kind in steps:
            steps[kind].append((_rung(kind, each, path), path))
        else:
            others.append(_other(kind, each, path))
    ladders: list[Rule] = [
        Steps(_ladder(kind, found), by_age=kind == "latency")
        for kind, found in steps.items()
        if found
    ]
    return (*ladders, *others)


def _kind(each: object, path: Path) -> str:
    if not isinstance(each, Mapping):
        raise BadOption(path, f"a rule is a table: {{ at_least = 0, dynos = 1 }}, not {each!r:.40}")
    kind = next((kind for kind in _KINDS if kind in each), None)
    if kind is None:
        checking.known(each, _ALL, "key", path)
        raise BadOption(path, f"a rule needs one of {', '.join(_KINDS)}")
    checking.known(each, _KINDS[kind], "key", path)
    return kind


def _rung(kind: str, each: Mapping[str, Any], path: Path) -> Rung:
    read = checking.number if kind == "at_least" else checking.seconds
    threshold = read(kind, each[kind], path)
    if ("workers" in each) == ("dynos" in each):
        raise BadOption(path, f"{kind} = {each[kind]} needs dynos or workers, one of the two")
    name = "workers" if "workers" in each else "dynos"
    workers = checking.count(name, each[name], path)
    below = threshold * SLACK
    if kind == "at_least" and round_up(below) <= threshold:
        below = float(round_up(below))  # jobs are whole
    if "until_below" in each:
        below = read("until_below", each["until_below"], path)
    if below > threshold:
        raise BadOption((*path, "until_below"), f"until_below = {below:g} is above {kind}")
    if below == 0 < threshold:
        raise BadOption((*path, "until_below"), "until_below = 0: no load is below that")
    return Rung(threshold, workers, below)


def _ladder(kind: str, found: list[tuple[Rung, Path]]) -> tuple[Rung, ...]:
    """The rungs by threshold; more load must never ask for fewer workers."""
    found = sorted(found, key=lambda each: each[0].at_least)
    for (low, _), (high, path) in pairwise(found):
        if low.at_least == high.at_least:
            raise BadOption((*path, kind), f"{kind} = {high.at_least:g} stands in two rules")
        if high.workers < low.workers:
            raise BadOption(
                path,
                f"{kind} = {high.at_least:g} asks for fewer workers ({high.workers}) "
                f"than {low.at_least:g} does ({low.workers})",
            )
    return tuple(rung for rung, _ in found)


def _other(kind: str, each: Mapping[str, Any], path: Path) -> Rule:
    if kind == "per_worker":
        return PerWorker(checking.some_number(kind, each[kind], path))
    needed = "job" if kind == "deadline" else "low"
    if needed not in each:
        raise BadOption(path, f"a rule with {kind} needs {needed}, too")
    if kind == "deadline":
        return Deadline(
            checking.some_seconds(kind, each[kind], path),
            checking.some_seconds("job", each["job"], path),
            checking.some_count("concurrency", each.get("concurrency", 1), path),
        )
    low = checking.seconds("low", each["low"], path)
    high = checking.seconds("high", each["high"], path)
    if low > high:
        raise BadOption(path, f"low = {low:g} s is above high = {high:g} s")
    up, down = (checking.some_count(name, each.get(name, 1), path) for name in ("up", "down"))
    return Band(low, high, up, down)
