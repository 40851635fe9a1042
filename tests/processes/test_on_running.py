"""`--on-running`: what a starter does that meets a twin. It waits for its turn, or takes it."""

from __future__ import annotations

import os
import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest

from support.lifelines import Work, gate, has_exec, lifeline, run, tick, unique_sleep
from support.spawning import Spawner, alive, look
from support.waiting import eventually

FOUND = ("--exit-code-if-running", "9")
WAIT = ("--on-running", "wait")
REPLACE = ("--on-running", "replace")
hows = pytest.mark.parametrize("how", [(), ("--exec",)], ids=["supervised", "exec"])


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


def state(pid: int) -> str:
    """The state letter of a process, or nothing if it is gone."""
    seen = look(pid)
    return seen.state if seen else ""


def until_waiting(state_dir: Path, number: int = 1) -> None:
    """Return once that many waiters have lowered their flags."""
    passive = state_dir / "passive"
    eventually(lambda: passive.exists() and len(list(passive.glob("[!.]*"))) >= number, within=120)


def end(work: Work) -> None:
    """End the one that works, in order."""
    (pid,) = work.working()
    os.kill(pid, signal.SIGTERM)


def left(processes: list[subprocess.Popen[str]]) -> list[subprocess.Popen[str]]:
    return [each for each in processes if each.poll() is None]


# --- wait -------------------------------------------------------------------------------------


@hows
def test_a_waiter_takes_over_when_the_twin_ends(
    how: tuple[str, ...], spawn: Spawner, work: Work, state_dir: Path
) -> None:
    """It does nothing while the twin runs, starts when that ends, and passes its own status on."""
    spawn(*run(*how, "--", *work.argv))
    (first,) = work.wait_for("start")
    waiter = spawn(*run(*WAIT, *how, "--", *work.argv))
    until_waiting(state_dir)
    assert waiter.poll() is None
    assert work.working() == [first]
    end(work)
    second = work.wait_for("start", times=2)[1]
    assert not alive(first)
    os.kill(second, signal.SIGKILL)
    assert waiter.wait(120) == (-signal.SIGKILL if how else 128 + signal.SIGKILL)
    work.check(starts=2)


def test_a_waiter_that_meets_nobody_runs_at_once(spawn: Spawner, work: Work) -> None:
    """Where no twin runs there is nothing to wait for."""
    spawn(*run(*WAIT, "--", *work.argv))
    work.wait_for("start")


def test_a_waiter_waits_for_a_plain_twin(spawn: Spawner, work: Work, state_dir: Path) -> None:
    """A twin without a run record is waited for just the same, stopped or not."""
    plain = spawn(*work.argv)
    work.wait_for("start")
    os.kill(plain.pid, signal.SIGSTOP)
    spawn(*run(*WAIT, "--", *work.argv))
    until_waiting(state_dir)
    plain.kill()
    plain.wait()
    work.wait_for("start", times=2)
    work.check(starts=2)


@hows
def test_every_waiter_gets_its_turn_one_at_a_time(
    how: tuple[str, ...], spawn: Spawner, tmp_path: Path, state_dir: Path
) -> None:
    """Six wait; once the first ends each runs once, never two at a time, and none is forgotten."""
    work = Work(tmp_path / "work", "work(until='go')\n")
    spawn(*run("--", *work.argv))
    work.wait_for("start")
    waiters = [spawn(*run(*WAIT, *how, "--", *work.argv)) for _ in range(6)]
    until_waiting(state_dir, 6)
    work.make("go")
    assert [each.wait(100) for each in waiters] == [0] * 6
    work.check(starts=7)


