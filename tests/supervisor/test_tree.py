"""The whole tree ends: TERM, CONT to what is stopped, KILL after the grace, and nobody is left.

The jobs here start children that stay, that get away (setsid, double fork), that will not go.
"""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from support.lifelines import Work, run, tick
from support.spawning import Spawner, alive, look
from support.waiting import eventually, in_time

# Jobs here can use this, too.
BODY = '''
def leave(*_):
    say("term")
    os._exit(0)


def away(*steps, on_term=leave):
    """Start a process that gets away from this one by `steps`, and says "away"."""
    if os.fork():
        if "fork" in steps:
            os.wait()
        return
    for step in steps:
        if step == "fork":
            if os.fork():
                os._exit(0)
        elif step == "setsid":
            os.setsid()
        elif step == "setpgid":
            os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, on_term)
    say("away")
    if "execve" in steps:
        os.execve("/bin/sleep", ["sleep", "3600"], {})
    while True:
        time.sleep(0.02)


'''
LONG = ("--grace", "1h")  # no test waits for that: what ends sooner was not ended by KILL
SHORT = ("--grace", "300ms")
WAYS = [
    ("setpgid",),
    ("setsid",),
    ("fork",),
    ("fork", "setsid"),
    ("setsid", "fork"),
    ("setsid", "fork", "execve"),
]
# Sleeps are short: a long one could begin after a signal has come and before its handler is called.
LEAVES = """
signal.signal(signal.SIGTERM, leave)
say("up")
while True:
    time.sleep(0.02)
"""
IGNORES_TERM = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
say("up")
while True:
    time.sleep(0.02)
"""
ways = pytest.mark.parametrize("way", WAYS, ids="+".join)


def job(tmp_path: Path, body: str) -> Work:
    return Work(tmp_path / "job", BODY + body)


def start(spawn: Spawner, work: Work, *options: str) -> subprocess.Popen[str]:
    return spawn(*run(*options, "--", *work.argv))


def end(runner: subprocess.Popen[str], number: int = signal.SIGTERM) -> int:
    """Send the signal to the runner; its exit code."""
    runner.send_signal(number)
    return runner.wait(120)


def nobody_left(spawn: Spawner) -> bool:
    """This very moment, without waiting: the runner said that all had ended."""
    assert spawn.mine() == []
    return True


# --- TERM, CONT, grace, KILL ------------------------------------------------------------------


def test_term_reaches_the_whole_group(tmp_path: Path, spawn: Spawner) -> None:
    """The job, its child and its grandchild each get TERM; the exit status is the job's own."""
    work = job(
        tmp_path,
        """
for _ in range(2):
    if not os.fork():
        continue
    break
signal.signal(signal.SIGTERM, leave)
say("up")
while True:
    time.sleep(0.02)
""",
    )
    runner = start(spawn, work, *LONG)
    pids = work.wait_for("up", 3)
    assert end(runner) == 0
    assert nobody_left(spawn)
    assert sorted(work.said("term")) == sorted(pids)


def test_a_pipeline_of_grandchildren(tmp_path: Path, spawn: Spawner) -> None:
    """Everything in a shell's nested pipelines ends, not only the shell."""
    stage = Work(tmp_path / "stage", "stand_by('up')\n", name="stage.py")
    python, script = stage.argv
    pipeline = tmp_path / "pipeline.sh"
    pipeline.write_text(
        f"(sh -c '{python} {script} | {python} {script}; :') | {python} {script}\n:\n"
    )
    runner = spawn(*run(*LONG, "--", "sh", pipeline))
    pids = stage.wait_for("up", 3)
    assert end(runner) == 128 + signal.SIGTERM
    assert nobody_left(spawn)
    assert not any(map(alive, pids))


@ways
def test_what_got_away_gets_term(tmp_path: Path, spawn: Spawner, way: tuple[str, ...]) -> None:
    """A descendant that left group, session or parent comes back, gets TERM, and is waited for."""
    work = job(tmp_path, f"away(*{way!r})\nstand_by('up')\n")
    runner = start(spawn, work, *LONG)
    (pid,) = work.wait_for("away")
    work.wait_for("up")
    assert end(runner) == 0
    assert nobody_left(spawn)
    assert "execve" in way or work.said("term") == [pid]


