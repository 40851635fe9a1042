"""What holds for every policy and every load: found by hypothesis, not by us."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.scaling.memory import Memory, from_json, to_json
from lifeline.scaling.moment import Moment, Outcome, judge, settle
from lifeline.scaling.pipeline import decide
from lifeline.scaling.policy import Policy, policy_of
from lifeline.scaling.sample import Failure, Reading, Sample
from support.fleet import START

counts = st.integers(0, 60)
ages = st.floats(0, 600, allow_nan=False)
windows = st.sampled_from([0, 15, 60, 300])


@st.composite
def ladders(draw: st.DrawFn, kind: str, thresholds: st.SearchStrategy[int]) -> list[dict[str, Any]]:
    """Steps upwards, some of which are left where they say themselves."""
    workers, found = 0, []
    steps = draw(st.lists(st.tuples(thresholds, st.integers(0, 6)), max_size=4))
    for threshold, more in sorted(dict(steps).items()):
        workers += more
        rule: dict[str, Any] = {kind: threshold, "dynos": workers}
        if draw(st.booleans()):
            rule["until_below"] = draw(st.integers(1, threshold))
        found.append(rule)
    return found


@st.composite
def rule_lists(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rules of one or of several kinds."""
    least = draw(st.integers(0, 2))
    found: list[dict[str, Any]] = [{"at_least": 0, "dynos": least}]
    for rule in draw(ladders("at_least", st.integers(1, 50))):
        found.append({**rule, "dynos": rule["dynos"] + least})
    found += draw(ladders("latency", st.integers(1, 600)))
    if draw(st.booleans()):
        found.append({"per_worker": draw(st.integers(1, 9))})
    if draw(st.booleans()):
        found.append({"deadline": 60, "job": draw(st.integers(1, 90))})
    if draw(st.booleans()):
        low, high = sorted(draw(st.tuples(ages, ages)))
        up, down = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
        found.append({"low": low, "high": high, "up": up, "down": down})
    return found


@st.composite
def policies(draw: st.DrawFn, *, bare: bool = False) -> Policy:
    """A `bare` one has nothing but its rules to keep a worker."""
    least = 0 if bare else draw(st.integers(0, 4))
    options: dict[str, Any] = {
        "rules": draw(rule_lists()),
        "min": least,
        "max": draw(st.integers(max(least, 1), 20)),
        "up_window": draw(windows),
        "down_window": draw(windows),
        "protect_busy": False if bare else draw(st.sampled_from([True, False, "all"])),
        "cooldown_up": draw(windows),
        "cooldown_down": draw(windows),
        "idle_after": draw(windows),
        "combine": draw(st.sampled_from(["max", "sum"])),
        "activate": draw(st.sampled_from([0, 5, 50])),
    }
    if draw(st.booleans()):
        options["max_up"] = draw(st.sampled_from(["1/1m", "50%/30s", "4/15s"]))
        options["max_down"] = draw(st.sampled_from(["1/1m", "50%/30s", "4/15s"]))
    if not bare and draw(st.booleans()):
        options["on_error"] = {"after": draw(st.sampled_from([5, 60])), "at_least": 3}
    return policy_of(options)


samples = st.builds(Sample, ready=counts, busy=st.integers(0, 10), oldest_age=ages)
failures = st.just(Failure("away"))
moments = st.lists(st.lists(st.one_of(samples, samples, failures), min_size=1, max_size=3))
good_moments = st.lists(st.lists(samples, min_size=1, max_size=3), max_size=12)


def after(policy: Policy, past: list[list[Reading]], actual: int) -> tuple[Memory, int, float]:
    """The memory, workers and time once all of `past` has been decided and done."""
    memory, now = Memory(), START
    for readings in past:
        now += 10
        decision, memory = judge(Moment(now, tuple(readings), actual), memory, policy)
        assert decision.desired is not None
        outcome = Outcome(applied=decision.differs)
        memory = settle(outcome, decision, memory, now, policy)
        actual = decision.desired
    return memory, actual, now + 10


_LONG = 400.0  # seconds: longer than every window, so a step of every kind fits in
_WAY = 50  # such steps: from the most workers to none, one in two


def lived(
    policy: Policy, memory: Memory, actual: int, now: float, readings: list[Reading]
) -> tuple[Memory, int]:
    """The memory and the workers after one more tick, which is applied."""
    decision, memory = judge(Moment(now, tuple(readings), actual), memory, policy)
    assert decision.desired is not None
    memory = settle(Outcome(decision.differs), decision, memory, now, policy)
    return memory, decision.desired


