"""The scaler itself: its two ends, what it remembers, and its lease."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from lifeline.errors import LeaseLost, UsageError
from lifeline.scaling import Sample, Scaler, TargetError
from lifeline.scaling.decision import Pause
from lifeline.scaling.memory import Memory, to_json
from lifeline.scaling.scaler import PATIENCE
from lifeline.scaling.state import ScalerState
from support.fleet import BARE, README, START, Fleet, Stand


def test_a_tick_says_what_was_decided_and_does_it() -> None:
    """Desired, actual, applied and the reasons."""
    stand = Stand(1, 25)
    decision = stand.scaler.tick()
    assert (decision.desired, decision.actual, decision.applied) == (10, 1, True)
    assert decision.why == "rules: 25 ready: at least 20 gives 10"
    assert stand.fleet.calls == ["read", 10]


def test_nothing_is_written_unless_it_is_told_to() -> None:
    """A dry run is the default; it says what it would do."""
    fleet = Fleet(1)
    decision = Scaler(lambda: 25, fleet, README).tick()
    assert (decision.desired, decision.actual, decision.applied) == (10, 1, False)
    assert fleet.calls == ["read"]
    assert decision.reasons[-1].stage == "dry run"


def test_what_is_as_it_should_be_is_not_written() -> None:
    """A read a tick, no more."""
    stand = Stand(1, 5)
    stand.ticks(5, 100)
    assert stand.fleet.calls == ["read"] * 10


def test_a_target_that_cannot_be_read_is_not_written() -> None:
    """And is asked again later."""
    stand = Stand(1, 25)
    stand.fleet.read_error = TargetError("404: there is no such app")
    decision = stand.scaler.tick()
    assert (decision.desired, decision.applied, decision.failed) == (None, False, True)
    assert "404: there is no such app" in decision.reasons[-1].text
    assert stand.fleet.writes == []
    stand.fleet.read_error = None
    assert stand.tick() == 10
    assert stand.fleet.workers == 10


@pytest.mark.parametrize("answer", [None, -1, 2.5, True, "3"])
def test_a_target_that_tells_no_number_cannot_be_read(answer: object) -> None:
    """What it says is not guessed at."""
    stand = Stand(1, 25)
    stand.fleet.workers = answer  # type: ignore[assignment]
    assert stand.scaler.tick().actual is None
    assert stand.fleet.writes == []


def test_a_refused_write_is_told_and_the_intent_kept() -> None:
    """Through the pause that follows, and by another scaler of that name."""
    stand = Stand(1, 25, name="mailers")
    stand.fleet.write_error = TargetError("503")
    decision = stand.scaler.tick()
    assert (decision.applied, decision.failed) == (False, True)
    assert "refused: 503" in decision.reasons[-1].text
    memory = ScalerState("mailers").memory()
    assert (memory.intent, memory.refusals) == (10, 1)
    stand.fleet.write_error = None
    stand.scaler = stand.make()
    assert stand.tick(after=5) == 10
    assert stand.fleet.writes == [10]  # the pause is kept, too
    assert stand.tick(after=5) == 10
    assert stand.fleet.workers == 10
    assert ScalerState("mailers").memory().intent is None


def test_a_restart_changes_nothing() -> None:
    """With a name: a scaler that is made anew before each tick decides as one that was not."""
    loads = [0, 25, 0, 12, 31, 0, 0, 9, 30, 2] * 12
    stays = Stand(3, name="stays", down_window=60, cooldown_up=30, max_down="2/1m")
    again = Stand(3, name="again", down_window=60, cooldown_up=30, max_down="2/1m")
    for load in loads:
        again.scaler = again.make()
        assert again.tick(load) == stays.tick(load)
    assert again.fleet.writes == stays.fleet.writes != []


def test_without_a_name_nothing_is_kept(state_dir: Path) -> None:
    """Not even the directory."""
    Stand(1, 25).ticks(25, 50)
    assert not state_dir.exists()


def test_what_it_remembers_stays_small(state_dir: Path) -> None:
    """An hour of ticks: what no window needs is forgotten."""
    stand = Stand(1, name="mailers", max_up="4/1m")
    for hour in range(360):
        stand.tick(hour % 37)
    (file,) = (state_dir / "scaling").glob("*.memory")
    assert file.stat().st_size < 4000


WRONG = {**to_json(Memory()), "at": "noon"}, {**to_json(Memory()), "refusals": None}


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b'{"version": 9}', b'{"version": 1}'),
        *(json.dumps(each).encode() for each in WRONG),
    ],
)
def test_a_memory_that_cannot_be_understood_is_a_first_start(
    state_dir: Path, content: bytes
) -> None:
    """It begins with the workers there are."""
    stand = Stand(12, 0, name="mailers")
    stand.tick()
    (file,) = (state_dir / "scaling").glob("*.memory")
    file.write_bytes(content)
    assert stand.tick() == 12


def test_a_state_directory_that_cannot_be_written_stops_no_scaling(
    state_dir: Path,
) -> None:
    """It goes on from what it has in memory, and says so."""
    stand = Stand(1, 25, name="mailers", **BARE, cooldown_down=60)
    stand.tick()
    (file,) = (state_dir / "scaling").glob("*.memory")
    file.unlink()
    (file / "in the way").mkdir(parents=True)
    decision = stand.scaler.tick()
    assert decision.reasons[-1].stage == "memory"
    assert stand.tick(0) == 10  # the cooldown is remembered


# --- probes -------------------------------------------------------------------------------------


def test_probes_are_asked_at_the_same_time() -> None:
    """Each waits for the other: one after the other they would never answer."""
    meeting = threading.Barrier(2)

    def probe() -> int:
        meeting.wait(120)
        return 25

    assert Scaler([probe, probe], Fleet(1), README, timeout=30).tick().desired == 10


def test_a_probe_that_hangs_is_an_error_and_is_not_asked_again_meanwhile() -> None:
    """The others count; when it has come back, so does it. The timeout passes once, in vain."""
    gate, asked = threading.Event(), []

    def hangs() -> int:
        asked.append(1)
        gate.wait(100)
        return 31

    fleet = Fleet(1)
    scaler = Scaler([hangs, lambda: 12], fleet, README, timeout=2, apply=True)
    for _ in range(3):
        decision = scaler.tick()
        assert (decision.desired, decision.failed) == (5, True)
    assert len(asked) == 1
    gate.set()
    for thread in threading.enumerate():
        if thread.name == "probe":
            thread.join(20)
    scaler._asker._timeout = 30
    assert scaler.tick().desired == 15


def test_what_somebody_elses_error_says_is_not_shown() -> None:
    """It may hold a URL with a password; its type has to do."""
    stand = Stand(1, RuntimeError("redis://user:hunter2@host/0 is away"))
    told = " ".join(reason.text for reason in stand.scaler.tick().reasons)
    assert "RuntimeError" in told
    assert "hunter2" not in told


# --- the lease ----------------------------------------------------------------------------------


class Lease:
    """A lease with `seconds` left."""

    def __init__(self, seconds: float = 30.0) -> None:
        self.seconds = seconds
        self.lost_after: int | None = None
        self.checks = 0

    def check(self) -> None:
        self.checks += 1
        if self.lost_after is not None and self.checks > self.lost_after:
            raise LeaseLost("somebody else has it")

    def left(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("after", "calls"), [(0, []), (1, ["read"]), (2, ["read", "busy"]), (3, ["read", "busy", 10])]
)
def test_a_lost_lease_ends_it_before_the_next_call(after: int, calls: list[int | str]) -> None:
    """It is asked before each: the read, who is busy, the write, and the next read."""
    lease = Lease()
    lease.lost_after = after
    stand = Stand(1, 25, lease=lease)

    def busy() -> int:
        stand.fleet.calls.append("busy")
        return 0

    stand.fleet.busy = busy  # type: ignore[attr-defined]
    with pytest.raises(LeaseLost):
        stand.ticks(25, 20)
    assert stand.fleet.calls == calls


def test_a_call_takes_less_time_than_the_lease_has() -> None:
    """A target that has a `timeout` is told; with next to nothing left it is not called."""
    lease = Lease(12)
    stand = Stand(1, 25, lease=lease)
    stand.fleet.timeout = 99.0  # type: ignore[attr-defined]
    stand.tick()
    assert stand.fleet.timeout < 12  # type: ignore[attr-defined]
    lease.seconds = 1000
    stand.tick()
    assert stand.fleet.timeout == PATIENCE  # type: ignore[attr-defined]
    lease.seconds = 1
    stand.fleet.calls.clear()
    assert stand.tick(31) is None
    assert stand.fleet.calls == []
    lease.seconds = 30
    assert stand.tick(31) == 15  # it was not the target's fault: no pause


def test_a_target_has_the_time_that_it_asks_for() -> None:
    """More than lifeline gives one that says nothing; its lease may shorten it."""
    stand = Stand(1, 25)
    stand.fleet.timeout = 60.0  # type: ignore[attr-defined]
    stand.make().tick()
    assert stand.fleet.timeout == 60  # type: ignore[attr-defined]
    stand.make(lease=Lease(30)).tick()
    assert stand.fleet.timeout == 15  # type: ignore[attr-defined]


def test_a_target_that_is_left_alone_is_not_said_to_be_well() -> None:
    """Between the calls that fail, what was seen last is told as that, and as a failure."""
    stand = Stand(1, 5, name="mailers")
    stand.tick()
    stand.fleet.read_error = TargetError("503")
    for _ in range(2):
        stand.tick()
    for decision in (stand.scaler.tick(), stand.scaler.explain().decision):
        assert (decision.desired, decision.actual, decision.failed) == (1, 1, True)
        assert decision.reasons[-1].text == "left alone for another 20s: 1 as last seen"
    stand.fleet.read_error = None
    assert stand.tick(after=20) == 1
    assert not stand.scaler.tick().failed


# --- pauses and names ---------------------------------------------------------------------------


def test_a_pause_is_kept_until_its_end() -> None:
    """Down only, for a while."""
    stand = Stand(10, 0, **BARE, name="mailers")
    ScalerState("mailers").set_pause(Pause(down=START + 15))
    assert [stand.tick(), stand.tick()] == [10, 1]
    ScalerState("mailers").set_pause(Pause(up=float("inf")))
    assert stand.tick(25) == 1


@pytest.mark.parametrize("content", [b"", b'{"na', b"[]", b"{}", b'{"up": null, "down": "soon"}'])
def test_a_pause_that_cannot_be_read_is_one(state_dir: Path, content: bytes) -> None:
    """In both directions, until somebody says what it is: damage is no word to go on."""
    state = ScalerState("mailers")
    state.set_pause(Pause(down=START))
    (file,) = (state_dir / "scaling").glob("*.pause")
    file.write_bytes(content)
    stand = Stand(5, 25, **BARE, name="mailers")
    assert [stand.tick(25), stand.tick(0)] == [5, 5]
    state.set_pause(Pause())
    assert stand.tick(0) == 1


@pytest.mark.parametrize("name", ["", "a/b", "-x", "a\nb"])
def test_a_name_that_cannot_be_one_is_refused(name: str) -> None:
    """As everywhere."""
    with pytest.raises(UsageError):
        Scaler(lambda: 0, Fleet(), README, name=name)


def test_ends_that_cannot_be_used_are_refused() -> None:
    """When it is made, with a line that says what is missing."""
    with pytest.raises(UsageError, match="object has no read"):
        Scaler(lambda: 0, object(), README)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="has to be callable"):
        Scaler(12, Fleet(), README)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="there is no probe"):
        Scaler([], Fleet(), README)


def test_every_name_of_the_package_is_there() -> None:
    """Those that programs import."""
    import lifeline.scaling as package

    for name in package.__all__:
        assert getattr(package, name) is not None
    assert Sample(3).ready == 3
