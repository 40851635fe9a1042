"""The stages of the pipeline, each by what it does to a fleet over time."""

from __future__ import annotations

from typing import Any

import pytest

from lifeline.scaling import ProbeError, Sample
from lifeline.scaling.decision import Pause
from lifeline.scaling.memory import Memory
from lifeline.scaling.pipeline import decide
from lifeline.scaling.policy import policy_of
from lifeline.scaling.sample import Failure
from lifeline.scaling.stages import STAGES
from support.fleet import BARE, README, START, Queue, Stand

NONE_AT_ZERO = [{"at_least": 0, "dynos": 0}, {"at_least": 1, "dynos": 1}, *README[1:]]


def test_every_stage_says_what_it_made_of_it() -> None:
    """In the order in which they are documented."""
    reasons = Stand(1, 25).scaler.explain().decision.reasons
    names = ["probe", "rules", "hysteresis", *(name for name, _ in STAGES), "apply"]
    assert [reason.stage for reason in reasons] == names
    assert all(reason.text for reason in reasons)


# --- windows ------------------------------------------------------------------------------------


def test_the_way_down_takes_the_most_of_the_last_five_minutes() -> None:
    """Up is at once; down when every recommendation of five minutes was lower."""
    stand = Stand(1, 0)
    assert stand.tick(25) == 10
    assert stand.ticks(0, 290) == [10] * 29
    assert stand.tick(10) == 10
    assert stand.tick(0) == 5
    assert stand.ticks(0, 310)[-1] == 1


def test_a_first_tick_does_not_drop_the_fleet() -> None:
    """The history begins with the workers there are, as HPA's does."""
    stand = Stand(12, 0)
    assert stand.ticks(0, 300) == [12] * 30
    assert stand.ticks(0, 20)[-1] == 1


def test_an_up_window_waits_for_a_load_that_lasts() -> None:
    """A peak of one tick adds nobody."""
    stand = Stand(1, 0, up_window=30)
    assert [stand.tick(each) for each in (0, 25, 0, 25, 25, 25)] == [1, 1, 1, 1, 1, 1]
    assert stand.ticks(25, 20)[-1] == 10


def test_a_scaler_that_looks_once_in_ten_minutes_goes_down_too() -> None:
    """A recommendation stands until the next: a window that saw none is not empty."""
    stand = Stand(10, 25, down_window=300)
    stand.tick(25, after=600)
    assert [stand.tick(0, after=600), stand.tick(0, after=600)] == [10, 1]


def test_what_somebody_changed_by_hand_is_not_taken_back_at_once() -> None:
    """It counts as a first look: more by hand stay for a window."""
    stand = Stand(1, 0)
    stand.ticks(0, 600)
    stand.fleet.workers = 8
    assert stand.ticks(0, 290)[-1] == 8
    assert stand.ticks(0, 60)[-1] == 1


# --- busy, rate, cooldown, bounds ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("protect", "concurrency", "left"), [(True, 1, 4), (True, 3, 2), ("all", 1, 10), (False, 1, 1)]
)
def test_busy_workers_are_a_floor(protect: Any, concurrency: int, left: int) -> None:
    """Four jobs on workers of three each are two workers; "all" waits until nobody is busy."""
    options = {**BARE, "protect_busy": protect, "concurrency": concurrency}
    assert Stand(10, Sample(0, busy=4), **options).tick() == left


def test_busy_workers_add_none() -> None:
    """More busy than there are is a matter of counting, not of scaling."""
    assert Stand(2, Sample(0, busy=9), **{**BARE, "protect_busy": True}).tick() == 2


def test_a_target_that_knows_who_is_busy_is_believed() -> None:
    """Where the queue does not tell."""
    stand = Stand(10, 0, **{**BARE, "protect_busy": True})
    stand.fleet.busy = lambda: 6  # type: ignore[attr-defined]
    assert stand.tick() == 6