def test_a_waiter_does_not_count_for_a_tick(spawn: Spawner, work: Work, state_dir: Path) -> None:
    """The twin ends while the waiter is stopped: the next tick runs, it does not leave for it.

    Let go on, the waiter finds the new run and waits for that.
    """
    spawn(*run("--", *work.argv))
    (first,) = work.wait_for("start")
    waiter = spawn(*run(*WAIT, "--", *work.argv))
    until_waiting(state_dir)
    os.kill(waiter.pid, signal.SIGSTOP)
    eventually(lambda: state(waiter.pid) == "T")
    os.kill(first, signal.SIGTERM)
    eventually(lambda: "passive" in lifeline(spawn, "explain", "--", *work.argv).stdout)
    ticked = eventually(lambda: started(spawn, work), within=120)
    assert ticked
    os.kill(waiter.pid, signal.SIGCONT)
    end(work)
    assert ticked.wait(120) == 0
    work.wait_for("start", times=3)
    assert waiter.poll() is None
    work.check(starts=3)


def started(spawn: Spawner, work: Work) -> subprocess.Popen[str] | None:
    """A tick, if it has started the job; None if it found a twin."""
    before = len(work.said("start"))
    ticked = spawn(*run(*FOUND, "--", *work.argv))
    eventually(lambda: ticked.poll() is not None or len(work.said("start")) > before, within=120)
    return ticked if ticked.poll() is None else None


def test_a_waiter_is_explained_and_not_listed(spawn: Spawner, work: Work, state_dir: Path) -> None:
    """`explain` says why a waiter does not count, and `status` shows one run, not two."""
    runner = spawn(*run("--", *work.argv))
    work.wait_for("start")
    waiter = spawn(*run(*WAIT, "--", *work.argv))
    until_waiting(state_dir)
    told = lifeline(spawn, "explain", "--", *work.argv).stdout
    (row,) = [row for row in told.splitlines() if row.startswith(f"{waiter.pid} ")]
    assert row.split()[1:3] == ["no", "passive"]
    for words in (["status"], ["status", "--", *work.argv]):
        listed = lifeline(spawn, *words).stdout
        assert f" {runner.pid} " in listed
        assert f" {waiter.pid} " not in listed


def test_a_waiter_can_be_ended(spawn: Spawner, work: Work, state_dir: Path) -> None:
    """TERM ends one that waits; the twin is not touched, and nothing of the waiter stays behind."""
    runner = spawn(*run("--", *work.argv))
    work.wait_for("start")
    waiter = spawn(*run(*WAIT, "--", *work.argv))
    until_waiting(state_dir)
    os.kill(waiter.pid, signal.SIGTERM)
    assert waiter.wait(120) == -signal.SIGTERM
    end(work)
    assert runner.wait(120) == 0
    assert list((state_dir / "passive").iterdir()) == []  # swept by the run that ended
    work.check(starts=1)


def test_a_held_lifeline_is_not_taken_over(spawn: Spawner, work: Work, state_dir: Path) -> None:
    """The twin ends under a hold: the waiter says so and leaves."""
    spawn(*run("--", *work.argv))
    work.wait_for("start")
    waiter = spawn(*run(*WAIT, "--", *work.argv))
    until_waiting(state_dir)
    lifeline(spawn, "terminate", "--hold", "1h", "--", *work.argv)
    _, err = waiter.communicate(timeout=120)
    assert waiter.returncode == 0
    assert "held" in err
    work.check(starts=1)


def test_without_a_hold_a_waiter_takes_over_after_terminate(
    spawn: Spawner, work: Work, state_dir: Path
) -> None:
    """`terminate` ends what runs; whoever waits takes over, as the next tick would."""
    spawn(*run("--", *work.argv))
    work.wait_for("start")
    spawn(*run(*WAIT, "--", *work.argv))
    until_waiting(state_dir)
    assert lifeline(spawn, "terminate", "--", *work.argv).returncode == 0
    work.wait_for("start", times=2)
    work.check(starts=2)


