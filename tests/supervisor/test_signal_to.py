"""`--signal-to main`: a warm shutdown, in which children finish what they have in hand."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from lifeline.ending import _given_grace
from lifeline.processes.table import LinuxTable
from support.lifelines import LIFELINE, Work, lifeline, run
from support.spawning import Spawner, alive, look
from support.waiting import eventually

LONG = ("--grace", "1h")  # no test waits for that: what ends sooner was not ended by KILL
MAIN = ("--signal-to", "main")
SIGNALS = [signal.SIGTERM, signal.SIGINT]

# A pool: the main process lets its children finish when it is told to end. One is in its process
# group, one in a session of its own (an RQ work-horse), and one has lost its parent.
POOL = """
def hear(number, _):
    say("heard %d" % number)


def worker(word):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, hear)
    say(word)
    while not os.path.exists(HERE + "/go"):
        time.sleep(0.01)
    say("done")
    os._exit(0)


def finish(number, _):
    hear(number, _)
    if os.fork() == 0:
        worker("late")
    for _ in range(3):
        os.wait()
    say("clean")
    os._exit(7)


if os.fork() == 0:
    worker("worker")
if os.fork() == 0:
    os.setsid()
    worker("worker")
if os.fork() == 0:
    if os.fork() == 0:
        worker("orphan")
    os._exit(0)
os.wait()
signal.signal(signal.SIGTERM, finish)
signal.signal(signal.SIGINT, finish)
signal.signal(signal.SIGUSR1, hear)
say("up")
while True:
    time.sleep(0.01)
"""


def pool(tmp_path: Path, body: str = POOL) -> Work:
    return Work(tmp_path / "job", body)


def start(spawn: Spawner, work: Work, *options: str) -> subprocess.Popen[str]:
    """The runner of a pool whose workers all work."""
    runner = spawn(*run(*LONG, *options, "--", *work.argv))
    work.wait_for("up")
    workers(work)
    return runner


def workers(work: Work) -> list[int]:
    """The three of a pool, once all work; the one without a parent is the last."""
    return [*work.wait_for("worker", 2), *work.wait_for("orphan")]


def heard(work: Work) -> list[tuple[int, int]]:
    """(pid, signal) of all that was heard."""
    lines = [line.split() for line in work.lines()]
    return [(int(line[0]), int(line[2])) for line in lines if line[1] == "heard"]


def finishes(work: Work, number: int) -> None:
    """The main process alone is told, and all that it has started finish."""
    (main,), (orphan,) = work.said("up"), work.said("orphan")
    work.wait_for("late")
    assert heard(work) == [(main, number)]
    work.make("go")
    work.wait_for("done", 4)
    # Once the main process has gone, what is left is told, if there is anybody.
    assert heard(work) in ([(main, number)], [(main, number), (orphan, signal.SIGTERM)])


@pytest.mark.parametrize("number", SIGNALS)
def test_the_main_process_alone_is_told(
    tmp_path: Path, spawn: Spawner, number: signal.Signals
) -> None:
    """Its children hear nothing while it finishes them, wherever they are; nor does a new one."""
    work = pool(tmp_path)
    runner = start(spawn, work, *MAIN)
    runner.send_signal(number)
    finishes(work, number)
    assert runner.wait(120) == 7
    assert work.said("clean")
    assert spawn.mine() == []


@pytest.mark.parametrize("nested", [False, True], ids=["alone", "nested"])
def test_terminate_leaves_it_to_the_runner(tmp_path: Path, spawn: Spawner, nested: bool) -> None:
    """It has no TERM for what is below a runner; nor has a runner for what is below another."""
    work = pool(tmp_path)
    inner = [*run("--name", f"{tmp_path.name}-in", *LONG, *MAIN, "--"), *work.argv]
    name = f"{tmp_path.name}-out"
    outer = run("--name", name, *LONG, "--", *inner) if nested else inner
    runner = spawn(*outer)
    work.wait_for("up")
    workers(work)
    ending = spawn(LIFELINE, "terminate", *LONG, "--json", name if nested else f"{name[:-4]}-in")
    finishes(work, signal.SIGTERM)
    assert runner.wait(120) == 7
    out, err = ending.communicate(timeout=120)
    assert (ending.returncode, err) == (0, "")
    # What is below the runner was ended by that.
    assert {each["pid"]: each["signal"] for each in json.loads(out)}.pop(runner.pid) == "TERM"
    assert {each["signal"] for each in json.loads(out)} == {"TERM", None}
    assert work.said("clean")


def test_to_a_group_it_goes_to_all(tmp_path: Path, spawn: Spawner) -> None:
    """The default, or the test above would show nothing."""
    work = pool(tmp_path)
    runner = start(spawn, work)
    runner.send_signal(signal.SIGTERM)
    told = {*work.said("up"), *workers(work)}
    eventually(lambda: {pid for pid, _ in heard(work)} == told, within=120)
    work.make("go")
    assert runner.wait(120) == 7


@pytest.mark.parametrize("whom", ["group", "main"])
def test_other_signals_go_the_same_way(tmp_path: Path, spawn: Spawner, whom: str) -> None:
    """USR1 would be the soft time limit of every process of a Celery pool."""
    work = pool(tmp_path)
    runner = start(spawn, work, "--signal-to", whom)
    (main,) = work.said("up")
    group = [pid for pid in workers(work) if (seen := look(pid)) and seen.pgid == main]
    assert len(group) == 2
    runner.send_signal(signal.SIGUSR1)
    told = {main} if whom == "main" else {main, *group}
    eventually(lambda: {pid for pid, _ in heard(work)} == told, within=120)
    runner.send_signal(signal.SIGTERM)
    work.make("go")
    assert runner.wait(120) == 7
    others = [(pid, number) for pid, number in heard(work) if number == signal.SIGUSR1]
    assert {pid for pid, _ in others} == told


LEAVES = """
def leave(number, _):
    say("heard %d" % number)
    os._exit(0)


