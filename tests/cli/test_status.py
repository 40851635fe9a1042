"""`lifeline status`: what runs, and what is held."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from support.lifelines import has_exec, lifeline, run
from support.spawning import look
from support.stage import Stage
from support.waiting import eventually


def status(stage: Stage, *words: str) -> dict[str, Any]:
    """What `status --json` prints."""
    ended = lifeline(stage.spawn, "status", "--json", *words)
    found: dict[str, Any] = json.loads(ended.stdout)
    assert (ended.returncode, ended.stderr) == (0 if found["running"] else 3, "")
    assert found.keys() == {"running", "held"}
    return found


def named(found: dict[str, Any]) -> dict[str, Any]:
    """The running ones by their name."""
    return {each["name"]: each for each in found["running"]}


def test_nothing_runs(stage: Stage, state_dir: Path) -> None:
    """Exit code 3, and looking leaves no trace."""
    ended = lifeline(stage.spawn, "status", stage.name)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "not running\n", "")
    assert status(stage, "--", f"/srv/{stage.name}") == {"running": [], "held": []}
    assert not state_dir.exists()


def test_the_table_has_a_line_for_each(stage: Stage) -> None:
    """Name or command, pid, since when, for how long, how it was found, job, memory."""
    job = stage.sleeper()
    running = stage.start("--name", stage.name, "--", job)
    ended = lifeline(stage.spawn, "status", stage.name)
    assert (ended.returncode, ended.stderr) == (0, "")
    head, row = ended.stdout.splitlines()
    titles = "LIFELINE PID SINCE FOR FOUND BY JOB MEMORY RESTARTS LAST EXIT"
    assert head.split() == titles.split()
    when = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d"
    job_pid = stage.started.read_text().strip()
    pattern = (
        rf"{stage.name}  {running.pid} +{when}  \d+s( \d+s)? +record +{job_pid} +\d+\.\d MiB +0 +-"
    )
    assert re.fullmatch(pattern, row), row
    assert "\x1b" not in ended.stdout


def test_the_json_has_the_facts(stage: Stage) -> None:
    """Plain numbers and words, for programs."""
    before = time.time()
    job = stage.sleeper()
    running = stage.start("--", job, "a b", "")
    (found,) = status(stage, "--", job, "a b", "")["running"]
    seen = look(running.pid)
    assert seen
    since, memory = found.pop("since"), found.pop("memory_bytes")
    assert before - 1 <= since <= time.time()
    assert 1_000_000 < memory < 1_000_000_000
    assert found == {
        "name": None,
        "command": [job, "a b", ""],
        "pid": running.pid,
        "start_ticks": seen.started,
        "found_by": "record",
        "stopped": False,
        "standby": False,
        "job_pid": int(stage.started.read_text()),
        "restarts": 0,
        "last_exit": None,
    }


def test_a_run_is_found_by_name_and_by_command(stage: Stage) -> None:
    """Once, with its runner; any spelling of the command does."""
    with_name = stage.start("--name", stage.name, "--", stage.sleeper())
    assert [each["pid"] for each in status(stage, stage.name)["running"]] == [with_name.pid]
    assert status(stage, f"{stage.name}2")["running"] == []
    stage.started.unlink()
    other = stage.sleeper("other")
    without = stage.start("--", other)
    for command in ([other], ["./other"], ["sh", other], ["nice", other]):
        found = status(stage, "--", *command)["running"]
        assert [each["pid"] for each in found] == [without.pid]
    assert status(stage, "--", other, "x")["running"] == []


def test_the_job_of_a_name_is_what_it_is(stage: Stage) -> None:
    """Asked for by its command, the job itself is found: it would keep that from starting."""
    job = stage.sleeper()
    stage.start("--name", stage.name, "--", job)
    (found,) = status(stage, "--", job)["running"]
    assert (found["pid"], found["found_by"]) == (int(stage.started.read_text()), "command line")


def test_a_run_with_forked_children_is_there_once(stage: Stage) -> None:
    """They look exactly like it."""
    script = stage.script(
        "import os, time\n"
        "os.fork(), os.fork()\n"
        f"open({str(stage.started)!r}, 'a').write('x')\n"
        "time.sleep(3600)\n"
    )
    job = stage.running("python3", script)
    eventually(lambda: len(stage.started.read_text()) == 4)
    (found,) = status(stage, "--", "python3", script)["running"]
    assert found["pid"] == job.pid


@pytest.mark.parametrize("how", ["exec", "plain", "runner"])
def test_it_says_how_a_run_was_found(stage: Stage, state_dir: Path, how: str) -> None:
    """By its record, as a runner, or by the command line alone."""
    job = stage.sleeper()
    starts = {"exec": run("--exec", "--", job), "plain": [job], "runner": run("--", job)}
    process = stage.running(*starts[how])
    if how == "runner":
        for record in (state_dir / "runs").iterdir():
            record.unlink()
    (found,) = [each for each in status(stage, "--", job)["running"] if each["pid"] == process.pid]
    expected = {"exec": "record", "plain": "command line", "runner": "runner"}
    assert found["found_by"] == expected[how]
    assert found["command"][-1] == job
    # without a command, what no lifeline has started is not known
    everything = [each["pid"] for each in status(stage)["running"]]
    assert (process.pid in everything) == (how != "plain")


def test_between_two_runs_there_is_no_job(stage: Stage) -> None:
    """While a runner waits to start it again: it has ended, and with which code."""
    job = stage.shell(f"echo >{stage.started}; exit 3")
    words = ("--name", stage.name, "--restart", "on-failure", "--backoff", "1d..1d", "--", job)
    runner = stage.start(*words)

    def failed() -> bool:
        (found,) = status(stage, stage.name)["running"]
        assert (found["pid"], found["restarts"]) == (runner.pid, 0)
        return bool(found["last_exit"] == 3)

    eventually(failed)
    assert status(stage, stage.name)["running"][0]["job_pid"] is None
    row = lifeline(stage.spawn, "status", stage.name).stdout.splitlines()[1]
    assert re.search(r" record +ended +\d+\.\d MiB +0 +3$", row), row


@pytest.mark.parametrize("options", [(), ("--exec",)], ids=["supervised", "exec"])
def test_with_cron_to_restart_it_the_last_exit_is_known(
    stage: Stage, options: tuple[str, ...]
) -> None:
    """The run before had another runner; how other lifelines ended is nothing to it."""
    failing, sleeper = stage.shell("exit 7", "failing"), stage.sleeper()
    assert stage.code("--name", stage.name, "--", failing) == 7
    assert stage.code("--name", f"{stage.name}2", "--", stage.shell("exit 9", "other")) == 9
    stage.start("--name", stage.name, *options, "--", sleeper)
    (found,) = status(stage, stage.name)["running"]
    assert (found["restarts"], found["last_exit"]) == (0, 7)


def test_a_starter_does_not_run_yet(stage: Stage) -> None:
    """It waits (--jitter) and may leave then: by name as without one, nothing runs."""
    starter = stage.spawn(*run("--jitter", "1000w", "--name", stage.name, "--", stage.sleeper()))
    eventually(lambda: has_exec(starter.pid, stage.name))
    assert status(stage, stage.name)["running"] == []
    assert stage.name not in named(status(stage))
    told = lifeline(stage.spawn, "explain", stage.name).stdout
    assert f"{starter.pid} " in told


def test_a_stopped_run_is_shown_as_stopped(stage: Stage) -> None:
    """It runs, and does nothing."""
    running = stage.start("--name", stage.name, "--", stage.sleeper())
    os.kill(running.pid, signal.SIGSTOP)
    eventually(lambda: (seen := look(running.pid)) and seen.state == "T")
    assert named(status(stage, stage.name))[stage.name]["stopped"] is True
    assert " record (stopped) " in lifeline(stage.spawn, "status", stage.name).stdout


def test_holds_are_shown_beside_what_runs(stage: Stage) -> None:
    """All without a name; only that one's with it."""
    stage.start("--name", stage.name, "--", stage.sleeper())
    lifeline(stage.spawn, "hold", "--reason", "why not", stage.name)
    lifeline(stage.spawn, "hold", "--for", "1h", "--", f"/srv/{stage.name}", "a b")
    shown = lifeline(stage.spawn, "status").stdout.splitlines()
    assert f"held: {stage.name} (why not)" in shown
    assert any(line.startswith(f"held: /srv/{stage.name} 'a b' until 2") for line in shown)
    found = status(stage)
    assert [each["lifeline"] for each in found["held"]].count(stage.name) == 1
    assert len(found["held"]) == 2
    (held,) = status(stage, stage.name)["held"]
    assert held.keys() == {"lifeline", "since", "until", "reason"}
    assert (held["until"], held["reason"]) == (None, "why not")
    assert len(status(stage, "--", f"/srv/{stage.name}", "a b")["held"]) == 1
    assert status(stage, "--", f"/srv/{stage.name}")["held"] == []


def test_twenty_lifelines(stage: Stage) -> None:
    """Each is there once, oldest first, under its name or command."""
    names = [f"{stage.name} {number}" for number in range(10)]
    job = stage.sleeper()
    started = [
        *(stage.spawn(*run("--name", name, "--", job)) for name in names),
        *(stage.spawn(*run("--", stage.sleeper(f"{name}.sh"))) for name in names),
    ]
    pids = [process.pid for process in started]

    def mine() -> list[dict[str, Any]]:
        return [each for each in status(stage)["running"] if each["pid"] in pids]

    found = eventually(lambda: found if len(found := mine()) == 20 else None, within=120)
    assert sorted(each["pid"] for each in found) == sorted(pids)
    assert [each["since"] for each in found] == sorted(each["since"] for each in found)
    assert {each["name"] for each in found} == {*names, None}
    lines = lifeline(stage.spawn, "status").stdout.splitlines()
    for process in started:
        assert sum(f"  {process.pid} " in line for line in lines) == 1
