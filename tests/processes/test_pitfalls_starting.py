"""Pitfalls of looking for a twin while others start, end and change: docs/pitfalls.md."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from support.agent import Agent
from support.frozen import freeze, thaw
from support.lifelines import LIFELINE, Work, gate, has_exec, namespace, run, tick, unique_sleep
from support.spawning import Spawner, alive, look
from support.waiting import eventually


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


def starter_between_fork_and_exec(argv: list[str]) -> tuple[int, int]:
    """A child that has been forked and will exec `argv` once the returned descriptor is closed."""
    gate, opener = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(opener)
            os.read(gate, 1)
            os.execv(argv[0], argv)
        finally:
            os._exit(99)
    os.close(gate)
    return pid, opener


def test_p1_two_that_see_each_other_do_not_both_leave(
    spawn: Spawner, work: Work, tmp_path: Path
) -> None:
    """P1: both can be seen before either looks; one runs, in every one of ten rounds."""
    for round_ in range(1, 11):
        env, opened = gate(tmp_path / f"gate{round_}")
        both = [spawn(*run("--", *work.argv), env=env) for _ in range(2)]
        for each in both:
            eventually(partial(has_exec, each.pid, str(work.script)))
        opened.touch()
        pid = work.wait_for("start", times=round_)[-1]
        eventually(partial(one_has_left, both), within=120)
        os.kill(pid, signal.SIGTERM)
        assert [each.wait(120) for each in both] == [0, 0]
    work.check(starts=10)


def test_p2_an_older_starter_that_arrives_late_leaves(spawn: Spawner, work: Work) -> None:
    """P2: one that was forked first but execs when a younger one works finds that and leaves."""
    argv = run("--exit-code-if-running", "9", "--", *work.argv)
    older, opener = starter_between_fork_and_exec(argv)
    spawn(*argv)
    (pid,) = work.wait_for("start")
    theirs, mine = look(pid), look(older)
    assert mine
    assert theirs
    assert (mine.started, older) < (theirs.started, pid)
    os.close(opener)
    assert os.waitstatus_to_exitcode(os.waitpid(older, 0)[1]) == 9
    work.check(starts=1)


def test_p2_even_if_the_younger_one_has_left_no_record(
    spawn: Spawner, work: Work, state_dir: Path
) -> None:
    """P2: a younger one that does not leave has decided, whatever files there are."""
    argv = run("--exit-code-if-running", "9", "--settle", "1s", "--", *work.argv)
    older, opener = starter_between_fork_and_exec(argv)
    spawn(*argv)
    work.wait_for("start")
    shutil.rmtree(state_dir)
    os.close(opener)
    assert os.waitstatus_to_exitcode(os.waitpid(older, 0)[1]) == 9
    work.check(starts=1)


def test_p16_a_scan_amid_hundreds_of_short_lived_processes(spawn: Spawner, work: Work) -> None:
    """P16: while processes come and go all the time, every tick's answer is right, never unknown.

    Half of the churn execs, half only forks, so pids and command lines change under the scan.
    """
    churn = (
        "import os, sys\n"
        "print(flush=True)\n"
        "while True:\n"
        "    pids = []\n"
        "    for n in range(20):\n"
        "        pid = os.fork()\n"
        "        if pid == 0:\n"
        "            if n % 2: os.execv(sys.argv[1], ['true', str(n)])\n"
        "            os._exit(0)\n"
        "        pids.append(pid)\n"
        "    for pid in pids: os.waitpid(pid, 0)\n"
    )
    for _ in range(2):
        churner = spawn(sys.executable, "-c", churn, shutil.which("true") or "/bin/true")
        assert churner.stdout
        churner.stdout.readline()
    spawn(*run("--", *work.argv))
    work.wait_for("start")
    ends = ["sh", "-c", "exit 5", unique_sleep()[1]]
    for _ in range(15):
        found = tick(spawn, "--exit-code-if-running", "9", "--", *work.argv)
        alone = tick(spawn, "--exit-code-if-running", "9", "--", *ends)
        assert (found.returncode, found.stderr) == (9, "")
        assert (alone.returncode, alone.stderr) == (5, "")
    work.check(starts=1)


def test_p16_a_scan_amid_churn_without_a_record(spawn: Spawner, state_dir: Path) -> None:
    """P16: the same where only the process table tells that a twin runs."""
    words = unique_sleep()
    spawn(*words)
    churn = "while :; do true & /bin/true; done"
    spawn("sh", "-c", churn)
    for _ in range(15):
        found = tick(spawn, "--exit-code-if-running", "9", "--", *words)
        assert (found.returncode, found.stderr) == (9, "")
    assert not list(state_dir.glob("runs/*"))


@pytest.mark.needs("fuse", "unshare")
def test_p18_one_that_hangs_in_exec_is_unknown(spawn: Spawner, tmp_path: Path) -> None:
    """P18: while a process hangs in the middle of exec nothing starts: exit 75, and why.

    Once it has become a program, it is the twin or it is not.
    """
    inside = Agent(spawn, *namespace())
    pid, program = freeze(inside, tmp_path / "mount", "3600")
    found = inside.run(LIFELINE, "run", "--", *program)
    assert found.returncode == 75
    assert f"cannot tell whether pid {pid}" in found.stderr
    assert "in the middle of exec; not started" in found.stderr
    assert inside.run(LIFELINE, "run", "--", "true").returncode == 75  # it could become anything
    assert "not start, exit 75" in inside.run(LIFELINE, "explain", "--", *program).stdout
    assert inside.run(LIFELINE, "terminate", "--", *program).returncode == 75
    thaw(inside)
    eventually(lambda: inside.do(f"result = open('/proc/{pid}/cmdline').read() != ''"))
    again = inside.run(LIFELINE, "run", "--exit-code-if-running", "9", "--", *program)
    assert (again.returncode, again.stderr) == (9, "")
    assert inside.run(LIFELINE, "run", "--", "true").returncode == 0


@pytest.mark.needs("fuse", "unshare")
def test_p18_a_known_twin_counts_more_than_an_unknown(spawn: Spawner, tmp_path: Path) -> None:
    """P18: where a twin is seen, somebody who cannot be judged changes nothing."""
    inside = Agent(spawn, *namespace())
    words = unique_sleep()
    inside.start(*words)
    freeze(inside, tmp_path / "mount", "3600")
    found = inside.run(LIFELINE, "run", "--exit-code-if-running", "9", "--", *words)
    assert (found.returncode, found.stderr) == (9, "")


@pytest.mark.needs("fuse", "unshare")
def test_p18_one_that_hangs_in_a_container_does_not_matter(spawn: Spawner, tmp_path: Path) -> None:
    """P18: what hangs in exec in another pid namespace is nobody's twin here."""
    freeze(Agent(spawn, *namespace()), tmp_path / "mount", "3600")
    alone = tick(spawn, "--", "true", unique_sleep()[1])
    assert (alone.returncode, alone.stderr) == (0, "")


