"""Pitfalls of who may see whom: zombies, stopped processes, users, namespaces, hidepid."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from support.agent import Agent
from support.lifelines import (
    AS_NOBODY,
    LIFELINE,
    Work,
    hidden,
    lifeline,
    line,
    namespace,
    python,
    run,
    tick,
    unique_sleep,
)
from support.spawning import Spawner, alive, look
from support.waiting import eventually

FOUND = ("--exit-code-if-running", "9")
NOBODY = 65534


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


def open_to_nobody(work: Work, tmp_path: Path) -> dict[str, str]:
    """Let another user work there too; the environment that gives it a state directory."""
    work.directory.chmod(0o777)
    work.make("log")
    (work.directory / "log").chmod(0o666)
    state = tmp_path / "state of nobody"
    state.mkdir(0o700)
    os.chown(state, NOBODY, NOBODY)
    return {"LIFELINE_STATE_DIR": str(state)}


def state(pid: int) -> str:
    """The state letter of a process, or nothing if it is gone."""
    seen = look(pid)
    return seen.state if seen else ""


# --- P6, P7: zombies and stopped ones ---------------------------------------------------------


def test_p6_a_zombie_is_no_twin(spawn: Spawner, work: Work) -> None:
    """P6: a run that has ended but was not reaped does not keep the next one from starting."""
    argv = run(*FOUND, "--", *work.argv)
    keeper = spawn("sh", "-c", '"$@" & exec sleep 3600', "sh", *argv)  # never reaps its child
    (first,) = work.wait_for("start")
    seen = look(first)
    assert seen
    os.kill(first, signal.SIGTERM)
    eventually(lambda: state(seen.ppid) == "Z")
    assert alive(keeper.pid)
    told = lifeline(spawn, "explain", "--", *work.argv)
    assert "start the command" in told.stdout
    spawn(*argv)
    work.wait_for("start", times=2)
    work.check(starts=2)


def test_p6_a_zombie_on_record_is_no_twin(spawn: Spawner, work: Work) -> None:
    """P6: a record that names a zombie names nobody: killed, not reaped, started again."""
    argv = run(*FOUND, "--exec", "--", *work.argv)
    spawn("sh", "-c", '"$@" & exec sleep 3600', "sh", *argv)
    (first,) = work.wait_for("start")
    os.kill(first, signal.SIGKILL)
    eventually(lambda: state(first) == "Z")
    spawn(*argv)
    work.wait_for("start", times=2)
    work.check(starts=2)


def test_p6_a_twin_whose_first_thread_has_ended_is_alive(spawn: Spawner) -> None:
    """P6: a process that shows as a zombie while its other threads work is a twin, and is ended."""
    code = (
        "import ctypes, threading, time\n"
        "threading.Thread(target=time.sleep, args=(3600,)).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    argv = python(code, unique_sleep()[1])
    pid = spawn(*argv).pid
    eventually(lambda: state(pid) == "Z", within=120)
    assert tick(spawn, *FOUND, "--", *argv).returncode == 9
    ended = lifeline(spawn, "terminate", "--grace", "200ms", "--", *argv)
    assert ended.returncode == 0, ended.stderr
    assert "ended pid" in ended.stdout


@pytest.mark.parametrize("how", [[], ["--exec"], None], ids=["supervised", "exec", "plain"])
def test_p7_a_stopped_twin_is_a_twin(how: list[str] | None, spawn: Spawner, work: Work) -> None:
    """P7: a stopped run counts, `explain` and `status` say that it is stopped; it can be ended."""
    started = spawn(*work.argv) if how is None else spawn(*run(*how, "--", *work.argv))
    (pid,) = work.wait_for("start")
    for each in {pid, started.pid}:
        os.kill(each, signal.SIGSTOP)
    eventually(lambda: state(pid) == state(started.pid) == "T")
    assert tick(spawn, *FOUND, "--", *work.argv).returncode == 9
    assert "stopped" in lifeline(spawn, "explain", "--", *work.argv).stdout
    assert "(stopped)" in lifeline(spawn, "status", "--", *work.argv).stdout
    ended = lifeline(spawn, "terminate", "--", *work.argv)
    assert ended.returncode == 0
    assert "KILL" not in ended.stdout
    assert work.said("end") == [pid]  # it was let go on, and ended in order
    assert not alive(pid)
    started.wait(120)


# --- P11: pid namespaces ----------------------------------------------------------------------


@pytest.mark.needs("unshare")
def test_p11_a_run_in_a_container_is_not_mine(spawn: Spawner, work: Work, tmp_path: Path) -> None:
    """P11: the host sees the container's run with the same command line, and runs its own.

    Each finds its own again, and ends only its own.
    """
    inside = Agent(spawn, *namespace())
    inner = {"LIFELINE_STATE_DIR": str(tmp_path / "state inside")}
    other = Work(tmp_path / "other", "stand_by('start')\n")
    argv = run(*FOUND, "--", *other.argv)
    inside.start(*argv, **inner)
    other.wait_for("start")
    spawn(*argv)
    other.wait_for("start", times=2)
    assert tick(spawn, *FOUND, "--", *other.argv).returncode == 9
    assert inside.run(*argv, **inner).returncode == 9
    told = lifeline(spawn, "explain", "--", *other.argv).stdout
    assert "is in another pid namespace (a container)" in told
    assert lifeline(spawn, "terminate", "--", *other.argv).returncode == 0
    assert inside.run(*argv, **inner).returncode == 9
    work.check(starts=0)


@pytest.mark.needs("unshare")
def test_p11_a_record_of_another_namespace_tells_nothing(spawn: Spawner, tmp_path: Path) -> None:
    """P11: with one state directory for both, no pid of one is taken for a process of the other."""
    work = Work(tmp_path / "work", "stand_by('start')\n")
    argv = run(*FOUND, "--", *work.argv)
    inside = Agent(spawn, *namespace())
    inside.start(*argv)
    work.wait_for("start")
    spawn(*argv)
    work.wait_for("start", times=2)
    assert inside.run(*argv).returncode == 9
    assert tick(spawn, *FOUND, "--", *work.argv).returncode == 9


@pytest.mark.needs("unshare", "root")
def test_p11_the_proc_of_another_namespace_is_refused(spawn: Spawner) -> None:
    """P11: in a pid namespace with the host's /proc nothing can be told: exit 75, and a way out."""
    found = spawn.run("unshare", "--pid", "--fork", LIFELINE, "run", "--", "true")
    assert found.returncode == 75
    assert "/proc belongs to another pid namespace" in found.stderr