def test_waiters_and_ticks_and_a_kill(spawn: Spawner, work: Work, state_dir: Path) -> None:
    """The runner is killed outright amid waiters and ticks: one takes over, after its leftovers."""
    runner = spawn(*run("--", *work.argv))
    work.wait_for("start")
    waiters = [spawn(*run(*WAIT, "--", *work.argv)) for _ in range(3)]
    until_waiting(state_dir, 3)
    runner.kill()
    ticks = [spawn(*run("--", *work.argv)) for _ in range(4)]
    eventually(lambda: len(left(ticks)) <= 1, within=120)

    def all_had_their_turn() -> bool:
        for pid in work.working():
            os.kill(pid, signal.SIGTERM)
        return not left([*waiters, *ticks])

    eventually(all_had_their_turn, within=120, every=0.05)
    assert {each.returncode for each in [*waiters, *ticks]} == {0}
    assert len(work.said("start")) in (4, 5)  # the first, each waiter, and a tick that was quicker
    work.check(starts=len(work.said("start")))


def test_a_waiter_survives_the_loss_of_the_state_directory(
    spawn: Spawner, work: Work, state_dir: Path
) -> None:
    """Its marker is gone, so ticks take it for a starter and leave; it takes over all the same."""
    spawn(*run("--", *work.argv))
    work.wait_for("start")
    spawn(*run(*WAIT, "--", *work.argv))
    until_waiting(state_dir)
    for path in state_dir.rglob("*"):
        if path.is_file():
            path.unlink()
    assert tick(spawn, *FOUND, "--", *work.argv).returncode == 9
    end(work)
    work.wait_for("start", times=2)
    work.check(starts=2)


# --- replace ----------------------------------------------------------------------------------

SLOW_END = """\
child()
try:
    work()
finally:
    time.sleep(0.5)  # the work of ending
    say("ended")
"""


@hows
def test_the_old_one_has_ended_entirely_before_the_new_one_starts(
    how: tuple[str, ...], spawn: Spawner, tmp_path: Path
) -> None:
    """A run that takes its time to end is waited for, and so are its children."""
    work = Work(tmp_path / "work", SLOW_END)
    old = spawn(*run(*how, "--", *work.argv))
    (first,) = work.wait_for("start")
    (child,) = work.wait_for("child")
    spawn(*run(*REPLACE, *how, "--", *work.argv))
    work.wait_for("start", times=2)
    words = [line.split()[1] for line in work.lines() if line.split()[0] == str(first)]
    assert words[-1] == "ended"
    assert work.lines().index(f"{first} ended") < work.lines().index(
        f"{work.said('start')[1]} start"
    )
    assert not alive(first)
    assert not alive(child)
    assert old.wait(120) == 0
    work.check(starts=2)


def test_one_that_does_not_go_is_killed_first(spawn: Spawner, tmp_path: Path) -> None:
    """A run that ignores TERM is killed after the grace; until then the new one does not start."""
    work = Work(tmp_path / "work", "child(ignore_term=True)\nwork()\n")
    old = spawn(*run("--grace", "1s", "--", *work.argv))
    work.wait_for("start")
    (stubborn,) = work.wait_for("child")
    spawn(*run(*REPLACE, "--", *work.argv))
    work.wait_for("start", times=2)
    assert not alive(stubborn)
    assert old.poll() is not None
    work.check(starts=2)


def test_a_stopped_run_is_replaced(spawn: Spawner, work: Work) -> None:
    """A run that somebody stopped is let go on to end, and replaced."""
    old = spawn(*run("--", *work.argv))
    (first,) = work.wait_for("start")
    for pid in (old.pid, first):
        os.kill(pid, signal.SIGSTOP)
    spawn(*run(*REPLACE, "--", *work.argv))
    work.wait_for("start", times=2)
    assert not alive(first)
    work.check(starts=2)


def test_a_plain_run_is_replaced(spawn: Spawner, work: Work) -> None:
    """A copy that somebody started by hand is ended too, once it is older than any starter."""
    spawn(*work.argv)
    (first,) = work.wait_for("start")

    def replaced() -> bool:
        replacer = spawn(*run(*REPLACE, "--settle", "1s", "--", *work.argv))
        eventually(lambda: replacer.poll() is not None or len(work.said("start")) == 2)
        return replacer.poll() is None

    eventually(replaced)  # while it is so young that it may be a starter, it is waited for
    assert not alive(first)
    work.check(starts=2)


