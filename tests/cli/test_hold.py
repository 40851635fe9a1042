"""`lifeline hold` and `lifeline release`."""

from __future__ import annotations

import datetime
import json
import os
import re
import stat
import sys
import time
from pathlib import Path

import pytest

from lifeline.cli.hold import parse_time
from lifeline.errors import UsageError
from support.lifelines import LIFELINE, lifeline, tick
from support.stage import Stage, assert_one_line
from support.waiting import eventually


def held(stage: Stage, *words: str) -> list[dict[str, object]]:
    """The holds that `status` knows of."""
    ended = lifeline(stage.spawn, "status", "--json", *words)
    assert ended.returncode in (0, 3), ended.stderr
    found: list[dict[str, object]] = json.loads(ended.stdout)["held"]
    return found


def test_a_held_lifeline_is_not_started_until_it_is_released(stage: Stage) -> None:
    """A tick says so in one line and leaves with 0."""
    job = stage.shell("exit 42")
    said = lifeline(stage.spawn, "hold", "--reason", "database moves", "--", job)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == f"held until it is released: {job}\n"
    ended = tick(stage.spawn, "--", job)
    assert ended.returncode == 0
    assert_one_line(
        ended, f"held (database moves); not started (`lifeline release -- {job}` ends it)"
    )
    said = lifeline(stage.spawn, "release", "--", job)
    assert (said.returncode, said.stdout) == (0, f"released: {job}\n")
    assert stage.code("--", job) == 42
    said = lifeline(stage.spawn, "release", "--", job)
    assert (said.returncode, said.stdout) == (0, f"was not held: {job}\n")


@pytest.mark.parametrize(
    "words",
    [
        ["--name", "the mailer", "--", "true"],
        ["--", "SCRIPT", "a b", "$x"],
        ["--", "python3", "SCRIPT", "--x"],
        ["--", "PYTHON", "-m", "platform", "it's"],
        ["--", "python3", "-c", "import sys; sys.exit(42)"],
        ["--", "sh", "-c", "exit 42"],
        ["--", "invoke", "-r", "DIR", "some.run"],
    ],
    ids=["name", "script", "interpreter", "module", "code", "shell", "invoke"],
)
def test_what_a_tick_says_ends_the_hold(stage: Stage, words: list[str]) -> None:
    """As it stands in the message, given to a shell."""
    places = {
        "SCRIPT": stage.shell("exit 42"),
        "DIR": str(stage.directory),
        "PYTHON": sys.executable,
    }
    words = [places.get(word, word) for word in words]
    (stage.directory / "tasks.py").touch()
    held_words = words[1:2] if words[0] == "--name" else words
    lifeline(stage.spawn, "hold", "--for", "1h", *held_words)
    told = re.search(r"`(lifeline release .*)` ends it", tick(stage.spawn, *words).stderr)
    assert told
    path = {"PATH": f"{Path(LIFELINE).parent}:{os.environ['PATH']}"}
    released = stage.spawn.run("sh", "-c", told.group(1), env=path, cwd="/")
    assert released.stdout.startswith("released: "), released


def test_a_hold_is_on_the_command_however_it_is_spelled(stage: Stage) -> None:
    """And on no other."""
    job = stage.script("raise SystemExit(42)\n")
    lifeline(stage.spawn, "hold", "--", "python3", stage.name, "a")
    for words in (["python3", "-u", job, "a"], ["nice", "python3", f"./{stage.name}", "a"]):
        assert stage.code("--", *words) == 0
    for words in (["python3", job], ["python3", job, "b"]):
        assert stage.code("--", *words) == 42
    assert stage.code("--name", stage.name, "--", "python3", job, "a") == 42


def test_a_hold_on_a_name_is_on_whatever_has_it(stage: Stage) -> None:
    """The command does not count then."""
    job = stage.shell("exit 42")
    lifeline(stage.spawn, "hold", stage.name)
    assert stage.code("--name", stage.name, "--", job) == 0
    assert stage.code("--name", f"{stage.name}2", "--", job) == 42
    assert stage.code("--", job) == 42


@pytest.mark.parametrize(("duration", "seconds"), [("1h", 3600), ("90", 90), ("2d", 172800)])
def test_a_hold_for_a_time_ends_by_itself(stage: Stage, duration: str, seconds: int) -> None:
    """Its end is told by whoever meets it."""
    before = time.time()
    said = lifeline(stage.spawn, "hold", "--for", duration, stage.name)
    (hold,) = held(stage, stage.name)
    assert hold["lifeline"] == stage.name
    assert before + seconds <= float(str(hold["until"])) <= time.time() + seconds
    shown = datetime.datetime.fromtimestamp(float(str(hold["until"]))).astimezone()
    assert said.stdout == f"held until {shown.isoformat(' ', 'seconds')}: {stage.name}\n"
    ended = tick(stage.spawn, "--name", stage.name, "--", "true")
    assert_one_line(ended, "held for another ")


def test_a_hold_that_is_over_holds_nothing(stage: Stage) -> None:
    """Nobody has to release it."""
    job = stage.shell("exit 42")
    assert lifeline(stage.spawn, "hold", "--for", "1ms", "--", job).returncode == 0
    eventually(lambda: stage.code("--", job) == 42)
    assert held(stage, "--", job) == []
    assert "start the command" in lifeline(stage.spawn, "explain", "--", job).stdout


def test_a_new_hold_takes_the_place_of_the_old_one(stage: Stage) -> None:
    """Longer, shorter, or with another reason."""
    for words in (["--for", "1h", "--reason", "a"], ["--reason", "b"], ["--for", "1s"]):
        lifeline(stage.spawn, "hold", *words, stage.name)
    (hold,) = [*held(stage, stage.name), {"reason": "over", "until": 0.0}][:1]
    assert hold["reason"] in ("", "over")
    assert hold["until"] is not None


