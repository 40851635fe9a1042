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
from lifeline.processes.table import LinuxTable, Process, snapshot

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


def below(pid):
    return [facts.process for facts in snapshot(table) if facts.parent == pid]


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
    found = inside.run(*run(*FOUND, "--settle", "1s", "--", *work.argv))
    assert (found.returncode, found.stderr) == (9, "")
    assert inside.do(f"result = alive({twin})")


# Forks once more and leaves: a stranger's session without its leader.
DAEMON = """
import os, time
if os.fork() == 0:
    os.execvp("sleep", ["sleep", "3602"])
"""


def daemon(inside: Agent, session: int) -> int:
    """Start a stranger's daemon in a session that has the number of a dead one; its pid."""
    told: int = inside.do(
        "start(sys.executable, '-c', daemon, pid=session, session=True)\n"
        "children.pop(session).wait()\n"
        "(result,) = [facts.process.pid for facts in snapshot(table) if facts.session == session]",
        daemon=DAEMON,
        session=session,
    )
    return told


@pytest.mark.parametrize("marked", [True, False], ids=["autogroup", "no autogroup"])
def test_p15_a_daemon_in_a_session_whose_number_came_back_is_a_strangers(
    marked: bool, inside: Agent, tmp_path: Path
) -> None:
    """P15: all of the dead run's session is gone, and a daemon has come to be in one of its number.

    Its leader is gone, as that of the dead run is: that proves nothing, and it is not touched.
    """
    work = Work(tmp_path / "work")
    runner = inside.do("result = start(*argv)", argv=run("--", *work.argv))
    (job,) = work.wait_for("start")
    inside.do("os.kill(job, 9); kill(runner); os.waitpid(job, 0)", runner=runner, job=job)
    if not marked:
        forget_mark(tmp_path)
    stranger = daemon(inside, job)
    inside.start(*run("--", *work.argv))
    work.wait_for("start", times=2)
    assert inside.do("result = alive(pid)", pid=stranger)


def forget_mark(directory: Path) -> None:
    """Make the run record as it is where the kernel has no name for sessions."""
    (record,) = (directory / "state" / "runs").iterdir()
    lines = record.read_bytes().split(b"\n")
    (mark,) = [at for at, line in enumerate(lines) if line.startswith(b"mark ")]
    lines[mark] = b"mark "
    record.write_bytes(b"\n".join(lines))


@pytest.mark.parametrize("verb", ["terminate", "replace"])
def test_p15_between_two_runs_the_session_is_nobodys(
    verb: str, inside: Agent, tmp_path: Path
) -> None:
    """P15: the runner waits to start its job again, whose pid is a stranger's: he lives."""
    name = ("--name", tmp_path.name)
    log = tmp_path / "log"
    job = f"echo $$ >>{log}; exit 3"
    options = ("--restart", "always", "--backoff", "1h")
    inside.do("runner = start(*argv)", argv=run(*name, *options, "--", "sh", "-c", job))
    pid = int(eventually(lambda: log.exists() and log.read_text(), within=120))
    eventually(lambda: inside.do("result = table.facts(pid) is None", pid=pid), within=120)
    inside.do("start('sleep', '3601', pid=pid, session=True)", pid=pid)
    if verb == "terminate":
        ended = inside.run(LIFELINE, "terminate", tmp_path.name)
    else:
        ended = inside.run(*run(*name, "--on-running", "replace", "--", "true"))
    assert ended.returncode == 0, ended.stderr
    assert inside.do("result = [alive(pid), children[runner].wait()]", pid=pid) == [True, 143]


def test_p15_a_twin_does_not_vouch_for_its_session(inside: Agent, tmp_path: Path) -> None:
    """P15: a twin started by hand has come to be in a session of that number: it is ended alone."""
    log, go = tmp_path / "log", tmp_path / "go"
    words = ["sh", "-c", f"echo $$ >>{log}; if test -e {go}; then sleep 3601; fi; exit 3"]
    inside.do("start(*argv)", argv=run("--restart", "always", "--backoff", "1h", "--", *words))
    pid = int(eventually(lambda: log.exists() and log.read_text(), within=120))
    eventually(lambda: inside.do("result = table.facts(pid) is None", pid=pid), within=120)
    go.touch()
    shell = ["sh", "-c", '"$@"; sleep 3602; :', "sh", *words]
    inside.do("start(*argv, pid=pid, session=True)", pid=pid, argv=shell)
    twin = int(eventually(lambda: log.read_text().split()[1:], within=120)[0])
    ended = inside.run(LIFELINE, "terminate", "--", *words)
    assert ended.returncode == 0, ended.stderr
    assert inside.do("result = [alive(pid), alive(twin)]", pid=pid, twin=twin) == [True, False]


def test_p15_a_process_group_whose_number_came_back_gets_no_signal(
    inside: Agent, tmp_path: Path
) -> None:
    """P15: the job is reaped, a child in a session of its own lives on: its group is a stranger's.

    A signal to the runner is not passed on to that group.
    """
    body = (
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    child('fled', ignore_term=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "say('over')\n"
    )
    work = Work(tmp_path / "work", body)
    runner = inside.do("result = start(*argv)", argv=run("--grace", "1h", "--", *work.argv))
    (job,), (fled,) = work.wait_for("over"), work.wait_for("fled")
    eventually(lambda: inside.do("result = table.facts(pid) is None", pid=job), within=120)
    inside.do("start('sleep', '3601', pid=pid, session=True)", pid=job)
    # The one comes in no later than the other, after which the run is over.
    inside.do("os.kill(runner, signal.SIGUSR1); os.kill(fled, 9)", runner=runner, fled=fled)
    told = inside.do("result = [children[runner].wait(), alive(pid)]", runner=runner, pid=job)
    assert told == [0, True]


def test_p15_who_has_the_pid_of_a_dead_parent_has_children_of_his_own(inside: Agent) -> None:
    """P15: one of the tree has gone on TERM and its pid is a stranger's: that one's child lives."""
    told = inside.do(
        "pid = start('sleep', '3600')\n"
        "found = exact(pid)\n"
        "known = {found: None}\n"
        "def find():\n"
        "    if pid in children and children[pid].poll() is not None:\n"
        "        children.pop(pid)\n"
        "        start('sh', '-c', 'sleep 3601 & wait', pid=pid)\n"
        "        while not below(pid): pass\n"
        "    known.update(dict.fromkeys(tree.descendants(snapshot(table), known)))\n"
        "    return list(known)\n"
        "ended = tree.end(tree.Ending(table, find, grace=60.0))\n"
        "result = [[each.process == found for each in ended], alive(pid), len(below(pid))]\n"
    )
    assert told == [[True], True, 1]


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