@pytest.mark.needs("unshare", "root")
def test_p11_without_proc_nothing_can_be_told(spawn: Spawner) -> None:
    """P11: where /proc is not mounted at all the answer is exit 75."""
    found = spawn.run(
        "unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh",
        *run("--", "true"),
    )  # fmt: skip
    assert found.returncode == 75, found.stderr
    assert "/proc is not mounted" in found.stderr


# --- P13: hidepid -----------------------------------------------------------------------------

hidepid = pytest.mark.parametrize("option", ["hidepid=1", "hidepid=2"])


@pytest.mark.needs("nobody", "unshare")
@hidepid
def test_p13_under_hidepid_an_ordinary_user_is_served(
    option: str, spawn: Spawner, work: Work, tmp_path: Path
) -> None:
    """P13: with other users' processes hidden, one's own are found, explained, listed and ended."""
    env = open_to_nobody(work, tmp_path)
    user = Agent(spawn, *hidden(option, *AS_NOBODY), env=env)
    assert user.run("sh", "-c", "cat /proc/1/cmdline").returncode != 0  # they are hidden
    argv = run(*FOUND, "--", *work.argv)
    user.start(*argv)
    (pid,) = work.wait_for("start")
    assert user.run(*argv).returncode == 9
    (tmp_path / "state of nobody" / "runs").rename(tmp_path / "forgotten")
    found = user.run(*argv)  # by the process table alone
    assert (found.returncode, found.stderr) == (9, "")
    assert "leave, because pid" in user.run(LIFELINE, "explain", "--", *work.argv).stdout
    assert user.run(LIFELINE, "status", "--", *work.argv).returncode == 0
    assert user.run(LIFELINE, "status").returncode == 0
    ended = user.run(LIFELINE, "terminate", "--", *work.argv)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert not alive(pid)
    work.check(starts=1)


