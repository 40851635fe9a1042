"""The fault matrix: KILL and STOP to runner, job and grandchild, as docs/faults.md has it."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from support.lifelines import LIFELINE, Work, answer, lifeline, run, tick
from support.spawning import Spawner, alive, look
from support.waiting import eventually

TESTS = Path(__file__).parents[1]
DOCS = Path(__file__).parents[2] / "docs" / "faults.md"

# A job with a child (a grandchild of the runner's), both of which say who is there and can be asked
# to say something again by USR1.
BODY = """
def answer(*_):
    say("answers")


def leave(*_):
    say("term")
    os._exit(30)


turn = os.open(HERE + "/turn", os.O_RDWR | os.O_CREAT, 0o666)
signal.signal(signal.SIGUSR1, answer)
signal.signal(signal.SIGTERM, leave)
child = os.fork()
if child:
    try:
        fcntl.lockf(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        say("overlap")
    signal.signal(signal.SIGCHLD, lambda *_: say("child changed"))
say("start" if child else "child")
while True:
    time.sleep(0.02)
"""


class Family:
    """A runner, its job and the job's child, all three up."""

    def __init__(self, spawn: Spawner, work: Work, *options: str) -> None:
        self.work = work
        before = len(work.said("start"))
        self.runner = spawn(*run("--grace", "1h", *options, "--", *work.argv))
        self.job = work.wait_for("start", before + 1)[-1]
        self.child = work.wait_for("child", before + 1)[-1]

    def pid(self, who: str) -> int:
        return {"runner": self.runner.pid, "job": self.job, "grandchild": self.child}[who]

    def kill(self, who: str) -> None:
        os.kill(self.pid(who), signal.SIGKILL)
        eventually(lambda: not alive(self.pid(who)))

    def stop(self, who: str) -> None:
        os.kill(self.pid(who), signal.SIGSTOP)
        eventually(lambda: is_stopped(self.pid(who)))

    def go_on(self, who: str) -> None:
        os.kill(self.pid(who), signal.SIGCONT)
        eventually(lambda: not is_stopped(self.pid(who)))

    def end(self) -> int:
        self.runner.send_signal(signal.SIGTERM)
        return self.runner.wait(120)

    def answers(self, pid: int) -> None:
        """The process is alive and acts on what is sent to the runner."""
        before = self.work.said("answers").count(pid)
        self.runner.send_signal(signal.SIGUSR1)
        eventually(lambda: self.work.said("answers").count(pid) > before, within=120)


@pytest.fixture
def family(tmp_path: Path, spawn: Spawner) -> Family:
    return Family(spawn, Work(tmp_path / "job", BODY))


def is_stopped(pid: int) -> bool:
    seen = look(pid)
    return seen is not None and seen.state == "T"


def stands_down(spawn: Spawner, work: Work) -> bool:
    ended = tick(spawn, "--", *work.argv)
    return (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def status(spawn: Spawner, work: Work) -> Any:
    (one,) = answer(spawn, [LIFELINE, "status", "--json", "--", *work.argv])["running"]
    return one


# --- KILL -------------------------------------------------------------------------------------


def test_kill_the_runner(family: Family, spawn: Spawner) -> None:
    """The job gets TERM; its child, which the kernel does not tell, is ended by the next tick."""
    family.kill("runner")
    assert family.work.wait_for("term") == [family.job]
    assert alive(family.child)
    second = Family(spawn, family.work)
    assert not alive(family.child)
    family.work.check(starts=2)
    assert second.end() == 30


def test_kill_the_job(family: Family, spawn: Spawner) -> None:
    """The runner ends the rest of the tree, leaves with 137, and the next tick starts afresh."""
    family.kill("job")
    assert family.runner.wait(120) == 137
    assert family.work.said("term") == [family.child]
    assert spawn.mine() == []
    Family(spawn, family.work)
    family.work.check(starts=2)


def test_kill_the_grandchild(family: Family, spawn: Spawner) -> None:
    """That is the job's own affair: it is told by the kernel, and the run goes on."""
    family.kill("grandchild")
    assert family.work.wait_for("child changed") == [family.job]
    family.answers(family.job)
    assert stands_down(spawn, family.work)
    assert family.end() == 30


def test_kill_the_runner_and_the_job(family: Family, spawn: Spawner) -> None:
    """Nobody is left to end the grandchild but the next tick."""
    family.stop("runner")  # so that it does not see the job's end
    family.kill("job")
    family.kill("runner")
    assert alive(family.child)
    Family(spawn, family.work)
    assert not alive(family.child)
    family.work.check(starts=2)


def test_kill_all_three(family: Family, spawn: Spawner) -> None:
    """The record that is left names nobody alive: the next tick starts at once."""
    family.stop("runner")
    for who in ("grandchild", "job", "runner"):
        family.kill(who)
    second = Family(spawn, family.work)
    family.work.check(starts=2)
    second.runner.send_signal(signal.SIGTERM)
    assert second.runner.communicate(timeout=120)[1] == ""  # it found no leftovers to speak of


# --- STOP -------------------------------------------------------------------------------------


def test_stop_the_runner(family: Family, spawn: Spawner) -> None:
    """The job works on, ticks stand down, `status` says stopped; continued, all is as before."""
    family.stop("runner")
    os.kill(family.job, signal.SIGUSR1)
    eventually(lambda: family.work.said("answers") == [family.job], within=120)
    assert stands_down(spawn, family.work)
    assert status(spawn, family.work)["stopped"]
    family.go_on("runner")
    family.answers(family.job)
    assert not status(spawn, family.work)["stopped"]
    assert family.end() == 30


def test_stop_the_job(family: Family, spawn: Spawner) -> None:
    """A stopped job is still the one that runs: ticks stand down; TERM to the runner ends it."""
    family.stop("job")
    assert stands_down(spawn, family.work)
    assert is_stopped(family.job)
    assert family.end() == 30
    assert sorted(family.work.said("term")) == sorted([family.job, family.child])


def test_stop_the_grandchild(family: Family, spawn: Spawner) -> None:
    """The run goes on; at its end the grandchild is continued, so that it can act on TERM."""
    family.stop("grandchild")
    family.answers(family.job)
    assert stands_down(spawn, family.work)
    assert family.end() == 30
    assert sorted(family.work.said("term")) == sorted([family.job, family.child])
    assert spawn.mine() == []


@pytest.mark.parametrize("who", ["runner", "job", "grandchild"])
def test_stop_and_terminate(family: Family, spawn: Spawner, who: str) -> None:
    """`terminate` continues whoever is stopped, and nobody has to be killed."""
    family.stop(who)
    ended = lifeline(spawn, "terminate", "--grace", "1h", "--", *family.work.argv)
    assert ended.returncode == 0, ended.stderr
    assert family.runner.wait(120) == 30
    assert sorted(family.work.said("term")) == sorted([family.job, family.child])


def test_the_job_dies_while_the_runner_is_stopped(family: Family, spawn: Spawner) -> None:
    """Nobody sees it: ticks stand down for the stopped runner. Continued, it ends with 137."""
    family.stop("runner")
    family.kill("job")
    assert stands_down(spawn, family.work)
    family.runner.send_signal(signal.SIGCONT)
    assert family.runner.wait(120) == 137
    assert spawn.mine() == []


def test_term_while_the_runner_is_stopped(family: Family) -> None:
    """TERM waits until the runner is continued, and is not lost."""
    family.stop("runner")
    family.runner.send_signal(signal.SIGTERM)
    os.kill(family.job, signal.SIGUSR1)
    eventually(lambda: family.work.said("answers") == [family.job], within=120)
    assert family.work.said("term") == []
    family.runner.send_signal(signal.SIGCONT)
    assert family.runner.wait(120) == 30


def test_kill_the_stopped_runner(family: Family) -> None:
    """KILL works on a stopped runner, and its job gets TERM."""
    family.stop("runner")
    family.kill("runner")
    assert family.work.wait_for("term") == [family.job]


# --- the page ---------------------------------------------------------------------------------


def test_every_line_of_the_page_has_its_test() -> None:
    """Each row of docs/faults.md names tests, and all of them exist."""
    rows = [
        line
        for line in DOCS.read_text().splitlines()
        if line.startswith("|") and not line.startswith(("|--", "| fault "))
    ]
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(test_\w+)::(test_\w+)`", row.rstrip(" |").rpartition("|")[2])
        assert named, f"no test is named in {row}"
        for file, function in named:
            sources = [path.read_text() for path in TESTS.glob(f"*/{file}.py")]
            found = [source for source in sources if f"\ndef {function}(" in source]
            assert found, f"there is no {file}::{function}"


def test_the_whole_matrix_is_on_the_page() -> None:
    """KILL and STOP of runner, job and grandchild each have a row."""
    text = DOCS.read_text()
    for word in ("KILL", "STOP"):
        for who in ("runner", "job", "grandchild"):
            assert f"| {word} to the {who} " in text
