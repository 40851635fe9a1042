"""`lifeline history` and `status`: what people and programs are told of the past."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path

import pytest

from lifeline import events
from lifeline.processes.identity import named
from lifeline.processes.state import State
from support.lifelines import lifeline, run, tick
from support.scripts import happened, shell
from support.spawning import Spawner
from support.waiting import eventually


def test_without_a_past_nothing_happened(spawn: Spawner) -> None:
    """An empty history is no error, and as JSON it is no line."""
    told = lifeline(spawn, "history")
    assert (told.returncode, told.stdout, told.stderr) == (0, "nothing happened\n", "")
    assert happened(spawn) == []


def test_for_people_there_is_a_line_for_each_event(spawn: Spawner, tmp_path: Path) -> None:
    """Local time, lifeline, event, and what is worth knowing of it."""
    tick(spawn, "--name", "mailer", "--timeout", "200ms", "--", *shell(tmp_path, "sleep 60"))
    told = lifeline(spawn, "history", env={"TZ": "XYZ-3"})
    header, start, end = told.stdout.splitlines()
    assert header.split() == ["TIME", "LIFELINE", "EVENT", "WHAT"]
    when = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+03:00"
    assert re.fullmatch(rf"{when}  mailer +start +pid \d+  job \d+", start)
    assert re.fullmatch(
        rf"{when}  mailer +end +pid \d+  job \d+  code 124  reason timeout  seconds [\d.]+s", end
    )


def test_json_is_one_object_a_line(spawn: Spawner, tmp_path: Path) -> None:
    """Each line is an event as it was written, time in seconds since the epoch."""
    job = shell(tmp_path, "exit 3")
    tick(spawn, "--", *job, "ä\n'\"\\\x7f\U0001f600")
    told = lifeline(spawn, "history", "--json")
    start, end = map(json.loads, told.stdout.splitlines())
    now = datetime.datetime.now().timestamp()
    assert now - 60 < start["time"] <= end["time"] <= now + 1
    assert (end["event"], end["code"]) == ("end", 3)
    assert "ä" in start["command"] and "\U0001f600" in start["command"]
    assert start["command"].startswith(f"{tmp_path}/job.sh ")


def test_one_lifeline_is_found_by_its_name_or_its_command(spawn: Spawner, tmp_path: Path) -> None:
    """Only its own events, whatever else there is; words are not joined to be compared."""
    one, two = shell(tmp_path, "exit 1", "one.sh"), shell(tmp_path, "exit 2", "two.sh")
    tick(spawn, "--name", "named", "--", *one)
    tick(spawn, "--", *one)
    tick(spawn, "--", *two, "a b", "c")
    tick(spawn, "--", *two, "a", "b c")
    assert len(happened(spawn)) == 8
    assert {each["name"] for each in happened(spawn, "named")} == {"named"}
    assert len(happened(spawn, "named")) == 2
    assert [each.get("code") for each in happened(spawn, "--", *one)] == [None, 1]
    assert len(happened(spawn, "--", *two, "a b", "c")) == 2
    assert happened(spawn, "--", *two) == []
    assert happened(spawn, "nobody") == []


def test_a_command_is_found_however_it_is_spelled(spawn: Spawner, tmp_path: Path) -> None:
    """A relative path, another directory: the same command has the same history."""
    shell(tmp_path, "exit 0")
    tick(spawn, "--", "sh", "job.sh")
    assert len(happened(spawn, "--", "/bin/sh", f"{tmp_path}/job.sh")) == 2


@pytest.fixture
def past(state_dir: Path) -> list[float]:
    """Ages, in seconds, of events on file; older and newer files hold them out of order."""
    ages = [30 * 86400.0, 86400.0 * 6.9, 7300.0, 3500.0, 10.0]
    state_dir.mkdir(mode=0o700)
    now = datetime.datetime.now().timestamp()
    lines = [
        events.encode({"time": now - age, "event": "start", "name": "job", "age": age})
        for age in ages
    ]
    (state_dir / "events").write_bytes(lines[3] + lines[4])
    (state_dir / "events.1").write_bytes(lines[1] + lines[0] + lines[2])
    return ages


@pytest.mark.parametrize(
    ("options", "count"),
    [([], 4), (["--since", "1h"], 2), (["--since", "30s"], 1), (["--since", "52w"], 5)],
)
def test_since_says_how_far_back(
    spawn: Spawner, past: list[float], options: list[str], count: int
) -> None:
    """Seven days without it; old and new files are read together, oldest first."""
    assert [each["age"] for each in happened(spawn, *options)] == past[-count:]


def test_ticks_that_did_nothing_are_shown_if_asked_for(spawn: Spawner, state_dir: Path) -> None:
    """One a minute would hide all else; with `--all` they stand where they belong."""
    state = State()
    for kind in ("start", events.STAND_DOWN, events.HELD, "end"):
        assert events.append(state, kind, named(b"job"))
    assert [each["event"] for each in happened(spawn)] == ["start", "end"]
    assert [each["event"] for each in happened(spawn, "--all")] == [
        "start",
        "stand-down",
        "held",
        "end",
    ]


def test_ticks_push_nothing_else_out(spawn: Spawner, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many ticks found a twin, the start is still there."""
    monkeypatch.setattr(events, "_LIMIT", 2000)
    state = State()
    assert events.append(state, "start", named(b"job"))
    for _ in range(200):
        events.append(state, events.STAND_DOWN, named(b"job"), pid=1)
    assert [each["event"] for each in happened(spawn)] == ["start"]


@pytest.mark.parametrize(
    "rubbish",
    [b"\0\xff\n", b"[]\n", b'{"time": "x", "event": "start"}\n', b'{"time": 1}\n', b"{}\n\n", b"{"],
)
def test_rubbish_in_the_files_is_passed_over(
    spawn: Spawner, state_dir: Path, rubbish: bytes
) -> None:
    """A file that somebody has touched shows what can be read."""
    state = State()
    assert events.append(state, "start", named(b"job"))
    with open(state_dir / "events", "ab") as file:
        file.write(rubbish)
    assert events.append(state, "end", named(b"job"))
    assert [each["event"] for each in happened(spawn)] == ["start", "end"]


@pytest.mark.parametrize(
    "words",
    [
        ["--since", "yesterday"],
        ["name", "--", "command"],
        ["--"],
        ["a/name"],
        ["--sicne", "1d"],
    ],
)
def test_wrong_use_is_told_in_one_line(spawn: Spawner, words: list[str]) -> None:
    """Exit 2, and what is wrong."""
    told = lifeline(spawn, "history", *words)
    assert told.returncode == 2
    assert told.stdout == ""
    assert len(told.stderr.splitlines()) == 1


def test_status_shows_restarts_and_the_last_exit(spawn: Spawner, tmp_path: Path) -> None:
    """How often the runner has started its job again, and how the run before ended."""
    body = "echo x >>$0.runs; [ $(wc -l <$0.runs) -lt 3 ] && exit 7; : >$0.ready; sleep 600"
    job = shell(tmp_path, body)
    spawn(*run("--restart", "always", "--backoff", "10ms", "--", *job))
    eventually((tmp_path / "job.sh.ready").exists, 60)
    told = lifeline(spawn, "status", "--json", "--", *job)
    (running,) = json.loads(told.stdout)["running"]
    assert (running["restarts"], running["last_exit"]) == (2, 7)
    header, row = lifeline(spawn, "status", "--", *job).stdout.splitlines()
    assert row.split()[-2:] == ["2", "7"]
    assert header.endswith("RESTARTS  LAST EXIT")
