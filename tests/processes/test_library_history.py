"""What scripts and tasks that are lifelines by themselves leave in the history."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lifeline import lock
from lifeline.lease_names import lease_name
from lifeline.processes.places import meant
from support.lifelines import INVOKE, Work, lifeline
from support.scripts import happened
from support.servers import files
from support.spawning import Spawner

HEAD = "from lifeline import *\n"
FORMS = {
    "bare": "lifeline()\nwork(until='go')\n",
    "with": "with lifeline():\n    work(until='go')\n",
    "fn": "lifeline(work, until='go')\n",
}


def kinds(spawn: Spawner, *argv: str) -> list[str]:
    """What kinds of events there are of this command, or of all."""
    return [each["event"] for each in told(spawn, *argv)]


def told(spawn: Spawner, *argv: str) -> list[dict[str, Any]]:
    return happened(spawn, "--all", *(["--", *argv] if argv else []))


@pytest.mark.parametrize("form", FORMS)
def test_a_script_tells_of_start_stand_down_and_end(
    form: str, spawn: Spawner, tmp_path: Path
) -> None:
    """Found by its command; its end has no code, which a program does not know of itself."""
    work = Work(tmp_path / "work", HEAD + FORMS[form])
    first = spawn(*work.argv)
    work.wait_for("start")
    assert spawn.run(*work.argv).returncode == 0
    work.make("go")
    assert first.wait(120) == 0
    start, down, end = told(spawn, *work.argv)
    assert [start["event"], down["event"], end["event"]] == ["start", "stand-down", "end"]
    assert start["pid"] == down["pid"] == end["pid"] == first.pid
    assert 0 <= end["seconds"] <= end["time"] - start["time"] + 5
    assert "code" not in end


def test_the_end_is_that_of_the_block(spawn: Spawner, tmp_path: Path) -> None:
    """Told before others may run, and once: neither the process's end nor a child's is another."""
    body = "with lifeline():\n    if not os.fork(): sys.exit()\n    os.wait()\nstand_by('over')\n"
    work = Work(tmp_path / "work", HEAD + body)
    process = spawn(*work.argv)
    work.wait_for("over")
    assert kinds(spawn, *work.argv) == ["start", "end"]
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(120) == 0
    assert kinds(spawn, *work.argv) == ["start", "end"]


@pytest.mark.parametrize("form", ["lifeline(lock={url!r})\nwork()", "lifeline(work, lock={url!r})"])
def test_a_lease_that_is_taken_is_no_start(form: str, spawn: Spawner, tmp_path: Path) -> None:
    """Another host runs it: this one stands down."""
    url = files.fresh()
    work = Work(tmp_path / "work", HEAD + form.format(url=url))
    name = lease_name(meant(None, tuple(map(os.fsencode, work.argv))))
    with lock(name, url):
        assert spawn.run(*work.argv).returncode == 0
    (down,) = told(spawn, *work.argv)
    assert (down["event"], down["reason"]) == ("stand-down", "the lease is taken")
    assert work.said("start") == []


def test_with_a_lease_there_are_a_start_and_an_end(spawn: Spawner, tmp_path: Path) -> None:
    """As without one."""
    for form in ("lifeline(lock={url!r})\nsay('start')", "lifeline(say, 'start', lock={url!r})"):
        work = Work(tmp_path / "work", HEAD + form.format(url=files.fresh()), f"{len(form)}.py")
        assert spawn.run(*work.argv).returncode == 0
        assert kinds(spawn, *work.argv) == ["start", "end"]


def test_a_script_that_is_held_tells_so(spawn: Spawner, tmp_path: Path) -> None:
    """As a tick does."""
    work = Work(tmp_path / "work", HEAD + FORMS["bare"])
    lifeline(spawn, "hold", "--", *work.argv)
    assert spawn.run(*work.argv).returncode == 0
    assert kinds(spawn, *work.argv) == ["hold", "held"]


def test_under_a_runner_the_runner_tells(spawn: Spawner, tmp_path: Path) -> None:
    """The script has its claim, so one start and one end."""
    work = Work(tmp_path / "work", HEAD + "lifeline()\nsys.exit(3)\n")
    assert lifeline(spawn, "run", "--", *work.argv).returncode == 3
    assert [each.get("code") for each in told(spawn)] == [None, 3]


TASKS = """\
from invoke import Collection
from lifeline import define_lifeline_tasks

def body(c):
    say("start")
    c.run("while [ ! -e go ]; do sleep 0.01; done", hide=True)

ns = Collection(define_lifeline_tasks("app", body))
"""


@pytest.mark.parametrize("end", ["itself", "TERM"])
def test_an_invoke_task_tells_as_well(end: str, spawn: Spawner, tmp_path: Path) -> None:
    """Also of an end by TERM, whoever asked for it."""
    app = Work(tmp_path / "app", TASKS, name="tasks.py")
    running = spawn(INVOKE, "app.lifeline", cwd=app.directory)
    app.wait_for("start")
    for task in ("app.lifeline", "app.run"):
        assert spawn.run(INVOKE, task, cwd=app.directory).returncode == 0
    if end == "itself":
        app.make("go")
        assert running.wait(120) == 0
    else:
        os.kill(running.pid, signal.SIGTERM)
        assert running.wait(120) == -signal.SIGTERM
    found = told(spawn)
    assert [each["event"] for each in found] == ["start", "stand-down", "stand-down", "end"]
    assert {each["pid"] for each in found} == {running.pid}


NEW = "dataclasses enum json psutil re subprocess typing"
LIGHT = f"""\
import sys
from lifeline import lifeline
try:
    lifeline()
finally:
    print(*(name for name in {NEW!r}.split() if name in sys.modules), flush=True)
sys.stdin.read()
"""


def test_to_find_a_twin_loads_nothing_dear(spawn: Spawner, tmp_path: Path) -> None:
    """A script that cron starts each minute pays for no import to tell the history of that."""
    script = tmp_path / f"{tmp_path.name}.py"
    script.write_text(LIGHT)
    argv = [sys.executable, "-S", str(script)]  # nor does what a virtual environment starts with
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    first = spawn(*argv, env=paths, stdin=subprocess.PIPE)
    assert first.stdout.readline() == "\n"
    second = spawn.run(*argv, env=paths)
    assert (second.returncode, second.stdout, second.stderr) == (0, "\n", "")
    assert kinds(spawn, *argv) == ["start", "stand-down"]
