"""The scenarios of the_lone_dyno, with real processes: N of five run, in the background or not."""

from __future__ import annotations

import pytest

from lifeline import signal
from support.waiting import eventually

from .conftest import NAME, Fleet, Fleets, by_pid, end, kill, others

BACKGROUND = (
    "exclusive(turn, name=NAME, store=URL, slots=int(sys.argv[1]), ttl=600)\nstand_by('up')\n"
)
FOREGROUND = (
    "say('before')\n"
    "def once(lease):\n"
    "    with hold_turn(lease):\n"
    "        say('start')\n"
    "        until('go')\n"
    "        say('end')\n"
    "    return 42\n"
    "tell(exclusive(once, name=NAME, store=URL, ttl=600, background=False))\n"
    "say('after')\n"
)


def ask_around(fleet: Fleet, count: int, slots: int) -> None:
    """Start so many processes of which `slots` work, and see who does."""
    processes = fleet.start(count, str(slots))
    fleet.wait_for("up", count)
    running = fleet.started(slots)
    assert fleet.pids() == sorted(running)
    assert len({seen.slot for seen in fleet.holders()}) == slots
    for gone in range(1, count - slots + 1):  # each of the others has its turn, one after another
        end(by_pid(processes, running[gone - 1]))
        running = fleet.started(slots + gone)
    assert len(set(running)) == count
    eventually(lambda: fleet.pids() == sorted(running[count - slots :]))


def test_one_of_five_runs(fleet: Fleets, url: str) -> None:
    """Only one of five processes runs the code; when it ends, one of the others takes over."""
    ask_around(fleet(BACKGROUND, url), 5, 1)


@pytest.mark.parametrize("slots", [2, 3, 4])
def test_two_to_four_of_five_run(fleet: Fleets, slots: int) -> None:
    """As many of five processes as there are slots, each in one of its own."""
    ask_around(fleet(BACKGROUND), 5, slots)


def test_the_background_does_not_block(fleet: Fleets, url: str) -> None:
    """The program goes on at once, also while its slot is taken."""
    running = fleet(BACKGROUND, url)
    first = running.start(1, "1")
    running.started()
    running.start(1, "1")
    assert len(running.wait_for("up", 2)) == 2
    running.check(starts=1)
    end(first[0])


def test_the_foreground_blocks(fleet: Fleets, url: str) -> None:
    """It waits for its turn, runs once, whatever the number of slots, and returns the value."""
    running = fleet(FOREGROUND, url)
    processes = running.start(3)
    running.wait_for("before", 3)
    running.started()
    assert running.work.said("after") == []
    running.work.make("go")
    assert [process.communicate(timeout=120)[0] for process in processes] == ["42\n"] * 3
    running.check(starts=3)
    words = [line.split()[1] for line in running.work.lines()]
    assert [word for word in words if word in ("start", "end")] == ["start", "end"] * 3
    assert running.holders() == []


def test_another_takes_over_from_one_that_is_killed(fleet: Fleets, url: str) -> None:
    """kill -9 on the holder: somebody else runs, with a greater fence."""
    running = fleet(BACKGROUND.replace("ttl=600", "ttl=8"), url)
    processes = running.start(3, "1")
    (pid,) = running.started()
    (before,) = running.holders()
    kill(pid)
    assert running.started(2)[1] in [each.pid for each in others(processes, pid)]
    (after,) = running.holders()
    assert after.fence > before.fence


HEARS = """\
def turn(lease):
    with hold_turn(lease):
        lease.watch(lambda payload: say("heard " + payload.text))
        say("start")
        while lease.sleep(60):
            pass


exclusive(turn, name=NAME, store=URL, slots=int(sys.argv[1]), ttl=15)
stand_by("up")
"""


@pytest.mark.parametrize("slots", [1, 2])
def test_a_signal_reaches_one_and_only_one(fleet: Fleets, url: str, slots: int) -> None:
    """Of five processes, each holder hears it once, and nobody who stands by; with the number of
    a slot, only the holder of that one."""
    running = fleet(HEARS, url)
    running.start(5, str(slots))
    running.wait_for("up", 5)
    pids = running.started(slots)
    for payload in ("hi ho silver!", "'; DROP TABLE x; --"):
        assert signal(NAME, payload, store=url, wait=60, acknowledge=True) == slots
        assert sorted(running.wait_for(f"heard {payload}", slots)) == sorted(pids)
    (last,) = [seen for seen in running.holders() if seen.slot == slots - 1]
    assert signal(NAME, "you", store=url, slot=last.slot, wait=60, acknowledge=True) == 1
    assert running.wait_for("heard you") == [last.info["pid"]]
    assert sum("heard" in line for line in running.work.lines()) == 2 * slots + 1