@pytest.mark.needs("unshare", "root")
@hidepid
def test_p13_under_hidepid_root_sees_everything(option: str, spawn: Spawner, work: Work) -> None:
    """P13: hidepid hides nothing from root, so nothing changes."""
    argv = run(*FOUND, "--", *work.argv)
    spawn(*argv)
    work.wait_for("start")
    assert spawn.run(*hidden(option, *argv)).returncode == 9


UNDUMPABLE = "import ctypes, time; ctypes.CDLL(None).prctl(4, 0); print(flush=True); time.sleep(60)"


@pytest.mark.needs("nobody", "unshare")
def test_p13_one_of_mine_that_hidepid_hides_is_unknown(
    spawn: Spawner, work: Work, tmp_path: Path
) -> None:
    """P13: under hidepid=1 an own process that nobody may look into could be the twin: exit 75."""
    env = open_to_nobody(work, tmp_path)
    undumpable = spawn(*AS_NOBODY, *python(UNDUMPABLE))  # as ssh-agent is
    line(undumpable)
    user = Agent(spawn, *hidden("hidepid=1", *AS_NOBODY), env=env)
    found = user.run(*run("--", *work.argv))
    assert found.returncode == 75
    assert f"cannot tell whether pid {undumpable.pid}" in found.stderr
    assert "hidepid" in found.stderr
    told = user.run(LIFELINE, "explain", "--", *work.argv).stdout
    assert f"{undumpable.pid}  yes     unknown" in told
    undumpable.kill()
    undumpable.wait()
    assert user.run(LIFELINE, "run", "--", "true").returncode == 0
    work.check(starts=0)


@pytest.mark.needs("nobody")
def test_p13_one_of_mine_that_is_not_dumpable_is_no_trouble_without_hidepid(
    spawn: Spawner, work: Work, tmp_path: Path
) -> None:
    """P13: without hidepid its command line shows that it is another command."""
    env = open_to_nobody(work, tmp_path)
    line(spawn(*AS_NOBODY, *python(UNDUMPABLE)))
    user = Agent(spawn, *AS_NOBODY, env=env)
    found = user.run(LIFELINE, "run", "--", "true", unique_sleep()[1])
    assert (found.returncode, found.stderr) == (0, "")


# --- P14: users -------------------------------------------------------------------------------


@pytest.mark.needs("nobody")
def test_p14_another_users_run_is_not_mine(spawn: Spawner, tmp_path: Path) -> None:
    """P14: root and an ordinary user each have their own run of one command, and end only that."""
    work = Work(tmp_path / "work", "stand_by('start')\n")
    env = open_to_nobody(work, tmp_path)
    user = Agent(spawn, *AS_NOBODY, env=env)
    argv = run(*FOUND, "--", *work.argv)
    spawn(*argv)
    (roots,) = work.wait_for("start")
    user.start(*argv)
    nobodys = work.wait_for("start", times=2)[1]
    assert user.run(*argv).returncode == 9
    assert tick(spawn, *FOUND, "--", *work.argv).returncode == 9
    assert "belongs to user 0" in user.run(LIFELINE, "explain", "--", *work.argv).stdout
    assert user.run(LIFELINE, "terminate", "--", *work.argv).returncode == 0
    assert alive(roots)
    assert not alive(nobodys)
    spawn.run(*argv)
    user.start(*argv)
    third = work.wait_for("start", times=3)[2]
    assert lifeline(spawn, "terminate", "--", *work.argv).returncode == 0
    assert not alive(roots)
    assert alive(third)


@pytest.mark.needs("nobody")
def test_p14_another_users_state_directory_is_refused(
    spawn: Spawner, work: Work, tmp_path: Path
) -> None:
    """P14: nobody can make a lifeline stand down for ever by a state directory of theirs."""
    env = open_to_nobody(work, tmp_path)
    found = tick(spawn, "--", *work.argv, env=env)
    assert found.returncode == 75
    assert "belongs to user 65534, not to you" in found.stderr
    work.check(starts=0)
