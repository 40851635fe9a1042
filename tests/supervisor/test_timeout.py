"""--timeout: a run that takes too long is ended, exit 124."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.lifelines import line, run, tick
from support.scripts import happened, shell
from support.spawning import Spawner, look
from support.waiting import eventually, in_time

NOW = ("--timeout", "300ms")  # every job here would run for ever without it
SHORT = ("--grace", "300ms")


def test_a_job_that_takes_too_long(tmp_path: Path, spawn: Spawner) -> None:
    """It gets TERM and its time to act on that; the exit code is 124, whatever it then says."""
    body = "trap 'echo end; exit 9' TERM; : >$0.ready; while :; do sleep 0.05; done"
    words = shell(tmp_path, body)

    def once_ready(seconds: float) -> subprocess.CompletedProcess[str] | None:
        ended = tick(spawn, "--timeout", f"{seconds}s", "--grace", "1h", "--", *words)
        return ended if (tmp_path / "job.sh.ready").exists() else None

    ended = in_time(once_ready)
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
    words = shell(tmp_path, "[ -e second ] && exit 0; >second; sleep 3600")
    restart = ("--restart", "on-failure", "--backoff", "1ms")
    ended = tick(spawn, "--timeout", "1s", *restart, "--", *words)
    assert ended.returncode == 0
    *late, last = [each for each in happened(spawn) if each["event"] == "end"]
    assert (last["code"], last.get("reason")) == (0, None)
    # One at least; on a machine that stalls the second run may take too long as well.
    assert {(each["code"], each["reason"]) for each in late} == {(124, "timeout")}
    assert all(each["seconds"] >= 1 for each in late)


def test_term_while_it_is_ended(tmp_path: Path, spawn: Spawner) -> None:
    """TERM during the grace does not change the answer, and a second one is KILL now."""
    words = shell(tmp_path, "trap ': >$0.term' TERM; echo $$; while :; do sleep 0.05; done")

    def once_ready(seconds: float) -> tuple[subprocess.Popen[str], str]:
        runner = spawn(*run("--timeout", f"{seconds}s", "--grace", "1h", "--", *words))
        return runner, line(runner)

    runner, told = in_time(lambda seconds: found if (found := once_ready(seconds))[1] else None)
    job = int(told)
    eventually((tmp_path / "job.sh.term").exists, within=120)
    os.kill(runner.pid, signal.SIGTERM)
    eventually(lambda: not _pending(runner.pid))  # or the two would be merged into one
    assert look(job)
    os.kill(runner.pid, signal.SIGTERM)
    assert runner.wait(120) == 124


def _pending(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("ShdPnd:")[1].split()[0], 16)
