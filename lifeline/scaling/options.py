"""Options of probes and targets: taking them one by one, secrets resolved, leftovers refused.

Each maker takes what it knows and calls `done`; an unknown option is named with the nearest.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Any

from . import checking
from .checking import BadOption

_LONGEST_SECRET = 65536  # bytes


class Options:
    """The options of one probe or target. Raises BadOption, which leads to the one at fault."""

    def __init__(self, given: Mapping[str, Any], kind: str) -> None:
        self._given = dict(given)
        self._kind = kind
        self._known: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        """Text, or what `env:NAME` or `secret-file:PATH` leads to. Needed without a default."""
        value = self._take(name, default)
        if not isinstance(value, str) or not value:
            raise BadOption((name,), f"{name} has to be text that is not empty")
        return secret(name, value)

    def words(self, name: str) -> list[str]:
        """A list of words."""
        value = self._take(name, None)
        fine = isinstance(value, list) and value and all(isinstance(each, str) for each in value)
        if not fine or not value[0] or any("\0" in each for each in value):
            raise BadOption((name,), f'{name} is a list of words: ["/srv/app/count", "--due"]')
        return list(value)

    def seconds(self, name: str, default: float) -> float:
        """Seconds, more than none."""
        return checking.some_seconds(name, self._take(name, default))

    def texts(self, name: str) -> dict[str, str]:
        """A table of texts; secrets resolved. Empty if it is not given."""
        value = self._take(name, {})
        if not isinstance(value, Mapping) or not all(isinstance(v, str) for v in value.values()):
            raise BadOption((name,), f"{name} is a table of texts")
        return {key: secret(f"{name}.{key}", text) for key, text in value.items()}

    def done(self) -> None:
        """Nothing more is known: whatever is left is a mistake."""
        checking.known(self._given, self._known, f"option of {self._kind}")

    def _take(self, name: str, default: Any) -> Any:
        self._known.append(name)
        if name not in self._given:
            if default is None:
                raise BadOption((), f"{self._kind} needs {name}")
            return default
        return self._given[name]


def secret(name: str, value: str) -> str:
    """The value itself, what `env:NAME` names, or the first line of `secret-file:PATH`.

    Raises BadOption if there is none. No message shows any of it.
    """
    if value.startswith("env:"):
        found = os.environ.get(value[4:], "").strip()
        if not found:
            raise BadOption((name,), f"{name}: the environment variable {value[4:]!a} is not set")
        return found
    if value.startswith("secret-file:"):
        return _first_line(name, value.removeprefix("secret-file:"))
    return value


def _first_line(name: str, path: str) -> str:
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            line = file.readline(_LONGEST_SECRET).strip()
    except OSError as error:
        raise BadOption((name,), f"{name}: {path!a} cannot be read ({error.strerror})") from None
    if mode & stat.S_IROTH:
        raise BadOption((name,), f"{name}: {path!a} can be read by everybody; chmod o-r it")
    try:
        found = line.decode()
    except UnicodeDecodeError:
        found = ""
    if not found:
        raise BadOption((name,), f"{name}: {path!a} holds no text")
    return found
