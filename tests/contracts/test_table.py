"""What every process table promises, of real processes: LinuxTable and PsutilTable alike.

On Linux both see the same machine, so they can also be held against each other.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lifeline.processes.psutil_table import PsutilTable
from lifeline.processes.table import (
    Facts,
    LinuxTable,
    Process,
    Unseen,
    lineage,
    me,
    open_table,
    visible,
)
from support.agent import Agent
from support.frozen import freeze
from support.lifelines import (
    AS_NOBODY,
    Work,
    answer,
    hidden,
    line,
    namespace,
    python,
    run,
    unique_sleep,
)
from support.spawning import Spawner
from support.waiting import eventually

if TYPE_CHECKING:
    from lifeline.processes.table import Table

TABLES: list[type[Any]] = [LinuxTable, PsutilTable]
SLEEP = "import time; time.sleep(3600)"

pytestmark = pytest.mark.needs("linux")  # the processes here are made as that has it


@pytest.fixture(params=TABLES, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> type[Any]:
    """Each kind of table in turn."""
    found: type[Any] = request.param
    return found


@pytest.fixture
def table(kind: type[Any]) -> Table:
    """A table of each kind in turn."""
    made: Table = kind()
    return made


def facts_of(table: Table, pid: int) -> Facts:
    found = table.facts(pid)
    assert found is not None
    return found


def gone(spawn: Spawner) -> int:
    """A pid that nobody has: of a process that has ended and was reaped."""
    process = spawn("true")
    process.wait()
    return process.pid


@pytest.fixture
def zombie(spawn: Spawner) -> Iterator[int]:
    """A process that has ended and was not reaped."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    eventually(lambda: facts_of(LinuxTable(), pid).state == "Z")
    yield pid
    os.waitpid(pid, 0)


# --- pids and facts ---------------------------------------------------------------------------


def test_pids_are_those_of_living_processes(table: Table, spawn: Spawner) -> None:
    """Every process that is there is listed, one that has ended and was reaped is not."""
    child, ended = spawn(*unique_sleep()), gone(spawn)
    pids = table.pids()
    assert os.getpid() in pids
    assert child.pid in pids
    assert ended not in pids
    assert len(pids) == len(set(pids))


@pytest.mark.parametrize(
    ("code", "number", "letters", "stopped"),
    [
        ("while True: pass", None, "R", False),
        (SLEEP, None, "S", False),
        (SLEEP, signal.SIGSTOP, "T", True),
    ],
    ids=["running", "sleeping", "stopped"],
)
def test_state_letters(
    table: Table, spawn: Spawner, code: str, number: int | None, letters: str, stopped: bool
) -> None:
    """A running, a sleeping and a stopped process show the kernel's letter, and are not dead."""
    pid = spawn(*python(code)).pid
    if number is not None:
        os.kill(pid, number)
    eventually(lambda: facts_of(table, pid).state == letters, within=120)
    assert facts_of(table, pid).is_stopped is stopped
    assert not facts_of(table, pid).is_dead


def test_a_traced_process_that_is_stopped_counts_as_stopped(table: Table, spawn: Spawner) -> None:
    """A process that its debugger has stopped shows `t`, and that is stopped, too."""
    code = (
        "import ctypes, os, signal, time\n"
        "ctypes.CDLL(None).ptrace(0, 0, 0, 0)\n"  # PTRACE_TRACEME
        "os.kill(os.getpid(), signal.SIGUSR1)\n"
        "time.sleep(3600)\n"
    )
    pid = spawn(*python(code)).pid
    eventually(lambda: facts_of(table, pid).state == "t", within=120)
    assert facts_of(table, pid).is_stopped


def test_a_zombie_is_dead(table: Table, zombie: int) -> None:
    """A process that has ended but was not reaped is still in the table, and is dead."""
    facts = facts_of(table, zombie)
    assert facts.state == "Z"
    assert facts.is_dead
    assert facts.parent == os.getpid()
    assert not table.is_alive(facts.process)


def test_facts_of_one_that_is_gone(table: Table, spawn: Spawner) -> None:
    """Nothing is told of a process that is gone."""
    assert table.facts(gone(spawn)) is None


