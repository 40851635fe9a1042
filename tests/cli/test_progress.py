"""Waits show progress on a terminal, and only there."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from support.lifelines import LIFELINE, lifeline, run, tick
from support.screen import ScreenTerminal
from support.servers import valkey
from support.stage import Stage
from support.waiting import eventually


def test_terminate_shows_what_it_waits_for(stage: Stage) -> None:
    """What is ended and how long it can take; gone once it is over, the answer stays."""
    told = stage.directory / "told"
    job = f"trap 'echo >{told}' TERM; echo $$ >{stage.started}; while :; do sleep 0.1; done"
    stage.start("--name", stage.name, "--grace", "1h", "--", stage.shell(job))
    terminal = ScreenTerminal(stage.spawn, LIFELINE, "terminate", "--grace", "600s", stage.name)
    terminal.wait_for(f"ending {stage.name}: TERM, then KILL", " of 600 s")
    eventually(told.exists, within=120)
    os.killpg(int(stage.started.read_text()), signal.SIGKILL)
    assert terminal.ended() == 0
    terminal.wait_for("ended pid")
    assert not terminal.line("TERM, then KILL")
    assert terminal.is_as_before()


def test_ctrl_c_leaves_the_terminal_as_it_was(stage: Stage) -> None:
    """Exit code 130; the cursor is back."""
    stage.start("--name", stage.name, "--grace", "1h", "--", stage.sleeper(stubborn=True))
    terminal = ScreenTerminal(stage.spawn, LIFELINE, "terminate", "--grace", "1h", stage.name)
    terminal.wait_for(f"ending {stage.name}")
    terminal.type("\x03")
    assert terminal.ended() == 128 + signal.SIGINT
    eventually(terminal.is_as_before)


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_dumb_terminal_stays_quiet(stage: Stage, term: str) -> None:
    """Nothing but the answer, and no escape code."""
    stage.start("--name", stage.name, "--", stage.sleeper())
    terminal = ScreenTerminal(stage.spawn, LIFELINE, "terminate", stage.name, TERM=term)
    terminal.wait_for("ended pid")
    assert terminal.ended() == 0
    assert b"\x1b" not in terminal.raw
    assert b"TERM, then" not in terminal.raw


def test_piped_it_stays_quiet(stage: Stage) -> None:
    """Nothing on stderr, as in a script."""
    stage.start("--name", stage.name, "--", stage.sleeper())
    ended = lifeline(stage.spawn, "terminate", stage.name)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("store", ["file", "redis"])
def test_a_run_that_stands_by_says_for_whom(stage: Stage, tmp_path: Path, store: str) -> None:
    """Once, on a terminal; Ctrl-C leaves. In a pipe it stays quiet."""
    server = valkey.new_server() if store == "redis" else None
    url = (
        f"redis://127.0.0.1:{server.port}/0?restart_delay=0"
        if server
        else f"file:{tmp_path}/leases"
    )
    options = ("--lock", url, "--per-host", "0", "--name", stage.name)
    holder = stage.start(*options, "--", stage.sleeper())
    terminal = ScreenTerminal(stage.spawn, *run(*options, "--wait", "--", "true"))
    terminal.wait_for("standing by: it is with ", f"pid {holder.pid}; Ctrl-C leaves")
    terminal.type("\x03")
    assert terminal.ended() == 128 + signal.SIGINT
    assert terminal.raw.count(b"standing by") == 1
    passed = tick(stage.spawn, *options, "--wait", "0.5", "--", "true")
    assert (passed.returncode, passed.stderr) == (0, "")
    stage.spawn.end()  # who talks to the server goes first
    if server:
        server.close()


def test_a_run_that_waits_for_its_twin_says_for_whom(stage: Stage) -> None:
    """`--on-running wait`: it begins once the twin has ended."""
    job = stage.sleeper()
    twin = stage.start("--", job)
    words = run("--on-running", "wait", "--", job)
    terminal = ScreenTerminal(stage.spawn, *words)
    terminal.wait_for(f"waiting for the end of pid {twin.pid}, which runs it")
    terminal.type("\x03")
    assert terminal.ended() == 128 + signal.SIGINT
