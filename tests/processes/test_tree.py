"""Ending exactly the processes that were found: TERM, CONT, the grace, KILL, and nothing else."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lifeline.processes import tree
from lifeline.processes.table import LinuxTable, Process, snapshot
from support.agent import Agent
from support.frozen import freeze
from support.lifelines import AS_NOBODY, Work, answer, namespace, python, unique_sleep
from support.spawning import Spawner, alive, look
from support.waiting import eventually

PATIENCE = 60.0  # a grace that no test waits out


@pytest.fixture
def table() -> LinuxTable:
    return LinuxTable()


def exact(table: LinuxTable, pid: int) -> Process:
    facts = table.facts(pid)
    assert facts
    return facts.process


def only(*processes: Process) -> Callable[[], list[Process]]:
    """What finds exactly these."""
    return lambda: list(processes)


def family(table: LinuxTable, root: Process) -> Callable[[], list[Process]]:
    """What finds a process and all that was ever seen below it."""
    known = [root]

    def find() -> list[Process]:
        below = tree.descendants(snapshot(table), known)
        known.extend(process for process in below if process not in known)
        return known

    return find


def state(pid: int) -> str:
    """The state letter of a process, or nothing if it is gone."""
    seen = look(pid)
    return seen.state if seen else ""


def job(spawn: Spawner, directory: Path, body: str, *words: str) -> tuple[Work, int]:
    """A job that has said each of `words`: its directory and its pid."""
    work = Work(directory / "work", body)
    pid = spawn(*work.argv).pid
    for word in words:
        work.wait_for(word)
    return work, pid


# --- the sequence -----------------------------------------------------------------------------


def test_term_is_enough_for_one_that_goes(
    table: LinuxTable, spawn: Spawner, tmp_path: Path
) -> None:
    """One that ends on TERM ends in order, and is told to have ended by TERM."""
    work, pid = job(spawn, tmp_path, "work()\n", "start")
    (ended,) = tree.end(tree.Ending(table, only(exact(table, pid)), PATIENCE))
    assert (ended.process.pid, ended.signal, ended.gone, ended.reason) == (pid, "TERM", True, "")
    assert ended.command == tuple(map(os.fsencode, work.argv))
    assert work.said("end") == [pid]
    assert not alive(pid)


def test_kill_comes_after_the_grace(table: LinuxTable, spawn: Spawner, tmp_path: Path) -> None:
    """One that ignores TERM is let alone for the grace, then killed."""
    body = (
        "signal.signal(signal.SIGTERM, lambda *_: say('term'))\n"
        "say('start')\nwhile True: time.sleep(3600)\n"
    )
    work, pid = job(spawn, tmp_path, body, "start")
    process = exact(table, pid)
    heard: list[float] = []

    def find() -> list[Process]:
        if work.said("term") and not heard:
            heard.append(time.monotonic())
            ending.kill_within(0.3)
        return [process]

    ending = tree.Ending(table, find, PATIENCE)
    (ended,) = tree.end(ending)
    assert time.monotonic() - heard[0] >= 0.3
    assert (ended.signal, ended.gone) == ("KILL", True)
    assert work.said("term") == [pid]  # once
    assert not alive(pid)


def test_a_stopped_one_is_let_go_on(table: LinuxTable, spawn: Spawner, tmp_path: Path) -> None:
    """TERM waits in a stopped process until CONT; so it gets both, and ends in order."""
    work, pid = job(spawn, tmp_path, "work()\n", "start")
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: state(pid) == "T")
    (ended,) = tree.end(tree.Ending(table, only(exact(table, pid)), PATIENCE))
    assert (ended.signal, ended.gone) == ("TERM", True)
    assert work.said("end") == [pid]


def test_one_that_is_dead_already_is_not_told_of(table: LinuxTable, spawn: Spawner) -> None:
    """What has ended before, reaped or not, was not ended by us."""
    child = spawn("true")
    eventually(lambda: state(child.pid) == "Z")
    zombie = exact(table, child.pid)
    assert tree.end(tree.Ending(table, only(zombie), PATIENCE)) == []
    child.wait()
    assert tree.end(tree.Ending(table, only(zombie), PATIENCE)) == []
    assert tree.end(tree.Ending(table, only(), PATIENCE)) == []


def test_one_that_somebody_else_passes_term_on_to_gets_none(
    table: LinuxTable, spawn: Spawner, tmp_path: Path
) -> None:
    """Who is `told` gets no TERM of its own; if it stays, it is killed like all others."""
    work, pid = job(spawn, tmp_path, "work()\n", "start")
    process = exact(table, pid)
    (ended,) = tree.end(tree.Ending(table, only(process), grace=0.2, told=frozenset({process})))
    assert (ended.signal, ended.gone) == ("KILL", True)
    assert work.said("end") == []


# --- whole trees ------------------------------------------------------------------------------

SPREADING = """\
def fork_another(*_):
    if os.fork() == 0:
        say("another")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True: time.sleep(3600)

