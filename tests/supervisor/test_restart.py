"""--restart: the runner starts its job again, for ever, with pauses that grow."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lifeline.supervision.restarts import HEALTHY, Backoff, is_wanted
from support.lifelines import AS_NOBODY, LIFELINE, Work, answer, lifeline, run, tick
from support.scripts import happened, shell
from support.spawning import Spawner, alive, look
from support.waiting import eventually

AT_ONCE = ("--backoff", "1ms")
LATER = ("--backoff", "1h")

# --- how long to wait (pure) ------------------------------------------------------------------


def delays(backoff: Backoff, count: int, ran: float = 0.0, chance: float = 0.0) -> list[float]:
    return [backoff.delay(ran, chance) for _ in range(count)]


def test_the_delay_doubles_up_to_the_longest() -> None:
    """1 s, 2 s, 4 s, … and 60 s for ever after."""
    assert delays(Backoff(1, 60), 9) == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_it_never_gives_up_nor_overflows() -> None:
    """After ten thousand failures the delay is still the longest one."""
    assert delays(Backoff(0.001, 60), 10_000)[-1] == 60


def test_one_delay_for_all() -> None:
    """--backoff 5s means five seconds each time."""
    assert delays(Backoff(5, 5), 3) == [5, 5, 5]


def test_a_healthy_minute_begins_anew() -> None:
    """A job that ran for a minute is started again after the shortest delay; 59.9 s do not do."""
    backoff = Backoff(1, 60)
    assert delays(backoff, 4) == [1, 2, 4, 8]
    assert backoff.delay(HEALTHY - 0.1, 0) == 16
    assert backoff.delay(HEALTHY, 0) == 1
    assert backoff.delay(0, 0) == 2


@pytest.mark.parametrize("chance", [0.0, 0.25, 0.5, 0.999])
def test_jitter_takes_up_to_a_quarter(chance: float) -> None:
    """Each delay is shortened by up to a quarter of itself, and by nothing else."""
    expected = [d * (1 - chance / 4) for d in (1, 2, 4, 8, 16, 32, 60)]
    assert delays(Backoff(1, 60), 7, chance=chance) == expected
    assert all(0.75 * full < found <= full for full, found in zip((1, 2), expected, strict=False))


def test_who_is_restarted() -> None:
    """never: nobody; on-failure: whoever did not end with 0; always: everybody."""
    codes = (0, 1, 75, 124, 127, 137, 255)
    assert not any(is_wanted("never", code) for code in codes)
    assert [code for code in codes if not is_wanted("on-failure", code)] == [0]
    assert all(is_wanted("always", code) for code in codes)


# --- real jobs --------------------------------------------------------------------------------


def counting(tmp_path: Path, then: str) -> list[str]:
    """A job that says which run it is, and does `then` with that number in $n."""
    return shell(tmp_path, f"echo run >>runs; n=$(wc -l <runs); echo run $n; {then}")


def test_by_default_it_is_crons_affair(tmp_path: Path, spawn: Spawner) -> None:
    """Without --restart a job that fails is not started again."""
    ended = tick(spawn, "--", *counting(tmp_path, "exit 3"))
    assert (ended.returncode, ended.stdout) == (3, "run 1\n")


@pytest.mark.parametrize("how", ["exit 3", "kill -KILL $$", "exit 127"])
def test_on_failure_until_it_succeeds(tmp_path: Path, spawn: Spawner, how: str) -> None:
    """A job that fails, in whatever way, is started again until it ends with 0."""
    words = counting(tmp_path, f"[ $n -ge 4 ] || {how}; exit 0")
    ended = tick(spawn, "--restart", "on-failure", *AT_ONCE, "--", *words)
    assert (ended.returncode, ended.stdout) == (0, "run 1\nrun 2\nrun 3\nrun 4\n")


def test_on_failure_lets_success_be(tmp_path: Path, spawn: Spawner) -> None:
    """A job that ends with 0 at once is not started again."""
    ended = tick(spawn, "--restart", "on-failure", *AT_ONCE, "--", *counting(tmp_path, "exit 0"))
    assert (ended.returncode, ended.stdout) == (0, "run 1\n")


@pytest.mark.parametrize("code", [0, 1])
def test_always(tmp_path: Path, spawn: Spawner, code: int) -> None:
    """A job is started again whatever it ended with, until somebody ends the runner."""
    words = counting(tmp_path, f"[ $n -lt 30 ] || exec sleep 3600; exit {code}")
    runner = spawn(*run("--restart", "always", *AT_ONCE, "--", *words))
    assert runner.stdout
    assert [runner.stdout.readline() for _ in range(30)] == [f"run {n}\n" for n in range(1, 31)]
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(120) == 128 + signal.SIGTERM
    assert (tmp_path / "runs").read_text() == "run\n" * 30


def test_term_to_a_job_that_would_be_restarted(tmp_path: Path, spawn: Spawner) -> None:
    """TERM to the runner ends it for good: the job's answer is no failure to be mended."""
    work = Work(tmp_path / "job", "signal.signal(15, lambda *_: os._exit(9))\nsay('up')\n")
    work.script.write_text(work.script.read_text() + "while True:\n    time.sleep(0.02)\n")
    runner = spawn(*run("--restart", "always", *AT_ONCE, "--", *work.argv))
    work.wait_for("up")
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(120) == 9
    assert len(work.said("up")) == 1


