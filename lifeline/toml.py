"""TOML files, with the line of each key for messages that name it."""

from __future__ import annotations

import os
import re
import stat
import sys

from .errors import CannotTell, UsageError, show

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: Leads to a value: keys of tables, indices of arrays.
Path = tuple["str | int", ...]

_LARGEST = 1_000_000  # bytes; what is larger is no configuration


class Document:
    """A TOML file that was read: its `path` and its `data`."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self._text = text.replace("\r\n", "\n")
        self._lines: dict[Path, int] | None = None
        try:
            self.data: dict[str, Any] = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            raise UsageError(_located(path, str(error), self._text)) from None
        except RecursionError:
            raise UsageError(f"{path}: it is nested too deeply") from None

    def line(self, path: Path) -> int:
        """The line, counted from 1, on which what `path` leads to begins.

        That of the nearest part above it if that has no line of its own.
        """
        if self._lines is None:
            self._lines = Scanner(self._text).lines()
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def where(self, path: Path) -> str:
        """`FILE:LINE` of what `path` leads to."""
        return f"{self.path}:{self.line(path)}"

    def wrong(self, path: Path, message: str) -> UsageError:
        """The error that says what is wrong with what `path` leads to, and where it stands."""
        return UsageError(f"{self.where(path)}: {message}")


def load(path: str) -> Document:
    """Read a TOML file.

    Raises CannotTell if it cannot be read, UsageError with its line if it is no TOML.
    """
    return Document(path, read_text(path))


def read_text(path: str) -> str:
    """The text of a small file. Raises CannotTell if it cannot be read, UsageError if no text."""
    try:
        # Without O_NONBLOCK a FIFO in its place would be waited for.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise CannotTell(f"{show(os.fsencode(path))} is no regular file")
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise CannotTell(f"{show(os.fsencode(path))} cannot be read ({error.strerror})") from None
    if len(content) > _LARGEST:
        raise UsageError(f"{path} has more than {_LARGEST} bytes")
    try:
        return content.decode("utf-8-sig")  # an editor's byte order mark says nothing
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{number}: it is not UTF-8") from None


def _located(path: str, message: str, text: str) -> str:
    """tomllib's message with its line where compilers put it."""
    found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    if found is None:
        return f"{path}: {message}"
    line = found.group(1) or text.rstrip("\n").count("\n") + 1
    message = message[: found.start()]
    if twice := re.fullmatch(r"Cannot declare \((.*)\) twice", message):
        message = f"[{'.'.join(_QUOTED.findall(twice.group(1)))}] stands there twice"
    return f"{path}:{line}: {message}"


_QUOTED = re.compile(r"'([^']*)'")
_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_KEY = re.compile(r'[ \t]*(?:([A-Za-z0-9_-]+)|("(?:\\.|[^"\\])*")|(\'[^\']*\'))[ \t]*')
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:""?(?!"))?|\'\'\'.*?\'\'\'(?:\'\'?(?!\'))?'
    r'|"(?:\\.|[^"\\])*"|\'[^\']*\'',
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}\n#]*")


class Scanner:
    """Finds where keys begin in a text that is known to be TOML (version 1.0.0).

    Values are stepped over, not read: the parser has done that.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}  # arrays of tables: how many there are so far
        self._seen = (0, 1)  # a place in the text and its line

    def lines(self) -> dict[Path, int]:
        """The line of each key and each element of an array."""
        table: Path = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)
        return self._found

    def _header(self) -> Path:
        line = self._line()
        double = self._text.startswith("[[", self._at)
        self._at += 2 if double else 1
        keys = self._keys()
        self._at += 2 if double else 1
        path = self._resolved(keys[:-1])
        path = (*path, keys[-1])
        if double:
            self._found.setdefault(path, line)
            index = self._counts[path] = self._counts.get(path, -1) + 1
            path = (*path, index)
        elif path in self._counts:
            path = (*path, self._counts[path])
        self._found.setdefault(path, line)
        return path

    def _resolved(self, keys: tuple[str, ...]) -> Path:
        """The path of a header's leading keys: of an array of tables, the last one is meant."""
        path: Path = ()
        for key in keys:
            path = (*path, key)
            if path in self._counts:
                path = (*path, self._counts[path])
        return path

    def _pair(self, table: Path) -> None:
        line = self._line()
        path = table
        for key in self._keys():
            path = (*path, key)
            self._found.setdefault(path, line)
        self._at += 1  # the equals sign
        self._value(path)

    def _keys(self) -> tuple[str, ...]:
        keys = []
        while found := _KEY.match(self._text, self._at):
            bare, basic, literal = found.groups()
            if basic is not None:
                keys.append(str(tomllib.loads(f"k = {basic}")["k"]))
            else:
                keys.append(bare if bare is not None else literal[1:-1])
            self._at = found.end()
            if self._text[self._at : self._at + 1] != ".":
                break
            self._at += 1
        return tuple(keys)

    def _value(self, path: Path) -> None:
        self._skip(_BLANK)
        first = self._text[self._at : self._at + 1]
        if first in ('"', "'"):
            self._skip(_STRING)
        elif first == "[":
            self._series("]", lambda index: self._element((*path, index)))
        elif first == "{":
            self._series("}", lambda _index: self._pair(path))
        else:
            self._skip(_SCALAR)

    def _element(self, path: Path) -> None:
        self._found.setdefault(path, self._line())
        self._value(path)

    def _series(self, end: str, read: Callable[[int], None]) -> None:
        """An array or an inline table: what `read` steps over, parted by commas."""
        self._at += 1
        index = 0
        self._skip(_BLANK)
        while not self._text.startswith(end, self._at):
            read(index)
            index += 1
            self._skip(_BLANK)
            if self._text.startswith(",", self._at):
                self._at += 1
                self._skip(_BLANK)
        self._at += 1

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        self._at = found.end() if found else self._at + 1

    def _line(self) -> int:
        before, line = self._seen
        line += self._text.count("\n", before, self._at)
        self._seen = (self._at, line)
        return line
