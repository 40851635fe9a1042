"""Pitfalls of process ids: the kernel gives a pid again, and it does not wait for us to notice.

In a pid namespace of its own a test can say which pid comes next (/proc/sys/kernel/ns_last_pid), so
the very pid that was found a moment ago really belongs to somebody else now.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.agent import Agent
from support.lifelines import LIFELINE, Work, namespace, run
from support.spawning import Spawner
from support.waiting import eventually

pytestmark = pytest.mark.needs("unshare", "root")

FOUND = ("--exit-code-if-running", "9")

# For the agent: processes of its own, and the next pid as it wants it.
HELPERS = """
import os, signal, subprocess, sys, time
from lifeline.processes import tree
from lifeline.processes.records import read
from lifeline.processes.table import LinuxTable, Process

table = LinuxTable()


def start(*argv, pid=None, session=False):
    "Start a process, with that pid; never in the clock tick in which another one had it."
    if pid is not None:
        then = table.now() + 2
        while table.now() < then:
            time.sleep(0.001)
        with open("/proc/sys/kernel/ns_last_pid", "w") as file:
            file.write(str(pid - 1))
    child = subprocess.Popen(argv, start_new_session=session, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert pid in (None, child.pid), (pid, child.pid)
    children[child.pid] = child
    return child.pid


def kill(pid):
    "Kill a process, and reap it: its pid is free."
    children[pid].kill()
    children.pop(pid).wait()


def exact(pid):
    return table.facts(pid).process


def alive(pid):
    facts = table.facts(pid)
    return facts is not None and not facts.is_dead


children = {}
"""


@pytest.fixture
def inside(spawn: Spawner) -> Agent:
    """An agent in a pid namespace of its own, with the helpers above."""
    agent = Agent(spawn, *namespace())
    agent.do(HELPERS)
    return agent


def test_p15_a_pid_that_was_given_again_is_not_signalled(inside: Agent) -> None:
    """P15: found, gone, its pid given to an innocent: the innocent gets no signal."""
    told = inside.do(
        "pid = start('sleep', '3600')\n"
        "found = exact(pid)\n"
        "kill(pid)\n"
        "start('sleep', '3601', pid=pid)\n"
        "result = [tree.send(table, found, signal.SIGKILL), exact(pid) != found, alive(pid)]\n"
    )
    assert told == [False, True, True]


def test_p15_nor_if_it_happens_while_ending(inside: Agent) -> None:
    """P15: the victim ends and its pid comes back between the finding and the first signal."""
    told = inside.do(
        "pid = start('sleep', '3600')\n"
        "found = exact(pid)\n"
        "def find():\n"
        "    if pid in children and exact(pid) == found:\n"
        "        kill(pid)\n"
        "        start('sleep', '3601', pid=pid)\n"
        "    return [found]\n"
        "ended = tree.end(tree.Ending(table, find, grace=0.2))\n"
        "result = [len(ended), alive(pid), table.after_exec(pid)[1].decode()]\n"
    )
    assert told == [0, True, "3601"]


def test_p15_nor_if_it_happens_during_the_grace(inside: Agent) -> None:
    """P15: the victim goes on TERM and its pid is used again before KILL would come."""
    told = inside.do(
        "pid = start('sleep', '3600')\n"
        "found = exact(pid)\n"
        "other = start('sh', '-c', 'trap : TERM; while :; do sleep 1; done')\n"  # outlives TERM
        "stubborn = exact(other)\n"
        "def caught():\n"
        "    status = open(f'/proc/{other}/status').read()\n"
        "    return int(status.split('SigCgt:')[1].split()[0], 16) & 1 << signal.SIGTERM - 1\n"
        "while not caught(): pass\n"
        "def find():\n"
        "    if pid in children and children[pid].poll() is not None:\n"
        "        children.pop(pid)\n"
        "        start('sleep', '3601', pid=pid)\n"
        "        ending.kill_within(0.1)\n"
        "    return [found, stubborn]\n"
        "ending = tree.Ending(table, find, grace=60.0)\n"
        "ended = tree.end(ending)\n"
        "result = [[(each.signal, each.gone) for each in ended], alive(pid),\n"
        "          table.after_exec(pid)[1].decode()]\n"
    )
    assert told == [[["TERM", True], ["KILL", True]], True, "3601"]


def test_p15_a_record_is_not_believed_of_another_process(inside: Agent, tmp_path: Path) -> None:
    """P15: the recorded run is dead and its pid belongs to another: the next tick starts.

    `terminate` and `status` do not take that other one for the run either.
    """
    work = Work(tmp_path / "work")
    pid = inside.do("result = start(*argv)", argv=run("--exec", "--", *work.argv))
    work.wait_for("start")
    inside.do("kill(pid); start('sleep', '3601', pid=pid)", pid=pid)
    status = inside.run(LIFELINE, "status", "--", *work.argv)
    assert (status.returncode, status.stdout) == (3, "not running\n")
    ended = inside.run(LIFELINE, "terminate", "--", *work.argv)
    assert (ended.returncode, ended.stdout) == (0, "nothing was running\n")
    inside.start(*run("--exec", "--", *work.argv))
    work.wait_for("start", times=2)
    assert inside.do(f"result = alive({pid})")


def test_p15_a_passive_marker_is_of_one_process_only(inside: Agent, tmp_path: Path) -> None:
    """P15: one that stood aside has died, and a real twin has its pid: the twin counts."""
    body = (
        "from lifeline import lifeline\n"
        "lifeline(lambda: None)\n"  # runs, is over, lowers its flag
        "stand_by('over')\n"
    )
    work = Work(tmp_path / "work", body)
    pid = inside.do("result = start(*argv)", argv=work.argv)
    work.wait_for("over")
    assert inside.run(*run("--", "true")).returncode == 0
    other = work.script.read_text().replace(body, "stand_by('twin')\n")
    work.script.write_text(other)
    inside.do("kill(pid); start(*argv, pid=pid)", pid=pid, argv=work.argv)
    work.wait_for("twin")
    assert inside.run(*run(*FOUND, "--", *work.argv)).returncode == 9


@pytest.mark.parametrize("leads", [True, False], ids=["leader", "member"])
def test_p15_a_session_whose_id_came_back_is_not_the_dead_runs(
    leads: bool, inside: Agent, tmp_path: Path
) -> None:
    """P15: the dead run's session id belongs to another session now: what is in it is no leftover.

    It is a twin like any other: it counts, and it is not ended.
    """
    work = Work(tmp_path / "work", "stand_by('start')\n")
    runner = inside.do("result = start(*argv)", argv=run("--", *work.argv))
    (job,) = work.wait_for("start")
    inside.do("os.kill(runner, 9); os.kill(job, 9); kill(runner)", runner=runner, job=job)
    inside.do("os.waitpid(job, 0)")  # it had become a child of the agent's, the first process
    argv = work.argv if leads else ["sh", "-c", '"$@"; true', "sh", *work.argv]
    assert inside.do("result = start(*argv, pid=job, session=True)", argv=argv) == job
    (_, twin) = work.wait_for("start", times=2)
    assert (twin == job) is leads
    found = inside.run(*run(*FOUND, "--settle", "10ms", "--", *work.argv))
    assert (found.returncode, found.stderr) == (9, "")
    assert inside.do(f"result = alive({twin})")


def test_p15_waiting_ends_although_the_pid_is_used_again(inside: Agent, tmp_path: Path) -> None:
    """P15: one that waits for the twin's end sees that end, even if the pid lives on at once."""
    work = Work(tmp_path / "work")
    pid = inside.do("result = start(*argv)", argv=run("--exec", "--", *work.argv))
    work.wait_for("start")
    inside.start(*run("--on-running", "wait", "--exec", "--", *work.argv))
    passive = work.directory.parent / "state" / "passive"
    eventually(lambda: passive.exists() and any(passive.iterdir()), within=120)
    inside.do("kill(pid); start('sleep', '3601', pid=pid)", pid=pid)
    work.wait_for("start", times=2)
    work.check(starts=2)