def test_a_hold_ends_nothing_that_runs(stage: Stage) -> None:
    """It goes on, and is not started again."""
    job = stage.sleeper()
    running = stage.start("--", job)
    lifeline(stage.spawn, "hold", "--", job)
    assert lifeline(stage.spawn, "status", "--", job).returncode == 0
    assert running.poll() is None
    assert tick(stage.spawn, "--exit-code-if-running=9", "--", job).returncode == 9


ODD_REASONS = {
    "a newline": ("a\nb", "a\\nb"),
    "an escape code": ("\x1b[31mred", "\\x1b[31mred"),
    "not UTF-8": (os.fsdecode(b"caf\xe9"), "caf\\xe9"),
    "another script": ("\u65e5\u672c", "\u65e5\u672c"),
    "brackets": ("[bold]x[/bold] {y} %s", "[bold]x[/bold] {y} %s"),
    "a backslash": ("a\\nb", "a\\nb"),
    "long": ("x" * 5000, "x" * 200 + "\u2026"),
}


@pytest.mark.parametrize(("reason", "shown"), ODD_REASONS.values(), ids=ODD_REASONS)
def test_a_reason_can_be_any_text_and_is_shown_on_one_line(
    stage: Stage, reason: str, shown: str
) -> None:
    """To whoever meets the hold, and in `status`."""
    assert lifeline(stage.spawn, "hold", "--reason", reason, stage.name).returncode == 0
    ended = tick(stage.spawn, "--name", stage.name, "--", "true")
    assert_one_line(ended, f"held ({shown}); not started")
    assert [hold["reason"] for hold in held(stage, stage.name)] == [shown]
    status = lifeline(stage.spawn, "status", stage.name).stdout
    assert status == f"not running\nheld: {stage.name} ({shown})\n"


@pytest.mark.parametrize("reason", ["x\033]0;owned\007\ny", "a\u202eb", "\u009b31m"])
def test_the_history_obeys_no_reason(stage: Stage, reason: str) -> None:
    """What a terminal would obey is shown instead: for people, and in JSON, which says the same."""
    lifeline(stage.spawn, "hold", "--reason", reason, stage.name)
    table = lifeline(stage.spawn, "history", stage.name).stdout
    assert all(line.isprintable() for line in table.splitlines())
    assert f"reason {ascii(reason)[1:-1]}" in table.splitlines()[1]
    data = lifeline(stage.spawn, "history", "--json", stage.name).stdout
    assert data.removesuffix("\n").isprintable()
    assert json.loads(data)["reason"] == reason


def test_a_hold_is_its_users_alone(stage: Stage, state_dir: Path) -> None:
    """A file that nobody else reads, in a directory that nobody else enters."""
    lifeline(stage.spawn, "hold", stage.name)
    (path,) = (state_dir / "holds").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700


def test_until_is_a_time_of_the_local_clock(stage: Stage) -> None:
    """The time zone of whoever holds."""
    words = ["env", "TZ=Asia/Tokyo", LIFELINE, "hold", "--until", "2099-01-31T06:30", stage.name]
    said = stage.spawn.run(*words)
    assert said.stdout.startswith("held until 2099-01-31 06:30:00+09:00: ")
    (hold,) = held(stage, stage.name)
    expected = datetime.datetime(2099, 1, 30, 21, 30, tzinfo=datetime.timezone.utc)
    assert hold["until"] == expected.timestamp()


# --- times as text ----------------------------------------------------------------------------

NOON = datetime.datetime(2030, 6, 15, 12, 0, 30)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12:01", (2030, 6, 15, 12, 1)),
        ("23:59", (2030, 6, 15, 23, 59)),
        ("12:00", (2030, 6, 16, 12, 0)),
        ("00:00", (2030, 6, 16, 0, 0)),
        ("12:00:31", (2030, 6, 15, 12, 0, 31)),
        ("12:00:30", (2030, 6, 16, 12, 0, 30)),
        ("2030-06-15T12:01", (2030, 6, 15, 12, 1)),
        ("2030-06-15 12:01:30", (2030, 6, 15, 12, 1, 30)),
        ("2030-12-31", (2030, 12, 31)),
    ],
)
def test_a_time_is_the_next_one_or_that_of_its_date(text: str, expected: tuple[int, ...]) -> None:
    """Without a date: today if it has yet to come, else tomorrow."""
    wanted = datetime.datetime(*expected).timestamp()  # type: ignore[arg-type,misc]
    assert parse_time(text, NOON.timestamp()) == wanted


def test_a_time_can_bring_its_own_zone() -> None:
    """Then the local one does not count."""
    now = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc).timestamp()
    assert parse_time("2030-01-01T02:00+01:00", now) == now + 3600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "6:30pm",
        "24:00",
        "12:60",
        "12",
        "2030-13-01",
        "2030-02-30",
        "-",
        "12:00-x",
        "\u0661\u0662:\u0660\u0660",
    ],
)
def test_what_is_no_time(text: str) -> None:
    """One line says how to write one. (From Python 3.11 on, `12` is one, too.)"""
    try:
        assert parse_time(text, NOON.timestamp()) > NOON.timestamp()
        assert text == "12"
    except UsageError as error:
        assert "is not a time: write 06:30 or 2030-01-31T06:30" in str(error)


@pytest.mark.parametrize("text", ["2030-06-15T12:00:30", "2030-06-15", "1999-01-01", "0001-01-01"])
def test_a_time_has_to_come_yet(text: str) -> None:
    """A hold until then would hold nothing."""
    with pytest.raises(UsageError, match=r"has already passed|is not a time"):
        parse_time(text, NOON.timestamp())
