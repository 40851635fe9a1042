"""`lifeline explain`: who was considered, where each stands, and what would happen now."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from support.lifelines import AS_NOBODY, LIFELINE, answer, lifeline, namespace, run
from support.spawning import look, table
from support.stage import WITHOUT_RIGHTS, Stage, assert_one_line
from support.waiting import eventually


def explain(stage: Stage, *words: str) -> dict[str, Any]:
    """What `explain --json` prints."""
    found: dict[str, Any] = answer(stage.spawn, [LIFELINE, "explain", "--json", *words])
    assert found.keys() == {"command", "considered", "verdict", "conclusion"}
    for each in found["considered"]:
        assert each.keys() == {"pid", "counts", "standing", "reason", "command_line"}
        assert each["counts"] == (each["standing"] in ("contender", "twin", "unknown"))
        assert each["reason"]
    return found


def standing(stage: Stage, pid: int, *words: str) -> str:
    """The standing of one process for that command."""
    considered = {each["pid"]: each for each in explain(stage, *words)["considered"]}
    return str(considered[pid]["standing"])


def job_of(stage: Stage) -> int:
    return int(stage.started.read_text())


def test_nobody_but_itself(stage: Stage, state_dir: Path) -> None:
    """It is considered because it mentions the command, and counts for nothing."""
    found = explain(stage, "--", f"/srv/{stage.name}", "a b")
    assert found["command"] == ["run", f"/srv/{stage.name}", "a b"]
    assert [each["standing"] for each in found["considered"]] == ["me"]
    assert (found["verdict"], found["conclusion"]) == ("alone", "start the command")
    assert not state_dir.exists()


def test_the_table_says_the_same_to_people(stage: Stage) -> None:
    """The command, a line for each process, and the conclusion last."""
    job = stage.sleeper()
    running = stage.start("--", job)
    lines = lifeline(stage.spawn, "explain", "--", job).stdout.splitlines()
    assert lines[0] == f"command: run {job}"
    assert lines[1].split() == ["PID", "COUNTS", "STANDING", "WHY", "COMMAND", "LINE"]
    rows = {int(line.split()[0]): line.split()[1:3] for line in lines[2:-1]}
    assert rows[running.pid] == ["yes", "twin"]
    assert rows[job_of(stage)] == ["yes", "twin"]
    assert ["no", "me"] in rows.values()
    assert lines[-1] == f"run would now: leave, because pid {running.pid} runs"
    assert not any("\x1b" in line for line in lines)


def test_a_recorded_run_is_a_twin_and_so_is_its_job(stage: Stage) -> None:
    """The record is what proves it."""
    job = stage.sleeper()
    running = stage.start("--", job)
    found = explain(stage, "--", job)
    reasons = {each["pid"]: each["reason"] for each in found["considered"]}
    assert reasons[running.pid] == "its run record is alive"
    assert reasons[job_of(stage)] == f"belongs to the recorded run of pid {running.pid}"
    assert found["verdict"] == "running"


def test_a_process_without_a_record_is_a_contender(stage: Stage) -> None:
    """It is older: a run would leave."""
    job = stage.sleeper()
    plain = stage.running(job)
    found = explain(stage, "--", job)
    assert standing(stage, plain.pid, "--", job) == "contender"
    assert found["conclusion"] == f"leave, because pid {plain.pid} runs"
    os.kill(plain.pid, signal.SIGSTOP)
    eventually(lambda: (seen := look(plain.pid)) and seen.state == "T")
    reasons = {each["pid"]: each["reason"] for each in explain(stage, "--", job)["considered"]}
    assert reasons[plain.pid] == "same command, older than this process, stopped"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["tail", "-f", "JOB"], "a different program, script or name"),
        (["sh", "-c", "sleep 3600; : JOB"], "a different program, script or name"),
        (["JOB", "x"], "different arguments"),
        (["LIFELINE", "run", "--name", "x-JOB-NAME", "--", "sleep", "3600"], "a different kind"),
    ],
)
def test_who_only_mentions_the_command_is_different(
    stage: Stage, words: list[str], reason: str
) -> None:
    """And is shown with the first thing that is different."""
    job = stage.sleeper()
    replaced = {"JOB": job, "LIFELINE": LIFELINE, "x-JOB-NAME": f"x-{stage.name}"}
    words = [replaced.get(word, word.replace("JOB", job)) for word in words]
    other = stage.spawn(*words)

    def seen() -> dict[str, Any] | None:
        found = explain(stage, "--", job)["considered"]
        return next((each for each in found if each["pid"] == other.pid), None)

    found = eventually(seen)
    assert (found["standing"], found["counts"]) == ("different command", False)
    assert found["reason"].startswith(reason)


def test_who_is_above_is_an_ancestor(stage: Stage) -> None:
    """The shell of a crontab's line shows the whole of it."""
    job = stage.sleeper()
    shell = stage.spawn.run("sh", "-c", f"echo $$; {LIFELINE} explain --json -- {job}; :")
    pid, _, text = shell.stdout.partition("\n")
    found = {each["pid"]: each["standing"] for each in json.loads(text)["considered"]}
    assert found[int(pid)] == "ancestor"