@ways
def test_what_ignores_term_is_killed(tmp_path: Path, spawn: Spawner, way: tuple[str, ...]) -> None:
    """What ignores TERM gets KILL after the grace; the exit code is still the job's."""
    work = job(tmp_path, f"away(*{way!r}, on_term=signal.SIG_IGN)\nstand_by('up')\n")
    runner = start(spawn, work, *SHORT)
    work.wait_for("away")
    work.wait_for("up")
    assert end(runner) == 0
    assert nobody_left(spawn)


def test_a_job_that_ignores_term_is_killed(tmp_path: Path, spawn: Spawner) -> None:
    """The job itself gets KILL after the grace, exit 137."""
    work = job(tmp_path, IGNORES_TERM)
    runner = start(spawn, work, *SHORT)
    work.wait_for("up")
    assert end(runner) == 128 + signal.SIGKILL
    assert nobody_left(spawn)


def test_the_grace_is_given(tmp_path: Path, spawn: Spawner) -> None:
    """A job that takes its time after TERM is let finish, and its exit status passed on."""
    work = job(
        tmp_path,
        """
def finish(*_):
    say("term")
    while not os.path.exists(HERE + "/go"):
        time.sleep(0.01)
    say("clean")
    os._exit(9)


signal.signal(signal.SIGTERM, finish)
say("up")
while True:
    time.sleep(0.02)
""",
    )
    runner = start(spawn, work, *LONG)
    work.wait_for("up")
    runner.send_signal(signal.SIGTERM)
    work.wait_for("term")
    work.make("go")
    assert runner.wait(120) == 9
    assert work.said("clean")


@pytest.mark.parametrize("who", ["job", "child", "escaped"])
def test_what_is_stopped_is_continued(tmp_path: Path, spawn: Spawner, who: str) -> None:
    """A stopped process acts on TERM because CONT follows it: it does not have to be killed."""
    work = job(
        tmp_path,
        f"""
who = {who!r}
if who == "child" and os.fork():
    stand_by("up")
if who == "escaped":
    if os.fork():
        stand_by("up")
    os.setsid()
signal.signal(signal.SIGTERM, leave)
say("stopping")
os.kill(os.getpid(), signal.SIGSTOP)
while True:
    time.sleep(0.02)
""",
    )
    runner = start(spawn, work, *LONG)
    (pid,) = work.wait_for("stopping")
    if who != "job":
        work.wait_for("up")
    eventually(lambda: (seen := look(pid)) and seen.state == "T")
    assert end(runner) == 0
    assert nobody_left(spawn)
    assert work.said("term") == [pid]


def test_no_grace_at_all(tmp_path: Path, spawn: Spawner) -> None:
    """With --grace 0s KILL follows TERM at once."""
    work = job(tmp_path, IGNORES_TERM)
    runner = start(spawn, work, "--grace", "0s")
    work.wait_for("up")
    assert end(runner) == 128 + signal.SIGKILL


def test_the_runner_stays_until_all_are_gone(tmp_path: Path, spawn: Spawner) -> None:
    """The job is gone, what it left takes its time: the runner is its parent to the end."""
    work = job(
        tmp_path,
        """
def slowly(*_):
    say("term")
    while not os.path.exists(HERE + "/go"):
        time.sleep(0.01)
    say("child of %d" % os.getppid())
    os._exit(0)


away("setsid", "fork", on_term=slowly)
stand_by("up")
""",
    )
    runner = start(spawn, work, *LONG)
    work.wait_for("away")
    (pid,) = work.wait_for("up")
    runner.send_signal(signal.SIGTERM)
    work.wait_for("term")
    eventually(lambda: look(pid) is None)
    work.make("go")
    assert runner.wait(120) == 0
    assert work.said(f"child of {runner.pid}")
    assert nobody_left(spawn)


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_asking_twice_kills(
    tmp_path: Path, spawn: Spawner, first: signal.Signals, second: signal.Signals
) -> None:
    """A second TERM or INT does not wait for the grace: KILL now, to what got away as well."""
    work = job(
        tmp_path,
        """
def stay(*_):
    say("told")


away("setsid", "fork", on_term=stay)
signal.signal(signal.SIGTERM, stay)
signal.signal(signal.SIGINT, stay)
say("up")
while True:
    time.sleep(0.02)
""",
    )
    runner = start(spawn, work, *LONG)
    work.wait_for("away")
    work.wait_for("up")
    runner.send_signal(first)
    work.wait_for("told", 2)
    assert end(runner, second) == 128 + signal.SIGKILL
    assert nobody_left(spawn)


