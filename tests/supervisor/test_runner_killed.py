"""The runner dies without a chance to clean up, and still there are never two jobs at once."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.lifelines import Work, lifeline, run, tick
from support.spawning import Spawner, alive, look
from support.waiting import eventually

# What stays behind when the runner is killed, by the way in which it does.
LEFT = {
    "the job ignores TERM": """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
""",
    "a child that looks the same": "child()",
    "a child that ignores TERM": "child(ignore_term=True)",
    "a child of another title": """
subprocess.Popen(["sleep", "3600"])
""",
    "one that left the session": """
if os.fork() == 0:
    os.setsid()
    while True:
        time.sleep(0.02)
""",
    "a daemon": """
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.execv("/bin/sleep", ["sleep", "3600"])
os.wait()
""",
    "one that leaves while it is ended": """
def flee(*_):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # a child does not flee again
    for _ in range(5):
        if os.fork() == 0:
            os.setsid()
            say("fled")
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
            os.execve("/bin/sleep", ["sleep", "3600"], {})
    time.sleep(0.02)


if os.fork() == 0:
    signal.signal(signal.SIGTERM, flee)
    while True:
        time.sleep(0.02)
""",
}
PROOFS = {
    "the job ignores TERM": "the job of the dead run (pid {})",
    "a child that looks the same": "in the session that the dead run (pid {}) made for its job",
    "a child that ignores TERM": "in the session that the dead run (pid {}) made for its job",
    "a child of another title": "in the session that the dead run (pid {}) made for its job",
    "one that left the session": "started by the dead run (pid {}), by its environment",
    "a daemon": "started by the dead run (pid {}), by its environment",
    "one that leaves while it is ended": "in the session that the dead run (pid {}) made",
}

# The work itself, for a job that may be told to ignore TERM: `work` of the others would catch it.
WORK = """
turn = os.open(HERE + "/turn", os.O_RDWR | os.O_CREAT, 0o666)
try:
    fcntl.lockf(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    say("overlap")
say("start")
while True:
    time.sleep(0.02)
"""


def start(spawn: Spawner, work: Work, *options: str) -> subprocess.Popen[str]:
    """Start a runner; returns once its job works, for the how-manieth time that may be."""
    before = len(work.said("start"))
    runner = spawn(*run(*options, "--", *work.argv))
    work.wait_for("start", before + 1)
    return runner


def kill(runner: subprocess.Popen[str]) -> None:
    runner.kill()
    runner.wait(120)


def left_of(spawn: Spawner) -> list[int]:
    return [seen.pid for seen in spawn.mine() if seen.state != "Z"]


# --- the job hears of it ----------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_the_job_gets_term(tmp_path: Path, spawn: Spawner, number: signal.Signals) -> None:
    """However the runner dies, its job gets TERM from the kernel and can end in order."""
    work = Work(tmp_path / "job")
    runner = spawn("sh", "-c", 'ulimit -c 0; exec "$@"', "sh", *run("--", *work.argv))
    (pid,) = work.wait_for("start")
    runner.send_signal(number)
    assert runner.wait(120) == -number
    assert work.wait_for("end") == [pid]
    eventually(lambda: not alive(pid))


def test_between_fork_and_exec(tmp_path: Path, spawn: Spawner, state_dir: Path) -> None:
    """A runner that is killed when its job is forked, but not told to go, starts nothing.

    It is told to go once the run record is written: the moment is hit if there is none yet.
    """
    script = tmp_path / "job.sh"
    script.write_text(f"echo ran >>{tmp_path}/ran\nexec sleep 3600\n")
    for _ in range(300):
        runner = spawn(*run("--", "sh", script))
        children = Path(f"/proc/{runner.pid}/task/{runner.pid}/children")
        while not (child := children.read_text()):
            assert runner.poll() is None, runner.communicate()
        runner.send_signal(signal.SIGSTOP)
        eventually(lambda: (seen := look(runner.pid)) and seen.state == "T")  # noqa: B023
        pid = int(child)
        waits = not any((state_dir / "runs").glob("*"))
        kill(runner)
        eventually(lambda: not alive(pid), within=120)  # noqa: B023
        if waits:
            assert not (tmp_path / "ran").exists()
            return
        (tmp_path / "ran").unlink(missing_ok=True)
        for record in (state_dir / "runs").glob("*"):
            record.unlink()
    pytest.fail("the moment was never hit")


# --- the next tick ----------------------------------------------------------------------------


@pytest.mark.parametrize("left", LEFT)
def test_what_survives_is_ended_first(tmp_path: Path, spawn: Spawner, left: str) -> None:
    """The next tick ends what the dead run left, says so, and only then starts the job."""
    work = Work(tmp_path / "job", LEFT[left] + WORK)
    runner = start(spawn, work)
    (job,) = work.said("start")
    kill(runner)
    if left != "the job ignores TERM":
        eventually(lambda: not alive(job))
    survivors = left_of(spawn)
    assert survivors
    second = start(spawn, work)
    assert not any(map(alive, survivors))
    assert not any(map(alive, work.said("fled")))
    assert len(work.said("fled")) == (5 if "leaves" in left else 0)
    work.check(starts=2)
    assert second.stderr
    told = [second.stderr.readline() for _ in survivors]  # not to its end: the job has it, too
    assert all("left over from a dead run" in line for line in told), told


@pytest.mark.parametrize("left", LEFT)
def test_explain_gives_the_proof(tmp_path: Path, spawn: Spawner, left: str) -> None:
    """`explain` calls each survivor a leftover, and says how that is known."""
    work = Work(tmp_path / "job", LEFT[left] + WORK)
    runner = start(spawn, work)
    (job,) = work.said("start")
    kill(runner)
    if left != "the job ignores TERM":
        eventually(lambda: not alive(job))
    told = lifeline(spawn, "explain", "--", *work.argv).stdout
    assert PROOFS[left].format(runner.pid) in told
    for pid in left_of(spawn):
        row = next(line for line in told.splitlines() if line.startswith(f"{pid} "))
        assert row.split()[1:3] == ["no", "leftover"]
    assert "after ending what a dead run left" in told


TITLED = """\
if os.fork() == 0:
    import setproctitle
    setproctitle.setproctitle("a worker of another title")
    stand_by("worker")
work()
"""


@pytest.mark.needs("autogroup")
def test_workers_of_another_title_are_ended_first(tmp_path: Path, spawn: Spawner) -> None:
    """Their environment went with the title, their job with its runner: the session proves them."""
    work = Work(tmp_path / "job", TITLED)
    runner = start(spawn, work)
    (job,), (worker,) = work.said("start"), work.wait_for("worker")
    kill(runner)
    eventually(lambda: not alive(job))
    os.waitpid(job, 0)  # here, where orphans go: as a zombie it would vouch for its session
    told = lifeline(spawn, "explain", "--", *work.argv).stdout
    (row,) = [row for row in told.splitlines() if row.startswith(f"{worker} ")]
    assert f"in the session that the dead run (pid {runner.pid}) made for its job" in row
    start(spawn, work)
    assert not alive(worker)
    work.check(starts=2)


def test_leftovers_that_count(tmp_path: Path, spawn: Spawner) -> None:
    """With --leftovers count a survivor keeps the command from being started, and is let be."""
    work = Work(tmp_path / "job", LEFT["the job ignores TERM"] + WORK)
    runner = start(spawn, work)
    (job,) = work.said("start")
    kill(runner)
    assert tick(spawn, "--leftovers", "count", "--", *work.argv).returncode == 0
    assert alive(job)
    work.check(starts=1)


def test_a_stopped_job(tmp_path: Path, spawn: Spawner) -> None:
    """A job that was stopped when its runner was killed cannot act on TERM: the tick lets it."""
    work = Work(tmp_path / "job")
    runner = start(spawn, work)
    (job,) = work.said("start")
    os.kill(job, signal.SIGSTOP)
    eventually(lambda: (seen := look(job)) and seen.state == "T")
    kill(runner)
    assert alive(job)
    start(spawn, work)
    assert not alive(job)
    assert work.said("end") == [job]
    work.check(starts=2)


@pytest.mark.needs("nobody")
def test_a_job_that_gave_up_its_rights(tmp_path: Path, spawn: Spawner) -> None:
    """A job of root's that became another user gets no TERM: the next tick ends it all the same."""
    become = 'os.setgid(65534)\nos.setuid(65534)\nsay("start")\n'
    work = Work(tmp_path / "job", WORK.replace('say("start")\n', become))
    runner = start(spawn, work)
    (job,) = work.said("start")
    kill(runner)
    assert alive(job)
    start(spawn, work)
    assert not alive(job)
    work.check(starts=2)


def test_a_runner_that_is_not_reaped(tmp_path: Path, spawn: Spawner) -> None:
    """A dead runner whose parent does not collect it keeps nobody from starting."""
    work = Work(tmp_path / "job")
    runner = start(spawn, work)
    os.kill(runner.pid, signal.SIGKILL)
    eventually(lambda: (seen := look(runner.pid)) and seen.state == "Z")
    start(spawn, work)
    work.check(starts=2)
    assert runner.returncode is None


@pytest.mark.parametrize("when", ["while ending", "between two runs"])
def test_at_another_moment(tmp_path: Path, spawn: Spawner, when: str) -> None:
    """A runner that is killed during the grace, or during a backoff, is replaced all the same."""
    ending = when == "while ending"
    body = "signal.signal(signal.SIGTERM, lambda *_: say('term'))\n" + WORK
    if not ending:
        body = "if not os.path.exists(HERE + '/go'):\n    say('failed')\n    sys.exit(1)\n" + WORK
    work = Work(tmp_path / "job", body)
    options = ["--grace", "1h"] if ending else ["--restart", "always", "--backoff", "1h"]
    runner = spawn(*run(*options, "--", *work.argv))
    if ending:
        work.wait_for("start")
        runner.send_signal(signal.SIGTERM)
        work.wait_for("term")
    else:
        (pid,) = work.wait_for("failed")
        eventually(lambda: look(pid) is None)
        work.make("go")
    kill(runner)
    start(spawn, work)
    work.check(starts=2 if ending else 1)


def test_never_two_at_once(tmp_path: Path, spawn: Spawner) -> None:
    """Runners are killed over and over while others tick: the job's runs never overlap."""
    work = Work(tmp_path / "job", "child(ignore_term=True)\n" + WORK)
    for number in range(1, 6):
        ticks = [spawn(*run("--grace", "100ms", "--", *work.argv)) for _ in range(4)]
        work.wait_for("start", number)
        eventually(lambda: sum(each.poll() is None for each in ticks) == 1, within=120)  # noqa: B023
        work.check(starts=number)
        (runner,) = (each for each in ticks if each.poll() is None)
        kill(runner)
