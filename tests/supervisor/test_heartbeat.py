"""--heartbeat: a job that stops touching its file is hung, and is ended, exit 124."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from support.lifelines import Work, run, tick
from support.scripts import happened, shell
from support.spawning import Spawner, look
from support.waiting import eventually, in_time

GRACE = ("--grace", "10s")


def options(tmp_path: Path, timeout: str = "400ms") -> list[str]:
    return ["--heartbeat", str(tmp_path / "beat"), "--heartbeat-timeout", timeout]


def test_missing_from_the_start(tmp_path: Path, spawn: Spawner) -> None:
    """A job that never makes the file is as silent as any."""
    work = Work(tmp_path / "job")
    ended = tick(spawn, *options(tmp_path), *GRACE, "--", *work.argv)
    assert ended.returncode == 124
    assert spawn.mine() == []
    (end,) = [each for each in happened(spawn) if each["event"] == "end"]
    assert (end["code"], end["reason"]) == (124, "hung")


def test_there_from_before(tmp_path: Path, spawn: Spawner) -> None:
    """A file that another run has left is no sign of life."""
    (tmp_path / "beat").touch()
    work = Work(tmp_path / "job")
    assert tick(spawn, *options(tmp_path), *GRACE, "--", *work.argv).returncode == 124


def test_while_it_beats_and_when_it_stops(tmp_path: Path, spawn: Spawner) -> None:
    """A file that is touched, written or replaced keeps the job alive; then silence ends it.

    The job beats in each way for longer than the timeout, as counted by its own clock.
    """
    job = f"""
BEAT = {str(tmp_path / "beat")!r}


def touch():
    open(BEAT, "a").close()
    os.utime(BEAT)


def write():
    with open(BEAT, "w") as beat:
        beat.write(str(time.monotonic()))


def replace():
    open(BEAT + ".new", "w").close()
    os.rename(BEAT + ".new", BEAT)


for beat in touch, write, replace:
    begin = time.monotonic()
    while time.monotonic() < begin + 1 + float(sys.argv[1]):
        beat()
        time.sleep(0.01)
stand_by("silent")
"""
    work = Work(tmp_path / "job", job)

    def beats_to_its_end(seconds: float) -> bool:
        words = (*options(tmp_path, f"{seconds}s"), *GRACE, "--", *work.argv, str(seconds))
        assert tick(spawn, *words).returncode == 124
        return bool(work.said("silent"))

    in_time(beats_to_its_end)


def test_a_job_that_hangs_for_real(tmp_path: Path, spawn: Spawner) -> None:
    """A job that is stopped cannot beat, and is ended."""
    body = f"open({str(tmp_path / 'beat')!r}, 'w').close()\nos.kill(os.getpid(), 19)\n"
    work = Work(tmp_path / "job", body)
    assert tick(spawn, *options(tmp_path), *GRACE, "--", *work.argv).returncode == 124


def test_it_is_started_again(tmp_path: Path, spawn: Spawner) -> None:
    """With --restart a hung run is started again, and the new one has all its time."""
    words = shell(tmp_path, "[ -e second ] && exit 0; >second; sleep 3600")
    restart = ("--restart", "on-failure", "--backoff", "1ms")
    ended = tick(spawn, *options(tmp_path, "1s"), *GRACE, *restart, "--", *words)
    assert ended.returncode == 0
    *hung, last = [each for each in happened(spawn) if each["event"] == "end"]
    assert last["code"] == 0
    # One at least; on a machine that stalls the second run may be silent for too long as well.
    assert {(each["code"], each["reason"]) for each in hung} == {(124, "hung")}
    assert all(each["seconds"] >= 1 for each in hung)


def test_a_runner_that_was_stopped_itself(tmp_path: Path, spawn: Spawner) -> None:
    """A runner that could not look (Ctrl-Z, a frozen machine) does not take that for silence.

    All are stopped for longer than the timeout and continued together; then the job beats on.
    """
    job = f"""
BEAT = {str(tmp_path / "beat")!r}
count = 0
while not os.path.exists(HERE + "/go"):
    open(BEAT, "w").write(str(count))
    count += 1
    if count == 50:
        say("beats")
    time.sleep(0.01)
sys.exit(7)
"""

    def goes_on(seconds: float) -> bool:
        work = Work(tmp_path / f"job-{seconds}", job)
        runner = spawn(*run(*options(tmp_path, f"{seconds}s"), *GRACE, "--", *work.argv))
        eventually(lambda: work.said("beats") or runner.poll() is not None)
        if runner.poll() is not None:
            return False
        both = (runner.pid, *work.said("beats"))
        for pid in both:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
            eventually(lambda: not (seen := look(pid)) or seen.state in "TZ")  # noqa: B023
        stopped_at = (tmp_path / "beat").stat().st_mtime
        eventually(lambda: _now(tmp_path) > stopped_at + seconds + 1, within=120, every=0.1)
        for pid in both:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        resumed = (tmp_path / "beat").stat().st_mtime
        eventually(
            lambda: (tmp_path / "beat").stat().st_mtime > resumed + 1 or runner.poll() is not None
        )
        work.make("go")
        return runner.wait(120) == 7

    in_time(goes_on)


def _now(tmp_path: Path) -> float:
    """The present by the clock of the file system."""
    (tmp_path / "now").touch()
    return (tmp_path / "now").stat().st_mtime
