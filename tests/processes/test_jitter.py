"""`--jitter`: who is to start lets it pass, and what comes meanwhile neither waits nor starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.lifelines import Work, changed, has_exec, run, tick
from support.spawning import Spawner, alive
from support.waiting import eventually

FOUND = ("--exit-code-if-running", "9")
EVER = ("--jitter", "100000h")
# Lets a jitter pass for as long as a test wants: it makes the file "sleeps" and waits for "woken".
BY_HAND = """\
import os, sys, time
from lifeline import supervisor

def sleep(_options):
    open("sleeps", "w").close()
    while not os.path.exists("woken"):
        time.sleep(0.01)

supervisor._let_jitter_pass = sleep
from lifeline.__main__ import main
sys.exit(main())
"""


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


def until_asleep(work: Work) -> None:
    eventually((work.directory / "sleeps").exists)


def test_later_ticks_leave_at_once(spawn: Spawner, work: Work) -> None:
    """They find one that lets its jitter pass, and do not add a jitter of their own."""
    words = changed(work.directory, BY_HAND, "run", "--jitter", "1h", "--", *work.argv)
    first = spawn(*words, cwd=work.directory)
    until_asleep(work)
    for _ in range(3):
        assert tick(spawn, *FOUND, *EVER, "--", *work.argv).returncode == 9
    work.make("woken")
    work.wait_for("start")
    assert first.poll() is None
    work.check(starts=1)


def test_a_jitter_longer_than_the_interval_of_ticks(spawn: Spawner, work: Work) -> None:
    """However many ticks come meanwhile, the first one's jitter is followed by a run."""
    words = ("--jitter", "4s", "--settle", "1s", *FOUND, "--", *work.argv)
    first = spawn(*run(*words))
    eventually(lambda: has_exec(first.pid, "--jitter"))
    ticks = []
    while not work.said("start"):
        ticks.append(spawn(*run(*words)))
        eventually(lambda: ticks[-1].poll() is not None or work.said("start"))
    assert [each.wait(120) for each in ticks] == [9] * len(ticks)
    assert first.poll() is None
    work.check(starts=1)


def test_what_is_started_by_hand_meanwhile_has_no_second_beside_it(
    spawn: Spawner, work: Work
) -> None:
    """When its jitter has passed it looks again, and finds a plain process of the command."""
    options = ("--jitter", "1h", "--settle", "1s", *FOUND)
    words = changed(work.directory, BY_HAND, "run", *options, "--", *work.argv)
    first = spawn(*words, cwd=work.directory)
    until_asleep(work)
    spawn(*work.argv)
    work.wait_for("start")
    work.make("woken")
    assert first.wait(120) == 9
    work.check(starts=1)


def test_a_replacer_keeps_nobody_from_starting_while_its_jitter_passes(
    spawn: Spawner, work: Work
) -> None:
    """What it is to replace may end meanwhile: the next tick starts it, to be replaced then."""
    options = ("--jitter", "1h", "--on-running", "replace")
    words = changed(work.directory, BY_HAND, "run", *options, "--", *work.argv)
    replacer = spawn(*words, cwd=work.directory)
    until_asleep(work)
    spawn(*run("--", *work.argv))
    (first,) = work.wait_for("start")
    work.make("woken")
    work.wait_for("start", times=2)
    assert not alive(first)
    assert replacer.poll() is None
    work.check(starts=2)