def test_a_rate_bounds_how_many_come_and_go_in_a_period() -> None:
    """Four a minute up, half a minute down; over it, the next period goes on."""
    stand = Stand(1, 0, **BARE, max_up="4/1m", max_down="50%/1m")
    assert stand.ticks(50, 130) == [5] * 6 + [9] * 6 + [13]
    assert stand.ticks(0, 120, every=60) == [6, 3]
    assert Stand(0, 50, **BARE, max_up="50%/1m").tick() == 1


def test_cooldowns_hold_and_a_way_up_never_waits_for_a_way_down() -> None:
    """Up again after 60 s, down not within 120 s of any change."""
    stand = Stand(1, 0, **BARE, cooldown_up=60, cooldown_down=120)
    assert stand.tick(10) == 5
    assert stand.ticks(25, 50) == [5] * 5
    assert stand.tick(25) == 10
    assert stand.ticks(0, 110)[-1] == 10
    assert stand.tick(0) == 1
    assert stand.tick(25) == 10


def test_without_a_rate_or_cooldown_nothing_is_held() -> None:
    """The original's rules give the original's numbers."""
    assert [Stand(1, ready).tick() for ready in (25, 31)] == [10, 15]


# --- zero ---------------------------------------------------------------------------------------


def test_to_none_only_after_five_minutes_without_any_work() -> None:
    """A job in between begins them anew; the last worker stays until then."""
    stand = Stand(5, 0, rules=NONE_AT_ZERO, down_window=0)
    assert stand.ticks(0, 290)[-1] == 1
    assert stand.tick(Sample(0, busy=1)) == 1
    assert stand.ticks(0, 300)[-1] == 1
    assert stand.tick(0) == 0


def test_awake_as_soon_as_there_is_work_though_no_step_is_reached() -> None:
    """Or jobs below the first step would wait for ever."""
    rules = [{"at_least": 0, "dynos": 0}, {"at_least": 10, "dynos": 5}]
    assert Stand(0, 3, rules=rules).tick() == 1
    assert Stand(0, 3, rules=rules, min_active=2).tick() == 2
    assert Stand(0, 3, rules=rules, activate=5).tick() == 0
    assert Stand(0, 10, rules=rules, activate=50).tick() == 5  # a step outranks it


def test_an_estimate_has_to_say_nothing_twice() -> None:
    """SQS may tell of none for a minute while there are some."""
    stand = Stand(3, 0, rules=NONE_AT_ZERO, **BARE)
    lagging = Sample(0, exact=False)
    assert [stand.tick(lagging), stand.tick(lagging)] == [1, 0]


def test_the_last_step_to_none_obeys_the_rate() -> None:
    """No jump from many to none past `max_down`."""
    stand = Stand(6, 0, rules=NONE_AT_ZERO, **BARE, max_down="2/1m")
    assert stand.ticks(0, 240, every=60) == [4, 2, 0, 0]


# --- errors -------------------------------------------------------------------------------------


def test_one_failing_probe_of_two_forbids_down_and_allows_up() -> None:
    """The other one may still say that more are needed."""
    away = Queue(ProbeError("away"))
    stand = Stand(5, 0, **BARE)
    stand.scaler = stand.make(probe=[stand.queue, away])
    assert [stand.tick(0), stand.tick(25), stand.tick(0)] == [5, 10, 10]
    away.sample = 0
    assert stand.tick(0) == 1


@pytest.mark.parametrize("combine", ["max", "sum"])
@pytest.mark.parametrize("first", [True, False])
def test_a_failure_leaves_each_rule_where_it_stands(combine: str, first: bool) -> None:
    """Of the probe that failed, and of the other: a step that is held stays so afterwards."""
    one, other = Queue(10), Queue(0)
    stand = Stand(1, 0, **BARE, combine=combine)
    stand.scaler = stand.make(probe=[one, other] if first else [other, one])
    assert stand.tick() == 5
    one.sample = 9
    for failing in (one, other):
        said, failing.sample = failing.sample, ProbeError("away")
        assert stand.tick() == 5
        failing.sample = said
        assert [stand.tick(), stand.tick()] == [5, 5]


