"""lifeline() in programs: every form of it, in processes that fork, end, live on and change."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from lifeline import LifelineError, Outcome, UsageError, find_twins, terminate
from support.agent import Agent
from support.frozen import freeze
from support.lifelines import Work, lifeline, line, namespace, python, run, tick, unique_sleep
from support.spawning import Spawner, alive
from support.waiting import eventually

FOUND = ("--exit-code-if-running", "9")
HEAD = "from lifeline import *\n"
FORMS = {
    "bare": "lifeline()\nwork()\n",
    "with": "with lifeline():\n    work()\n",
    "fn": "sys.exit(0 if lifeline(work).ran else 9)\n",
}


def script(directory: Path, body: str) -> Work:
    return Work(directory / "work", HEAD + body)


@pytest.fixture(params=list(FORMS))
def work(request: pytest.FixtureRequest, tmp_path: Path) -> Work:
    """A script in each form in turn."""
    return script(tmp_path, FORMS[request.param])


# --- the three forms --------------------------------------------------------------------------


def test_one_works_and_the_others_leave(spawn: Spawner, work: Work) -> None:
    """Whatever the form, the second start leaves at once and quietly; it runs again afterwards."""
    first = spawn(*work.argv)
    (pid,) = work.wait_for("start")
    second = spawn.run(*work.argv)
    assert second.returncode == (9 if "ran else 9" in work.script.read_text() else 0)
    assert (second.stdout, second.stderr) == ("", "")
    assert tick(spawn, *FOUND, "--", *work.argv).returncode == 9
    os.kill(pid, signal.SIGTERM)
    assert first.wait(120) == 0
    spawn(*work.argv)
    work.wait_for("start", times=2)
    work.check(starts=2)


def test_eight_at_once_give_one(spawn: Spawner, work: Work) -> None:
    """Of eight that start together one works, whatever the form."""
    starters = [spawn(*work.argv) for _ in range(8)]
    (pid,) = work.wait_for("start")
    eventually(lambda: sum(each.poll() is None for each in starters) == 1, within=100)
    os.kill(pid, signal.SIGTERM)
    assert {each.wait(120) for each in starters} <= {0, 9}
    work.check(starts=1)


def test_the_block_gives_the_turn_to_others(spawn: Spawner, tmp_path: Path) -> None:
    """After `with lifeline():` another process may run, although this one lives on."""
    work = script(tmp_path, "with lifeline():\n    work(until='go')\nstand_by('over')\n")
    first = spawn(*work.argv)
    work.wait_for("start")
    assert spawn(*work.argv).wait(120) == 0
    work.make("go")
    work.wait_for("over")
    spawn(*work.argv)
    work.wait_for("start", times=2)
    assert first.poll() is None
    work.check(starts=2)


def test_a_claim_can_be_released_by_hand(spawn: Spawner, tmp_path: Path) -> None:
    """`claim.release()` is the end of the block without a block; twice is once."""
    body = "claim = lifeline()\nsay('first')\nclaim.release()\nclaim.release()\nstand_by('over')\n"
    work = script(tmp_path, body)
    for times in (1, 2):
        spawn(*work.argv)
        work.wait_for("over", times)


def test_the_outcome_of_fn(spawn: Spawner, tmp_path: Path) -> None:
    """It tells whether fn ran, and what fn returned or which twin runs."""
    body = (
        "def fn(a, b=0):\n"
        "    say('start')\n"
        "    while not os.path.exists(HERE + '/go'): time.sleep(0.01)\n"
        "    return a + b\n"
        "outcome = lifeline(fn, 40, b=2)\n"
        "twin = outcome.twin\n"
        "print(outcome.ran, bool(outcome), outcome.value, twin and twin.pid, twin and twin.how)\n"
    )
    work = script(tmp_path, body)
    first = spawn(*work.argv)
    work.wait_for("start")
    second = spawn.run(*work.argv)
    assert second.stdout == f"False False None {first.pid} record\n"
    work.make("go")
    out, _ = first.communicate(timeout=120)
    assert out == "True True 42 None None\n"


@pytest.mark.parametrize(
    ("raised", "code", "shown"),
    [
        ("SystemExit(7)", 7, ""),
        ("ValueError('x')", 1, "ValueError: x"),
        ("KeyboardInterrupt", -2, ""),
    ],
)
@pytest.mark.parametrize("form", ["lifeline(fn)", "with lifeline():\n    fn()"], ids=["fn", "with"])
def test_what_is_raised_inside_comes_out_and_releases(
    form: str, raised: str, code: int, shown: str, spawn: Spawner, tmp_path: Path
) -> None:
    """SystemExit and every exception pass through, and the claim is given back."""
    body = (
        f"def fn():\n    raise {raised}\n"
        f"try:\n    {form.replace(chr(10), chr(10) + '    ')}\n"
        "except BaseException:\n"
        "    if len(sys.argv) > 1: stand_by('lives on')\n"
        "    raise\n"
    )
    work = script(tmp_path, body)
    ended = spawn.run(*work.argv)
    assert ended.returncode == code
    assert shown in ended.stderr
    spawn(*work.argv, "live on")
    work.wait_for("lives on")
    assert tick(spawn, *FOUND, "--", "sh", "-c", "exit 5", work.script).returncode == 5
    spawn(*work.argv, "live on")
    work.wait_for("lives on", times=2)


def test_turns_are_taken_by_processes_that_live_on(spawn: Spawner, tmp_path: Path) -> None:
    """Three processes call lifeline(fn) over and over: each gets its turns, never two at once."""
    body = "turns = 0\nwhile turns < 5:\n    turns += lifeline(work, 'go').ran\nsay('enough')\n"
    work = script(tmp_path, body)
    work.make("go")
    three = [spawn(*work.argv) for _ in range(3)]
    assert [each.wait(100) for each in three] == [0, 0, 0]
    work.check(starts=15)


# --- living on --------------------------------------------------------------------------------


def test_one_that_stood_down_and_lives_on_blocks_nobody(spawn: Spawner, tmp_path: Path) -> None:
    """It shows the same command line and is older, but it said that it does not contend."""
    body = "outcome = lifeline(work)\nstand_by('passed' if not outcome else 'over')\n"
    work = script(tmp_path, body)
    first = spawn(*work.argv)
    work.wait_for("start")
    passed = spawn(*work.argv)
    work.wait_for("passed")
    first.kill()
    first.wait()
    spawn(*work.argv)
    work.wait_for("start", times=2)
    assert passed.poll() is None
    told = lifeline(spawn, "explain", "--", *work.argv).stdout
    (row,) = [row for row in told.splitlines() if row.startswith(f"{passed.pid} ")]
    assert row.split()[1:3] == ["no", "passive"]


def test_markers_of_dead_processes_do_not_pile_up(
    spawn: Spawner, tmp_path: Path, state_dir: Path
) -> None:
    """A script that cron starts every minute for ever leaves no file behind for each start."""
    work = script(tmp_path, "lifeline(say, 'start')\n")
    for _ in range(6):
        assert spawn(*work.argv).wait(120) == 0
    assert len(work.said("start")) == 6
    assert len(list((state_dir / "passive").iterdir())) <= 1
    assert list((state_dir / "runs").iterdir()) == []


def test_after_a_kill_the_next_start_runs(spawn: Spawner, work: Work) -> None:
    """Killed outright it releases nothing, and nothing has to be cleaned up."""
    for times in range(1, 4):
        process = spawn(*work.argv)
        work.wait_for("start", times=times)
        process.kill()
        process.wait()
    work.check(starts=3)


# --- nesting ----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [(), ("--exec",), ("--name", "{}")], ids=["run", "exec", "name"])
def test_a_script_under_a_runner_has_the_runners_claim(
    how: tuple[str, ...], spawn: Spawner, work: Work
) -> None:
    """`lifeline run -- script` and lifeline() in the script are one lifeline, not two."""
    how = tuple(word.format(unique_sleep()[1]) for word in how)
    runner = spawn(*run(*how, "--", *work.argv))
    (pid,) = work.wait_for("start")
    assert tick(spawn, *FOUND, *how, "--", *work.argv).returncode == 9
    assert spawn.run(*work.argv).returncode in (0, 9)
    os.kill(pid, signal.SIGTERM)
    assert runner.wait(120) == 0
    work.check(starts=1)


def test_claims_in_claims(spawn: Spawner, tmp_path: Path) -> None:
    """An inner claim is the same one; only the end of the outer lets others run."""
    body = (
        "with lifeline():\n"
        "    with lifeline():\n"
        "        lifeline().release()\n"
        "        assert lifeline(lambda: True).value\n"
        "    work(until='go')\n"
    )
    work = script(tmp_path, body)
    first = spawn(*work.argv)
    work.wait_for("start")
    assert spawn(*work.argv).wait(120) == 0
    work.make("go")
    assert first.wait(120) == 0
    work.check(starts=1)


def test_forked_children_belong_to_the_one_that_runs(spawn: Spawner, tmp_path: Path) -> None:
    """A child that calls lifeline() goes on, and what it releases is not the parent's claim."""
    body = (
        "claim = lifeline()\n"
        "if os.fork() == 0:\n"
        "    with lifeline():\n"
        "        say('child in')\n"
        "    claim.release()\n"
        "    assert lifeline(lambda: 5).value == 5\n"
        "    say('child out')\n"
        "    sys.exit()\n"
        "os.wait()\n"
        "work()\n"
    )
    work = script(tmp_path, body)
    first = spawn(*work.argv)
    work.wait_for("start")
    assert len(work.said("child in")) == len(work.said("child out")) == 1
    assert spawn(*work.argv).wait(120) == 0
    assert first.poll() is None
    work.check(starts=1)


