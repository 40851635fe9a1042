"""Pitfalls of ending a run, and of the locks that lifeline does without: docs/pitfalls.md."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from support.lifelines import INVOKE, Work, lifeline, run, tick, unique_sleep
from support.spawning import Spawner, alive, look
from support.waiting import eventually

FOUND = ("--exit-code-if-running", "9")

TASKS = """\
from invoke import Collection
from lifeline import define_lifeline_tasks

def body(c):
    c.run("echo $$ >>{log}; exec {sleep}", pty={pty})

ns = Collection(define_lifeline_tasks("app", body))
"""


def project(directory: Path, pty: bool = False) -> tuple[Path, Path]:
    """A project whose task starts a `sleep`: its directory, and the file with that sleep's pid."""
    directory.mkdir()
    log = directory / "log"
    tasks = TASKS.format(log=log, sleep=" ".join(unique_sleep()), pty=pty)
    (directory / "tasks.py").write_text(tasks)
    return directory, log


def pids(log: Path) -> list[int]:
    return [int(word) for word in log.read_text().split()] if log.exists() else []


# --- P12: invoke ------------------------------------------------------------------------------


@pytest.mark.parametrize("pty", [False, True], ids=["pipe", "pty"])
def test_p12_invoke_that_is_ended_ends_what_it_runs(
    pty: bool, spawn: Spawner, tmp_path: Path
) -> None:
    """P12: TERM to invoke in the middle of c.run ends the command too; invoke alone would not."""
    directory, log = project(tmp_path / "project", pty)
    invoke = spawn(INVOKE, "app.lifeline", cwd=directory)
    (pid,) = eventually(lambda: pids(log), within=120)
    os.kill(invoke.pid, signal.SIGTERM)
    assert invoke.wait(120) == -signal.SIGTERM
    assert not alive(pid)
    assert spawn.run(INVOKE, "app.status", cwd=directory).returncode == 3
    spawn(INVOKE, "app.lifeline", cwd=directory)
    eventually(lambda: len(pids(log)) == 2, within=120)


def test_p12_a_task_under_a_runner_survives_no_kill(spawn: Spawner, tmp_path: Path) -> None:
    """P12: where invoke is killed outright under `lifeline run`, what it ran goes with the run."""
    directory, log = project(tmp_path / "project")
    runner = spawn(*run("--", INVOKE, "app.run"), cwd=directory)
    (pid,) = eventually(lambda: pids(log), within=120)
    seen = look(pid)
    assert seen
    os.kill(seen.ppid, signal.SIGKILL)  # invoke
    assert runner.wait(120) == 128 + signal.SIGKILL
    assert not alive(pid)


# --- P19: trees -------------------------------------------------------------------------------

BRANCHES = """\
child("child")
if os.fork() == 0:  # a child in a session of its own
    os.setsid()
    child("session")
    say("leader")
    while True: time.sleep(3600)
if os.fork() == 0:  # forked twice: its parent is gone
    if os.fork() == 0:
        say("orphan")
        while True: time.sleep(3600)
    os._exit(0)
os.wait()
subprocess.Popen(["sh", "-c", "sleep 3600 & echo $! >>'" + HERE + "/grandchild'; wait; :"])
work()
"""


@pytest.mark.parametrize("how", [[], ["--exec"]], ids=["supervised", "exec"])
def test_p19_the_whole_tree_is_ended(how: list[str], spawn: Spawner, tmp_path: Path) -> None:
    """P19: children, grandchildren below shells, and children in sessions of their own go along.

    One forked twice is found in the session that the runner made for its job.
    """
    work = Work(tmp_path / "work", BRANCHES)
    started = spawn(*run(*how, "--", *work.argv))
    work.wait_for("start")
    grandchild = work.directory / "grandchild"
    eventually(lambda: grandchild.exists() and grandchild.read_text().endswith("\n"))
    for word in ("child", "session", "leader", "orphan"):
        work.wait_for(word)
    ended = lifeline(spawn, "terminate", "--", *work.argv)
    assert ended.returncode == 0, ended.stderr
    words = ["start", "child", "session", "leader"]
    words += ["orphan"] if not how else []  # with --exec it is in nobody's own session
    left = [word for word in words for pid in work.said(word) if alive(pid)]
    assert left == []
    assert not alive(int(grandchild.read_text()))
    assert started.wait(120) is not None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_p19_a_signal_to_the_runner_reaches_the_whole_job(
    number: int, spawn: Spawner, tmp_path: Path
) -> None:
    """P19: `kill RUNNER` ends the shell's children too, not only the shell."""
    log = tmp_path / "log"
    script = f"sleep 3600 & echo $! >>{log}; sleep 3601 & echo $! >>{log}; wait; :"
    runner = spawn(*run("--", "sh", "-c", script, unique_sleep()[1]))
    eventually(lambda: len(pids(log)) == 2)
    os.kill(runner.pid, number)
    assert runner.wait(120) == 128 + number
    assert not any(map(alive, pids(log)))


