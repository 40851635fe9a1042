"""`lifeline top` in a real terminal: what it shows, what its keys do, how it leaves."""

from __future__ import annotations

import os
import re
import signal
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.lifelines import LIFELINE, lifeline, run
from support.needs import UNSHARE
from support.screen import ScreenTerminal
from support.spawning import Spawner, alive
from support.stage import Stage
from support.waiting import eventually

Open = Callable[..., ScreenTerminal]
COLOUR = re.compile(rb"\x1b\[(?:\d+;)*3\d(?:;\d+)*m")  # ECMA-48, 8.3.117
ENDINGS = [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT]


@pytest.fixture
def open_terminal(spawn: Spawner) -> Iterator[Open]:
    """Opens terminals that have a program in them."""
    opened: list[ScreenTerminal] = []

    def open_one(*words: str, **options: object) -> ScreenTerminal:
        opened.append(ScreenTerminal(spawn, *words, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield open_one
    for each in opened:
        each.hang_up()


def open_top(open_terminal: Open, *words: str, **options: object) -> ScreenTerminal:
    """A `lifeline top` that has drawn its screen."""
    terminal = open_terminal(LIFELINE, "top", *words, **options)
    terminal.wait_for("lifeline on")
    return terminal


def configured(stage: Stage, text: str) -> None:
    (stage.directory / "lifeline.toml").write_text(text)


def choose(terminal: ScreenTerminal, title: str) -> None:
    """Go down until a lifeline is chosen."""
    terminal.wait_for(title)
    while not terminal.line("> ", title):
        chosen = terminal.line("> ")
        terminal.type("j")
        eventually(lambda before=chosen: terminal.line("> ") != before)


# --- what is shown ----------------------------------------------------------------------------


def test_it_shows_what_runs_is_held_and_is_configured(stage: Stage, open_terminal: Open) -> None:
    """State, memory, pid of the running one; a hold and a configured one; and the next tick."""
    configured(stage, f'[lifeline."{stage.name}-off"]\ncommand = "true"\nevery = "1d"\n')
    running = stage.start("--name", f"{stage.name}-on", "--", stage.sleeper())
    lifeline(stage.spawn, "hold", f"{stage.name}-held")
    terminal = open_top(open_terminal, columns=140)
    row = terminal.wait_for(f"{stage.name}-on", "running")
    assert " MiB " in row
    assert row.endswith(str(running.pid))
    terminal.wait_for(f"{stage.name}-held", " held ")
    assert " in " in terminal.wait_for(f"{stage.name}-off", " off ")


def test_it_follows_what_happens(stage: Stage, open_terminal: Open) -> None:
    """Without a key pressed: a lifeline appears, is stopped, and is gone after its end."""
    terminal = open_top(open_terminal)
    running = stage.start("--name", stage.name, "--", stage.sleeper())
    terminal.wait_for(stage.name, "running")
    os.kill(running.pid, signal.SIGSTOP)
    terminal.wait_for(stage.name, "stopped")
    os.kill(running.pid, signal.SIGCONT)
    os.kill(running.pid, signal.SIGTERM)
    eventually(lambda: not terminal.line(stage.name), within=120)


@pytest.mark.needs("unshare")
def test_with_a_lock_it_shows_the_fleet(stage: Stage, open_terminal: Open, tmp_path: Path) -> None:
    """One of this host with its slot and fence; one of another host, which cannot be ended here."""
    url = f"file:{tmp_path}/leases"
    theirs = [*UNSHARE, "--uts", "sh", "-c", 'hostname elsewhere.example; "$@"; exit $?', "sh"]
    options = ("--lock", url, "--slots", "2", "--name", stage.name)
    mine = stage.start(*options, "--", stage.sleeper())
    stage.spawn(
        *theirs,
        *run(*options, "--", "sleep", "3600"),
        env={"LIFELINE_STATE_DIR": str(tmp_path / "theirs")},
    )
    terminal = open_top(open_terminal, "--lock", url, columns=160)
    assert " of 2 " in terminal.wait_for(stage.name, "running", "here", str(mine.pid))
    assert " of 2 " in terminal.wait_for(stage.name, "elsewhere.example")
    choose(terminal, "elsewhere.example")
    terminal.type("t")
    terminal.wait_for("runs on elsewhere.example: it can be changed there")


def test_a_store_that_does_not_answer_is_told_of(stage: Stage, open_terminal: Open) -> None:
    """What runs here is shown all the same, and the keys go on working."""
    stage.start("--name", stage.name, "--", stage.sleeper())
    terminal = open_top(open_terminal, "--lock", "redis://127.0.0.1:1/0")
    terminal.wait_for(stage.name, "running")
    terminal.wait_for("127.0.0.1:1")
    terminal.type("q")
    assert terminal.ended() == 0


def test_a_wrong_url_is_one_line_and_no_screen(stage: Stage, open_terminal: Open) -> None:
    """Exit code 2, before the terminal is touched."""
    terminal = open_terminal(LIFELINE, "top", "--lock", "nonsense://x")
    assert terminal.ended() == 2
    terminal.wait_for("no store is called")
    assert b"\x1b[?1049h" not in terminal.raw


# --- keys -------------------------------------------------------------------------------------


def test_h_holds_and_r_releases(stage: Stage, open_terminal: Open) -> None:
    """For real: the next tick does not start it, and the one after the release does."""
    configured(stage, f'[lifeline."{stage.name}"]\ncommand = "{stage.sleeper()}"\n')
    terminal = open_top(open_terminal)
    choose(terminal, stage.name)
    terminal.type("h")
    terminal.wait_for("held:", stage.name)
    ended = stage.spawn.run(LIFELINE, "run", stage.name)
    assert "held (by hand in lifeline top)" in ended.stderr
    assert not stage.started.exists()
    terminal.wait_for("> ", stage.name, " held")
    terminal.type("r")
    terminal.wait_for("released:", stage.name)
    stage.running(LIFELINE, "run", stage.name)
    terminal.wait_for(stage.name, "running")


def test_t_terminates_after_a_yes(stage: Stage, open_terminal: Open) -> None:
    """Not at once and not after a no; after a yes the lifeline and its job are gone."""
    running = stage.start("--name", stage.name, "--", stage.sleeper())
    job = int(stage.started.read_text())
    terminal = open_top(open_terminal)
    choose(terminal, stage.name)
    terminal.type("t")
    terminal.wait_for(f"terminate {stage.name}?")
    terminal.type("n")
    terminal.wait_for("not terminated")
    assert alive(running.pid)
    terminal.type("ty")
    terminal.wait_for("ended:", stage.name)
    assert not alive(job)
    assert running.wait(120) == 128 + signal.SIGTERM
    assert "terminate" in lifeline(stage.spawn, "history", stage.name).stdout
    eventually(lambda: not terminal.line("> ", stage.name), within=120)


def test_terminated_and_held(stage: Stage, open_terminal: Open) -> None:
    """One key more, and cron does not bring it back."""
    stage.start("--name", stage.name, "--", stage.sleeper())
    terminal = open_top(open_terminal)
    choose(terminal, stage.name)
    terminal.type("t")
    terminal.wait_for(f"terminate {stage.name}?")
    terminal.type("h")
    terminal.wait_for("ended:", stage.name)
    assert "held" in lifeline(stage.spawn, "status", stage.name).stdout


def test_left_while_something_is_being_ended(stage: Stage, open_terminal: Open) -> None:
    """The terminal comes back at once; KILL still comes after the grace."""
    job = stage.sleeper(stubborn=True)
    configured(stage, f'[lifeline."{stage.name}"]\ncommand = "{job}"\ngrace = "2s"\n')
    running = stage.running(LIFELINE, "run", stage.name)
    terminal = open_top(open_terminal)
    choose(terminal, stage.name)
    terminal.type("t")
    terminal.wait_for(f"terminate {stage.name}?")
    terminal.type("yq")
    terminal.wait_for(f"{stage.name} is being ended")
    assert terminal.ended() == 0
    assert not alive(int(stage.started.read_text()))
    running.wait(120)
    assert terminal.is_as_before()


def test_keys_choose_and_show_help(stage: Stage, open_terminal: Open) -> None:
    """Arrows in both of their spellings; ? shows the help and any key ends it."""
    for letter in "abc":
        lifeline(stage.spawn, "hold", f"{stage.name}-{letter}")
    terminal = open_top(open_terminal)
    choose(terminal, f"{stage.name}-a")
    terminal.type("\x1b[B")
    terminal.wait_for("> ", f"{stage.name}-b")
    terminal.type("\x1bOB")
    terminal.wait_for("> ", f"{stage.name}-c")
    terminal.type("\x1b[A")
    terminal.wait_for("> ", f"{stage.name}-b")
    terminal.type("?")
    terminal.wait_for("comes back with cron's next tick")
    terminal.type("x")
    terminal.wait_for("> ", f"{stage.name}-b")


# --- terminals --------------------------------------------------------------------------------


def test_twenty_columns(stage: Stage, open_terminal: Open) -> None:
    """No line is longer; name and state are there, and more of both once there is more room."""
    stage.start("--name", stage.name, "--", stage.sleeper())
    terminal = open_top(open_terminal, columns=20)
    terminal.wait_for(stage.name[:6], "running")
    terminal.resize(24, 100)
    terminal.wait_for(stage.name, "running", "MiB")
    terminal.resize(3, 20)
    terminal.wait_for("lifeline on")
    terminal.resize(24, 100)
    terminal.wait_for(stage.name, "running")


@pytest.mark.parametrize("number", ENDINGS, ids=lambda number: number.name)
def test_a_signal_leaves_the_terminal_as_it_was(
    open_terminal: Open, number: signal.Signals
) -> None:
    """Echo, line mode, the first screen and the cursor are back; the exit code is 128+n."""
    terminal = open_top(open_terminal)
    assert terminal.alternate
    assert not terminal.is_as_before()
    os.kill(terminal.process.pid, number)
    assert terminal.ended() == 128 + number
    assert terminal.is_as_before()


def test_q_leaves_the_terminal_as_it_was(open_terminal: Open) -> None:
    """Exit code 0."""
    terminal = open_top(open_terminal)
    terminal.type("q")
    assert terminal.ended() == 0
    assert terminal.is_as_before()


def test_a_mistake_of_ours_leaves_the_terminal_as_it_was(open_terminal: Open) -> None:
    """An exception in the midst of drawing: the traceback can be read."""
    code = (
        "import sys; from lifeline.top import live; from lifeline.__main__ import main\n"
        "live.draw = lambda *_: 1 / 0\n"
        "sys.exit(main(['top']))"
    )
    terminal = open_terminal(sys.executable, "-c", code)
    assert terminal.ended() == 1
    terminal.wait_for("ZeroDivisionError")
    assert b"\x1b[?1049h" in terminal.raw
    assert terminal.is_as_before()


def test_a_terminal_that_hangs_up(open_terminal: Open) -> None:
    """The view ends with it."""
    terminal = open_top(open_terminal)
    terminal.hang_up()
    assert terminal.ended() == 128 + signal.SIGHUP


def test_ctrl_z_gives_the_terminal_back(open_terminal: Open) -> None:
    """And takes it again when the shell continues it."""
    terminal = open_terminal("bash", "--norc", "--noprofile", "-i", PS1="ready> ")
    terminal.wait_for("ready>")
    terminal.type(f"{LIFELINE} top\n")
    terminal.wait_for("lifeline on")
    terminal.type("\x1a")
    eventually(lambda: not terminal.alternate, within=120)
    terminal.wait_for("Stopped")
    terminal.type("fg\n")
    eventually(lambda: terminal.alternate, within=120)
    terminal.wait_for("q quit")
    terminal.type("q")
    eventually(lambda: not terminal.alternate, within=120)


@pytest.mark.parametrize("words", [["-u", "TERM"], ["TERM=dumb"]], ids=["none", "dumb"])
def test_a_dumb_terminal_gets_it_once(open_terminal: Open, words: list[str]) -> None:
    """No escape code, exit code 0."""
    terminal = open_terminal("env", *words, LIFELINE, "top")
    assert terminal.ended() == 0
    assert terminal.line("LIFELINE") or terminal.line("no lifeline")
    assert b"\x1b" not in terminal.raw


def test_no_color(stage: Stage, open_terminal: Open) -> None:
    """With NO_COLOR there is none, without it there is; the chosen one shows in both."""
    stage.start("--name", stage.name, "--", stage.sleeper())
    lifeline(stage.spawn, "hold", f"{stage.name}-2")
    plain = open_top(open_terminal, NO_COLOR="1")
    plain.wait_for("> ")
    assert not COLOUR.search(plain.raw)
    coloured = open_top(open_terminal)
    coloured.wait_for("> ")
    assert COLOUR.search(coloured.raw)


def test_piped_it_prints_once(stage: Stage) -> None:
    """Plain, a line for each, exit code 0."""
    stage.start("--name", stage.name, "--", stage.sleeper())
    ended = lifeline(stage.spawn, "top")
    assert (ended.returncode, ended.stderr) == (0, "")
    head, row = (
        line for line in ended.stdout.splitlines() if stage.name in line or "STATE" in line
    )
    assert head.split()[:2] == ["LIFELINE", "STATE"]
    assert row.split()[:2] == [stage.name, "running"]
    assert "\x1b" not in ended.stdout


def test_a_state_directory_that_cannot_be_trusted(stage: Stage, state_dir: Path) -> None:
    """One line that says why, exit code 75."""
    state_dir.mkdir(mode=0o755)
    state_dir.chmod(0o755)
    ended = lifeline(stage.spawn, "top")
    assert ended.returncode == 75
    assert ended.stderr.count("\n") == 1
    assert "chmod 700" in ended.stderr


def test_a_configuration_that_is_wrong_is_told_of(stage: Stage, open_terminal: Open) -> None:
    """In the view, which goes on without it."""
    configured(stage, "[lifeline\n")
    terminal = open_top(open_terminal)
    terminal.wait_for("lifeline.toml:1")
    name = f"late-{uuid.uuid4().hex[:8]}"
    configured(stage, f'[lifeline."{name}"]\ncommand = "true"\n')
    terminal.wait_for(name, "off")
