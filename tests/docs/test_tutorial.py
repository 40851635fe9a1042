"""The tutorial, typed into a shell as it stands, with a crontab and a cron of the test's own."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from support.crontabs import Crontabs
from support.hosts import below
from support.spawning import Spawner, alive
from support.stage import Stage
from support.waiting import eventually

from .pages import DOCS, blocks
from .shells import VENV, Shell, exchanges, is_shown

PAGE = DOCS / "tutorial.md"
SPEED = 15  # a minute of cron's in 4 s

pytestmark = [pytest.mark.needs("cron", "faketime", "root", "unshare"), pytest.mark.timeout(300)]


class Typist(Shell):
    """A shell in the namespace of a crontab."""

    def __init__(self, crontabs: Crontabs, cron: int) -> None:
        self._cron = cron
        env = {"PATH": f"{VENV}/bin{os.pathsep}{os.environ['PATH']}"}
        words = crontabs.inside("bash", "--norc")
        super().__init__(crontabs.spawn, words, crontabs.directory, env)

    @contextmanager
    def between_ticks(self) -> Iterator[None]:
        """Inside, cron starts nothing, and nothing of it is under way but what stays: the worker.

        A tick in the midst of a command would be in what that prints.
        """
        os.kill(self._cron, signal.SIGSTOP)
        try:
            eventually(lambda: sum(map(alive, children(self._cron))) <= 1, within=120)
            yield
        finally:
            os.kill(self._cron, signal.SIGCONT)


@pytest.fixture
def shell(spawn: Spawner, tmp_path: Path) -> Typist:
    """In a directory with the tutorial's two files in it, beside somebody else's lifeline."""
    foreign = Stage(tmp_path, spawn)
    foreign.start("--name", foreign.name, "--", foreign.sleeper())
    app = tmp_path / "app"
    app.mkdir()
    (app / "worker.py").write_text(next(blocks("python", page=PAGE)).body)
    (app / "lifeline.toml").write_text(next(blocks("toml", page=PAGE)).body)
    crontabs = Crontabs(spawn, app, alone=True)
    started = crontabs.start_cron(SPEED)
    cron = eventually(lambda: next(iter(below(started.pid)), 0))
    return Typist(crontabs, cron)


def children(pid: int) -> list[int]:
    """Of cron, one for each line that is under way."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(shell: Typist, command: str, shown: list[str]) -> list[str]:
    """What a command prints once that is what is shown; what it prints at last if it never is."""
    said: list[str] = []

    def as_shown() -> bool:
        said[:] = shell.type(command).lines
        return is_shown(said, shown, shell.app)

    with suppress(AssertionError):
        eventually(as_shown, within=120, every=0.3)
    return said


def play(shell: Typist, command: str, shown: list[str], later: bool) -> None:
    """Type a command; it prints what is shown, at once or, if that is said, after a while."""
    if command.endswith("&"):  # what comes next is typed a moment later
        shell.type(command)
        eventually(lambda: len(shell.type("lifeline status").lines) > 1, within=120, every=0.3)
        return
    if later or command == "lifeline status":
        said = wait_for(shell, command, shown)
    else:
        with shell.between_ticks():
            said = [line for line in shell.type(command).lines if not is_of_the_shell(line)]
    assert is_shown(said, shown, shell.app), (command, said, shown)


def test_what_the_tutorial_shows_is_what_happens(shell: Typist) -> None:
    """Every command, in its order, prints what stands below it."""
    typed = 0
    for each in blocks("console", page=PAGE):
        for command, shown in exchanges(each):
            if not command.startswith("pip "):  # the environment of the test has it
                play(shell, command, shown, later=each.note == "within a minute")
                typed += 1
    assert typed > 10


def is_of_the_shell(line: str) -> bool:
    """What bash says of its background jobs."""
    return bool(re.match(r"\[\d+\]", line)) or "Killed" in line
