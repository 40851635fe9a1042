"""Which file describes the lifelines here: the one that was named, else the nearest upwards."""

from __future__ import annotations

import os

from ..errors import CannotTell, UsageError, show

TOML, PYPROJECT, PROCFILE = "lifeline.toml", "pyproject.toml", "Procfile"
VARIABLE = "LIFELINE_CONFIG"

_OUR_TABLE = (b"[tool.lifeline.", b"[tool.lifeline]", b"tool.lifeline.", b"tool.lifeline=")

_chosen: str | None = None  # what --config said


def choose(path: str) -> None:
    """Take this file for the rest of the process, as `--config` asks for."""
    global _chosen
    if not path:
        raise UsageError("--config cannot be empty")
    _chosen = path


def take_option(words: list[str]) -> list[str]:
    """`words` without `--config FILE` or `--config=FILE`, which is chosen."""
    left: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--config":
            path = next(rest, None)
            if path is None:
                raise UsageError("--config needs a value")
            choose(path)
        elif word.startswith("--config="):
            choose(word.removeprefix("--config="))
        else:
            left.append(word)
    return left


def find(*, may_be_gone: bool = False) -> str | None:
    """The absolute path of the file, None if there is none; a named one only if it is there.

    Raises CannotTell if one that was named is not there, UsageError if the nearest upwards belongs
    to somebody else, who could have it run anything.
    """
    named = _chosen or os.environ.get(VARIABLE)
    if named:
        if not (may_be_gone or os.path.exists(named)):
            origin = "--config" if _chosen else VARIABLE
            raise CannotTell(f"{origin}: there is no {show(os.fsencode(named))}")
        return os.path.abspath(named)
    try:
        directory = start = os.getcwd()
    except OSError:  # it is gone
        return None
    while True:
        found = _in_directory(directory)
        if found:
            if directory != start:
                _check_owner(found)
            return found
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent


def _in_directory(directory: str) -> str | None:
    for name in (TOML, PYPROJECT, PROCFILE):
        path = os.path.join(directory, name)
        if os.path.isfile(path) and (name != PYPROJECT or _has_our_table(path)):
            return path
    return None


def _has_our_table(path: str) -> bool:
    """True if a pyproject.toml speaks of lifelines; read in full only then."""
    try:
        with open(path, "rb") as file:
            content = file.read(1_000_000).removeprefix(b"\xef\xbb\xbf")  # a byte order mark
    except OSError:
        return False  # nothing says that it is ours
    if b"lifeline" not in content:
        return False
    lines = (line.translate(None, b" \t\"'") for line in content.splitlines())
    return any(line.startswith(_OUR_TABLE) for line in lines)


def _check_owner(path: str) -> None:
    try:
        owner = os.stat(path).st_uid
    except OSError as error:
        raise CannotTell(f"{show(os.fsencode(path))}: {error.strerror}") from None
    if owner not in (0, os.geteuid()):
        raise UsageError(
            f"{show(os.fsencode(path))} belongs to user {owner}: if it is meant, "
            f"say so with --config or {VARIABLE}"
        )