def test_p23_a_tick_that_finds_its_twin_stays_light(spawn: Spawner, work: Work) -> None:
    """P23: to find the twin costs neither psutil nor typer nor anything else that is dear."""
    spawn(*run("--", *work.argv))
    work.wait_for("start")
    found = spawn.run(
        *(sys.executable, "-X", "importtime", LIFELINE, "run", "--exit-code-if-running", "9"),
        *("--", *work.argv),
    )
    assert found.returncode == 9
    loaded = {line.rpartition("|")[2].strip() for line in found.stderr.splitlines()}
    assert "lifeline.processes.records" in loaded  # or the list would be empty for another reason
    dear = {"psutil", "typer", "typing", "re", "json", "subprocess", "lifeline.supervisor"}
    assert loaded & dear == set()


def test_p24_lines_that_cron_catches_up_with_start_one(spawn: Spawner, work: Work) -> None:
    """P24: several minutes' lines at once, as after a suspend, give one runner."""
    late = 'kill -STOP $$; exec "$@"'
    ticks = [spawn("sh", "-c", late, "sh", *run("--", *work.argv)) for _ in range(6)]
    eventually(lambda: all(state(each.pid) == "T" for each in ticks))
    for each in ticks:
        os.kill(each.pid, signal.SIGCONT)
    (pid,) = work.wait_for("start")
    eventually(lambda: sum(each.poll() is None for each in ticks) == 1, within=120)
    assert sorted(each.returncode for each in ticks if each.returncode is not None) == [0] * 5
    assert alive(pid)
    work.check(starts=1)


@pytest.mark.parametrize("milliseconds", range(0, 60, 6))
def test_p24_a_starter_that_is_suspended_while_it_decides(
    milliseconds: int, spawn: Spawner, work: Work
) -> None:
    """P24: one that is stopped somewhere between its start and its decision never makes two.

    Whichever moment that is: another starter has won or left by the time that it is woken.
    """
    argv = run("--settle", "1s", "--", *work.argv)
    stopped = spawn(*argv)
    time.sleep(milliseconds / 1000)  # what is tested holds after any time
    os.kill(stopped.pid, signal.SIGSTOP)
    second = spawn(*argv)
    eventually(lambda: second.poll() is not None or work.said("start"), within=120)
    os.kill(stopped.pid, signal.SIGCONT)
    both = (stopped, second)
    eventually(lambda: sum(each.poll() is None for each in both) <= 1, within=120)
    if any(each.poll() is None for each in both):
        os.kill(work.wait_for("start")[0], signal.SIGTERM)
    assert [each.wait(120) for each in both] == [0, 0]
    work.check(starts=1)


def one_has_left(processes: list[subprocess.Popen[str]]) -> bool:
    return any(each.poll() is not None for each in processes)


def state(pid: int) -> str:
    """The state letter of a process, or nothing if it is gone."""
    seen = look(pid)
    return seen.state if seen else ""