signal.signal(signal.SIGTERM, fork_another)
say("start")
while True: time.sleep(3600)
"""


def test_children_forked_meanwhile_are_ended(
    table: LinuxTable, spawn: Spawner, tmp_path: Path
) -> None:
    """One that answers TERM with another child, which ignores TERM: both are gone in the end."""
    work, pid = job(spawn, tmp_path, SPREADING, "start")
    everybody = family(table, exact(table, pid))

    def find() -> list[Process]:
        if work.said("another"):
            ending.kill_within(0.1)
        return everybody()

    ending = tree.Ending(table, find, PATIENCE)
    ended = tree.end(ending)
    (another,) = work.said("another")
    assert {each.process.pid: each.gone for each in ended} == {pid: True, another: True}
    assert not alive(pid)
    assert not alive(another)


CLEANING = """\
def clean_up(*_):
    subprocess.run(["sh", "-c", "sleep 0.3; sleep 0.3"], check=True)
    say("clean")
    sys.exit()

signal.signal(signal.SIGTERM, clean_up)
say("start")
while True: time.sleep(0.01)
"""


def test_what_cleans_up_after_term_gets_none(
    table: LinuxTable, spawn: Spawner, tmp_path: Path
) -> None:
    """What a process answers TERM with ends by itself, not by a TERM of its own."""
    work, pid = job(spawn, tmp_path, CLEANING, "start")
    (ended,) = tree.end(tree.Ending(table, family(table, exact(table, pid)), PATIENCE))
    assert work.said("clean") == [pid]
    assert (ended.process.pid, ended.signal, ended.gone) == (pid, "TERM", True)


LEAVING = """\
def leave(*_):
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        say("left")
        while True: time.sleep(3600)
    while not os.path.exists(HERE + "/seen"): time.sleep(0.01)
    os._exit(0)

signal.signal(signal.SIGTERM, leave)
say("start")
while True: time.sleep(0.01)
"""


def test_what_is_left_by_one_that_has_gone_gets_term(
    table: LinuxTable, spawn: Spawner, tmp_path: Path
) -> None:
    """Once whoever started it after TERM is gone, it cleans up for nobody."""
    work, pid = job(spawn, tmp_path, LEAVING, "start")
    everybody = family(table, exact(table, pid))

    def find() -> list[Process]:
        found = list(everybody())
        if work.said("left") and len(found) == 2:
            (work.directory / "seen").touch()
        return found

    ended = tree.end(tree.Ending(table, find, PATIENCE))
    (left,) = work.said("left")
    assert {each.process.pid: each.signal for each in ended} == {pid: "TERM", left: "TERM"}


FOREVER = """\
signal.signal(signal.SIGTERM, signal.SIG_IGN)
say("start")
for _ in range(500):
    if os.fork() == 0:
        while True: time.sleep(3600)
    time.sleep(0.001)