def test_p19_what_a_job_leaves_in_its_session_is_ended(spawn: Spawner, tmp_path: Path) -> None:
    """P19: the job ends by itself and leaves children; the run is over once they are gone."""
    log = tmp_path / "log"
    script = f"sleep 3600 & echo $! >>{log}; exit 5"
    ended = tick(spawn, "--", "sh", "-c", script, unique_sleep()[1])
    assert ended.returncode == 5
    assert not any(map(alive, pids(log)))


def test_p19_a_daemon_that_fled_is_ended(spawn: Spawner, tmp_path: Path) -> None:
    """P19: forked twice and in a session of its own: it came back to its subreaper."""
    body = (
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        say('daemon')\n"
        "        os.execvp('sleep', ['sleep', '3600'])\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "work()\n"
    )
    work = Work(tmp_path / "work", body)
    spawn(*run("--", *work.argv))
    work.wait_for("start")
    (daemon,) = work.wait_for("daemon")
    assert lifeline(spawn, "terminate", "--", *work.argv).returncode == 0
    assert not alive(daemon)


# --- P20, P21: no lock ------------------------------------------------------------------------


@pytest.mark.parametrize("how", [[], ["--exec"]], ids=["supervised", "exec"])
def test_p20_no_file_holds_the_claim(
    how: list[str], spawn: Spawner, tmp_path: Path, state_dir: Path
) -> None:
    """P20: with every file of lifeline's deleted, the twin is found all the same."""
    work = Work(tmp_path / "work")
    spawn(*run(*how, "--", *work.argv))
    work.wait_for("start")
    shutil.rmtree(state_dir)
    assert tick(spawn, *FOUND, "--", *work.argv).returncode == 9
    work.check(starts=1)


def test_p20_a_background_child_does_not_hold_the_claim(spawn: Spawner, tmp_path: Path) -> None:
    """P20: a helper in the background that inherits every descriptor does not block the next run.

    Although it has left the job's session, it is ended with the run.
    """
    body = (
        "subprocess.Popen(['setsid', 'sh', '-c', 'echo $$ >\"$0\"; exec sleep 3600',"
        " HERE + '/helper'], close_fds=False)\n"
        "stand_by('start', until='go')\n"
    )
    work = Work(tmp_path / "work", body)
    helper = work.directory / "helper"
    for round_ in (1, 2):
        runner = spawn(*run("--", *work.argv), stdout=subprocess.DEVNULL, stderr=None)
        work.wait_for("start", times=round_)
        eventually(lambda: helper.exists() and helper.read_text())
        pid = int(helper.read_text())
        work.make("go")
        assert runner.wait(120) == 0
        assert not alive(pid)
        helper.unlink()
        (work.directory / "go").unlink()
    assert len(work.said("start")) == 2


def test_p20_under_flock_nothing_changes(spawn: Spawner, tmp_path: Path) -> None:
    """P20: an old line with flock(1) around it goes on working, also when flock is killed."""
    work = Work(tmp_path / "work")
    lock = tmp_path / "lock"
    flock = spawn("flock", "-n", "-o", lock, *run("--", *work.argv))
    (pid,) = work.wait_for("start")
    flock.kill()
    flock.wait()
    again = spawn.run("flock", "-n", "-o", lock, *run(*FOUND, "--", *work.argv))
    assert again.returncode == 9  # flock alone would have started a second one
    assert alive(pid)
    work.check(starts=1)


def test_p21_reading_and_removing_state_files_takes_nothing_away(
    spawn: Spawner, tmp_path: Path, state_dir: Path
) -> None:
    """P21: anybody may open, read and close the files while it runs: no claim hangs on a file."""
    work = Work(tmp_path / "work")
    spawn(*run("--", *work.argv))
    work.wait_for("start")
    for path in state_dir.rglob("*"):
        if path.is_file():
            path.read_bytes()
    assert tick(spawn, *FOUND, "--", *work.argv).returncode == 9
    for path in state_dir.rglob("*"):
        if path.is_file():
            path.unlink()
    assert tick(spawn, *FOUND, "--", *work.argv).returncode == 9
    work.check(starts=1)
