"""As process 1 of a pid namespace, which is what a container's command is.

Process 1 has no default dispositions: a signal that it does not catch does not exist for it. All
orphans become its children, and nobody else will ever reap them.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.lifelines import Work, namespace, run
from support.scripts import shell
from support.spawning import Spawner, alive, look
from support.waiting import eventually

pytestmark = pytest.mark.needs("unshare")

ORPHANS = 300

TELLS = """
def tell(number, _):
    say(signal.Signals(number).name)
    if number in (signal.SIGINT, signal.SIGTERM):
        os._exit(40 + number)


for number in (1, 2, 3, 10, 12, 15, signal.SIGTSTP, signal.SIGCONT):
    signal.signal(number, tell)
say("up")
while True:
    time.sleep(0.02)
"""


def container(spawn: Spawner, *words: str | os.PathLike[str]) -> subprocess.Popen[str]:
    """Start `lifeline run` as process 1 of a new pid namespace."""
    return spawn(*namespace(*run(*words)))


def init_of(outside: subprocess.Popen[str]) -> int:
    """The pid, as it is seen from here, of process 1 in there."""

    def child() -> int:
        assert outside.poll() is None, outside.communicate()
        found = Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text().split()
        return int(found[0]) if found else 0

    return eventually(child, within=120)


def is_lifeline(pid: int) -> bool:
    return b"lifeline\0run\0" in Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_is_passed_on(tmp_path: Path, spawn: Spawner, number: signal.Signals) -> None:
    """TERM and INT from outside reach the job, and its answer is the container's."""
    work = Work(tmp_path / "job", TELLS)
    outside = container(spawn, "--", *work.argv)
    work.wait_for("up")
    os.kill(init_of(outside), number)
    assert outside.wait(120) == 40 + number
    assert work.said(number.name)


def test_other_signals_are_passed_on(tmp_path: Path, spawn: Spawner) -> None:
    """HUP, QUIT, USR1 and USR2 reach the job, though process 1 has no use for them itself."""
    work = Work(tmp_path / "job", TELLS)
    outside = container(spawn, "--", *work.argv)
    work.wait_for("up")
    for name in ("SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"):
        os.kill(init_of(outside), signal.Signals[name])
        work.wait_for(name)


def test_a_terminal_stop_does_not_stop_it_for_ever(tmp_path: Path, spawn: Spawner) -> None:
    """TSTP (Ctrl-Z in `docker run -it`) leaves the job running: nobody could continue it."""
    work = Work(tmp_path / "job", TELLS)
    outside = container(spawn, "--", *work.argv)
    work.wait_for("up")
    os.kill(init_of(outside), signal.SIGTSTP)
    work.wait_for("SIGCONT")
    os.kill(init_of(outside), signal.SIGUSR1)
    work.wait_for("SIGUSR1")


@pytest.mark.parametrize("value", [0, 1, 77, 255])
def test_the_exit_status(tmp_path: Path, spawn: Spawner, value: int) -> None:
    """The container ends with the job's status."""
    assert container(spawn, "--", *shell(tmp_path, f"exit {value}")).wait(120) == value


def test_a_job_that_a_signal_ends(tmp_path: Path, spawn: Spawner) -> None:
    """The job is not process 1, so signals do to it what they do everywhere."""
    words = shell(tmp_path, "kill -USR1 $$; sleep 3600")
    assert container(spawn, "--", *words).wait(120) == 128 + signal.SIGUSR1


def test_orphans_are_reaped(tmp_path: Path, spawn: Spawner) -> None:
    """Hundreds of orphans that end while the job runs leave no zombie; the job sees to that."""
    work = Work(
        tmp_path / "job",
        f"""
def processes():
    return [name for name in os.listdir("/proc") if name.isdigit()]


for number in range({ORPHANS}):
    if os.fork() == 0:
        if os.fork() == 0:
            while os.getppid() != 1:
                time.sleep(0.001)
            say("orphan")
        os._exit(0)
    os.wait()
while not os.path.exists(HERE + "/look"):
    time.sleep(0.01)
while len(processes()) > 2:  # process 1 and this; zombies are listed, too
    time.sleep(0.01)
say("reaped")
""",
    )
    outside = container(spawn, "--", *work.argv)
    work.wait_for("orphan", ORPHANS)
    work.make("look")
    work.wait_for("reaped")
    assert outside.wait(120) == 0, outside.communicate()


def test_the_tree_is_ended_before_the_kernel_does(tmp_path: Path, spawn: Spawner) -> None:
    """What got away gets TERM and its time to act on it, not the KILL of a dying namespace."""
    work = Work(
        tmp_path / "job",
        """
def finish(*_):
    while not os.path.exists(HERE + "/go"):
        time.sleep(0.01)
    say("finished")
    os._exit(0)


if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, finish)
        say("away")
        while True:
            time.sleep(0.02)
    os._exit(0)
os.wait()
stand_by("up")
""",
    )
    outside = container(spawn, "--", *work.argv)
    work.wait_for("away")
    (job,) = work.wait_for("up")
    pid = next(seen for seen in spawn.mine() if seen.ppid == init_of(outside)).pid
    assert job > 1
    os.kill(init_of(outside), signal.SIGTERM)
    eventually(lambda: len([s for s in spawn.mine() if s.state != "Z"]) == 3)  # the job has gone
    work.make("go")
    assert outside.wait(120) == 0
    assert work.said("finished")
    assert not alive(pid)
    assert spawn.mine() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_before_it_has_started(
    tmp_path: Path, spawn: Spawner, number: signal.Signals
) -> None:
    """TERM and INT also end a process 1 that still waits for its turn, or lets jitter pass."""
    work = Work(tmp_path / "job")
    outside = container(spawn, "--jitter", "1000h", "--", *work.argv)
    init = init_of(outside)
    eventually(lambda: is_lifeline(init) and _catches_term(init), within=120)
    os.kill(init, number)
    assert outside.wait(120) == 128 + number
    assert work.lines() == []


def test_stopped_between_two_runs(tmp_path: Path, spawn: Spawner) -> None:
    """TERM ends a process 1 that waits for the next restart."""
    words = shell(tmp_path, "echo run; exit 1")
    outside = container(spawn, "--restart", "always", "--backoff", "1h", "--", *words)
    assert outside.stdout and outside.stdout.readline() == "run\n"
    init = init_of(outside)
    eventually(lambda: not Path(f"/proc/{init}/task/{init}/children").read_text(), within=120)
    os.kill(init, signal.SIGTERM)
    assert outside.wait(120) == 128 + signal.SIGTERM


def test_killed_from_outside(tmp_path: Path, spawn: Spawner) -> None:
    """KILL to process 1 takes the whole namespace along, whatever the job ignores."""
    work = Work(
        tmp_path / "job",
        "child(ignore_term=True)\nsignal.signal(15, signal.SIG_IGN)\nsay('up')\nsignal.pause()\n",
    )
    outside = container(spawn, "--", *work.argv)
    work.wait_for("child")
    work.wait_for("up")
    init = init_of(outside)
    inside = [seen.pid for seen in spawn.mine() if seen.ppid == init]
    assert inside
    os.kill(init, signal.SIGKILL)
    outside.wait(120)
    eventually(lambda: all(look(pid) is None for pid in inside), within=120)


def _catches_term(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(status.split("SigCgt:")[1].split()[0], 16) >> (signal.SIGTERM - 1) & 1)