while True: time.sleep(3600)
"""


def test_a_tree_that_goes_on_forking_is_ended(
    table: LinuxTable, spawn: Spawner, tmp_path: Path
) -> None:
    """One is killed while it forks: the child that nobody has seen yet is found all the same."""
    _, pid = job(spawn, tmp_path, FOREVER, "start")
    tree.end(tree.Ending(table, family(table, exact(table, pid)), grace=0.1))
    assert [facts for facts in snapshot(table) if facts.session == pid] == []


DEEP = """\
def down(levels):
    if levels and os.fork() == 0:
        os.setsid()
        say("deep")
        down(levels - 1)
        stand_by("down")
down(5)
work()
"""


def test_a_deep_tree_of_sessions_is_ended(
    table: LinuxTable, spawn: Spawner, tmp_path: Path
) -> None:
    """Children in sessions of their own are found by descent, level below level."""
    work = Work(tmp_path / "work", DEEP)
    pid = spawn(*work.argv).pid
    work.wait_for("down", times=5)
    work.wait_for("start")
    ended = tree.end(tree.Ending(table, family(table, exact(table, pid)), PATIENCE))
    assert {each.process.pid for each in ended} == {pid, *work.said("deep")}
    assert not any(map(alive, [pid, *work.said("deep")]))


def test_one_whose_parent_dies_first_is_not_forgotten(
    table: LinuxTable, spawn: Spawner, tmp_path: Path
) -> None:
    """The parent goes on TERM at once, its stubborn child moves to another parent: it is killed."""
    work, pid = job(spawn, tmp_path, "child(ignore_term=True)\nwork()\n", "child", "start")
    (child,) = work.said("child")
    everybody = family(table, exact(table, pid))

    def find() -> list[Process]:
        if not alive(pid):
            ending.kill_within(0.1)
        return everybody()

    ending = tree.Ending(table, find, PATIENCE)
    ended = tree.end(ending)
    assert {each.process.pid: each.signal for each in ended} == {pid: "TERM", child: "KILL"}
    assert not alive(child)


@pytest.mark.parametrize("seen", [True, False], ids=["seen before", "new"])
def test_the_tick_in_which_term_was_sent_spares_nobody_seen_before(
    table: LinuxTable, spawn: Spawner, tmp_path: Path, seen: bool
) -> None:
    """Start times are coarse: who starts and is seen in that very tick is no cleanup."""
    work, pid = job(spawn, tmp_path, "child()\nwork()\n", "child", "start")
    parent, child = exact(table, pid), exact(table, work.said("child")[0])
    ending = tree.Ending(
        table,
        only(parent, child),
        PATIENCE,
        told=frozenset({parent}),
        since=child.start,
        before=frozenset({child} if seen else ()),
    )
    ending.step()
    if seen:
        eventually(lambda: not alive(child.pid))
    ending.kill_now()
    ended = tree.end(ending)
    assert {each.process: each.signal for each in ended} == {
        parent: "KILL",
        child: "TERM" if seen else "KILL",
    }


def test_descendants_are_told_parents_first(
    table: LinuxTable, spawn: Spawner, tmp_path: Path
) -> None:
    """The walk goes down from the roots; a process that got a dead parent's pid is no child."""
    work = Work(tmp_path / "work", DEEP)
    pid = spawn(*work.argv).pid
    work.wait_for("down", times=5)
    root = exact(table, pid)
    everybody = snapshot(table)
    assert [each.pid for each in tree.descendants(everybody, [root])] == work.said("deep")
    impostor = Process(root.pid, root.start + 100_000)
    assert tree.descendants(everybody, [impostor]) == []


