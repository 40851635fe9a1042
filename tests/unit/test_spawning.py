"""No process outlives its test, however well it hides."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE

import pytest

from support.spawning import MARKER, Spawner, alive, look
from support.waiting import eventually

New = Callable[[], Spawner]

HIDERS = {
    "a child": "sleep 600 & echo $!; wait",
    "an orphan": "sleep 600 & echo $!",
    "an orphan in a session of its own": "setsid sleep 600 & echo $!",
    "an orphan in a session of its own without an environment": "env -i setsid sleep 600 & echo $!",
}


@pytest.fixture
def new(tmp_path: Path) -> Iterator[New]:
    """Makes spawners, and keeps their promise even if the test that looks at it fails."""
    made: list[Spawner] = []

    def make() -> Spawner:
        made.append(Spawner(cwd=tmp_path))
        return made[-1]

    yield make
    for spawner in made:
        spawner.end()


@pytest.mark.parametrize("script", HIDERS.values(), ids=HIDERS.keys())
def test_nothing_that_was_started_is_left(script: str, new: New) -> None:
    spawner = new()
    started = spawner("sh", "-c", script)
    pid = int(started.stdout.readline())
    assert alive(pid)
    spawner.end()
    assert look(pid) is None
    assert look(started.pid) is None


def test_a_stopped_process_is_ended(new: New) -> None:
    spawner = new()
    started = spawner("sleep", "600")
    os.kill(started.pid, signal.SIGSTOP)
    eventually(lambda: look(started.pid).state == "T")
    spawner.end()
    assert started.returncode == -signal.SIGKILL


def test_a_process_that_overwrites_its_environment_is_ended(new: New) -> None:
    spawner = new()
    code = (
        "import os, setproctitle, time\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "setproctitle.setproctitle('x' * 4000)\n"
        "print(os.getpid(), flush=True)\n"
        "time.sleep(600)\n"
    )
    pid = int(spawner(sys.executable, "-c", code).stdout.readline())
    assert MARKER.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    spawner.end()
    assert look(pid) is None


def test_an_orphan_that_ended_is_reaped(new: New) -> None:
    spawner = new()
    pid = int(spawner.run("sh", "-c", "sleep 0 >/dev/null & echo $!").stdout)
    spawner.end()
    assert look(pid) is None


def test_what_was_there_before_is_left_alone(new: New) -> None:
    earlier = new()
    before = earlier("sleep", "600")
    later = new()
    later.end()
    assert alive(before.pid)


def test_what_somebody_else_started_for_the_test_is_ended(new: New) -> None:
    somebody = new()
    shell = somebody(
        "sh", "-c", "read id; LIFELINE_TEST_ID=$id sleep 600 & echo $!; wait", stdin=PIPE
    )
    spawner = new()
    shell.stdin.write(f"{spawner.id}\n")
    shell.stdin.flush()
    pid = int(shell.stdout.readline())
    eventually(lambda: spawner.id.encode() in Path(f"/proc/{pid}/environ").read_bytes())  # exec
    spawner.end()
    assert not alive(pid)