def test_each_run_leaves_nobody(tmp_path: Path, spawn: Spawner) -> None:
    """What one run left is gone before the next begins."""
    work = Work(
        tmp_path / "job",
        """
said = open(HERE + "/log").read().splitlines()
for line in said:
    if os.path.exists("/proc/" + line.split()[0]):
        say("overlap")
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    say("left")
    while True:
        time.sleep(0.02)
while len(open(HERE + "/log").readlines()) == len(said):
    time.sleep(0.001)
sys.exit(len(said) < 2)
""",
    )
    ended = tick(spawn, "--restart", "on-failure", *AT_ONCE, "--", *work.argv)
    assert ended.returncode == 0, ended.stderr
    assert [line.split()[1] for line in work.lines()] == ["left"] * 3


# --- between two runs -------------------------------------------------------------------------


def in_backoff(spawn: Spawner, words: list[str], *options: str) -> subprocess.Popen[str]:
    """A runner whose job has failed once and that waits for an hour."""
    runner = spawn(*run("--restart", "always", *LATER, *options, "--", *words))
    assert runner.stdout and runner.stdout.readline() == "run 1\n"
    children = Path(f"/proc/{runner.pid}/task/{runner.pid}/children")
    eventually(lambda: not children.read_text(), within=120)
    eventually(lambda: (seen := look(runner.pid)) and seen.state == "S")
    return runner


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_between_two_runs(tmp_path: Path, spawn: Spawner, number: signal.Signals) -> None:
    """TERM and INT end a runner that waits to start its job again, at once: 128+n."""
    runner = in_backoff(spawn, counting(tmp_path, "exit 1"))
    runner.send_signal(number)
    assert runner.wait(120) == 128 + number


def test_other_signals_between_two_runs(tmp_path: Path, spawn: Spawner) -> None:
    """HUP, USR1 and their like have nobody to go to, and do the runner no harm."""
    runner = in_backoff(spawn, counting(tmp_path, "exit 1"))
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGALRM, signal.SIGCONT):
        runner.send_signal(number)
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(120) == 128 + signal.SIGTERM


def test_a_tick_between_two_runs(tmp_path: Path, spawn: Spawner) -> None:
    """A runner that waits is a twin: the next tick stands down and starts nothing."""
    words = counting(tmp_path, "exit 1")
    runner = in_backoff(spawn, words)
    ended = tick(spawn, "--", *words)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert runner.poll() is None
    assert (tmp_path / "runs").read_text() == "run\n"


def test_terminate_between_two_runs(tmp_path: Path, spawn: Spawner) -> None:
    """`terminate` ends a runner that has no job at the moment."""
    words = counting(tmp_path, "exit 1")
    runner = in_backoff(spawn, words)
    assert lifeline(spawn, "terminate", "--", *words).returncode == 0
    assert runner.wait(120) == 128 + signal.SIGTERM


def test_a_hold_ends_the_restarts(tmp_path: Path, spawn: Spawner) -> None:
    """A hold lets the run that is on go on; after it nothing is started: its status, and why."""
    words = counting(tmp_path, "until [ -e go ]; do sleep 0.01; done; exit 6")
    runner = spawn(*run("--restart", "always", *AT_ONCE, "--", *words))
    assert runner.stdout and runner.stderr
    assert runner.stdout.readline() == "run 1\n"
    held = lifeline(spawn, "hold", "--reason", "repairs", "--", *words)
    assert held.returncode == 0, held.stderr
    assert runner.poll() is None
    (tmp_path / "go").touch()
    assert runner.wait(120) == 6
    assert "held (repairs); not started" in runner.stderr.read()
    assert (tmp_path / "runs").read_text() == "run\n"


# --- what others see of it --------------------------------------------------------------------


def test_status_follows_the_restarts(tmp_path: Path, spawn: Spawner) -> None:
    """`status` shows the job of now, how often it was restarted and how the run before ended."""
    words = counting(tmp_path, "[ $n -lt 3 ] || exec sleep 3600; exit $((40 + n))")
    runner = spawn(*run("--restart", "on-failure", *AT_ONCE, "--", *words))

    def told() -> Any:
        (one,) = answer(spawn, [LIFELINE, "status", "--json", "--", *words])["running"]
        return one

    assert runner.stdout
    assert [runner.stdout.readline() for _ in range(3)] == ["run 1\n", "run 2\n", "run 3\n"]
    one = told()
    assert (one["pid"], one["restarts"], one["last_exit"]) == (runner.pid, 2, 42)
    seen = look(one["job_pid"])
    assert seen and seen.ppid == runner.pid


