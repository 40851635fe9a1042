"""Signals reach the job and everybody in its process group, and none that should not."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.lifelines import Work, python, run
from support.spawning import Spawner, alive, look
from support.waiting import eventually

FAULTS = {"SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS", "SIGABRT"}
NOT_CAUGHT = {"SIGKILL", "SIGSTOP"}
OF_THE_RUNNER = {"SIGCHLD", "SIGPIPE", "SIGXFSZ", "SIGTTIN", "SIGTTOU", "SIGTSTP"}
ENDING = {"SIGTERM", "SIGINT"}
FORWARDED = sorted(
    number
    for number in map(int, signal.valid_signals())
    if number >= signal.SIGRTMIN
    or signal.Signals(number).name not in FAULTS | NOT_CAUGHT | OF_THE_RUNNER | ENDING
)

# Says the number of each signal that it gets; TERM and INT end it.
TELLS = """
def tell(number, _):
    say(str(number))
    if number in (signal.SIGTERM, signal.SIGINT):
        os._exit(40 + number)


for number in set(map(int, signal.valid_signals())) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, tell)
say("up")
while True:
    time.sleep(0.02)
"""


def job(tmp_path: Path, body: str = TELLS) -> Work:
    return Work(tmp_path / "job", body)


def status(pid: int | str) -> dict[str, int]:
    """The masks in /proc/PID/status."""
    return masks(Path(f"/proc/{pid}/status").read_text())


def masks(text: str) -> dict[str, int]:
    lines = (line.split(":") for line in text.splitlines() if line.startswith("Sig"))
    return {name: int(mask, 16) for name, mask in lines if name != "SigQ"}


def bit(number: int) -> int:
    return 1 << (number - 1)


# --- what is passed on ------------------------------------------------------------------------


def test_every_forwardable_signal_reaches_the_job(tmp_path: Path, spawn: Spawner) -> None:
    """Each of them, standard and real-time, arrives under its own number."""
    work = job(tmp_path)
    runner = spawn(*run("--", *work.argv))
    work.wait_for("up")
    for number in FORWARDED:
        runner.send_signal(number)
        work.wait_for(str(number))
    assert [int(line.split()[1]) for line in work.lines()[1:]] == FORWARDED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_term_and_int_arrive_as_themselves(
    tmp_path: Path, spawn: Spawner, number: signal.Signals
) -> None:
    """What asks for the end reaches the job under its own number, and the job's answer counts."""
    work = job(tmp_path)
    runner = spawn(*run("--", *work.argv))
    work.wait_for("up")
    runner.send_signal(number)
    assert runner.wait(120) == 40 + number
    assert [line.split()[1] for line in work.lines()] == ["up", str(int(number))]


def test_the_whole_group_gets_it(tmp_path: Path, spawn: Spawner) -> None:
    """A signal goes to the job's process group: a shell and what it has started."""
    work = job(tmp_path)
    shell = tmp_path / "shell.sh"
    shell.write_text(f"trap 'echo $$ shell >>{work.directory}/log' USR1\n{' '.join(work.argv)} &\n")
    shell.write_text(shell.read_text() + "while :; do wait; done\n")
    runner = spawn(*run("--", "sh", shell))
    work.wait_for("up")
    runner.send_signal(signal.SIGUSR1)
    work.wait_for("shell")
    work.wait_for(str(int(signal.SIGUSR1)))


def test_what_is_the_runners_own_stays_there(tmp_path: Path, spawn: Spawner) -> None:
    """What concerns the runner alone is not passed on, and does it no harm."""
    work = job(tmp_path)
    runner = spawn(*run("--", *work.argv))
    work.wait_for("up")
    for name in OF_THE_RUNNER - {"SIGTSTP"}:
        runner.send_signal(signal.Signals[name])
    runner.send_signal(signal.SIGUSR1)
    work.wait_for(str(int(signal.SIGUSR1)))
    assert len(work.lines()) == 2, work.lines()


def test_real_time_signals_are_not_merged(tmp_path: Path, spawn: Spawner) -> None:
    """Real-time signals queue: as many as were sent to the runner arrive at the job."""
    number, many = signal.SIGRTMIN + 3, 300
    work = job(
        tmp_path,
        f"""
signal.pthread_sigmask(signal.SIG_BLOCK, [{number}])
say("up")
for _ in range({many}):
    signal.sigwait([{number}])
say("all")
stand_by("done")
""",
    )
    runner = spawn(*run("--", *work.argv))
    work.wait_for("up")
    for _ in range(many):
        runner.send_signal(number)
    work.wait_for("all")


def test_a_storm_does_not_drown_term(tmp_path: Path, spawn: Spawner) -> None:
    """Three processes that send signals as fast as they can do not keep TERM from being heard."""
    work = job(
        tmp_path,
        """
for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH):
    signal.signal(number, signal.SIG_IGN)
signal.signal(signal.SIGTERM, lambda *_: os._exit(5))
say("up")
while True:
    time.sleep(0.02)
""",
    )
    runner = spawn(*run("--", *work.argv))
    work.wait_for("up")
    storm = """
import os, sys
os.write(1, b"on")
try:
    for _ in range(300_000):
        os.kill(int(sys.argv[1]), int(sys.argv[2]))
except ProcessLookupError:
    pass
"""
    storms = [
        spawn(*python(storm, str(runner.pid), str(int(number))))
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
    ]
    for each in storms:
        assert each.stdout and each.stdout.read(2) == "on"
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(120) == 5


