"""define_lifeline_tasks in a real tasks.py, called by the real invoke, in each of its spellings."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from pathlib import Path

import pytest

from support.lifelines import INVOKE, Work, lifeline, run, tick
from support.spawning import Spawner, alive, look
from support.waiting import eventually

INV = str(Path(INVOKE).with_name("inv"))
SPELLINGS = {"invoke": [INVOKE], "inv": [INV], "module": [sys.executable, "-m", "invoke"]}
FOUND = ("--exit-code-if-running", "9")

DEFINE = """\
from invoke import Collection, task
from lifeline import define_lifeline_tasks

@task
def prepare(c):
    say("prepared")

def body(c):
{body}

ns = Collection(define_lifeline_tasks({name!r}, body, pre=[prepare]))
"""


def project(directory: Path, body: str = "work()", name: str = "app") -> Work:
    """A directory with a tasks.py that defines a lifeline around `body`."""
    indented = "\n".join(f"    {line}" for line in body.splitlines())
    return Work(directory, DEFINE.format(body=indented, name=name), name="tasks.py")


@pytest.fixture
def app(tmp_path: Path) -> Work:
    return project(tmp_path / "app")


# --- lifeline and run -------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_line_for_cron_runs_once(spelling: str, spawn: Spawner, app: Work) -> None:
    """The body runs; every later line, in any spelling, finds that and leaves quietly."""
    runner = spawn(*SPELLINGS[spelling], "app.lifeline", cwd=app.directory)
    (pid,) = app.wait_for("start")
    for words in SPELLINGS.values():
        found = spawn.run(*words, "app.lifeline", cwd=app.directory)
        assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
    os.kill(pid, signal.SIGTERM)
    runner.wait(120)
    app.check(starts=1)


@pytest.mark.parametrize(("first", "second"), [("lifeline", "run"), ("run", "lifeline")])
def test_run_and_lifeline_are_twins(first: str, second: str, spawn: Spawner, app: Work) -> None:
    """Whichever runs, the other one leaves; `run` says why, for a person."""
    spawn(INVOKE, f"app.{first}", cwd=app.directory)
    (pid,) = app.wait_for("start")
    found = spawn.run(INVOKE, f"app.{second}", cwd=app.directory)
    assert (found.returncode, found.stdout) == (0, "")
    said = f"lifeline: already running: pid {pid}, for "
    assert found.stderr.startswith(said) if second == "run" else found.stderr == ""
    app.check(starts=1)


def test_five_at_once_give_one(spawn: Spawner, app: Work) -> None:
    """Of five in the same instant, in all spellings, one runs the body."""
    names = ["lifeline", "run", "lifeline", "lifeline", "run"]
    spellings = [*SPELLINGS.values(), *SPELLINGS.values()]
    starters = [
        spawn(*words, f"app.{name}", cwd=app.directory)
        for words, name in zip(spellings, names, strict=False)
    ]
    app.wait_for("start")
    eventually(lambda: sum(each.poll() is None for each in starters) == 1, within=100)
    assert {each.returncode for each in starters} == {0, None}
    app.check(starts=1)


def test_pre_tasks_run_only_if_the_body_does(spawn: Spawner, app: Work) -> None:
    """What is to be done first is not done by a line that leaves."""
    spawn(INVOKE, "app.lifeline", cwd=app.directory)
    app.wait_for("start")
    for name in ("lifeline", "run"):
        assert spawn.run(INVOKE, f"app.{name}", cwd=app.directory).returncode == 0
    assert len(app.said("prepared")) == 1
    lines = [line.split()[1] for line in app.lines()]
    assert lines == ["prepared", "start"]


def test_from_a_directory_below_it_is_the_same(spawn: Spawner, app: Work) -> None:
    """invoke looks for tasks.py upwards; a lifeline is that of the project that it finds."""
    below = app.directory / "deep" / "below"
    below.mkdir(parents=True)
    spawn(INVOKE, "app.lifeline", cwd=below)
    app.wait_for("start")
    for directory in (app.directory, below.parent):
        assert spawn.run(INVOKE, "app.lifeline", cwd=directory).returncode == 0
    found = spawn.run(INVOKE, "--search-root", app.directory, "app.lifeline", cwd="/")
    assert found.returncode == 0
    app.check(starts=1)


def test_two_projects_do_not_disturb_each_other(spawn: Spawner, tmp_path: Path) -> None:
    """The same task of two directories are two lifelines: P9. Each is ended by itself."""
    both = [project(tmp_path / name) for name in ("one", "two")]
    for app in both:
        spawn(INVOKE, "app.lifeline", cwd=app.directory)
    for app in both:
        app.wait_for("start")
        assert spawn.run(INVOKE, "app.lifeline", cwd=app.directory).returncode == 0
    one, two = both
    assert spawn.run(INVOKE, "app.terminate", cwd=one.directory).returncode == 0
    assert one.working() == []
    assert len(two.working()) == 1


def test_two_lifelines_of_one_project_are_two(spawn: Spawner, tmp_path: Path) -> None:
    """Tasks with other names do not count, also where one name ends with the other."""
    app = project(tmp_path / "app", "stand_by('start')")
    more = "ns.add_collection(define_lifeline_tasks('myapp', body))\n"
    app.script.write_text(app.script.read_text() + more)
    spawn(INVOKE, "app.lifeline", cwd=app.directory)
    app.wait_for("start")
    spawn(INVOKE, "myapp.lifeline", cwd=app.directory)
    app.wait_for("start", times=2)
    assert spawn.run(INVOKE, "app.terminate", cwd=app.directory).returncode == 0
    assert spawn.run(INVOKE, "myapp.status", cwd=app.directory).returncode == 0


def test_a_name_with_an_underscore_and_a_collection_around_it(
    spawn: Spawner, tmp_path: Path
) -> None:
    """invoke calls `my_app` by `my-app`, and below another collection by a longer name."""
    app = project(tmp_path / "app", name="my_app")
    text = app.script.read_text().replace("ns = Collection(", "ns = Collection(Collection('ops', ")
    app.script.write_text(text.rstrip() + ")\n")
    spawn(INVOKE, "ops.my-app.lifeline", cwd=app.directory)
    app.wait_for("start")
    for word in ("ops.my-app.run", "ops.my-app.lifeline"):
        assert spawn.run(INVOKE, word, cwd=app.directory).returncode == 0
    assert spawn.run(INVOKE, "ops.my-app.status", cwd=app.directory).returncode == 0
    assert spawn.run(INVOKE, "ops.my-app.terminate", cwd=app.directory).returncode == 0
    assert app.working() == []
    app.check(starts=1)


def test_under_a_runner_it_is_one_lifeline(spawn: Spawner, app: Work) -> None:
    """`lifeline run -- invoke app.run` has the claim, and the task in it goes on."""
    spawn(*run("--", INVOKE, "app.run"), cwd=app.directory)
    app.wait_for("start")
    assert spawn.run(INV, "app.lifeline", cwd=app.directory).returncode == 0
    found = tick(spawn, *FOUND, "--", INV, "app.lifeline", cwd=app.directory)
    assert found.returncode == 9
    app.check(starts=1)


def test_the_body_ends_or_fails_and_the_next_line_runs_again(
    spawn: Spawner, tmp_path: Path
) -> None:
    """invoke's exit status is the body's; nothing is left that would keep the next line away."""
    body = "work(until='go')\nif os.path.exists(HERE + '/fail'): c.run('exit 7', hide=True)"
    app = project(tmp_path / "app", body)
    app.make("go")
    assert spawn.run(INVOKE, "app.lifeline", cwd=app.directory).returncode == 0
    app.make("fail")
    assert spawn.run(INVOKE, "app.lifeline", cwd=app.directory).returncode == 7
    assert spawn.run(INVOKE, "app.lifeline", cwd=app.directory).returncode == 7
    app.check(starts=3)


def test_a_killed_task_leaves_nothing_in_the_way(spawn: Spawner, app: Work) -> None:
    """Killed outright, it is started again by the next line."""
    first = spawn(INVOKE, "app.lifeline", cwd=app.directory)
    app.wait_for("start")
    first.kill()
    first.wait()
    spawn(INVOKE, "app.lifeline", cwd=app.directory)
    app.wait_for("start", times=2)
    app.check(starts=2)


def test_a_hold_is_respected(spawn: Spawner, app: Work) -> None:
    """A held task says so and leaves; neither the body nor a pre task runs."""
    lifeline(spawn, "hold", "--", INVOKE, "app.lifeline", cwd=app.directory)
    for name in ("lifeline", "run"):
        found = spawn.run(INVOKE, f"app.{name}", cwd=app.directory)
        assert found.returncode == 0
        assert "held; not started" in found.stderr
    assert app.lines() == []


# --- terminate, status and the list -----------------------------------------------------------


def test_status_and_terminate(spawn: Spawner, app: Work) -> None:
    """`status` tells pid and age, exit 3 if nothing runs; `terminate` ends it and says what."""
    status = spawn.run(INVOKE, "app.status", cwd=app.directory)
    assert (status.returncode, status.stdout) == (3, "app does not run\n")
    ended = spawn.run(INVOKE, "app.terminate", cwd=app.directory)
    assert (ended.returncode, ended.stdout) == (0, "app was not running\n")
    spawn(INVOKE, "app.lifeline", cwd=app.directory)
    (pid,) = app.wait_for("start")
    status = spawn.run(INV, "app.status", cwd=app.directory)
    assert status.returncode == 0
    assert status.stdout.startswith(f"app runs: pid {pid}, for ")
    ended = spawn.run(INV, "app.terminate", cwd=app.directory)
    assert ended.returncode == 0
    assert ended.stdout.startswith(f"ended pid {pid} ")
    assert not alive(pid)
    app.check(starts=1)


def test_the_commands_of_lifeline_know_the_task(spawn: Spawner, app: Work) -> None:
    """`lifeline status`, `explain` and `terminate` mean the same task by the same words."""
    spawn(INVOKE, "app.run", cwd=app.directory)
    (pid,) = app.wait_for("start")
    words = ("--", "inv", "app.lifeline")
    assert f" {pid} " in lifeline(spawn, "status", *words, cwd=app.directory).stdout
    told = lifeline(spawn, "explain", *words, cwd=app.directory).stdout
    assert f"leave, because pid {pid} runs" in told
    assert lifeline(spawn, "terminate", *words, cwd=app.directory).returncode == 0
    assert not alive(pid)


def test_the_list_tells_what_each_task_does(spawn: Spawner, app: Work) -> None:
    """`invoke --list` shows four tasks with a line for each, and no helper beside them."""
    told = spawn.run(INVOKE, "--list", cwd=app.directory).stdout
    rows = [line.split(maxsplit=1) for line in told.splitlines() if line.startswith("  ")]
    assert rows == [
        ["app.lifeline", "Run app unless it runs already: the line for cron."],
        ["app.run", "Run app here, unless it runs already."],
        ["app.status", "Show whether app runs."],
        ["app.terminate", "End app and everything that it started."],
    ]


# --- what the body starts ---------------------------------------------------------------------

BRANCHES = """\
sh -c 'echo $$ >>pids; exec sleep 3600' &
setsid sh -c 'echo $$ >>pids; exec sleep 3600' &
sh -c 'setsid sh -c "echo \\$\\$ >>pids; sleep 3600; :" & echo $$ >>pids; wait; :' &
wait
"""


@pytest.mark.parametrize("pty", [False, True], ids=["pipe", "pty"])
@pytest.mark.parametrize("how", ["signal", "terminate"])
def test_what_run_started_ends_with_the_task(
    how: str, pty: bool, spawn: Spawner, tmp_path: Path
) -> None:
    """TERM, or `terminate`, ends the shell of c.run, its children, and those that called setsid."""
    app = project(tmp_path / "app", f"c.run('sh branches', pty={pty})")
    (app.directory / "branches").write_text(BRANCHES)
    listed = app.directory / "pids"
    invoke = spawn(INVOKE, "app.lifeline", cwd=app.directory)
    eventually(lambda: listed.exists() and listed.read_text().count("\n") == 4, within=120)
    pids = [int(line) for line in listed.read_text().split()]
    assert len({seen.sid for pid in pids if (seen := look(pid))}) == 3
    if how == "signal":
        os.kill(invoke.pid, signal.SIGTERM)
    else:
        assert spawn.run(INVOKE, "app.terminate", cwd=app.directory).returncode == 0
    assert invoke.wait(120) == -signal.SIGTERM
    assert [pid for pid in pids if alive(pid)] == []


CLEANS = """\
def clean_up(*_):
    say("term")
    time.sleep(1)  # what it has to do
    say("clean")
    sys.exit()