def test_a_probe_takes_no_step_that_another_stands_on() -> None:
    """With the first of two away, the second is held where it stood itself."""
    one, other = Queue(20), Queue(0)
    stand = Stand(1, 0, **BARE)
    stand.scaler = stand.make(probe=[one, other])
    assert stand.tick() == 10
    one.sample, other.sample, stand.fleet.workers = ProbeError("away"), 18, 5
    assert stand.tick() == 5


def test_without_any_answer_all_stays_for_ever() -> None:
    """If nothing else is asked for; and an operator's max is no reason to end anybody."""
    stand = Stand(9, ProbeError("away"), **BARE, max=5)
    assert set(stand.ticks(None, 7200, every=60)) == {9}


def test_a_fallback_after_its_time_adds_and_never_takes() -> None:
    """at_least 3 after ten minutes."""
    options = {**BARE, "on_error": {"after": "10m", "at_least": 3}}
    stand = Stand(1, ProbeError("away"), **options)
    assert stand.ticks(None, 600)[-1] == 1
    assert stand.tick() == 3
    other = Stand(8, ProbeError("away"), **options)
    assert set(other.ticks(None, 1200)) == {8}


def test_a_fallback_goes_as_others_do() -> None:
    """Whom it started stays for a window after the first answer: no back and forth."""
    stand = Stand(1, 0, on_error={"after": "1m", "at_least": 5})
    for _ in range(2):
        assert stand.ticks(ProbeError("away"), 100)[-1] == 5
        assert set(stand.ticks(0, 300)) == {5}
    assert stand.ticks(0, 20)[-1] == 1


def test_an_outage_begins_the_time_to_none_anew() -> None:
    """Nobody knows what there was to do meanwhile."""
    stand = Stand(1, 0, rules=NONE_AT_ZERO, down_window=0)
    stand.ticks(0, 280)
    stand.tick(ProbeError("away"))
    assert stand.ticks(0, 300)[-1] == 1
    assert stand.tick(0) == 0


# --- several probes, pauses, clocks -------------------------------------------------------------


def test_several_probes_count_by_the_largest_or_together() -> None:
    """`combine`; what they see being worked on adds up in any case."""
    first, second = Queue(Sample(6, busy=1)), Queue(Sample(7, busy=2))
    stand = Stand(1, 0)
    assert stand.make(probe=[first, second]).tick().desired == 1
    assert stand.make(probe=[first, second], combine="sum").tick().desired == 5
    busy = Stand(9, 0, **{**BARE, "protect_busy": True})
    assert busy.make(probe=[first, second]).tick().desired == 3


@pytest.mark.parametrize(
    ("paused", "up", "down"),
    [
        (Pause(), 10, 1),
        (Pause(up=START + 1), 5, 1),
        (Pause(down=START + 1), 10, 5),
        (Pause(up=START, down=START), 10, 1),
    ],
)
def test_what_is_paused_does_not_happen(paused: Pause, up: int, down: int) -> None:
    """Until it is over, and in that direction only."""
    policy = policy_of({"rules": README, **BARE})
    results = [
        decide([Sample(ready)], 5, Memory(), START, policy, paused=paused)[0].desired
        for ready in (25, 0)
    ]
    assert results == [up, down]


def test_a_clock_that_is_set_back_makes_no_cooldown_longer() -> None:
    """The past is moved with it: what was over is not two hours ahead."""
    stand = Stand(1, 0, **BARE, cooldown_up=60)
    assert stand.ticks(10, 100)[-1] == 5
    assert stand.tick(25, after=-7200) == 10


def test_a_target_that_cannot_be_read_gives_no_number() -> None:
    """Neither what there is nor what there should be."""
    policy = policy_of({"rules": README})
    decision, _ = decide([Sample(25)], None, Memory(), START, policy, unread="away")
    assert (decision.desired, decision.actual, decision.failed) == (None, None, True)
    assert decision.why == "target: away"


def test_a_failure_is_told_with_its_reason() -> None:
    """In the decision that it has led to."""
    policy = policy_of({"rules": README})
    decision, _ = decide([Failure("the database is away")], 3, Memory(), START, policy)
    assert any("the database is away" in reason.text for reason in decision.reasons)
