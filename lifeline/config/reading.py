"""A configuration as it stands in its file: which lifelines there are, which keys each has."""

from __future__ import annotations

import os
from functools import partial

from ..errors import UsageError
from ..options import _CONVERT, _FLAGS, check_name
from ..toml import Document, load
from . import place
from .procfile import read_procfile, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..toml import Path

#: What a lifeline has besides the options of `lifeline run`.
OWN_KEYS = ("command", "cwd", "env", "env_file", "every", "cron")
_TABLES = ("lifeline", "scale")  # the top of lifeline.toml; the scaler reads the other one


def known_keys() -> list[str]:
    """Every key that a lifeline's table may have."""
    return [*OWN_KEYS, *_CONVERT, *sorted(_FLAGS)]


class Entry:
    """One lifeline of a file: `keys` as they were written, dashes made underscores."""

    def __init__(
        self, name: str, table: Mapping[str, object], path: str, where: Callable[[str], str]
    ) -> None:
        self.name = name
        self.path = path
        self.keys: dict[str, object] = {}
        self._written: dict[str, str] = {}
        self._where = where
        self._twice: str | None = None
        for written, value in table.items():
            key = written.replace("-", "_")
            if key in self.keys:
                self._twice = written
            self.keys[key], self._written[key] = value, written

    @property
    def directory(self) -> str:
        """What relative paths of the file are relative to: where the file is."""
        return os.path.dirname(self.path)

    def where(self, key: str = "") -> str:
        """`FILE:LINE` of a key, or of the lifeline itself."""
        return self._where(self._written.get(key, key))

    def wrong(self, key: str, message: str) -> UsageError:
        """The error that says what is wrong with a key's value, and where."""
        return UsageError(f"{self.where(key)}: {message}")

    @property
    def called(self) -> str:
        """The name that the lifeline has among processes."""
        name = self.keys.get("name")
        return name if isinstance(name, str) and name else self.name

    def check_keys(self) -> None:
        """Raise UsageError for the first key that means nothing, with the nearest that does."""
        for error in self.wrong_keys():
            raise error

    def wrong_keys(self) -> Iterator[UsageError]:
        """The error of each key that means nothing, or is there twice."""
        if self._twice:
            yield self.wrong(self._twice, f"{self._twice} is given twice")
        known = known_keys()
        for key, written in self._written.items():
            if key not in known:
                from difflib import get_close_matches  # only for a mistake

                near = get_close_matches(key, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
                yield self.wrong(key, f"no such key: {written}; {hint}")


class Config:
    """A file and its lifelines; `strays` are keys at its top that mean nothing.

    `scalers` are the tables of lifeline.toml that `lifeline scale` reads, by name.
    """

    def __init__(
        self,
        path: str,
        entries: dict[str, Entry],
        strays: Mapping[str, Callable[[], UsageError]] | None = None,
        scalers: Mapping[str, object] | None = None,
    ) -> None:
        self.path = path
        self.entries = entries
        self.strays = strays or {}
        self.scalers = scalers or {}

    def entry(self, name: str) -> Entry:
        """The lifeline called `name`. Raises UsageError, which says which there are."""
        found = self.entries.get(name)
        if found is None:
            raise UsageError(f"no lifeline called {name!r} in {self.path}; {self._there_are(name)}")
        for other in self.entries.values():
            if other is not found and other.called == found.called:
                first, second = sorted((found, other), key=lambda each: each.where("name"))
                raise second.wrong(
                    "name",
                    f"there are two lifelines called {found.called!r}, {first.name} and "
                    f"{second.name}: each would keep the other from running",
                )
        return found

    def _there_are(self, name: str) -> str:
        if name in self.strays:
            return _stray(name)
        return f"there are {', '.join(self.entries)}" if self.entries else "there is none"


def read(path: str) -> Config:
    """The lifelines of a file, keys not looked at yet.

    Raises UsageError with the line for what is no such file, CannotTell if it cannot be read.
    """
    base = os.path.basename(path)
    if base == place.PROCFILE or base.startswith(f"{place.PROCFILE}."):
        return _from_procfile(path)
    return _from_toml(load(path), base == place.PYPROJECT)


def here() -> Config | None:
    """The configuration that counts here, None if there is none."""
    path = place.find()
    return None if path is None else read(path)


def needed() -> Config:
    """Like `here`, but there has to be one."""
    config = here()
    if config is None:
        raise UsageError(
            f"there is no {place.TOML}, no [tool.lifeline] in a {place.PYPROJECT} and no "
            f"{place.PROCFILE} here or above; name one with --config"
        )
    return config


def _from_procfile(path: str) -> Config:
    found = read_procfile(path).items()
    return Config(path, {name: _of_line(path, name, *each) for name, each in found})


def _of_line(path: str, name: str, command: str, line: int) -> Entry:
    return _checked(Entry(name, {"command": words(command)}, path, lambda _key: f"{path}:{line}"))


def _from_toml(document: Document, in_pyproject: bool) -> Config:
    data = document.data
    above: Path = ()
    if in_pyproject:
        data, above = data.get("tool", {}), ("tool",)
    elif "lifeline" not in data and (unknown := [key for key in data if key not in _TABLES]):
        from difflib import get_close_matches

        near = get_close_matches(unknown[0], ["lifeline"], 1, 0.7)
        if near:
            raise document.wrong((unknown[0],), f"no such table: [{unknown[0]}]; {near[0]}?")
    tables = data.get("lifeline", {})
    if not isinstance(tables, dict):
        raise document.wrong((*above, "lifeline"), "lifeline is no table: write [lifeline.NAME]")
    entries = {
        name: _of_table(document, (*above, "lifeline", name), name, table)
        for name, table in tables.items()
    }
    strays = {
        key: partial(document.wrong, (key,), _stray(key))
        for key in ([] if in_pyproject else data)
        if key not in _TABLES
    }
    scalers = {} if in_pyproject else data.get("scale", {})
    if not isinstance(scalers, dict):
        raise document.wrong(("scale",), "scale is no table: write [scale.NAME]")
    return Config(document.path, entries, strays, scalers)


def _stray(key: str) -> str:
    return f"[{key}] stands outside of lifelines: call it [lifeline.{key}]"


def _of_table(document: Document, path: Path, name: str, table: object) -> Entry:
    if not isinstance(table, dict):
        raise document.wrong(path, f"{name} stands outside of a lifeline: write [lifeline.NAME]")

    def where(key: str) -> str:
        return document.where((*path, key) if key else path)

    return _checked(Entry(name, table, document.path, where))


def _checked(entry: Entry) -> Entry:
    try:
        check_name(entry.name)
    except UsageError as error:
        raise entry.wrong("", str(error)) from None
    return entry
