"""Rules: what each kind asks for, when it lets go again, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from lifeline.scaling import Sample
from lifeline.scaling.checking import BadOption
from lifeline.scaling.policy import policy_of
from lifeline.scaling.rules import can_judge
from lifeline.scaling.sample import total
from support.fleet import README, Stand


def entered(rule: dict[str, Any], sample: Sample, actual: int = 0) -> int:
    (made,) = policy_of({"rules": [rule], "min": 0, "max": 1000}).rules
    return made.bounds(sample, actual).enter


@pytest.mark.parametrize(
    ("rule", "sample", "workers"),
    [
        ({"at_least": 10, "workers": 5}, Sample(10), 5),
        ({"at_least": 10, "workers": 5}, Sample(9.99), 0),
        ({"latency": "1m", "dynos": 7}, Sample(1, oldest_age=60.0), 7),
        ({"latency": "1m", "dynos": 7}, Sample(1, oldest_age=59.9), 0),
        ({"latency": "1m", "dynos": 7}, Sample(0), 0),
        ({"per_worker": 10}, Sample(0), 0),
        ({"per_worker": 10}, Sample(1), 1),
        ({"per_worker": 10}, Sample(10), 1),
        ({"per_worker": 10}, Sample(10, busy=1), 2),
        ({"per_worker": 0.5}, Sample(3), 6),
        ({"deadline": "60s", "job": "10s"}, Sample(0), 0),
        ({"deadline": "60s", "job": "10s"}, Sample(5), 1),
        ({"deadline": "60s", "job": "10s"}, Sample(6), 2),
        ({"deadline": "60s", "job": "10s", "concurrency": 4}, Sample(40), 2),
        ({"deadline": "5s", "job": "10s"}, Sample(3), 3),  # cannot be met: one each
        ({"per_worker": 1}, Sample(1e14), 100_000),  # more than anybody has, and at once
        ({"per_worker": 1e-300}, Sample(1e14), 100_000),
        ({"deadline": "5s", "job": "10s"}, Sample(1e14), 100_000),
    ],
)
def test_each_kind_of_rule_asks_for_so_many(
    rule: dict[str, Any], sample: Sample, workers: int
) -> None:
    """Thresholds belong to the step that they begin; what is not whole is rounded up."""
    assert entered(rule, sample) == workers


@pytest.mark.parametrize(
    ("age", "actual", "workers"), [(5, 4, 3), (9.9, 0, 0), (10, 4, 4), (30, 4, 4), (31, 4, 6)]
)
def test_a_band_goes_by_steps_from_what_there_is(age: float, actual: int, workers: int) -> None:
    """Two more above it, one fewer below it, nothing within it, and never fewer than none."""
    rule = {"low": "10s", "high": "30s", "up": 2}
    assert entered(rule, Sample(1, oldest_age=age), actual) == workers


@pytest.mark.parametrize(
    ("rule", "up", "kept", "down"),
    [
        ({"at_least": 10, "dynos": 5}, 10, 9, 8),
        ({"at_least": 1, "dynos": 5}, 1, 1, 0),
        ({"at_least": 25, "dynos": 5}, 25, 23, 22),
        ({"at_least": 10, "dynos": 5, "until_below": 4}, 10, 4, 3),
        ({"at_least": 10, "dynos": 5, "until_below": 10}, 10, 10, 9),
        ({"per_worker": 10}, 41, 37, 36),
    ],
)
def test_a_step_is_left_a_tenth_below_where_it_was_entered(
    rule: dict[str, Any], up: int, kept: int, down: int
) -> None:
    """Or where `until_below` says; a step at 1 is left at 0 and not held for ever."""
    stand = Stand(0, 0, rules=[{"at_least": 0, "dynos": 0}, rule], max=9, down_window=0)
    assert (stand.tick(up), stand.tick(kept)) == (5, 5)
    assert (stand.tick(down) or 0) < 5


def test_the_largest_of_all_rules_counts() -> None:
    """As in HPA: whichever metric needs most."""
    rules = [*README, {"per_worker": 2}, {"latency": "60s", "dynos": 12}]
    assert Stand(0, Sample(12, oldest_age=1), rules=rules, max=20).tick() == 6
    assert Stand(0, Sample(12, oldest_age=61), rules=rules, max=20).tick() == 12
    assert Stand(0, Sample(12, oldest_age=None), rules=rules, max=20).tick() == 6


def test_a_rule_by_age_without_an_age_is_an_error_and_not_none() -> None:
    """Unless nothing is ready: then nothing waits."""
    rules = [{"latency": "60s", "dynos": 5}]
    (rule,) = policy_of({"rules": rules, "min": 1}).rules
    assert (can_judge(rule, Sample(1)), can_judge(rule, Sample(0))) == (False, True)
    stand = Stand(5, Sample(3), rules=rules, min=1, down_window=0)
    assert stand.scaler.tick().failed
    assert stand.tick() == 5


def test_several_queues_have_an_age_only_if_all_of_them_tell() -> None:
    """Ready jobs of an unknown age may be older than all others."""
    known, empty = Sample(2, 1, 3, oldest_age=9.0), Sample(0, 1, exact=False)
    assert total([known, empty]) == Sample(2, 2, 3, oldest_age=9.0, exact=False)
    assert total([known, Sample(1)]) == Sample(3, 1, 3)
    assert total([known, Sample(1, oldest_age=12.5)]) == Sample(3, 1, 3, oldest_age=12.5)


S = {"at_least": 0, "dynos": 1}
N = {"at_least": 10, "dynos": 5, "until_below": 0}
REFUSED: list[tuple[dict[str, Any], tuple[str | int, ...], str]] = [
    ({}, (), "rules are missing"),
    ({"rules": []}, ("rules",), "rules is a list of tables"),
    ({"rules": "x"}, ("rules",), "rules is a list of tables"),
    ({"rules": [3]}, ("rules", 0), "a rule is a table"),
    ({"rules": [{}]}, ("rules", 0), "a rule needs one of at_least"),
    ({"rules": [S, {"at_lest": 1}]}, ("rules", 1, "at_lest"), "did you mean 'at_least'?"),
    ({"rules": [{**S, "dino": 1}]}, ("rules", 0, "dino"), "unknown key 'dino'"),
    ({"rules": [S, {"at_least": -1, "dynos": 1}]}, ("rules", 1, "at_least"), "is negative"),
    ({"rules": [S, {"at_least": 9, "dynos": -1}]}, ("rules", 1, "dynos"), "is negative"),
    ({"rules": [S, {"at_least": 9, "dynos": 1.5}]}, ("rules", 1, "dynos"), "a whole number"),
    ({"rules": [S, {"at_least": 9, "dynos": 10**9}]}, ("rules", 1, "dynos"), "than anybody has"),
    ({"rules": [S, {"at_least": True, "dynos": 1}]}, ("rules", 1, "at_least"), "be a number"),
    ({"rules": [S, {"at_least": float("nan"), "dynos": 1}]}, ("rules", 1, "at_least"), "a number"),
    ({"rules": [S, {"at_least": 9}]}, ("rules", 1), "needs dynos or workers"),
    ({"rules": [{**S, "workers": 1}]}, ("rules", 0), "one of the two"),
    ({"rules": [S, {"at_least": 0, "dynos": 2}]}, ("rules", 1, "at_least"), "in two rules"),
    ({"rules": [S, {"at_least": 5, "dynos": 0}]}, ("rules", 1), "asks for fewer workers"),
    ({"rules": [{"at_least": 5, "dynos": 1}]}, ("rules",), "no rule says how many"),
    ({"rules": [{**S, "until_below": 1}]}, ("rules", 0, "until_below"), "is above at_least"),
    ({"rules": [{"per_worker": 0}], "max": 3}, ("rules", 0, "per_worker"), "more than nothing"),
    ({"rules": [{"per_worker": 2}]}, ("max",), "max is missing"),
    ({"rules": [{"deadline": "1m"}], "max": 3}, ("rules", 0), "needs job"),
    ({"rules": [{"high": 5}], "max": 3}, ("rules", 0), "needs low"),
    ({"rules": [{"high": 5, "low": 9}], "max": 3}, ("rules", 0), "is above high"),
    ({"rules": [{"latency": "5x", "dynos": 1}], "min": 0}, ("rules", 0, "latency"), "no"),
    ({"rules": [S], "mni": 1}, ("mni",), "did you mean 'min'?"),
    ({"rules": [S], "min": -1}, ("min",), "is negative"),
    ({"rules": [S], "min": 4, "max": 2}, ("max",), "max = 2 is less than min = 4"),
    ({"rules": [S], "max": 2, "min_active": 3}, ("min_active",), "more than max"),
    ({"rules": [S], "every": 0}, ("every",), "more than nothing"),
    ({"rules": [S], "every": 0.0001}, ("every",), "every = 0.0001 is less than 10ms"),
    ({"rules": [S, N]}, ("rules", 1, "until_below"), "no load is below that"),
    ({"rules": [S], "every": 1e11}, ("every",), "longer than a hundred years"),
    ({"rules": [S], "activate": 10**400}, ("activate",), "more than can be counted"),
    ({"rules": [S], "min": -(10**400)}, ("min",), "is negative"),
    ({"rules": [S], "down_window": "-5m"}, ("down_window",), "is not a duration"),
    ({"rules": [S], "max_up": 4}, ("max_up",), '"4/1m" or "50%/1m"'),
    ({"rules": [S], "max_up": "0/1m"}, ("max_up",), "no number of workers"),
    ({"rules": [S], "protect_busy": "some"}, ("protect_busy",), 'true, false or "all"'),
    ({"rules": [S], "on_error": "zero"}, ("on_error",), 'on_error is "hold" or'),
    ({"rules": [S], "combine": "mean"}, ("combine",), "max or sum"),
]


@pytest.mark.parametrize(("options", "path", "told"), REFUSED, ids=lambda each: str(each)[:40])
def test_what_cannot_be_meant_is_refused_where_it_stands(
    options: dict[str, Any], path: tuple[str | int, ...], told: str
) -> None:
    """One line; the path leads to the key, so that a file's line can be shown."""
    with pytest.raises(BadOption) as refused:
        policy_of(options)
    assert refused.value.path == path
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_most_is_the_highest_step_unless_it_is_said() -> None:
    """And never less than `min`."""
    assert policy_of({"rules": README}).max == 15
    assert policy_of({"rules": README, "min": 20}).max == 20
    assert policy_of({"rules": README, "max": 4}).max == 4