signal.signal(signal.SIGTERM, clean_up)
say("start")
while True: time.sleep(0.01)
"""


def test_a_runner_below_a_task_is_told_once(spawn: Spawner, tmp_path: Path) -> None:
    """`terminate` tells the task alone, which tells the runner: a second TERM would be KILL now."""
    job = Work(tmp_path / "job", CLEANS)
    words = run("--name", tmp_path.name, "--", *job.argv)
    app = project(tmp_path / "app", f"c.run({shlex.join(words)!r})")
    invoke = spawn(INVOKE, "app.lifeline", cwd=app.directory)
    (pid,) = job.wait_for("start")
    ended = spawn.run(INVOKE, "app.terminate", cwd=app.directory)
    assert ended.returncode == 0, ended.stderr
    assert (job.said("term"), job.said("clean")) == ([pid], [pid])
    assert invoke.wait(120) == -signal.SIGTERM


def test_a_stubborn_command_is_killed_before_the_task_dies(spawn: Spawner, tmp_path: Path) -> None:
    """What ignores TERM is killed after the grace; until then invoke stays, so nothing starts."""
    stubborn = "trap '' TERM; echo $$ >>pids; while :; do sleep 1; done"
    app = project(tmp_path / "app", "c.run('sh stubborn')")
    (app.directory / "stubborn").write_text(stubborn)
    invoke = spawn(INVOKE, "app.lifeline", cwd=app.directory)
    listed = app.directory / "pids"
    eventually(lambda: listed.exists() and listed.read_text(), within=120)
    pid = int(listed.read_text())
    os.kill(invoke.pid, signal.SIGTERM)
    assert spawn.run(INVOKE, "app.lifeline", cwd=app.directory).returncode == 0
    assert listed.read_text().count("\n") == 1
    assert invoke.wait(120) == -signal.SIGTERM
    assert not alive(pid)
