"""What dynomatic 0.1.0 gets wrong, one test for each, and what it gets right: its numbers.

Numbers are those of the list in docs/scaling.md. The fifth, times without a zone, is a matter of
the probes that read tables and has its test with them.
"""

from __future__ import annotations

import itertools

import pytest

from lifeline.errors import UsageError
from lifeline.scaling import ProbeError, Sample, Scaler, TargetError
from lifeline.scaling.policy import policy_of
from support.fleet import README, Fleet, Queue, Stand


@pytest.mark.parametrize(
    ("ready", "dynos"),
    [(0, 1), (1, 1), (9, 1), (10, 5), (19, 5), (20, 10), (25, 10), (29, 10), (30, 15), (31, 15)],
)
def test_the_originals_rules_give_the_numbers_of_its_readme(ready: int, dynos: int) -> None:
    """25 jobs give 10, 31 give 15, at once and with no option but the rules."""
    assert Stand(1, ready).tick() == dynos


@pytest.mark.parametrize("rules", list(itertools.permutations(README)))
def test_1_the_order_in_which_rules_are_written_does_not_matter(
    rules: tuple[dict[str, int], ...],
) -> None:
    """The original sorts by a key that does not exist; high to low, every load gives 1 dyno."""
    assert [Stand(1, ready, rules=list(rules)).tick() for ready in (10, 25, 31)] == [5, 10, 15]


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ([*README, {"at_least": 10, "dynos": 7}], "at_least = 10 stands in two rules"),
        ([{"at_least": 0, "dynos": 1}, {"over": 10, "dynos": 5}], "unknown key 'over'"),
    ],
)
def test_1_rules_that_cannot_be_sorted_are_refused(rules: list[dict[str, int]], told: str) -> None:
    """Two with one threshold, or one without: when the scaler is made, not when it runs."""
    with pytest.raises(UsageError, match=told):
        policy_of({"rules": rules})


def test_2_the_highest_threshold_that_is_reached_wins() -> None:
    """The original's text says the lowest, its example and its code the highest."""
    assert Stand(1, 1000).tick() == 15


def test_3_no_rule_for_so_little_work_means_min() -> None:
    """The original fails inside the user's job; here nothing of the user's is involved."""
    rules = [{"at_least": 10, "dynos": 5}]
    assert Stand(5, 3, rules=rules, min=2, down_window=0).tick() == 2
    with pytest.raises(UsageError, match="no rule says how many workers run when there is nothing"):
        policy_of({"rules": rules})


def test_3_an_error_of_the_queue_is_no_error_of_the_scaler() -> None:
    """The original lets it through into the job."""
    stand = Stand(3, ZeroDivisionError("the database is away"))
    decision = stand.scaler.tick()
    assert (decision.desired, decision.actual, decision.failed) == (3, 3, True)


def test_4_work_in_progress_is_told_apart_from_work_that_waits() -> None:
    """The original counts running rows as waiting: 5 jobs of which 3 are ready gave 5."""
    rules = [{"at_least": 0, "dynos": 1}, {"at_least": 5, "dynos": 9}]
    assert Stand(1, Sample(ready=3, busy=2, future=4), rules=rules).tick() == 1


def test_6_scales_up_from_none() -> None:
    """The original is asked by running jobs only, so at 0 workers nobody asks."""
    stand = Stand(0, 0, rules=[{"at_least": 0, "dynos": 0}, {"at_least": 1, "dynos": 2}])
    assert [stand.tick(0), stand.tick(1)] == [0, 2]
    assert stand.fleet.workers == 2


def test_6_scales_down_after_the_last_job() -> None:
    """The original is not asked again, and its last job counts itself: it stays at 3 for ever."""
    stand = Stand(3, 1, rules=[{"at_least": 0, "dynos": 1}, {"at_least": 1, "dynos": 3}])
    assert stand.tick(1) == 3
    assert stand.ticks(0, 320)[-1] == 1
    assert stand.fleet.workers == 1


def test_7_what_there_is_counts_not_what_was_last_asked_for() -> None:
    """The original's process that last asked for 10 makes no call while 1 runs and 25 wait."""
    stand = Stand(1, 25)
    assert stand.tick() == 10
    stand.fleet.workers = 1  # somebody else
    assert stand.tick() == 10
    assert stand.fleet.workers == 10


def test_8_a_failing_platform_is_asked_less_and_less_often() -> None:
    """The original asks again with every job. Here: after 10, 20, 40 … seconds, at most 300."""
    stand = Stand(1, 25)
    stand.fleet.write_error = TargetError("503 unavailable")
    stand.ticks(25, 3600)
    assert 12 <= len(stand.fleet.writes) <= 18
    stand.fleet.write_error = None
    stand.ticks(25, 310)
    assert stand.fleet.workers == 10


def test_8_a_platform_that_says_when_is_left_alone_until_then() -> None:
    """429 with Retry-After: 120; not even a read before; what was wanted is still wanted."""
    stand = Stand(1, 25)
    stand.fleet.write_error = TargetError("429 rate_limit", retry_after=120)
    stand.tick()
    stand.fleet.write_error = None
    stand.fleet.calls.clear()
    assert set(stand.ticks(25, 110)) == {10}
    assert stand.fleet.calls == []
    stand.tick()
    assert stand.fleet.calls == ["read", 10]


@pytest.mark.parametrize(("probe", "target"), [(Queue, Fleet()), (Queue(), Fleet)])
def test_9_a_class_in_place_of_an_object_is_told_at_once(probe: object, target: object) -> None:
    """The original's own README sets a class, and then fails with each job."""
    with pytest.raises(UsageError, match="is a class"):
        Scaler(probe, target, README)  # type: ignore[arg-type]


def test_10_workers_that_are_at_work_stay() -> None:
    """The original stops busy workers, itself among them."""
    stand = Stand(10, Sample(0, busy=4), down_window=0)
    assert stand.tick() == 4
    assert stand.tick(Sample(0, busy=0)) == 1


def test_11_min_max_hysteresis_and_a_dry_run_are_there() -> None:
    """The original has none of the four."""
    assert Stand(5, 1000, max=7).tick() == 7
    assert Stand(5, 0, min=3, down_window=0).tick() == 3
    stand = Stand(1, 10, down_window=0)
    assert [stand.tick(each) for each in (10, 9, 10, 9, 8)] == [5, 5, 5, 5, 1]
    dry = Stand(1, 25, apply=False)
    assert (dry.tick(), dry.fleet.workers) == (10, 1)


def test_11_two_scalers_of_one_process_do_not_meet() -> None:
    """In the original a second `configure` stacks a second callback on the first."""
    first, second = Stand(1, 25), Stand(1, 5)
    assert (first.tick(), second.tick()) == (10, 1)


def test_none_of_it_is_taken_for_no_work() -> None:
    """NULL, not-a-number, less than nothing, a word: each is an error."""
    for bad in (None, float("nan"), -1, "12", True, float("inf"), 1e300, 10**400):
        stand = Stand(15, bad, down_window=0, idle_after=0)
        assert stand.tick() == 15
        assert stand.scaler.tick().failed
    with pytest.raises(ProbeError, match="less than nothing"):
        Sample(-1)