def test_nothing_to_replace(spawn: Spawner, work: Work) -> None:
    """Where nothing runs, `replace` just starts."""
    spawn(*run(*REPLACE, "--", *work.argv))
    work.wait_for("start")


@pytest.mark.parametrize("running", [True, False], ids=["a twin runs", "nothing runs"])
@pytest.mark.parametrize("number", [2, 6])
def test_replacers_at_once_never_overlap_and_leave_one(
    number: int, running: bool, spawn: Spawner, work: Work, tmp_path: Path
) -> None:
    """Of several that replace in the same instant one is left, and no two ever work together."""
    if running:
        spawn(*run("--", *work.argv))
        work.wait_for("start")
    old = work.said("start")
    env, opened = gate(tmp_path / "gate")
    replacers = [spawn(*run(*REPLACE, "--", *work.argv), env=env) for _ in range(number)]
    for each in replacers:
        eventually(partial(has_exec, each.pid, "replace"))
    opened.touch()  # all of them can be seen, none has looked
    eventually(lambda: len(left(replacers)) == 1, within=100)
    eventually(lambda: work.working() and work.working() != old, within=120)
    assert len(work.working()) == 1
    assert not any(map(alive, old))
    (last,) = left(replacers)
    end(work)
    assert last.wait(120) == 0
    work.check(starts=len(work.said("start")))


def test_replacers_in_a_row(spawn: Spawner, work: Work) -> None:
    """Each replaces the one before, however soon it comes: never two, and the last one stays."""
    for turn in range(1, 7):
        last = spawn(*run(*REPLACE, "--", *work.argv))
        work.wait_for("start", times=turn)
    assert last.poll() is None
    work.check(starts=6)


def test_a_replacer_that_is_killed_in_the_middle_leaves_no_mess(
    spawn: Spawner, tmp_path: Path
) -> None:
    """It dies between ending the old run and starting its own: the next tick starts."""
    work = Work(tmp_path / "work", SLOW_END)
    spawn(*run("--", *work.argv))
    (first,) = work.wait_for("start")
    replacer = spawn(*run(*REPLACE, "--", *work.argv))
    work.wait_for("end")  # TERM has reached the old job, which is still busy ending
    replacer.kill()
    replacer.wait()
    eventually(lambda: started(spawn, work), within=120)
    assert not alive(first)
    work.check(starts=2)


def test_a_job_does_not_replace_the_run_that_it_belongs_to(spawn: Spawner, tmp_path: Path) -> None:
    """Called from inside the run, `replace` refuses: it would end itself."""
    body = (
        "if os.path.exists(HERE + '/argv'):\n"
        "    argv = open(HERE + '/argv').read().split('\\n')\n"
        "    ended = subprocess.run(argv, capture_output=True, text=True)\n"
        "    say('exit %d: %s' % (ended.returncode, ended.stderr.strip()))\n"
        "work()\n"
    )
    work = Work(tmp_path / "work", body)
    (work.directory / "argv").write_text("\n".join(run(*REPLACE, "--", *work.argv)))
    spawn(*run("--", *work.argv))
    work.wait_for("start")
    (said,) = [line for line in work.lines() if "exit" in line]
    assert "this process is part of that run" in said
    assert "exit 1:" in said
    work.check(starts=1)


def test_two_different_commands_do_not_replace_each_other(spawn: Spawner, work: Work) -> None:
    """Only the same command is replaced."""
    other = unique_sleep()
    sleep = spawn(*run("--", *other))
    spawn(*run("--", *work.argv))
    work.wait_for("start")
    spawn(*run(*REPLACE, "--", *work.argv))
    work.wait_for("start", times=2)
    assert sleep.poll() is None