# --- what the job finds -----------------------------------------------------------------------


def test_the_jobs_signals_are_clean(tmp_path: Path, spawn: Spawner) -> None:
    """Nothing is blocked, ignored or caught but what a process without a runner has so, too.

    (make leaves signal 32 ignored: glibc keeps it for itself, and posix_spawn does that.)
    """
    copy = tmp_path / "status"
    ended = spawn.run(*run("--", "sh", "-c", f"cat /proc/self/status >{copy}"))
    assert ended.returncode == 0, ended.stderr
    plain = spawn.run("cat", "/proc/self/status")
    assert masks(copy.read_text()) == masks(plain.stdout)
    assert masks(plain.stdout)["SigIgn"] in (0, 1 << 31)


def test_it_does_not_matter_what_was_blocked(tmp_path: Path, spawn: Spawner) -> None:
    """A runner that was started with every signal blocked sees the end of its job and TERM."""
    block = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
os.execv(sys.argv[1], sys.argv[1:])
"""
    copy = tmp_path / "status"
    ended = spawn.run(*python(block, *run("--", "sh", "-c", f"cat /proc/self/status >{copy}")))
    assert ended.returncode == 0, ended.stderr
    assert masks(copy.read_text())["SigBlk"] == 0
    work = job(tmp_path, "stand_by('up')\n")
    runner = spawn(*python(block, *run("--", *work.argv)))
    work.wait_for("up")
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(120) == 0


def test_what_was_ignored_stays_ignored(tmp_path: Path, spawn: Spawner) -> None:
    """Under nohup and its like the job ignores what it was to ignore, and the runner, too."""
    ignored = (signal.SIGHUP, signal.SIGUSR1, signal.SIGRTMIN + 5)
    work = job(tmp_path, "say('up')\nwhile True: time.sleep(0.02)\n")
    shell = f'trap "" HUP USR1 {int(signal.SIGRTMIN) + 5}; exec "$@"'
    runner = spawn("sh", "-c", shell, "sh", *run("--", *work.argv))
    (pid,) = work.wait_for("up")
    for number in ignored:
        assert status(pid)["SigIgn"] & bit(number)
        assert status(runner.pid)["SigIgn"] & bit(number)
        runner.send_signal(number)
    runner.send_signal(signal.SIGUSR2)  # the job would have died of one before
    assert runner.wait(120) == 128 + signal.SIGUSR2


# --- between fork and exec --------------------------------------------------------------------


def test_term_between_fork_and_exec(tmp_path: Path, spawn: Spawner) -> None:
    """TERM to the runner that comes when the job is not the command yet is not lost."""
    script = tmp_path / "job.sh"
    script.write_text("sleep 3600\n")
    for _ in range(200):
        runner = spawn(*run("--grace", "1h", "--", "sh", script))
        child, caught = stopped_child(runner)
        if child:
            runner.send_signal(signal.SIGTERM)
            os.kill(child, signal.SIGCONT)
            assert runner.wait(120) == 128 + signal.SIGTERM
            assert spawn.mine() == []
        if caught:
            return
    pytest.fail("the moment was never hit")


def test_a_signal_to_the_job_between_fork_and_exec(tmp_path: Path, spawn: Spawner) -> None:
    """TERM to the job alone, when that still is a copy of the runner, ends it and only it."""
    script = tmp_path / "job.sh"
    script.write_text("echo run; sleep 3600\n")
    options = ("--restart", "on-failure", "--backoff", "1ms")
    for _ in range(200):
        runner = spawn(*run(*options, "--", "sh", script))
        child, caught = stopped_child(runner)
        if child:
            os.kill(child, signal.SIGTERM)
            os.kill(child, signal.SIGCONT)
            eventually(lambda: look(child) is None, within=120)  # noqa: B023
            assert runner.stdout and runner.stdout.readline() == "run\n"
        runner.send_signal(signal.SIGTERM)
        assert runner.wait(120) == 128 + signal.SIGTERM
        if caught:
            return
    pytest.fail("the moment was never hit")


def stopped_child(runner: subprocess.Popen[str]) -> tuple[int, bool]:
    """The runner's child, stopped as soon as it is there, and whether that was before exec.

    Then it still shows the runner's command line. 0 if it was gone before it could be stopped.
    """
    child = eventually(lambda: first_child(runner), within=120, every=0)
    os.kill(child, signal.SIGSTOP)
    eventually(lambda: (seen := look(child)) is None or seen.state in "TZ")
    return (child, shown(child) == shown(runner.pid)) if alive(child) else (0, False)


def first_child(runner: subprocess.Popen[str]) -> int:
    assert runner.poll() is None, runner.communicate()
    path = f"/proc/{runner.pid}/task/{runner.pid}/children"
    found = Path(path).read_text().split()
    return int(found[0]) if found else 0


def shown(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
