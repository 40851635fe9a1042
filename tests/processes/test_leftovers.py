"""What a killed run leaves behind is ended before the next one starts, if it is proven to be that.

Everything else that looks like the command counts as a twin, and `explain` says why.
"""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from support.agent import Agent
from support.lifelines import Work, answer, lifeline, python, run, tick
from support.spawning import Spawner, alive, look
from support.waiting import eventually

FOUND = ("--exit-code-if-running", "9")
SHORT = ("--settle", "1s")
LONG = ("--settle", "1h")


def kill(*pids: int) -> None:
    """Kill processes, all at once, and wait until none of them lives."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(map(alive, pids)))


# --- a runner made the session for its job: the proof is complete -----------------------------


def killed_run(spawn: Spawner, work: Work, children: int, *options: str) -> list[int]:
    """A supervised run, killed with its job: the children that it left behind."""
    runner = spawn(*run(*options, "--", *work.argv))
    (pid,) = work.wait_for("start")
    left = work.wait_for("child", times=children)
    assert {seen.sid for each in left if (seen := look(each))} == {pid}
    kill(runner.pid, pid)
    assert all(map(alive, left))
    return left


LOOKS_BACK = """\
if not os.path.exists(HERE + "/second"):
    [child() for _ in range(3)]
for pid in [line.split()[0] for line in open(HERE + "/log") if "child" in line]:
    with open(f"/proc/{pid}/stat") as stat:
        if os.path.exists(HERE + "/second") and stat.read().rpartition(")")[2].split()[0] != "Z":
            say("overlap")
work()
"""


def test_children_of_a_killed_run_are_ended_first(spawn: Spawner, tmp_path: Path) -> None:
    """They are gone before the new job starts, and a line says which."""
    work = Work(tmp_path / "work", LOOKS_BACK)
    left = killed_run(spawn, work, 3)
    told = lifeline(spawn, "explain", "--", *work.argv).stdout
    assert told.count("leftover") == 3
    assert "start the command, after ending what a dead run left (pid " in told
    work.make("second")
    again = spawn(*run(*SHORT, "--", *work.argv))
    work.wait_for("start", times=2)
    work.check(starts=2)
    os.kill(work.working()[0], signal.SIGTERM)
    _, err = again.communicate(timeout=120)
    assert sorted(err.splitlines()) == sorted(
        f"lifeline: ended pid {pid}, left over from a dead run (TERM)" for pid in left
    )


def test_a_job_whose_runner_was_killed_is_a_leftover(spawn: Spawner, tmp_path: Path) -> None:
    """Only the runner is killed: the job itself is left over, and is replaced by a new one."""
    work = Work(tmp_path / "work")
    runner = spawn(*run("--", *work.argv))
    (first,) = work.wait_for("start")
    kill(runner.pid)
    spawn(*run(*FOUND, "--", *work.argv))
    work.wait_for("start", times=2)
    assert not alive(first)
    work.check(starts=2)
    assert work.said("end") == [first]  # by TERM, in order


def test_one_that_does_not_go_is_killed(spawn: Spawner, tmp_path: Path) -> None:
    """A leftover that ignores TERM is killed after the grace; only then the job starts."""
    work = Work(tmp_path / "work", "child(ignore_term=True)\nwork()\n")
    (stubborn,) = killed_run(spawn, work, 1)
    with open(tmp_path / "err", "w") as err:
        spawn(*run("--grace", "100ms", "--", *work.argv), stderr=err)
    work.wait_for("start", times=2)
    assert not alive(stubborn)
    said = (tmp_path / "err").read_text()
    assert f"ended pid {stubborn}, left over from a dead run (KILL)" in said


def test_one_that_takes_its_time_has_the_grace_of_the_new_run(
    spawn: Spawner, tmp_path: Path
) -> None:
    """A leftover that cleans up is waited for, as long as the starting line's --grace says."""
    body = (
        "if os.fork() == 0:\n"
        "    try:\n"
        "        stand_by('child')\n"
        "    finally:\n"
        "        time.sleep(3)\n"  # what it has to do
        "        say('clean')\n"
        "work()\n"
    )
    work = Work(tmp_path / "work", body)
    (left,) = killed_run(spawn, work, 1)
    spawn(*run("--grace", "1h", "--", *work.argv))
    work.wait_for("start", times=2)
    assert work.said("clean") == [left]


