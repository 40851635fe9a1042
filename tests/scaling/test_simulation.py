"""Traces and simulation: the same decisions again, and the arithmetic of the fleet on paper."""

from __future__ import annotations

import json
import random
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.errors import UsageError
from lifeline.scaling import ProbeError, Sample, Scaler, TargetError, samples
from lifeline.scaling.arrivals import arrivals_of, durations
from lifeline.scaling.decision import Decision, Pause
from lifeline.scaling.moment import Moment
from lifeline.scaling.plot import draw
from lifeline.scaling.policy import policy_of
from lifeline.scaling.sample import Failure
from lifeline.scaling.scaler import Tick
from lifeline.scaling.simulate import replay, simulate
from lifeline.scaling.state import ScalerState
from lifeline.scaling.trace import Entry, decode, decode_all, encode
from lifeline.scaling.world import Physics, World
from support.fleet import BARE, README, START, Stand


class Recorder:
    """Keeps what a scaler tells, as the lines of a trace."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.decisions: list[Decision] = []

    def __call__(self, tick: Tick) -> None:
        memory = None if self.lines else tick.before
        line = encode(tick.moment, tick.decision, tick.outcome, memory)
        self.lines.append(json.dumps(line))
        self.decisions.append(tick.decision)

    def entries(self) -> list[Entry]:
        return decode_all(self.lines, "the trace")


OPTIONS: dict[str, Any] = {
    "rules": [{"at_least": 0, "dynos": 0}, {"at_least": 1, "dynos": 1}, *README[1:]],
    "down_window": 60,
    "cooldown_up": 30,
    "max_down": "3/1m",
    "idle_after": 60,
    "on_error": {"after": "1m", "at_least": 2},
}


@pytest.mark.parametrize("seed", range(6))
def test_a_running_scalers_decisions_are_made_again_exactly(seed: int) -> None:
    """From its own trace: load, failing probes and targets, refusals, pauses, hands, restarts."""
    chance = random.Random(seed)
    recorder = Recorder()
    stand = Stand(4, 0, name="mailers", on_tick=recorder, **OPTIONS)
    for _ in range(50):  # a past that is not recorded, but remembered
        stand.tick(chance.randrange(30))
    recorder.lines.clear()
    recorder.decisions.clear()
    for _ in range(400):
        stand.fleet.read_error = TargetError("away", 30) if chance.random() < 0.02 else None
        stand.fleet.write_error = TargetError("429", 45) if chance.random() < 0.1 else None
        if chance.random() < 0.02:
            stand.fleet.workers = chance.randrange(12)
        if chance.random() < 0.02:
            ends = [chance.choice([0.0, stand.now + 50, float("inf")]) for _ in range(2)]
            ScalerState("mailers").set_pause(Pause(*ends))
        if chance.random() < 0.05:
            stand.scaler = stand.make()
        ready = max(0, round(chance.gauss(10, 15)))
        age = chance.random() * 90
        sample = Sample(ready, busy=chance.randrange(4), oldest_age=age)
        stand.tick(ProbeError("away") if chance.random() < 0.1 else sample, chance.uniform(5, 15))
    decided = [decision.desired for decision in recorder.decisions]
    assert replay(stand.scaler.policy, recorder.entries()) == decided
    assert len(set(decided)) > 5
    assert {True, False} == {each.blocked for each in recorder.decisions}
    other = policy_of({"rules": README})
    assert replay(other, recorder.entries()) != decided


@pytest.mark.parametrize("seed", range(3))
def test_a_scaler_in_that_world_does_what_the_simulation_says(seed: int) -> None:
    """The real scaler, with the paper fleet at both ends, against `simulate` on the same load."""
    entries = recorded(seed)
    physics = Physics(job=8, boot=25)
    policy_options: dict[str, Any] = {"rules": README, "down_window": 120}
    simulated = simulate("x", policy_of(policy_options), entries, physics)

    arrivals = arrivals_of(entries, physics.job)
    world = World(arrivals, durations(len(arrivals), physics.job), physics, entries[0].moment.now)
    world.begin_with(3)
    scaler = Scaler(world.probe, world, clock=lambda: world.now, apply=True, **policy_options)
    desired = []
    for entry in entries:
        world.advance(entry.moment.now)
        desired.append(scaler.tick().desired)
    world.close()
    assert desired == [point.desired for point in simulated.points]
    assert len(set(desired)) > 2
    assert world.worker_seconds / 3600 == simulated.worker_hours
    assert world.killed == simulated.killed


def recorded(seed: int, ticks: int = 200) -> list[Entry]:
    """What a fleet of three saw of a load that comes and goes."""
    chance, now = random.Random(seed), START
    arrivals = sorted(now + chance.triangular(0, ticks * 10) for _ in range(600))
    world = World(arrivals, durations(600, 8), Physics(job=8), now)
    world.begin_with(3)
    lines = []
    for _ in range(ticks):
        world.advance(now)
        lines.append(json.dumps(encode(Moment(now, (world.probe(),), world.read()))))
        now += 10
    return decode_all(lines, "made up")


def test_arrivals_add_up_to_what_was_done_and_what_was_left() -> None:
    """Reconstructed from depth and busy workers: within a tenth of the truth."""
    for seed in range(3):
        assert abs(len(arrivals_of(recorded(seed), 8)) - 600) < 60


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 8), st.booleans())
def test_no_job_of_the_paper_fleet_is_lost(seed: int, workers: int, idle_first: bool) -> None:
    """Each is done, waiting or being done, however often workers come, go and are killed."""
    chance = random.Random(seed)
    arrivals = sorted(chance.uniform(0, 500) for _ in range(80))
    world = World(arrivals, durations(80, 20), Physics(20, 10, 5, idle_first), 0.0)
    world.begin_with(workers)
    for t in range(0, 600, 10):
        world.advance(float(t))
        world.write(chance.randrange(8))
        arrived = sum(at <= t for at in arrivals)
        busy = sum(worker.job is not None for worker in world.workers)
        assert world.finished + len(world.queue) + busy == arrived
    world.close()


@pytest.mark.parametrize(
    "lines",
    [
        ['{"t": 1, "ready": 1e14, "actual": 1}', '{"t": 2, "ready": 0, "actual": 1}'],
        [f'{{"t": {1.7e12 + at}, "ready": 9, "busy": 9, "actual": 9}}' for at in (0, 6e6)],
    ],
    ids=["depth", "milliseconds"],
)
def test_a_trace_of_more_jobs_than_can_be_replayed_is_refused(lines: list[str]) -> None:
    """With the likely reason, and before all memory is used up."""
    with pytest.raises(UsageError, match="is its t in seconds"):
        arrivals_of(decode_all(lines, "made up"), 0.01)


def test_a_fleet_that_removes_idle_workers_first_kills_nobody() -> None:
    """With the busy floor; without it and with the newest first, some are killed."""
    entries = decode_all(samples.lines("bursts"), "bursts")
    careful = simulate("a", policy_of({"rules": README}), entries, Physics(18, idle_first=True))
    careless = simulate("b", policy_of({"rules": README, **BARE}), entries, Physics(18))
    assert careful.killed == 0 < careless.killed
    assert careful.actions < careless.actions
    assert careful.finished == careless.finished > 1000


def test_where_the_recorded_probe_failed_the_simulated_one_does() -> None:
    """No worker goes then, and the point says so."""
    entries = decode_all(samples.lines("bursts"), "bursts")
    result = simulate("a", policy_of({"rules": README, **BARE}), entries, Physics(18))
    held = [at for at, point in enumerate(result.points) if point.held]
    failed = [
        at for at, entry in enumerate(entries) if isinstance(entry.moment.readings[0], Failure)
    ]
    assert held == failed != []
    for at in held:
        assert result.points[at].actual >= result.points[at - 1].actual


def test_a_line_of_a_trace_comes_back_as_it_was() -> None:
    """With one probe or several, forever and until a time."""
    for readings in ((Sample(3, 1, 2, 4.5, False),), (Sample(3), Failure("away")), (Failure("x"),)):
        for paused in (Pause(), Pause(up=float("inf"), down=START + 5.25)):
            moment = Moment(START + 0.1, readings, 4, 2, paused=paused)
            assert decode(json.loads(json.dumps(encode(moment)))).moment == moment


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "at least two lines, this has 0"),
        (['{"t": 1, "ready": 2, "actual": 1}'], "at least two lines, this has 1"),
        (["", "nonsense"], "made up:2: no line of a trace"),
        (["[1]"], "made up:1: no line of a trace (not an object)"),
        (['{"ready": 2, "actual": 1}'], "'t' is missing"),
        (['{"t": 1, "actual": 1}'], "'ready' is missing"),
        (['{"t": 1, "ready": 2}'], "'actual' is missing"),
        (['{"t": 1, "ready": -2, "actual": 1}'], "less than nothing"),
        (['{"t": 1, "ready": null, "actual": 1}'], "which is no number"),
        (['{"t": NaN, "ready": 2, "actual": 1}'], "is no time"),
        (['{"t": 1, "ready": 2, "actual": 1.5}'], "is no number of workers"),
        (['{"t": 1e300, "ready": 2, "actual": 1}'], "is no time"),
        ([f'{{"t": 1, "ready": 1{"0" * 400}, "actual": 1}}'], "which counts nothing"),
        (['{"t": 1, "ready": 2, "actual": 9999999}'], "is no number of workers"),
        (['{"t": 1, "probes": [], "actual": 1}'], "no probe"),
        (['{"t": 1, "probes": [3], "actual": 1}'], "3 is no probe's answer"),
        (['{"t": 1, "ready": 2, "actual": 1, "paused": {"up": "soon", "down": 0}}'], "is no time"),
        (['{"t": 1, "ready": 2, "actual": 1, "retry_after": "soon"}'], "is no time"),
        (['{"t": 1, "ready": 2, "actual": 1, "write_retry_after": "soon"}'], "is no time"),
        (['{"t": 5, "ready": 2, "actual": 1}'] * 2, "made up:2: t does not grow"),
        (["[" * 100_000], "made up:1: no line of a trace"),
        (['{"t": "\\u0007\\ud800", "ready": 2, "actual": 1}'], "made up:1: no line of a trace"),
        (
            [f'{{"t": {t}, "scaler": "{n}", "ready": 2, "actual": 1}}' for t, n in enumerate("ab")],
            "made up:2: a trace is of one scaler, this is of 'a' and 'b': choose one",
        ),
    ],
)
def test_what_is_no_trace_is_refused_with_its_line(lines: list[str], told: str) -> None:
    """By number, in one line."""
    with pytest.raises(UsageError) as refused:
        decode_all(lines, "made up")
    assert told in str(refused.value)
    assert str(refused.value).isprintable()


def test_the_picture_is_well_formed_and_shows_every_policy() -> None:
    """With what a name may hold; a line for each policy in every panel, marks for holds, kills."""
    entries = decode_all(samples.lines("bursts"), "bursts")
    options = {"rules": README, **BARE}
    results = [simulate(n, policy_of(options), entries, Physics(18)) for n in ("a<&>", "b")]
    picture = draw('title "<&>\a\udcff\x00', entries, results)
    root = ElementTree.fromstring(picture)
    marks = "{http://www.w3.org/2000/svg}"
    titles = [each.text for each in root.iter(f"{marks}title")]
    assert [titles.count(name) for name in ("a<&>", "b", "a<&>: desired")] == [4, 4, 1]
    classes = [each.get("class") for each in root.iter(f"{marks}path")]
    assert classes.count("hold") == 2 * 4
    assert classes.count("kill") >= 2
    assert "Arrivals are reconstructed" in picture


@pytest.mark.parametrize("name", samples.NAMES)
def test_the_sample_traces_can_be_read(name: str) -> None:
    """They come with the package; others are refused."""
    assert len(decode_all(samples.lines(name), name)) > 500
    with pytest.raises(UsageError, match="there is no sample 'burst'; did you mean 'bursts'"):
        samples.lines("burst")
