"""A shell to type the console blocks of the documentation into, and what they are to print."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen
from typing import NamedTuple

from support.spawning import Spawner

from .pages import Block

VENV = Path(sys.executable).parents[1]
_MARK = "-- that was it --"


class Said(NamedTuple):
    """What a command printed, on both streams, and its exit code."""

    lines: list[str]
    code: int


class Shell:
    """bash, started by `words`, in the directory that is /srv/app on the pages."""

    def __init__(self, spawn: Spawner, words: list[str], app: Path, env: dict[str, str]) -> None:
        self.app = app
        self._process: Popen[str] = spawn(
            *words, stdin=PIPE, stdout=PIPE, stderr=STDOUT, cwd=app, env=env
        )

    def type(self, command: str) -> Said:
        """What a command says; of one in the background, nothing that comes later."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{command}\necho '{_MARK}' $?\n")
        self._process.stdin.flush()
        lines = []
        for line in self._process.stdout:
            text, mark, code = line.rstrip("\n").partition(_MARK)
            if text:  # a last line without an end has the mark behind it
                lines.append(text)
            elif not mark:
                lines.append("")
            if mark:
                return Said(lines, int(code))
        raise AssertionError(f"the shell has ended: {lines}")


def exchanges(each: Block) -> Iterator[tuple[str, list[str]]]:
    """Each command of a block, and the lines that are shown below it."""
    for part in re.split(r"^\$ ", each.body, flags=re.MULTILINE)[1:]:
        command, *shown = part.rstrip("\n").split("\n")
        yield command.partition("  #")[0].rstrip(), shown


def is_shown(said: list[str], shown: list[str], app: Path) -> bool:
    """The same lines; `…` in what is shown is anything."""
    wanted = [re.escape(_plain(line, app)).replace("…", ".*") for line in shown]
    told = [_plain(line, app) for line in said]
    return len(told) == len(wanted) and all(map(re.fullmatch, wanted, told))


def _plain(line: str, app: Path) -> str:
    """A line as it would be on another day, in another place: numbers, times, paths, blanks."""
    line = line.replace(str(app), "/srv/app").replace(str(VENV), "/srv/venv")
    line = re.sub(r"\d+(\.\d+)?", "N", " ".join(line.split()))
    return re.sub(r"N[hms]( N[hms])*", "TIME", line)