@given(
    policies(),
    good_moments,
    counts,
    st.integers(0, 20),
    st.tuples(counts, counts),
    st.tuples(ages, ages),
)
def test_more_load_never_means_fewer_workers(
    policy: Policy,
    past: list[list[Reading]],
    actual: int,
    busy: int,
    ready: tuple[int, int],
    age: tuple[float, float],
) -> None:
    """Of two loads in the same moment, the larger gets as many or more."""
    memory, actual, now = after(policy, past, actual)
    low, high = (
        decide([Sample(*load)], actual, memory, now, policy)[0].desired
        for load in zip(sorted(ready), (busy, busy), (0, 0), sorted(age), strict=True)
    )
    assert low is not None
    assert high is not None
    assert low <= high


@given(policies(), good_moments, counts, samples)
def test_it_is_never_below_min_or_above_max(
    policy: Policy, past: list[list[Reading]], actual: int, sample: Sample
) -> None:
    """Whatever was before, and however many there are."""
    memory, actual, now = after(policy, past, actual)
    desired = decide([sample], actual, memory, now, policy)[0].desired
    assert desired is not None
    assert policy.min <= desired <= policy.max


@given(policies(), moments, counts, st.lists(samples, max_size=2))
def test_while_a_probe_fails_no_worker_goes(
    policy: Policy, past: list[list[Reading]], actual: int, others: list[Sample]
) -> None:
    """With or without an answer of other probes; up it may go."""
    memory, actual, now = after(policy, [each for each in past if each], actual)
    readings: list[Reading] = [*others, Failure("away")]
    decision, _ = decide(readings, actual, memory, now, policy)
    assert decision.desired is not None
    assert decision.desired >= actual
    assert decision.failed


@settings(max_examples=30)
@given(policies(), good_moments, counts, samples)
def test_a_load_that_stays_the_same_comes_to_rest(
    policy: Policy, past: list[list[Reading]], actual: int, sample: Sample
) -> None:
    """After all windows are over there is no more change, and on the way at most one turn."""
    memory, actual, now = after(policy, past, actual)
    seen = [actual]
    for _ in range(3 * _WAY):
        memory, actual = lived(policy, memory, actual, now, [sample])
        now += _LONG / 3
        seen.append(actual)
    steps = [new - old for old, new in pairwise(seen) if new != old]
    turns = sum((one > 0) != (other > 0) for one, other in pairwise(steps))
    assert turns <= 1
    assert len(set(seen[-30:])) == 1


@settings(max_examples=150)
@given(
    policies(bare=True),
    st.lists(st.tuples(samples, st.integers(0, 40)), min_size=2, max_size=3),
    st.lists(st.sets(st.integers(0, 2)), min_size=1, max_size=8),
)
def test_failures_amid_a_constant_load_change_nothing(
    policy: Policy,
    loads: list[tuple[Sample, int]],
    failing: list[set[int]],
) -> None:
    """At rest, whichever probes fail in whatever ticks: not then, and not after they are back.

    The load has been higher, so that what holds the fleet may be that it was.
    """
    load = [sample for sample, _ in loads]
    peak = [replace(sample, ready=sample.ready + more) for sample, more in loads]
    memory, actual, now = after(policy, [[*peak]] * 40, 0)
    for _ in range(_WAY):
        memory, actual = lived(policy, memory, actual, now, [*load])
        now += _LONG
    rest = actual
    for which in (*failing, *[set[int]()] * 15):
        readings: list[Reading] = [
            Failure("away") if at in which else each for at, each in enumerate(load)
        ]
        memory, actual = lived(policy, memory, actual, now, readings)
        assert actual == rest
        now += 30


@given(policies(), moments, counts, st.lists(st.booleans(), min_size=1))
def test_a_restart_changes_nothing(
    policy: Policy, past: list[list[Reading]], actual: int, restarts: list[bool]
) -> None:
    """The memory goes through JSON and back before some of the ticks; decisions stay the same."""
    memory = kept = Memory()
    now = START
    for at, readings in enumerate(each for each in past if each):
        now += 10
        if restarts[at % len(restarts)]:
            kept = from_json(json.loads(json.dumps(to_json(kept))))
        moment = Moment(now, tuple(readings), actual)
        decision, memory = judge(moment, memory, policy)
        again, kept = judge(moment, kept, policy)
        assert again == decision
        outcome = Outcome(applied=decision.differs and not decision.blocked)
        memory = settle(outcome, decision, memory, now, policy)
        kept = settle(outcome, again, kept, now, policy)
        assert kept == memory
        actual = decision.desired or 0


@given(policies(), good_moments, counts, samples, st.floats(1, 1e7))
def test_a_clock_that_is_set_back_changes_nothing(
    policy: Policy, past: list[list[Reading]], actual: int, sample: Sample, back: float
) -> None:
    """The past moves with it: no window or cooldown lasts for the hours that it went back."""
    memory, actual, _ = after(policy, past, actual)
    if memory.at is None:
        return
    expected = decide([sample], actual, memory, memory.at, policy)[0]
    got = decide([sample], actual, memory, memory.at - back, policy)[0]
    assert got.desired == expected.desired