def test_parent_group_and_session(table: Table, spawn: Spawner) -> None:
    """The parent, process group and session are those that the system calls tell."""
    leader = spawn(*unique_sleep())
    grouped = spawn(*unique_sleep(), start_new_session=False, preexec_fn=os.setpgrp)
    plain = spawn(*unique_sleep(), start_new_session=False)
    for pid, group, session in (
        (leader.pid, leader.pid, leader.pid),
        (grouped.pid, grouped.pid, os.getsid(0)),
        (plain.pid, os.getpgrp(), os.getsid(0)),
    ):
        facts = facts_of(table, pid)
        assert (facts.process.pid, facts.parent) == (pid, os.getpid())
        assert (facts.group, facts.session) == (group, session)


def test_the_name_may_hold_anything(table: Table, spawn: Spawner, tmp_path: Path) -> None:
    """Spaces and parentheses in a program's name do not shift the other facts."""
    program = tmp_path / "a) R 1 (b"
    shutil.copy(shutil.which("sleep") or "", program)
    pid = spawn(program, "3600").pid
    eventually(lambda: facts_of(table, pid).name == b"a) R 1 (b")
    facts = facts_of(table, pid)
    assert (facts.parent, facts.session) == (os.getpid(), pid)


def test_later_started_is_younger(table: Table, spawn: Spawner) -> None:
    """Start times order processes by age, and the pid breaks ties."""
    started = []
    for _ in range(3):
        pid = spawn(*unique_sleep()).pid
        started.append(facts_of(table, pid).process)
        eventually(lambda: table.now() > started[-1].start + 1)
    assert started == sorted(started, key=lambda process: (process.start, process.pid))
    assert started[0].is_older_than(started[1])
    assert not started[1].is_older_than(started[0])
    assert me(table).process.is_older_than(started[0])


def test_both_tables_tell_the_same(spawn: Spawner) -> None:
    """Start, parent, group, session and name of a process are equal in both tables."""

    def steady(facts: Facts) -> tuple[object, ...]:
        return facts.process, facts.parent, facts.group, facts.session, facts.name[:15]

    linux, other = LinuxTable(), PsutilTable()
    for number in (signal.SIGCONT, signal.SIGSTOP):
        os.kill(spawn(*unique_sleep()).pid, number)
    compared = 0
    for pid in linux.pids():
        before = visible(linux, pid)
        seen = visible(other, pid)
        after = visible(linux, pid)
        if before and seen and after and steady(before) == steady(after):
            assert steady(seen) == steady(before)
            compared += 1
    assert compared >= 3


