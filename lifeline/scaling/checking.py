"""Reading what people write: one value each, or a BadOption that says where and what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from ..clock import parse_duration
from ..errors import UsageError

Path = tuple["str | int", ...]
MOST = 100_000  # workers: more is a slip of the keyboard
_LARGEST = 1e15  # of anything: floats count no further without gaps
_LONGEST = 100 * 365 * 86400.0  # seconds, as parse_duration has it


class BadOption(UsageError):
    """An option that cannot be meant. `path` leads to it: keys of tables, indices of lists."""

    def __init__(self, path: Path, message: str) -> None:
        self.path = path
        super().__init__(message)


def known(given: Mapping[str, Any], names: Iterable[str], what: str, path: Path = ()) -> None:
    """Raise BadOption for the first key that is none of `names`, with the nearest that is."""
    names = sorted(names)
    for key in given:
        if key not in names:
            raise BadOption((*path, key), f"unknown {what} {key!r:.60}{nearest(key, names)}")


def nearest(word: str, names: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or the names there are if none is near."""
    names = sorted(names)
    near = get_close_matches(word, names, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(names)}"


def number(name: str, value: object, path: Path = ()) -> float:
    """A number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise BadOption((*path, name), f"{name} has to be a number, not {value!r:.40}")
    if value < 0:
        raise BadOption((*path, name), f"{name} = {value!r:.40} is negative")
    if value > _LARGEST:
        raise BadOption((*path, name), f"{name} = {value!r:.40} is more than can be counted")
    return value


def some_number(name: str, value: object, path: Path = ()) -> float:
    """A number above zero."""
    if number(name, value, path) == 0:
        raise BadOption((*path, name), f"{name} has to be more than nothing")
    return number(name, value, path)


def count(name: str, value: object, path: Path = ()) -> int:
    """A whole number from 0."""
    found = number(name, value, path)
    if not isinstance(found, int):
        raise BadOption((*path, name), f"{name} has to be a whole number, not {value!r:.40}")
    if found > MOST:
        raise BadOption((*path, name), f"{name} = {found} is more than anybody has")
    return found


def some_count(name: str, value: object, path: Path = ()) -> int:
    """A whole number from 1."""
    found = count(name, value, path)
    if found == 0:
        raise BadOption((*path, name), f"{name} has to be at least 1")
    return found


def seconds(name: str, value: object, path: Path = ()) -> float:
    """Seconds: a number of them, or a duration such as "90s" or "5m"."""
    if not isinstance(value, str):
        found = number(name, value, path)
        if found > _LONGEST:
            raise BadOption((*path, name), f"{name} = {found} is longer than a hundred years")
        return found
    try:
        return parse_duration(value)
    except UsageError as error:
        raise BadOption((*path, name), f"{name}: {error}") from None


def some_seconds(name: str, value: object, path: Path = ()) -> float:
    """Seconds, more than none."""
    found = seconds(name, value, path)
    if found <= 0:
        raise BadOption((*path, name), f"{name} has to be more than nothing")
    return found


def one_of(*allowed: str) -> Callable[[str, object], str]:
    """A reader of one of a few words."""

    def read(name: str, value: object) -> str:
        if value not in allowed or not isinstance(value, str):
            raise BadOption((name,), f"{name} is {' or '.join(allowed)}, not {value!r:.40}")
        return value

    return read
