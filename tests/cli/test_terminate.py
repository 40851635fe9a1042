"""`lifeline terminate`: everything that belongs to a run, and nothing else."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from support.lifelines import LIFELINE, lifeline, run, tick
from support.pings import monitor
from support.servers import valkey
from support.spawning import alive, look
from support.stage import Stage, assert_one_line
from support.waiting import eventually


def terminate(stage: Stage, *words: str) -> list[str]:
    """The lines of a `terminate` that ends all."""
    ended = lifeline(stage.spawn, "terminate", *words)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines: list[str] = ended.stdout.splitlines()
    return lines


def pids_in(directory: Path, count: int) -> list[int]:
    """What the processes of a tree wrote down about themselves, once all have."""

    def written() -> list[str]:
        return [text for path in directory.glob("*.pid") if (text := path.read_text())]

    eventually(lambda: len(written()) == count)
    return [int(text) for text in written()]


def test_nothing_was_running(stage: Stage, state_dir: Path) -> None:
    """That is what was wanted, so it is no failure."""
    assert terminate(stage, stage.name) == ["nothing was running"]
    assert terminate(stage, "--", f"/srv/{stage.name}") == ["nothing was running"]
    assert terminate(stage, "--json", stage.name) == ["[]"]
    assert not state_dir.exists()


def test_the_whole_tree_is_ended(stage: Stage) -> None:
    """Children, also those that have a session of their own or have lost their parent."""
    child = stage.shell("echo $$ >$1.pid; exec sleep 3600", "child")
    job = stage.shell(f"{child} a & setsid {child} b & ({child} c &)\necho $$ >d.pid; wait")
    running = stage.spawn(*run("--", job))
    pids = [*pids_in(stage.directory, 4), running.pid]
    lines = terminate(stage, "--", job)
    assert running.wait(120) == 128 + signal.SIGTERM
    assert [pid for pid in pids if alive(pid)] == []
    for pid in pids:
        (line,) = [line for line in lines if line.startswith(f"ended pid {pid}  ")]
        assert line.endswith("  (TERM)") is (pid == running.pid)  # the others are its own


def test_what_the_runner_has_ended_is_told_without_a_signal(stage: Stage) -> None:
    """It may have taken KILL: only the runner knows, and its history."""
    job = stage.sleeper(stubborn=True)
    process = stage.start("--grace", "0", "--", job)
    pid = int(stage.started.read_text())
    found = json.loads("\n".join(terminate(stage, "--json", "--grace", "1m", "--", job)))
    told = {each["pid"]: each["signal"] for each in found}
    assert process.wait(120) == 128 + signal.SIGKILL
    assert (told[process.pid], told[pid]) == ("TERM", None)


@pytest.mark.parametrize("how", ["supervised", "exec", "plain", "named"])
def test_a_run_is_ended_however_it_was_started(stage: Stage, state_dir: Path, how: str) -> None:
    """By name or by command, and afterwards nothing is left of it."""
    job = stage.sleeper()
    starts = {
        "supervised": run("--", job),
        "exec": run("--exec", "--", job),
        "plain": [job],
        "named": run("--name", stage.name, "--", job),
    }
    process = stage.running(*starts[how])
    words = [stage.name] if how == "named" else ["--", "sh", f"./{stage.name}"]
    assert any(line.startswith(f"ended pid {process.pid}  ") for line in terminate(stage, *words))
    assert process.wait(120) in (128 + signal.SIGTERM, -signal.SIGTERM)
    assert terminate(stage, *words) == ["nothing was running"]
    assert lifeline(stage.spawn, "status", *words).returncode == 3


def test_the_json_has_an_entry_for_each(stage: Stage) -> None:
    """Plain words, as the process showed them."""
    job = stage.sleeper()
    process = stage.running(job, "a b", "c'd")
    (entry,) = [
        each
        for each in json.loads("\n".join(terminate(stage, "--json", "--", job, "a b", "c'd")))
        if each["pid"] == process.pid
    ]
    assert entry == {
        "pid": process.pid,
        "command": ["/bin/sh", job, "a b", "c'd"],
        "signal": "TERM",
        "gone": True,
        "reason": "",
    }


def test_a_stopped_job_is_continued_so_that_it_can_end(stage: Stage) -> None:
    """A TERM alone would wait for ever; a KILL would not let it tidy up."""
    tidied = stage.directory / "tidied"
    job = stage.shell(
        f"trap 'echo >{tidied}; exit 0' TERM; echo >{stage.started}; sleep 3600 & wait"
    )
    process = stage.running(job)
    os.kill(process.pid, signal.SIGSTOP)
    eventually(lambda: (seen := look(process.pid)) and seen.state == "T")
    lines = terminate(stage, "--grace", "1m", "--", job)
    assert any(f"pid {process.pid} " in line and "(TERM)" in line for line in lines)
    assert (process.wait(120), tidied.exists()) == (0, True)


@pytest.mark.parametrize("grace", ["0", "200ms"])
@pytest.mark.parametrize("how", ["supervised", "plain"])
def test_who_ignores_term_is_killed_after_the_grace(stage: Stage, how: str, grace: str) -> None:
    """And the answer says which signal it took."""
    job = stage.script(
        "#!/usr/bin/env python3\n"
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"open({str(stage.started)!r}, 'w').write('x')\n"
        "while True: time.sleep(3600)\n"
    )
    process = stage.running(*(run("--", job) if how == "supervised" else [job]))
    found = json.loads("\n".join(terminate(stage, "--json", "--grace", grace, "--", job)))
    killed = [each for each in found if job in each["command"] and each["command"][0] != LIFELINE]
    assert "KILL" in [each["signal"] for each in killed]
    assert all(each["gone"] for each in found)
    assert process.wait(120) in (128 + signal.SIGKILL, -signal.SIGKILL)


@pytest.mark.parametrize("grace", ["0s", "1m"])
@pytest.mark.parametrize("how", ["supervised", "plain"])
def test_programs_that_a_job_cleans_up_with_get_no_term(stage: Stage, how: str, grace: str) -> None:
    """They end by themselves, and their job after them; without a grace it is killed."""
    tidied = stage.directory / "tidied"
    job = stage.shell(
        f"trap 'sleep 0.5 && sleep 0.5 && echo >{tidied}; exit 0' TERM; "
        f"echo >{stage.started}; while :; do sleep 0.05; done"
    )
    process = stage.running(*(run("--", job) if how == "supervised" else [job]))
    lines = terminate(stage, "--grace", grace, "--", job)
    if grace == "0s":
        assert process.wait(120) in (128 + signal.SIGKILL, -signal.SIGKILL)
        assert not tidied.exists()
    else:
        assert (process.wait(120), tidied.exists()) == (0, True)
        # Nor are they told of: they have come and gone meanwhile.
        assert [line for line in lines if "sleep 0.5" in line] == []


@pytest.mark.parametrize("grace", ["0s", "1m"])
def test_the_runner_may_report_the_end(stage: Stage, grace: str) -> None:
    """Its hook is no part of the job that is ended."""
    told = stage.directory / "told"
    hook = stage.shell(f"sleep 0.5 && echo >{told}", f"{stage.name}-hook")
    process = stage.running(*run("--on-exit", hook, "--", stage.sleeper()))
    terminate(stage, "--grace", grace, "--", stage.sleeper())
    process.wait(120)
    assert told.exists()


def test_the_monitor_hears_of_the_end(stage: Stage) -> None:
    """Its helpers are no part of the job either; one that hangs does not hold `terminate` up."""
    with monitor() as monitored:
        monitored.mood = "hang"
        hook = stage.shell("sleep 0.3", f"{stage.name}-hook")  # so that they are seen
        options = ("--ping", monitored.url, "--on-exit", hook)
        process = stage.running(*run(*options, "--", stage.sleeper()))
        eventually(lambda: monitored.hanging, within=120)
        lines = terminate(stage, "--grace", "1h", "--", stage.sleeper())
        assert process.wait(120) == 128 + signal.SIGTERM
        assert "ping" not in "".join(line.partition(" run ")[0] for line in lines)
        monitored.let_go.set()
        eventually(lambda: "/fail" in monitored.paths(), within=120)


def test_without_a_grace_the_lease_is_released(stage: Stage) -> None:
    """What keeps it has a moment to do so: nobody has to wait for it to run out."""
    server = valkey.new_server()
    url = f"redis://127.0.0.1:{server.port}/0?restart_delay=0"
    holds = ("--lock", url, "--ttl", "10m", "--name", stage.name)
    process = stage.running(*run(*holds, "--", stage.sleeper(stubborn=True)))
    terminate(stage, "--grace", "0s", stage.name)
    assert process.wait(120) == 128 + signal.SIGKILL
    assert lifeline(stage.spawn, "lock", "holders", stage.name, "--lock", url).returncode == 3
    stage.spawn.end()  # who talks to the server goes first
    server.close()


def test_others_are_left_alone(stage: Stage) -> None:
    """Longer names, other arguments, whoever mentions the script, and other lifelines."""
    job = stage.sleeper()
    others = [
        stage.spawn(*words)
        for words in (
            [stage.sleeper(f"{stage.name}2")],
            [job, "x"],
            ["tail", "-f", job],
            ["sh", "-c", f"sleep 3600; {job}"],
            run("--name", f"{stage.name}2", "--", "sleep", "3600.5"),
            run("--", job, "y"),
        )
    ]
    process = stage.running(job)
    terminate(stage, "--", job)
    assert process.wait(120) == -signal.SIGTERM
    terminate(stage, stage.name)
    assert [other.args for other in others if other.poll() is not None] == []


def test_what_a_killed_run_left_is_ended_too(stage: Stage) -> None:
    """Although nothing runs any more."""
    job = stage.sleeper(stubborn=True)
    running = stage.start("--", job)
    left = int(stage.started.read_text())
    running.kill()
    running.wait()
    assert alive(left)
    assert any(
        line.startswith(f"ended pid {left}  ")
        for line in terminate(stage, "--grace", "1s", "--", job)
    )
    assert not alive(left)


# --- with a hold ------------------------------------------------------------------------------


def holds(stage: Stage) -> list[dict[str, Any]]:
    found = json.loads(lifeline(stage.spawn, "status", "--json", stage.name).stdout)
    held: list[dict[str, Any]] = found["held"]
    return held


@pytest.mark.parametrize(
    ("words", "ends"),
    [
        (["--hold", "NAME"], False),
        (["NAME", "--hold"], False),
        (["--hold", "2h", "NAME"], True),
        (["--hold=2h", "NAME"], True),
        (["NAME", "--hold", "2h"], True),
        (["--hold", "--grace", "5s", "NAME"], False),
        (["--grace=5s", "--hold", "2h", "NAME"], True),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_a_hold_keeps_it_ended(stage: Stage, words: list[str], ends: bool) -> None:
    """With or without a duration, wherever it stands."""
    job = stage.sleeper()
    running = stage.start("--name", stage.name, "--", job)
    terminate(stage, *[stage.name if word == "NAME" else word for word in words])
    assert running.wait(120) == 128 + signal.SIGTERM
    (hold,) = holds(stage)
    assert (hold["until"] is not None) == ends
    assert not ends or hold["until"] - hold["since"] == pytest.approx(7200)
    ended = tick(stage.spawn, "--name", stage.name, "--", job)
    assert ended.returncode == 0
    assert_one_line(ended, "held", "(terminated by hand); not started")


def test_a_command_can_be_held_while_it_is_ended(stage: Stage) -> None:
    """`--hold` right before the dashes has no duration."""
    job = stage.sleeper()
    stage.start("--", job)
    terminate(stage, "--hold", "--", job)
    assert_one_line(tick(stage.spawn, "--", job), "held (terminated by hand)")
    assert lifeline(stage.spawn, "release", "--", job).returncode == 0


def test_the_hold_is_there_also_if_nothing_was_running(stage: Stage) -> None:
    """It is what was asked for."""
    held = f"held until it is released: {stage.name}"
    assert terminate(stage, "--hold", stage.name) == ["nothing was running", held]
    assert len(holds(stage)) == 1
    last = terminate(stage, "--hold", "1h", stage.name)[-1]
    assert re.fullmatch(rf"held until \d{{4}}-\d\d-\d\d .*: {stage.name}", last)


@pytest.mark.parametrize("before", [[], ["before"]], ids=["none", "one"])
def test_an_end_that_is_refused_leaves_the_hold_as_it_was(stage: Stage, before: list[str]) -> None:
    """None, or the one of before: nothing is done by halves."""
    hold = "".join(f"{LIFELINE} hold --reason {each} {stage.name} >&2; " for each in before)
    job = stage.shell(f"{hold}{LIFELINE} terminate --hold 1h {stage.name}; exit $(($? + 40))")
    ended = tick(stage.spawn, "--name", stage.name, "--", job)
    assert (ended.returncode, ended.stdout) == (41, "")
    assert "this process is part of that run" in ended.stderr
    assert [each["reason"] for each in holds(stage)] == before


def test_who_stands_by_is_named(stage: Stage) -> None:
    """It starts the job as soon as that has ended; with a hold it does not."""
    words = ("--on-running", "wait", "--name", stage.name, "--", stage.sleeper())
    first = stage.start(*words)
    marks = stage.directory / "state" / "passive"
    second = stage.spawn(*run(*words))
    eventually(lambda: marks.is_dir() and any(f".{second.pid}." in m.name for m in marks.iterdir()))
    stage.started.unlink()
    told = [line for line in terminate(stage, stage.name) if not line.startswith("ended pid ")]
    assert told == [
        f"pid {second.pid} stands by and starts it now; "
        "to keep it from that: lifeline terminate --hold"
    ]
    assert first.wait(120) == 128 + signal.SIGTERM
    eventually(stage.started.exists)
    third = stage.spawn(*run(*words))
    eventually(lambda: any(f".{third.pid}." in mark.name for mark in marks.iterdir()))
    told = terminate(stage, "--hold", stage.name)
    assert told[-1] == f"held until it is released: {stage.name}"
    assert third.wait(120) == 0
    assert "held (terminated by hand); not started" in third.stderr.read()


def test_a_name_that_reads_like_a_duration_is_taken_for_one(stage: Stage) -> None:
    """Then it has to be attached, and nothing is ended by mistake."""
    ended = lifeline(stage.spawn, "terminate", "--hold", "5m")
    assert ended.returncode == 2
    assert_one_line(ended, "say what is meant")
    assert terminate(stage, "--hold=1h", "5m")[0] == "nothing was running"