def test_a_stopped_leftover_is_ended(spawn: Spawner, tmp_path: Path) -> None:
    """A leftover that is stopped is let go on, so that it can end."""
    work = Work(tmp_path / "work", "child()\nwork()\n")
    (stopped,) = killed_run(spawn, work, 1)
    os.kill(stopped, signal.SIGSTOP)
    spawn(*run("--", *work.argv))
    work.wait_for("start", times=2)
    assert not alive(stopped)


def test_leftovers_count_if_that_is_wished(spawn: Spawner, tmp_path: Path) -> None:
    """With `--leftovers count` they are twins: nothing is ended and nothing is started."""
    work = Work(tmp_path / "work", "child()\nwork()\n")
    left = killed_run(spawn, work, 1)
    found = tick(spawn, *FOUND, *SHORT, "--leftovers", "count", "--", *work.argv)
    assert (found.returncode, found.stderr) == (9, "")
    assert all(map(alive, left))
    work.check(starts=1)


def test_terminate_ends_leftovers_too(spawn: Spawner, tmp_path: Path) -> None:
    """`lifeline terminate` finds what a dead run left behind."""
    work = Work(tmp_path / "work", "child()\nwork()\n")
    left = killed_run(spawn, work, 1)
    ended = lifeline(spawn, "terminate", "--", *work.argv)
    assert ended.returncode == 0
    assert f"ended pid {left[0]}" in ended.stdout
    assert not any(map(alive, left))


def test_leftovers_of_a_job_that_rewrote_its_title(spawn: Spawner, tmp_path: Path) -> None:
    """The job of a killed runner is known by pid and start time, whatever it shows."""
    work = Work(tmp_path / "work", "import setproctitle\nsetproctitle.setproctitle('x')\nwork()\n")
    runner = spawn(*run("--", *work.argv))
    (first,) = work.wait_for("start")
    kill(runner.pid)
    spawn(*run("--", *work.argv))
    work.wait_for("start", times=2)
    assert not alive(first)
    work.check(starts=2)


def test_a_winner_that_is_killed_while_it_ends_them_loses_no_proof(
    spawn: Spawner, tmp_path: Path
) -> None:
    """One leftover is gone, one is stubborn, the winner dies: the next tick still knows both."""
    body = "child()\nchild('stubborn', ignore_term=True)\nwork()\n"
    work = Work(tmp_path / "work", body)
    runner = spawn(*run("--", *work.argv))
    (pid,) = work.wait_for("start")
    (meek,), (stubborn,) = work.wait_for("child"), work.wait_for("stubborn")
    kill(runner.pid, pid)
    winner = spawn(*run(*FOUND, "--grace", "1h", "--", *work.argv))
    eventually(lambda: not alive(meek))  # it is at work now, and waits for the stubborn one
    kill(winner.pid)
    assert alive(stubborn)
    again = spawn(*run(*FOUND, "--grace", "100ms", "--", *work.argv))
    work.wait_for("start", times=2)
    assert not alive(stubborn)
    assert again.poll() is None
    work.check(starts=2)


def test_a_winner_that_is_killed_after_it_ended_them_leaves_nothing_in_the_way(
    spawn: Spawner, tmp_path: Path
) -> None:
    """Killed again and again right after its job has started, the lifeline comes back each time."""
    work = Work(tmp_path / "work", "[child() for _ in range(2)]\nwork()\n")
    for round_ in range(1, 6):
        winner = spawn(*run(*FOUND, "--", *work.argv), stderr=None)
        work.wait_for("start", times=round_)
        kill(winner.pid)
    kill(*work.working())
    spawn(*run(*FOUND, "--", *work.argv))
    work.wait_for("start", times=6)
    work.check(starts=6)


def test_leftovers_of_two_runs_ago(spawn: Spawner, tmp_path: Path) -> None:
    """A hold comes in between: the record of the dead run is kept until its leftovers are ended."""
    work = Work(tmp_path / "work", "child()\nwork()\n")
    left = killed_run(spawn, work, 1)
    lifeline(spawn, "hold", "--", *work.argv)
    assert tick(spawn, *FOUND, "--", *work.argv).returncode == 0
    assert all(map(alive, left))
    lifeline(spawn, "release", "--", *work.argv)
    spawn(*run(*FOUND, "--", *work.argv))
    work.wait_for("start", times=2)
    assert not any(map(alive, left))