def test_a_run_asked_from_inside_is_its_own(stage: Stage) -> None:
    """`run` would be part of itself."""
    answered = stage.directory / "answer"
    job = stage.shell(f"{LIFELINE} explain --json -- $0 >{answered}")
    assert stage.code("--", job) == 0
    found = json.loads(answered.read_text())
    assert found["verdict"] == "mine"
    assert found["conclusion"] == "belong to the run that this process is part of"


@pytest.mark.needs("nobody")
def test_another_users_process_is_his(stage: Stage) -> None:
    """It is the same command, and not the same thing."""
    job = stage.sleeper()
    stage.directory.chmod(0o777)
    theirs = stage.running(*AS_NOBODY, job)
    found = explain(stage, "--", job)
    (seen,) = [each for each in found["considered"] if each["pid"] == theirs.pid]
    assert (seen["standing"], seen["reason"]) == ("other user", "belongs to user 65534")
    assert found["conclusion"] == "start the command"


@pytest.mark.needs("unshare")
def test_a_process_in_a_container_is_of_another_namespace(stage: Stage) -> None:
    """It shows here, and a lifeline in there does not see us."""
    job = stage.sleeper()
    outside = stage.running(*namespace(job))

    def inside() -> int | None:
        return next((seen.pid for seen in table() if seen.ppid == outside.pid), None)

    assert standing(stage, eventually(inside) or 0, "--", job) == "other pid namespace"
    assert explain(stage, "--", job)["conclusion"] == "start the command"


def test_a_zombie_is_dead(stage: Stage) -> None:
    """Its parent has not reaped it, so its name is still in the table."""
    job = stage.shell("exit 0")
    code = "import subprocess as s, sys, time; p = s.Popen(sys.argv[1]); print(p.pid, flush=True)"
    parent = stage.spawn(sys.executable, "-c", f"{code}; time.sleep(3600)", job)
    pid = int(parent.stdout.readline())
    eventually(lambda: (seen := look(pid)) and seen.state == "Z")
    found = explain(stage, "--", job)
    (seen,) = [each for each in found["considered"] if each["pid"] == pid]
    assert (seen["standing"], seen["command_line"]) == ("zombie", [f"({stage.name[:15]})"])
    assert found["conclusion"] == "start the command"


def test_who_waits_for_its_turn_is_passive(stage: Stage, state_dir: Path) -> None:
    """It looks like the command, and has said that it does not contend."""
    job = stage.sleeper()
    running = stage.start("--", job)
    waiting = stage.spawn(*run("--on-running", "wait", "--", job))
    eventually(lambda: list((state_dir / "passive").iterdir()))
    found = {each["pid"]: each["standing"] for each in explain(stage, "--", job)["considered"]}
    assert (found[running.pid], found[waiting.pid]) == ("twin", "passive")


def test_what_a_killed_run_left_is_a_leftover(stage: Stage) -> None:
    """The next run ends it and starts."""
    job = stage.sleeper(stubborn=True)
    running = stage.start("--", job)
    running.kill()
    running.wait()
    found = explain(stage, "--", job)
    (left,) = [each for each in found["considered"] if each["pid"] == job_of(stage)]
    assert (left["standing"], left["counts"]) == ("leftover", False)
    assert found["conclusion"].startswith("start the command, after ending what a dead run left")
    assert str(job_of(stage)) in found["conclusion"]


@pytest.mark.needs("root", "setpriv")
def test_who_cannot_be_judged_is_unknown(stage: Stage) -> None:
    """Where a relative script lies is not to be seen of a process that has more rights."""
    stage.script(f"import time\nopen({str(stage.started)!r}, 'w').write('x')\ntime.sleep(3600)\n")
    hidden = stage.running("python3", stage.name)
    command = ["--", "python3", stage.name]
    words = [*WITHOUT_RIGHTS, LIFELINE, "explain", "--json", *command]
    found = answer(stage.spawn, words)
    (seen,) = [each for each in found["considered"] if each["pid"] == hidden.pid]
    assert (seen["standing"], seen["counts"]) == ("unknown", True)
    assert found["verdict"] == "cannot tell"
    reason = f"cannot tell whether pid {hidden.pid} is this command: its cwd may not be read"
    assert found["conclusion"].startswith(f"not start, exit 75: {reason}")
    ended = stage.spawn.run(*WITHOUT_RIGHTS, *run(*command))
    assert ended.returncode == 75
    assert_one_line(ended, reason, "; not started")


def test_a_title_of_its_own_is_found_by_the_record(stage: Stage) -> None:
    """The process table alone does not show what it is."""
    title = "import setproctitle, sys, time; setproctitle.setproctitle('something else')"
    job = stage.script(f"{title}; open({str(stage.started)!r}, 'w').write('x'); time.sleep(3600)\n")
    running = stage.start("--exec", "--", sys.executable, job)
    shown = lifeline(stage.spawn, "explain", "--", sys.executable, job).stdout.splitlines()
    assert f"run record: pid {running.pid} is alive under another title" in shown
    assert shown[-1] == f"run would now: leave, because pid {running.pid} runs"


def test_a_hold_is_the_conclusion_where_nothing_runs(stage: Stage) -> None:
    """With its reason; who runs comes first."""
    job = stage.sleeper()
    lifeline(stage.spawn, "hold", "--reason", "why not", "--", job)
    assert explain(stage, "--", job)["conclusion"].startswith("held (why not); not started")
    plain = stage.running(job)
    assert explain(stage, "--", job)["conclusion"] == f"leave, because pid {plain.pid} runs"