def test_nobody_else_is_touched(table: LinuxTable, spawn: Spawner, tmp_path: Path) -> None:
    """A sibling in the same group and session gets no signal."""
    body = (
        "one = child('one')\ntwo = child('two')\nstand_by('start')\n"
    )  # fmt: skip
    work, _ = job(spawn, tmp_path, body, "one", "two", "start")
    (one,), (two,) = work.said("one"), work.said("two")
    (ended,) = tree.end(tree.Ending(table, only(exact(table, one)), PATIENCE))
    assert ended.process.pid == one
    assert alive(two)


# --- what may not, and what cannot be ended ---------------------------------------------------

AS_ANOTHER = """
import json, sys
from lifeline.processes import tree
from lifeline.processes.table import LinuxTable

table = LinuxTable()
process = table.facts(int(sys.argv[1])).process
ended = tree.end(tree.Ending(table, lambda: [process], grace=0.2))
print(json.dumps([[each.process.pid, each.gone, each.reason] for each in ended]))
"""


@pytest.mark.needs("nobody")
def test_one_that_may_not_be_signalled_is_said_to_be_there(spawn: Spawner) -> None:
    """Another user's process stays, and the answer says so instead of "ended"."""
    pid = spawn(*unique_sleep()).pid
    told = answer(spawn, [*AS_NOBODY, *python(AS_ANOTHER, str(pid))])
    assert told == [[pid, False, "may not be signalled by this user"]]
    assert alive(pid)


HANGING = """
from lifeline.processes import tree
from lifeline.processes.table import LinuxTable

table = LinuxTable()
process = table.facts(pid).process
tree._AFTER_KILL = 0.5
ended = tree.end(tree.Ending(table, lambda: [process], grace=0.1))
result = [[each.process.pid, each.signal, each.gone, each.reason] for each in ended]
"""


@pytest.mark.needs("fuse", "unshare")
def test_one_that_hangs_in_the_kernel_is_said_to_be_there(spawn: Spawner, tmp_path: Path) -> None:
    """A process that even KILL does not wake is reported, and not waited for without end."""
    inside = Agent(spawn, *namespace())
    pid, _ = freeze(inside, tmp_path / "mount", "3600")
    told = inside.do(HANGING, pid=pid)
    assert told == [[pid, "KILL", False, "hangs in the kernel and did not go after KILL"]]


# --- that very process ------------------------------------------------------------------------


def test_a_signal_goes_to_that_very_process(table: LinuxTable, spawn: Spawner) -> None:
    """The pid alone is not enough: with another start time it is somebody else."""
    child = spawn(*unique_sleep())
    process = exact(table, child.pid)
    assert not tree.send(table, Process(process.pid, process.start + 1), signal.SIGKILL)
    assert alive(child.pid)
    assert tree.send(table, process, signal.SIGKILL)
    assert child.wait(120) == -signal.SIGKILL
    assert not tree.send(table, process, signal.SIGKILL)


def test_without_pidfd_the_check_comes_right_before_the_signal(
    table: LinuxTable, spawn: Spawner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a kernel without pidfd the same holds, by the start time."""
    monkeypatch.delattr(os, "pidfd_open")
    child = spawn(*unique_sleep())
    process = exact(table, child.pid)
    assert not tree.send(table, Process(process.pid, process.start + 1), signal.SIGKILL)
    assert alive(child.pid)
    assert tree.send(table, process, signal.SIGKILL)
    assert child.wait(120) == -signal.SIGKILL
    assert not tree.send(table, process, signal.SIGKILL)


def test_nothing_is_left_open(table: LinuxTable, spawn: Spawner) -> None:
    """Ending many leaves no descriptor behind."""
    before = len(os.listdir("/proc/self/fd"))
    children = [spawn(*unique_sleep(), stdout=None, stderr=None) for _ in range(10)]
    processes = [exact(table, child.pid) for child in children]
    ended = tree.end(tree.Ending(table, only(*processes), PATIENCE))
    assert [each.gone for each in ended] == [True] * 10
    assert len(os.listdir("/proc/self/fd")) == before