signal.signal(signal.SIGTERM, leave)
if os.fork() == 0:
    os.setsid()
    say("worker")
    while True:
        time.sleep(0.01)
say("up")
while True:
    time.sleep(0.01)
"""


def test_what_the_main_process_leaves_gets_term_then(tmp_path: Path, spawn: Spawner) -> None:
    """One that does not care for its children does not keep the runner for the grace."""
    work = pool(tmp_path, LEAVES)
    runner = spawn(*run(*LONG, *MAIN, "--", *work.argv))
    (main,), (child,) = work.wait_for("up"), work.wait_for("worker")
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(120) == 0
    assert heard(work) == [(main, signal.SIGTERM), (child, signal.SIGTERM)]
    assert spawn.mine() == []


STUBBORN = """
signal.signal(signal.SIGTERM, lambda *_: say("told"))
for word in ("worker", "up"):
    if word == "up" or os.fork() == 0:
        say(word)
        while True:
            time.sleep(0.01)
"""


HEARS = """
signal.signal(signal.SIGTERM, lambda number, _: say("heard %d" % number))
word = "up" if os.fork() else "worker"
if word == "worker":
    os.setsid()
say(word)
while not os.path.exists(HERE + "/go"):
    time.sleep(0.01)
"""


def test_when_the_runner_is_killed_the_rest_is_told(tmp_path: Path, spawn: Spawner) -> None:
    """`terminate` leaves it to the runner for only as long as that is there."""
    work = pool(tmp_path, HEARS)
    runner = spawn(*run(*LONG, *MAIN, "--", *work.argv))
    (main,), (child,) = work.wait_for("up"), work.wait_for("worker")
    ending = spawn(LIFELINE, "terminate", *LONG, "--", *work.argv)
    eventually(lambda: heard(work), within=120)
    assert heard(work) == [(main, signal.SIGTERM)]
    runner.kill()
    eventually(lambda: (child, signal.SIGTERM) in heard(work), within=120)
    work.make("go")
    assert ending.wait(120) == 0


@pytest.mark.parametrize("how", ["grace", "asked twice"])
def test_kill_is_for_all(tmp_path: Path, spawn: Spawner, how: str) -> None:
    """After the grace, or at once if it is asked for twice, nobody is left."""
    work = pool(tmp_path, STUBBORN)
    grace = ("--grace", "300ms") if how == "grace" else LONG
    runner = spawn(*run(*grace, *MAIN, "--", *work.argv))
    (main,) = work.wait_for("up")
    work.wait_for("worker")
    runner.send_signal(signal.SIGTERM)
    if how == "asked twice":
        assert work.wait_for("told") == [main]
        runner.send_signal(signal.SIGTERM)
    assert runner.wait(120) == 128 + signal.SIGKILL
    assert set(work.said("told")) <= {main}
    assert spawn.mine() == []


def test_a_stopped_pool_is_continued(tmp_path: Path, spawn: Spawner) -> None:
    """All of it: a child that is stopped would keep the main process waiting."""
    work = pool(tmp_path)
    runner = start(spawn, work, *MAIN)
    (main,) = work.said("up")
    pids = [main, *workers(work)]
    for pid in pids:
        subprocess.run(["kill", "-STOP", str(pid)], check=True)
    eventually(lambda: {seen.state for pid in pids if (seen := look(pid))} == {"T"})
    runner.send_signal(signal.SIGTERM)
    finishes(work, signal.SIGTERM)
    assert runner.wait(120) == 7
    assert not any(map(alive, pids))


def test_a_file_can_say_so(tmp_path: Path, spawn: Spawner) -> None:
    """`signal-to = "main"`, for `run NAME` and for whoever ends it."""
    work = pool(tmp_path)
    name = f"pool-{tmp_path.name}"
    words = json.dumps(work.argv)
    (tmp_path / "lifeline.toml").write_text(
        f'[lifeline."{name}"]\ncommand = {words}\nsignal-to = "main"\ngrace = "1h"\n'
    )
    runner = spawn(*run(name))
    work.wait_for("up")
    workers(work)
    ending = spawn(LIFELINE, "terminate", name)
    finishes(work, signal.SIGTERM)
    assert (runner.wait(120), ending.wait(120)) == (7, 0)


@pytest.mark.parametrize(("given", "seconds"), [("1h", 3600), ("2s", 10), (None, 10)])
def test_terminate_gives_the_grace_of_the_run(
    tmp_path: Path, spawn: Spawner, given: str | None, seconds: float
) -> None:
    """Without one of its own, so that it does not kill what the runner would let finish."""
    work = pool(tmp_path, "stand_by('up')\n")
    runner = spawn(*run(*(("--grace", given) if given else ()), "--", *work.argv))
    work.wait_for("up")
    table = LinuxTable()
    facts = table.facts(runner.pid)
    assert facts
    assert _given_grace(table, frozenset([facts.process])) == seconds
    assert lifeline(spawn, "terminate", "--", *work.argv).returncode == 0