def test_children_of_one_that_did_not_claim_contend(spawn: Spawner, tmp_path: Path) -> None:
    """Four forked children of a parent that claims nothing: one of them works, three leave."""
    body = (
        "for _ in range(4):\n"
        "    if os.fork() == 0:\n"
        "        lifeline()\n"
        "        work()\n"
        "say('forked')\n"
        "while True: os.wait()\n"
    )
    work = script(tmp_path, body)
    spawn(*work.argv, stderr=None)
    (pid,) = work.wait_for("start")
    work.wait_for("forked")
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: not alive(pid))
    work.check(starts=1)


WORKERS = """\
import multiprocessing
claim = lifeline()

def task():
    lifeline()
    say("worked")
    while open(HERE + "/log").read().count("worked") < 3:
        time.sleep(0.01)

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    workers = [multiprocessing.Process(target=task) for _ in range(3)]
    [each.start() for each in workers]
    [each.join() for each in workers]
    work()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing_belong_to_their_program(
    method: str, spawn: Spawner, tmp_path: Path
) -> None:
    """They import the program again and so call lifeline() again; all of them go on.

    Two programs at once: the workers of both show the same command line.
    """
    works = [Work(tmp_path / name, HEAD + WORKERS) for name in ("one", "two")]
    for work in works:
        spawn(*work.argv, method, stderr=None)
    for work in works:
        work.wait_for("start")
        assert len(work.said("worked")) == 3
        assert spawn(*work.argv, method).wait(120) == 0
        work.check(starts=1)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_worker_cannot_claim_for_its_program(method: str, spawn: Spawner, tmp_path: Path) -> None:
    """Where the main process did not claim, its worker is refused: nobody could recognise it."""
    body = (
        "import multiprocessing\n"
        "def task():\n    lifeline()\n    say('start')\n"
        "if __name__ == '__main__':\n"
        "    multiprocessing.set_start_method(sys.argv[1])\n"
        "    worker = multiprocessing.Process(target=task)\n"
        "    worker.start()\n    worker.join()\n    sys.exit(worker.exitcode)\n"
    )
    work = script(tmp_path, body)
    ended = spawn.run(*work.argv, method)
    assert ended.returncode == 75
    assert "call lifeline() in the main process" in ended.stderr
    work.check(starts=0)


def test_threads_belong_to_the_one_that_runs(spawn: Spawner, tmp_path: Path) -> None:
    """Threads that call lifeline() at once all go on; another process still leaves."""
    body = (
        "import threading\n"
        "def claim():\n    lifeline()\n    say('thread')\n"
        "threads = [threading.Thread(target=claim) for _ in range(8)]\n"
        "[each.start() for each in threads]\n"
        "[each.join() for each in threads]\n"
        "work()\n"
    )
    work = script(tmp_path, body)
    spawn(*work.argv, stderr=None)
    work.wait_for("start")
    assert len(work.said("thread")) == 8
    assert tick(spawn, *FOUND, "--", *work.argv).returncode == 9
    work.check(starts=1)


@pytest.mark.parametrize("why", ["a twin", "a hold", "a lease", "a store"])
def test_a_thread_that_stands_down_blocks_nobody(why: str, spawn: Spawner, tmp_path: Path) -> None:
    """SystemExit ends the thread, and the process lives on: it is none of the starters any more."""
    lock = {"a lease": f"file:{tmp_path}/locks", "a store": "file:/dev/null/none"}.get(why)
    body = (
        "import threading\n"
        "if os.environ.get('THREAD'):\n"
        f"    thread = threading.Thread(target=lifeline, kwargs={{'lock': {lock!r}}})\n"
        "    thread.start()\n    thread.join()\n    stand_by('lives on')\n"
        "lifeline()\nwork()\n"
    )
    work = script(tmp_path, body)
    first = None
    if why == "a hold":
        assert lifeline(spawn, "hold", "--", *work.argv).returncode == 0
    elif why == "a twin":
        first = spawn(*work.argv)
        work.wait_for("start")
    elif why == "a lease":
        other = "from lifeline import lock; import sys\n"
        other += "with lock(*sys.argv[1:]): print(flush=True); sys.stdin.read()"
        holder = spawn(*python(other, work.script, lock or ""), stdin=-1)
        assert line(holder) == ""
    lives_on = spawn(*work.argv, env={"THREAD": "1"})
    work.wait_for("lives on")
    if first:
        os.kill(first.pid, signal.SIGTERM)
        assert first.wait(120) == 0
    lifeline(spawn, "release", "--", *work.argv)
    before = len(work.said("start"))
    spawn(*work.argv)
    work.wait_for("start", times=before + 1)
    assert lives_on.poll() is None
    work.check(starts=before + 1)


# --- how the program was started --------------------------------------------------------------


def test_a_module_and_code_are_programs(spawn: Spawner, tmp_path: Path) -> None:
    """`python -m` and `python -c` have lifelines like scripts."""
    package = tmp_path / "package"
    package.mkdir()
    work = Work(package, HEAD + "lifeline()\nwork()\n", name="module.py")
    code = f"{HEAD}lifeline(); print(flush=True); import time; time.sleep(3600) # {tmp_path}"
    spawn(sys.executable, "-m", "package.module", cwd=tmp_path)
    work.wait_for("start")
    assert spawn(sys.executable, "-u", "-m", "package.module", cwd=tmp_path).wait(120) == 0
    first = spawn(sys.executable, "-c", code)
    assert first.stdout
    first.stdout.readline()
    assert spawn(sys.executable, "-c", code).wait(120) == 0
    assert first.poll() is None
    work.check(starts=1)


@pytest.mark.parametrize("option", [[], ["-q"], ["-i"], ["-"]], ids=str)
def test_an_interactive_session_is_refused(option: list[str], spawn: Spawner) -> None:
    """A session and a program on standard input have no name to be recognised by: exit 2."""
    told = spawn(sys.executable, *option, stdin=-1)
    _, err = told.communicate("from lifeline import lifeline; lifeline()\n", timeout=60)
    assert told.returncode == 2
    assert "lifeline() needs a program to look for" in err


def test_after_a_change_of_title_it_is_refused(spawn: Spawner, tmp_path: Path) -> None:
    """Whoever cannot be recognised any more is told so, exit 75, and does not run."""
    work = script(
        tmp_path, "import setproctitle\nsetproctitle.setproctitle('other')\nlifeline()\nwork()\n"
    )
    ended = spawn.run(*work.argv)
    assert ended.returncode == 75
    assert "call lifeline() before the title or the directory is changed" in ended.stderr
    work.check(starts=0)


def test_after_a_change_of_directory_it_is_refused(spawn: Spawner, tmp_path: Path) -> None:
    """A script that was started by a relative path cannot be recognised from elsewhere.

    It can if its shell said where it was started (PWD), and if its path was absolute.
    """
    work = script(tmp_path, "os.chdir('/')\nlifeline()\nwork()\n")
    lost = spawn.run(sys.executable, "job.py", cwd=work.directory, env={"PWD": "/"})
    assert lost.returncode == 75
    assert "before the title or the directory is changed" in lost.stderr
    found = spawn("sh", "-c", f"cd {work.directory}; exec {sys.executable} job.py", env={"PWD": ""})
    work.wait_for("start")
    assert spawn(*work.argv, cwd="/").wait(120) == 0
    found.kill()
    found.wait()
    spawn(*work.argv)
    work.wait_for("start", times=2)


# --- what it says -----------------------------------------------------------------------------


def test_a_held_lifeline_is_not_run(spawn: Spawner, work: Work) -> None:
    """Under a hold the script says so, exit 0; fn gives an Outcome without a twin."""
    lifeline(spawn, "hold", "--", *work.argv)
    ended = spawn.run(*work.argv)
    assert ended.returncode == (9 if "ran else 9" in work.script.read_text() else 0)
    assert "held; not started" in ended.stderr
    work.check(starts=0)
    lifeline(spawn, "release", "--", *work.argv)
    spawn(*work.argv)
    work.wait_for("start")


UNKNOWN = {
    "bare": "lifeline()\nwork()\n",
    "with": "with lifeline(): work()\n",
    "fn": "try: lifeline(work)\nexcept CannotTell as e: sys.exit(f'{e.exit_code} {e}')\n",
}


@pytest.mark.needs("fuse", "unshare")
@pytest.mark.parametrize("form", UNKNOWN)
def test_where_it_cannot_be_told_it_is_not_run(form: str, spawn: Spawner, tmp_path: Path) -> None:
    """One that hangs in exec could be the twin: exit 75 with one line; fn raises CannotTell."""
    work = script(tmp_path, UNKNOWN[form])
    inside = Agent(spawn, *namespace())
    pid, _ = freeze(inside, tmp_path / "mount", "3600")
    ended = inside.run(*work.argv)
    assert ended.returncode == (1 if form == "fn" else 75)
    assert ended.stderr.startswith("75 cannot tell" if form == "fn" else "lifeline: cannot tell")
    assert f"pid {pid}" in ended.stderr
    assert ended.stderr.count("\n") == 1
    work.check(starts=0)


# --- find_twins and terminate -----------------------------------------------------------------


@pytest.fixture
def peer(spawn: Spawner) -> Agent:
    """A process that asks. It is beside those that are looked for; a test is above them."""
    return Agent(spawn)


FIND = """
from lifeline import find_twins
keys = ("pid", "how", "argv", "job_pid", "stopped", "since")
result = [{key: getattr(twin, key) for key in keys} for twin in find_twins(command, name=name)]
"""
END = """
from lifeline import terminate
result = [[each.process.pid, each.signal, each.gone] for each in terminate(command, grace=grace)]
"""


def found(peer: Agent, command: list[str] | None = None, name: str | None = None) -> dict[int, Any]:
    """What find_twins tells, by pid."""
    return {each["pid"]: each for each in peer.do(FIND, command=command, name=name)}


def ended(peer: Agent, command: list[str], grace: float = 60.0) -> dict[int, list[Any]]:
    """What terminate tells, by pid."""
    return {each[0]: each[1:] for each in peer.do(END, command=command, grace=grace)}


def test_find_twins_of_a_command(spawn: Spawner) -> None:
    """Every copy is found, whether it began before the one who asks or after, with its facts."""
    words = unique_sleep()
    older = spawn(*words)
    asking = Agent(spawn)
    asking.do("pass")
    younger = spawn(*words)
    os.kill(younger.pid, signal.SIGSTOP)
    eventually(lambda: len(found(asking, words)) == 2)
    told = found(asking, words)
    assert set(told) == {older.pid, younger.pid}
    assert [told[each.pid]["stopped"] for each in (older, younger)] == [False, True]
    twin = told[older.pid]
    assert (twin["how"], twin["argv"], twin["job_pid"]) == ("command line", words, None)
    assert abs(twin["since"] - os.stat(f"/proc/{older.pid}").st_ctime) < 60
    assert found(asking, unique_sleep()) == {}


def test_find_twins_leaves_out_children_and_parents(spawn: Spawner, peer: Agent) -> None:
    """What the one who asks has started, and what has started it, are no twins of it."""
    words = unique_sleep()
    child = peer.start(*words)
    assert found(peer, words) == {}
    assert set(found(Agent(spawn), words)) == {child}


def test_find_twins_of_a_runner(spawn: Spawner, peer: Agent, tmp_path: Path) -> None:
    """A supervised run is found by its record, with the pid of its job; also by name."""
    work = Work(tmp_path / "work")
    name = unique_sleep()[1]
    runner = spawn(*run("--name", name, "--", *work.argv))
    (pid,) = work.wait_for("start")
    twin = found(peer, name=name)[runner.pid]
    assert (twin["how"], twin["job_pid"]) == ("record", pid)
    assert found(peer, name=name + "x") == {}


def test_terminate_ends_every_copy(spawn: Spawner, tmp_path: Path) -> None:
    """Copies that somebody started by hand, before and after the one who asks, are all ended."""
    work = Work(tmp_path / "work", "stand_by('start')\n")
    first = spawn(*work.argv)
    asking = Agent(spawn)
    asking.do("pass")
    by_hand = [first, spawn(*work.argv)]
    work.wait_for("start", times=2)
    assert ended(asking, work.argv) == {each.pid: ["TERM", True] for each in by_hand}
    assert [each.wait(120) for each in by_hand] == [0, 0]
    assert ended(asking, work.argv) == {}


def test_terminate_ends_a_run_on_record_and_the_copies_beside_it(
    spawn: Spawner, peer: Agent, tmp_path: Path
) -> None:
    """A live record does not make it overlook a copy that somebody started by hand."""
    work = Work(tmp_path / "work", "stand_by('start')\n")
    runner = spawn(*run("--", *work.argv))
    work.wait_for("start")
    by_hand = spawn(*work.argv)
    work.wait_for("start", times=2)
    assert {by_hand.pid, runner.pid} <= set(found(peer, work.argv))
    assert {by_hand.pid, runner.pid} <= set(ended(peer, work.argv))
    assert not any(map(alive, work.said("start")))


def test_terminate_kills_after_the_grace(spawn: Spawner, peer: Agent, tmp_path: Path) -> None:
    """The grace is the caller's; whoever outlives it is killed, and told so."""
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsay('start')\ntime.sleep(3600)\n"
    work = Work(tmp_path / "work", body)
    pid = spawn(*work.argv).pid
    work.wait_for("start")
    assert ended(peer, work.argv, grace=0.1) == {pid: ["KILL", True]}