def test_a_new_session_below_the_job_is_proven_by_its_environment(
    spawn: Spawner, tmp_path: Path
) -> None:
    """A child that left the job's session still has the run's id: the next run ends it first."""
    work = Work(
        tmp_path / "work",
        "if os.fork() == 0:\n    os.setsid()\n    stand_by('fled')\nwork()\n",
    )
    runner = spawn(*run("--", *work.argv))
    (pid,) = work.wait_for("start")
    (fled,) = work.wait_for("fled")
    kill(runner.pid, pid)
    told = lifeline(spawn, "explain", "--", *work.argv).stdout
    assert f"started by the dead run (pid {runner.pid}), by its environment" in told
    spawn(*run("--", *work.argv))
    work.wait_for("start", times=2)
    assert not alive(fled)


# --- lifeline() in a script shares its session with others ------------------------------------

SCRIPT = """\
from lifeline import lifeline

if os.environ.get("ROLE") == "plain":
    stand_by("plain")
lifeline()
[child() for _ in range(int(os.environ.get("CHILDREN", "0")))]
work()
"""
# Starts a plain copy once the file `go` is there; forked long before, so that it looks as old.
EARLY = """\
import os, sys, time
here, *argv = sys.argv[1:]
if os.fork():
    os._exit(0)
for descriptor in (1, 2):
    os.dup2(0, descriptor)
while not os.path.exists(here + "/go"):
    time.sleep(0.01)
os.execv(argv[0], argv)
"""


class Terminal:
    """A session that is nobody's own, as a terminal has it: an agent leads it."""

    def __init__(self, spawn: Spawner, work: Work) -> None:
        self.spawn = spawn
        self.work = work
        self.agent = Agent(spawn)

    def killed_run(self, children: int = 0) -> list[int]:
        """The script runs and is killed; what it left. The agent reaps it."""
        pid = self.agent.start(*self.work.argv, CHILDREN=str(children))
        assert self.work.wait_for("start") == [pid]
        left = self.work.wait_for("child", times=children) if children else []
        kill(pid)
        self.agent.do(f"import os; os.waitpid({pid}, 0)")
        return left

    def orphan(self) -> int:
        """A plain copy of the script in this session, whose parent is gone."""
        background = '"$@" >/dev/null 2>&1 & :'
        self.agent.run("sh", "-c", background, "sh", *self.work.argv, ROLE="plain")
        return self.work.wait_for("plain")[-1]


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work", SCRIPT)


@pytest.fixture
def terminal(spawn: Spawner, work: Work) -> Terminal:
    return Terminal(spawn, work)


def twin_counts(spawn: Spawner, work: Work, pid: int, why: str, *settle: str) -> None:
    """A tick leaves it alone and stands down for it; explain says why it is no proven leftover."""
    found = tick(spawn, *FOUND, *settle, "--", *work.argv)
    assert (found.returncode, found.stderr) == (9, "")
    assert alive(pid)
    told = lifeline(spawn, "explain", "--", *work.argv).stdout
    (row,) = [row for row in told.splitlines() if row.startswith(f"{pid} ")]
    assert "contender" in row
    assert f"no proven leftover: {why}" in row


def test_orphans_in_the_dead_runs_session_are_ended(
    spawn: Spawner, work: Work, terminal: Terminal
) -> None:
    """Younger than the dead run, without a parent, older than `settle`: that makes the proof."""
    left = terminal.killed_run(children=2)

    def started() -> bool:
        ticked = spawn(*run(*FOUND, *SHORT, "--", *work.argv))
        eventually(lambda: ticked.poll() is not None or len(work.said("start")) == 2)
        return ticked.poll() is None

    eventually(started, within=120)
    assert not any(map(alive, left))


def test_the_script_itself_ends_them_in_time(
    spawn: Spawner, work: Work, terminal: Terminal
) -> None:
    """The same where the next start is the script again, with the settle time of the library."""
    left = terminal.killed_run(children=2)
    ticks = 0
    while len(work.said("start")) < 2:
        pid = terminal.agent.start(*work.argv)
        eventually(partial(has_decided, work, pid), within=120)
        ticks += 1
    assert ticks > 1  # at first they might have been starters
    assert not any(map(alive, left))
    work.check(starts=2)


