"""--timeout: a run that takes too long is ended, exit 124."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from support.lifelines import run, tick
from support.scripts import happened, shell
from support.spawning import Spawner, look
from support.waiting import eventually

NOW = ("--timeout", "300ms")  # every job here would run for ever without it
SOON = ("--timeout", "3s")  # where the job has to have come to something by then: a shell does
SHORT = ("--grace", "300ms")


def test_a_job_that_takes_too_long(tmp_path: Path, spawn: Spawner) -> None:
    """It gets TERM and its time to act on that; the exit code is 124, whatever it then says."""
    words = shell(tmp_path, "trap 'echo end; exit 9' TERM; while :; do sleep 0.05; done")
    ended = tick(spawn, *SOON, "--grace", "1h", "--", *words)
    assert (ended.returncode, ended.stdout) == (124, "end\n")
    assert spawn.mine() == []


def test_a_job_that_ignores_term(tmp_path: Path, spawn: Spawner) -> None:
    """KILL follows after the grace, and the exit code is 124 all the same."""
    words = shell(tmp_path, "trap '' TERM; while :; do sleep 3600; done")
    assert tick(spawn, *NOW, *SHORT, "--", *words).returncode == 124
    assert spawn.mine() == []


def test_a_job_that_is_stopped(tmp_path: Path, spawn: Spawner) -> None:
    """A stopped job is ended in its time as well."""
    words = shell(tmp_path, "kill -STOP $$; sleep 3600")
    assert tick(spawn, *NOW, "--grace", "1h", "--", *words).returncode == 124


def test_its_children_go_too(tmp_path: Path, spawn: Spawner) -> None:
    """Children that stay and children that got away are ended with it."""
    words = shell(tmp_path, "sleep 3600 & setsid sleep 3600 & (setsid sleep 3600 &) ; wait")
    assert tick(spawn, *NOW, "--grace", "1h", "--", *words).returncode == 124
    assert spawn.mine() == []


@pytest.mark.parametrize("limit", ["1h", "30d", "100w"])
def test_a_job_in_time(tmp_path: Path, spawn: Spawner, limit: str) -> None:
    """A job that ends before is not concerned, however long the limit; its status is passed on."""
    assert tick(spawn, "--timeout", limit, "--", *shell(tmp_path, "exit 5")).returncode == 5


def test_each_run_has_its_own(tmp_path: Path, spawn: Spawner) -> None:
    """With --restart a run that took too long is a failure like any other, and counts from zero."""
    words = shell(tmp_path, "echo run; [ -e second ] && exit 0; >second; sleep 3600")
    ended = tick(spawn, *SOON, "--restart", "on-failure", "--backoff", "1ms", "--", *words)
    assert (ended.returncode, ended.stdout) == (0, "run\nrun\n")
    ends = [(e["code"], e.get("reason")) for e in happened(spawn) if e["event"] == "end"]
    assert ends == [(124, "timeout"), (0, None)]


def test_term_while_it_is_ended(tmp_path: Path, spawn: Spawner) -> None:
    """TERM during the grace does not change the answer, and a second one is KILL now."""
    words = shell(tmp_path, "trap ': >$0.term' TERM; echo $$; while :; do sleep 0.05; done")
    runner = spawn(*run(*SOON, "--grace", "1h", "--", *words))
    job = int(runner.stdout.readline())
    eventually((tmp_path / "job.sh.term").exists, within=120)
    os.kill(runner.pid, signal.SIGTERM)
    eventually(lambda: not _pending(runner.pid))  # or the two would be merged into one
    assert look(job)
    os.kill(runner.pid, signal.SIGTERM)
    assert runner.wait(120) == 124


def _pending(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("ShdPnd:")[1].split()[0], 16)