def test_a_leader_that_ended_before_its_threads_lives(spawn: Spawner) -> None:
    """A process whose first thread has ended shows Z, but lives and is seen while others run."""
    code = (
        "import ctypes, threading, time\n"
        "threading.Thread(target=time.sleep, args=(3600,)).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    argv = python(code)
    pid = spawn(*argv).pid
    table = LinuxTable()
    eventually(lambda: facts_of(table, pid).state == "Z", within=120)
    facts = facts_of(table, pid)
    assert not facts.is_dead
    assert table.is_alive(facts.process)
    assert table.after_exec(pid) == tuple(map(os.fsencode, argv))
    assert dict(table.candidates(b"pthread_exit"))[pid] == table.after_exec(pid)


# --- command lines ----------------------------------------------------------------------------

ODD = [b"", b" ", b"\xff\xfe", "ä→😀".encode(), b"a=b", b"--", b"\n", b"\t\\ '\"$(x)"]


def test_odd_arguments_are_told_as_they_are(table: Table, spawn: Spawner) -> None:
    """Empty arguments, line ends, quotes and bytes that are no text come back unchanged."""
    argv = [os.fsencode(sys.executable), b"-c", SLEEP.encode(), *ODD, b""]
    process = subprocess.Popen(argv, start_new_session=True, close_fds=True)
    try:
        assert eventually(lambda: table.after_exec(process.pid)) == tuple(argv)
        assert table.command_line(process.pid) == tuple(argv)
    finally:
        process.kill()
        process.wait()


def test_a_command_line_of_100_kb_is_whole(table: Table, spawn: Spawner) -> None:
    """A long command line is told to its last byte."""
    argv = python(SLEEP, "x" * 100_000, "end")
    pid = spawn(*argv).pid
    assert table.after_exec(pid) == tuple(map(os.fsencode, argv))


def test_many_arguments_are_told(table: Table, spawn: Spawner) -> None:
    """Ten thousand arguments are as many words."""
    argv = python(SLEEP, *map(str, range(10_000)))
    pid = spawn(*argv).pid
    assert table.after_exec(pid) == tuple(map(os.fsencode, argv))


def test_a_new_title_replaces_the_command_line(table: Table, spawn: Spawner) -> None:
    """A program that has rewritten its title shows that, and it does not read as empty."""
    code = "import setproctitle, time; setproctitle.setproctitle('other: title'); time.sleep(3600)"
    pid = spawn(*python(code)).pid
    eventually(lambda: b" ".join(table.command_line(pid) or ()).startswith(b"other: title"), 60)


def test_the_command_line_of_the_dead(table: Table, spawn: Spawner, zombie: int) -> None:
    """A zombie shows an empty command line and is not waited for; one that is gone shows none."""
    assert table.command_line(zombie) == ()
    assert table.after_exec(zombie) is None
    ended = gone(spawn)
    assert table.command_line(ended) is None
    assert table.after_exec(ended) is None


def test_after_exec_waits_for_the_new_command_line(table: Table, spawn: Spawner) -> None:
    """Whoever asks while processes exec gets the argument list of one program or the other."""
    code = "import os, sys; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    then = ["-c", SLEEP, "second"]
    for _ in range(5):
        argv = python(code, *then)
        pid = spawn(*argv).pid
        first, second = tuple(map(os.fsencode, argv)), (argv[0].encode(), *map(str.encode, then))
        while (words := table.after_exec(pid)) != second:
            assert words == first


# --- candidates -------------------------------------------------------------------------------


def test_candidates_are_those_that_contain_the_needle(table: Table, spawn: Spawner) -> None:
    """Whoever's command line contains the bytes is given with it, nobody else is."""
    words = unique_sleep()
    first, second, other = spawn(*words), spawn(*words), spawn(*unique_sleep())
    found = dict(table.candidates(os.fsencode(words[1])))
    expected = tuple(map(os.fsencode, words))
    assert {pid: line for pid, line in found.items() if line} == {
        first.pid: expected,
        second.pid: expected,
    }
    assert other.pid not in found


def test_the_dead_are_no_candidates(table: Table, spawn: Spawner, zombie: int) -> None:
    """A zombie is no candidate, although it could have been anything."""
    assert zombie not in dict(table.candidates(b""))
    assert os.getpid() in dict(table.candidates(b""))


# --- whose and where --------------------------------------------------------------------------


def test_the_user_is_the_effective_one(table: Table, spawn: Spawner) -> None:
    """A process belongs to its effective user; one that is gone to nobody."""
    assert table.user(spawn(*unique_sleep()).pid) == os.geteuid()
    assert table.user(gone(spawn)) is None


@pytest.mark.needs("root")
def test_the_user_of_one_that_gave_its_rights_up(table: Table, spawn: Spawner) -> None:
    """Only the effective user counts, whatever the real one is."""
    code = "import os, time; os.seteuid(65534); print(flush=True); time.sleep(3600)"
    process = spawn(*python(code))
    line(process)
    assert table.user(process.pid) == 65534


def test_one_of_this_namespace_is_local(table: Table, spawn: Spawner) -> None:
    """What runs beside this process is local; of one that is gone it is not known."""
    assert table.is_local(spawn(*unique_sleep()).pid) is True
    assert table.is_local(gone(spawn)) is None


@pytest.mark.needs("unshare")
def test_one_of_an_inner_namespace_is_not_local(spawn: Spawner) -> None:
    """What runs in a pid namespace below this one is seen, and told from what is local."""
    words = unique_sleep()
    spawn(*namespace("env", *words))
    table = LinuxTable()

    def inside() -> list[int]:
        found = table.candidates(os.fsencode(words[1]))
        return [pid for pid, line in found if line[:1] == (b"sleep",)]

    (pid,) = eventually(inside, within=120)
    assert table.is_local(pid) is False


def test_the_directory_follows_the_process(table: Table, spawn: Spawner, tmp_path: Path) -> None:
    """The working directory is the one that the process is in now."""
    there = tmp_path / "a b\udcff"
    there.mkdir()
    pid = spawn(*python(f"import os; os.chdir(os.fsdecode({os.fsencode(there)!r})); {SLEEP}")).pid
    eventually(lambda: table.directory(pid) == os.fsencode(there), within=120)


def test_a_directory_that_was_removed_keeps_its_name(
    table: Table, spawn: Spawner, tmp_path: Path
) -> None:
    """A process in a directory that is gone is still told to be there, by the name it had."""
    there = tmp_path / "release"
    there.mkdir()
    pid = spawn(*unique_sleep(), cwd=there).pid
    there.rmdir()
    assert table.directory(pid) == os.fsencode(there)


def test_the_directory_of_the_dead_is_not_seen(table: Table, spawn: Spawner, zombie: int) -> None:
    """To ask for the directory of a process that is gone or dead raises Unseen."""
    for pid in (gone(spawn), zombie):
        with pytest.raises(Unseen):
            table.directory(pid)


def test_the_executable_is_a_resolved_path(table: Table, spawn: Spawner, tmp_path: Path) -> None:
    """The program is told by the file that runs, not by the link that it was started through."""
    sleep = os.path.realpath(shutil.which("sleep") or "")
    link = tmp_path / "nap"
    link.symlink_to(sleep)
    assert table.executable(spawn(link, "3600").pid) == os.fsencode(sleep)


def test_an_executable_that_was_removed_keeps_its_name(
    table: Table, spawn: Spawner, tmp_path: Path
) -> None:
    """A program that was deleted or replaced while it runs is told by the name it had."""
    program = tmp_path / "worker"
    shutil.copy(shutil.which("sleep") or "", program)
    pid = spawn(program, "3600").pid
    program.unlink()
    assert table.executable(pid) == os.fsencode(program)


def test_the_executable_of_the_dead(table: Table, spawn: Spawner, zombie: int) -> None:
    """The program of a process that is gone or dead is not known."""
    assert table.executable(gone(spawn)) is None
    assert table.executable(zombie) is None


@pytest.mark.needs("autogroup")
def test_a_session_has_a_mark_that_no_other_session_has(table: Table, spawn: Spawner) -> None:
    """All in it share it; a system that has none says nothing."""
    shell = spawn("sh", "-c", "sleep 3600 & echo $!; wait")
    member, other = int(line(shell)), spawn(*unique_sleep())
    marks = [table.session_mark(pid) for pid in (shell.pid, member, other.pid)]
    if isinstance(table, PsutilTable):
        assert marks == [b"", b"", b""]
    else:
        assert marks[0] == marks[1] != marks[2]
        assert all(marks)
    assert table.session_mark(gone(spawn)) == b""


def test_where_it_was_started_is_what_its_shell_said(
    table: Table, spawn: Spawner, tmp_path: Path, zombie: int
) -> None:
    """PWD of the environment that a process was started with, if it is there."""
    pid = spawn(*unique_sleep(), env={"PWD": "/some where"}).pid
    # Nothing is there in the middle of exec.
    eventually(lambda: table.variable(pid, b"PWD") == b"/some where")
    without = spawn("env", "-i", *unique_sleep()).pid
    eventually(lambda: (table.command_line(without) or (b"",))[0] == b"sleep")
    assert table.variable(without, b"PWD") is None
    third = spawn("env", "-i", "PATH=/bin:/usr/bin", "XA=1", "A=b=c", *unique_sleep()).pid
    eventually(lambda: (table.command_line(third) or (b"",))[0] == b"sleep")
    assert table.variable(third, b"A") == b"b=c"
    assert table.variable(third, b"X") is None
    assert table.variable(gone(spawn), b"PWD") is None
    assert table.variable(zombie, b"PWD") is None


# --- alive ------------------------------------------------------------------------------------


def test_alive_is_that_very_process(table: Table, spawn: Spawner) -> None:
    """A process is alive until it ends, reaped or not; the same pid at another time is not it."""
    child = spawn(*unique_sleep())
    process = facts_of(table, child.pid).process
    assert table.is_alive(process)
    assert not table.is_alive(Process(process.pid, process.start + 1))
    os.kill(child.pid, signal.SIGSTOP)
    assert table.is_alive(process)
    child.kill()
    eventually(lambda: not table.is_alive(process), within=120)  # as a zombie already
    child.wait()
    assert not table.is_alive(process)


def test_now_is_in_the_unit_of_start_times(table: Table, spawn: Spawner) -> None:
    """A process starts between a `now` before and a `now` after, and a second has its ticks."""
    before = table.now()
    process = facts_of(table, spawn(*unique_sleep()).pid).process
    after = table.now()
    # On Linux psutil knows the time of boot to the second only, start times to the tick.
    blur = 1 if isinstance(table, LinuxTable) else table.ticks(1)
    assert before - blur <= process.start <= after + blur
    assert table.ticks(1.5) == os.sysconf("SC_CLK_TCK") * 3 // 2
    assert table.ticks(0) == 0
    eventually(lambda: table.now() > after)


def test_boot_and_namespace_are_the_same_for_everybody(
    table: Table, kind: type[Any], spawn: Spawner
) -> None:
    """Two processes of one machine agree on its boot and on their pid namespace."""
    told = answer(spawn, python(_asking(kind, "[table.boot(), table.namespace()]")))
    assert told == [table.boot().decode(), table.namespace().decode()]
    assert all(told)


@pytest.mark.needs("unshare")
def test_another_pid_namespace_has_another_name(spawn: Spawner) -> None:
    """Inside a pid namespace the boot is the same and the namespace is not."""
    code = _asking(LinuxTable, "[table.boot(), table.namespace()]")
    boot, inner = answer(spawn, namespace(*python(code)))
    assert boot == LinuxTable().boot().decode()
    assert inner != LinuxTable().namespace().decode()


def test_lineage_leads_to_the_first_process(table: Table, spawn: Spawner) -> None:
    """The ancestors of a process are told parent first, each older than the next."""
    above = lineage(table, facts_of(table, spawn(*unique_sleep()).pid))
    assert above[0] == me(table).process
    assert above == sorted(above, key=lambda process: process.start, reverse=True)


def test_this_system_has_the_table_of_its_kind() -> None:
    """On Linux the table is the one that reads /proc."""
    assert isinstance(open_table(), LinuxTable)


# --- what may not be seen ---------------------------------------------------------------------


def _asking(kind: type[Any], expression: str) -> str:
    """A program that prints what `expression` gives; it may use `table` and `ask`."""
    return (
        "import json, os, sys\n"
        f"from {kind.__module__} import {kind.__name__} as Kind\n"
        "from lifeline.processes.table import Process, Unseen, lineage, me\n"
        "table = Kind()\n"
        "pid = int([*sys.argv, os.getpid()][1])\n"
        "def ask(what, *arguments):\n"
        "    try:\n"
        "        return repr(what(*arguments))\n"
        "    except Unseen as error:\n"
        "        return 'unseen'\n"
        f"print(json.dumps({expression}, default=bytes.decode))\n"
    )


OTHERS = """{
    "directory": ask(table.directory, pid), "executable": ask(table.executable, pid),
    "variable": ask(table.variable, pid, b"PWD"), "command_line": ask(table.command_line, pid),
    "facts": ask(table.facts, pid)[:7], "user": ask(table.user, pid),
    "candidate": pid in dict(table.candidates(b"")), "listed": pid in table.pids(),
    "alive": table.is_alive(Process(pid, 0)), "lineage": len(lineage(table, me(table))) > 0,
}"""


@pytest.mark.needs("nobody")
def test_what_another_user_may_not_see_is_said_to_be_unseen(
    kind: type[Any], spawn: Spawner
) -> None:
    """Of a process of root an ordinary user sees facts and command line, and no directory."""
    words = unique_sleep()
    pid = spawn(*words).pid
    told = answer(spawn, [*AS_NOBODY, *python(_asking(kind, OTHERS), str(pid))])
    assert told["directory"] == "unseen"
    assert told["executable"] == told["variable"] == "None"
    assert told["command_line"] == repr(tuple(map(os.fsencode, words)))
    assert (told["user"], told["candidate"], told["listed"]) == ("0", True, True)


@pytest.mark.needs("nobody", "unshare")
@pytest.mark.parametrize("option", ["hidepid=1", "hidepid=2"])
def test_under_hidepid_others_are_unseen_or_gone(
    kind: type[Any], option: str, spawn: Spawner
) -> None:
    """hidepid makes another user's process unseen or absent, never an error and no candidate."""
    pid = spawn(*unique_sleep()).pid
    told = answer(spawn, hidden(option, *AS_NOBODY, *python(_asking(kind, OTHERS), str(pid))))
    nothing = ("None", "unseen")
    assert told["directory"] == "unseen"
    assert told["executable"] == told["variable"] == "None"
    assert told["command_line"] in nothing
    assert told["facts"] in nothing
    assert told["candidate"] is False
    assert told["listed"] is (option == "hidepid=1")


@pytest.mark.needs("nobody", "unshare")
def test_one_of_our_own_that_hidepid_hides_could_be_anything(spawn: Spawner) -> None:
    """A process of this user that made itself undumpable is a candidate that shows nothing."""
    code = "import ctypes, time; ctypes.CDLL(None).prctl(4, 0); print(flush=True); time.sleep(3600)"
    undumpable = spawn(*AS_NOBODY, *python(code))
    line(undumpable)
    pid = str(undumpable.pid)
    expression = "dict(table.candidates(b'no such')).get(pid, 'none')"
    asking = [*AS_NOBODY, *python(_asking(LinuxTable, expression), pid)]
    assert answer(spawn, hidden("hidepid=1", *asking)) == []
    assert answer(spawn, asking) == "none"


# --- in the middle of exec --------------------------------------------------------------------

FREEZE = """
import threading
from {module} import {name} as Kind

def words(found):
    return None if found is None else list(map(bytes.decode, found))

table = Kind()
told = {{"before": words(table.command_line(pid)), "waited": words(table.after_exec(pid)),
         "candidate": words(dict(table.candidates(b"x")).get(pid))}}
facts = table.facts(pid)
told["dead"], told["alive"] = facts.is_dead, table.is_alive(facts.process)
waiter = threading.Thread(target=lambda: told.update(after=words(table.after_exec(pid))))
waiter.start()
server.stdin.write(b"\\n")
server.stdin.flush()
waiter.join()
result = told
"""


@pytest.mark.needs("fuse", "unshare")
def test_one_in_the_middle_of_exec(kind: type[Any], spawn: Spawner, tmp_path: Path) -> None:
    """A process that hangs in exec shows nothing and could be anything; once it goes on, it shows.

    In a pid namespace of its own, or every other test's starters would be puzzled by it.
    """
    inside = Agent(spawn, *namespace())
    pid, argv = freeze(inside, tmp_path / "mount", "3600.25")
    told = inside.do(FREEZE.format(module=kind.__module__, name=kind.__name__), pid=pid)
    assert told["before"] == told["candidate"] == told["waited"] == []
    assert (told["dead"], told["alive"]) == (False, True)
    assert told["after"] == argv


# --- the election on each table ---------------------------------------------------------------

STARTER = """
import sys
from {module} import {name} as Kind
from lifeline.processes import table

table.open_table = Kind
from lifeline.__main__ import start

start()
"""

ROUND = """
import json, os, signal, subprocess, sys, time

log, *argv = sys.argv[1:]
starters = [subprocess.Popen(argv, start_new_session=True) for _ in range(8)]
while sum(each.poll() is None for each in starters) > 1:
    time.sleep(0.01)
while not (os.path.exists(log) and open(log).read()):
    time.sleep(0.01)
left = [each.returncode for each in starters if each.returncode is not None]
later = subprocess.run(argv, capture_output=True, text=True)
os.kill(int(open(log).read().split()[0]), signal.SIGTERM)
print(json.dumps({"left": left, "later": [later.returncode, later.stdout, later.stderr],
                  "all": [each.wait() for each in starters]}))
"""


@pytest.mark.needs("unshare")
@pytest.mark.parametrize("how", [(), ("--exec",)], ids=["supervised", "exec"])
def test_of_many_starters_exactly_one_runs(
    kind: type[Any], how: tuple[str, ...], spawn: Spawner, tmp_path: Path
) -> None:
    """Simultaneous starters on either table give one runner; later ones find it and leave.

    In a pid namespace of its own: psutil knows no namespaces and would see into the other tests'.
    """
    work = Work(tmp_path / "work")
    starter = tmp_path / "lifeline"  # by this name it is recognised as a runner
    starter.write_text(STARTER.format(module=kind.__module__, name=kind.__name__))
    argv = [sys.executable, str(starter), *run()[1:], *how, "--", *work.argv]
    told = answer(spawn, namespace(*python(ROUND, work.directory / "log", *argv)), timeout=110)
    assert told == {"left": [0] * 7, "later": [0, "", ""], "all": [0] * 8}
    work.check(starts=1)