def test_int_ends_what_a_shell_has_in_the_background(tmp_path: Path, spawn: Spawner) -> None:
    """A shell lets its background processes ignore INT: once it has gone they get TERM."""
    work = job(tmp_path, LEAVES)
    shell = tmp_path / "shell.sh"
    shell.write_text(f"{' '.join(work.argv)} &\n{' '.join(work.argv)} &\nwait\n")
    runner = spawn(*run(*LONG, "--", "sh", shell))
    pids = work.wait_for("up", 2)
    assert end(runner, signal.SIGINT) == 128 + signal.SIGINT
    assert nobody_left(spawn)
    assert sorted(work.said("term")) == sorted(pids)


# --- what is left, and what comes meanwhile ---------------------------------------------------


def test_what_the_job_leaves_is_ended(tmp_path: Path, spawn: Spawner) -> None:
    """A job that ends by itself leaves nobody, however they got away; its status is passed on."""
    ignoring = "on_term=signal.SIG_IGN"
    calls = "\n".join(f"away(*{way!r})\naway(*{way!r}, {ignoring})" for way in WAYS)
    work = job(tmp_path, f"{calls}\nchild()\nchild(ignore_term=True)\nsay('done')\nsys.exit(3)\n")
    ended = tick(spawn, *SHORT, "--", *work.argv)
    assert ended.returncode == 3, ended.stderr
    assert nobody_left(spawn)
    assert work.said("done")


def test_a_job_that_is_killed_leaves_nobody(tmp_path: Path, spawn: Spawner) -> None:
    """KILL to the job alone ends its whole tree, exit 137."""
    work = job(tmp_path, "away('setsid', 'fork')\nchild()\nstand_by('up')\n")
    runner = start(spawn, work, *LONG)
    work.wait_for("away")
    work.wait_for("child")
    (pid,) = work.wait_for("up")
    look_again = look(pid)
    assert look_again and look_again.ppid == runner.pid
    subprocess.run(["kill", "-KILL", str(pid)], check=True)
    assert runner.wait(120) == 128 + signal.SIGKILL
    assert nobody_left(spawn)


@pytest.mark.parametrize("stays", [True, False], ids=["the job stays", "the job goes"])
def test_what_is_forked_while_ending(tmp_path: Path, spawn: Spawner, stays: bool) -> None:
    """Children that are forked after TERM, and get away at once, are ended, too."""
    body = f"""
def fork_on(*_):
    for _ in range(20):
        away("setsid", "fork", on_term=signal.SIG_IGN)
    say("forked")
    if {stays}:
        while True:
            away("setsid", on_term=signal.SIG_IGN)
            time.sleep(0.02)
    os._exit(4)


signal.signal(signal.SIGTERM, fork_on)
say("up")
while True:
    time.sleep(0.02)
"""

    def ends(seconds: float) -> bool:
        directory = tmp_path / f"grace {seconds}"
        directory.mkdir()
        work = job(directory, body)
        runner = start(spawn, work, "--grace", f"{seconds}s")
        work.wait_for("up")
        runner.send_signal(signal.SIGTERM)
        work.wait_for("away")
        code = runner.wait(120)
        assert nobody_left(spawn)
        return code == (128 + signal.SIGKILL if stays else 4)

    in_time(ends)


def test_what_forks_and_exits_over_and_over(tmp_path: Path, spawn: Spawner) -> None:
    """A chain of processes, each gone before anybody can look at it, does not slip through."""
    chain = tmp_path / "chain.sh"
    chain.write_text(f"""
trap '' TERM
next() {{
    n=$((n + 1))
    if [ $n -lt 50000 ]; then next & else : >{tmp_path}/never-ended; fi
}}
next
""")
    ended = tick(spawn, *SHORT, "--", "sh", chain)
    assert ended.returncode == 0, ended.stderr
    assert nobody_left(spawn)
    assert not (tmp_path / "never-ended").exists()


def test_children_that_were_there_before(tmp_path: Path, spawn: Spawner) -> None:
    """What a shell started before it became the runner is none of the job's: it is let be."""
    work = job(tmp_path, LEAVES)
    shell = (
        '"$1" "$2" >/dev/null 2>&1 & while ! [ -s "$3" ]; do sleep 0.01; done; shift 3; exec "$@"'
    )
    before = (*work.argv, str(work.directory / "log"))
    exits = ("sh", "-c", f"exit 5 # {tmp_path}")
    ended = spawn.run("sh", "-c", shell, "sh", *before, *run(*LONG, "--", *exits))
    assert ended.returncode == 5, ended.stderr
    (pid,) = work.said("up")
    assert alive(pid)
    assert not work.said("term")