def has_decided(work: Work, pid: int) -> bool:
    return not alive(pid) or pid in work.said("start")


def test_one_that_began_before_the_dead_run_is_a_twin(
    spawn: Spawner, work: Work, terminal: Terminal
) -> None:
    """Older than the dead run: somebody else's, although it is an orphan in that session."""
    python = work.argv[0]
    terminal.agent.run(python, "-c", EARLY, work.directory, *work.argv, ROLE="plain")
    terminal.killed_run()
    work.make("go")
    (early,) = work.wait_for("plain")
    why = f"it did not begin after the dead run (pid {work.said('start')[0]})"
    twin_counts(spawn, work, early, why, *SHORT)


def test_one_whose_parent_lives_in_the_session_is_a_twin(
    spawn: Spawner, work: Work, terminal: Terminal
) -> None:
    """Its parent is there: somebody started it, and it was not the dead run."""
    terminal.killed_run()
    pid = terminal.agent.start(*work.argv, ROLE="plain")
    work.wait_for("plain")
    why = f"its parent is in the session of the dead run (pid {work.said('start')[0]}), too"
    twin_counts(spawn, work, pid, why, *SHORT)


LOOK = """
import json, os, sys
from lifeline.processes import election
from lifeline.processes.places import meant
from lifeline.processes.state import State
from lifeline.processes.table import open_table

command = meant(None, tuple(map(os.fsencode, sys.argv[1:])))
judged = election.look(open_table(), State(), command, settle=3600).judged
print(json.dumps([(each.candidate.process.pid, each.reason) for each in judged]))
"""


def test_one_that_may_be_a_starter_is_a_twin(
    spawn: Spawner, work: Work, terminal: Terminal
) -> None:
    """Younger than `settle`: it could be deciding at this moment."""
    terminal.killed_run()
    pid = terminal.orphan()
    assert tick(spawn, *FOUND, *LONG, "--", *work.argv).returncode == 9
    assert alive(pid)
    # `explain` does not know of --settle, and may come when it is too old for the usual one.
    ((seen, why),) = answer(spawn, python(LOOK, *work.argv))
    assert seen == pid
    assert why.endswith("; no proven leftover: it is so young that it may be a starter")


def test_one_in_another_session_is_a_twin(spawn: Spawner, work: Work, terminal: Terminal) -> None:
    """In another session nothing ties it to the dead run."""
    terminal.killed_run()
    pid = Terminal(spawn, work).orphan()
    why = f"not in the session of the dead run (pid {work.said('start')[0]})"
    twin_counts(spawn, work, pid, why, *SHORT)


def test_without_the_dead_runs_record_nothing_is_proven(
    spawn: Spawner, work: Work, terminal: Terminal, state_dir: Path
) -> None:
    """The state directory is lost: what is left over counts as a twin, and is not ended."""
    left = terminal.killed_run(children=1)
    for record in (state_dir / "runs").iterdir():
        record.unlink()
    found = tick(spawn, *FOUND, *SHORT, "--", *work.argv)
    assert (found.returncode, found.stderr) == (9, "")
    assert all(map(alive, left))


# --- a run that ends by itself ----------------------------------------------------------------


def test_what_a_script_leaves_on_purpose_is_not_touched(spawn: Spawner, tmp_path: Path) -> None:
    """A script that ends by itself takes its record along: its children live, and count."""
    body = "from lifeline import lifeline\nlifeline()\nchild()\nsay('over')\n"
    work = Work(tmp_path / "work", body)
    assert spawn(*work.argv).wait(120) == 0
    (left,) = work.wait_for("child")
    found = tick(spawn, *FOUND, *SHORT, "--", *work.argv)
    assert (found.returncode, found.stderr) == (9, "")
    assert alive(left)


def test_what_a_supervised_job_moves_to_a_session_of_its_own_is_ended(
    spawn: Spawner, tmp_path: Path
) -> None:
    """A run is over once nobody of it is left: a daemon that the job leaves behind is ended."""
    work = Work(
        tmp_path / "work",
        "if os.fork() == 0:\n    os.setsid()\n    stand_by('daemon')\n"
        "while b'daemon' not in open(HERE + '/log', 'rb').read(): time.sleep(0.01)\n",
    )
    ended = spawn(*run("--", *work.argv))
    assert ended.wait(120) == 0
    (daemon,) = work.said("daemon")
    assert not alive(daemon)
