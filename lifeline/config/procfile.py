"""A Procfile's lines: `NAME: command`, as Heroku, foreman and honcho read them."""

from __future__ import annotations

import re
import shlex

from ..errors import UsageError
from ..toml import read_text

_LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(.+)")
# What means the same with a shell and without one.
_PLAIN = re.compile(r"[A-Za-z0-9_@%+:,./=\s-]*\Z")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


def read_procfile(path: str) -> dict[str, tuple[str, int]]:
    """The command line of each name, and the line of the file that it stands on.

    Raises UsageError with the line for what is no such line, and for a name that comes twice.
    """
    found: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(map(str.strip, read_text(path).splitlines()), 1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if not match:
            raise UsageError(f"{path}:{number}: it is no line of a Procfile: NAME: command")
        name, command = match.groups()
        if name in found:
            raise UsageError(
                f"{path}:{number}: there are two lifelines called {name!r}, "
                f"the other one on line {found[name][1]}"
            )
        found[name] = (command, number)
    return found


def words(command: str) -> list[str]:
    """The argument list of a Procfile's command: a shell runs it, where that makes a difference."""
    if _PLAIN.match(command) and not _ASSIGNMENT.match(command):
        return shlex.split(command)
    return ["/bin/sh", "-c", command]