def test_what_a_killed_runner_leaves_is_of_the_last_run(tmp_path: Path, spawn: Spawner) -> None:
    """The run record names the newest job, so the next tick knows it for a leftover."""
    work = Work(
        tmp_path / "job",
        """
if not os.path.exists(HERE + "/turn"):
    open(HERE + "/turn", "w").close()
    sys.exit(1)
turn = os.open(HERE + "/turn", os.O_RDWR)
try:
    fcntl.lockf(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    say("overlap")
signal.signal(signal.SIGTERM, signal.SIG_IGN)
say("start")
while True:
    time.sleep(0.02)
""",
    )
    words = [*run("--restart", "always", *AT_ONCE, "--", *work.argv)]
    runner = spawn(*words)
    (job,) = work.wait_for("start")
    runner.kill()
    runner.wait(120)
    assert alive(job)
    spawn(*words)
    work.wait_for("start", 2)
    assert not alive(job)
    work.check(starts=2)


def test_history_tells_restarts(tmp_path: Path, spawn: Spawner) -> None:
    """Each restart and each end is an event, with its number and its exit code."""
    words = counting(tmp_path, "exit $((3 - n))")
    assert tick(spawn, "--restart", "on-failure", *AT_ONCE, "--", *words).returncode == 0
    told = [(each["event"], each.get("restarts"), each.get("code")) for each in happened(spawn)]
    assert told == [
        *(("start", None, None), ("end", None, 2)),
        *(("restart", 1, None), ("end", None, 1)),
        *(("restart", 2, None), ("end", None, 0)),
    ]


# --- what does not end it ---------------------------------------------------------------------


def test_a_command_that_is_missing_for_a_while(tmp_path: Path, spawn: Spawner) -> None:
    """A command that has gone when it is to be restarted (a deploy) is tried until it is back."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho run\nmv {program} {program}.away\nexit 1\n")
    program.chmod(0o755)
    runner = spawn(*run("--restart", "on-failure", "--backoff", "10ms..20ms", "--", program))
    assert runner.stdout and runner.stderr
    away = tmp_path / "program.away"
    for _ in range(2):
        assert runner.stdout.readline() == "run\n"
        eventually(away.exists)  # lines of the turn before may still be there to be read
        for _ in range(3):
            assert runner.stderr.readline() == f"lifeline: {program}: command not found\n"
        away.rename(program)
    runner.send_signal(signal.SIGTERM)
    runner.wait(120)


def test_missing_from_the_start(tmp_path: Path, spawn: Spawner) -> None:
    """A command that was never there is a mistake in the crontab, and told at once: 127."""
    ended = tick(spawn, "--restart", "always", *AT_ONCE, "--", tmp_path / "missing")
    assert ended.returncode == 127


def test_a_state_directory_that_is_unusable_for_a_while(
    tmp_path: Path, spawn: Spawner, state_dir: Path
) -> None:
    """A run that cannot be recorded is not started; the runner says so and tries again."""
    words = counting(tmp_path, "until [ -e go$n ]; do sleep 0.01; done; exit 1")
    runner = spawn(*run("--restart", "on-failure", "--backoff", "10ms..20ms", "--", *words))
    assert runner.stdout and runner.stderr
    assert runner.stdout.readline() == "run 1\n"
    state_dir.chmod(0o777)
    (tmp_path / "go1").touch()
    while "is open to others" not in (line := runner.stderr.readline()):
        assert "history cannot be written" in line
    assert (tmp_path / "runs").read_text() == "run\n"
    state_dir.chmod(0o700)
    assert runner.stdout.readline() == "run 2\n"


@pytest.mark.needs("nobody")
def test_no_process_for_a_while(tmp_path: Path, spawn: Spawner) -> None:
    """A runner that cannot fork (ulimit -u) tries again until it can."""
    os.chown(tmp_path, 65534, 65534)
    _, most = resource.getrlimit(resource.RLIMIT_NPROC)
    words = counting(tmp_path, "until [ -e go$n ]; do sleep 0.01; done; exit 1")
    runner = spawn(
        *(*AS_NOBODY, *run("--restart", "on-failure", "--backoff", "10ms..20ms", "--", *words)),
        env={"LIFELINE_STATE_DIR": str(tmp_path / "nobodys")},
    )
    assert runner.stdout and runner.stderr
    assert runner.stdout.readline() == "run 1\n"
    limit = (*AS_NOBODY, "prlimit", "--pid", str(runner.pid))
    assert spawn.run(*limit, "--nproc=0:").returncode == 0
    (tmp_path / "go1").touch()
    for _ in range(3):
        assert (
            runner.stderr.readline() == "lifeline: not started: Resource temporarily unavailable\n"
        )
    assert spawn.run(*limit, f"--nproc={most}:").returncode == 0
    assert runner.stdout.readline() == "run 2\n"