def test_a_program_may_end_its_twin_and_run(spawn: Spawner, tmp_path: Path) -> None:
    """terminate() without a command means this very program; then lifeline() runs."""
    work = script(tmp_path, "if sys.stdin.readline(): terminate()\nlifeline()\nwork()\n")
    first = spawn(*work.argv, stdin=-3)
    work.wait_for("start")
    second = spawn(*work.argv, stdin=-1)
    assert second.stdin
    second.stdin.write("\n")
    second.stdin.flush()
    work.wait_for("start", times=2)
    assert first.wait(120) == 0
    work.check(starts=2)


def test_a_program_does_not_end_itself(spawn: Spawner, tmp_path: Path) -> None:
    """terminate() from inside the run, or below it, is refused; find_twins finds nobody."""
    body = (
        "lifeline()\n"
        "assert find_twins() == []\n"
        "try:\n    terminate()\nexcept LifelineError as error:\n    say(str(error))\n"
        "if os.fork() == 0:\n"
        "    try:\n        terminate()\n"
        "    except LifelineError as error:\n        say(str(error))\n"
        "    os._exit(0)\n"
        "os.wait()\nwork()\n"
    )
    work = script(tmp_path, body)
    spawn(*work.argv, stderr=None)
    work.wait_for("start")
    assert len(work.said("this process is part of that run, so it does not end it")) == 2


def test_wrong_use_is_told() -> None:
    """A command is a list, a name is not a command, and not both."""
    with pytest.raises(UsageError):
        find_twins("sleep 5")
    with pytest.raises(UsageError):
        terminate([])
    with pytest.raises(UsageError):
        find_twins(["sleep"], name="x")
    assert issubclass(UsageError, LifelineError)
    assert not Outcome(False)
