"""The end of a program, and of its part in a fleet."""

from __future__ import annotations

import pytest

import lifeline
from lifeline import UsageError
from support.spawning import alive
from support.waiting import eventually

from .conftest import Fleets, end

LONG = 600  # seconds: a lease of this ttl is taken over in a test only if it was released
CALL = f"handle = exclusive(turn, name=NAME, store=URL, ttl={LONG})\n"


def test_a_program_that_ends_hands_over_at_once(fleet: Fleets) -> None:
    """The code is told, returns, and the lease is released: nobody waits for it to run out."""
    running = fleet(CALL + "stand_by('up')\n")
    first = running.start()[0]
    running.started()
    (second,) = running.start()
    end(first)
    assert running.started(2) == [first.pid, second.pid]
    assert running.work.said("end") == [first.pid]


def test_the_lease_is_held_after_the_code_has_returned(fleet: Fleets) -> None:
    """For as long as the process lives; then it is released."""
    body = "def turn(lease):\n    say('start')\n    say('end')\n\n\n" + CALL + "stand_by('up')\n"
    running = fleet(body)
    first = running.start()[0]
    running.wait_for("end")
    (second,) = running.start()
    running.wait_for("up", 2)
    assert running.pids() == [first.pid]
    end(first)
    assert running.started(2) == [first.pid, second.pid]


def test_code_that_never_returns_does_not_keep_the_program(fleet: Fleets) -> None:
    """The program ends, and its lease is not released: it runs out by itself."""
    body = (
        "def turn(lease):\n    say('start')\n    until('never')\n\n\n" + CALL + "stand_by('up')\n"
    )
    running = fleet(body)
    (process,) = running.start()
    running.started()
    end(process)
    assert running.pids() == [process.pid]


def test_a_program_that_stands_by_ends_at_once(fleet: Fleets) -> None:
    """It holds nothing and takes nothing along."""
    running = fleet(CALL + "stand_by('up')\n")
    (first,) = running.start()
    running.started()
    (second,) = running.start()
    running.wait_for("up", 2)
    end(second)
    assert running.pids() == [first.pid]


STOPS = """\
lease = handle.wait()
before = lease.alive, handle.lease is lease
done = handle.stop()
tell([before, done, lease.alive, handle.lease, handle.wait(), handle.stop()])
stand_by("up")
"""


def test_stop_ends_the_code_and_releases(fleet: Fleets) -> None:
    """It waits until the code has returned; the process lives on and is out of the game."""
    running = fleet(CALL + STOPS)
    first = running.start()[0]
    assert first.stdout
    assert first.stdout.readline() == "[[true, true], true, false, null, null, true]\n"
    assert running.work.said("end") == [first.pid]
    (second,) = running.start()
    assert running.started(2) == [first.pid, second.pid]
    assert alive(first.pid)


def test_stop_does_not_release_while_the_code_goes_on(fleet: Fleets) -> None:
    """A limit ends the waiting only: the lease is renewed until the code has returned."""
    body = "def turn(lease):\n    say('start')\n    until('go')\n    say('end')\n\n\n" + CALL
    running = fleet(body + "handle.wait()\ntell(handle.stop(timeout=0))\nstand_by('up')\n")
    (process,) = running.start()
    assert process.stdout and process.stdout.readline() == "false\n"
    assert running.pids() == [process.pid]
    running.work.make("go")
    eventually(lambda: running.pids() == [])


SELF = """\
import threading

is_named = threading.Event()


def turn(lease):
    is_named.wait()
    tell([handle.stop(), lease.alive])


"""


def test_code_can_stop_itself(fleet: Fleets) -> None:
    """It is not waited for then; the lease is released when it returns."""
    running = fleet(SELF + CALL + "is_named.set()\nstand_by('up')\n")
    (process,) = running.start()
    assert process.stdout and process.stdout.readline() == "[false, false]\n"
    eventually(lambda: running.pids() == [])
    assert alive(process.pid)


# --- wrong use ----------------------------------------------------------------------------------


async def _coroutine(lease: lifeline.Holding) -> None: ...


def test_wrong_use_is_told_at_once() -> None:
    """In the call, not in a log."""
    with pytest.raises(UsageError, match="coroutine"):
        lifeline.exclusive(_coroutine, name="x")
    with pytest.raises(UsageError, match="foreground"):
        lifeline.exclusive(print, name="x", background=False, forks=True)  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="is none"):
        lifeline.exclusive(5, name="x")  # type: ignore[call-overload]
    for wrong in (
        {"name": ""},
        {"slots": 0},
        {"slots": 1.5},
        {"ttl": 1.0, "grace": 1.0},
        {"store": "gopher://x"},
    ):
        with pytest.raises(UsageError):
            lifeline.exclusive(print, **{"name": "x", **wrong})  # type: ignore[call-overload]
